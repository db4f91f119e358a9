//! Telemetry that is still being written: when all of a run has come, and a dataset for each run
//! beside a Collector that goes on for ever.
//!
//! - `complete` says what is still to come of a run: pure;
//! - `index` remembers what has been read of which file, `marks` notes what goes by, `owners` says
//!   whose it is;
//! - `watch` looks at the telemetry of one run until it is complete;
//! - `pass` extracts all runs that are complete and have no dataset yet, `state` is what it remembers
//!   from one call to the next.

mod complete;
mod index;
mod marks;
mod owners;
mod pass;
mod runs;
mod state;
mod watch;

pub use complete::{FLUSH_NS, MetricSource, Missing, RunEnd, RunMarks, missing};
pub use index::{FileMark, Fingerprint};
pub use marks::RowCounts;
pub use pass::{PassOptions, PassReport, extract_new};
pub use state::{Extracted, Gone, LostFile, RunState, Standing, State, Totals};
pub use watch::Watch;

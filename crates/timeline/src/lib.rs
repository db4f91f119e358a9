//! Ground truth of a run.
//!
//! Two files say what really happened, and every label comes from them:
//!
//! - `timeline.jsonl` ([`event`], [`writer`], [`read`]): windows, faults and heartbeats, one JSON
//!   object a line, readable up to the last flush after a kill.
//! - `ledger.arrows` ([`ledger`]): one record a request, as an Arrow IPC stream.
//!
//! [`condition`] says from it what was wrong with the system at each time, and [`phase`] whether
//! it had settled.
//!
//! [`merge`] makes one timeline of those of several generators.
//!
//! [`audit`] is what is known of a dataset that was made from it, [`causal`] which services shifted
//! in it and along which calls, [`columns`] what its columns mean.
//!
//! All times in both come from one [`clock`].

pub mod audit;
pub mod causal;
pub mod clock;
pub mod columns;
pub mod condition;
mod consistency;
pub mod event;
mod exposure;
mod label;
pub mod ledger;
pub mod merge;
pub mod phase;
pub mod read;
pub mod record;
pub mod summary;
pub mod writer;

pub use clock::Clock;
pub use consistency::{Inconsistency, InconsistencyKind, Severity, consistency};
pub use event::Event;
pub use ledger::{
    Ledger, LedgerBatch, LedgerError, LedgerReader, LedgerReport, RequestRow, read_ledger,
};
pub use loadgen_scenario::plan::Anomaly;
pub use read::{
    BadLine, FaultInterval, Integrity, Timeline, TimelineError, Window, WindowAt, WindowEnd,
    read_timeline,
};
pub use record::{Failure, RequestRecord};
pub use writer::TimelineWriter;

/// JSON Schema of one line of `timeline.jsonl`.
pub fn timeline_json_schema() -> serde_json::Value {
    schemars::schema_for!(event::Event).to_value()
}

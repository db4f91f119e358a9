//! The report of a run: one page that shows what happened and why its labels may be believed.
//!
//! It is made of what an extraction has written (tables in Parquet, evidence, audit) and of the
//! run's folder (timeline, summary), never of telemetry. It is a view: nothing is in it that is not
//! in these files, and it can be made anew at any time.
//!
//! - [`Sources::find`] says which files belong to which run;
//! - [`RunReport::read`] reads the figures of a run;
//! - [`html`] makes one page of one run or several, with everything in it; [`write`](write()) puts it into a
//!   file.
//!
//! ```no_run
//! use loadgen_report::{RunReport, Sources, write};
//!
//! let folder = "runs/20260202_024000-default";
//! let found = Sources::find(&[folder.into()])?;
//! let runs: Vec<RunReport> = found.iter().map(RunReport::read).collect();
//! write("report.html".as_ref(), &runs)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! While a run goes on, [`LiveSeries`] takes its requests, [`RunReport::live`] is what can be shown so
//! far, and [`live_html`] a page that asks for it again and again.
//!
//! What each part shows is told in `docs/report.md`.

mod balance;
mod files;
mod graph;
mod known;
mod live;
mod number;
mod page;
mod run;
mod series;
mod sources;
mod table;
mod traces;
mod windows;

pub use live::LiveSeries;
pub use page::{Live, Page, comparison_html, html, live_html, write};
pub use run::RunReport;
pub use sources::{ReportError, Sources};

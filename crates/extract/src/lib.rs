//! From telemetry and a timeline to a labelled dataset.
//!
//! The folders are the way that the data goes:
//!
//! - `telemetry` reads OTLP/JSON lines, typed and borrowed, on all cores, in bounded memory;
//! - `spool` keeps what the join needs on disk, so that memory does not grow with the input;
//! - `join` says which label a thing gets, by the ledger and the windows of the timeline;
//! - `dataset` writes CSV and Parquet, and puts the files in place when they are whole;
//! - `audit` says whether the result can be trusted;
//! - `signal` ties them together for traces, metrics and logs.
//!
//! ```no_run
//! use loadgen_extract::{ExtractOptions, extract};
//!
//! let report = extract(&ExtractOptions {
//!     traces: vec!["run/traces.jsonl".into()],
//!     timeline: Some("run/timeline.jsonl".into()),
//!     output: "run/dataset".into(),
//!     ..ExtractOptions::default()
//! })?;
//! assert!(report.reconciles());
//! # Ok::<(), loadgen_extract::ExtractError>(())
//! ```
//!
//! The files and their columns are described in `docs/dataset-format.md`.

pub mod audit;
mod dataset;
mod error;
mod extract;
pub mod figures;
pub mod find;
mod join;
mod report;
mod signal;
mod spool;
mod telemetry;

pub use error::ExtractError;
pub use extract::{ExtractOptions, extract};
pub use report::{
    ExtractReport, InputReport, LabelCount, LineProblem, MAX_LINES_NAMED, WrittenFile,
};

//! From telemetry and a timeline to a labelled dataset.
//!
//! The folders are the way that the data goes:
//!
//! - `scan` reads telemetry on all cores and deals it into partitions by trace, on disk where
//!   memory would not do;
//! - `label` says of each partition what the condition of the system was, by ledger and timeline;
//! - `measure` finds out what holds for the run as a whole: phases, evidence, what was lost;
//! - `write` makes rows, which `dataset` defines, writes as CSV and Parquet and puts in place;
//! - `features` gathers on the way what tables of services, traces and calls are made from;
//! - `audit` says whether the result can be trusted;
//! - `distributed` does all this step by step on many machines;
//! - `follow` does all this beside a Collector that goes on writing, when a run is complete.
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
pub mod distributed;
mod error;
mod extract;
mod features;
pub mod find;
pub mod follow;
mod ground_truth;
mod label;
mod lines;
pub mod live;
mod measure;
mod options;
pub mod order;
mod parallel;
mod report;
mod rules;
mod scan;
mod stages;
mod stop;
mod write;

pub use error::ExtractError;
pub use extract::extract;
pub use options::{ExtractOptions, TableFormats};
pub use report::{ExtractReport, InputReport, LabelCount, MAX_LINES_NAMED, WrittenFile};
pub use stop::Stop;

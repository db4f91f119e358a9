//! An extraction as the steps of a job on many machines: what `deploy/spark` calls from Apache Spark.
//!
//! The input is dealt into *portions* by the hashes of traces, and of series. Each step is a program
//! that reads an Arrow stream and writes one; what goes from step to step are frames, whose bytes
//! only these steps understand. A scheduler brings frames of one portion together, and figures to one
//! place.
//!
//! ```text
//!  files ──► decode ──► frames of portions ──┬──► survey ──────────────► rows ──► Parquet files
//!  ledger ─► requests ──►                    │      │ └─► normals          │
//!              │ figures                     │      │ figures   │ figures  │ figures
//!              ▼                             │      ▼           ▼          ▼
//!           scanned ─────────────────────────┘  surveyed ───► limits ───► finish ──► audit
//! ```
//!
//! All that is done to a portion is done by the code of an extraction on one machine; figures merge
//! to the same however the input is cut. Design: `docs/design/0128-extraction-on-spark.md`.

mod decode;
mod figures;
mod frames;
pub(crate) mod histogram;
mod job;
mod portion;
mod steps;

use std::io;

use crate::ExtractError;

pub use decode::decode;
pub use job::{Job, JobOptions};
pub use steps::merge;

/// Bytes of spans that a step keeps in memory, before they go to its disk: all of a task or a portion
/// as the job deals them, whose spans have a quarter of 256 MiB.
const BUDGET_BYTES: usize = 64 << 20;

/// Why a step did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// As of an extraction on one machine.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// A stream, or a file on the way, can't be read or written.
    #[error("a step of the job can't go on: {0}")]
    Stream(#[from] io::Error),
    /// Two tasks have written rows under one name, so that those of one are lost.
    #[error("two tasks wrote {0}: rows of one of them are lost")]
    SameFile(String),
}

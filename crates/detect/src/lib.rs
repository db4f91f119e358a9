//! Scores telemetry while it comes in: features of services by bucket, an ONNX model, and what comes of
//! it as OTLP and as rows for `loadgen evaluate`.
//!
//! ```text
//! files ──► extract::live   features of a bucket, once it is over
//!              ▼
//!           contract        their order, and what stands for null     (pure)
//!              ▼
//!           detector        the last buckets ──► model ──► score, alert
//!              ▼
//!           said            a gauge for each bucket, a log record for each alert
//! ```
//!
//! The model itself is behind the feature `onnx`.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod contract;
mod detector;
#[cfg(feature = "onnx")]
mod model;
mod said;
mod scores;

pub use contract::{Contract, ContractError, Feature};
pub use detector::{Detector, Score, Scored};
#[cfg(feature = "onnx")]
pub use model::{Model, ModelError};
pub use said::{Speaker, alert, gauge};
pub use scores::ScoresFile;

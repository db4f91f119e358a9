//! The other engine: stock k6, with our module, as a process of its own.
//!
//! k6 runs the plan; this module starts it (`program`), reads the event log that the module writes to
//! its error stream (`line`, `feed`, `ticks`), asks its REST API for what scripts can't see (`api`),
//! and reports to the same conductor as the workers of the Rust engine do (`crew`). A log that was
//! kept from a k6 that ran alone (`kept`) is looked through (`log`, `order`, `names`) and becomes the
//! same events (`replay`).

mod api;
mod crew;
mod feed;
mod kept;
mod line;
mod log;
mod names;
mod order;
mod program;
mod replay;
mod segment;
mod ticks;

pub use crew::K6Options;
pub(crate) use crew::{Started, follow, start};
pub use log::{LogError, Replay, read_log};
pub use program::{K6, K6Error, why_not, write_module};
pub use replay::MissingLines;

//! The other engine: stock k6, with our module, as a process of its own.
//!
//! k6 runs the plan; this module starts it (`program`, `start`), reads the event log that the
//! module writes to its error stream (`pipe`, `line`, `feed`, `ticks`), asks its REST API for what
//! scripts can't see (`api`), and reports to the same conductor as the workers of the Rust engine
//! do (`follow`). A log that was kept from a k6 that ran alone (`kept`) is looked through (`log`,
//! `order`, `names`) and becomes the same events (`replay`).

mod api;
mod feed;
mod follow;
mod kept;
mod line;
mod log;
mod names;
mod order;
mod pipe;
mod program;
mod replay;
mod segment;
mod start;
mod ticks;

pub(crate) use follow::follow;
pub use log::{LogError, Replay, read_log};
pub use program::{K6, K6Error, why_not, write_module};
pub use replay::MissingLines;
pub use start::K6Options;
pub(crate) use start::{Started, start};

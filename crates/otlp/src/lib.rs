//! OTLP, read and written.

mod enums;
mod input;
mod jaeger;
pub mod json;
mod problem;
mod read;
mod sink;
pub mod view;
mod walk;
mod wire;

pub use problem::Problem;
pub use read::{read_json, read_protobuf};
pub use sink::{Counts, Origin, Owner, Signal, Sink, UNDO_ITEMS};

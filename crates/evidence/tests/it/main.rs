//! The crate as its users see it.

mod schema;
mod simulated;
mod verdicts;

//! Tests of the crate as others use it: one binary, because each links all of it.

mod golden;
mod otlp;
mod program;
mod receivers;

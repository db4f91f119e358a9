//! Tests of the crate as others use it: one binary, because each links all of it.

mod cases;
mod common;
mod own;
mod same_as_toxiproxy;

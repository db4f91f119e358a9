//! Tests of the crate as others use it: one binary, because each links all of it.

mod fuzz_corpus;
mod golden;
mod schema;

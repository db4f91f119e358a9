//! Tests of the crate as others use it: one binary, because each links all of it.

mod catalogue;
mod episodes;
mod flows;
mod format;
mod fuzz_corpus;
mod labels;
mod malformed;
mod prng_vectors;
mod schemas;
mod selection;
mod shipped;
mod timetable;

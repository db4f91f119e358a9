//! Tests of the crate as others use it: one binary, because each links all of it.

mod load;
mod made;
mod report;
mod schema;
mod statistics;

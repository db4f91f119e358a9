//! Tests of the crate as others use it: one binary, because each links all of it.

mod distributed;
mod features_order;
mod follow;
mod formats;
mod forms;
mod fuzz_corpus;
mod golden;
mod hostile;
mod input;
mod order;
mod parquet;

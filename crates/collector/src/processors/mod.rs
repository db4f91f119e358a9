//! What is changed between receiving and writing.

pub(crate) mod anomaly;

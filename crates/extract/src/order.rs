//! What readers of a dataset need to know of how it was written: the order of its rows, and how its
//! files of classes are called.

use crate::dataset::file_name;
use crate::scan::spool::hash;

/// Where a trace stands among the rows of `traces_labeled`, `trace_labels` and `logs_labeled`: they
/// are in the order of this, so that they can be joined while they are read.
pub fn trace_order(trace_id: u128) -> (u64, u128) {
    let halves = [(trace_id >> 64) as u64, trace_id as u64];
    (hash(halves), trace_id)
}

/// What the files of classes of these anomaly types are called: nothing but `a-z`, `0-9`, `_` and
/// `-`, all different, and none of the names `labeled`, `normal` and `anomalous`.
pub fn class_names(types: &[String]) -> Vec<String> {
    file_name::parts(types)
}

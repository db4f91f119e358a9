//! From where on a figure is worth a word.

/// Share of spans without a label from which on a dataset is not usable.
pub const UNKNOWN_ERROR: f64 = 0.5;
/// Share of spans without a label from which on there is a warning.
pub const UNKNOWN_WARNING: f64 = 0.05;
/// Traces that each window should have at least.
pub const WINDOW_TRACES: u64 = 20;
/// Share of a window's requests whose traces are missing: a warning.
pub const LOST_WARNING: f64 = 0.01;
/// Share of a window's requests whose traces are missing: an error.
pub const LOST_ERROR: f64 = 0.5;
/// Share of spans that are copies: a warning.
pub const DUPLICATES_WARNING: f64 = 0.01;
/// Share of a service's spans whose parent is missing: a warning.
pub const ORPHANS_WARNING: f64 = 0.01;
/// Share of traces without a root: a warning.
pub const ROOTLESS_WARNING: f64 = 0.05;
/// Share of traces of one span: a warning that no calls are seen.
pub const SINGLE_SPAN_WARNING: f64 = 0.9;
/// Share of traces cut by the beginning or the end of files: a warning.
pub const CUT_WARNING: f64 = 0.01;
/// A clock that is certainly so far from the generator's, in nanoseconds: a warning.
pub const SKEW_WARNING_NS: i64 = 100_000_000;

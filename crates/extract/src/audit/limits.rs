//! The thresholds of the checks. Those of the evidence stand in `loadgen_evidence::Thresholds`, those of
//! timeline and ledger against each other in `loadgen_timeline::consistency`.

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
/// Share of a window's spans that should be steady. Half: less, and most of what the window cost is
/// of no use for training.
pub const STEADY_WARNING: f64 = 0.5;
/// Share of a window's requests that were sent while nothing arrived: an error. 5 %: more would be
/// missing where one looks for the anomaly, all at one time.
pub const GAP_ERROR: f64 = 0.05;
/// How far from guessing to certainty the mix or the rate of requests alone may tell the label. A
/// quarter: with eight types a score of 0.34 where guessing gives 0.125, with two of 0.63 where it gives
/// 0.5. Blocks of one run are not independent of each other, so that small excesses mean nothing.
pub const PREDICTABLE: f64 = 0.25;
/// And by how many standard errors of guessing it has to be above it.
pub const PREDICTABLE_ERRORS: f64 = 3.0;
/// Rank correlation of a number in a path and the time from which on it counts like a clock. 0.95: at
/// that a number places a row within about a tenth of the run.
pub const COUNTING_RHO: f64 = 0.95;
/// Fewest sampled requests of such a path. With 20 a correlation of 0.95 does not come by chance.
pub const COUNTING_REQUESTS: usize = 20;

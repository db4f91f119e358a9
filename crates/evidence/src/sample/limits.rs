//! How much is kept of a run, at most. With these limits a sample of 50 operations and 20 stretches
//! takes up to 150 MB (72 bytes an observation), and one of a usual run (its windows have hundreds of
//! requests of an operation) a few.

use crate::time::SECOND_NS;

/// Observations kept of each key and stretch, and as many again of its first [`START_NS`]. With
/// 1,000 on both sides the 95 % interval of Cliff's δ is ±0.05 wide where nothing differs: a tenth
/// of what is between "no difference" and the least effect is all that more observations could
/// tell.
pub(crate) const K: usize = 1_000;

/// Time after the begin of a stretch of which a sample of its own is kept: onset and recovery are
/// looked for in it, and a sample of an hour has too few observations in its first seconds.
pub(crate) const START_NS: i64 = 30 * SECOND_NS;

/// Services. More than any shop has; above it someone puts ids into names.
pub(crate) const SERVICES: usize = 1_000;
/// Operations of a service: names of routes, of which a service has dozens.
pub(crate) const OPERATIONS: usize = 250;
/// Pairs of services of which one calls the other.
pub(crate) const EDGES: usize = 2_000;
/// Kinds of requests that are sent.
pub(crate) const ENTRIES: usize = 1_000;
/// Series of metrics, of those that are looked at.
pub(crate) const SERIES: usize = 4_000;

/// Finest bin in which requests and traces are counted: a tenth of the shortest interval at which
/// metrics are usually exported.
pub(crate) const FINEST_BIN_NS: i64 = SECOND_NS / 10;
/// Finest bin in which points of a series are kept apart.
pub(crate) const METRIC_BIN_NS: i64 = SECOND_NS;

//! The sample of a run: bounded, mergeable, and the same whatever the order.

mod bottom_k;
mod hash;
mod limits;
mod observation;
mod sampler;
mod series;
mod table;

use std::collections::BTreeMap;

pub(crate) use bottom_k::{Kept, Observed};
pub(crate) use hash::name_hash;
pub use hash::trace_hash;
use limits::{EDGES, ENTRIES, K, OPERATIONS, SERIES, SERVICES};
pub use observation::{
    CallObservation, Edge, MetricPoint, Operation, Reading, Series, SpanKind, SpanObservation,
};
pub use sampler::{EdgeId, EntryId, OperationId, Sampler, ServiceId};
use serde::{Deserialize, Serialize};
pub(crate) use series::Cell;

use crate::time::{Bins, Interval, Stretches, any_contains};

/// What was observed of a run, or of a part of it. Parts may be gathered by several processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub(crate) stretches: Stretches,
    pub(crate) bins: Bins,
    pub(crate) services: BTreeMap<String, ServiceSample>,
    pub(crate) edges: BTreeMap<Edge, BTreeMap<usize, Kept<CallObservation>>>,
    pub(crate) entries: BTreeMap<String, BTreeMap<usize, Kept<TraceMet>>>,
    pub(crate) series: BTreeMap<Series, BTreeMap<u32, Cell>>,
    /// All traces, by the bin in which they were sent.
    pub(crate) traces: Vec<u32>,
    /// Spans that no stretch has.
    pub(crate) outside: u64,
}

/// What was observed of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct ServiceSample {
    pub(crate) operations: BTreeMap<Operation, BTreeMap<usize, Kept<SpanObservation>>>,
    /// All its spans in stretches, those of operations that were not kept included.
    pub(crate) spans: u64,
    /// Spans by the bin that they began in.
    pub(crate) requests: Vec<u32>,
    /// Traces by the bin in which they were sent.
    pub(crate) traces: Vec<u32>,
}

/// A trace and the services that it met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct TraceMet {
    pub(crate) trace: u64,
    pub(crate) moment_ns: i64,
    /// Hashes of the services' names, in order.
    pub(crate) services: Box<[u64]>,
}

impl Observed for SpanObservation {
    fn trace(&self) -> u64 {
        self.trace
    }

    fn moment_ns(&self) -> i64 {
        self.moment_ns
    }
}

impl Observed for CallObservation {
    fn trace(&self) -> u64 {
        self.trace
    }

    fn moment_ns(&self) -> i64 {
        self.moment_ns
    }
}

impl Observed for TraceMet {
    fn trace(&self) -> u64 {
        self.trace
    }

    fn moment_ns(&self) -> i64 {
        self.moment_ns
    }
}

/// Samples of runs that are cut differently say nothing together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("samples of different stretches of time can't be merged: cut all parts of a run alike")]
pub struct DifferentStretches;

impl Sample {
    /// Takes in what was observed of another part of the same run. The order does not matter, nor
    /// how the run was split.
    ///
    /// # Errors
    /// When the other part was cut into other stretches.
    pub fn merge(&mut self, other: Self) -> Result<(), DifferentStretches> {
        if self.stretches != other.stretches {
            return Err(DifferentStretches);
        }
        table::merge(
            &mut self.services,
            other.services,
            SERVICES,
            ServiceSample::merge,
        );
        table::merge(&mut self.edges, other.edges, EDGES, merge_stretches);
        table::merge(&mut self.entries, other.entries, ENTRIES, merge_stretches);
        table::merge(&mut self.series, other.series, SERIES, merge_cells);
        merge_counts(&mut self.traces, &other.traces);
        self.outside += other.outside;
        Ok(())
    }

    /// Names of the services that were observed.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// Spans that are in no sample although they lie within the run, because their service has more
    /// than 250 operations: those with an id or a value in their name.
    pub fn spans_left_out(&self) -> u64 {
        self.services.values().map(ServiceSample::left_out).sum()
    }

    /// Traces that were sent in `intervals`, of a service those with a span of it. Counted in bins
    /// of 100 ms (of runs above 1,000 s, of a ten thousandth), of which those at the edges count in
    /// part.
    pub(crate) fn traces_met(&self, service: Option<&str>, intervals: &[Interval]) -> f64 {
        let counts = match service {
            Some(service) => self.services.get(service).map(|service| &service.traces),
            None => Some(&self.traces),
        };
        counts.map_or(0.0, |counts| self.bins.sum_over(counts, intervals))
    }

    /// Spans of the service that began in an interval.
    pub(crate) fn requests(&self, service: &str, interval: Interval) -> f64 {
        let counts = self.services.get(service).map(|service| &service.requests);
        counts.map_or(0.0, |counts| self.bins.sum(counts, interval))
    }
}

impl ServiceSample {
    fn left_out(&self) -> u64 {
        let stretches = self.operations.values().flat_map(BTreeMap::values);
        self.spans - stretches.map(|kept| kept.seen).sum::<u64>()
    }

    fn merge(&mut self, other: Self) {
        table::merge(
            &mut self.operations,
            other.operations,
            OPERATIONS,
            merge_stretches,
        );
        self.spans += other.spans;
        merge_counts(&mut self.requests, &other.requests);
        merge_counts(&mut self.traces, &other.traces);
    }
}

fn merge_counts(counts: &mut Vec<u32>, other: &[u32]) {
    counts.resize(counts.len().max(other.len()), 0);
    for (count, more) in counts.iter_mut().zip(other) {
        *count = count.saturating_add(*more);
    }
}

fn merge_stretches<T: Observed>(
    stretches: &mut BTreeMap<usize, Kept<T>>,
    other: BTreeMap<usize, Kept<T>>,
) {
    for (index, kept) in other {
        stretches.entry(index).or_default().merge(kept, K);
    }
}

fn merge_cells(cells: &mut BTreeMap<u32, Cell>, other: BTreeMap<u32, Cell>) {
    for (bin, cell) in other {
        match cells.get_mut(&bin) {
            Some(there) => there.merge(&cell),
            None => drop(cells.insert(bin, cell)),
        }
    }
}

/// The observations sent in `intervals`, of all stretches with the same chance: where one stretch
/// had more than were kept, only the hashes that were kept of it count in the others too.
pub(crate) fn within<'a, T: Observed>(
    stretches: &'a BTreeMap<usize, Kept<T>>,
    intervals: &[Interval],
) -> Vec<&'a T> {
    let inside = |item: &&T| any_contains(intervals, item.moment_ns());
    let met = || {
        stretches
            .values()
            .filter(|kept| kept.whole.iter().any(|item| inside(&item)))
    };
    let below = met()
        .filter_map(Kept::complete_below)
        .min()
        .unwrap_or(u64::MAX);
    met()
        .flat_map(|kept| kept.whole.iter())
        .filter(|item| item.trace() < below || below == u64::MAX)
        .filter(inside)
        .collect()
}

/// The observations sent in an interval, from the fuller samples that were kept of the first
/// seconds of each stretch where there are any. In the order of sending.
pub(crate) fn closely<T: Observed>(
    stretches: &BTreeMap<usize, Kept<T>>,
    cuts: &Stretches,
    interval: Interval,
) -> Vec<T> {
    let mut all = Vec::new();
    for (index, kept) in stretches {
        let start = cuts.interval(*index).from_ns;
        let has_start = !kept.start.is_empty();
        let in_start = |item: &&T| item.moment_ns() - start < limits::START_NS;
        let late = kept
            .whole
            .iter()
            .filter(|item| !has_start || !in_start(item));
        let items = kept.start.iter().chain(late);
        all.extend(
            items
                .filter(|item| interval.contains(item.moment_ns()))
                .cloned(),
        );
    }
    all.sort_by_key(|item: &T| (item.moment_ns(), item.trace()));
    all
}

#[cfg(test)]
mod tests;

//! Collects observations while traces and points of metrics go by.

use std::collections::BTreeMap;

use super::bottom_k::{BottomK, Kept, Observed};
use super::hash::name_hash;
use super::limits::{
    EDGES, ENTRIES, FINEST_BIN_NS, K, METRIC_BIN_NS, OPERATIONS, SERIES, SERVICES, START_NS,
};
use super::observation::{
    CallObservation, Edge, MetricPoint, Operation, Series, SpanKind, SpanObservation,
};
use super::series::Cell;
use super::table::Table;
use super::{Sample, ServiceSample, TraceMet};
use crate::metric::is_relevant;
use crate::time::{Bins, Stretches};

/// A service in a [`Sampler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceId {
    number: Option<u32>,
    hash: u64,
}

/// An operation of a service in a [`Sampler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationId {
    service: ServiceId,
    number: Option<u32>,
}

/// An edge between two services in a [`Sampler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeId(Option<u32>);

/// What a trace began with, in a [`Sampler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryId(Option<u32>);

/// Collects observations of one part of a run. Any split of a run into parts, and any order within
/// them, gives the same [`Sample`] once they are merged.
///
/// Names are turned into ids once; ids belong to the sampler that gave them.
///
/// ```
/// use loadgen_evidence::{SpanKind, SpanObservation, Sampler, Stretches, trace_hash};
///
/// let mut sampler = Sampler::new(Stretches::new([0, 60_000_000_000]));
/// let cart = sampler.service("cart");
/// let add = sampler.operation(cart, "GET /add/{id}/{sku}/{qty}", SpanKind::Server);
/// let trace = trace_hash(&[7; 16]);
/// sampler.span(add, &SpanObservation {
///     trace,
///     moment_ns: 1_000,
///     start_ns: 2_000,
///     duration_ns: 700_000,
///     own_ns: 250_000,
///     gap_ns: Some(300_000),
///     spans_below: 3,
///     error: false,
///     error_below: false,
/// });
/// let step = sampler.entry("checkout / add");
/// sampler.trace(trace, 1_000, step, &[cart]);
/// let sample = sampler.finish();
/// assert_eq!(sample.services().collect::<Vec<_>>(), ["cart"]);
/// ```
#[derive(Debug)]
pub struct Sampler {
    stretches: Stretches,
    bins: Bins,
    metric_bins: Bins,
    services: Table<String, ServiceSampler>,
    edges: Table<Edge, ByStretch<CallObservation>>,
    entries: Table<String, ByStretch<TraceMet>>,
    series: Table<Series, BTreeMap<u32, Cell>>,
    traces: Vec<u32>,
    outside: u64,
}

#[derive(Debug)]
struct ServiceSampler {
    operations: Table<Operation, ByStretch<SpanObservation>>,
    spans: u64,
    requests: Vec<u32>,
    traces: Vec<u32>,
}

impl Default for ServiceSampler {
    fn default() -> Self {
        Self {
            operations: Table::new(OPERATIONS),
            spans: 0,
            requests: Vec::new(),
            traces: Vec::new(),
        }
    }
}

/// Observations of one key, stretch by stretch.
#[derive(Debug)]
struct ByStretch<T>(BTreeMap<usize, InStretch<T>>);

#[derive(Debug)]
struct InStretch<T> {
    seen: u64,
    whole: BottomK<T>,
    start: BottomK<T>,
}

impl<T> Default for ByStretch<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Observed> ByStretch<T> {
    fn offer(&mut self, stretches: &Stretches, index: usize, item: T) {
        let kept = self.0.entry(index).or_insert_with(|| InStretch {
            seen: 0,
            whole: BottomK::new(K),
            start: BottomK::new(K),
        });
        kept.seen += 1;
        let stretch = stretches.interval(index);
        let is_long = stretch.length_ns() > START_NS;
        if is_long && item.moment_ns() - stretch.from_ns < START_NS {
            kept.start.offer(item.clone());
        }
        kept.whole.offer(item);
    }

    fn finish(self) -> BTreeMap<usize, Kept<T>> {
        let kept = |stretch: InStretch<T>| Kept {
            seen: stretch.seen,
            whole: stretch.whole.into_sorted(),
            start: stretch.start.into_sorted(),
        };
        self.0
            .into_iter()
            .map(|(index, stretch)| (index, kept(stretch)))
            .collect()
    }
}

impl Sampler {
    /// An empty sampler over the stretches of a run. All parts of a run must have the same.
    pub fn new(stretches: Stretches) -> Self {
        let whole = stretches.whole();
        Self {
            bins: Bins::new(whole, FINEST_BIN_NS),
            metric_bins: Bins::new(whole, METRIC_BIN_NS),
            stretches,
            services: Table::new(SERVICES),
            edges: Table::new(EDGES),
            entries: Table::new(ENTRIES),
            series: Table::new(SERIES),
            traces: Vec::new(),
            outside: 0,
        }
    }

    /// The id of a service. The load generator is none: its spans begin traces and belong into no
    /// operation, though it may be the caller of an edge.
    pub fn service(&mut self, name: &str) -> ServiceId {
        ServiceId {
            number: self.services.number(name.to_owned()),
            hash: name_hash(&[name]),
        }
    }

    /// The id of an operation of a service.
    pub fn operation(&mut self, service: ServiceId, name: &str, kind: SpanKind) -> OperationId {
        let operation = Operation {
            name: name.to_owned(),
            kind,
        };
        let number = service
            .number
            .and_then(|number| self.services.value(number))
            .and_then(|sampler| sampler.operations.number(operation));
        OperationId { service, number }
    }

    /// The id of an edge between two services.
    pub fn edge(&mut self, caller: &str, callee: &str) -> EdgeId {
        EdgeId(self.edges.number(Edge {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
        }))
    }

    /// The id of what traces begin with: the step that was sent, where the ledger names it, else
    /// the root's service and name. Traces of one entry are expected to meet the same services.
    pub fn entry(&mut self, name: &str) -> EntryId {
        EntryId(self.entries.number(name.to_owned()))
    }

    /// An entry of a trace into a service.
    pub fn span(&mut self, operation: OperationId, span: &SpanObservation) {
        let service = operation.service.number;
        let Some(service) = service.and_then(|number| self.services.value(number)) else {
            return;
        };
        if let Some(bin) = self.bins.index(span.start_ns) {
            count(&mut service.requests, bin);
        }
        let Some(stretch) = self.stretches.index(span.moment_ns) else {
            self.outside += 1;
            return;
        };
        service.spans += 1;
        let number = operation.number;
        if let Some(kept) = number.and_then(|number| service.operations.value(number)) {
            kept.offer(&self.stretches, stretch, *span);
        }
    }

    /// A call of one service by another.
    pub fn call(&mut self, edge: EdgeId, call: &CallObservation) {
        let Some(stretch) = self.stretches.index(call.moment_ns) else {
            return;
        };
        if let Some(kept) = edge.0.and_then(|number| self.edges.value(number)) {
            kept.offer(&self.stretches, stretch, *call);
        }
    }

    /// A whole trace: its [`trace_hash()`](crate::trace_hash()), when its request was sent (Unix
    /// ns), what it began with, and each service of which it has a span. Traces without any span of
    /// the target belong here too, if the ledger has them: a service that is dead shows by being
    /// missing.
    pub fn trace(&mut self, trace: u64, moment_ns: i64, entry: EntryId, met: &[ServiceId]) {
        let Some(stretch) = self.stretches.index(moment_ns) else {
            return;
        };
        let mut services: Vec<u64> = met.iter().map(|service| service.hash).collect();
        services.sort_unstable();
        services.dedup();
        if let Some(bin) = self.bins.index(moment_ns) {
            count(&mut self.traces, bin);
            for hash in &services {
                let id = met.iter().find(|service| service.hash == *hash);
                let number = id.and_then(|id| id.number);
                if let Some(service) = number.and_then(|number| self.services.value(number)) {
                    count(&mut service.traces, bin);
                }
            }
        }
        if let Some(kept) = entry.0.and_then(|number| self.entries.value(number)) {
            let services = services.into_boxed_slice();
            let met = TraceMet {
                trace,
                moment_ns,
                services,
            };
            kept.offer(&self.stretches, stretch, met);
        }
    }

    /// A point of a metric. Metrics that say nothing about processor time or saturation are passed
    /// over ([`is_relevant()`](crate::is_relevant()) says which those are).
    pub fn metric(&mut self, series: &Series, point: &MetricPoint) {
        // An interval ends where the next begins: its last moment is the one before its end.
        let bin = self.metric_bins.index(point.end_ns - 1);
        let (true, Some(bin), Some(cell)) = (is_relevant(&series.metric), bin, Cell::of(point))
        else {
            return;
        };
        let number = self.series.number(series.clone());
        if let Some(cells) = number.and_then(|number| self.series.value(number)) {
            match cells.get_mut(&(bin as u32)) {
                Some(there) => there.merge(&cell),
                None => drop(cells.insert(bin as u32, cell)),
            }
        }
    }

    /// What was collected.
    pub fn finish(self) -> Sample {
        let service = |service: ServiceSampler| ServiceSample {
            operations: service.operations.into_map(ByStretch::finish),
            spans: service.spans,
            requests: service.requests,
            traces: service.traces,
        };
        Sample {
            bins: self.bins,
            stretches: self.stretches,
            services: self.services.into_map(service),
            edges: self.edges.into_map(ByStretch::finish),
            entries: self.entries.into_map(ByStretch::finish),
            series: self.series.into_map(|cells| cells),
            traces: self.traces,
            outside: self.outside,
        }
    }
}

/// Counts one in a bin. The list is as long as its last bin that is not empty.
fn count(counts: &mut Vec<u32>, bin: usize) {
    if counts.len() <= bin {
        counts.resize(bin + 1, 0);
    }
    counts[bin] = counts[bin].saturating_add(1);
}

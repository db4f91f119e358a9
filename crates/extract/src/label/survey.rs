//! What has to be known of the whole run, gathered partition by partition. Surveys merge: any split
//! of the traces into partitions gives the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use hdrhistogram::Histogram;
use loadgen_evidence::{Sample, Sampler, Stretches};
use loadgen_timeline::audit::ServiceFigures;
use loadgen_timeline::condition::{NONE, Placed};
use serde::{Deserialize, Serialize};

use super::clocks::{Exchange, Exchanges, GENERATOR, GRAIN_NS, WHOLE_MILLISECONDS_GRAIN_NS};
use super::decide::{Decided, is_generator};
use super::groups::{Group, Partition, Sorted};
use super::names::ResourceId;
use super::trace::{CLIENT, SERVER, Span, TraceFacts};
use super::truth::{Foreign, Truth};
use crate::measure::arrivals::Arrivals;
use crate::measure::observe::observe;
use crate::measure::outcomes::Outcomes;
use crate::scan::ScanFacts;
use crate::scan::batch::text;
use crate::scan::spool::hash;

/// A trace that begins or ends so near to the first or the last span, in nanoseconds, may be cut
/// by the files' beginning or end.
const NEAR_THE_ENDS_NS: i64 = 5_000_000_000;

/// What was gathered of one partition or of several.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Gathered {
    /// What the evidence is found from.
    pub(crate) sample: Sample,
    pub(crate) resources: Vec<ResourceId>,
    /// By resource: whether all its spans start on whole milliseconds.
    pub(crate) whole_milliseconds: Vec<bool>,
    pub(crate) exchanges: Exchanges,
    pub(crate) services: BTreeMap<String, ServiceFigures>,
    pub(crate) counts: Counts,
    /// Late spans by service and name.
    pub(crate) late: BTreeMap<(String, String), u64>,
    /// By window.
    pub(crate) windows: Vec<OfWindow>,
    pub(crate) outcomes: Outcomes,
    pub(crate) arrivals: Arrivals,
    /// Moments of sampled spans, by their place in the sample.
    pub(crate) sampled: Vec<(usize, Option<i64>)>,
}

/// Gathers from one partition.
#[derive(Debug)]
pub(crate) struct Survey {
    resources: Vec<ResourceId>,
    whole_milliseconds: Vec<bool>,
    exchanges: Exchanges,
    services: BTreeMap<String, ServiceFigures>,
    counts: Counts,
    late: BTreeMap<(String, String), u64>,
    windows: Vec<OfWindow>,
    outcomes: Outcomes,
    arrivals: Arrivals,
    sampled: Vec<(usize, Option<i64>)>,
    sampler: Sampler,
    scanned: Arc<ScanFacts>,
    local: Local,
}

/// What is counted over all traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) traces: u64,
    pub(crate) traces_cut: u64,
    pub(crate) traces_without_root: u64,
    pub(crate) duplicate_spans: u64,
    /// Traces, of others too, with nothing in the upper half of an id that is not the ledger's.
    pub(crate) short_trace_ids: u64,
    /// Requests of the ledger that were handed to the network.
    pub(crate) requests: u64,
    /// Spans and log records that are not the run's, by [`Foreign`](super::truth::Foreign).
    pub(crate) foreign_spans: [u64; 3],
    pub(crate) foreign_logs: [u64; 3],
    pub(crate) foreign_traces: [u64; 3],
}

/// What is gathered of one window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OfWindow {
    pub(crate) traces: u64,
    pub(crate) spans: u64,
    /// Requests that its scenario sent.
    pub(crate) requests: u64,
    /// Durations of what was sent while it was open, in microseconds.
    #[serde(with = "crate::distributed::histogram")]
    pub(crate) durations: Histogram<u32>,
}

impl OfWindow {
    fn new() -> Self {
        // The bounds are constants for which the constructor does not fail.
        let histogram = Histogram::new_with_bounds(1, 3_600_000_000, 2);
        Self {
            traces: 0,
            spans: 0,
            requests: 0,
            durations: histogram.unwrap_or_else(|_| unreachable!()),
        }
    }
}

/// What holds for the partition at hand.
#[derive(Debug, Default)]
struct Local {
    grains: Vec<i64>,
    generator_grain: i64,
}

impl Survey {
    /// An empty one.
    pub(crate) fn new(truth: &Truth, scanned: &Arc<ScanFacts>) -> Self {
        let windows = truth.timeline.windows.iter();
        let stretches = truth.conditions.stretches();
        let edges = stretches.iter().flat_map(|s| [s.time.0, s.time.1]);
        Self {
            resources: Vec::new(),
            whole_milliseconds: Vec::new(),
            exchanges: Exchanges::default(),
            services: BTreeMap::new(),
            counts: Counts::default(),
            late: BTreeMap::new(),
            windows: windows.map(|_| OfWindow::new()).collect(),
            outcomes: Outcomes::default(),
            arrivals: Arrivals::new(truth.conditions.run()),
            sampled: Vec::new(),
            sampler: Sampler::new(Stretches::new(edges)),
            scanned: scanned.clone(),
            local: Local::default(),
        }
    }

    pub(super) fn begin(&mut self, sorted: &Sorted<'_>, is_k6: bool) {
        let resource = |(service, instance): &(&str, &str)| ResourceId {
            service: (*service).to_owned(),
            instance: (*instance).to_owned(),
        };
        self.resources = sorted.resources.things.iter().map(resource).collect();
        self.whole_milliseconds = vec![true; self.resources.len()];
        for span in sorted.spans().filter(|s| s.start % 1_000_000 != 0) {
            self.whole_milliseconds[span.resource as usize] = false;
        }
        let grain = |whole: &bool| match whole {
            true => WHOLE_MILLISECONDS_GRAIN_NS,
            false => GRAIN_NS,
        };
        self.local = Local {
            grains: self.whole_milliseconds.iter().map(grain).collect(),
            // Our own engine's clock has no grain to speak of; scripts of k6 see milliseconds.
            generator_grain: if is_k6 {
                WHOLE_MILLISECONDS_GRAIN_NS
            } else {
                0
            },
        };
    }

    /// Takes a trace into account, or a request of which no span arrived.
    pub(super) fn trace(
        &mut self,
        partition: &Partition,
        sorted: &Sorted<'_>,
        truth: &Truth,
        group: &Group<'_>,
        facts: Option<&TraceFacts>,
        decided: &Decided<'_>,
    ) {
        self.request(partition, sorted, truth, group);
        // One that was sent so was not cut.
        let was_sent = group.request.is_some();
        let is_short = !group.spans.is_empty() && group.trace[0] == 0;
        self.counts.short_trace_ids += u64::from(is_short && !was_sent);
        if let Some(foreign) = decided.foreign {
            let kind = foreign as usize - 1;
            self.counts.foreign_traces[kind] += 1;
            self.counts.foreign_spans[kind] += group.spans.len() as u64;
            self.counts.foreign_logs[kind] += group.logs.len() as u64;
            return;
        }
        self.sample_of_spans(group, facts, decided);
        observe(&mut self.sampler, partition, sorted, group, facts, decided);
        let Some(facts) = facts else {
            return;
        };
        self.observe_exchanges(group);
        self.counts.traces += 1;
        self.counts.traces_without_root += u64::from(!facts.has_root);
        self.counts.duplicate_spans += u64::from(facts.duplicates);
        let spans = group.spans.len() as u64;
        for &window in windows_at(truth, decided.moment_ns) {
            self.windows[window].traces += 1;
            self.windows[window].spans += spans;
        }
        self.durations(truth, sorted, group, facts, decided);
        self.cut(facts);
        self.of_services(partition, sorted, truth, group, facts, decided);
    }

    fn request(
        &mut self,
        partition: &Partition,
        sorted: &Sorted<'_>,
        truth: &Truth,
        group: &Group<'_>,
    ) {
        let Some(request) = group.request else {
            return;
        };
        let row = request.row as usize;
        if !partition.requests.sent.value(row) {
            return;
        }
        self.counts.requests += 1;
        let window = text(&partition.requests.scenario, row)
            .and_then(|scenario| window_of(truth, scenario, request.sent));
        if let Some(window) = window {
            self.windows[window].requests += 1;
        }
        let of_target = |s: &Span| s.id != request.span && !is_generator(sorted, s.resource);
        let arrived = group.spans.iter().any(of_target);
        let step = text(&partition.requests.step, row).unwrap_or_default();
        self.arrivals.add(request.sent, step, window, arrived);
    }

    fn sample_of_spans(
        &mut self,
        group: &Group<'_>,
        facts: Option<&TraceFacts>,
        decided: &Decided<'_>,
    ) {
        for (index, span) in group.spans.iter().enumerate() {
            let Some(place) = self.scanned.sample.find((group.trace, span.id)) else {
                continue;
            };
            let late = facts.is_some_and(|facts| facts.late[index]);
            let moment = if late {
                Some(span.start)
            } else {
                decided.moment_ns
            };
            self.sampled.push((place, moment));
        }
    }

    /// How long what was sent in a window took, by the ledger or else by the root.
    fn durations(
        &mut self,
        truth: &Truth,
        sorted: &Sorted<'_>,
        group: &Group<'_>,
        facts: &TraceFacts,
        decided: &Decided<'_>,
    ) {
        let root = &facts.root;
        let of_root = root.end - root.start;
        let duration = group.request.map_or(of_root, |r| r.finished - r.sent);
        for &window in windows_at(truth, decided.moment_ns) {
            let microseconds = (duration / 1000).max(1) as u64;
            self.windows[window]
                .durations
                .saturating_record(microseconds);
        }
        let known = root.parent == 0 && root.start != 0 && of_root >= 0;
        if let Some(moment) = decided.moment_ns.filter(|_| known) {
            let service = sorted.resources.first(root.resource);
            let name = sorted.names.first(root.name);
            self.outcomes.add(
                truth,
                hash(group.trace),
                (service, name),
                moment,
                of_root,
                facts.errors > 0,
            );
        }
    }

    fn cut(&mut self, facts: &TraceFacts) {
        let Some((begin, end)) = self.scanned.extent.filter(|_| !facts.orphans.is_empty()) else {
            return;
        };
        let start = facts.root.start;
        let near =
            start - begin < NEAR_THE_ENDS_NS || end - (start + facts.duration) < NEAR_THE_ENDS_NS;
        self.counts.traces_cut += u64::from(near);
    }

    fn of_services(
        &mut self,
        partition: &Partition,
        sorted: &Sorted<'_>,
        truth: &Truth,
        group: &Group<'_>,
        facts: &TraceFacts,
        decided: &Decided<'_>,
    ) {
        let sent = decided.sent_by.zip(group.request);
        let sender = sent.and_then(|(scenario, r)| window_of(truth, scenario, r.sent));
        let said = |kind: &str| {
            let of = |window: &usize| truth.timeline.windows[*window].anomaly.kind == kind;
            match sender {
                Some(window) => Some(of(&window)),
                None => {
                    let open = windows_at(truth, decided.moment_ns);
                    (!open.is_empty()).then(|| open.iter().any(of))
                }
            }
        };
        for (index, span) in group.spans.iter().enumerate() {
            let name = sorted.resources.first(span.resource);
            let row = span.row as usize;
            if facts.late[index] {
                let key = (name.to_owned(), sorted.names.first(span.name).to_owned());
                *self.late.entry(key).or_default() += 1;
            }
            let service = service(&mut self.services, name);
            service.spans += 1;
            service.server_spans += u64::from(span.kind == SERVER);
            service.roots += u64::from(span.parent == 0);
            match text(&partition.spans.header_type, row) {
                Some(_) if partition.spans.header_default.value(row) => service.default_spans += 1,
                Some(kind) => {
                    service.header_spans += 1;
                    // `normal` is another word for none.
                    let kind = if kind == "normal" { NONE } else { kind };
                    match said(kind) {
                        Some(true) => service.agreeing += 1,
                        Some(false) => service.contradicting += 1,
                        None => {}
                    }
                }
                None => {}
            }
        }
        for &orphan in &facts.orphans {
            let name = sorted.resources.first(group.spans[orphan].resource);
            service(&mut self.services, name).orphans += 1;
        }
        if facts.spans == 1 {
            let name = sorted.resources.first(facts.root.resource);
            service(&mut self.services, name).single_span_traces += 1;
        }
    }

    /// A log record without a trace.
    pub(super) fn loose_log(&mut self, foreign: Option<Foreign>) {
        if let Some(foreign) = foreign {
            self.counts.foreign_logs[foreign as usize - 1] += 1;
        }
    }

    fn observe_exchanges(&mut self, group: &Group<'_>) {
        let clients = group.spans.iter().filter(|s| s.kind == CLIENT);
        let mut clients: Vec<&Span> = clients.collect();
        clients.sort_by_key(|s| s.id);
        // Of several with one id the last.
        let client = |id: u64| {
            let behind = clients.partition_point(|s| s.id <= id);
            clients[..behind].last().filter(|s| s.id == id)
        };
        let Local {
            grains,
            generator_grain,
        } = &self.local;
        let known = |s: &&Span| s.start != 0 && s.end >= s.start;
        for span in group.spans.iter().filter(known) {
            let server_grain = grains[span.resource as usize];
            let mut observe = |client: u32, grain: i64, (client_start, client_end)| {
                let exchange = Exchange {
                    client_start,
                    server_start: span.start,
                    server_end: span.end,
                    client_end,
                };
                self.exchanges
                    .observe(client, span.resource, exchange, grain + server_grain);
            };
            if let Some(request) = group.request
                && (span.id == request.span || span.kind == SERVER && span.parent == request.span)
                && request.finished >= request.sent
            {
                observe(
                    GENERATOR,
                    *generator_grain,
                    (request.sent, request.finished),
                );
            }
            if span.kind == SERVER
                && let Some(client) = client(span.parent)
                && client.resource != span.resource
                && client.start != 0
            {
                let grain = grains[client.resource as usize];
                observe(client.resource, grain, (client.start, client.end));
            }
        }
    }

    /// What was gathered, without what is needed only on the way.
    pub(crate) fn finish(self) -> Gathered {
        Gathered {
            sample: self.sampler.finish(),
            resources: self.resources,
            whole_milliseconds: self.whole_milliseconds,
            exchanges: self.exchanges,
            services: self.services,
            counts: self.counts,
            late: self.late,
            windows: self.windows,
            outcomes: self.outcomes,
            arrivals: self.arrivals,
            sampled: self.sampled,
        }
    }

    /// The sampler of evidence, for what is no trace.
    pub(crate) fn sampler(&mut self) -> &mut Sampler {
        &mut self.sampler
    }
}

impl Gathered {
    /// 99th percentile of the durations of what was sent in a window, in nanoseconds.
    pub(crate) fn p99_ns(&self, window: usize) -> i64 {
        let durations = &self.windows[window].durations;
        i64::try_from(durations.value_at_quantile(0.99)).unwrap_or(i64::MAX / 1000) * 1000
    }

    /// Adds what was gathered of other partitions.
    pub(crate) fn merge(&mut self, other: Self) {
        // All have the stretches of one timeline, for which merging does not fail.
        let _ = self.sample.merge(other.sample);
        let numbers: Vec<u32> = other
            .resources
            .into_iter()
            .zip(other.whole_milliseconds)
            .map(|(resource, whole)| {
                let known = self.resources.iter().position(|r| *r == resource);
                let number = known.unwrap_or_else(|| {
                    self.resources.push(resource);
                    self.whole_milliseconds.push(true);
                    self.resources.len() - 1
                });
                self.whole_milliseconds[number] &= whole;
                number as u32
            })
            .collect();
        self.exchanges.merge(other.exchanges, &numbers);
        for (name, of) in other.services {
            self.services.entry(name).or_default().merge(&of);
        }
        self.counts.merge(&other.counts);
        for (key, count) in other.late {
            *self.late.entry(key).or_default() += count;
        }
        for (window, of) in self.windows.iter_mut().zip(other.windows) {
            window.traces += of.traces;
            window.spans += of.spans;
            window.requests += of.requests;
            // Both have the same bounds, for which adding does not fail.
            let _ = window.durations.add(of.durations);
        }
        self.outcomes.merge(other.outcomes);
        self.arrivals.merge(other.arrivals);
        self.sampled.extend(other.sampled);
    }
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        self.traces += other.traces;
        self.traces_cut += other.traces_cut;
        self.traces_without_root += other.traces_without_root;
        self.duplicate_spans += other.duplicate_spans;
        self.short_trace_ids += other.short_trace_ids;
        self.requests += other.requests;
        for kind in 0..3 {
            self.foreign_spans[kind] += other.foreign_spans[kind];
            self.foreign_logs[kind] += other.foreign_logs[kind];
            self.foreign_traces[kind] += other.foreign_traces[kind];
        }
    }
}

/// The windows that were open at a moment.
fn windows_at(truth: &Truth, moment_ns: Option<i64>) -> &[usize] {
    match moment_ns.map(|at| truth.conditions.at(at)) {
        Some(Placed::Within { stretch, .. }) => &truth.conditions.stretches()[stretch].windows,
        _ => &[],
    }
}

/// The window in which a scenario sent a request.
fn window_of(truth: &Truth, scenario: &str, sent_ns: i64) -> Option<usize> {
    let windows = truth.timeline.windows.iter().enumerate();
    let of = windows.filter(|(_, w)| w.scenario == scenario);
    // Of windows of one name the last that had opened.
    let best = of.max_by_key(|(_, w)| (w.opened_ns <= sent_ns, w.opened_ns));
    best.map(|(index, _)| index)
}

fn service<'f>(
    services: &'f mut BTreeMap<String, ServiceFigures>,
    name: &str,
) -> &'f mut ServiceFigures {
    if !services.contains_key(name) {
        services.insert(name.to_owned(), ServiceFigures::default());
    }
    match services.get_mut(name) {
        Some(service) => service,
        None => unreachable!("it was put in"),
    }
}

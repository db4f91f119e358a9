//! Between the two ways through the input: partition by partition, what was noted of a trace is
//! put together and joined to the timeline and the ledger.
//!
//! Sweeps over the partitions come in this order, because each needs what the one before found:
//! clocks, baseline, recoveries, verdicts.

use std::collections::{HashMap, HashSet};
use std::io;

use super::first::FirstPass;
use super::groups::{Group, for_each_trace};
use super::tally::Tally;
use loadgen_timeline::event::Engine;

use crate::dataset::csv_row::CsvRows;
use crate::dataset::span_row::OfSpan;
use crate::dataset::staging::StagedFile;
use crate::dataset::trace_table;
use crate::figures::ClockFigures;
use crate::join::interval::intervals;
use crate::join::label::{Decision, LabelSource, Labels, NONE};
use crate::join::phase::{Phase, Phases};
use crate::join::recovery::{Baseline, Recoveries};
use crate::join::skew::{Exchange, Exchanges, GENERATOR, Offset};
use crate::join::trace::TraceFacts;
use crate::spool::Spool;
use crate::spool::heads::{PointHead, RequestHead, SpanHead, Trace};
use crate::spool::verdicts::{PointVerdict, Verdict};

/// A name that the generator's own spans have for their service.
const GENERATOR_SERVICE: &str = "loadgen";

/// How exact the times of spans are, in nanoseconds: a server ends its span some time after the
/// client has the answer.
const GRAIN_NS: i64 = 1_000_000;

/// How exact they are where spans start on whole milliseconds, as those of Node's SDK do.
const WHOLE_MILLISECONDS_GRAIN_NS: i64 = 2_000_000;

/// Rows of the table of traces that are written at once.
const ROWS_AT_ONCE: u64 = 4096;

/// All verdicts.
#[derive(Debug)]
pub(crate) struct Verdicts {
    pub(crate) spans: Spool<Verdict>,
    pub(crate) logs: Spool<Verdict>,
    pub(crate) points: Spool<PointVerdict>,
}

/// Joins what the first pass noted.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) first: &'a FirstPass,
    pub(crate) labels: &'a mut Labels,
    pub(crate) phases: Phases,
    /// Names of the ledger's scenarios, by number.
    pub(crate) scenarios: &'a [String],
    pub(crate) correct_skew: bool,
    offsets: HashMap<u32, Offset>,
    /// Of traces that nobody in the ledger sent: the trace that they were caused by.
    links: HashMap<Trace, Trace>,
    /// The decisions on traces that links lead to, and the time that decided.
    linked: HashMap<Trace, (Decision, i64)>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        first: &'a FirstPass,
        labels: &'a mut Labels,
        scenarios: &'a [String],
        correct_skew: bool,
    ) -> Self {
        Self {
            phases: Phases::new(&labels.timeline),
            first,
            labels,
            scenarios,
            correct_skew,
            offsets: HashMap::new(),
            links: HashMap::new(),
            linked: HashMap::new(),
        }
    }

    /// Goes through all sweeps. Rows of the table of traces go to `table`.
    pub(crate) fn judge(
        &mut self,
        mut verdicts: Verdicts,
        tally: &mut Tally,
        table: &mut StagedFile,
    ) -> io::Result<Verdicts> {
        self.find_clocks(tally)?;
        self.find_linked()?;
        self.find_recoveries(tally)?;
        let partitions = self.first.heads.spans.len();
        for partition in 0..partitions {
            self.judge_traces(partition, &mut verdicts, tally, table)?;
            self.judge_points(partition, &mut verdicts)?;
        }
        Ok(verdicts)
    }

    fn find_clocks(&mut self, tally: &mut Tally) -> io::Result<()> {
        let mut exchanges = Exchanges::default();
        let first = self.first;
        // Scripts of k6 see a clock of whole milliseconds, too.
        let run = self.labels.timeline.run.as_ref();
        let is_k6 = run.is_some_and(|run| run.engine == Engine::K6);
        let grain = |resource: u32| match first.whole_milliseconds.get(resource as usize) {
            Some(true) => WHOLE_MILLISECONDS_GRAIN_NS,
            _ if resource == GENERATOR && is_k6 => WHOLE_MILLISECONDS_GRAIN_NS,
            _ => GRAIN_NS,
        };
        let mut links = HashMap::new();
        for partition in 0..first.heads.spans.len() {
            for_each_trace(&first.heads, partition, |group| {
                observe_exchanges(&mut exchanges, group, grain);
                if group.request.is_none()
                    && let Some(root) = group
                        .spans
                        .iter()
                        .min_by_key(|s| (s.parent != 0, s.start, s.span))
                    && root.link != [0, 0]
                    && root.link != root.trace
                {
                    links.insert(root.trace, root.link);
                }
                Ok(())
            })?;
        }
        self.links = links;
        // Without the generator's clock the one that most exchanges were seen of is the measure.
        let resources = 0..first.registry.resources.things.len() as u32;
        let reference = if exchanges.exchanges_of(GENERATOR) > 0 {
            GENERATOR
        } else {
            let own = resources
                .clone()
                .find(|&r| first.registry.service(r) == GENERATOR_SERVICE);
            let most = || {
                resources
                    .clone()
                    .max_by_key(|&r| (exchanges.exchanges_of(r), std::cmp::Reverse(r)))
            };
            own.or_else(most).unwrap_or(GENERATOR)
        };
        self.offsets = exchanges.offsets(reference, grain);
        for resource in resources {
            if let (Some(offset), Some(id)) = (
                self.offsets.get(&resource),
                first.registry.resources.get(resource),
            ) {
                tally.figures.clocks.push(ClockFigures {
                    service: id.service.clone(),
                    instance: id.instance.clone(),
                    ahead_ns: offset.ahead_ns,
                    bound_ns: offset.bound_ns,
                    exchanges: exchanges.exchanges_of(resource),
                });
            }
        }
        let order = |c: &ClockFigures| (c.service.clone(), c.instance.clone());
        tally.figures.clocks.sort_by_key(order);
        Ok(())
    }

    /// When a trace began, by the generator's clock as far as that is known; 0: not known.
    fn began(&self, root: &SpanHead, request: Option<&RequestHead>) -> i64 {
        match (request, self.offsets.get(&root.resource)) {
            (Some(request), _) => request.sent,
            (None, Some(offset)) if self.correct_skew && root.start != 0 => {
                (root.start - offset.ahead_ns).max(1)
            }
            _ => root.start,
        }
    }

    /// The label of a trace by itself, and the time that decided.
    fn decide(&mut self, facts: &TraceFacts, request: Option<&RequestHead>) -> (Decision, i64) {
        let at = self.began(&facts.root, request);
        if let Some(request) = request
            && let Some(scenario) = self.scenarios.get(request.scenario as usize)
            && let Some(label) = self.labels.of_scenario(scenario, request.sent)
        {
            return ((label, LabelSource::Ledger), at);
        }
        let by_time = self.labels.at(at);
        if by_time.1 != LabelSource::None {
            return (by_time, at);
        }
        let evidence = &self.first.registry.evidence;
        let said = facts.evidence.iter().filter_map(|&e| evidence.get(e - 1));
        (self.labels.of_headers(said), at)
    }

    /// The label of a trace: that of the trace that caused it, where a link says which.
    fn decide_linked(
        &mut self,
        facts: &TraceFacts,
        request: Option<&RequestHead>,
    ) -> (Decision, i64) {
        let mut at = facts.root.trace;
        let mut seen = HashSet::new();
        while let Some(&next) = self.links.get(&at) {
            if !seen.insert(at) {
                break;
            }
            at = next;
        }
        match self.linked.get(&at) {
            Some(&linked) if at != facts.root.trace => linked,
            _ => self.decide(facts, request),
        }
    }

    fn find_linked(&mut self) -> io::Result<()> {
        if self.links.is_empty() {
            return Ok(());
        }
        let targets: HashSet<Trace> = self.links.values().copied().collect();
        let mut linked = HashMap::new();
        let first = self.first;
        for partition in 0..first.heads.spans.len() {
            for_each_trace(&first.heads, partition, |group| {
                let Some(trace) = group.trace() else {
                    return Ok(());
                };
                if !targets.contains(&trace) || self.links.contains_key(&trace) {
                    return Ok(());
                }
                if !group.spans.is_empty() {
                    let facts = TraceFacts::new(group.spans, group.request);
                    linked.insert(trace, self.decide(&facts, group.request));
                } else if let Some(request) = group.request
                    && let Some(scenario) = self.scenarios.get(request.scenario as usize)
                    && let Some(label) = self.labels.of_scenario(scenario, request.sent)
                {
                    linked.insert(trace, ((label, LabelSource::Ledger), request.sent));
                }
                Ok(())
            })?;
        }
        self.linked = linked;
        Ok(())
    }

    fn find_recoveries(&mut self, tally: &mut Tally) -> io::Result<()> {
        let mut recoveries = Recoveries::new(&self.labels.timeline);
        if recoveries.is_empty() {
            return Ok(());
        }
        let mut baseline = Baseline::default();
        let first = self.first;
        let operation = |root: &SpanHead| (root.resource, root.name);
        for partition in 0..first.heads.spans.len() {
            for_each_trace(&first.heads, partition, |group| {
                let Some((root, duration, failed)) = outcome(&group) else {
                    return Ok(());
                };
                let at = self.began(root, group.request);
                let (label, source) = self.labels.at(at);
                let is_baseline =
                    source == LabelSource::Window && *self.labels.get(label).anomaly_type == *NONE;
                if is_baseline && self.phases.at(at) == Phase::Steady {
                    baseline.observe(operation(root), duration, failed);
                }
                Ok(())
            })?;
        }
        tally.figures.recovery_known = baseline.is_known();
        for partition in 0..first.heads.spans.len() {
            for_each_trace(&first.heads, partition, |group| {
                if let Some((root, duration, failed)) = outcome(&group) {
                    let at = self.began(root, group.request);
                    if recoveries.wants(at) {
                        recoveries.observe(&baseline, at, operation(root), duration, failed);
                    }
                }
                Ok(())
            })?;
        }
        let found = recoveries.intervals(&baseline);
        tally.recoveries = found.clone();
        self.phases.set_recoveries(found);
        Ok(())
    }

    fn judge_traces(
        &mut self,
        partition: usize,
        verdicts: &mut Verdicts,
        tally: &mut Tally,
        table: &mut StagedFile,
    ) -> io::Result<()> {
        let first = self.first;
        let mut of_spans: Vec<Verdict> = Vec::new();
        let mut of_logs: Vec<Verdict> = Vec::new();
        let mut rows = CsvRows::new();
        let mut rows_held = 0;
        for_each_trace(&first.heads, partition, |group| {
            tally.request(
                &group,
                |request| {
                    let scenario = self.scenarios.get(request.scenario as usize)?;
                    let label = self.labels.of_scenario(scenario, request.sent)?;
                    self.labels.window_of(label)
                },
                |resource| first.registry.service(resource) == GENERATOR_SERVICE,
            );
            if group.spans.is_empty() {
                return Ok(());
            }
            let facts = TraceFacts::new(group.spans, group.request);
            let ((label, source), at) = self.decide_linked(&facts, group.request);
            let is_known = !matches!(source, LabelSource::Ambiguous | LabelSource::None);
            let phase = match source {
                // There is no window whose edges could be near.
                LabelSource::Header => Phase::None,
                _ if is_known => self.phases.at(at),
                _ => Phase::None,
            };
            let services = services(first, &facts.resources);
            let found = self.labels.get(label);
            let touches = found
                .root_cause_service
                .as_deref()
                .is_some_and(|s| services.binary_search(&s).is_ok());
            let verdict = |key| Verdict {
                key,
                label,
                source: source as u8,
                phase: phase as u8,
                touches_root_cause: u8::from(touches),
                pad: 0,
            };
            of_spans.extend(group.spans.iter().map(|span| verdict(span.key)));
            of_logs.extend(group.logs.iter().map(|log| verdict(log.key)));
            tally.trace(first, &group, &facts, self.labels, (label, source), phase);
            let name = first.registry.names.get(facts.root.name);
            let of = OfSpan {
                label: found,
                source,
                phase,
                touches_root_cause: touches,
            };
            let root_service = first.registry.service(facts.root.resource);
            trace_table::write_csv(
                &mut rows,
                &facts,
                &services,
                root_service,
                name.map_or("", |n| n),
                &of,
            );
            rows_held += 1;
            if rows_held >= ROWS_AT_ONCE {
                let full = std::mem::replace(&mut rows, CsvRows::new());
                table.append(&full.into_bytes()?, rows_held)?;
                rows_held = 0;
            }
            Ok(())
        })?;
        table.append(&rows.into_bytes()?, rows_held)?;
        of_spans.sort_unstable_by_key(|v| v.key);
        of_logs.sort_unstable_by_key(|v| v.key);
        for verdict in of_spans {
            tally.sampled(verdict.key, &self.labels.get(verdict.label).anomaly_type);
            verdicts.spans.push(partition, verdict)?;
        }
        for verdict in of_logs {
            verdicts.logs.push(partition, verdict)?;
        }
        Ok(())
    }

    fn judge_points(&mut self, partition: usize, verdicts: &mut Verdicts) -> io::Result<()> {
        let mut points: Vec<PointHead> = self.first.heads.points.read(partition)?;
        points.sort_unstable_by(|a, b| {
            let order = |p: &PointHead| (p.series, p.time, p.start);
            order(a)
                .cmp(&order(b))
                .then(a.value.total_cmp(&b.value))
                .then(a.key.cmp(&b.key))
        });
        let mut all = Vec::with_capacity(points.len());
        for series in points.chunk_by(|a, b| a.series == b.series) {
            for (point, interval) in series.iter().zip(intervals(series)) {
                let times = (interval.start, interval.end);
                let ((label, source), within) = self.labels.of_interval(times);
                let phase = match source {
                    LabelSource::Ambiguous | LabelSource::None => Phase::None,
                    _ if !within => Phase::Transition,
                    _ if interval.start == interval.end => self.phases.at(interval.end),
                    _ => self.phases.of(times),
                };
                all.push(PointVerdict {
                    increase: interval.increase,
                    interval_start: interval.start,
                    key: point.key,
                    label,
                    source: source as u8,
                    phase: phase as u8,
                    pad: [0; 6],
                });
            }
        }
        all.sort_unstable_by_key(|v| v.key);
        for verdict in all {
            verdicts.points.push(partition, verdict)?;
        }
        Ok(())
    }
}

/// Names of services, sorted, each once.
fn services<'f>(first: &'f FirstPass, resources: &[u32]) -> Vec<&'f str> {
    let mut names: Vec<&str> = resources
        .iter()
        .map(|&r| first.registry.service(r))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The root of a trace, how long it took in nanoseconds and whether it failed; none where that
/// can't be told.
fn outcome<'g>(group: &Group<'g>) -> Option<(&'g SpanHead, i64, bool)> {
    let root = group
        .spans
        .iter()
        .filter(|s| s.parent == 0)
        .min_by_key(|s| (s.start, s.span))?;
    let failed = group.spans.iter().any(|s| s.status == 2);
    (root.start != 0 && root.end >= root.start).then_some((root, root.end - root.start, failed))
}

fn observe_exchanges(exchanges: &mut Exchanges, group: Group<'_>, grain: impl Fn(u32) -> i64) {
    const SERVER: u8 = 2;
    const CLIENT: u8 = 3;
    let clients: HashMap<u64, &SpanHead> = group
        .spans
        .iter()
        .filter(|s| s.kind == CLIENT)
        .map(|s| (s.span, s))
        .collect();
    for span in group
        .spans
        .iter()
        .filter(|s| s.start != 0 && s.end >= s.start)
    {
        let mut observe = |client: u32, (client_start, client_end): (i64, i64)| {
            let exchange = Exchange {
                client_start,
                server_start: span.start,
                server_end: span.end,
                client_end,
            };
            // The clock of our own engine has no grain to speak of.
            let of_client = match grain(client) {
                GRAIN_NS if client == GENERATOR => 0,
                grain => grain,
            };
            let both = of_client + grain(span.resource);
            exchanges.observe(client, span.resource, exchange, both);
        };
        if let Some(request) = group.request
            && (span.span == request.span || span.kind == SERVER && span.parent == request.span)
            && request.finished >= request.sent
        {
            observe(GENERATOR, (request.sent, request.finished));
        }
        if span.kind == SERVER
            && let Some(client) = clients.get(&span.parent)
            && client.resource != span.resource
            && client.start != 0
        {
            observe(client.resource, (client.start, client.end));
        }
    }
}

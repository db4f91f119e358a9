//! What the evidence is to see of a trace: its entries into services, the calls between them, and
//! which services it met.

use loadgen_evidence::{
    CallObservation, Sampler, ServiceId, SpanKind, SpanObservation, trace_hash,
};

use crate::label::decide::Decided;
use crate::label::groups::{Group, Partition, Sorted};
use crate::label::trace::{CLIENT, CONSUMER, ERROR, SERVER, Span, TraceFacts};
use crate::scan::batch::text;
use crate::scan::spans::GENERATOR_SERVICE;

/// Shows a trace to the sampler. `facts` is none for a request of which no span arrived.
pub(crate) fn observe(
    sampler: &mut Sampler,
    partition: &Partition,
    sorted: &Sorted<'_>,
    group: &Group<'_>,
    facts: Option<&TraceFacts>,
    decided: &Decided<'_>,
) {
    let Some(moment_ns) = decided.moment_ns else {
        return;
    };
    let [high, low] = group.trace;
    let id = u128::from(high) << 64 | u128::from(low);
    let trace = trace_hash(&id.to_be_bytes());
    let late = facts.map_or(&[][..], |facts| &facts.late);
    let tree = Tree::new(sorted, group, late);
    let when = When { trace, moment_ns };
    let met = observe_entries(sampler, &tree, sorted, group, when);
    observe_calls(sampler, &tree, sorted, when);
    let step = group
        .request
        .and_then(|r| text(&partition.requests.step, r.row as usize));
    let entry = match (step, facts) {
        (Some(step), _) => sampler.entry(step),
        (None, Some(facts)) => {
            let service = sorted.resources.first(facts.root.resource);
            let name = sorted.names.first(facts.root.name);
            sampler.entry(&format!("{service} {name}"))
        }
        (None, None) => return,
    };
    sampler.trace(trace, moment_ns, entry, &met);
}

/// Of an observation: its trace, and the moment that the trace counts for.
#[derive(Clone, Copy)]
struct When {
    trace: u64,
    moment_ns: i64,
}

/// Shows the entries into services. Gives the services that the trace met.
fn observe_entries(
    sampler: &mut Sampler,
    tree: &Tree<'_>,
    sorted: &Sorted<'_>,
    group: &Group<'_>,
    When { trace, moment_ns }: When,
) -> Vec<ServiceId> {
    let mut met: Vec<(u32, ServiceId)> = Vec::new();
    for entry in tree.entries() {
        let span = &tree.spans[entry];
        let service = sorted.resources.first(span.resource);
        if service == GENERATOR_SERVICE {
            continue;
        }
        let id = match met.iter().find(|(resource, _)| *resource == span.resource) {
            Some((_, id)) => *id,
            None => {
                let id = sampler.service(service);
                met.push((span.resource, id));
                id
            }
        };
        if span.start == 0 || span.end < span.start {
            continue;
        }
        let name = sorted.names.first(span.name);
        let operation = sampler.operation(id, name, SpanKind::from_otlp(span.kind.into()));
        let calls = tree.calls_of(entry);
        let duration_ns = span.end - span.start;
        sampler.span(
            operation,
            &SpanObservation {
                trace,
                moment_ns,
                start_ns: span.start,
                duration_ns,
                own_ns: duration_ns - covered(span, &calls),
                gap_ns: gap(tree, entry, group),
                spans_below: tree.below[entry],
                error: span.status == ERROR,
                error_below: calls.iter().any(|call| call.status == ERROR),
            },
        );
    }
    met.into_iter().map(|(_, id)| id).collect()
}

/// Shows the calls between services.
fn observe_calls(
    sampler: &mut Sampler,
    tree: &Tree<'_>,
    sorted: &Sorted<'_>,
    When { trace, moment_ns }: When,
) {
    for (call, answer) in tree.answered() {
        let caller = sorted.resources.first(call.resource);
        let edge = sampler.edge(caller, sorted.resources.first(answer.resource));
        let duration_ns = call.end - call.start;
        sampler.call(
            edge,
            &CallObservation {
                trace,
                moment_ns,
                duration_ns,
                gap_ns: duration_ns - (answer.end - answer.start),
                error: call.status == ERROR,
            },
        );
    }
}

/// The spans of a trace, each once and without late ones, as a tree.
struct Tree<'g> {
    spans: Vec<&'g Span>,
    /// By span: the position of its parent.
    parents: Vec<Option<usize>>,
    /// By span: the span by which its service was entered; itself for such a span.
    entries: Vec<usize>,
    /// By entry: spans below it in the same service.
    below: Vec<u32>,
    services: Vec<&'g str>,
    /// Entries with the calls below them that a span of another service answers, in the order of
    /// their starts.
    calls: Vec<(usize, usize)>,
}

impl<'g> Tree<'g> {
    fn new(sorted: &'g Sorted<'_>, group: &Group<'g>, late: &[bool]) -> Self {
        let kept = group.spans.iter().enumerate();
        let mut spans: Vec<&Span> = kept
            .filter(|(index, _)| !late.get(*index).copied().unwrap_or(false))
            .map(|(_, span)| span)
            .collect();
        spans.sort_by_key(|s| s.id);
        // Client and server may share an id, as Zipkin's do: those are two.
        spans.dedup_by_key(|s| (s.id, s.start, s.resource));
        let service = |s: &&Span| sorted.resources.first(s.resource);
        let services: Vec<&str> = spans.iter().map(service).collect();
        let parents: Vec<Option<usize>> = spans
            .iter()
            .map(|span| match span.parent {
                0 => None,
                parent => spans.binary_search_by_key(&parent, |s| s.id).ok(),
            })
            .collect();
        let is_entry = |index: usize| {
            [SERVER, CONSUMER].contains(&spans[index].kind)
                || parents[index].is_none_or(|parent| services[parent] != services[index])
        };
        const UNKNOWN: usize = usize::MAX;
        const ON_THE_WAY: usize = usize::MAX - 1;
        let mut entries = vec![UNKNOWN; spans.len()];
        let mut way = Vec::new();
        for start in 0..spans.len() {
            let mut at = start;
            while entries[at] == UNKNOWN && !is_entry(at) {
                entries[at] = ON_THE_WAY;
                way.push(at);
                at = parents[at].unwrap_or(at);
            }
            // A circle of parents ends where it closes.
            let entry = if entries[at] < ON_THE_WAY {
                entries[at]
            } else {
                at
            };
            entries[at] = entry;
            for passed in way.drain(..) {
                entries[passed] = entry;
            }
        }
        let mut calls: Vec<(usize, usize)> = (0..spans.len())
            .filter_map(|index| {
                let parent = parents[index]?;
                let entry = entries[parent];
                let between = services[parent] != services[index];
                (parent != entry && between).then_some((entry, parent))
            })
            .collect();
        calls.sort_unstable_by_key(|&(entry, call)| (entry, spans[call].start, call));
        calls.dedup();
        let mut below = vec![0; spans.len()];
        for (index, &entry) in entries.iter().enumerate() {
            below[entry] += u32::from(index != entry);
        }
        Self {
            spans,
            parents,
            entries,
            below,
            services,
            calls,
        }
    }

    fn entries(&self) -> impl Iterator<Item = usize> {
        (0..self.spans.len()).filter(|&index| self.entries[index] == index)
    }

    /// Calls that a span of another service answers, each with one such span.
    fn answered(&self) -> impl Iterator<Item = (&Span, &Span)> {
        (0..self.spans.len()).filter_map(|index| {
            let parent = self.parents[index]?;
            let (call, answer) = (self.spans[parent], self.spans[index]);
            let is_call = call.kind == CLIENT && answer.kind == SERVER;
            let known = |s: &Span| s.start != 0 && s.end >= s.start;
            let between = self.services[parent] != self.services[index];
            (is_call && between && known(call) && known(answer)).then_some((call, answer))
        })
    }

    /// The calls below an entry that a span of another service answers.
    fn calls_of(&self, entry: usize) -> Vec<&Span> {
        let first = self.calls.partition_point(|(of, _)| *of < entry);
        let of = self.calls[first..]
            .iter()
            .take_while(|(of, _)| *of == entry);
        of.map(|(_, call)| self.spans[*call]).collect()
    }
}

/// How much of a span is covered by calls, which are in the order of their starts, in nanoseconds.
fn covered(span: &Span, calls: &[&Span]) -> i64 {
    let mut covered = 0;
    let mut until = span.start;
    for call in calls {
        let from = call.start.max(until);
        let to = call.end.min(span.end);
        covered += (to - from).max(0);
        until = until.max(to);
    }
    covered
}

/// The duration of the caller's span minus that of the server's.
fn gap(tree: &Tree<'_>, entry: usize, group: &Group<'_>) -> Option<i64> {
    let span = tree.spans[entry];
    if span.kind != SERVER {
        return None;
    }
    let duration_ns = span.end - span.start;
    match tree.parents[entry] {
        Some(parent) => {
            let caller = tree.spans[parent];
            let is_call = caller.kind == CLIENT && tree.services[parent] != tree.services[entry];
            (is_call && caller.end >= caller.start).then(|| caller.end - caller.start - duration_ns)
        }
        // The generator's own span need not have been exported.
        None => {
            let request = group.request.filter(|r| r.span == span.parent)?;
            Some(request.finished - request.sent - duration_ns)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: i64) -> Span {
        Span {
            start,
            end,
            ..Span::default()
        }
    }

    #[test]
    fn calls_at_the_same_time_cover_it_once() {
        let calls = [span(10, 40), span(20, 30), span(35, 60), span(90, 200)];
        let calls: Vec<&Span> = calls.iter().collect();
        assert_eq!(covered(&span(0, 100), &calls), 50 + 10);
        assert_eq!(covered(&span(0, 100), &[]), 0);
    }
}

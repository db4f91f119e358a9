//! What the tables take from a partition of traces.

use std::io;
use std::ops::Range;

use arrow_array::Array;
use loadgen_timeline::condition::Placed;
use loadgen_timeline::phase::Phase;

use super::Observed;
use super::events::{Event, Events, kind_column, severity_column};
use super::graph::TraceCalls;
use super::rules::FeatureRules;
use super::shape::{Node, Shape};
use super::trace_rows::TraceRows;
use crate::label::trace::{CONSUMER, ERROR, SERVER};
use crate::rules::RowRules;
use crate::scan::batch::{number, text, value_or_zero};
use crate::scan::records::{LogBatch, SpanBatch};
use crate::write::partition::{OfTrace, TracePartition};

/// What a partition of traces has to say, of which `said` says what it is, trace by trace. What is
/// not the run's has rows of its own at the most.
pub(crate) fn observe_traces(
    features: &FeatureRules,
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &[OfTrace<'_>],
) -> io::Result<Observed> {
    let mut observed = Observed::default();
    let mut events = Events::new(&features.grid, features.slices);
    let mut rows = TraceRows::new(features, rules, of, said);
    let marks = &of.span_marks;
    let trace = |at: usize| marks.trace.value(at) as usize;
    let mut from = 0;
    while from < marks.row.len() {
        let mut rest = from..marks.row.len();
        let to = rest.find(|&at| trace(at) != trace(from));
        let to = to.unwrap_or(marks.row.len());
        let trace = trace(from);
        // What is somebody else's has a row at the most.
        if said[trace].foreign.is_some() && !rules.keeps(&said[trace].said) {
            from = to;
            continue;
        }
        let spans = once(&of.spans, from..to, |at| marks.row.value(at) as usize);
        if said[trace].foreign.is_none() {
            for &at in &spans {
                let row = marks.row.value(at) as usize;
                observe_span(&mut observed, &mut events, features, &of.spans, row);
            }
        }
        let counting: Vec<usize> = (from..to)
            .filter(|&at| of.shapes.counts.value(at))
            .collect();
        let shape = shape(of, &counting);
        let row = |at: &usize| marks.row.value(*at) as usize;
        let in_time: Vec<usize> = counting.iter().map(row).collect();
        observe_calls(&mut observed, rules, of, &said[trace], (&in_time, &shape));
        rows.push(trace, (&in_time, &shape))?;
        from = to;
    }
    for at in 0..of.log_marks.row.len() {
        let row = of.log_marks.row.value(at) as usize;
        let is_own = match of.log_marks.trace.is_null(at) {
            true => rules
                .truth
                .foreign_at(number(&of.logs.time_ns, row))
                .is_none(),
            false => said[of.log_marks.trace.value(at) as usize]
                .foreign
                .is_none(),
        };
        if is_own {
            observe_log(&mut observed, &mut events, &of.logs, row);
        }
    }
    observed.events = events.finish()?;
    observed.traces = rows.finish()?;
    Ok(observed)
}

/// Places of a trace's spans without copies of one span; `row` gives a place's row.
fn once(spans: &SpanBatch, places: Range<usize>, row: impl Fn(usize) -> usize) -> Vec<usize> {
    let identity = |at: &usize| {
        let row = row(*at);
        (
            spans.span_id.value(row),
            number(&spans.start_ns, row),
            spans.service_name.value(row),
            spans.instance(row),
        )
    };
    let mut once: Vec<usize> = places.collect();
    once.sort_by(|a, b| identity(a).cmp(&identity(b)));
    // The first of several, since the sort is stable.
    once.dedup_by(|b, a| identity(a) == identity(b));
    once.sort_unstable();
    once
}

/// The trees of the spans at these places, with the parents that labelling found.
fn shape(of: &TracePartition, places: &[usize]) -> Shape {
    let (spans, parents) = (&of.spans, &of.shapes.parent);
    let mut services: Vec<&str> = Vec::new();
    let mut service = |name| {
        let known = services.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            services.push(name);
            services.len() - 1
        }) as u32
    };
    let node = |&at: &usize| {
        let row = of.span_marks.row.value(at) as usize;
        let parent = (!parents.is_null(at)).then(|| parents.value(at) as usize);
        Node {
            id: spans.span_id.value(row),
            parent: parent.and_then(|parent| places.binary_search(&parent).ok()),
            start: value_or_zero(&spans.start_ns, row),
            end: value_or_zero(&spans.end_ns, row),
            service: service(spans.service_name.value(row)),
        }
    };
    Shape::new(places.iter().map(node).collect())
}

fn observe_span(
    observed: &mut Observed,
    events: &mut Events<'_>,
    rules: &FeatureRules,
    spans: &SpanBatch,
    row: usize,
) {
    let service = spans.service_name.value(row);
    let Some(start) = number(&spans.start_ns, row) else {
        return;
    };
    let end = number(&spans.end_ns, row).filter(|end| *end >= start);
    let kind = spans.kind.value(row);
    let of_span = Event::Span {
        kind: kind_column(kind),
        error: spans.status.value(row) == ERROR,
    };
    events.push(start, service, of_span, end.map(|end| end - start));
    let open = observed.service(service);
    if let Some(end) = end.filter(|_| [SERVER, CONSUMER].contains(&kind)) {
        open.in_flight.add(&rules.grid, start, end);
    }
}

/// Takes the calls of a trace into account, if it is the run's and of steady time.
fn observe_calls(
    observed: &mut Observed,
    rules: &RowRules<'_>,
    of: &TracePartition,
    said: &OfTrace<'_>,
    (rows, shape): (&[usize], &Shape),
) {
    if said.foreign.is_some() {
        return;
    }
    let graph = &mut observed.graph;
    graph.services(rows.iter().map(|row| of.spans.service_name.value(*row)));
    let moment = said.moment_ns.filter(|_| said.said.phase == Phase::Steady);
    if let Some(Placed::Within { stretch, .. }) = moment.map(|at| rules.truth.conditions.at(at)) {
        let windows = &rules.truth.conditions.stretches()[stretch].windows;
        let calls = TraceCalls {
            spans: &of.spans,
            rows,
            shape,
        };
        graph.trace(windows, &calls);
    }
}

fn observe_log(observed: &mut Observed, events: &mut Events<'_>, logs: &LogBatch, row: usize) {
    let Some(time) = number(&logs.time_ns, row) else {
        return;
    };
    let service = logs.service_name.value(row);
    let number = logs.severity_number.value(row);
    let severity = severity_column(number, logs.severity_text.value(row));
    events.push(time, service, Event::Log(severity), None);
    let body = text(&logs.body, row).unwrap_or_default();
    observed.service(service).templates.add(body, time);
}

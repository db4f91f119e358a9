//! What the tables over time take from a partition of traces: which spans and log records count, and
//! in which second.

use std::io;

use arrow_array::Array;

use super::events::{Event, Events, kind_column, severity_column};
use super::{FeatureRules, Observed};
use crate::label::groups::{number, text};
use crate::label::records::{LogMarkBatch, SpanMarkBatch};
use crate::label::trace::{CONSUMER, ERROR, SERVER};
use crate::scan::records::{LogBatch, SpanBatch};

/// A partition of traces as it is written.
pub(crate) struct Traces<'p> {
    pub(crate) spans: &'p SpanBatch,
    pub(crate) logs: &'p LogBatch,
    pub(crate) span_marks: &'p SpanMarkBatch,
    pub(crate) log_marks: &'p LogMarkBatch,
}

/// What a partition of traces has to say. `is_own` says of a trace, by its row, and of a log record
/// without one, by its time in Unix nanoseconds, whether it is the run's.
pub(crate) fn observe_traces(
    rules: &FeatureRules,
    of: &Traces<'_>,
    is_own_trace: impl Fn(usize) -> bool,
    is_own_time: impl Fn(Option<i64>) -> bool,
) -> io::Result<Observed> {
    let mut observed = Observed::default();
    let mut events = Events::new(&rules.grid, rules.slices);
    let marks = of.span_marks;
    let trace = |at: usize| marks.trace.value(at);
    let mut from = 0;
    while from < marks.row.len() {
        let rest = from..marks.row.len();
        let to = rest.clone().find(|&at| trace(at) != trace(from));
        let to = to.unwrap_or(rest.end);
        if is_own_trace(trace(from) as usize) {
            let rows: Vec<usize> = (from..to).map(|at| marks.row.value(at) as usize).collect();
            for row in once(of.spans, &rows) {
                observe_span(&mut observed, &mut events, rules, of.spans, row);
            }
        }
        from = to;
    }
    for at in 0..of.log_marks.row.len() {
        let row = of.log_marks.row.value(at) as usize;
        let time = number(&of.logs.time_ns, row);
        let is_own = match of.log_marks.trace.is_null(at) {
            true => is_own_time(time),
            false => is_own_trace(of.log_marks.trace.value(at) as usize),
        };
        if is_own {
            observe_log(&mut observed, &mut events, of.logs, row);
        }
    }
    observed.events = events.finish()?;
    Ok(observed)
}

/// The rows of a trace's spans without copies of one span. They are in the order of their starts.
pub(crate) fn once(spans: &SpanBatch, rows: &[usize]) -> Vec<usize> {
    let start = |row: usize| number(&spans.start_ns, row);
    let same = |a: usize, b: usize| {
        spans.span_id.value(a) == spans.span_id.value(b)
            && spans.service_name.value(a) == spans.service_name.value(b)
            && text(&spans.instance, a) == text(&spans.instance, b)
    };
    let mut kept: Vec<usize> = Vec::with_capacity(rows.len());
    for &row in rows {
        let at_once = kept.iter().rev().take_while(|&&k| start(k) == start(row));
        if !at_once.into_iter().any(|&k| same(k, row)) {
            kept.push(row);
        }
    }
    kept
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

//! The traces of a partition, each with all that was read of it.

use std::cmp::Ordering;

use super::names::Numbered;
use super::trace::{Request, Span};
use crate::scan::OfTraces;
use crate::scan::batch::{text, value_or_zero};
use crate::scan::records::{LogBatch, RequestBatch, SpanBatch};
use crate::scan::spool::hash;

/// Columns of spans that labelling looks at. The others are null.
pub(crate) const SPAN_COLUMNS: [&str; 20] = [
    "trace_high",
    "trace_low",
    "alone",
    "span_id",
    "parent_span_id",
    "start_ns",
    "end_ns",
    "name",
    "kind",
    "status",
    "linked",
    "service_name",
    "service_instance_id",
    "pod_or_host",
    "http_status_code",
    "header_type",
    "header_root_cause",
    "header_msg",
    "header_default",
    "run_id",
];

/// The same of log records.
pub(crate) const LOG_COLUMNS: [&str; 6] = [
    "trace_high",
    "trace_low",
    "span_id",
    "time_ns",
    "service_name",
    "body",
];

/// A partition, as it was scanned.
pub(crate) struct Partition {
    pub(crate) spans: SpanBatch,
    pub(crate) logs: LogBatch,
    pub(crate) requests: RequestBatch,
}

/// What belongs to one trace. There may be no span: of a request whose trace never arrived, or of a
/// log record whose spans were left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'g> {
    pub(crate) trace: [u64; 2],
    pub(crate) spans: &'g [Span],
    /// Rows of log records.
    pub(crate) logs: &'g [u32],
    pub(crate) request: Option<&'g Request>,
    /// It is in the ledger of another run.
    pub(crate) of_other_run: bool,
}

/// All of a partition in the order of the hashes of traces; within a trace spans are in the order of
/// their starts.
pub(crate) struct Sorted<'a> {
    pub(crate) resources: Numbered<'a>,
    pub(crate) names: Numbered<'a>,
    spans: Vec<(Key, Span)>,
    logs: Vec<(Key, u32)>,
    requests: Vec<(Key, Request)>,
    /// Traces of other runs.
    others: Vec<Key>,
    /// Rows of log records without a trace, in the order of their times.
    pub(crate) loose_logs: Vec<u32>,
}

/// The order of traces.
type Key = (u64, [u64; 2]);

fn key(trace: [u64; 2]) -> Key {
    (hash(trace), trace)
}

impl<'a> Sorted<'a> {
    /// Puts a partition in order, once.
    pub(crate) fn new(partition: &'a Partition) -> Self {
        let mut resources = Numbered::default();
        let mut names = Numbered::default();
        let (requests, others) = requests_of(partition);
        let (logs, loose_logs) = logs_of(&partition.logs);
        Self {
            spans: spans_of(partition, &mut resources, &mut names),
            resources,
            names,
            logs,
            requests,
            others,
            loose_logs,
        }
    }

    /// All spans, in the order of their traces.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().map(|(_, span)| span)
    }

    /// Calls `each` with every trace.
    pub(crate) fn for_each(&self, mut each: impl FnMut(Group<'_>)) {
        let (mut spans, mut logs, mut requests) =
            (&self.spans[..], &self.logs[..], &self.requests[..]);
        let mut others = &self.others[..];
        let mut of_spans = Vec::new();
        let mut of_logs = Vec::new();
        loop {
            let heads = [
                spans.first().map(|(key, _)| *key),
                logs.first().map(|(key, _)| *key),
                requests.first().map(|(key, _)| *key),
            ];
            let Some(next) = heads.into_iter().flatten().min() else {
                return;
            };
            of_spans.clear();
            of_spans.extend(take(&mut spans, next).iter().map(|(_, span)| *span));
            of_logs.clear();
            of_logs.extend(take(&mut logs, next).iter().map(|(_, row)| *row));
            let of_requests = take(&mut requests, next);
            // Those without a span or a log record are passed over.
            others = &others[others.partition_point(|key| *key < next)..];
            each(Group {
                trace: next.1,
                spans: &of_spans,
                logs: &of_logs,
                request: of_requests.first().map(|(_, request)| request),
                of_other_run: others.first() == Some(&next),
            });
        }
    }
}

/// Spans, in the order of their traces.
fn spans_of<'a>(
    partition: &'a Partition,
    resources: &mut Numbered<'a>,
    names: &mut Numbered<'a>,
) -> Vec<(Key, Span)> {
    let spans = &partition.spans;
    let mut of_spans: Vec<(Key, Span)> = (0..spans.span_id.len())
        .map(|row| {
            let instance = spans.instance(row).unwrap_or_default();
            let span = Span {
                id: spans.span_id.value(row),
                parent: spans.parent_span_id.value(row),
                // Null is written as 0.
                start: value_or_zero(&spans.start_ns, row),
                end: value_or_zero(&spans.end_ns, row),
                resource: resources.number((spans.service_name.value(row), instance)),
                name: names.number((spans.name.value(row), "")),
                kind: spans.kind.value(row),
                status: spans.status.value(row),
                linked: spans.linked.value(row),
                row: row as u32,
            };
            (key(spans.trace(row)), span)
        })
        .collect();
    of_spans.sort_unstable_by(|(a, x), (b, y)| {
        let order = |s: &Span| (s.start, s.id, s.kind, s.end);
        a.cmp(b)
            .then_with(|| order(x).cmp(&order(y)))
            // Spans of several services may share an id; names don't depend on the order of
            // the input, numbers do.
            .then_with(|| by_name(partition, x, y))
            .then(x.row.cmp(&y.row))
    });
    of_spans
}

/// Requests of this run, in the order of their traces, and the traces of other runs.
fn requests_of(partition: &Partition) -> (Vec<(Key, Request)>, Vec<Key>) {
    let requests = &partition.requests;
    let (others, own): (Vec<usize>, Vec<usize>) =
        (0..requests.span_id.len()).partition(|&row| requests.of_other_run.value(row));
    let mut others: Vec<Key> = others
        .into_iter()
        .map(|row| key(requests.trace(row)))
        .collect();
    others.sort_unstable();
    others.dedup();
    let mut of_requests: Vec<(Key, Request)> = own
        .into_iter()
        .map(|row| {
            let request = Request {
                span: requests.span_id.value(row),
                sent: requests.sent_ns.value(row),
                finished: requests.finished_ns.value(row),
                row: row as u32,
            };
            (key(requests.trace(row)), request)
        })
        .collect();
    of_requests.sort_unstable_by_key(|(key, r)| (*key, r.sent, r.span));
    (of_requests, others)
}

/// Rows of log records: those with a trace, in the order of traces, and the others.
fn logs_of(logs: &LogBatch) -> (Vec<(Key, u32)>, Vec<u32>) {
    let has_trace = |row: &u32| {
        let row = *row as usize;
        logs.trace_high.value(row) != 0 || logs.trace_low.value(row) != 0
    };
    let rows = 0..logs.span_id.len() as u32;
    let (mut traced, mut loose): (Vec<u32>, Vec<u32>) = rows.partition(has_trace);
    let log_order = |row: u32| {
        let row = row as usize;
        (
            value_or_zero(&logs.time_ns, row),
            logs.span_id.value(row),
            text(&logs.body, row),
            logs.service_name.value(row),
        )
    };
    traced.sort_unstable_by(|&a, &b| log_order(a).cmp(&log_order(b)).then(a.cmp(&b)));
    loose.sort_unstable_by(|&a, &b| log_order(a).cmp(&log_order(b)).then(a.cmp(&b)));
    let mut of_logs: Vec<(Key, u32)> = traced
        .into_iter()
        .map(|row| (key(logs.trace(row as usize)), row))
        .collect();
    of_logs.sort_by_key(|(key, _)| *key);
    (of_logs, loose)
}

/// Splits off what has the key, at the beginning.
fn take<'s, T>(records: &mut &'s [(Key, T)], next: Key) -> &'s [(Key, T)] {
    let end = records.iter().take_while(|(key, _)| *key == next).count();
    let (head, tail) = records.split_at(end);
    *records = tail;
    head
}

fn by_name(partition: &Partition, x: &Span, y: &Span) -> Ordering {
    let of = |span: &Span| {
        let row = span.row as usize;
        let spans = &partition.spans;
        (spans.service_name.value(row), spans.name.value(row))
    };
    of(x).cmp(&of(y))
}

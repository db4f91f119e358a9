//! The traces of a partition, each with all that was noted of it.

use std::io;

use crate::spool::hash;
use crate::spool::heads::{Heads, LogHead, RequestHead, SpanHead, Trace};

/// What belongs to one trace. There may be no span: of a request whose trace never arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'g> {
    pub(crate) spans: &'g [SpanHead],
    pub(crate) logs: &'g [LogHead],
    pub(crate) request: Option<&'g RequestHead>,
}

impl Group<'_> {
    /// The trace's id.
    pub(crate) fn trace(&self) -> Option<Trace> {
        let of_spans = self.spans.first().map(|s| s.trace);
        of_spans.or(self.request.map(|r| r.trace))
    }
}

/// Calls `each` with every trace of a partition, in the order of their hashes; spans of a trace are
/// in the order of the input.
pub(crate) fn for_each_trace(
    heads: &Heads,
    partition: usize,
    mut each: impl FnMut(Group<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut spans = heads.spans.read(partition)?;
    let mut logs = heads.logs.read(partition)?;
    let mut requests = heads.requests.read(partition)?;
    let order = |trace: Trace| (hash(trace), trace);
    // Stable sorts: within a trace the order is that of the input already.
    spans.sort_by_cached_key(|s| (order(s.trace), s.key));
    logs.sort_by_key(|l| (order(l.trace), l.key));
    requests.sort_by_key(|r| (order(r.trace), r.sent, r.span));
    let (mut spans, mut logs, mut requests) = (&spans[..], &logs[..], &requests[..]);
    loop {
        let next_span = spans.first().map(|s| order(s.trace));
        let next_request = requests.first().map(|r| order(r.trace));
        let Some(next) = next_span.into_iter().chain(next_request).min() else {
            return Ok(());
        };
        let of_spans = take(&mut spans, |s| order(s.trace) == next);
        let of_requests = take(&mut requests, |r| order(r.trace) == next);
        // Logs of traces that are not there are labelled by their time.
        take(&mut logs, |l| order(l.trace) < next);
        let of_logs = take(&mut logs, |l| order(l.trace) == next);
        each(Group {
            spans: of_spans,
            logs: of_logs,
            request: of_requests.first(),
        })?;
    }
}

/// Splits off the records at the beginning that a test holds for.
fn take<'g, R>(records: &mut &'g [R], test: impl Fn(&R) -> bool) -> &'g [R] {
    let (head, tail) = records.split_at(records.partition_point(test));
    *records = tail;
    head
}

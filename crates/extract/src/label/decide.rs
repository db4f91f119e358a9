//! By which moment a trace is labelled, and whose it is.

use super::groups::{Group, Partition, Sorted};
use super::trace::Span;
use super::truth::{Foreign, Sender, Truth};
use crate::dataset::said::LabelSource;
use crate::scan::batch::text;
use crate::scan::records::SpanBatch;
use crate::scan::spans::GENERATOR_SERVICE;

/// A trace with what is said of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decided<'a> {
    /// The moment by which it is labelled, Unix nanoseconds.
    pub(crate) moment_ns: Option<i64>,
    pub(crate) source: LabelSource,
    pub(crate) foreign: Option<Foreign>,
    /// The scenario that sent it.
    pub(crate) sent_by: Option<&'a str>,
    /// Whether its client is one that the fault is for; none: no fault is for some only.
    pub(crate) client_exposed: Option<bool>,
    /// What its header says.
    pub(crate) header: Option<usize>,
}

/// When the request of a trace was sent, and whose it is.
pub(super) fn decide<'p>(
    partition: &'p Partition,
    truth: &Truth,
    group: &Group<'_>,
    root: Option<&Span>,
    ahead_ns: &[i64],
) -> Decided<'p> {
    let (sender, header) = sender(&partition.spans, group);
    if let Some(request) = group.request {
        let row = request.row as usize;
        let sent_by = text(&partition.requests.scenario, row);
        let iteration = partition.requests.iteration.value(row);
        return Decided {
            moment_ns: Some(request.sent),
            source: LabelSource::Ledger,
            foreign: None,
            sent_by,
            client_exposed: sent_by.and_then(|scenario| {
                truth
                    .timeline
                    .client_exposed(scenario, iteration, request.sent)
            }),
            header,
        };
    }
    let root = root.filter(|root| root.start != 0);
    // Spans are in the order of their starts.
    let first = root.or_else(|| group.spans.iter().find(|span| span.start != 0));
    let moment_ns = first.map(|span| {
        let ahead = ahead_ns.get(span.resource as usize).copied().unwrap_or(0);
        (span.start - ahead).max(1)
    });
    Decided {
        moment_ns,
        source: match (truth.has_timeline, moment_ns, header) {
            (true, Some(_), _) => LabelSource::Window,
            (false, _, Some(_)) => LabelSource::Header,
            _ => LabelSource::None,
        },
        foreign: match group.of_other_run {
            true => Some(Foreign::OtherRun),
            false => truth.foreign(&sender, moment_ns),
        },
        sent_by: None,
        client_exposed: None,
        header,
    }
}

/// What the spans of a trace say of who sent it, and the row of the span whose header names an
/// anomaly. Headers that name different ones name none.
fn sender<'p>(spans: &'p SpanBatch, group: &Group<'_>) -> (Sender<'p>, Option<usize>) {
    let mut sender = Sender::default();
    let mut header: Option<usize> = None;
    let mut contradict = false;
    for span in group.spans {
        let row = span.row as usize;
        sender.run_id = sender.run_id.or(text(&spans.run_id, row));
        let Some(said) = text(&spans.header_type, row) else {
            continue;
        };
        if !spans.header_default.value(row) {
            sender.header = sender.header.or(Some(said));
        }
        if ["none", "normal"].contains(&said) {
            continue;
        }
        match header {
            Some(held) => contradict |= text(&spans.header_type, held) != Some(said),
            None => header = Some(row),
        }
    }
    (sender, header.filter(|_| !contradict))
}

/// Whether a resource is the generator's own.
pub(super) fn is_generator(sorted: &Sorted<'_>, resource: u32) -> bool {
    sorted.resources.first(resource) == GENERATOR_SERVICE
}

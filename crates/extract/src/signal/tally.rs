//! Counts what the audit rests on while traces are judged.

use std::collections::HashMap;

use super::first::FirstPass;
use super::groups::Group;
use super::sample::SampledSpan;
use crate::figures::{Figures, LedgerFigures, ServiceFigures, WindowFigures};
use crate::join::label::{Decision, LabelSource, Labels};
use crate::join::phase::{Interval, Phase};
use crate::join::trace::TraceFacts;
use crate::spool::heads::{Key, RequestHead};

/// A trace that begins or ends so near to the first or the last span, in nanoseconds, may be cut
/// by the files' beginning or end.
const NEAR_THE_ENDS_NS: i64 = 5_000_000_000;

const KIND_SERVER: u8 = 2;

/// The counts on their way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) figures: Figures,
    pub(crate) recoveries: Vec<Interval>,
    /// Types of the sampled spans, as they become known.
    types: HashMap<Key, Option<String>>,
    services: Vec<ServiceFigures>,
}

impl Tally {
    pub(crate) fn new(labels: &Labels, sample: &[SampledSpan]) -> Self {
        let windows = labels.timeline.windows.iter();
        Self {
            figures: Figures {
                windows: windows
                    .map(|window| WindowFigures {
                        scenario: window.scenario.clone(),
                        anomaly_type: window.anomaly.kind.clone(),
                        ..WindowFigures::default()
                    })
                    .collect(),
                ..Figures::default()
            },
            types: sample.iter().map(|span| (span.key, None)).collect(),
            ..Self::default()
        }
    }

    /// Takes a request of the ledger into account. `window` says which window sent it,
    /// `is_generator` which resources are the generator's own.
    pub(crate) fn request(
        &mut self,
        group: &Group<'_>,
        window: impl Fn(&RequestHead) -> Option<usize>,
        is_generator: impl Fn(u32) -> bool,
    ) {
        let Some(request) = group.request.filter(|r| r.sent_out == 1) else {
            return;
        };
        self.figures
            .ledger
            .get_or_insert(LedgerFigures::default())
            .requests += 1;
        if let Some(of) = window(request).and_then(|index| self.figures.windows.get_mut(index)) {
            of.requests += 1;
            let arrived = group
                .spans
                .iter()
                .any(|s| s.span != request.span && !is_generator(s.resource));
            of.lost_traces += u64::from(!arrived);
        }
    }

    /// Takes a trace into account.
    pub(crate) fn trace(
        &mut self,
        first: &FirstPass,
        group: &Group<'_>,
        facts: &TraceFacts,
        labels: &Labels,
        (label, source): Decision,
        phase: Phase,
    ) {
        let figures = &mut self.figures;
        let spans = group.spans.len() as u64;
        let found = labels.get(label);
        figures.traces += 1;
        figures.duplicate_spans += u64::from(facts.duplicates);
        *figures
            .spans_by_source
            .entry(source.name().to_owned())
            .or_default() += spans;
        *figures
            .spans_by_type
            .entry(found.anomaly_type.to_string())
            .or_default() += spans;
        if let Some(phase) = phase.name() {
            *figures.spans_by_phase.entry(phase.to_owned()).or_default() += spans;
        }
        if let Some(window) = labels
            .window_of(label)
            .and_then(|w| figures.windows.get_mut(w))
        {
            window.spans += spans;
            window.traces += 1;
        }
        if let Some((begin, end)) = first.extent
            && !facts.orphans.is_empty()
        {
            let start = facts.root.start;
            let near = start - begin < NEAR_THE_ENDS_NS
                || end - (start + facts.duration) < NEAR_THE_ENDS_NS;
            figures.traces_cut += u64::from(near);
        }
        self.services.resize(
            first.registry.resources.things.len(),
            ServiceFigures::default(),
        );
        let rests_on_truth = matches!(source, LabelSource::Ledger | LabelSource::Window);
        for span in group.spans {
            let Some(service) = self.services.get_mut(span.resource as usize) else {
                continue;
            };
            service.spans += 1;
            service.server_spans += u64::from(span.kind == KIND_SERVER);
            service.roots += u64::from(span.parent == 0);
            let evidence = span
                .evidence
                .checked_sub(1)
                .and_then(|e| first.registry.evidence.get(e));
            match evidence {
                Some(evidence) if evidence.is_default => service.default_spans += 1,
                Some(evidence) => {
                    service.header_spans += 1;
                    let agrees = *evidence.anomaly_type == *found.anomaly_type;
                    service.agreeing += u64::from(rests_on_truth && agrees);
                    service.contradicting += u64::from(rests_on_truth && !agrees);
                }
                None => {}
            }
        }
        for &orphan in &facts.orphans {
            if let Some(service) = self.services.get_mut(group.spans[orphan].resource as usize) {
                service.orphans += 1;
            }
        }
        if facts.spans == 1
            && let Some(service) = self.services.get_mut(facts.root.resource as usize)
        {
            service.single_span_traces += 1;
        }
    }

    /// Notes the type of a span if it is in the sample.
    pub(crate) fn sampled(&mut self, key: Key, anomaly_type: &str) {
        if let Some(slot) = self.types.get_mut(&key) {
            *slot = Some(anomaly_type.to_owned());
        }
    }

    /// The type of a sampled span.
    pub(crate) fn type_of(&self, key: Key) -> Option<&str> {
        self.types.get(&key)?.as_deref()
    }

    /// Adds up what was counted by resource to services.
    pub(crate) fn finish(&mut self, first: &FirstPass) {
        for (resource, of) in self.services.iter().enumerate() {
            let name = first.registry.service(resource as u32).to_owned();
            let sum = self.figures.services.entry(name).or_default();
            sum.spans += of.spans;
            sum.server_spans += of.server_spans;
            sum.header_spans += of.header_spans;
            sum.default_spans += of.default_spans;
            sum.agreeing += of.agreeing;
            sum.contradicting += of.contradicting;
            sum.roots += of.roots;
            sum.orphans += of.orphans;
            sum.single_span_traces += of.single_span_traces;
        }
    }
}

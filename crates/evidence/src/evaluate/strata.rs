//! Values of both sides, out of the sample: spans by operation, calls by edge, traces by what they
//! began with.

use std::collections::BTreeMap;

use super::blocks::{At, Blocks};
use super::compare::Stratum;
use crate::comparison::{Measure, Subject};
use crate::sample::{
    CallObservation, Edge, Kept, Observed, Operation, Sample, SpanKind, SpanObservation, TraceMet,
    name_hash, within,
};
use crate::statistics::delta::Values;
use crate::thresholds::Thresholds;
use crate::time::Interval;

/// What is compared with what.
#[derive(Debug, Clone)]
pub(crate) struct Sides<'a> {
    pub(crate) sample: &'a Sample,
    /// Steady time of the window.
    pub(crate) window: Vec<Interval>,
    /// Steady normal time.
    pub(crate) reference: Vec<Interval>,
    pub(crate) blocks: Blocks,
}

impl<'a> Sides<'a> {
    pub(crate) fn new(
        sample: &'a Sample,
        window: Vec<Interval>,
        reference: Vec<Interval>,
        limits: &Thresholds,
    ) -> Self {
        Self {
            sample,
            blocks: Blocks::new(&window, &reference, limits),
            window,
            reference,
        }
    }

    /// Both have as many blocks as are needed.
    pub(crate) fn are_long_enough(&self, limits: &Thresholds) -> bool {
        let sides = [At::Window, At::Reference];
        sides
            .iter()
            .all(|side| self.blocks.count(*side) >= limits.least_blocks)
    }

    pub(crate) fn intervals(&self, side: At) -> &[Interval] {
        match side {
            At::Window => &self.window,
            At::Reference => &self.reference,
        }
    }

    /// Operations of a service whose spans are its work: of kind server or consumer, or if it has
    /// none of these, all of its entries.
    pub(crate) fn operations(
        &self,
        service: &str,
    ) -> Vec<(&'a Operation, &'a BTreeMap<usize, Kept<SpanObservation>>)> {
        let all: Vec<_> = self
            .sample
            .services
            .get(service)
            .map_or_else(Vec::new, |service| service.operations.iter().collect());
        let works =
            |operation: &Operation| matches!(operation.kind, SpanKind::Server | SpanKind::Consumer);
        match all.iter().any(|(operation, _)| works(operation)) {
            true => all
                .into_iter()
                .filter(|(operation, _)| works(operation))
                .collect(),
            false => all,
        }
    }

    /// A stratum of each operation of these services.
    pub(crate) fn spans(&self, services: &[&str], measure: Measure) -> Vec<Stratum> {
        let operations = services.iter().flat_map(|service| {
            self.operations(service)
                .into_iter()
                .map(|(operation, kept)| {
                    let subject = Subject::Operation {
                        service: (*service).to_owned(),
                        operation: operation.clone(),
                    };
                    (subject, kept)
                })
        });
        operations
            .map(|(subject, kept)| self.stratum(subject, kept, |span| of_span(measure, span)))
            .collect()
    }

    /// The calls along an edge, as one stratum.
    pub(crate) fn calls(&self, edge: &Edge, measure: Measure) -> Option<Stratum> {
        let kept = self.sample.edges.get(edge)?;
        Some(self.stratum(Subject::AllOperations, kept, |call| of_call(measure, call)))
    }

    /// A stratum of each kind of request that met the service on either side: 1 for a trace without
    /// it, 0 for one with it.
    pub(crate) fn not_reached(&self, service: &str) -> Vec<Stratum> {
        let hash = name_hash(&[service]);
        let missing = |met: &TraceMet| {
            Some(f64::from(u8::from(
                met.services.binary_search(&hash).is_err(),
            )))
        };
        let strata = self.sample.entries.iter().map(|(entry, kept)| {
            let subject = Subject::Entry {
                service: service.to_owned(),
                entry: entry.clone(),
            };
            self.stratum(subject, kept, missing)
        });
        let is_met = |stratum: &Stratum| {
            [&stratum.window, &stratum.reference]
                .iter()
                .any(|side| side.sorted().first() == Some(&0.0))
        };
        strata.filter(is_met).collect()
    }

    fn stratum<T: Observed>(
        &self,
        subject: Subject,
        kept: &BTreeMap<usize, Kept<T>>,
        value: impl Fn(&T) -> Option<f64>,
    ) -> Stratum {
        let values = |side: At| {
            let items = within(kept, self.intervals(side)).into_iter();
            let pairs = items.filter_map(|item| {
                let block = self.blocks.block(side, item.moment_ns())?;
                Some((value(item)?, block))
            });
            Values::new(pairs.collect())
        };
        Stratum {
            subject,
            window: values(At::Window),
            reference: values(At::Reference),
        }
    }
}

/// What a measure is of a span; none: it is not of single spans, or this one has none.
pub(crate) fn of_span(measure: Measure, span: &SpanObservation) -> Option<f64> {
    match measure {
        Measure::DurationMs => ms(span.duration_ns),
        Measure::OwnDurationMs => ms(span.own_ns),
        Measure::GapMs => ms(span.gap_ns?),
        Measure::ErrorShare => flag(span.error),
        Measure::OwnErrorShare => flag(span.error && !span.error_below),
        Measure::SpansBelow | Measure::FewerSpansShare => Some(f64::from(span.spans_below)),
        _ => None,
    }
}

/// What a measure is of a call; none: it is not of calls.
pub(crate) fn of_call(measure: Measure, call: &CallObservation) -> Option<f64> {
    match measure {
        Measure::CallDurationMs => ms(call.duration_ns),
        Measure::GapMs => ms(call.gap_ns),
        Measure::ErrorShare => flag(call.error),
        _ => None,
    }
}

fn flag(flag: bool) -> Option<f64> {
    Some(f64::from(u8::from(flag)))
}

/// A duration in ms; none: it is negative, because a clock went back.
fn ms(ns: i64) -> Option<f64> {
    (ns >= 0).then_some(ns as f64 / 1e6)
}

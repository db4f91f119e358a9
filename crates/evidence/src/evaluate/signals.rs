//! The signals of services, and the test of each: what is compared for it, its p, and which
//! comparison it stands for.

use super::compare::{Candidates, Group, Stratum};
use super::least::Least;
use super::strata::Sides;
use crate::comparison::{Measure, ServiceSignal, SignalComparison, SignalEvidence, Subject};
use crate::sample::Edge;
use crate::statistics::arrangements::Arrangements;
use crate::statistics::scores::Scores;
use crate::thresholds::Thresholds;

/// The declared family, in the order in which it is shown.
pub(crate) const FAMILY: [ServiceSignal; 6] = [
    ServiceSignal::Duration,
    ServiceSignal::Errors,
    ServiceSignal::Gap,
    ServiceSignal::Cpu,
    ServiceSignal::Saturation,
    ServiceSignal::Spans,
];

/// What a signal is tested with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test<'a> {
    pub(crate) sides: &'a Sides<'a>,
    pub(crate) least: &'a Least,
    pub(crate) limits: &'a Thresholds,
    pub(crate) arrangements: &'a Arrangements,
}

impl Test<'_> {
    /// A signal of these services together.
    pub(crate) fn signal(&self, signal: ServiceSignal, services: &[&str]) -> SignalEvidence {
        let candidates = match signal {
            ServiceSignal::Duration => self.of_spans(services, Measure::DurationMs),
            ServiceSignal::Errors => self.of_spans(services, Measure::ErrorShare),
            ServiceSignal::Gap => self.of_spans(services, Measure::GapMs),
            ServiceSignal::Cpu => self.of_metrics(services, |service| {
                self.sides.cpu(service, self.least, self.limits)
            }),
            ServiceSignal::Saturation => self.of_metrics(services, |service| {
                self.sides.saturation(service, self.least)
            }),
            ServiceSignal::Spans => {
                let mut candidates = self.missing_or_new(services);
                candidates.extend(self.unreached(services));
                enough(candidates, "spans of one operation")
            }
        };
        self.test(signal, candidates)
    }

    /// A signal of what a service does by itself, for the ranking: without the time in which it
    /// waits for others, without errors that come from them, and without requests that don't reach
    /// it because another one gave up before.
    pub(crate) fn own_signal(&self, signal: ServiceSignal, service: &str) -> SignalEvidence {
        let candidates = match signal {
            ServiceSignal::Duration => self.of_spans(&[service], Measure::OwnDurationMs),
            ServiceSignal::Errors => self.of_spans(&[service], Measure::OwnErrorShare),
            ServiceSignal::Spans => {
                enough(self.missing_or_new(&[service]), "spans of one operation")
            }
            _ => return self.signal(signal, &[service]),
        };
        self.test(signal, candidates)
    }

    /// Requests that don't reach a service any more, by itself.
    pub(crate) fn reach(&self, service: &str) -> SignalEvidence {
        self.test(
            ServiceSignal::Spans,
            enough(self.unreached(&[service]), "requests of one kind"),
        )
    }

    /// What an edge shows: the time between the two, the caller's errors, how long calls take.
    pub(crate) fn edge_signals(&self, edge: &Edge) -> Vec<SignalEvidence> {
        let measures = [
            (ServiceSignal::Duration, Measure::CallDurationMs),
            (ServiceSignal::Errors, Measure::ErrorShare),
            (ServiceSignal::Gap, Measure::GapMs),
        ];
        let signals = measures.into_iter().map(|(signal, measure)| {
            let stratum = self.sides.calls(edge, measure);
            let group = Group {
                measure,
                strata: stratum.into_iter().collect(),
                together: None,
            };
            let candidates = group.candidates(self.least);
            self.test(signal, enough(candidates, "calls"))
        });
        signals.collect()
    }

    fn of_spans(&self, services: &[&str], measure: Measure) -> Result<Candidates, String> {
        let strata = self.sides.spans(services, measure);
        let candidates = self.of_strata(measure, strata, Subject::AllOperations);
        let what = match measure {
            Measure::GapMs => "calls from other services that have a client span",
            _ => "spans of one operation",
        };
        enough(candidates, what)
    }

    fn of_strata(&self, measure: Measure, strata: Vec<Stratum>, together: Subject) -> Candidates {
        let group = Group {
            measure,
            strata,
            together: Some(together),
        };
        group.candidates(self.least)
    }

    /// Spans below each operation: more of them, or fewer than ever.
    fn missing_or_new(&self, services: &[&str]) -> Candidates {
        let strata = self.sides.spans(services, Measure::SpansBelow);
        let fewer = Group {
            measure: Measure::FewerSpansShare,
            strata: strata.clone(),
            together: None,
        };
        let mut candidates = self.of_strata(Measure::SpansBelow, strata, Subject::AllOperations);
        candidates.extend(fewer.candidates(self.least));
        candidates
    }

    /// Requests that used to reach a service and don't any more.
    fn unreached(&self, services: &[&str]) -> Candidates {
        let reached = services
            .iter()
            .flat_map(|service| self.sides.not_reached(service));
        self.of_strata(
            Measure::NotReachedShare,
            reached.collect(),
            Subject::AllEntries,
        )
    }

    /// Candidates of each service that has the metric; the reason of the first that does not where
    /// none has.
    fn of_metrics(
        &self,
        services: &[&str],
        of: impl Fn(&str) -> Result<Candidates, String>,
    ) -> Result<Candidates, String> {
        let mut candidates = Candidates::default();
        let mut problem = None;
        for service in services {
            match of(service) {
                Ok(found) => candidates.extend(found),
                Err(reason) => problem = problem.or(Some(reason)),
            }
        }
        match problem {
            Some(problem) if candidates.list.is_empty() => Err(problem),
            _ => Ok(candidates),
        }
    }

    fn test(
        &self,
        signal: ServiceSignal,
        candidates: Result<Candidates, String>,
    ) -> SignalEvidence {
        let candidates = match candidates {
            Ok(candidates) => candidates,
            Err(reason) => {
                return SignalEvidence {
                    signal,
                    not_tested: Some(reason),
                    comparisons: Vec::new(),
                    deciding: None,
                    p: None,
                    p_family: None,
                };
            }
        };
        let Candidates { strata, list } = candidates;
        let rows: Vec<Vec<usize>> = list.iter().map(|one| one.of.clone()).collect();
        let also: Vec<Scores> = list.iter().filter_map(|one| one.also.clone()).collect();
        let rows_also: Vec<Vec<usize>> = (0..also.len()).map(|index| vec![index]).collect();
        let p = self.arrangements.p(&strata, &rows);
        let mut p_also = self.arrangements.p(&also, &rows_also).into_iter();
        let comparisons: Vec<SignalComparison> = list
            .into_iter()
            .zip(p)
            .map(|(candidate, p)| {
                let also = candidate.also.and_then(|_| p_also.next());
                SignalComparison {
                    p_alone: also.map_or(p.alone, |also| also.alone.max(p.alone)),
                    p: also.map_or(p.adjusted, |also| also.adjusted.max(p.adjusted)),
                    ..candidate.comparison
                }
            })
            .collect();
        let deciding = deciding(&comparisons);
        // What is the same everywhere can't differ by chance either: it is no question that would
        // have to be paid for (Tarone 1990).
        let varies = strata.iter().chain(&also).any(Scores::vary);
        SignalEvidence {
            signal,
            not_tested: (!varies).then(|| "it has the same value all the time".to_owned()),
            deciding,
            p: deciding
                .filter(|_| varies)
                .map(|index| comparisons[index].p),
            p_family: None,
            comparisons,
        }
    }
}

/// The comparison that a signal stands for: of those with the largest kind of effect the one with
/// the smallest p, and of equal ones the one that is surely the largest: by the lower end of its
/// interval.
fn deciding(comparisons: &[SignalComparison]) -> Option<usize> {
    let better = |a: &SignalComparison, b: &SignalComparison| {
        a.size
            .cmp(&b.size)
            .then(b.p.total_cmp(&a.p))
            .then(a.effect.low.total_cmp(&b.effect.low))
            .then(a.effect.value.total_cmp(&b.effect.value))
    };
    (0..comparisons.len()).max_by(|a, b| better(&comparisons[*a], &comparisons[*b]))
}

fn enough(candidates: Candidates, what: &str) -> Result<Candidates, String> {
    match candidates.list.is_empty() {
        true => Err(format!("there are too few {what} on one side or the other")),
        false => Ok(candidates),
    }
}

//! Scores services and edges by how strongly they show by themselves, and says which services were
//! affected at all.

use super::Case;
use super::least::Least;
use super::onset::{Onset, onset};
use super::signals::{FAMILY, Test};
use super::strata::Sides;
use crate::comparison::{EffectSize, Measure, ServiceSignal, SignalComparison, SignalEvidence};
use crate::evidence::{RankedEdge, RankedService, RootCauseRank, Strength};
use crate::statistics::arrangements::Arrangements;
use crate::statistics::multiplicity::benjamini_hochberg;
use crate::thresholds::Thresholds;
use crate::time::Interval;

/// All services and edges, the strongest first.
pub(super) struct Ranking {
    pub(super) services: Vec<RankedService>,
    pub(super) edges: Vec<RankedEdge>,
    affected_q: f64,
}

/// What a service or an edge shows.
struct Shown {
    strength: Option<Strength>,
    onset: Option<Onset>,
}

/// The ranking of all services and edges. `shows_in`: the time in which an onset is looked for.
pub(super) fn rank(
    case: &Case<'_>,
    sides: &Sides<'_>,
    least: &Least,
    arrangements: &Arrangements,
    shows_in: Option<Interval>,
) -> Ranking {
    let limits = case.limits;
    let test = case.test(sides, least, arrangements);
    let names: Vec<&str> = case.sample.services().collect();
    let (mut all, mut own) = (Vec::new(), Vec::new());
    for name in &names {
        let signals = FAMILY.map(|signal| test.own_signal(signal, name));
        // What it shows with the part that others have in it.
        let shared = signals.iter().map(|own| match own.signal {
            ServiceSignal::Duration | ServiceSignal::Errors => test.signal(own.signal, &[name]),
            _ => own.clone(),
        });
        all.push(shared.collect());
        own.push(signals.into_iter().chain([test.reach(name)]).collect());
    }
    let affected = affected(&all, limits);
    let begins = |_: usize, signal: &SignalEvidence| {
        let interval = shows_in?;
        let shows = showing(signal, limits);
        onset(&sides.spoken(&shows, interval), interval.from_ns)
    };
    let shifts = strengths(all, limits, begins).into_iter();
    let shifts = shifts.map(|shown| shown.onset.map(Onset::estimate));
    let shown = strengths(own, limits, begins).into_iter();
    let shown = std::iter::zip(shown, std::iter::zip(affected, shifts));
    let mut services: Vec<RankedService> = std::iter::zip(names, shown)
        .map(|(name, (shown, (affected, shift_onset)))| RankedService {
            shift_onset,
            service: name.to_owned(),
            rank: 0,
            strength: shown.strength,
            affected,
            onset_s: shown.onset.map(|onset| onset.at_s),
            onset_rank: None,
        })
        .collect();
    sort(&mut services, limits, |one| {
        (&one.strength, one.onset_s, &one.service)
    });
    for (rank, service) in services.iter_mut().enumerate() {
        service.rank = rank as u32 + 1;
    }
    rank_by_onset(&mut services);
    Ranking {
        services,
        edges: edges(case, &test, limits, shows_in),
        affected_q: limits.affected_q,
    }
}

fn edges(
    case: &Case<'_>,
    test: &Test<'_>,
    limits: &Thresholds,
    shows_in: Option<Interval>,
) -> Vec<RankedEdge> {
    let names: Vec<_> = case.sample.edges.keys().collect();
    let signals = names.iter().map(|edge| test.edge_signals(edge)).collect();
    let shown = strengths(signals, limits, |index, signal| {
        let (interval, comparison) = (shows_in?, signal.deciding()?);
        let spoken = test
            .sides
            .spoken_by_edge(names[index], comparison.measure, interval);
        onset(&spoken, interval.from_ns)
    });
    let mut edges: Vec<RankedEdge> = std::iter::zip(names, shown)
        .map(|(edge, shown)| RankedEdge {
            caller: edge.caller.clone(),
            callee: edge.callee.clone(),
            rank: 0,
            strength: shown.strength,
            onset_s: shown.onset.map(|onset| onset.at_s),
        })
        .collect();
    sort(&mut edges, limits, |one| {
        (&one.strength, one.onset_s, &one.callee)
    });
    for (rank, edge) in edges.iter_mut().enumerate() {
        edge.rank = rank as u32 + 1;
    }
    edges
}

/// Whether each service has a signal with an effect that counts, at an acceptable rate of false
/// ones over all signals of all services.
fn affected(all: &[Vec<SignalEvidence>], limits: &Thresholds) -> Vec<bool> {
    let mut q = false_discovery(all).into_iter();
    let is_affected = |signals: &Vec<SignalEvidence>| {
        let tested = signals.iter().filter(|signal| signal.p.is_some());
        tested.fold(false, |affected, signal| {
            let q = q.next().unwrap_or(1.0);
            affected || signal.size() == EffectSize::Enough && q <= limits.affected_q
        })
    };
    all.iter().map(is_affected).collect()
}

fn false_discovery(all: &[Vec<SignalEvidence>]) -> Vec<f64> {
    let p: Vec<f64> = all.iter().flatten().filter_map(|signal| signal.p).collect();
    benjamini_hochberg(&p)
}

/// The strongest comparison of each, with its q over all.
fn strengths(
    all: Vec<Vec<SignalEvidence>>,
    limits: &Thresholds,
    onset: impl Fn(usize, &SignalEvidence) -> Option<Onset>,
) -> Vec<Shown> {
    let mut q = false_discovery(&all).into_iter();
    let shown = |(index, signals): (usize, Vec<SignalEvidence>)| {
        let tested = signals.iter().filter(|signal| signal.p.is_some());
        let strengths = tested.filter_map(|signal| {
            let (p, q, comparison) = (signal.p?, q.next()?, signal.deciding()?);
            let strength = Strength {
                measure: comparison.measure,
                effect: comparison.effect,
                size: comparison.size,
                p,
                q,
            };
            Some((strength, signal))
        });
        let mut strengths: Vec<(Strength, &SignalEvidence)> = strengths.collect();
        strengths.sort_by(|(a, _), (b, _)| stronger(b, a, limits));
        // The strongest in which single requests show it.
        let onset = strengths
            .iter()
            .filter(|(strength, _)| counts(strength, limits))
            .find_map(|(_, signal)| onset(index, signal));
        let strength = strengths.into_iter().next().map(|(strength, _)| strength);
        Shown { strength, onset }
    };
    all.into_iter().enumerate().map(shown).collect()
}

/// Whether a strength is more than chance and large enough to count.
fn counts(strength: &Strength, limits: &Thresholds) -> bool {
    strength.size == EffectSize::Enough && strength.q <= limits.affected_q
}

/// Stronger is what counts rather than what does not, and then what is surely stronger: a δ of 0.9
/// from hundreds of requests rather than one of 1 from five.
fn stronger(a: &Strength, b: &Strength, limits: &Thresholds) -> std::cmp::Ordering {
    // Who is not reached any more may be dead, or somebody before it gave up: the weakest sign of
    // all.
    let is_own = |one: &Strength| one.measure != Measure::NotReachedShare;
    let key = |one: &Strength| {
        (
            counts(one, limits),
            counts(one, limits) && is_own(one),
            one.size,
        )
    };
    key(a)
        .cmp(&key(b))
        .then(a.effect.low.total_cmp(&b.effect.low))
        .then(a.effect.value.total_cmp(&b.effect.value))
}

/// The strongest first; of equal ones the one that showed earlier.
fn sort<T>(
    all: &mut [T],
    limits: &Thresholds,
    key: impl Fn(&T) -> (&Option<Strength>, Option<f64>, &String),
) {
    all.sort_by(|a, b| {
        let ((a, a_onset, a_name), (b, b_onset, b_name)) = (key(a), key(b));
        let by_strength = match (a, b) {
            (Some(a), Some(b)) => stronger(b, a, limits),
            _ => b.is_some().cmp(&a.is_some()),
        };
        let onset = |onset: Option<f64>| onset.unwrap_or(f64::INFINITY);
        by_strength
            .then(onset(a_onset).total_cmp(&onset(b_onset)))
            .then(a_name.cmp(b_name))
    });
}

fn rank_by_onset(services: &mut [RankedService]) {
    let mut onsets: Vec<f64> = services
        .iter()
        .filter_map(|service| service.onset_s)
        .collect();
    onsets.sort_by(f64::total_cmp);
    for service in services {
        service.onset_rank = service
            .onset_s
            .map(|onset| onsets.partition_point(|other| *other < onset) as u32 + 1);
    }
}

/// The comparisons of single operations in which a signal shows: those of its deciding measure with
/// an effect that counts.
pub(super) fn showing<'s>(
    signal: &'s SignalEvidence,
    limits: &Thresholds,
) -> Vec<&'s SignalComparison> {
    let Some(deciding) = signal.deciding() else {
        return Vec::new();
    };
    let shows = |comparison: &&SignalComparison| {
        comparison.measure == deciding.measure
            && comparison.size >= deciding.size
            && comparison.p <= limits.weak_p
    };
    signal.comparisons.iter().filter(shows).collect()
}

impl Ranking {
    /// Whether a service shows an anomaly by what is its own.
    pub(super) fn stands_out(&self, service: &str) -> bool {
        let mut services = self.services.iter();
        let of = services.find(|ranked| ranked.service == service);
        of.and_then(|ranked| ranked.strength.as_ref())
            .is_some_and(|own| own.size == EffectSize::Enough && own.q <= self.affected_q)
    }

    /// Where a service stands; none: no service shows anything.
    pub(super) fn rank_of(&self, service: &str) -> Option<RootCauseRank> {
        let strength = |index: usize| self.services.get(index)?.strength.as_ref();
        let first = strength(0)?;
        if first.size != EffectSize::Enough || first.q > self.affected_q {
            return None;
        }
        let index = self
            .services
            .iter()
            .position(|ranked| ranked.service == service)?;
        let before = index.checked_sub(1).and_then(strength);
        let tied = match (strength(index), before) {
            (Some(own), Some(before)) => {
                own.size == before.size && own.effect.overlaps(&before.effect)
            }
            _ => false,
        };
        Some(RootCauseRank {
            rank: index as u32 + 1 - u32::from(tied),
            tied,
            of: self.services.len() as u32,
        })
    }
}

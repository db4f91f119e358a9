//! Evaluates a window that declares an anomaly, whether or not a fault was injected.

use super::blocks::At;
use super::least::Least;
use super::signals::FAMILY;
use super::strata::Sides;
use super::{Case, onset, ranking, words};
use crate::comparison::{EffectSize, ServiceSignal, SignalComparison, SignalEvidence};
use crate::evidence::{RankedService, Strongest, Verdict, WindowEvidence};
use crate::run::Declared;
use crate::sample::{name_hash, within};
use crate::statistics::multiplicity::holm;
use crate::thresholds::Thresholds;
use crate::time::{Interval, any_contains};

pub(super) fn evaluate(case: &Case<'_>, declared: &Declared) -> WindowEvidence {
    let Case {
        sample,
        limits,
        window,
        ..
    } = *case;
    let nothing = case.nothing();
    let sides = Sides::new(
        sample,
        window.steady.clone(),
        case.run.reference.clone(),
        limits,
    );
    if !sides.are_long_enough(limits) {
        return WindowEvidence {
            verdict: Some(Verdict::NotEnoughData),
            reasons: vec![words::too_short(&sides, limits)],
            ..nothing
        };
    }
    let service = declared.root_cause_service.as_deref();
    let services = service.map_or_else(|| sample.services().collect(), |service| vec![service]);
    let arrangements = case.arrangements(&sides);
    let compared = case.compared(&sides, service, &arrangements);
    let least = Least::anomaly(limits);
    let test = case.test(&sides, &least, &arrangements);
    let mut family: Vec<SignalEvidence> = FAMILY
        .iter()
        .map(|signal| test.signal(*signal, &services))
        .collect();
    adjust(&mut [&mut family]);

    let due = service.map_or(0, |service| due(&sides, &window.own, service));
    let traces = [
        (At::Window, nothing.traces_met.max(due)),
        (At::Reference, compared.reference.traces),
    ];
    let few = too_few(traces, service, limits);
    let (mut verdict, mut reasons) = few.unwrap_or_else(|| verdict(&family, limits));
    let since_ns = window.injected_ns.unwrap_or(window.opened_ns);
    let own_end = window.own.last().map_or(since_ns, |own| own.to_ns);
    let shows_in = Interval::new(since_ns, own_end);
    let ranking = ranking::rank(case, &sides, &least, &arrangements, Some(shows_in));
    if verdict == Verdict::Supported && service.is_some_and(|of| !ranking.stands_out(of)) {
        verdict = Verdict::Weak;
        reasons.push(words::nothing_of_its_own());
    }
    if matches!(verdict, Verdict::Supported | Verdict::Weak) {
        reasons.extend(words::load(&compared));
    }
    reasons.extend(words::not_tested(&family));

    let shows = showing(&family, limits);
    let onset_s = onset::onset_s(&sides.spoken(&shows, shows_in), since_ns);
    let recovery_s = window.recovery.and_then(|recovery| {
        let after = Interval::new(recovery.cleared_ns, recovery.until_ns);
        onset::recovery_s(&sides.spoken(&shows, after), recovery.cleared_ns)
    });
    let root_cause_rank = service.and_then(|service| ranking.rank_of(service));
    let mut services = ranking.services;
    if verdict == Verdict::Supported {
        mark_affected(&mut services, service);
    }
    WindowEvidence {
        verdict: Some(verdict),
        reasons,
        compared: Some(compared),
        strongest: strongest(&family, limits),
        onset_s,
        recovery_s,
        root_cause_rank,
        services,
        edges: ranking.edges,
        family,
        ..nothing
    }
}

/// The verdict where a side has too few traces; none: it has enough of them.
fn too_few(
    traces: [(At, u64); 2],
    service: Option<&str>,
    limits: &Thresholds,
) -> Option<(Verdict, Vec<String>)> {
    let few = |(_, traces): &(At, u64)| (*traces as f64) < limits.least_traces;
    let (side, traces) = traces.into_iter().find(few)?;
    let reason = words::too_few_traces(side, traces, service, limits);
    Some((Verdict::NotEnoughData, vec![reason]))
}

/// Of a declared service whose anomaly is supported: the family's p has been adjusted for less than
/// that of all services together.
fn mark_affected(services: &mut [RankedService], service: Option<&str>) {
    for ranked in services {
        ranked.affected |= Some(ranked.service.as_str()) == service;
    }
}

/// Adjusts the p of all signals of some families for their number.
pub(super) fn adjust(families: &mut [&mut Vec<SignalEvidence>]) {
    let tested = families
        .iter()
        .flat_map(|family| family.iter().filter_map(|signal| signal.p));
    let mut adjusted = holm(&tested.collect::<Vec<_>>()).into_iter();
    for signal in families.iter_mut().flat_map(|family| family.iter_mut()) {
        signal.p_family = signal.p.and_then(|_| adjusted.next());
    }
}

/// Whether a signal supports an anomaly, by size and by p.
pub(super) fn supports(signal: &SignalEvidence, limits: &Thresholds) -> bool {
    let p = signal.p_family.unwrap_or(1.0);
    signal.size() == EffectSize::Enough && p <= limits.supported_p
}

/// Whether a signal supports it only just not.
fn nearly_supports(signal: &SignalEvidence, limits: &Thresholds) -> bool {
    let p = signal.p_family.unwrap_or(1.0);
    match signal.size() {
        EffectSize::Enough => p <= limits.weak_p,
        EffectSize::Small => p <= limits.supported_p,
        EffectSize::None => false,
    }
}

fn verdict(family: &[SignalEvidence], limits: &Thresholds) -> (Verdict, Vec<String>) {
    let tested = family.iter().filter(|signal| signal.p.is_some()).count();
    if tested == 0 {
        return (Verdict::NotEnoughData, vec![words::nothing_tested()]);
    }
    let describe = |which: fn(&SignalEvidence, &Thresholds) -> bool| -> Vec<String> {
        let mut found: Vec<_> = family
            .iter()
            .filter(|signal| which(signal, limits))
            .collect();
        found.sort_by(|a, b| effect(b).total_cmp(&effect(a)));
        found.into_iter().filter_map(words::signal).collect()
    };
    let supported = describe(supports);
    if !supported.is_empty() {
        return (Verdict::Supported, supported);
    }
    let weak = describe(nearly_supports);
    if !weak.is_empty() {
        let limits = std::iter::once(words::weak(limits));
        return (Verdict::Weak, weak.into_iter().chain(limits).collect());
    }
    let first = std::iter::once(words::no_difference(tested));
    let nearest = nearest(family).and_then(words::signal);
    (Verdict::NotSupported, first.chain(nearest).collect())
}

/// The strongest of the signals that carry the verdict; where none does, the nearest.
pub(super) fn strongest(family: &[SignalEvidence], limits: &Thresholds) -> Option<Strongest> {
    let signal = strongest_of(family, |signal| supports(signal, limits))
        .or_else(|| strongest_of(family, |signal| nearly_supports(signal, limits)))
        .or_else(|| nearest(family))?;
    let comparison = signal.deciding()?;
    Some(Strongest {
        signal: signal.signal,
        subject: comparison.subject.clone(),
        measure: comparison.measure,
        effect_kind: comparison.effect_kind,
        effect: comparison.effect,
        ratio: comparison.ratio,
        p: signal.p_family?,
    })
}

/// The signal with the smallest p, of equal ones the strongest.
fn nearest(family: &[SignalEvidence]) -> Option<&SignalEvidence> {
    let p = |signal: &SignalEvidence| signal.p.unwrap_or(1.0);
    let tested = family.iter().filter(|signal| signal.p_family.is_some());
    tested.min_by(|a, b| p(a).total_cmp(&p(b)).then(effect(b).total_cmp(&effect(a))))
}

fn strongest_of(
    family: &[SignalEvidence],
    which: impl Fn(&SignalEvidence) -> bool,
) -> Option<&SignalEvidence> {
    let tested = family
        .iter()
        .filter(|signal| signal.p_family.is_some() && which(signal));
    tested.max_by(|a, b| effect(a).total_cmp(&effect(b)))
}

/// How strong a signal surely is: the lower end of its effect's interval.
fn effect(signal: &SignalEvidence) -> f64 {
    signal
        .deciding()
        .map_or(f64::NEG_INFINITY, |comparison| comparison.effect.low)
}

/// The comparisons in which single requests show the anomaly: of the strongest signal that has any,
/// those with an effect that counts.
fn showing<'f>(family: &'f [SignalEvidence], limits: &Thresholds) -> Vec<&'f SignalComparison> {
    let of_spans = [
        ServiceSignal::Duration,
        ServiceSignal::Errors,
        ServiceSignal::Gap,
        ServiceSignal::Spans,
    ];
    let signal = strongest_of(family, |signal| {
        of_spans.contains(&signal.signal) && nearly_supports(signal, limits)
    });
    signal.map_or_else(Vec::new, |signal| ranking::showing(signal, limits))
}

/// Traces of a window's own time that would have met the service as in normal time, whether or not
/// they did: of kinds of requests of which nine in ten meet it there. A service that does not
/// answer at all leaves no spans, and that is not a lack of data.
fn due(sides: &Sides<'_>, own: &[Interval], service: &str) -> u64 {
    let hash = name_hash(&[service]);
    let entries = sides.sample.entries.values().filter(|kept| {
        let normal = within(kept, &sides.reference);
        let met = normal
            .iter()
            .filter(|trace| trace.services.binary_search(&hash).is_ok())
            .count();
        met >= 5 && met * 10 >= normal.len() * 9
    });
    let sent = entries.flat_map(|kept| kept.values().flat_map(|stretch| &stretch.whole));
    sent.filter(|trace| any_contains(own, trace.moment_ns))
        .count() as u64
}

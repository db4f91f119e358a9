//! Evaluates a normal window: whether some service was much slower or failed more than at other
//! times.

use super::declared::{adjust, strongest, supports};
use super::least::Least;
use super::strata::Sides;
use super::{Case, ranking, words};
use crate::comparison::{ServiceSignal, SignalEvidence};
use crate::evidence::{Compared, Verdict, WindowEvidence};
use crate::time::{Interval, difference, total_ns};

/// What can disturb normal time.
const FAMILY: [ServiceSignal; 2] = [ServiceSignal::Duration, ServiceSignal::Errors];

pub(super) fn evaluate(case: &Case<'_>) -> WindowEvidence {
    let Case {
        sample,
        limits,
        window,
        ..
    } = *case;
    let steady = window.steady.clone();
    if total_ns(&steady) == 0 {
        return WindowEvidence {
            reasons: vec![words::no_time()],
            ..case.nothing()
        };
    }
    let others = difference(&case.run.reference, &steady);
    let against_others = Sides::new(sample, steady.clone(), others, limits);
    if against_others.are_long_enough(limits) {
        let (family, compared) = compare(case, &against_others);
        return evidence(case, &against_others, family, compared);
    }
    // The only normal time: its halves, each against the other.
    let (first, second) = halves(&steady);
    let directions = [
        Sides::new(sample, second.clone(), first.clone(), limits),
        Sides::new(sample, first, second, limits),
    ];
    if !directions[0].are_long_enough(limits) {
        return WindowEvidence {
            verdict: Some(Verdict::Clean),
            reasons: vec![words::not_compared(&directions[0], limits)],
            ..case.nothing()
        };
    }
    let [mut later, mut earlier] = directions.each_ref().map(|sides| compare(case, sides));
    adjust(&mut [&mut later.0, &mut earlier.0]);
    let smallest = |family: &[SignalEvidence]| {
        family
            .iter()
            .filter_map(|signal| signal.p_family)
            .fold(1.0, f64::min)
    };
    let disturbed = |family: &[SignalEvidence]| family.iter().any(|one| supports(one, limits));
    let key = |family: &[SignalEvidence]| (disturbed(family), smallest(family));
    let earlier_is_worse = match (key(&earlier.0), key(&later.0)) {
        ((true, _), (false, _)) => true,
        ((false, _), (true, _)) => false,
        ((_, a), (_, b)) => a < b,
    };
    let (sides, (family, compared)) = match earlier_is_worse {
        true => (&directions[1], earlier),
        false => (&directions[0], later),
    };
    let compared = Compared {
        halves: true,
        ..compared
    };
    evidence(case, sides, family, compared)
}

/// The family of all services together.
fn compare(case: &Case<'_>, sides: &Sides<'_>) -> (Vec<SignalEvidence>, Compared) {
    let least = Least::disturbance(case.limits);
    let arrangements = case.arrangements(sides);
    let test = case.test(sides, &least, &arrangements);
    let services: Vec<&str> = case.sample.services().collect();
    let mut family: Vec<SignalEvidence> = FAMILY
        .iter()
        .map(|signal| test.signal(*signal, &services))
        .collect();
    adjust(&mut [&mut family]);
    (family, case.compared(sides, None, &arrangements))
}

fn evidence(
    case: &Case<'_>,
    sides: &Sides<'_>,
    family: Vec<SignalEvidence>,
    compared: Compared,
) -> WindowEvidence {
    let limits = case.limits;
    let disturbing = family.iter().filter(|signal| supports(signal, limits));
    let found: Vec<String> = disturbing.filter_map(words::signal).collect();
    let tested = family.iter().any(|signal| signal.p.is_some());
    let (verdict, reasons) = match (found.is_empty(), tested) {
        (false, _) => (Verdict::Disturbed, found),
        (true, true) => (Verdict::Clean, vec![words::clean(compared.halves)]),
        (true, false) => (Verdict::Clean, vec![words::nothing_tested()]),
    };
    let arrangements = case.arrangements(sides);
    let least = Least::disturbance(limits);
    let ranking = ranking::rank(case, sides, &least, &arrangements, None);
    WindowEvidence {
        verdict: Some(verdict),
        reasons,
        compared: Some(compared),
        strongest: strongest(&family, limits),
        family,
        services: ranking.services,
        edges: ranking.edges,
        ..case.nothing()
    }
}

/// Cuts sorted intervals into two parts of the same length.
fn halves(intervals: &[Interval]) -> (Vec<Interval>, Vec<Interval>) {
    let mut left = total_ns(intervals) / 2;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for interval in intervals {
        let cut = (interval.from_ns + left.max(0)).min(interval.to_ns);
        first.push(Interval::new(interval.from_ns, cut));
        second.push(Interval::new(cut, interval.to_ns));
        left -= interval.length_ns();
    }
    for half in [&mut first, &mut second] {
        half.retain(|interval| !interval.is_empty());
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_the_same_length() {
        let interval = Interval::new;
        let all = [interval(0, 10), interval(20, 50), interval(60, 70)];
        let (first, second) = halves(&all);
        assert_eq!(first, [interval(0, 10), interval(20, 35)]);
        assert_eq!(second, [interval(35, 50), interval(60, 70)]);
    }
}

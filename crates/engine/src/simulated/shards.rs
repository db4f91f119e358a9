//! Several generators of one plan do together what one does alone.

use super::*;

/// Three shards of a plan, each with two workers.
fn three(plan: &Plan) -> Vec<Seen> {
    let shards = (0..3).map(|index| Shard::new(index, 3).unwrap());
    shards.map(|shard| simulate_shard(plan, 2, shard)).collect()
}

/// Iterations with the milliseconds at which they started, in order.
fn iterations(seen: &[Seen]) -> Vec<(u64, i64)> {
    let of_one = |seen: &Seen| -> Vec<(u64, i64)> {
        let records = seen.records(0).into_iter();
        records.map(|r| (r.iteration, ms(r.sent_ns))).collect()
    };
    let mut all: Vec<_> = seen.iter().flat_map(of_one).collect();
    all.sort_unstable();
    all
}

fn sum(seen: &[Seen], of: fn(&WindowClosed) -> u64) -> u64 {
    seen.iter().map(|seen| of(seen.drained("a"))).sum()
}

#[test]
fn an_arrival_rate_has_the_same_iterations_at_the_same_times() {
    // The VUs that there are go round: seven of them over three shards.
    for rate in [
        "a: {executor: constant-arrival-rate, rate: 20, duration: 2s, preAllocatedVUs: 7}",
        "a: {executor: ramping-arrival-rate, preAllocatedVUs: 7, stages: [{target: 20, duration: 2s}]}",
    ] {
        let plan = plan("{path: '/a?ms=1'}", &[rate]);
        let alone = iterations(&[simulate(&plan, 1)]);
        let seen = three(&plan);
        assert_eq!(iterations(&seen), alone, "{rate}");
        assert_eq!(sum(&seen, |w| w.iterations), alone.len() as u64);
        assert_eq!(sum(&seen, |w| w.dropped), 0);
    }
}

#[test]
fn what_is_dropped_and_what_starts_are_the_plan() {
    let scenario =
        "a: {executor: constant-arrival-rate, rate: 40, duration: 2s, preAllocatedVUs: 4}";
    let plan = plan("{path: '/a?ms=450'}", &[scenario]);
    let seen = three(&plan);
    let (started, dropped) = (sum(&seen, |w| w.iterations), sum(&seen, |w| w.dropped));
    assert_eq!(started + dropped, 81);
    assert!(dropped > 40, "{dropped}");
    let numbers = iterations(&seen);
    assert!(numbers.windows(2).all(|pair| pair[0].0 != pair[1].0));
}

#[test]
fn vus_add_up_as_they_come_and_go() {
    let scenario = "a: {executor: ramping-vus, startVUs: 1, gracefulRampDown: 0s, \
                    stages: [{target: 8, duration: 7s}, {target: 0, duration: 4s}]}";
    let plan = plan("{path: '/a?ms=100'}", &[scenario]);
    let busy_at = |seen: &[Seen], at: i64| -> usize {
        let spans = seen.iter().flat_map(|seen| seen.spans(0));
        spans
            .filter(|(from, to, _)| (*from..*to).contains(&at))
            .count()
    };
    let alone = [simulate(&plan, 1)];
    let seen = three(&plan);
    for second in 0..11 {
        let at = second * 1000 + 40;
        assert_eq!(busy_at(&seen, at), busy_at(&alone, at), "second {second}");
    }
    let numbers = iterations(&seen);
    assert!(numbers.windows(2).all(|pair| pair[0].0 != pair[1].0));
}

#[test]
fn executors_that_make_a_number_of_iterations_make_it() {
    for (scenario, number) in [
        (
            "a: {executor: per-vu-iterations, vus: 5, iterations: 4}",
            20,
        ),
        (
            "a: {executor: shared-iterations, vus: 5, iterations: 23}",
            23,
        ),
        // One of the shards has no VU, and nothing to do.
        ("a: {executor: shared-iterations, vus: 2, iterations: 9}", 9),
    ] {
        let plan = plan("{path: '/a?ms=10'}", &[scenario]);
        let seen = three(&plan);
        assert_eq!(sum(&seen, |w| w.iterations), number, "{scenario}");
        assert_eq!(sum(&seen, |w| w.dropped), 0, "{scenario}");
        let numbers = iterations(&seen);
        assert!(numbers.windows(2).all(|pair| pair[0].0 != pair[1].0));
        assert!(
            seen.iter()
                .all(|s| matches!(s.ended, Ok(RunStatus::Completed)))
        );
    }
}

#[test]
fn what_there_is_no_time_for_is_dropped_once() {
    let scenario = "a: {executor: shared-iterations, vus: 3, iterations: 30, maxDuration: 1s}";
    let plan = plan("{path: '/a?ms=200'}", &[scenario]);
    let seen = three(&plan);
    let (started, dropped) = (sum(&seen, |w| w.iterations), sum(&seen, |w| w.dropped));
    assert_eq!(started + dropped, 30);
    assert_eq!(started, 15);
}

//! When iterations start and end, compared with what stock k6 1.1.0 was measured to do.
//!
//! k6's times are those at which its script ran, cut to milliseconds; simulated ones come with the
//! next whole millisecond. So they are at most one apart.

use loadgen_scenario::ArrivalSchedule;

use super::*;

/// Starts are k6's but for a millisecond.
fn assert_as_k6(seen: &[i64], k6: &[i64]) {
    assert_eq!(seen.len(), k6.len(), "{seen:?}");
    for (seen, k6) in seen.iter().zip(k6) {
        assert!(seen.abs_diff(*k6) <= 1, "{seen} ms, with k6 {k6} ms");
    }
}

/// A schedule's starts, each with the next tick of a timer.
fn scheduled(plan: &Plan) -> Vec<i64> {
    let schedule = ArrivalSchedule::new(&plan.scenarios[0].executor).unwrap();
    let starts = schedule.starts();
    starts
        .map(|at_ns| at_ns.div_ceil(MS as u64) as i64)
        .collect()
}

#[test]
fn constant_arrival_rate() {
    let plan = plan(
        "{path: '/a?ms=30'}",
        &["a: {executor: constant-arrival-rate, rate: 7, duration: 3s, pre_allocated_vus: 1}"],
    );
    let k6 = [
        0, 144, 286, 429, 572, 715, 858, 1001, 1143, 1286, 1429, 1572, 1715, 1858, 2001, 2143,
        2286, 2429, 2572, 2715, 2858, 3001,
    ];
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        let starts = seen.starts(0);
        assert_eq!(starts, scheduled(&plan), "{workers} workers");
        assert_as_k6(&starts, &k6);
        // Due to the nanosecond, and numbered in the order of the schedule.
        for (n, record) in seen.records(0).into_iter().enumerate() {
            assert_eq!(
                record.intended_ns - UNIX_NS,
                (n as u64 * 1_000_000_000).div_ceil(7) as i64
            );
            assert_eq!(record.iteration, n as u64);
        }
        assert_eq!(
            seen.story(),
            [
                "0 opened a",
                "3000 closed a",
                "3030 drained a",
                "3030 Completed"
            ]
        );
        let drained = seen.drained("a");
        assert_eq!(
            (drained.iterations, drained.sent, drained.dropped),
            (22, 22, 0)
        );
        assert_eq!(drained.last_completed_ns.map(ms), Some(3030));
    }
}

#[test]
fn ramping_arrival_rate() {
    let plan = plan(
        "{path: '/a?ms=30'}",
        &[
            "a: {executor: ramping-arrival-rate, start_rate: 2, pre_allocated_vus: 2, \
            stages: [{duration: 2s, target: 10}, {duration: 1s, target: 10}, {duration: 2s, target: 0}]}",
        ],
    );
    let k6 = [
        367, 619, 823, 1000, 1159, 1303, 1437, 1562, 1681, 1792, 1898, 2000, 2100, 2200, 2300,
        2400, 2500, 2600, 2700, 2800, 2900, 3000, 3103, 3211, 3327, 3451, 3587, 3736, 3905, 4106,
        4368, 5001,
    ];
    for workers in 1..=3 {
        let starts = simulate(&plan, workers).starts(0);
        assert_eq!(starts, scheduled(&plan), "{workers} workers");
        assert_as_k6(&starts, &k6);
    }
}

#[test]
fn ramping_vus() {
    let plan = plan(
        "{path: '/a?ms=20000'}",
        &[
            "a: {executor: ramping-vus, start_vus: 1, graceful_ramp_down: 0s, \
            stages: [{duration: 2s, target: 4}, {duration: 2s, target: 0}]}",
        ],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        assert_as_k6(&seen.starts(0), &[0, 667, 1334, 2001]);
        // On the way down one is taken away each 500 ms, the last one first.
        let cut = Some(Failure::Interrupted);
        assert_eq!(
            seen.spans(0),
            [
                (0, 4000, cut),
                (667, 3500, cut),
                (1334, 3000, cut),
                (2000, 2500, cut)
            ],
            "{workers} workers"
        );
        assert_eq!(seen.drained("a").interrupted_iterations, 4);
    }
}

#[test]
fn a_stage_without_length_jumps() {
    let plan = plan(
        "{path: '/a?ms=20000'}",
        &[
            "a: {executor: ramping-vus, start_vus: 1, graceful_ramp_down: 0s, \
            stages: [{duration: 1s, target: 1}, {duration: 0s, target: 3}, {duration: 1s, target: 3}]}",
        ],
    );
    for workers in 1..=3 {
        assert_eq!(simulate(&plan, workers).starts(0), [0, 1000, 1000]);
    }
}

#[test]
fn a_vu_that_is_taken_away_may_finish_within_its_ramp_down() {
    let ramp = |grace: &str| {
        let scenario = format!(
            "a: {{executor: ramping-vus, start_vus: 1, graceful_ramp_down: {grace}, \
             stages: [{{duration: 1s, target: 0}}, {{duration: 3s, target: 0}}]}}"
        );
        plan("{path: '/a?ms=1500'}", &[&scenario])
    };
    let cut = Some(Failure::Interrupted);
    assert_eq!(simulate(&ramp("400ms"), 1).spans(0), [(0, 1400, cut)]);
    assert_eq!(simulate(&ramp("600ms"), 1).spans(0), [(0, 1500, None)]);
}

#[test]
fn a_vu_that_is_taken_back_in_time_goes_on() {
    let plan = plan(
        "{path: '/a?ms=1500'}",
        &[
            "a: {executor: ramping-vus, start_vus: 1, graceful_ramp_down: 600ms, graceful_stop: 0s, \
            stages: [{duration: 1s, target: 1}, {duration: 0s, target: 0}, {duration: 400ms, target: 0}, \
            {duration: 0s, target: 1}, {duration: 1500ms, target: 1}]}",
        ],
    );
    for workers in 1..=2 {
        let cut = Some(Failure::Interrupted);
        assert_eq!(
            simulate(&plan, workers).spans(0),
            [(0, 1500, None), (1500, 2900, cut)]
        );
    }
}

#[test]
fn constant_vus() {
    let plan = plan(
        "{path: '/a?ms=300'}",
        &["a: {executor: constant-vus, vus: 3, duration: 1s}"],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        let expected: Vec<i64> = [0, 300, 600, 900].iter().flat_map(|at| [*at; 3]).collect();
        assert_eq!(seen.starts(0), expected, "{workers} workers");
        assert_eq!(
            seen.story(),
            [
                "0 opened a",
                "1000 closed a",
                "1200 drained a",
                "1200 Completed"
            ]
        );
    }
}

#[test]
fn counting_executors_make_just_their_iterations() {
    let of = |scenario: &str| plan("{path: '/a?ms=100'}", &[scenario]);
    let per_vu = of("a: {executor: per-vu-iterations, vus: 3, iterations: 4}");
    let shared = of("a: {executor: shared-iterations, vus: 3, iterations: 10}");
    for workers in 1..=3 {
        let seen = simulate(&per_vu, workers);
        let expected: Vec<i64> = [0, 100, 200, 300].iter().flat_map(|at| [*at; 3]).collect();
        assert_eq!(seen.starts(0), expected, "{workers} workers");
        let early = [
            "0 opened a",
            "400 closed a",
            "400 drained a",
            "400 Completed",
        ];
        assert_eq!(seen.story(), early, "{workers} workers");

        let seen = simulate(&shared, workers);
        assert_eq!(seen.starts(0), expected[..10], "{workers} workers");
        assert_eq!(seen.story(), early, "{workers} workers");
        assert_eq!(seen.drained("a").dropped, 0);
    }
}

#[test]
fn iterations_that_time_ran_out_for_are_dropped_ones() {
    for scenario in [
        "a: {executor: per-vu-iterations, vus: 2, iterations: 50, max_duration: 320ms}",
        "a: {executor: shared-iterations, vus: 2, iterations: 100, max_duration: 320ms}",
    ] {
        let plan = plan("{path: '/a?ms=50'}", &[scenario]);
        for workers in 1..=3 {
            let seen = simulate(&plan, workers);
            let expected: Vec<i64> = (0..7).flat_map(|n| [n * 50; 2]).collect();
            assert_eq!(seen.starts(0), expected, "{workers} workers");
            let drained = seen.drained("a");
            assert_eq!((drained.iterations, drained.dropped), (14, 86));
            assert_eq!(
                seen.story(),
                [
                    "0 opened a",
                    "320 closed a",
                    "350 drained a",
                    "350 Completed"
                ]
            );
        }
    }
}

#[test]
fn an_iteration_that_finds_no_vu_is_dropped_and_counted() {
    let plan = plan(
        "{path: '/a?ms=450'}",
        &[
            "a: {executor: constant-arrival-rate, rate: 10, duration: 2s, pre_allocated_vus: 1, max_vus: 1}",
        ],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        assert_eq!(seen.starts(0), [0, 500, 1000, 1500, 2000]);
        assert_as_k6(&seen.starts(0), &[0, 500, 1001, 1501, 2001]);
        let drained = seen.drained("a");
        assert_eq!((drained.iterations, drained.dropped), (5, 16));
        let dropped: Vec<u64> = seen.heartbeats().iter().map(|beat| beat.dropped).collect();
        assert_eq!(dropped.last(), Some(&16));
    }
}

#[test]
fn each_drop_makes_a_vu_more() {
    let plan = plan(
        "{path: '/a?ms=290'}",
        &[
            "a: {executor: constant-arrival-rate, rate: 20, duration: 1s, pre_allocated_vus: 1, max_vus: 50}",
        ],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        // Six VUs are enough, and there is one more after each drop.
        let expected: Vec<i64> = (0..=20).map(|n| n * 50).collect();
        let expected: Vec<i64> = expected
            .into_iter()
            .filter(|at| ![50, 150, 250, 450, 750].contains(at))
            .collect();
        assert_eq!(seen.starts(0), expected, "{workers} workers");
        assert_eq!(seen.drained("a").dropped, 5);
    }
}

#[test]
fn a_stall_of_the_target_shows_in_latency_from_the_intended_send() {
    let plan = plan(
        "{path: '/a?ms=300'}",
        &["a: {executor: constant-arrival-rate, rate: 7, duration: 1s, pre_allocated_vus: 5}"],
    );
    for record in simulate(&plan, 1).records(0) {
        assert!(record.sent_ns >= record.intended_ns);
        assert!(record.finished_ns - record.intended_ns >= 300 * MS);
    }
}

#[test]
fn steps_follow_each_other_with_pauses() {
    let plan = plan(
        "{path: '/a?ms=100', think_time: 250ms}, {path: '/b?ms=50'}, {path: '/c?ms=10'}",
        &["a: {executor: per-vu-iterations, vus: 1, iterations: 2}"],
    );
    let seen = simulate(&plan, 1);
    assert_eq!(seen.starts(0), [0, 350, 400, 410, 760, 810]);
    for record in seen.records(0) {
        assert_eq!(record.intended_ns, record.sent_ns);
    }
}

#[test]
fn failures_are_recorded_as_what_they_are() {
    let plan = plan(
        "{path: '/a?ms=3000', timeout: 100ms}, {path: '/b?ms=10&status=503'}, \
         {path: '/c?ms=10&failure=connect'}, {path: '/d?ms=10'}",
        &["a: {executor: per-vu-iterations, vus: 1, iterations: 1}"],
    );
    let seen = simulate(&plan, 1);
    assert_eq!(
        seen.spans(0),
        [
            (0, 100, Some(Failure::Timeout)),
            (100, 110, Some(Failure::Status)),
            (110, 120, Some(Failure::Connect)),
            (120, 130, None),
        ]
    );
    let statuses: Vec<_> = seen.records(0).iter().map(|r| r.status).collect();
    assert_eq!(statuses, [None, Some(503), None, Some(200)]);
    assert_eq!(seen.drained("a").failed, 3);
}

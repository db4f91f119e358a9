//! How windows follow each other, and how scenarios and runs end.

use super::*;
use crate::injector::tests::{Answer, fault};

#[test]
fn windows_meet() {
    let plan = plan(
        "{path: '/a?ms=150'}",
        &[
            "a: {executor: constant-vus, vus: 2, duration: 1s}",
            "b: {executor: constant-arrival-rate, rate: 10, duration: 1s, pre_allocated_vus: 3}",
            "c: {executor: shared-iterations, vus: 1, iterations: 3, max_duration: 1s}",
        ],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        let story = [
            "0 opened a",
            "1000 closed a",
            "1000 opened b",
            "1050 drained a",
            "2000 closed b",
            "2000 opened c",
            "2150 drained b",
            "2450 closed c",
            "2450 drained c",
            "2450 Completed",
        ];
        assert_eq!(seen.story(), story, "{workers} workers");
        assert_eq!(seen.starts(1).first(), Some(&1000));
        // The one that falls on the end is older than the next window, and there before it closes.
        assert_eq!(seen.starts(1).last(), Some(&2000));
        assert_eq!(seen.starts(2), [2000, 2150, 2300]);
    }
}

#[test]
fn what_is_in_its_graceful_stop_runs_beside_the_next_scenario() {
    let plan = plan(
        "{path: '/a?ms=1700'}",
        &[
            "a: {executor: constant-vus, vus: 1, duration: 1s}",
            "b: {executor: constant-vus, vus: 1, duration: 1s, graceful_stop: 500ms}",
        ],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        let story = [
            "0 opened a",
            "1000 closed a",
            "1000 opened b",
            "1700 drained a",
            "2000 closed b",
            "2500 drained b",
            "2500 Completed",
        ];
        assert_eq!(seen.story(), story, "{workers} workers");
        assert_eq!(seen.spans(0), [(0, 1700, None)]);
        let cut = Some(Failure::Interrupted);
        assert_eq!(seen.spans(1), [(1000, 2500, cut)]);
        let drained = seen.drained("b");
        assert_eq!(drained.interrupted_iterations, 1);
        assert_eq!((drained.completed, drained.failed), (1, 1));
    }
}

#[test]
fn windows_may_overlap() {
    let plan = plan(
        "{path: '/a?ms=100'}",
        &[
            "a: {executor: constant-vus, vus: 1, duration: 2s}",
            "b: {executor: constant-vus, vus: 1, duration: 1s, start_time: 500ms}",
            "c: {executor: constant-vus, vus: 1, duration: 500ms, start_time: 1500ms}",
        ],
    );
    for workers in 1..=3 {
        let mut story = simulate(&plan, workers).story();
        let expected = [
            "0 opened a",
            "500 opened b",
            "1500 closed b",
            "1500 opened c",
            "1500 drained b",
            "2000 closed a",
            "2000 closed c",
            "2000 drained a",
            "2000 drained c",
            "2000 Completed",
        ];
        // What drains at one moment does so in any order.
        story[7..9].sort();
        assert_eq!(story, expected, "{workers} workers");
    }
}

#[test]
fn faults_are_there_while_their_windows_are_open() {
    let mut plan = plan(
        "{path: '/a?ms=50'}",
        &[
            "calm: {executor: constant-vus, vus: 1, duration: 1s}",
            "slow: {executor: constant-vus, vus: 1, duration: 1s}",
            "few: {executor: per-vu-iterations, vus: 1, iterations: 4, max_duration: 1s}",
        ],
    );
    plan.scenarios[1].fault = Some(fault("slow"));
    plan.scenarios[2].fault = Some(fault("lossy"));
    let target = || Target::that(Answer::After(20));
    for workers in 1..=3 {
        let mut story = simulate_with(&plan, workers, &[], Some(target)).story();
        let expected = [
            "0 opened calm",
            "1000 closed calm",
            "1000 opened slow",
            "1000 drained calm",
            "1020 slow is in for slow",
            "2000 closed slow",
            "2000 opened few",
            "2000 drained slow",
            "2020 lossy is in for few",
            "2020 slow is out for slow",
            "2200 closed few",
            "2200 drained few",
            "2220 lossy is out for few",
        ];
        // As do changes of different faults.
        story[8..10].sort();
        assert_eq!(story[..13], expected, "{workers} workers");
        assert!(story[13].ends_with(" Completed"), "{story:?}");
        assert_eq!(story.len(), 14);
    }
}

#[test]
fn a_fault_may_lie_within_a_load_that_goes_on() {
    let mut plan = plan(
        "{path: '/a?ms=100'}",
        &[
            "load: {executor: constant-vus, vus: 1, duration: 3s}",
            "slow: {executor: none, start_time: 1s, duration: 1s}",
        ],
    );
    plan.scenarios[1].fault = Some(fault("slow"));
    let target = || Target::that(Answer::After(20));
    for workers in 1..=3 {
        let seen = simulate_with(&plan, workers, &[], Some(target));
        assert_eq!(
            seen.story(),
            [
                "0 opened load",
                "1000 opened slow",
                "1020 slow is in for slow",
                "2000 closed slow",
                "2000 drained slow",
                "2020 slow is out for slow",
                "3000 closed load",
                "3000 drained load",
                "3000 Completed",
            ],
            "{workers} workers"
        );
        assert_eq!(seen.drained("slow").sent, 0);
        assert_eq!(seen.drained("load").sent, 30);
        let early = [(1500, Interrupt::Gracefully)];
        let story = simulate_with(&plan, workers, &early, Some(target)).story();
        assert_eq!(story[3..5], ["1500 closed slow", "1500 drained slow"]);
        assert!(
            story.contains(&"1520 slow is out for slow".to_owned()),
            "{story:?}"
        );
    }
}

#[test]
fn an_interrupt_lets_requests_finish_and_starts_nothing_more() {
    let plan = plan(
        "{path: '/a?ms=400'}, {path: '/never?ms=1'}",
        &[
            "a: {executor: constant-vus, vus: 3, duration: 60s}",
            "b: {executor: constant-vus, vus: 3, duration: 60s}",
        ],
    );
    for (wish, status) in [
        (Interrupt::Gracefully, "400 Interrupted"),
        (Interrupt::TargetGone, "400 Failed"),
    ] {
        for workers in 1..=3 {
            let seen = simulate_with(&plan, workers, &[(300, wish)], None);
            assert_eq!(
                seen.story(),
                ["0 opened a", "300 closed a", "400 drained a", status],
                "{workers} workers"
            );
            assert_eq!(seen.spans(0), [(0, 400, None); 3]);
            assert_eq!(seen.drained("a").interrupted_iterations, 3);
        }
    }
}

#[test]
fn an_interrupt_does_not_wait_for_pauses() {
    let plan = plan(
        "{path: '/a?ms=100', think_time: 30s}, {path: '/never?ms=1'}",
        &["a: {executor: constant-vus, vus: 2, duration: 60s}"],
    );
    for workers in 1..=3 {
        let seen = simulate_with(&plan, workers, &[(250, Interrupt::Gracefully)], None);
        assert_eq!(
            seen.story(),
            [
                "0 opened a",
                "250 closed a",
                "250 drained a",
                "250 Interrupted"
            ],
            "{workers} workers"
        );
        assert_eq!(seen.drained("a").interrupted_iterations, 2);
    }
}

#[test]
fn the_second_interrupt_ends_the_run_at_once_with_a_whole_timeline() {
    let plan = plan(
        "{path: '/a?ms=30000'}",
        &["a: {executor: constant-vus, vus: 2, duration: 60s}"],
    );
    for workers in 1..=3 {
        let wishes = [(300, Interrupt::Gracefully), (350, Interrupt::AtOnce)];
        let seen = simulate_with(&plan, workers, &wishes, None);
        let cut = Some(Failure::Interrupted);
        assert_eq!(seen.spans(0).len(), 2);
        for (sent, finished, failure) in seen.spans(0) {
            // Whoever waits for requests looks every other millisecond.
            assert_eq!((sent, failure), (0, cut));
            assert!((350..=352).contains(&finished), "{finished}");
        }
        let story = seen.story();
        assert_eq!(
            story[..2],
            ["0 opened a", "300 closed a"],
            "{workers} workers"
        );
        assert!(story[2].ends_with("drained a"), "{story:?}");
        assert!(story[3].ends_with("Interrupted"), "{story:?}");
        assert_eq!(story.len(), 4);
    }
}

#[test]
fn a_worker_that_breaks_ends_the_run() {
    let plan = plan(
        "{path: '/a?ms=100'}, {path: '/b?panic=1'}",
        &["a: {executor: constant-arrival-rate, rate: 1, duration: 60s, pre_allocated_vus: 1}"],
    );
    for workers in 1..=3 {
        let seen = simulate(&plan, workers);
        let error = seen.ended.as_ref().unwrap_err().to_string();
        assert!(error.starts_with("a worker broke down"), "{error}");
        let story = seen.story();
        assert_eq!(story.first().unwrap(), "0 opened a");
        assert!(story[1].ends_with("closed a"), "{story:?}");
        assert!(story.last().unwrap().ends_with("Failed"), "{story:?}");
    }
}

#[test]
fn an_hour_has_a_heartbeat_a_second_and_no_step_of_the_clock() {
    let plan = plan(
        "{path: '/a?ms=10000'}",
        &["a: {executor: constant-vus, vus: 1, duration: 1h}"],
    );
    let seen = simulate(&plan, 2);
    assert_eq!(
        seen.story(),
        [
            "0 opened a",
            "3600000 closed a",
            "3600000 drained a",
            "3600000 Completed"
        ]
    );
    let beats: Vec<i64> = seen
        .heartbeats()
        .iter()
        .map(|beat| ms(beat.at_ns))
        .collect();
    // The last one comes when everything is over.
    let mut expected: Vec<i64> = (0..=3600).map(|s| s * 1000).collect();
    expected.push(3_600_000);
    expected.truncate(beats.len());
    assert!(beats.len() >= 3601, "{}", beats.len());
    assert_eq!(beats, expected);
}

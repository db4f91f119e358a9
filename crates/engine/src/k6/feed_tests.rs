use super::*;
use crate::k6::line::parse;
use loadgen_scenario::{PlanOptions, plan_str};
use proptest::prelude::*;

const ZERO_MS: i64 = 1_795_573_449_000;
const ZERO_NS: i64 = ZERO_MS * MS;
const TRACE: &str = "43b54f0272634fbeb85015083d013198 b85015083d013198";

fn feed(scenarios: &str) -> Feed {
    let text = format!(
        "version: 1\nflows:\n  default:\n    steps: [{{path: /a, name: one}}, {{path: /b, name: two}}]\nscenarios:\n{scenarios}"
    );
    let plan = plan_str("t.yaml", &text, &PlanOptions::default()).unwrap();
    Feed::new(Arc::new(plan), ZERO_NS, Shard::WHOLE)
}

fn looping() -> Feed {
    feed("  a: {executor: constant-vus, vus: 2, duration: 10s, graceful_stop: 1s}\n")
}

fn arriving() -> Feed {
    feed("  a: {executor: constant-arrival-rate, rate: 10, duration: 10s, pre_allocated_vus: 2}\n")
}

fn take(feed: &mut Feed, line: &str) {
    let text = format!("lg1 {line}");
    feed.take(&parse(&text).unwrap(), ZERO_NS).unwrap();
}

fn begin(feed: &mut Feed, vu: u32, iteration: u64, step: u16, after_ms: i64) {
    let at = ZERO_MS + after_ms;
    take(
        feed,
        &format!("b {vu} 0 {iteration} 0 {step} {TRACE} {at} /a"),
    );
}

fn all(feed: &mut Feed) -> Vec<RequestRecord> {
    feed.resolve(i64::MAX, |_| Some(0));
    feed.take_ready()
}

#[test]
fn a_request_is_what_its_two_lines_say() {
    let mut feed = looping();
    begin(&mut feed, 1, 0, 0, 5);
    take(&mut feed, "e 1 12.5 200 -");
    begin(&mut feed, 1, 0, 1, 20);
    take(&mut feed, "e 1 1 503 status .");
    let records = all(&mut feed);
    assert_eq!(records[0].sent_ns, ZERO_NS + 5_500_000);
    assert_eq!(records[0].finished_ns - records[0].sent_ns, 12_500_000);
    assert_eq!(
        (records[1].status, records[1].failure),
        (Some(503), Some(Failure::Status))
    );
    assert_eq!(records[1].step, 1);
    let counts = feed.counts(0);
    assert_eq!((counts.sent, counts.completed, counts.failed), (2, 2, 1));
    assert_eq!((counts.iterations, counts.ended_iterations), (1, 1));
    assert_eq!(feed.scenarios[0].open.len(), 0);
}

#[test]
fn no_request_is_older_than_its_window() {
    let mut feed = feed(
        "  a: {executor: constant-vus, duration: 1500us}\n  b: {executor: constant-vus, duration: 10s}\n",
    );
    let at = ZERO_MS + 1;
    take(&mut feed, &format!("b 1 1 0 0 0 {TRACE} {at} /a"));
    take(&mut feed, "e 1 1 200 -");
    assert_eq!(all(&mut feed)[0].sent_ns, ZERO_NS + 1_500_000);
}

#[test]
fn what_k6_cut_off_is_interrupted_when_it_was() {
    let mut feed = looping();
    begin(&mut feed, 1, 0, 0, 9000);
    feed.interrupt(0, ZERO_NS + 12_000 * MS);
    let records = all(&mut feed);
    assert_eq!(records[0].failure, Some(Failure::Interrupted));
    // At the end of the graceful stop, however much later that was noticed.
    assert_eq!(records[0].finished_ns, ZERO_NS + 11_000 * MS);
    assert_eq!(feed.counts(0).interrupted_iterations, 1);
}

#[test]
fn a_vu_that_goes_on_elsewhere_was_cut_off_by_its_ramp_down() {
    let mut feed = feed(
        "  a: {executor: ramping-vus, start_vus: 2, stages: [{duration: 4s, target: 0}, {duration: 6s, target: 0}], graceful_ramp_down: 1s}\n",
    );
    begin(&mut feed, 1, 0, 0, 1000);
    // One VU less at 2 s, cut off at 3 s; the other at 4 s.
    begin(&mut feed, 1, 1, 0, 6000);
    let records = all(&mut feed);
    assert_eq!(records[0].finished_ns, ZERO_NS + 3000 * MS);
    assert_eq!(records[0].failure, Some(Failure::Interrupted));
    assert_eq!(feed.counts(0).interrupted_iterations, 1);
    assert_eq!(feed.scenarios[0].open.len(), 1);
}

#[test]
fn a_scenario_has_drained_when_its_last_iteration_ended() {
    let at = |ms: i64| ZERO_NS + ms * MS;
    let mut feed = looping();
    begin(&mut feed, 1, 0, 0, 9000);
    assert_eq!(feed.over(0, at(9900)), Over::No);
    assert_eq!(feed.over(0, at(10_100)), Over::Closed { early: false });
    take(&mut feed, "e 1 1300.5 200 - .");
    let drained = |at_ns| Over::Drained {
        early: false,
        at_ns,
    };
    assert_eq!(feed.over(0, at(10_400)), drained(at(10_301)));

    // Nothing was on at the end.
    let mut feed = looping();
    begin(&mut feed, 1, 0, 0, 9000);
    take(&mut feed, "e 1 5 200 - .");
    assert_eq!(feed.over(0, at(10_100)), drained(at(10_000)));

    // Cut off by the graceful stop.
    let mut feed = looping();
    begin(&mut feed, 1, 0, 0, 9000);
    assert_eq!(feed.over(0, at(11_200)), Over::Closed { early: false });
    assert_eq!(feed.over(0, at(11_500)), drained(at(11_000)));
    assert_eq!(feed.counts(0).interrupted_iterations, 1);
}

#[test]
fn after_the_last_vu_was_taken_away_nothing_is_waited_for() {
    let mut feed = feed(
        "  a: {executor: ramping-vus, start_vus: 2, stages: [{duration: 4s, target: 0}], graceful_ramp_down: 1s}\n",
    );
    begin(&mut feed, 1, 0, 0, 3000);
    let drained = Over::Drained {
        early: false,
        at_ns: ZERO_NS + 5000 * MS,
    };
    assert_eq!(feed.over(0, ZERO_NS + 5500 * MS), drained);
}

#[test]
fn an_executor_that_counts_is_over_when_all_are_made() {
    let mut feed =
        feed("  a: {executor: shared-iterations, vus: 1, iterations: 1, max_duration: 9s}\n");
    begin(&mut feed, 1, 0, 0, 10);
    assert_eq!(feed.over(0, ZERO_NS + 20 * MS), Over::No);
    take(&mut feed, "e 1 20 200 - .");
    let drained = Over::Drained {
        early: true,
        at_ns: ZERO_NS + 30 * MS + MS / 2,
    };
    assert_eq!(feed.over(0, ZERO_NS + 40 * MS), drained);
}

#[test]
fn the_first_request_of_an_arrival_is_due_by_the_schedule() {
    let mut feed = arriving();
    take(&mut feed, &format!("open 0 {}", ZERO_MS + 2));
    begin(&mut feed, 1, 0, 0, 2);
    begin(&mut feed, 2, 1, 0, 180);
    take(&mut feed, "e 2 1 200 -");
    begin(&mut feed, 2, 1, 1, 190);
    take(&mut feed, "e 2 1 200 - .");
    feed.resolve(ZERO_NS + 100 * MS, |_| Some(0));
    let steps: Vec<u16> = feed.take_ready().iter().map(|r| r.step).collect();
    assert_eq!(
        steps,
        [1],
        "the first waits until it is known when it was due"
    );
    let records = all(&mut feed);
    assert_eq!(records[0].intended_ns, ZERO_NS + 102 * MS + MS / 2);
    assert_eq!(records[0].sent_ns, ZERO_NS + 180 * MS + MS / 2);
}

#[test]
fn an_iteration_without_a_request_takes_its_tick() {
    let mut feed = arriving();
    take(&mut feed, "u 1 0 0 0");
    take(&mut feed, "i 1");
    take(&mut feed, "n 0 1");
    begin(&mut feed, 1, 2, 0, 200);
    take(&mut feed, "e 1 1 200 - .");
    assert_eq!(all(&mut feed)[0].intended_ns, ZERO_NS + 200 * MS);
    let counts = feed.counts(0);
    assert_eq!(
        (
            counts.unsent_steps,
            counts.iterations,
            counts.ended_iterations
        ),
        (1, 3, 3)
    );
}

#[test]
fn parts_of_a_batch_belong_to_one_iteration() {
    let mut feed = looping();
    for part in ["1.0", "1.1"] {
        take(&mut feed, &format!("b {part} 0 0 0 0 {TRACE} {ZERO_MS} /a"));
    }
    take(&mut feed, "e 1.1 1 200 -");
    take(&mut feed, "e 1.0 1 200 -");
    take(&mut feed, "i 1");
    assert_eq!(all(&mut feed).len(), 2);
    assert_eq!(feed.counts(0).ended_iterations, 1);
}

#[test]
fn lines_that_come_after_an_iteration_was_given_up_count_once() {
    let mut feed = arriving();
    begin(&mut feed, 1, 0, 0, 0);
    feed.interrupt(0, ZERO_NS + 100 * MS);
    // It was the reader that was late.
    begin(&mut feed, 1, 0, 1, 50);
    take(&mut feed, "e 1 5 200 - .");
    begin(&mut feed, 1, 1, 0, 110);
    take(&mut feed, "e 1 5 200 - .");
    let counts = *feed.counts(0);
    assert_eq!((counts.iterations, counts.ended_iterations), (2, 2));
    assert_eq!((counts.sent, counts.interrupted_iterations), (3, 0));
    let records = all(&mut feed);
    assert_eq!(records.len(), 3);
    let second = records.iter().find(|r| r.iteration == 1).unwrap();
    assert_eq!(
        second.intended_ns,
        ZERO_NS + 100 * MS,
        "its tick is the second"
    );
}

#[test]
fn what_the_plan_lacks_is_said() {
    let mut feed = looping();
    for line in [
        format!("b 1 7 0 0 0 {TRACE} {ZERO_MS} /a"),
        format!("b 1 0 0 3 0 {TRACE} {ZERO_MS} /a"),
        format!("b 1 0 0 0 9 {TRACE} {ZERO_MS} /a"),
        format!("open =nobody {ZERO_MS}"),
    ] {
        let text = format!("lg1 {line}");
        assert!(feed.take(&parse(&text).unwrap(), 0).is_err(), "{line}");
    }
}

proptest! {
    /// Whatever is cut off or lost: every request that began comes out once, and counts add up.
    #[test]
    fn nothing_that_was_sent_is_missing(script in prop::collection::vec((1u32..5, 0u8..5), 1..200)) {
        let mut feed = arriving();
        let mut number = 0;
        let mut began = 0;
        let mut now = 0;
        for (vu, action) in script {
            now += 7;
            match action {
                0 => { begin(&mut feed, vu, number, 0, now); number += 1; began += 1; }
                1 => take(&mut feed, &format!("e {vu} 1.5 200 -")),
                2 => take(&mut feed, &format!("e {vu} 1.5 200 - .")),
                3 => take(&mut feed, &format!("i {vu}")),
                _ => feed.resolve(ZERO_NS + now * MS, |_| Some(number / 3)),
            }
        }
        feed.interrupt(0, ZERO_NS + now * MS);
        let counts = *feed.counts(0);
        prop_assert_eq!(counts.sent, began);
        prop_assert_eq!(counts.completed, began);
        prop_assert_eq!(counts.iterations, number);
        prop_assert_eq!(counts.ended_iterations + counts.interrupted_iterations, number);
        let records = all(&mut feed);
        prop_assert!(records.iter().all(|r| r.intended_ns <= r.sent_ns));
        prop_assert_eq!(records.len() as u64, began);
        prop_assert!(feed.without_due.is_empty());
    }
}

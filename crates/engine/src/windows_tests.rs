use super::*;
use loadgen_scenario::{PlanOptions, plan_str};
use proptest::prelude::*;

const ZERO_NS: i64 = 1_795_573_449_000_000_000;

/// Milliseconds of the plan.
fn at(ms: i64) -> i64 {
    ZERO_NS + ms * 1_000_000
}

fn windows(scenarios: &str, reporters: usize, keeps_to_the_plan: bool) -> Windows {
    let text = format!(
        "version: 1\noverlap: allow\nflows: {{default: {{steps: [{{path: /}}]}}}}\nscenarios:\n{scenarios}"
    );
    let mut plan = plan_str("t.yaml", &text, &PlanOptions::default()).unwrap();
    for scenario in &mut plan.scenarios {
        if scenario.name.ends_with("-faulty") {
            scenario.fault = Some(crate::injector::tests::fault("slow"));
        }
    }
    Windows::new(Arc::new(plan), ZERO_NS, reporters, keeps_to_the_plan)
}

const NEIGHBOURS: &str = "  a-faulty: {executor: constant-vus, vus: 1, duration: 1s}\n  \
                          b-faulty: {executor: constant-vus, vus: 1, duration: 1s}\n";

const COUNTING: &str = "  a: {executor: shared-iterations, iterations: 5, max_duration: 1s}\n";

fn open(scenario: usize, at_ns: i64) -> [Action; 2] {
    let signal = Signal::Open;
    [
        Action::Open { scenario, at_ns },
        Action::Signal { scenario, signal },
    ]
}

fn close(scenario: usize, at_ns: i64) -> Action {
    Action::Close { scenario, at_ns }
}

fn drain(scenario: usize, at_ns: i64) -> Action {
    Action::Drain { scenario, at_ns }
}

#[test]
fn neighbours_meet_at_the_moment_that_was_reached() {
    let mut windows = windows(NEIGHBOURS, 1, false);
    assert_eq!(windows.next_ns(), Some(at(0)));
    windows.reach(at(0));
    assert_eq!(windows.next_ns(), Some(at(1000)));
    assert_eq!(windows.reach(at(999)), []);
    let at_ns = at(1003);
    assert_eq!(
        windows.reach(at_ns),
        [
            close(0, at_ns),
            Action::LetGo { scenario: 0 },
            Action::Open { scenario: 1, at_ns },
            Action::Inject { scenario: 1, at_ns },
            Action::Signal {
                scenario: 1,
                signal: Signal::Open
            },
        ]
    );
    assert_eq!(windows.reach(at_ns), []);
    assert_eq!(windows.opened(1, at_ns).planned_start_ns, at(1000));
}

#[test]
fn k6_opens_and_closes_by_the_plan() {
    let mut windows = windows(NEIGHBOURS, 1, true);
    let actions = windows.reach(at(1003));
    assert_eq!(
        actions[0],
        Action::Open {
            scenario: 0,
            at_ns: at(0)
        }
    );
    assert_eq!(actions[3], close(0, at(1000)));
    assert_eq!(
        actions[5],
        Action::Open {
            scenario: 1,
            at_ns: at(1000)
        }
    );
}

#[test]
fn moments_that_were_missed_come_in_their_order() {
    let mut windows = windows(NEIGHBOURS, 1, false);
    let actions = windows.reach(at(5000));
    let edges = actions.into_iter().filter_map(|action| match action {
        Action::Open { scenario, at_ns } => Some(('+', scenario, at_ns)),
        Action::Close { scenario, at_ns } => Some(('-', scenario, at_ns)),
        _ => None,
    });
    let late = at(5000);
    assert_eq!(
        edges.collect::<Vec<_>>(),
        [
            ('+', 0, late),
            ('-', 0, late),
            ('+', 1, late),
            ('-', 1, late)
        ]
    );
    assert_eq!(windows.next_ns(), None);
}

#[test]
fn a_report_may_be_faster_than_the_clock() {
    let mut windows = windows(
        "  a: {executor: constant-vus, duration: 1s}\n  b: {executor: constant-vus, duration: 1s}\n",
        2,
        false,
    );
    windows.reach(at(0));
    let actions = windows.closed(0, at(1001), None);
    let mut expected = vec![close(0, at(1001))];
    expected.extend(open(1, at(1001)));
    assert_eq!(actions, expected);
    // The other reporter and the clock have nothing to add.
    assert_eq!(windows.closed(0, at(1002), None), []);
    assert_eq!(windows.reach(at(1002)), []);
}

#[test]
fn a_window_closes_early_when_nobody_starts_any_more() {
    let mut windows = windows(COUNTING, 2, false);
    windows.reach(at(0));
    assert_eq!(windows.closed(0, at(300), None), []);
    assert_eq!(
        windows.closed(0, at(400), Some(at(390))),
        [close(0, at(390))]
    );
    assert_eq!(windows.reach(at(1000)), []);
}

#[test]
fn a_scenario_has_drained_when_it_has_for_all() {
    let mut windows = windows(COUNTING, 2, false);
    windows.reach(at(0));
    windows.reach(at(1000));
    assert!(windows.is_on(0) && windows.has_closed(0));
    assert_eq!(windows.drained(0, at(1100)), []);
    assert!(!windows.is_over());
    assert_eq!(
        windows.drained(0, at(1200)),
        [Action::DropTheRest { scenario: 0 }, drain(0, at(1200))]
    );
    assert!(windows.is_over() && !windows.is_on(0) && windows.has_closed(0));
}

#[test]
fn a_run_that_is_to_end_early_opens_nothing_more() {
    let mut windows = windows(NEIGHBOURS, 1, false);
    windows.reach(at(0));
    let signal = Signal::Stop;
    assert_eq!(
        windows.end_early(signal, at(300)),
        [
            Action::Signal {
                scenario: 0,
                signal
            },
            Action::Signal {
                scenario: 1,
                signal
            },
        ]
    );
    assert_eq!(windows.next_ns(), None);
    assert_eq!(
        windows.closed(0, at(1500), None),
        [close(0, at(1500)), Action::LetGo { scenario: 0 }]
    );
    // Of the one that never opened nothing is written.
    assert_eq!(windows.closed(1, at(1500), None), []);
    assert_eq!(windows.drained(1, at(1500)), []);
    assert_eq!(windows.drained(0, at(1600)), [drain(0, at(1600))]);
    assert!(windows.is_over());
}

#[test]
fn what_a_broken_run_leaves_open_is_closed() {
    let mut windows = windows(NEIGHBOURS, 1, false);
    windows.reach(at(0));
    assert_eq!(
        windows.end(at(70)),
        [close(0, at(70)), Action::LetGo { scenario: 0 }]
    );
    assert_eq!(windows.end(at(80)), []);
}

const WITHIN: &str = "  a: {executor: constant-vus, vus: 1, duration: 5s}\n  \
                      b-faulty: {executor: none, start_time: 1s, duration: 1s}\n  \
                      c-faulty: {executor: none, start_time: 3s, duration: 1s}\n";

#[test]
fn of_a_window_that_sends_nothing_nobody_reports() {
    let mut windows = windows(WITHIN, 2, false);
    windows.reach(at(0));
    let at_ns = at(1000);
    assert_eq!(
        windows.reach(at_ns),
        [
            Action::Open { scenario: 1, at_ns },
            Action::Inject { scenario: 1, at_ns }
        ]
    );
    let at_ns = at(2000);
    assert_eq!(
        windows.reach(at_ns),
        [
            close(1, at_ns),
            Action::LetGo { scenario: 1 },
            drain(1, at_ns)
        ]
    );
    windows.reach(at(3100));
    let signal = Signal::Stop;
    assert_eq!(
        windows.end_early(signal, at(3200)),
        [
            Action::Signal {
                scenario: 0,
                signal
            },
            close(2, at(3200)),
            Action::LetGo { scenario: 2 },
            drain(2, at(3200)),
        ]
    );
    for _ in 0..2 {
        windows.closed(0, at(3300), None);
        windows.drained(0, at(3400));
    }
    assert!(windows.is_over());
}

#[test]
fn one_that_was_to_come_never_opens() {
    let mut windows = windows(WITHIN, 1, false);
    windows.reach(at(0));
    windows.end_early(Signal::Stop, at(100));
    windows.closed(0, at(200), None);
    assert_eq!(windows.drained(0, at(300)), [drain(0, at(300))]);
    assert!(windows.is_over());
}

const MANY: &str = "  a-faulty: {executor: constant-vus, vus: 1, duration: 1s}\n  \
                    b: {executor: constant-vus, vus: 1, duration: 2s}\n  \
                    c: {executor: shared-iterations, iterations: 5, max_duration: 3s, start_time: 500ms}\n  \
                    d-faulty: {executor: constant-vus, vus: 1, duration: 1s, start_time: 3s}\n";

proptest! {
    /// Whatever is reported, in whatever order: each window opens, closes and drains in this order,
    /// at most once, at times that never go back; each fault is let go of as often as it was
    /// asked for; the end leaves nothing open.
    #[test]
    fn windows_keep_their_order(
        reporters in 1usize..3,
        keeps_to_the_plan: bool,
        steps in prop::collection::vec((0i64..400, 0usize..4, 0u8..8), 0..60),
    ) {
        let mut windows = windows(MANY, reporters, keeps_to_the_plan);
        let mut actions = Vec::new();
        let mut now_ns = at(0);
        let (mut closed, mut drained) = ([0; 4], [0; 4]);
        for (ms, scenario, what) in steps {
            now_ns += ms * 1_000_000;
            actions.extend(match what {
                0..4 => windows.reach(now_ns),
                // Who reports does so once, first this and then that.
                4 | 5 if closed[scenario] < reporters => {
                    closed[scenario] += 1;
                    windows.closed(scenario, now_ns, None)
                }
                6 if drained[scenario] < closed[scenario] => {
                    drained[scenario] += 1;
                    windows.drained(scenario, now_ns)
                }
                7 if scenario == 0 => windows.end_early(Signal::Stop, now_ns),
                _ => vec![],
            });
        }
        actions.extend(windows.end(now_ns));
        for scenario in 0..4 {
            let mut edges = Vec::new();
            let mut in_force = 0;
            for action in &actions {
                match *action {
                    Action::Open { scenario: of, at_ns } if of == scenario => edges.push((1, at_ns)),
                    Action::Close { scenario: of, at_ns } if of == scenario => edges.push((2, at_ns)),
                    Action::Drain { scenario: of, at_ns } if of == scenario => edges.push((3, at_ns)),
                    Action::Inject { scenario: of, .. } if of == scenario => in_force += 1,
                    Action::LetGo { scenario: of } if of == scenario => in_force -= 1,
                    _ => {}
                }
            }
            prop_assert_eq!(in_force, 0);
            prop_assert!(edges.is_sorted() && edges.iter().enumerate().all(|(n, e)| e.0 == n + 1), "{edges:?}");
            prop_assert_ne!(edges.len(), 1);
        }
    }
}

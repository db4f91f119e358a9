//! When windows begin and end, what surrounds them, and what `--time-scale` does to them.

use loadgen_scenario::{Executor, Plan, PlanOptions, Stage, plan_str, planned_length_ns};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn plan_with(text: &str, options: &PlanOptions) -> Plan {
    plan_str("test.yaml", text, options).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A file with one flow, `default`, and these scenarios.
fn scenarios(block: &str) -> Plan {
    let text = format!("version: 1\nflows: {{default: {{steps: [{{path: /}}]}}}}\n{block}");
    plan_with(&text, &PlanOptions::default())
}

#[test]
fn scenarios_follow_one_another_or_whom_they_name() {
    let plan = scenarios(
        "
overlap: allow
scenarios:
  late: {executor: constant-vus, duration: 5s, after: middle}
  first: {executor: constant-vus, duration: 10s, start_time: 1s}
  second: {executor: per-vu-iterations, maxDuration: 20s}
  middle: {executor: constant-vus, duration: 1s, after: first}
",
    );
    let windows: Vec<_> = plan
        .scenarios
        .iter()
        .map(|s| (s.name.as_str(), s.start_ns / SECOND, s.end_ns / SECOND))
        .collect();
    assert_eq!(
        windows,
        [
            ("first", 1, 11),
            ("second", 11, 31),
            ("middle", 11, 12),
            ("late", 12, 17)
        ]
    );
}

#[test]
fn windows_that_touch_do_not_overlap() {
    let plan = scenarios(
        "
scenarios:
  one: {executor: constant-vus, duration: 10s}
  two: {executor: constant-vus, duration: 10s, start_time: 10s}
",
    );
    assert_eq!(plan.scenarios[1].start_ns, 10 * SECOND);
}

#[test]
fn guards_are_a_share_or_a_time() {
    let plan = scenarios(
        "
guard: 3s
scenarios:
  one: {executor: constant-vus, duration: 100s}
  two: {executor: constant-vus, duration: 100s, guard: 12.5%}
",
    );
    let guards: Vec<_> = plan.scenarios.iter().map(|s| s.guard_ns).collect();
    assert_eq!(guards, [3 * SECOND, 12_500_000_000]);
}

#[test]
fn the_time_scale_stretches_the_timetable_only() {
    let text = "
version: 1
guard: 2s
defaults: {timeout: 5s, think_time: 100ms}
flows: {default: {steps: [{path: /}]}}
scenarios:
  one: {executor: constant-arrival-rate, rate: 100, duration: 10s, pre_allocated_vus: 1, time_unit: 2s}
  two: {executor: ramping-vus, start_time: 30s, stages: [{duration: 10s, target: 3}, {duration: 5s, target: 1}]}
  three: {executor: shared-iterations, max_duration: 20s, graceful_stop: 3s}
";
    let plan = plan_with(
        text,
        &PlanOptions {
            time_scale: 0.1,
            ..Default::default()
        },
    );
    let [one, two, three] = plan.scenarios.as_slice() else {
        panic!()
    };
    assert_eq!(
        one.executor,
        Executor::ConstantArrivalRate {
            rate: 100,
            time_unit_ns: 2 * SECOND,
            duration_ns: SECOND,
            pre_allocated_vus: 1,
            max_vus: 1
        }
    );
    assert_eq!(
        (two.start_ns, two.end_ns, two.guard_ns),
        (3 * SECOND, 4_500_000_000, 200_000_000)
    );
    let Executor::RampingVus {
        stages,
        graceful_ramp_down_ns,
        ..
    } = &two.executor
    else {
        panic!()
    };
    assert_eq!(
        stages[1],
        Stage {
            duration_ns: 500_000_000,
            target: 1
        }
    );
    assert_eq!(*graceful_ramp_down_ns, 30 * SECOND);
    assert_eq!(
        (three.end_ns - three.start_ns, three.graceful_stop_ns),
        (2 * SECOND, 3 * SECOND)
    );
    let step = &plan.flows[0].steps[0];
    assert_eq!(
        (step.timeout_ns, step.think_time.unwrap().min_ns),
        (5 * SECOND, 100_000_000)
    );
}

proptest! {
    /// However the timetable is stretched, windows that touched still touch.
    #[test]
    fn scaled_windows_leave_no_gap(scale in 0.001f64..50.0, lengths in prop::collection::vec(1u64..1_000_000, 1..12)) {
        let mut block = String::from("scenarios:\n");
        for (index, ms) in lengths.iter().enumerate() {
            block += &format!("  s{index}: {{executor: ramping-vus, stages: [{{duration: {ms}, target: 2}}, {{duration: {ms}, target: 1}}]}}\n");
        }
        let text = format!("version: 1\nflows: {{default: {{steps: [{{path: /}}]}}}}\n{block}");
        let plan = plan_with(&text, &PlanOptions { time_scale: scale, ..Default::default() });
        for scenario in &plan.scenarios {
            let length = planned_length_ns(&scenario.executor);
            prop_assert_eq!(scenario.start_ns + length, scenario.end_ns);
        }
        for pair in plan.scenarios.windows(2) {
            prop_assert_eq!(pair[0].end_ns, pair[1].start_ns);
        }
    }
}

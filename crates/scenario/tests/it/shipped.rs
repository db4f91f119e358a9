//! The scenario files that are shipped: the timetable they promise, and the requests of their
//! first iterations, which must not change without notice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use loadgen_scenario::steady::short_windows;
use loadgen_scenario::{Executor, Iteration, Plan, PlanOptions, Prng, StepRequest, load};

const SECOND: u64 = 1_000_000_000;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scenarios")
        .join(name)
}

fn plan(name: &str, time_scale: f64) -> Plan {
    let options = PlanOptions {
        time_scale,
        ..Default::default()
    };
    let loaded = load(path(name), &options).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.notes.is_empty(), "{}", loaded.notes);
    loaded.plan
}

/// VUs or rate of an executor, for people.
fn shape(executor: &Executor) -> String {
    match executor {
        Executor::ConstantVus { vus, .. } => format!("{vus} VUs"),
        Executor::RampingVus {
            start_vus, stages, ..
        } => format!("{start_vus}-{} VUs", stages[0].target),
        Executor::ConstantArrivalRate { rate, .. } => format!("{rate}/s"),
        Executor::RampingArrivalRate {
            start_rate, stages, ..
        } => format!("{start_rate}-{}/s", stages[0].target),
        other => format!("{other:?}"),
    }
}

#[test]
fn default_is_the_classic_timetable() {
    let plan = plan("default.yaml", 1.0);
    let windows: Vec<_> = plan
        .scenarios
        .iter()
        .map(|s| {
            (
                s.anomaly.kind.as_str(),
                s.start_ns / SECOND,
                s.end_ns / SECOND,
            )
        })
        .collect();
    assert_eq!(
        windows,
        [
            // The warm-up; then eight windows, as ever.
            ("none", 0, 10),
            ("none", 10, 130),
            ("latency_spike", 130, 250),
            ("db_exhaustion", 250, 370),
            ("cpu_saturation", 370, 490),
            ("cache_miss", 490, 610),
            ("dependency_bottleneck", 610, 730),
            ("timeout", 730, 850),
            ("error_spike", 850, 910),
        ]
    );
    let shapes: Vec<_> = plan.scenarios.iter().map(|s| shape(&s.executor)).collect();
    assert_eq!(
        shapes,
        [
            "1-5 VUs",
            "10 VUs",
            "10-40 VUs",
            "100/s",
            "20-60 VUs",
            "40 VUs",
            "10-40/s",
            "30 VUs",
            "10-50 VUs"
        ]
    );
}

#[test]
fn every_anomaly_has_its_fault_where_the_label_says() {
    let plan = plan("default.yaml", 1.0);
    let [warm_up, baseline, anomalies @ ..] = plan.scenarios.as_slice() else {
        panic!("{} scenarios", plan.scenarios.len());
    };
    assert!(warm_up.warm_up && !baseline.warm_up);
    assert!(warm_up.fault.is_none() && baseline.fault.is_none());
    for scenario in anomalies {
        assert_eq!(scenario.anomaly.label, "anomalous");
        assert!(scenario.anomaly.symptom.is_some() && !scenario.warm_up);
        let fault = scenario.fault.as_ref().unwrap();
        assert_eq!(
            scenario.anomaly.root_cause_service.as_ref(),
            Some(&fault.service)
        );
    }
}

#[test]
fn no_flow_gives_a_label_away() {
    let plan = plan("default.yaml", 1.0);
    let mixes: BTreeSet<BTreeSet<usize>> = plan
        .scenarios
        .iter()
        .map(|s| s.exec.iter().map(|e| e.flow).collect())
        .collect();
    assert_eq!(mixes.len(), 1, "each scenario mixes the same flows");
    assert_eq!(mixes.first().unwrap().len(), plan.flows.len());
    // Where VUs set the pace, in the same proportions too.
    let by_vus: Vec<_> = plan
        .scenarios
        .iter()
        .filter(|s| shape(&s.executor).ends_with("VUs"))
        .collect();
    assert_eq!(by_vus.len(), 7);
    for scenario in &by_vus {
        assert_eq!(scenario.exec, by_vus[0].exec, "{}", scenario.name);
    }
}

/// Evidence needs steady time, and the scales that people are told to use leave enough of it.
#[test]
fn windows_are_long_enough_at_the_scales_that_are_named() {
    for (name, scale) in [("default.yaml", 0.1), ("quick.yaml", 1.0)] {
        assert_eq!(short_windows(&plan(name, scale)), []);
    }
    let loaded = load(
        path("quick.yaml"),
        &PlanOptions {
            time_scale: 0.3,
            ..PlanOptions::default()
        },
    );
    let notes = loaded.unwrap().notes.to_string();
    assert!(
        notes.starts_with("note: 8 windows are too short"),
        "{notes}"
    );
}

#[test]
fn quick_is_default_in_about_a_minute() {
    let (default, quick) = (plan("default.yaml", 1.0), plan("quick.yaml", 1.0));
    assert_eq!(default.flows, quick.flows);
    assert!((60..=70).contains(&(quick.end_ns() / SECOND)));
    for (long, short) in default.scenarios.iter().zip(&quick.scenarios) {
        assert_eq!((&long.name, &long.exec), (&short.name, &short.exec));
        assert_eq!((&long.anomaly, &long.fault), (&short.anomaly, &short.fault));
        assert_eq!(shape(&long.executor), shape(&short.executor));
    }
}

/// The requests of the first iterations. Steps whose values come from answers show the variable
/// that they wait for.
#[test]
fn first_requests_stay_the_same() {
    let plan = plan("quick.yaml", 1.0);
    let mut text = String::new();
    for scenario in &plan.scenarios {
        let prng = Prng::new(plan.seed, &scenario.name);
        for number in 0..3 {
            let mut iteration = Iteration::new(&plan, scenario, prng, number);
            let flow = &plan.flows[iteration.flow()].name;
            writeln!(text, "{} {number} {flow}", scenario.name).unwrap();
            for step in 0..iteration.step_count() {
                let think = iteration.think_time_ns(step);
                let line = match iteration.request(step) {
                    StepRequest::Skip => "skip".to_owned(),
                    StepRequest::Missing { variable } => format!("needs {variable}"),
                    StepRequest::Send(request) => {
                        let body = request.body.map(|body| String::from_utf8(body).unwrap());
                        let body = body.unwrap_or_default();
                        format!("{} {} {body}", request.method, request.path)
                    }
                };
                writeln!(text, "  {} ({think} ns)", line.trim_end()).unwrap();
            }
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("first_requests_of_quick", text));
}

/// The OpenTelemetry Demo's tasks have the demo's weights, and each window's load is the same.
#[test]
fn otel_demo_has_the_demos_tasks() {
    let plan = plan("otel-demo.yaml", 1.0);
    let of = |scenario: &loadgen_scenario::PlannedScenario| -> Vec<(String, u32)> {
        let exec = scenario.exec.iter();
        exec.map(|mixed| (plan.flows[mixed.flow].name.clone(), mixed.weight))
            .collect()
    };
    let tasks = of(&plan.scenarios[0]);
    assert_eq!(tasks.iter().map(|(_, weight)| weight).sum::<u32>(), 7 * 29);
    let weight = |name: &str| {
        let of_it = tasks.iter().filter(|(task, _)| task.starts_with(name));
        of_it.map(|(_, weight)| weight).sum::<u32>()
    };
    for (name, demo) in [
        ("user_index", 1),
        ("user_browse_product", 10),
        ("user_get_recommendations", 3),
        ("user_get_ads", 3),
        ("user_view_cart", 3),
        ("user_add_to_cart", 2),
        ("user_checkout_single", 1),
        ("user_checkout_multi", 1),
        ("user_flood_home", 5),
    ] {
        assert_eq!(weight(name), 7 * demo, "{name}");
    }
    for flow in &plan.flows {
        let wait = flow.wait_time.unwrap();
        assert_eq!((wait.min_ns, wait.max_ns), (SECOND, 10 * SECOND));
        for step in &flow.steps {
            let keys: Vec<_> = step.baggage.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, ["synthetic_request", "session.id"], "{}", flow.name);
        }
    }
    for scenario in &plan.scenarios {
        assert_eq!(of(scenario), tasks, "{}", scenario.name);
        assert!(
            matches!(
                scenario.executor,
                Executor::ExternallyControlled {
                    vus: 5,
                    max_vus: 50,
                    flag: 0,
                    ..
                }
            ),
            "{}",
            scenario.name
        );
    }
}

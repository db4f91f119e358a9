//! Runs made up for tests: latencies are the quantiles of an exponential distribution, so that they
//! are the same everywhere.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;

use loadgen_compare::statistics::SortedValues;
use loadgen_compare::{LoadedRun, Pair, RequestChoice, ScenarioRequests, TargetSide};
use loadgen_scenario::{Plan, PlanOptions, plan_str};
use loadgen_timeline::event::{Engine, RunStarted};
use serde_json::json;

const FILE: &str = "
version: 1
flows: {default: {steps: [{path: /}]}}
scenarios:
  vus: {executor: constant-vus, vus: 2, duration: 10s}
  rate: {executor: constant-arrival-rate, rate: 100, time_unit: 1s, duration: 10s, pre_allocated_vus: 9}
";

/// What a made-up run is like.
#[derive(Clone, Copy)]
pub(crate) struct Like {
    pub(crate) engine: Engine,
    /// Mean of what the target takes, in ms.
    pub(crate) target_ms: f64,
    /// What each request takes beside that, in ms.
    pub(crate) outside_ms: f64,
    /// How much later than due requests are sent, in ms.
    pub(crate) late_ms: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) timeouts: u64,
    pub(crate) has_dataset: bool,
}

pub(crate) const RUST: Like = Like {
    engine: Engine::Rust,
    target_ms: 4.0,
    outside_ms: 0.3,
    late_ms: 0.05,
    cpu_seconds: 0.2,
    timeouts: 0,
    has_dataset: true,
};

pub(crate) const K6: Like = Like {
    engine: Engine::K6,
    outside_ms: 2.3,
    late_ms: 0.2,
    cpu_seconds: 0.5,
    ..RUST
};

/// A repetition; `jitter` is the factor by which the target is slower in it.
pub(crate) fn pair(repetition: u32, a: Like, b: Like, jitter: f64) -> Pair {
    let in_repetition = |like: Like| Like {
        target_ms: like.target_ms * jitter,
        ..like
    };
    // Odd repetitions begin with a.
    let (first, second) = (10 * i64::from(repetition), 10 * i64::from(repetition) + 5);
    let (at_a, at_b) = match repetition % 2 {
        1 => (first, second),
        _ => (second, first),
    };
    Pair {
        repetition,
        a: run(repetition, "a", in_repetition(a), at_a),
        b: run(repetition, "b", in_repetition(b), at_b),
    }
}

pub(crate) fn plan() -> Plan {
    plan_str("made.yaml", FILE, &PlanOptions::default()).unwrap()
}

fn run(repetition: u32, side: &str, like: Like, at_ns: i64) -> LoadedRun {
    let plan = plan();
    let started = RunStarted {
        schema_version: 1,
        run_id: format!("{repetition}{side}"),
        at_ns,
        scenario_file: plan.scenario_file.clone(),
        scenario_sha256: plan.scenario_sha256.clone(),
        seed: u64::from(repetition),
        time_scale: 1.0,
        engine: like.engine,
        engine_version: (like.engine == Engine::K6).then(|| "1.1.0".into()),
        target: "http://127.0.0.1:8080".into(),
        loadgen_version: "0.1.0".into(),
        shard: None,
        shards: Vec::new(),
    };
    let is_k6 = like.engine == Engine::K6;
    let harness_s = is_k6.then_some(0.1);
    let scenario = |name: &str| {
        json!({
            "scenario": name, "anomaly_type": "none", "window_seconds": 10.0,
            "iterations": 1000, "interrupted_iterations": 0, "dropped_iterations": 0,
            "unsent_steps": 0, "achieved_iterations_per_s": 100.0, "requests": 1000,
            "requests_per_s": 100.0, "failed": like.timeouts, "failures": {}, "statuses": {},
            "asked_iterations_per_s": if name == "rate" { Some(100.0) } else { None },
            "generator_cpu_seconds": like.cpu_seconds / 2.0,
            "harness_cpu_seconds": harness_s.map(|s| s / 2.0),
        })
    };
    let summary = json!({
        "schema_version": 1, "run": null, "status": "completed", "seconds": 20.0,
        "scenarios": [scenario("vus"), scenario("rate")],
        "fault_failures": [], "clock_steps_ns": [],
        "generator": {
            "process": if is_k6 { "k6" } else { "rust" },
            "cpu_seconds": like.cpu_seconds,
            "max_rss_bytes": if is_k6 { 90 << 20 } else { 30 << 20 },
            "harness_cpu_seconds": harness_s,
            "harness_max_rss_bytes": is_k6.then_some(30 << 20),
        },
    });
    LoadedRun {
        folder: PathBuf::from(format!("rep-{repetition}-{side}")),
        started,
        scenarios: plan
            .scenarios
            .iter()
            .map(|s| requests(&s.name, like))
            .collect(),
        plan,
        summary: serde_json::from_value(summary).unwrap(),
        target_side: like.has_dataset.then(|| TargetSide {
            stamp: "20260202_020202".into(),
            header_coverage_percent: Some(100.0),
        }),
        warnings: Vec::new(),
    }
}

fn requests(name: &str, like: Like) -> ScenarioRequests {
    const N: u64 = 1000;
    let target = |i: u64| -like.target_ms * (1.0 - (i as f64 + 0.5) / N as f64).ln();
    let all = |of: &dyn Fn(u64) -> f64| SortedValues::new((0..N).map(of).collect());
    let of_target = |sample: SortedValues| match like.has_dataset {
        true => sample,
        false => SortedValues::default(),
    };
    // What is outside varies a little from request to request.
    let outside = |i: u64| like.outside_ms * (0.9 + 0.2 * ((i * 7919) % N) as f64 / N as f64);
    let timeouts = (like.timeouts > 0).then(|| ("timeout".to_owned(), like.timeouts));
    ScenarioRequests {
        scenario: name.to_owned(),
        sent: N,
        failures: timeouts.into_iter().collect(),
        client_ms: all(&|i| target(i) + outside(i)),
        intended_ms: all(&|i| target(i) + outside(i) + like.late_ms),
        server_ms: of_target(all(&target)),
        outside_ms: of_target(all(&outside)),
        labelled: like.has_dataset.then_some(N),
        window_s: Some(10.0),
        sent_at_s: (0..N).map(|i| i as f32 / 100.0).collect(),
        choices: (0..N)
            .map(|iteration| RequestChoice {
                iteration,
                step: 0,
                flow: 0,
                path: 7,
            })
            .collect(),
    }
}

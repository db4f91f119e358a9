//! What a file may look like: k6's spellings and defaults, overrides, YAML's own quirks, damage.

use loadgen_scenario::plan::FlagSource;
use loadgen_scenario::{
    Choice, Executor, Part, Plan, PlanOptions, Stage, Target, load_str, plan_str,
};
use proptest::prelude::*;
use serde_json::json;

const SECOND: u64 = 1_000_000_000;

const MINUTE: u64 = 60 * SECOND;

fn plan_with(text: &str, options: &PlanOptions) -> Plan {
    plan_str("test.yaml", text, options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn plan(text: &str) -> Plan {
    plan_with(text, &PlanOptions::default())
}

/// A file with one flow, `default`, and these scenarios.
fn scenarios(block: &str) -> Plan {
    plan(&format!(
        "version: 1\nflows: {{default: {{steps: [{{path: /}}]}}}}\n{block}"
    ))
}

#[test]
fn a_k6_block_pasted_as_yaml_works() {
    // The shapes of the examples in k6's documentation.
    let plan = scenarios(
        "
scenarios:
  shared_iter_scenario:
    executor: 'shared-iterations'
    vus: 10
    iterations: 100
    startTime: '0s'
  per_vu_scenario:
    executor: 'per-vu-iterations'
    vus: 10
    iterations: 10
    startTime: '10m'
    maxDuration: '30s'
    env: {EXAMPLEVAR: 'testing', N: 3}
    tags: {example_tag: 'testing'}
  ramping:
    executor: 'ramping-vus'
    startVUs: 0
    startTime: '11m'
    stages: [{ duration: '20s', target: 10 }, { duration: '10s', target: 0 }]
    gracefulRampDown: '0s'
  constant:
    executor: 'constant-arrival-rate'
    duration: 30000
    rate: 30
    timeUnit: '1s'
    preAllocatedVUs: 2
    maxVUs: 50
    startTime: '1d'
    gracefulStop: '5s'
  ramping_rate:
    executor: 'ramping-arrival-rate'
    startRate: 300
    timeUnit: '1m'
    preAllocatedVUs: 50
    stages:
      - { target: 300, duration: '1m' }
      - { target: 600, duration: '2m30s' }
",
    );
    let executors: Vec<_> = plan.scenarios.iter().map(|s| s.executor.clone()).collect();
    let stage = |duration_ns, target| Stage {
        duration_ns,
        target,
    };
    assert_eq!(
        executors,
        [
            Executor::SharedIterations {
                vus: 10,
                iterations: 100,
                max_duration_ns: 10 * MINUTE
            },
            Executor::PerVuIterations {
                vus: 10,
                iterations: 10,
                max_duration_ns: 30 * SECOND
            },
            Executor::RampingVus {
                start_vus: 0,
                stages: vec![stage(20 * SECOND, 10), stage(10 * SECOND, 0)],
                graceful_ramp_down_ns: 0
            },
            Executor::ConstantArrivalRate {
                rate: 30,
                time_unit_ns: SECOND,
                duration_ns: 30 * SECOND,
                pre_allocated_vus: 2,
                max_vus: 50
            },
            Executor::RampingArrivalRate {
                start_rate: 300,
                time_unit_ns: MINUTE,
                stages: vec![stage(MINUTE, 300), stage(150 * SECOND, 600)],
                pre_allocated_vus: 50,
                max_vus: 50
            },
        ]
    );
    assert_eq!(plan.scenarios[0].graceful_stop_ns, 30 * SECOND);
    assert_eq!(plan.scenarios[1].env["N"], "3");
    assert_eq!(plan.scenarios[1].tags["example_tag"], "testing");
    assert_eq!(plan.scenarios[3].graceful_stop_ns, 5 * SECOND);
    assert_eq!(plan.scenarios[4].start_ns, 86_430 * SECOND);
}

#[test]
fn a_block_as_k6_inspect_prints_it_works() {
    let plan = scenarios(
        r#"
scenarios: {
  "evening": {
    "executor": "ramping-vus",
    "startTime": null,
    "gracefulStop": null,
    "env": {"STAGE": null},
    "exec": null,
    "tags": null,
    "startVUs": null,
    "stages": [{"duration": "20s", "target": 4}],
    "gracefulRampDown": null
  }
}
"#,
    );
    let scenario = &plan.scenarios[0];
    assert_eq!((scenario.start_ns, scenario.end_ns), (0, 20 * SECOND));
    // k6 makes an empty text of a null here, and prints it so.
    assert_eq!(scenario.env["STAGE"], "");
    assert!(scenario.tags.is_empty());
    assert_eq!(scenario.graceful_stop_ns, 30 * SECOND);
}

#[test]
fn keys_of_k6_are_taken_in_any_case_and_numbers_as_texts() {
    let pasted = scenarios(
        "
scenarios:
  up:
    Executor: ramping-arrival-rate
    startrate: '3'
    TIMEUNIT: 1m
    preallocatedvus: '5'
    maxVus: 7
    Stages: [{Duration: 20s, TARGET: '40'}]
",
    );
    let ours = scenarios(
        "
scenarios:
  up:
    executor: ramping-arrival-rate
    start_rate: 3
    time_unit: 1m
    pre_allocated_vus: 5
    max_vus: 7
    stages: [{duration: 20s, target: 40}]
",
    );
    assert_eq!(pasted.scenarios, ours.scenarios);
}

/// `3.0` and `1e1` are whole numbers in a script, and k6 takes texts with a sign.
#[test]
fn numbers_are_those_of_javascript() {
    let plan = scenarios(
        "
scenarios:
  up:
    executor: ramping-arrival-rate
    startRate: 3.0
    preAllocatedVUs: 1e1
    maxVUs: '+20'
    stages: [{duration: 20s, target: 2.5e1}]
",
    );
    let Executor::RampingArrivalRate {
        start_rate,
        pre_allocated_vus,
        max_vus,
        stages,
        ..
    } = &plan.scenarios[0].executor
    else {
        panic!("{:?}", plan.scenarios[0].executor);
    };
    let read = (*start_rate, *pre_allocated_vus, *max_vus, stages[0].target);
    assert_eq!(read, (3, 10, 20, 25));
}

#[test]
fn what_is_taken_otherwise_than_k6_takes_it_is_noted() {
    let text = "\
version: 1
flows: {default: {steps: [{path: /}]}}
scenarios:
  up: {executor: shared-iterations, options: {browser: {type: chromium}}, env: {A: b // c
    , D: http://e}}
  down: {executor: constant-vus, duration: 8, gracefulStop: 1500}
  ramp: {executor: ramping-vus, stages: [{duration: 20, target: 2}, {duration: 2s, target: 2}]}
";
    let loaded = load_str("t.yaml", text, &PlanOptions::default()).unwrap();
    insta::assert_snapshot!(loaded.notes);
}

#[test]
fn defaults_are_k6s() {
    let plan = scenarios(
        "
scenarios:
  a: {executor: constant-vus, duration: 1s}
  b: {executor: per-vu-iterations, max_duration: 1s}
  c: {executor: shared-iterations, max_duration: 1s}
  d: {executor: ramping-vus, stages: [{duration: 1s, target: 2}]}
  e: {executor: constant-arrival-rate, rate: 1, duration: 1s, pre_allocated_vus: 7}
  f: {executor: ramping-arrival-rate, pre_allocated_vus: 3, stages: [{duration: 1s, target: 2}]}
",
    );
    let executor = |index: usize| &plan.scenarios[index].executor;
    assert_eq!(
        executor(0),
        &Executor::ConstantVus {
            vus: 1,
            duration_ns: SECOND
        }
    );
    assert!(matches!(
        executor(1),
        Executor::PerVuIterations {
            vus: 1,
            iterations: 1,
            ..
        }
    ));
    assert!(matches!(
        executor(2),
        Executor::SharedIterations {
            vus: 1,
            iterations: 1,
            ..
        }
    ));
    assert!(matches!(
        executor(3),
        Executor::RampingVus {
            start_vus: 1,
            graceful_ramp_down_ns: 30_000_000_000,
            ..
        }
    ));
    assert!(matches!(
        executor(4),
        Executor::ConstantArrivalRate {
            time_unit_ns: SECOND,
            max_vus: 7,
            ..
        }
    ));
    assert!(matches!(
        executor(5),
        Executor::RampingArrivalRate {
            start_rate: 0,
            max_vus: 3,
            ..
        }
    ));
    let anomaly = &plan.scenarios[0].anomaly;
    assert_eq!(
        (anomaly.kind.as_str(), anomaly.label.as_str()),
        ("none", "normal")
    );
    let step = &plan.flows[0].steps[0];
    assert_eq!((step.name.as_str(), step.method.as_str()), ("GET /", "GET"));
    assert_eq!(
        (step.timeout_ns, &step.expect.status),
        (MINUTE, &vec![(200, 399)])
    );
    assert_eq!((plan.name.as_str(), plan.seed), ("test", 0));
}

#[test]
fn the_run_overrides_the_file() {
    let text = "
version: 1
seed: 7
base_url: http://file:1/
flows: {default: {steps: [{path: /}]}}
scenarios: {one: {executor: constant-vus, duration: 1s}}
";
    let own = plan(text);
    assert_eq!(
        (own.seed, own.target),
        (7, Target::BaseUrl("http://file:1".to_owned()))
    );
    let options = PlanOptions {
        seed: Some(8),
        base_url: Some("https://flag:2/x/".to_owned()),
        ..Default::default()
    };
    let over = plan_with(text, &options);
    assert_eq!(
        (over.seed, over.target),
        (8, Target::BaseUrl("https://flag:2/x".to_owned()))
    );
    assert_eq!(own.scenario_sha256, over.scenario_sha256);
}

#[test]
fn anchors_and_byte_order_marks_are_understood() {
    let plan = plan(
        "\u{feff}version: 1
flows:
  default:
    vars: {a: &skus {pick: [x]}, b: *skus}
    steps: [{path: '/${a}${b}'}]
scenarios: {one: {executor: constant-vus, duration: 1s}}
",
    );
    assert_eq!(plan.flows[0].steps[0].draws.len(), 2);
}

/// Where YAML 1.1 would read something else, or a reader of numbers would change a text.
#[test]
fn texts_are_kept_as_written() {
    let plan = plan(
        "
version: 1
name: 2026
seed: 0x10
anomalies: {off: {symptom: no, root_cause: on, msg: 1e3}}
flows:
  default:
    vars: {a: {pick: [no, 007, 1_000, 0x10, 1e3, ~]}}
    steps: [{path: /, headers: {x-version: 1.10, x-on: yes}}]
scenarios:
  one: {executor: constant-vus, duration: 1s, anomaly: off, env: {A: 1.10, B: 0x10, C: true, D: 'null'}}
",
    );
    assert_eq!((plan.name.as_str(), plan.seed), ("2026", 16));
    let scenario = &plan.scenarios[0];
    let anomaly = &scenario.anomaly;
    assert_eq!(
        [
            anomaly.symptom.as_ref().unwrap(),
            &anomaly.root_cause,
            &anomaly.msg
        ],
        ["no", "on", "1e3"]
    );
    let env: Vec<_> = scenario.env.values().map(String::as_str).collect();
    assert_eq!(env, ["1.10", "0x10", "true", "null"]);
    let headers = &plan.flows[0].steps[0].headers;
    let header = |index: usize| headers[index].1.0.as_slice();
    assert_eq!(header(0), [Part::Text("1.10".to_owned())]);
    assert_eq!(header(1), [Part::Text("yes".to_owned())]);
    let values = json!(["no", "007", "1_000", 16, 1000.0, null]);
    let Choice::Pick(pick) = &plan.flows[0].steps[0].draws[0].choice else {
        panic!()
    };
    assert_eq!(&json!(pick), &values);
}

proptest! {
    /// A damaged file is planned or refused with a message; it never panics.
    #[test]
    fn damaged_files_do_not_panic(at in 0usize..12_000, cut in 0usize..40, put in r"[ -~\n\t]{0,6}") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/quick.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        prop_assume!(text.is_char_boundary(at) && text.is_char_boundary(end));
        let damaged = format!("{}{put}{}", &text[..at], &text[end..]);
        if let Err(errors) = plan_str("damaged.yaml", &damaged, &PlanOptions::default()) {
            prop_assert!(errors.to_string().starts_with("error: "));
        }
    }
}

#[test]
fn vus_that_a_flag_says() {
    let text = |vus: &str| {
        format!(
            "version: 1\n\
             flags: {{users: {{flag: loadGeneratorVUs, ofrep_url: 'http://flagd:8016/'}}}}\n\
             flows: {{default: {{steps: [{{path: /}}]}}}}\n\
             scenarios: {{a: {{executor: 'externally-controlled', vus_from: users, vus: {vus}, \
             maxVUs: 50, duration: 10m}}}}"
        )
    };
    let made = plan(&text("5"));
    assert_eq!(
        made.flags[0].source,
        FlagSource::OfrepUrl("http://flagd:8016".into())
    );
    assert_eq!(made.flags[0].every_ns, 10 * SECOND);
    let executor = |vus| Executor::ExternallyControlled {
        vus,
        max_vus: 50,
        duration_ns: 10 * MINUTE,
        flag: 0,
    };
    assert_eq!(made.scenarios[0].executor, executor(5));
    assert_eq!(made.end_ns(), 10 * MINUTE);
    // Nothing is sent until the flag says otherwise.
    assert_eq!(plan(&text("0")).scenarios[0].executor, executor(0));
    let options = |vus| PlanOptions {
        vus: Some(vus),
        ..PlanOptions::default()
    };
    let made = plan_with(&text("5"), &options(7));
    assert_eq!(made.scenarios[0].executor, executor(7));
    let errors = plan_str("test.yaml", &text("5"), &options(51)).unwrap_err();
    assert!(errors.to_string().contains("`max_vus` is 50"), "{errors}");
}

/// The findings of a file whose step has these headers or this baggage.
fn refused_step(step: &str) -> String {
    let file = format!(
        "version: 1\nflows:\n  default:\n    vars: {{pick: {{pick: [a, {}]}}}}\n    steps:\n      - {step}\n\
         scenarios: {{a: {{executor: constant-vus, duration: 1s}}}}\n",
        "b".repeat(5000)
    );
    let made = plan_str("test.yaml", &file, &PlanOptions::default());
    made.err().map(|e| e.to_string()).unwrap_or_default()
}

#[test]
fn headers_and_baggage_are_bounded_by_the_most_they_may_come_to() {
    let long = "x".repeat(8190);
    let half = "x".repeat(4100);
    for step in [
        format!("{{path: /, headers: {{a: b, long: {long}}}}}"),
        format!("{{path: /, headers: {{a: {half}, long: '{half}'}}}}"),
        "{path: /, headers: {a: '${pick}', long: '${pick}'}}".to_owned(),
        format!("{{path: /, baggage: {{a: b, long: {long}}}}}"),
        // Percent-encoded, each is three bytes.
        format!("{{path: /, baggage: {{long: '{}'}}}}", "/".repeat(2800)),
    ] {
        let refused = refused_step(&step);
        let shown = &step[..60.min(step.len())];
        assert!(
            refused.contains("bytes, and 8192 is the most"),
            "{shown}: {refused}"
        );
        assert!(refused.contains("test.yaml:6:"), "{shown}: {refused}");
    }
    for step in [
        format!("{{path: /, headers: {{a: {half}}}, baggage: {{a: {half}}}}}"),
        "{path: /, headers: {a: '${pick}'}, baggage: {a: '${pick}'}}".to_owned(),
    ] {
        assert_eq!(refused_step(&step), "");
    }
}

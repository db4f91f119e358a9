//! What files mean: defaults, k6's spellings, the timetable, variables and sites.

use loadgen_scenario::{
    Choice, Executor, Iteration, JsonTemplate, Part, Plan, PlanOptions, Prng, Stage, StepRequest,
    Target, plan_str,
};
use proptest::prelude::*;
use serde_json::{Value, json};

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

const JOURNEY: &str = "
version: 1
defaults:
  headers: {Accept: application/json, x-flow: a}
flows:
  default:
    vars: {who: {pick: [ann, bob]}}
    steps:
      - {path: /start, headers: {X-Flow: 'b ${who}'}, probability: 0.5, vars: {n: {range: [1, 6]}}}
      - repeat: 2
        vars: {sku: {hex: 4}}
        steps:
          - {path: '/sku/${sku}', think_time: [1s, 2s]}
      - {path: /items, capture: {item: {pointer: /items, random_element: true}, all: ''}}
      - method: post
        path: '/x/${item.id}?n=${n}'
        json: {all: '${all}', text: '${who} of ${item.id}', cost: '$${n}', plain: [1, {a: null}]}
        expect: {status: [2xx, 404, 500-503], content_type: application/json}
scenarios: {one: {executor: constant-vus, duration: 1s}}
";

#[test]
fn repeats_are_unrolled_and_sites_numbered_in_order() {
    let plan = plan(JOURNEY);
    let flow = &plan.flows[0];
    assert_eq!(flow.variables, ["who", "n", "sku", "item", "all"]);
    let steps = &flow.steps;
    let paths: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(
        paths,
        [
            "GET /start",
            "GET /sku/${sku}",
            "GET /sku/${sku}",
            "GET /items",
            "POST /x/${item.id}?n=${n}"
        ]
    );
    let drawn = |step: usize| -> Vec<_> {
        steps[step]
            .draws
            .iter()
            .map(|draw| (draw.slot, draw.site))
            .collect()
    };
    assert_eq!(drawn(0), [(0, 1), (1, 2)]);
    assert_eq!(steps[0].probability.unwrap().site, 3);
    assert_eq!(drawn(1), [(2, 4)]);
    assert_eq!(steps[1].think_time.unwrap().site, 5);
    assert_eq!(drawn(2), [(2, 6)]);
    assert_eq!(steps[2].think_time.unwrap().site, 7);
    assert_eq!(steps[3].captures[0].random_element, Some(8));
    assert_eq!(steps[1].draws[0].choice, Choice::Hex(4));
    assert_eq!(steps[4].expect.status, [(200, 299), (404, 404), (500, 503)]);
}

#[test]
fn headers_of_a_step_replace_the_defaults() {
    let plan = plan(JOURNEY);
    let names: Vec<_> = plan.flows[0].steps[0]
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["accept", "x-flow"]);
    assert_eq!(
        plan.flows[0].steps[0].headers[1].1.0[0],
        Part::Text("b ".to_owned())
    );
}

#[test]
fn bodies_keep_types_and_order() {
    let plan = plan(JOURNEY);
    let Some(JsonTemplate::Object(body)) = &plan.flows[0].steps[4].json else {
        panic!()
    };
    let keys: Vec<_> = body.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["all", "text", "cost", "plain"]);
    assert_eq!(body[2].1, JsonTemplate::Value(json!("${n}")));
    assert_eq!(body[3].1, JsonTemplate::Value(json!([1, {"a": null}])));

    let scenario = &plan.scenarios[0];
    let prng = Prng::new(plan.seed, &scenario.name);
    let mut iteration = Iteration::new(&plan, scenario, prng, 3);
    for step in 0..4 {
        iteration.request(step);
    }
    iteration
        .capture(3, br#"{"items":[{"id":7}],"b":1,"a":2}"#)
        .unwrap();
    let StepRequest::Send(request) = iteration.request(4) else {
        panic!()
    };
    let body = String::from_utf8(request.body.unwrap()).unwrap();
    let who = iteration.value(0).and_then(Value::as_str).unwrap();
    assert_eq!(
        body,
        format!(
            r#"{{"all":{{"items":[{{"id":7}}],"b":1,"a":2}},"text":"{who} of 7","cost":"${{n}}","plain":[1,{{"a":null}}]}}"#
        )
    );
    let n = iteration.value(1).and_then(Value::as_i64).unwrap();
    assert_eq!(request.path, format!("/x/7?n={n}"));
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
anomalies: {off: {label: no, root_cause: on, msg: 1e3}}
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
        [&anomaly.label, &anomaly.root_cause, &anomaly.msg],
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

#[test]
fn plans_survive_json() {
    let plan = plan(JOURNEY);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
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
            let length = loadgen_scenario::planned_length_ns(&scenario.executor);
            prop_assert_eq!(scenario.start_ns + length, scenario.end_ns);
        }
        for pair in plan.scenarios.windows(2) {
            prop_assert_eq!(pair[0].end_ns, pair[1].start_ns);
        }
    }

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

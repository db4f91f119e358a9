//! Iterations against a small plan made by hand.

use super::*;
use crate::plan::*;
use indexmap::IndexMap;
use serde_json::json;

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn var(slot: usize, pointer: &str) -> VarRef {
    VarRef {
        slot,
        pointer: pointer.to_owned(),
    }
}

fn step(path: Vec<Part>) -> Step {
    Step {
        name: "step".to_owned(),
        method: "GET".to_owned(),
        path: Template(path),
        headers: vec![],
        baggage: vec![],
        json: None,
        expect: Expect {
            status: vec![(200, 299)],
            content_type: None,
        },
        think_time: None,
        timeout_ns: 1,
        probability: None,
        rounds: Vec::new(),
        draws: vec![],
        captures: vec![],
    }
}

fn plan_of(variables: &[&str], steps: Vec<Step>) -> Plan {
    let flow = Flow {
        name: "flow".to_owned(),
        variables: variables.iter().map(ToString::to_string).collect(),
        steps,
        wait_time: None,
    };
    let scenario = PlannedScenario {
        name: "baseline".to_owned(),
        executor: Executor::ConstantVus {
            vus: 1,
            duration_ns: 1,
        },
        start_ns: 0,
        end_ns: 1,
        graceful_stop_ns: 0,
        guard_ns: 0,
        exec: vec![WeightedFlow { flow: 0, weight: 1 }],
        anomaly: Anomaly {
            kind: "none".to_owned(),
            label: "normal".to_owned(),
            symptom: None,
            root_cause: "none".to_owned(),
            msg: String::new(),
            root_cause_service: None,
        },
        declared: None,
        fault: None,
        warm_up: false,
        tags: IndexMap::new(),
        env: IndexMap::new(),
    };
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        name: "plan".to_owned(),
        scenario_file: "plan.yaml".to_owned(),
        scenario_sha256: String::new(),
        seed: 42,
        time_scale: 1.0,
        target: Target::Embedded,
        redirect_hosts: vec![],
        renew_connections: false,
        client_cells: false,
        drivers: Default::default(),
        observed: vec![],
        flags: vec![],
        flows: vec![flow],
        scenarios: vec![scenario],
    }
}

fn start(plan: &Plan, number: u64) -> Iteration<'_> {
    let scenario = &plan.scenarios[0];
    Iteration::new(plan, scenario, Prng::new(plan.seed, &scenario.name), number)
}

fn value<'i>(iteration: &'i Iteration<'_>, slot: usize) -> Option<&'i Value> {
    iteration.values[slot].as_ref().map(Held::value)
}

fn sent<'p>(request: StepRequest<'p>) -> Request<'p> {
    match request {
        StepRequest::Send(request) => request,
        other => panic!("not sent: {other:?}"),
    }
}

#[test]
fn plans_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Plan>();
    shared::<Iteration<'static>>();
}

#[test]
fn text_without_holes_is_borrowed() {
    let mut first = step(vec![text("/api?a=b c")]);
    first.headers = vec![("accept".to_owned(), Template(vec![text("*/*")]))];
    let plan = plan_of(&[], vec![first]);
    let request = sent(start(&plan, 0).request(0));
    assert!(matches!(request.path, Cow::Borrowed("/api?a=b c")));
    assert!(matches!(
        request.headers[0],
        ("accept", Cow::Borrowed("*/*"))
    ));
    assert_eq!(request.body, None);
}

#[test]
fn values_are_encoded_for_where_they_go() {
    let mut first = step(vec![
        text("/x/"),
        Part::Var(var(0, "")),
        text("?q="),
        Part::Var(var(0, "")),
    ]);
    first.draws = vec![Draw {
        slot: 0,
        choice: Choice::Pick(vec![json!("a/b ?&\u{e4}\r\n~'")]),
        site: 1,
    }];
    first.headers = vec![(
        "x-v".to_owned(),
        Template(vec![text("v="), Part::Var(var(0, ""))]),
    )];
    first.json = Some(JsonTemplate::Object(vec![(
        "text".to_owned(),
        JsonTemplate::Text(Template(vec![text("is "), Part::Var(var(0, ""))])),
    )]));
    let plan = plan_of(&["v"], vec![first]);
    let request = sent(start(&plan, 0).request(0));
    let encoded = "a%2Fb%20%3F%26%C3%A4%0D%0A~%27";
    assert_eq!(request.path, format!("/x/{encoded}?q={encoded}"));
    assert_eq!(request.headers[0].1, "v=a/b ?&\u{e4}~'");
    let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
    assert_eq!(body, json!({"text": "is a/b ?&\u{e4}\r\n~'"}));
}

#[test]
fn captured_values_keep_type_and_order_and_go_into_later_steps() {
    let mut first = step(vec![text("/cart")]);
    first.captures = vec![
        Capture {
            slot: 0,
            pointer: "".to_owned(),
            random_element: None,
        },
        Capture {
            slot: 1,
            pointer: "/items".to_owned(),
            random_element: Some(3),
        },
    ];
    let mut second = step(vec![
        text("/pay/"),
        Part::Var(var(1, "/sku")),
        Part::Var(var(0, "/total")),
    ]);
    second.json = Some(JsonTemplate::Array(vec![
        JsonTemplate::Var(var(0, "")),
        JsonTemplate::Value(json!({"a": null})),
    ]));
    let plan = plan_of(&["cart", "item"], vec![first, second]);
    let mut iteration = start(&plan, 5);
    sent(iteration.request(0));
    let answer = br#"{"total":2,"items":[{"sku":"RED"}],"a":1.5}"#;
    assert_eq!(iteration.capture(0, answer), Ok(()));
    assert_eq!(value(&iteration, 1), Some(&json!({"sku": "RED"})));
    let request = sent(iteration.request(1));
    assert_eq!(request.path, "/pay/RED2");
    let body = [b"[".as_slice(), answer, br#",{"a":null}]"#].concat();
    assert_eq!(request.body.unwrap(), body);
}

#[test]
fn a_capture_that_misses_leaves_the_variable_unset() {
    let mut first = step(vec![text("/")]);
    first.captures = vec![
        Capture {
            slot: 0,
            pointer: "/uuid".to_owned(),
            random_element: None,
        },
        Capture {
            slot: 1,
            pointer: "/list".to_owned(),
            random_element: Some(1),
        },
        Capture {
            slot: 2,
            pointer: "/there".to_owned(),
            random_element: None,
        },
    ];
    let second = step(vec![text("/"), Part::Var(var(0, ""))]);
    let third = step(vec![text("/"), Part::Var(var(2, ""))]);
    let plan = plan_of(&["id", "one", "there"], vec![first, second, third]);
    let mut iteration = start(&plan, 0);
    sent(iteration.request(0));
    let not_found = CaptureError::NotFound {
        variable: "id".to_owned(),
        pointer: "/uuid".to_owned(),
    };
    assert_eq!(
        iteration.capture(0, br#"{"there":true,"list":[]}"#),
        Err(not_found)
    );
    assert_eq!(
        iteration.request(1),
        StepRequest::Missing { variable: "id" }
    );
    assert_eq!(sent(iteration.request(2)).path, "/true");
    let no_json = iteration.capture(0, b"<html>").unwrap_err();
    assert!(
        no_json
            .to_string()
            .starts_with("the answer is not JSON (expected value"),
        "{no_json}"
    );
}

/// What JavaScript would read otherwise, or not at all, is not JSON for either engine.
#[test]
fn answers_that_engines_would_read_differently_are_not_json() {
    let mut only = step(vec![text("/")]);
    only.captures = vec![Capture {
        slot: 0,
        pointer: "/a".to_owned(),
        random_element: None,
    }];
    let plan = plan_of(&["a"], vec![only]);
    let nested = |levels: usize| {
        let inner = levels - 1;
        format!(r#"{{"a":{}{}}}"#, "[".repeat(inner), "]".repeat(inner)).into_bytes()
    };
    for answer in [
        br#"{"a":1,"b":1e400}"#.to_vec(),
        br#"{"a":1,"b":"\ud800"}"#.to_vec(),
        b"{\"a\":1,\"b\":\"\xff\"}".to_vec(),
        nested(128),
    ] {
        let error = start(&plan, 0).capture(0, &answer).unwrap_err();
        assert!(matches!(error, CaptureError::NotJson { .. }), "{error}");
    }
    assert_eq!(start(&plan, 0).capture(0, &nested(127)), Ok(()));
}

#[test]
fn asking_again_unsets_what_the_step_captures() {
    let mut only = step(vec![text("/")]);
    only.captures = vec![Capture {
        slot: 0,
        pointer: "".to_owned(),
        random_element: None,
    }];
    let plan = plan_of(&["x"], vec![only]);
    let mut iteration = start(&plan, 0);
    sent(iteration.request(0));
    iteration.capture(0, b"1").unwrap();
    assert_eq!(value(&iteration, 0), Some(&json!(1)));
    sent(iteration.request(0));
    assert_eq!(value(&iteration, 0), None);
}

#[test]
fn chances_and_pauses_follow_the_prng() {
    let mut only = step(vec![text("/")]);
    only.probability = Some(Probability {
        chance: 0.3,
        site: 1,
    });
    only.think_time = Some(ThinkTime {
        min_ns: 100,
        max_ns: 200,
        site: 2,
    });
    let plan = plan_of(&[], vec![only]);
    let prng = Prng::new(42, "baseline");
    let mut taken = 0;
    for number in 0..1000 {
        let mut iteration = start(&plan, number);
        let sends = iteration.request(0) != StepRequest::Skip;
        assert_eq!(sends, prng.unit(number, 1) < 0.3);
        taken += u32::from(sends);
        assert_eq!(
            iteration.think_time_ns(0) as i64,
            prng.range(number, 2, 100, 200)
        );
    }
    // 300 expected; five standard deviations are 72.
    assert!((228..372).contains(&taken), "{taken}");
}

#[test]
fn flows_are_chosen_by_weight_at_site_zero() {
    let mut plan = plan_of(&[], vec![step(vec![text("/")])]);
    plan.flows.push(plan.flows[0].clone());
    plan.scenarios[0].exec = vec![
        WeightedFlow { flow: 1, weight: 3 },
        WeightedFlow { flow: 0, weight: 1 },
    ];
    let prng = Prng::new(42, "baseline");
    let mut chosen = [0; 2];
    for number in 0..1000 {
        let flow = start(&plan, number).flow();
        assert_eq!(flow, usize::from(prng.index(number, FLOW_SITE, 4) < 3));
        chosen[flow] += 1;
    }
    // 250 expected; five standard deviations are 68.
    assert!((182..318).contains(&chosen[0]), "{chosen:?}");
}

/// The same cells as in `k6/tests/iteration.test.js`.
#[test]
fn each_request_says_the_cell_of_its_client_where_the_plan_says_so() {
    let mut own = step(vec![text("/")]);
    own.baggage = vec![("tenant".to_owned(), Template(vec![text("a")]))];
    let mut plan = plan_of(&[], vec![step(vec![text("/")]), own]);
    assert_eq!(sent(start(&plan, 0).request(0)).baggage, []);
    plan.client_cells = true;
    for (number, cell) in [(0, "12"), (1, "64"), (4, "8"), (4_294_967_301, "66")] {
        let mut iteration = start(&plan, number);
        let said = [("client.cell", Cow::from(cell)), ("tenant", Cow::from("a"))];
        assert_eq!(sent(iteration.request(0)).baggage, said[..1]);
        assert_eq!(sent(iteration.request(1)).baggage, said);
    }
}

#[test]
fn the_same_number_gives_the_same_requests() {
    let mut only = step(vec![
        text("/"),
        Part::Var(var(0, "")),
        text("/"),
        Part::Var(var(1, "")),
    ]);
    only.draws = vec![
        Draw {
            slot: 0,
            choice: Choice::Hex(12),
            site: 1,
        },
        Draw {
            slot: 1,
            choice: Choice::Range(-5, 5),
            site: 2,
        },
    ];
    let plan = plan_of(&["h", "n"], vec![only]);
    let all: Vec<_> = (0..50)
        .map(|number| sent(start(&plan, number).request(0)).path)
        .collect();
    let again: Vec<_> = (0..50)
        .map(|number| sent(start(&plan, number).request(0)).path)
        .collect();
    assert_eq!(all, again);
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

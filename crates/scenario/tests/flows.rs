//! What becomes of flows: unrolled repeats, sites, headers, variables and bodies.

use loadgen_scenario::{
    Choice, Iteration, JsonTemplate, Part, Plan, PlanOptions, Prng, StepRequest, plan_str,
};
use serde_json::json;

fn plan(text: &str) -> Plan {
    plan_str("test.yaml", text, &PlanOptions::default()).unwrap_or_else(|errors| panic!("{errors}"))
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
    let who = ["ann", "bob"][prng.index(3, 1, 2) as usize];
    assert_eq!(
        body,
        format!(
            r#"{{"all":{{"items":[{{"id":7}}],"b":1,"a":2}},"text":"{who} of 7","cost":"${{n}}","plain":[1,{{"a":null}}]}}"#
        )
    );
    let n = prng.range(3, 2, 1, 6);
    assert_eq!(request.path, format!("/x/7?n={n}"));
}

#[test]
fn plans_survive_json() {
    let plan = plan(JOURNEY);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

/// A value that is sent on as it was drawn or captured is written as JavaScript writes it, also
/// inside of a text and of a whole document.
#[test]
fn numbers_change_their_spelling_and_nothing_else() {
    let plan = plan(
        "
version: 1
flows:
  default:
    vars: {n: {pick: [1e3]}}
    steps:
      - {path: '/${n}', json: {fixed: 2.50, n: '${n}'}, capture: {cart: ''}}
      - {path: '/${cart.total}', json: '${cart}', headers: {x-cart: '${cart}'}}
scenarios: {one: {executor: constant-vus, duration: 1s}}
",
    );
    let scenario = &plan.scenarios[0];
    let prng = Prng::new(plan.seed, &scenario.name);
    let mut iteration = Iteration::new(&plan, scenario, prng, 0);
    let sent = |request| match request {
        StepRequest::Send(request) => request,
        other => panic!("not sent: {other:?}"),
    };
    let first = sent(iteration.request(0));
    assert_eq!(first.path, "/1000");
    assert_eq!(
        first.body.as_deref(),
        Some(&br#"{"fixed":2.5,"n":1000}"#[..])
    );
    let answer = br#"{"total": 712.0, "z": [1e2, 0.10], "a": 18446744073709551617}"#;
    iteration.capture(0, answer).unwrap();
    let second = sent(iteration.request(1));
    let cart = r#"{"total":712,"z":[100,0.1],"a":18446744073709552000}"#;
    assert_eq!(second.path, "/712");
    assert_eq!(second.headers[0].1, cart);
    assert_eq!(second.body.as_deref(), Some(cart.as_bytes()));
}

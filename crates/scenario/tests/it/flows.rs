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

const FOLLOWING: &str = "
version: 1
flags:
  users: {flag: loadGeneratorVUs, ofrep_url: 'http://flagd:8016/', every: 2s}
  flood: {flag: loadGeneratorFloodHomepage, flagd_file: demo.flagd.json}
defaults: {baggage: {synthetic_request: true, session.id: '${session}'}}
flows:
  default:
    vars: {session: {uuid: 4}, n: {range: [0, 2]}, f: {flag: flood}}
    wait_time: [1s, 10s]
    steps:
      - repeat: {var: n, max: 2}
        vars: {k: {hex: 1}}
        steps:
          - {path: '/a/${k}', baggage: {session.id: 'own ${k}'}}
          - {repeat: {var: f, max: 3}, steps: [{path: /b}]}
      - {path: /c}
scenarios:
  one: {executor: externally-controlled, vus_from: users, vus: 5, maxVUs: 50, duration: 1m}
";

/// What the iteration sends: paths, and baggage as text.
fn sent(iteration: &mut Iteration<'_>) -> Vec<(String, String)> {
    let mut sent = Vec::new();
    for step in 0..iteration.step_count() {
        if let StepRequest::Send(request) = iteration.request(step) {
            let baggage = request
                .baggage
                .iter()
                .map(|(key, value)| format!("{key}={value}"));
            sent.push((
                request.path.to_string(),
                baggage.collect::<Vec<_>>().join(","),
            ));
        }
    }
    sent
}

#[test]
fn rounds_are_as_many_as_variables_and_flags_say() {
    let plan = plan(FOLLOWING);
    let scenario = &plan.scenarios[0];
    let prng = Prng::new(plan.seed, &scenario.name);
    // Unrolled to the most rounds, with sites of their own.
    assert_eq!(plan.flows[0].steps.len(), 2 * (1 + 3) + 1);
    let mut by_rounds = std::collections::BTreeMap::new();
    for number in 0..60 {
        for flood in [0, 2, 100] {
            let flags = [0.into(), flood.into()];
            let mut iteration = Iteration::new(&plan, scenario, prng, number).with_flags(&flags);
            let sent = sent(&mut iteration);
            let of = |start: &str| {
                sent.iter()
                    .filter(|(path, _)| path.starts_with(start))
                    .count()
            };
            let rounds = of("/a/");
            assert_eq!(of("/b"), rounds * flood.min(3) as usize);
            assert_eq!(of("/c"), 1);
            *by_rounds.entry(rounds).or_insert(0) += 1;
            assert!((1_000_000_000..=10_000_000_000).contains(&iteration.wait_time_ns()));
        }
    }
    assert_eq!(by_rounds.len(), 3, "{by_rounds:?}");
    assert!(by_rounds.values().all(|count| *count > 15), "{by_rounds:?}");
}

#[test]
fn baggage_of_a_step_replaces_that_of_the_defaults() {
    let plan = plan(FOLLOWING);
    let scenario = &plan.scenarios[0];
    let prng = Prng::new(plan.seed, &scenario.name);
    let mut sessions = std::collections::BTreeSet::new();
    for number in 0..20 {
        let mut iteration = Iteration::new(&plan, scenario, prng, number);
        for (path, baggage) in sent(&mut iteration) {
            let session = baggage
                .strip_prefix("synthetic_request=true,session.id=")
                .unwrap();
            match path.strip_prefix("/a/") {
                Some(k) => assert_eq!(session, format!("own {k}")),
                None => _ = sessions.insert(session.to_owned()),
            }
        }
    }
    assert_eq!(sessions.len(), 20);
    for session in sessions {
        assert_eq!(session.len(), 36, "{session}");
        assert_eq!(&session[14..15], "4", "{session}");
        assert!("89ab".contains(&session[19..20]), "{session}");
    }
}

//! For one seed both engines send the same requests: proved against a server that writes down what
//! arrives, header by header.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::program::k6::k6;
use crate::program::target::Target;
use crate::program::{self, Place, end, json_lines, scenario};

/// (scenario, iteration, step) → method, path, headers but for the ids, body.
type Sent = BTreeMap<(String, u64, u64), (String, String, Vec<(String, String)>, String)>;

/// What a shop would say, the same for the same path.
fn shop(path: &str) -> (Duration, &'static str, String) {
    let at_once = Duration::ZERO;
    let json = |text: &str| (at_once, "application/json", text.to_owned());
    match path {
        "/" => (at_once, "text/html", "<html>".into()),
        "/api/user/uniqueid" => json(r#"{"uuid":"anonymous-7"}"#),
        "/api/shipping/codes" => json(
            r#"[{"uuid":1,"code":"de","name":"Germany"},{"uuid":2,"code":"fr","name":"France"},
                {"uuid":3,"code":"gb","name":"Grande-Bretagne \u00e9\ud83e\udd80"}]"#,
        ),
        _ if path.starts_with("/api/shipping/cities/") => json(
            r#"[{"uuid":712.0,"name":"Ulm"},{"uuid":1e2,"name":"K\u00f6ln"},{"uuid":3,"name":"a\"b\\c\n"}]"#,
        ),
        _ if path.starts_with("/api/shipping/calc/") => json(r#"{"distance":0.10,"cost":1.5e-7}"#),
        _ if path.starts_with("/api/shipping/confirm/") => json(
            r#"{"total":12345678901234567890,"tax":-0.0,"items":[{"sku":"SHIP","qty":1,"x":null,"y":[true,{}]}]}"#,
        ),
        _ if path.starts_with("/odd") => {
            json(r#"{"a b/ü":{"~tilde":["x/y z?&=#%+!'()*","-","..",".","\u2028"]}}"#)
        }
        _ => json("{}"),
    }
}

/// Runs a file by one engine; what it sent, by the ledger's names.
fn sent(target: &Target, file: &str, engine: &str, seed: &str) -> Sent {
    let place = Place::new();
    place.write("file.yaml", file);
    let mut args = vec![
        "run",
        "file.yaml",
        "--base-url",
        &target.url,
        "--engine",
        engine,
    ];
    args.extend(["--seed", seed, "--out", "run", "--quiet"]);
    args.extend(["--no-client-spans", "--no-faults", "--no-preflight"]);
    let child = place
        .command(args)
        .env("K6_BIN", k6())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{engine}: {errors}");
    let ledger = program::ledger(&place.path("run"));
    let started = &json_lines(&place.path("run/timeline.jsonl"))[0];
    let run = format!(",loadgen.run_id={}", started["run_id"].as_str().unwrap());
    let mut arrived = BTreeMap::new();
    for mut request in target.take() {
        // Whose run it is differs, and is said of all requests alike.
        let (_, baggage) = (request.headers.iter_mut())
            .find(|(name, _)| name == "baggage")
            .unwrap();
        assert!(baggage.contains(&run), "{baggage}");
        *baggage = baggage.replace(&run, "");
        arrived.insert(request.trace_id.clone(), request);
    }
    let mut sent = Sent::new();
    for row in ledger.rows() {
        // What a dot in its path kept from being sent did not arrive.
        let Some(request) = arrived.remove(&program::hex(row.trace_id)) else {
            continue;
        };
        let step = u64::from(row.step_index);
        let key = (row.scenario.to_owned(), row.iteration, step);
        let what = (request.method, request.path, request.headers, request.body);
        assert!(sent.insert(key, what).is_none());
    }
    assert!(
        arrived.is_empty(),
        "{engine} sent what its ledger does not have"
    );
    sent
}

fn assert_same(rust: &Sent, k6: &Sent) {
    for (key, request) in rust {
        assert_eq!(Some(request), k6.get(key), "{key:?}");
    }
    assert_eq!(rust.len(), k6.len());
}

/// The default file with its flows, mixes and seeds, but every scenario makes a thousand
/// iterations, at once and without pauses.
fn a_thousand_iterations_each() -> String {
    let text = std::fs::read_to_string(scenario("default.yaml")).unwrap();
    let (head, scenarios) = text.split_once("\nscenarios:\n").unwrap();
    let mut out = head.replace("think_time: [100ms, 400ms]", "think_time: 0");
    out = out.replace("think_time: [1s, 3s]", "think_time: [0ms, 1ms]");
    out.push_str("\nscenarios:\n");
    let mut name = "";
    for line in scenarios.lines() {
        if let Some(key) = line.strip_prefix("  ").and_then(|l| l.strip_suffix(':'))
            && !key.starts_with(' ')
        {
            name = key;
        } else if let Some(exec) = line.trim().strip_prefix("exec: ") {
            let kind = match name {
                "warm_up" | "baseline" => "none",
                name => name,
            };
            out.push_str(&format!(
                "  {name}: {{executor: shared-iterations, vus: 8, iterations: 1000, max_duration: 10m, \
                 start_time: 0s, exec: {exec}, anomaly: {kind}}}\n"
            ));
        }
    }
    out.replacen("version: 1\n", "version: 1\noverlap: allow\n", 1)
}

#[test]
fn the_first_thousand_iterations_of_each_scenario_are_the_same() {
    let file = a_thousand_iterations_each();
    let target = Target::start(shop);
    let rust = sent(&target, &file, "rust", "42");
    let iterations = |name: &str| {
        let of_it = rust.keys().filter(|key| key.0 == name).map(|key| key.1);
        of_it.collect::<std::collections::BTreeSet<_>>().len()
    };
    for name in [
        "warm_up",
        "baseline",
        "latency_spike",
        "db_exhaustion",
        "cpu_saturation",
        "cache_miss",
        "dependency_bottleneck",
        "timeout",
        "error_spike",
    ] {
        assert_eq!(iterations(name), 1000, "{name}");
    }
    let posts = rust.values().filter(|request| request.0 == "POST");
    assert!(
        posts
            .filter(|request| request.3.contains("\"items\""))
            .count()
            > 500
    );
    let k6 = sent(&target, &file, "k6", "42");
    assert_same(&rust, &k6);
}

/// What flows can ask for, at its edges.
const ODD: &str = r#"
version: 1
base_url: http://127.0.0.1:1
defaults:
  headers: {x-everywhere: "a", X-Mixed-Case: "b"}
  baggage: {synthetic_request: true, session.id: "${user}"}
anomalies:
  odd: {symptom: "l;,=\"", root_cause: "ü\tr", msg: "slow\r\nx-evil: 1, grün=\"2\"; %"}
flows:
  odd:
    vars:
      word: {pick: ["a b", "ü/ö", "...", "%2e.", "🦀", "x", 1.50, 1e21, true, null, {k: [1]}]}
      big: {range: [-9007199254740990, 0]}
      hex: {hex: 16}
      short: {hex: 3}
      user: {uuid: 4}
      rounds: {range: [0, 3]}
    wait_time: [0ms, 1ms]
    steps:
      - {path: "/odd/${word}/${hex}?q=${word}&r=${big}&s=${short}", headers: {x-word: "${word} x", x-everywhere: "own"}, capture: {deep: "/a b~1ü/~0tilde", one: {pointer: "/a b~1ü/~0tilde", random_element: true}}}
      - {path: "/plain%20path;a=b/@:!*()+,=~/?x=%C3%BC'&y=a+b/?", method: DELETE}
      - {path: "/${one}", method: PUT, json: {"7": "${one}", b: "${big} x", a: ["${deep}", "$${no}", 1.0, "é\u2028\u0001"], z: {}, word: "${word}"}}
      - {path: "/head", method: HEAD}
      - {path: "/options", method: OPTIONS, headers: {content-type: text/plain, user-agent: "me/1", accept: text/x, cookie: "mine=0"}}
      - {path: "/patch", method: PATCH, json: "${word}", headers: {content-type: application/merge-patch+json}}
      - {path: "/post/${user}", method: POST, baggage: {Word: " ${word},\"ü\u0001 ", session.id: own}}
      - {repeat: {var: rounds, max: 3}, steps: [{path: "/times/${rounds}", vars: {n: {hex: 2}}}]}
      - {path: "/maybe/${hex}", probability: 0.4, vars: {late: {range: [1, 1000000]}}}
      - repeat: 2
        vars: {round: {pick: [1, 2, 3, 4, 5]}}
        steps: [{path: "/round/${round}/${late}", think_time: [0ms, 1ms]}]
scenarios:
  first: {executor: per-vu-iterations, vus: 3, iterations: 100, max_duration: 2m, exec: odd, anomaly: odd, fault: {fault: hang, service: user, clients: 30%}}
  second: {executor: shared-iterations, vus: 3, iterations: 300, max_duration: 2m, start_time: 0s, exec: odd}
overlap: allow
"#;

#[test]
fn what_flows_can_ask_for_at_its_edges_is_the_same() {
    let target = Target::start(shop);
    for seed in ["7", "9007199254740991"] {
        let rust = sent(&target, ODD, "rust", seed);
        let k6 = sent(&target, ODD, "k6", seed);
        assert!(rust.len() > 4000, "{}", rust.len());
        let cookie = |request: &&(String, String, Vec<(String, String)>, String)| {
            request
                .2
                .iter()
                .any(|(name, value)| name == "cookie" && value == "deep=b2; sid=a1")
        };
        assert!(
            rust.values().filter(cookie).count() > 500,
            "cookies last for an iteration"
        );
        // Also in the scenario without the fault, and of a run without faults.
        let says_cell = |request: &(String, String, Vec<(String, String)>, String)| {
            let baggage = request.2.iter().find(|(name, _)| name == "baggage");
            baggage.is_some_and(|(_, members)| members.contains(",client.cell="))
        };
        assert!(rust.values().all(says_cell));
        for rounds in 0..=3 {
            let path = format!("/times/{rounds}");
            let all = rust.values().filter(|request| request.1 == path).count();
            assert_eq!(all % rounds.max(1), 0, "{path}");
            assert_eq!(all > 50 * rounds, rounds > 0, "{path}: {all}");
        }
        assert_same(&rust, &k6);
    }
}

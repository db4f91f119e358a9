//! The same seed sends the same requests; another seed sends others. Proved against a server
//! that records what arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::program::{self, Place, end};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;

/// What arrives: trace id → (method, path and query, body).
type Arrived = Arc<Mutex<BTreeMap<String, (String, String, String)>>>;

const SCENARIO: &str = r#"
version: 1
name: seeded
seed: 1
base_url: http://127.0.0.1:1
flows:
  shop:
    vars:
      sku: {pick: [RED, HPTD, UHJ, EPE, EMM, SHCE]}
      qty: {range: [1, 1000]}
    steps:
      - {name: list, path: "/list?q=${sku}", capture: {item: {pointer: /items, random_element: true}}}
      - {name: maybe, path: "/maybe/${qty}", probability: 0.5}
      - {name: buy, method: POST, path: "/buy/${item.id}", json: {sku: "${sku}", qty: "${qty}", item: "${item}"}}
  look:
    steps:
      - {name: look, path: /look}
scenarios:
  looping: {executor: shared-iterations, vus: 4, iterations: 60, max_duration: 3s, exec: {shop: 3, look: 1}}
  arriving: {executor: constant-arrival-rate, rate: 40, duration: 1s, pre_allocated_vus: 40, max_vus: 80, exec: {shop: 2, look: 1}}
"#;

async fn answer(State(arrived): State<Arrived>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let trace = parts.headers["traceparent"].to_str().unwrap()[3..35].to_owned();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let what = (
        parts.method.to_string(),
        path,
        String::from_utf8(body.to_vec()).unwrap(),
    );
    arrived.lock().unwrap().insert(trace, what);
    let items = r#"{"items":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6},{"id":7}]}"#;
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(items))
        .unwrap()
}

/// (scenario, iteration, step, method, path, body), sorted.
type Sent = Vec<(String, u64, u64, String, String, String)>;

fn sent(seed: &str) -> Sent {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let arrived = Arrived::default();
    let address = runtime.block_on(async {
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(arrived.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    });
    let place = Place::new();
    place.write("seeded.yaml", SCENARIO);
    let url = format!("http://{address}");
    let child = place.start([
        "run",
        "seeded.yaml",
        "--base-url",
        &url,
        "--seed",
        seed,
        "--out",
        "run",
        "--quiet",
        "--no-client-spans",
    ]);
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{errors}");
    let arrived = arrived.lock().unwrap();
    let ledger = program::ledger(&place.path("run"));
    let mut sent: Sent = ledger
        .rows()
        .filter_map(|row| {
            let (method, path, body) = arrived.get(&program::hex(row.trace_id))?.clone();
            let (scenario, step) = (row.scenario.to_owned(), row.step_index.into());
            Some((scenario, row.iteration, step, method, path, body))
        })
        .collect();
    sent.sort();
    assert_eq!(
        sent.len(),
        ledger.len(),
        "every request of the ledger arrived"
    );
    sent
}

#[test]
fn the_same_seed_sends_the_same_requests() {
    let first = sent("11");
    assert!(first.len() > 150);
    assert!(
        first
            .iter()
            .any(|s| s.3 == "POST" && s.5.contains("\"item\":{\"id\":"))
    );
    assert_eq!(first, sent("11"));
    assert_ne!(first, sent("12"));
}

//! `loadgen doctor` against the demo shop behind an edge that is broken on purpose: each fault is
//! named for what it is.

use std::net::SocketAddr;

use crate::program::{Place, Started, scenario, text};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use loadgen_engine::RunOptions;
use loadgen_program::Input;
use serde_json::Value;

/// What is wrong with the edge.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Edge {
    Sound,
    /// It drops the headers that it does not know.
    DropsHeaders,
    /// It answers a page for what it does not know.
    AnswersHtml,
    /// It takes part in the trace, and exports nothing.
    LosesRoot,
}

#[derive(Clone)]
struct Proxy {
    edge: Edge,
    target: String,
    client: reqwest::Client,
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    if proxy.edge == Edge::AnswersHtml && path.starts_with("/api/catalogue") {
        return Html("<!doctype html><title>Shop</title>").into_response();
    }
    let mut headers: HeaderMap = parts.headers.clone();
    headers.remove(header::HOST);
    if proxy.edge == Edge::DropsHeaders {
        let known: Vec<HeaderName> = headers
            .keys()
            .filter(|n| n.as_str().starts_with("x-anomaly"))
            .cloned()
            .collect();
        known.iter().for_each(|name| _ = headers.remove(name));
        headers.remove("baggage");
    }
    if proxy.edge == Edge::LosesRoot
        && let Some(context) = headers.get("traceparent").and_then(|v| v.to_str().ok())
    {
        // Its own span in place of its caller's: version, trace id, span id, flags.
        let own = format!("{}00000000000000ab-01", &context[..36]);
        headers.insert("traceparent", HeaderValue::from_str(&own).unwrap());
    }
    let body: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let url = format!("{}{path}", proxy.target);
    let sent = proxy
        .client
        .request(parts.method, url)
        .headers(headers)
        .body(body)
        .send();
    let answer = sent.await.unwrap();
    let mut response = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(header::CONTENT_TYPE) {
        response = response.header(header::CONTENT_TYPE, kind);
    }
    response
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}

/// Serves the proxy for the rest of the test and says where.
fn serve(edge: Edge, target: &str) -> SocketAddr {
    let proxy = Proxy {
        edge,
        target: target.to_owned(),
        client: (RunOptions::client_defaults)().build().unwrap(),
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let app = Router::new().fallback(forward).with_state(proxy);
            axum::serve(listener, app).await.unwrap();
        });
    });
    receiver.recv().unwrap()
}

#[test]
fn each_fault_of_an_edge_is_named_for_what_it_is() {
    let place = Place::new();
    let mut collect = place.command(["collect", "--output", "telemetry"]);
    collect.args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let collector = Started::new(collect, Input::Empty);
    let endpoint = format!("http://{}", collector.text("grpc"));
    let mut shop = place.command(["shop", "--listen", "127.0.0.1:0"]);
    shop.args(["--otlp-endpoint", &endpoint]);
    let shop = Started::new(shop, Input::Empty);
    let target = shop.text("base_url");
    let file = scenario("default.yaml").to_string_lossy().into_owned();
    let traces = place
        .path("telemetry/traces.jsonl")
        .to_string_lossy()
        .into_owned();
    let cases = [
        (Edge::Sound, 0, ""),
        (Edge::DropsHeaders, 7, "headers-lost"),
        (Edge::AnswersHtml, 8, "html-instead-of-json"),
        (Edge::LosesRoot, 7, "root-lost"),
    ];
    for (edge, code, finding) in cases {
        let url = format!("http://{}", serve(edge, target));
        let out = place.loadgen([
            "doctor",
            &file,
            "--base-url",
            &url,
            "--traces",
            &traces,
            "--wait",
            "20",
            "--json",
        ]);
        let said: Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", text(&out.stderr)));
        let ids: Vec<&str> = said["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["id"].as_str().unwrap())
            .collect();
        assert_eq!(out.status.code(), Some(code), "{edge:?}: {ids:?}");
        if finding.is_empty() {
            assert!(ids.is_empty(), "{ids:?}");
        } else {
            assert_eq!(ids[0], finding, "{edge:?}: {ids:?}");
            let advice = said["findings"][0]["advice"].as_str().unwrap();
            assert!(advice.contains("nginx"), "{advice}");
        }
    }

    // A run does the first half by itself, and sends no load.
    let html = format!("http://{}", serve(Edge::AnswersHtml, target));
    let out = place.loadgen([
        "run",
        &file,
        "--base-url",
        &html,
        "--no-faults",
        "--time-scale",
        "0.01",
        "--out",
        "refused",
    ]);
    assert_eq!(out.status.code(), Some(8), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("static HTML where JSON was meant"));
    assert!(!place.path("refused").exists());
}

//! A target with sessions: a cookie from one step that the next needs, a login that answers with a
//! redirect and a cookie, an answer that is compressed, and redirects to elsewhere. Both engines, the
//! preflight and the doctor go through it alike.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::program::{Place, k6, text};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde_json::Value;

const FILE: &str = "
version: 1
flows:
  default:
    steps:
      - {name: visit, path: /visit}
      - {name: needs-visit, path: /needs-visit, expect: {status: 200}}
      - {name: login, method: POST, path: /login, json: {user: u}, expect: {status: 200}, capture: {who: /who}}
      - {name: account, path: '/account/${who}', expect: {status: 200}}
      - {name: packed, path: /packed, capture: {key: /key}}
      - {name: unpacked, path: '/unpacked/${key}', expect: {status: 200}}
      - {name: kept, method: PUT, path: /moved, json: {a: 1}, expect: {status: 200}}
      - {name: away, path: /away, expect: {status: 302}, think_time: 20ms}
scenarios:
  baseline: {executor: per-vu-iterations, vus: 1, iterations: 2, maxDuration: 20s}
";

/// What was asked for, in order: method and path.
type Seen = Arc<Mutex<Vec<String>>>;

fn answer(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

fn json(body: &str) -> Response {
    answer(
        StatusCode::OK,
        &[("content-type", "application/json")],
        body.to_owned(),
    )
}

fn has_cookie(headers: &HeaderMap, cookie: &str) -> bool {
    let all = headers.get_all("cookie").iter();
    all.filter_map(|value| value.to_str().ok())
        .any(|value| value.split("; ").any(|one| one == cookie))
}

/// An answer where a cookie came, and 401 where it did not.
fn with_cookie(headers: &HeaderMap, cookie: &str, body: &str) -> Response {
    match has_cookie(headers, cookie) {
        true => json(body),
        false => answer(StatusCode::UNAUTHORIZED, &[], "no session"),
    }
}

fn packed() -> Response {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(br#"{"key": "k7"}"#).unwrap();
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    answer(StatusCode::OK, &headers, gzip.finish().unwrap())
}

fn shop(elsewhere: &str) -> Router<Seen> {
    let away = format!("{elsewhere}/stolen");
    Router::new()
        .route("/", get(async || "here"))
        .route(
            "/visit",
            get(async || answer(StatusCode::OK, &[("set-cookie", "visit=1; Path=/")], "")),
        )
        .route(
            "/needs-visit",
            get(async |h: HeaderMap| with_cookie(&h, "visit=1", "{}")),
        )
        .route(
            "/login",
            post(async || {
                let headers = [
                    ("location", "/home?from=login"),
                    ("set-cookie", "session=s1; Path=/; HttpOnly"),
                ];
                answer(StatusCode::FOUND, &headers, "")
            }),
        )
        .route(
            "/home",
            get(async |h: HeaderMap| with_cookie(&h, "session=s1", r#"{"who": "w1"}"#)),
        )
        .route(
            "/account/w1",
            get(async |h: HeaderMap| with_cookie(&h, "session=s1", "{}")),
        )
        .route("/packed", get(async || packed()))
        .route("/unpacked/k7", get(async || json("{}")))
        .route(
            "/moved",
            any(async || answer(StatusCode::TEMPORARY_REDIRECT, &[("location", "there")], "")),
        )
        .route(
            "/there",
            any(async |method: Method, body: String| {
                match method == Method::PUT && body == r#"{"a":1}"# {
                    true => json("{}"),
                    false => answer(StatusCode::BAD_REQUEST, &[], format!("{method} {body}")),
                }
            }),
        )
        .route(
            "/away",
            get(async move || answer(StatusCode::FOUND, &[("location", away.as_str())], "")),
        )
}

async fn note(
    State(seen): State<Seen>,
    request: Request<Body>,
    next: axum::middleware::Next,
) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    seen.lock().unwrap().push(line);
    next.run(request).await
}

struct Server {
    url: String,
    seen: Seen,
}

fn serve(runtime: &tokio::runtime::Runtime, host: &str, routes: Router<Seen>) -> Server {
    let seen = Seen::default();
    let routes = routes
        .layer(axum::middleware::from_fn_with_state(seen.clone(), note))
        .with_state(seen.clone());
    let port = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        port
    });
    Server {
        url: format!("http://{host}:{port}"),
        seen,
    }
}

fn world(runtime: &tokio::runtime::Runtime) -> (Server, Server) {
    let elsewhere = Router::new().route("/stolen", any(async || json("{}")));
    let elsewhere = serve(runtime, "localhost", elsewhere);
    let shop = serve(runtime, "127.0.0.1", shop(&elsewhere.url));
    (shop, elsewhere)
}

fn run(place: &Place, shop: &Server, engine: &str, file: &str) -> Value {
    place.write("file.yaml", file);
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &shop.url,
        "--out",
        engine,
        "--engine",
        engine,
    ];
    let mut command = place.command(args.into_iter().chain(["--quiet", "--no-client-spans"]));
    let output = command.env("K6_BIN", k6::k6()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let summary = std::fs::read_to_string(place.path(engine).join("summary.json")).unwrap();
    serde_json::from_str(&summary).unwrap()
}

#[test]
fn both_engines_keep_sessions_and_follow_redirects_of_the_target_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut asked = Vec::new();
    for engine in ["rust", "k6"] {
        let place = Place::new();
        let (shop, elsewhere) = world(&runtime);
        // The preflight has gone through it before.
        let summary = run(&place, &shop, engine, FILE);
        assert_eq!(
            summary["scenarios"][0]["requests"], 16,
            "{engine}: {summary}"
        );
        assert_eq!(summary["scenarios"][0]["failed"], 0, "{engine}: {summary}");
        assert!(elsewhere.seen.lock().unwrap().is_empty(), "{engine}");
        asked.push(shop.seen.lock().unwrap().clone());
    }
    assert_eq!(asked[0], asked[1]);
}

#[test]
fn a_host_that_is_listed_is_followed_to() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for engine in ["rust", "k6"] {
        let place = Place::new();
        let (shop, elsewhere) = world(&runtime);
        let file = FILE
            .replace("version: 1", "version: 1\nredirect_hosts: [localhost]")
            .replace(
                "/away, expect: {status: 302}",
                "/away, expect: {status: 200}",
            );
        run(&place, &shop, engine, &file);
        assert_eq!(
            elsewhere.seen.lock().unwrap().len(),
            3,
            "the preflight and two iterations"
        );
    }
}

#[test]
fn the_doctor_keeps_sessions_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place::new();
    let (shop, elsewhere) = world(&runtime);
    place.write("file.yaml", FILE);
    let output = place.loadgen(["doctor", "file.yaml", "--base-url", &shop.url, "--json"]);
    // Nobody said where traces are: a warning.
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stdout));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = found["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 8);
    for step in steps {
        assert_eq!(step["problem"], "", "{step}");
    }
    assert!(elsewhere.seen.lock().unwrap().is_empty());
}

/// Connections by which `/counted` was asked for.
fn connections(engine: &str, option: &str) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let peers = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let book = peers.clone();
    let counted = async move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
        book.lock().unwrap().insert(peer);
        "counted"
    };
    let routes = Router::new()
        .route("/", get(async || ""))
        .route("/counted", get(counted));
    let address = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    });
    let place = Place::new();
    let scenario = "{executor: per-vu-iterations, vus: 1, iterations: 3, maxDuration: 2s}";
    place.write(
        "file.yaml",
        &format!(
            "version: 1\n{option}\nflows: {{default: {{steps: [{{path: /counted}}]}}}}\n\
             scenarios:\n  one: {scenario}\n  two: {scenario}\n"
        ),
    );
    let url = format!("http://{address}");
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &url,
        "--engine",
        engine,
        "--no-preflight",
    ];
    let mut command = place.command(args.into_iter().chain(["--quiet", "--no-client-spans"]));
    let output = command.env("K6_BIN", k6::k6()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    peers.lock().unwrap().len()
}

#[test]
fn connections_are_kept_or_renewed_as_a_file_says() {
    assert_eq!(connections("rust", ""), 1);
    assert_eq!(connections("rust", "renew_connections: true"), 2);
    // k6 renews with each iteration, or never.
    assert_eq!(connections("k6", "renew_connections: true"), 6);
}

/// Headers that come to another port of the target's host, by name.
fn taken_along(engine: &str) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let came = Arc::new(Mutex::new(Vec::new()));
    let book = came.clone();
    let note = async move |headers: HeaderMap| {
        let names = headers.keys().map(|name| name.as_str().to_owned());
        book.lock().unwrap().extend(names);
        "there"
    };
    let elsewhere = serve(&runtime, "127.0.0.1", Router::new().route("/", get(note)));
    let to = elsewhere.url.clone();
    let away = async move || answer(StatusCode::FOUND, &[("location", to.as_str())], "");
    let shop = serve(&runtime, "127.0.0.1", Router::new().route("/", get(away)));
    let place = Place::new();
    place.write(
        "file.yaml",
        "
version: 1
defaults: {headers: {authorization: Bearer a, X-Api-Key: b, cookie: c=d, accept: text/plain}}
flows: {default: {steps: [{path: /}]}}
scenarios: {one: {executor: per-vu-iterations, vus: 1, iterations: 1, maxDuration: 2s}}
",
    );
    let args = ["run", "file.yaml", "--base-url", &shop.url, "--quiet"];
    let more = ["--no-client-spans", "--no-preflight", "--engine", engine];
    let mut command = place.command(args.into_iter().chain(more));
    let output = command.env("K6_BIN", k6::k6()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut names = std::mem::take(&mut *came.lock().unwrap());
    names.retain(|name| !["host", "user-agent", "accept-encoding"].contains(&name.as_str()));
    names.sort();
    names
}

#[test]
fn a_redirect_to_another_port_takes_no_secret_along() {
    let labels = [
        "accept",
        "baggage",
        "traceparent",
        "x-anomaly-label",
        "x-anomaly-msg",
        "x-anomaly-root-cause",
        "x-anomaly-type",
    ];
    for engine in ["rust", "k6"] {
        assert_eq!(taken_along(engine), labels, "{engine}");
    }
}

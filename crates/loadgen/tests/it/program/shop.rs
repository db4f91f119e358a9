//! The demo shop as `loadgen shop` starts it, and what may stand between a run and its admin API.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use loadgen_program::Input;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Place, Started};

/// A shop, stopped when it is dropped.
pub(crate) struct Shop {
    _started: Started,
    pub(crate) base_url: String,
    pub(crate) admin_url: String,
}

impl Shop {
    pub(crate) fn start(place: &Place) -> Self {
        Self::start_with(place, &[])
    }

    /// One whose services export by OTLP/gRPC.
    pub(crate) fn start_exporting(place: &Place, otlp_endpoint: &str) -> Self {
        Self::start_with(place, &["--otlp-endpoint", otlp_endpoint])
    }

    pub(crate) fn start_with(place: &Place, extra: &[&str]) -> Self {
        let args = ["shop", "--listen", "127.0.0.1:0"];
        let command = place.command(args.iter().chain(extra));
        let started = Started::new(command, Input::Empty);
        Self {
            base_url: started.text("base_url").to_owned(),
            admin_url: started.text("admin_url").trim_end_matches('/').to_owned(),
            _started: started,
        }
    }

    /// Faults that are in force.
    pub(crate) fn faults(&self) -> Vec<Value> {
        let answer = self.admin(reqwest::Method::GET, "/faults");
        answer["faults"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .clone()
    }

    /// What the admin API answers.
    pub(crate) fn admin(&self, method: reqwest::Method, path: &str) -> Value {
        let url = format!("{}{path}", self.admin_url);
        let body = Runtime::new().unwrap().block_on(async {
            let request = client().request(method, url);
            request.send().await.unwrap().text().await.unwrap()
        });
        serde_json::from_str(&body).unwrap()
    }
}

/// A collector that writes to a folder, and the address of its OTLP/gRPC.
pub(crate) fn collector(place: &Place, folder: &Path) -> (Started, String) {
    let folder = folder.to_string_lossy();
    let free = "127.0.0.1:0";
    let args = ["collect", "--out", &folder, "--grpc", free, "--http", free];
    let started = Started::new(place.command(args), Input::Empty);
    let address = format!("http://{}", started.text("grpc"));
    (started, address)
}

fn client() -> reqwest::Client {
    loadgen_engine::RunOptions::client_defaults()
        .build()
        .unwrap()
}

/// Stands before an admin API and passes on what comes, late or not at all. Dropped, it refuses
/// connections.
pub(crate) struct Proxy {
    pub(crate) url: String,
    is_dead: Arc<AtomicBool>,
    _runtime: Runtime,
}

#[derive(Clone)]
struct Way {
    to: String,
    delay: Duration,
    is_dead: Arc<AtomicBool>,
    client: reqwest::Client,
}

impl Proxy {
    pub(crate) fn start(to: &str, delay: Duration) -> Self {
        let runtime = Runtime::new().unwrap();
        let is_dead = Arc::new(AtomicBool::new(false));
        let way = Way {
            to: to.to_owned(),
            delay,
            is_dead: is_dead.clone(),
            client: client(),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let routes = axum::Router::new().fallback(pass_on).with_state(way);
            axum::serve(listener, routes).await.unwrap();
        });
        Self {
            url,
            is_dead,
            _runtime: runtime,
        }
    }

    /// From now on nothing is answered.
    pub(crate) fn die(&self) {
        self.is_dead.store(true, Relaxed);
    }
}

async fn pass_on(State(way): State<Way>, request: Request) -> Response {
    if way.is_dead.load(Relaxed) {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(way.delay).await;
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let answer = way
        .client
        .request(parts.method, format!("{}{path}", way.to))
        .body(to_bytes(body, usize::MAX).await.unwrap())
        .send()
        .await
        .unwrap();
    let response = Response::builder().status(answer.status());
    let body = answer.bytes().await.unwrap();
    response.body(Body::from(body)).unwrap()
}

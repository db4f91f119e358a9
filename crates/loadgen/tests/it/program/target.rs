//! A target on the loopback interface that writes down what arrives, and when.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// In the order of names, without `traceparent`.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) trace_id: String,
    pub(crate) body: String,
    pub(crate) at_ns: i64,
}

/// What a target says to a path.
pub(crate) type Answer = fn(path: &str) -> (Duration, &'static str, String);

/// Runs until it is dropped.
pub(crate) struct Target {
    pub(crate) url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Book {
    answer: Answer,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Target {
    pub(crate) fn start(answer: Answer) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let book = Book {
            answer,
            arrived: arrived.clone(),
        };
        let address = runtime.block_on(async {
            let app = axum::Router::new().fallback(take).with_state(book);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, app).await });
            address
        });
        Self {
            url: format!("http://{address}"),
            arrived,
            _runtime: runtime,
        }
    }

    /// What arrived since the last call.
    pub(crate) fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived.lock().unwrap())
    }
}

pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_nanos()).unwrap()
}

async fn take(State(book): State<Book>, request: Request) -> Response {
    let at_ns = now_ns();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let text =
        |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let traceparent = parts
        .headers
        .get("traceparent")
        .map(text)
        .unwrap_or_default();
    let (delay, content_type, answer) = (book.answer)(parts.uri.path());
    let mut headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .filter(|(name, _)| *name != "traceparent")
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    headers.sort();
    let path = parts.uri.path_and_query().unwrap().to_string();
    // The look at whether the target is there is not sampled, and no part of the run.
    if !traceparent.ends_with("-00") {
        book.arrived.lock().unwrap().push(Arrived {
            method: parts.method.to_string(),
            path,
            headers,
            trace_id: traceparent.get(3..35).unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            at_ns,
        });
    }
    tokio::time::sleep(delay).await;
    let mut response = Response::builder().header("content-type", content_type);
    if parts.uri.path().starts_with("/odd") {
        response = response
            .header("set-cookie", "sid=a1; Path=/; HttpOnly")
            .header("set-cookie", "deep=b2; Path=/round")
            .header("set-cookie", "far=c3; Domain=elsewhere.example");
    }
    response.body(Body::from(answer)).unwrap()
}

//! OTLP over HTTP: `POST /v1/traces`, `/v1/metrics` and `/v1/logs` as protobuf or JSON, with gzip,
//! and `GET /health`.

use super::admission::Budget;
use super::body::{self, Incomplete};
use super::connections::{Connection, Incoming};
use crate::topology::{Refusal, Signal, Topology};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use flate2::bufread::MultiGzDecoder;
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use loadgen_control::Access;
use loadgen_otlp::json;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::debug;

/// A client must have sent the head of a request within this time, from the end of the one before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A client of HTTP/2 that is silent for so long is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

#[derive(Clone)]
struct Receiver {
    topology: Arc<Topology>,
    budget: Budget,
    max_request_bytes: usize,
}

/// Serves until `stop` is done and the open requests are answered.
pub(crate) async fn serve(
    incoming: Incoming,
    access: Access,
    topology: Arc<Topology>,
    budget: Budget,
    max_request_bytes: usize,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let router = Router::new()
        .route(
            "/v1/traces",
            only_post(post(export::<ExportTraceServiceRequest>)),
        )
        .route(
            "/v1/metrics",
            only_post(post(export::<ExportMetricsServiceRequest>)),
        )
        .route(
            "/v1/logs",
            only_post(post(export::<ExportLogsServiceRequest>)),
        )
        .route("/health", get(async || "ok\n"))
        .with_state(Receiver {
            topology,
            budget,
            max_request_bytes,
        });
    let service = TowerToHyperService::new(access.protect(router));
    let (end, ends) = watch::channel(());
    let mut open = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            connection = incoming.accept() => {
                let served = serve_connection(connection, service.clone(), ends.clone());
                open.spawn(served);
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
            () = &mut stop => break,
        }
    }
    drop((incoming, end));
    while open.join_next().await.is_some() {}
}

/// Answers requests of a connection until it ends, or the open ones after `ends` has ended.
async fn serve_connection(
    connection: Connection,
    service: TowerToHyperService<Router>,
    mut ends: watch::Receiver<()>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let last_request = connection.last_request();
    let service = hyper::service::service_fn(move |request| {
        last_request.mark();
        service.call(request)
    });
    let served = builder.serve_connection(TokioIo::new(connection), service);
    tokio::pin!(served);
    // What goes wrong with a connection is the client's, who notices.
    tokio::select! {
        _ = &mut served => return,
        // Nothing is ever sent: it fails when the sender is gone.
        _ = ends.changed() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

fn only_post(route: MethodRouter<Receiver>) -> MethodRouter<Receiver> {
    route.fallback(async || {
        (
            StatusCode::METHOD_NOT_ALLOWED,
            [(ALLOW, "POST")],
            "send OTLP by POST\n",
        )
    })
}

/// The two forms of a body; an answer has the form of its request.
#[derive(Clone, Copy)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let mime = value.split(';').next().unwrap_or_default().trim();
        if mime.eq_ignore_ascii_case(PROTOBUF) {
            Some(Self::Protobuf)
        } else if mime.eq_ignore_ascii_case(JSON) {
            Some(Self::Json)
        } else {
            None
        }
    }

    fn respond(self, status: StatusCode, body: Vec<u8>) -> Response {
        let mime = match self {
            Self::Protobuf => PROTOBUF,
            Self::Json => JSON,
        };
        (
            status,
            [(CONTENT_TYPE, HeaderValue::from_static(mime))],
            body,
        )
            .into_response()
    }

    /// All export responses of complete success look the same.
    fn success(self) -> Response {
        let body = match self {
            Self::Protobuf => Vec::new(),
            Self::Json => br#"{"partialSuccess":{}}"#.to_vec(),
        };
        self.respond(StatusCode::OK, body)
    }

    /// A `google.rpc.Status` with the HTTP status that OTLP gives to its code.
    fn failure(self, code: StatusCode, status: &Status) -> Response {
        let rpc = tonic_types::pb::Status {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: Vec::new(),
        };
        let body = match self {
            Self::Protobuf => rpc.encode_to_vec(),
            Self::Json => serde_json::json!({"code": rpc.code, "message": rpc.message})
                .to_string()
                .into(),
        };
        let mut response = self.respond(code, body);
        let retry = status
            .get_details_retry_info()
            .and_then(|retry| retry.retry_delay);
        if let Some(delay) = retry {
            response
                .headers_mut()
                .insert(RETRY_AFTER, delay.as_secs().into());
        }
        response
    }
}

async fn export<S: Signal>(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(encoding) = Encoding::of(&headers) else {
        receiver.topology.count_refusal();
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("content type must be {PROTOBUF} or {JSON}\n"),
        )
            .into_response();
    };
    match receive::<S>(&receiver, &headers, body, encoding).await {
        Ok(()) => encoding.success(),
        Err((code, status)) => {
            receiver.topology.count_refusal();
            debug!(code = %code, message = status.message(), "refused");
            encoding.failure(code, &status)
        }
    }
}

async fn receive<S: Signal>(
    receiver: &Receiver,
    headers: &HeaderMap,
    body: Body,
    encoding: Encoding,
) -> Result<(), (StatusCode, Status)> {
    let gzip = is_gzip(headers)?;
    let mut share = receiver.budget.reserve().await.map_err(refused)?;
    let limit = receiver.max_request_bytes;
    let pieces = body::read(body, limit, &receiver.budget)
        .await
        .map_err(|why| (code_of(&why), why.status(limit)))?;
    let body = in_one(pieces);
    let body = if gzip {
        decompress(&body, limit).map_err(refused)?
    } else {
        body
    };
    let bytes = body.len();
    share.shrink_to(bytes);
    let request = decode::<S>(body, encoding).map_err(refused)?;
    receiver
        .topology
        .consume(request, bytes)
        .await
        .map_err(refused)
}

fn code_of(why: &Incomplete) -> StatusCode {
    match why {
        Incomplete::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Incomplete::Slow => StatusCode::TOO_MANY_REQUESTS,
        Incomplete::Late | Incomplete::Broken => StatusCode::REQUEST_TIMEOUT,
    }
}

/// The pieces of a body in a row; without a copy where it came in one.
fn in_one(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, (StatusCode, Status)> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(other) => {
            let other = String::from_utf8_lossy(other).into_owned();
            let message = format!("content encoding {other:?} is not supported; use gzip or none");
            Err((
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Status::invalid_argument(message),
            ))
        }
    }
}

fn decompress(body: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(limit as u64 + 1);
    decoder
        .read_to_end(&mut plain)
        .map_err(|error| Refusal::Invalid(format!("the body is not gzip: {error}")))?;
    if plain.len() > limit {
        return Err(Refusal::TooLarge(limit));
    }
    Ok(plain.into())
}

fn decode<S: Signal>(body: Bytes, encoding: Encoding) -> Result<S, Refusal> {
    match encoding {
        Encoding::Protobuf => S::decode(body)
            .map_err(|error| Refusal::Invalid(format!("the body is not OTLP protobuf: {error}"))),
        Encoding::Json => json::read(&body)
            .map_err(|error| Refusal::Invalid(format!("the body is not OTLP/JSON: {error}"))),
    }
}

/// A refusal with its HTTP status.
fn refused(refusal: Refusal) -> (StatusCode, Status) {
    let status = refusal.status();
    let code = match (&refusal, status.code()) {
        (Refusal::TooLarge(_) | Refusal::TooMany(_), _) => StatusCode::PAYLOAD_TOO_LARGE,
        (_, Code::InvalidArgument) => StatusCode::BAD_REQUEST,
        (_, Code::ResourceExhausted) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, status)
}

//! The layer around every service's routes: a server span, the duration metric and a log line for
//! each request, and the faults that strike whole requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_semantic_conventions::attribute as semconv;

use super::headers::captured;
use super::span::{ActiveSpan, CANCELLED};
use super::{Telemetry, has_bugs};
use crate::answer::Answer;
use crate::fault::board::FaultBoard;
use crate::queue::PUBLISH_PATH;
use crate::record::Effect;
use loadgen_shop_api::ShopFault;

/// The share of requests that a new release with a bug fails.
const FAILS: f64 = 0.2;

/// The trace context of a request, as handlers take it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cx(pub(crate) Context);

impl<S: Sync> FromRequestParts<S> for Cx {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Cx>().cloned().unwrap_or_default())
    }
}

/// What the layer needs.
#[derive(Clone)]
pub(crate) struct ServerLayer {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) faults: Arc<FaultBoard>,
}

/// Answers a request under a server span.
pub(crate) async fn answer_traced(
    State(layer): State<ServerLayer>,
    mut request: Request,
    next: Next,
) -> Response {
    let telemetry = &layer.telemetry;
    let path = request.uri().path();
    // The queue's transport is no request of anybody's: its trace context is in the message.
    if path == PUBLISH_PATH {
        return next.run(request).await;
    }
    let health = path == "/health";
    // A health check that belongs to no trace would be a trace of its own, of no use to anybody.
    if health && !request.headers().contains_key("traceparent") {
        return next.run(request).await;
    }
    // A wildcard is no part of a route's name: `/api/cart/{*rest}` is the location `/api/cart/`.
    let route = request.extensions().get::<MatchedPath>().map(|matched| {
        match matched.as_str().split_once("{*") {
            Some((location, _)) => location.to_owned(),
            None => matched.as_str().to_owned(),
        }
    });
    let mut parent = telemetry.extract(request.headers());
    if !health && let Some(release) = layer.faults.release_for(&parent) {
        parent = release.answers(&parent);
    }
    let exchange = Exchange::begin(telemetry, &parent, &request, route);
    let context = exchange.span.context().clone();
    request.extensions_mut().insert(Cx(context.clone()));
    let failure = match health {
        true => None,
        false => strike(&layer, &context).await,
    };
    let response = match failure {
        Some(answer) => answer.logged(telemetry, &context),
        None => next.run(request).await,
    };
    exchange.finish(response.status());
    response
}

/// What faults do to a request before it is handled. Returns the answer of one that is not to be
/// handled at all.
async fn strike(layer: &ServerLayer, context: &Context) -> Option<Answer> {
    let (faults, record) = (&layer.faults, &layer.telemetry.record);
    faults.hang_point(context).await;
    if faults.meets(ShopFault::MemoryLeak, context)
        && let Some(took) = faults.leak.strike()
    {
        record.touch(ShopFault::MemoryLeak, Effect::Delayed, context, Some(took));
    }
    if let Some(error) = faults.refusal(context).await {
        return Some(Answer::from(error));
    }
    let fails = has_bugs(context) && rand::random::<f64>() < FAILS;
    if fails {
        record.touch(ShopFault::BadDeployment, Effect::Failed, context, None);
    }
    fails.then(|| Answer::failed("the new release does not know the setting `currency`"))
}

/// A request that is being answered. Its duration and its log record are written when it is
/// dropped: also when the caller hung up, or a window in which requests hang would only hold the
/// times of those that did not.
struct Exchange {
    telemetry: Arc<Telemetry>,
    span: ActiveSpan,
    since: Instant,
    /// When its caller sent it, Unix nanoseconds.
    sent_ns: u64,
    method: String,
    path: String,
    route: Option<String>,
    /// None: not answered yet.
    status: Option<StatusCode>,
    _active: ActiveRequest,
}

impl Exchange {
    fn begin(
        telemetry: &Arc<Telemetry>,
        parent: &Context,
        request: &Request,
        route: Option<String>,
    ) -> Self {
        let headers = request.headers();
        let method = request.method().as_str().to_owned();
        let path = request.uri().path().to_owned();
        let name = match &route {
            Some(route) => format!("{method} {route}"),
            None => method.clone(),
        };
        let mut attributes = vec![
            KeyValue::new(semconv::HTTP_REQUEST_METHOD, method.clone()),
            KeyValue::new(semconv::URL_PATH, path.clone()),
            KeyValue::new(semconv::URL_SCHEME, "http"),
            KeyValue::new(
                semconv::NETWORK_PROTOCOL_VERSION,
                version(request.version()),
            ),
        ];
        if let Some(route) = &route {
            attributes.push(KeyValue::new(semconv::HTTP_ROUTE, route.clone()));
        }
        if let Some(query) = request.uri().query() {
            attributes.push(KeyValue::new(semconv::URL_QUERY, query.to_owned()));
        }
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
        if let Some(agent) = text(header::USER_AGENT) {
            attributes.push(KeyValue::new(
                semconv::USER_AGENT_ORIGINAL,
                agent.to_owned(),
            ));
        }
        if let Some(authority) =
            text(header::HOST).and_then(|h| h.parse::<axum::http::uri::Authority>().ok())
        {
            attributes.push(KeyValue::new(
                semconv::SERVER_ADDRESS,
                authority.host().to_owned(),
            ));
            attributes.push(KeyValue::new(
                semconv::SERVER_PORT,
                i64::from(authority.port_u16().unwrap_or(80)),
            ));
        }
        if let Some(client) = client_address(request, headers) {
            attributes.push(KeyValue::new(semconv::CLIENT_ADDRESS, client));
        }
        attributes.extend(captured(telemetry.service, headers));
        Exchange {
            span: telemetry.start(parent, SpanKind::Server, name, attributes),
            since: Instant::now(),
            sent_ns: telemetry.record.sent(headers),
            status: None,
            _active: ActiveRequest::new(telemetry, &method),
            telemetry: Arc::clone(telemetry),
            method,
            path,
            route,
        }
    }

    fn finish(mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// What faults of the whole process did to it.
    fn record_of_clocks_and_processor(&self) {
        let record = &self.telemetry.record;
        let context = self.span.context();
        for fault in [ShopFault::CpuSaturation, ShopFault::NoisyNeighbour] {
            if record.was_on(fault, self.since) {
                let lost = record.stood_still(self.sent_ns);
                if lost > Duration::ZERO {
                    record.touch(fault, Effect::Delayed, context, Some(lost));
                }
            }
        }
        let ahead = self.span.ahead();
        if ahead > Duration::ZERO {
            record.touch(ShopFault::ClockSkew, Effect::Stamped, context, Some(ahead));
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let elapsed = self.since.elapsed().as_secs_f64();
        let (method, path) = (self.method.as_str(), self.path.as_str());
        let mut metric = vec![
            KeyValue::new(semconv::HTTP_REQUEST_METHOD, method.to_owned()),
            KeyValue::new(semconv::URL_SCHEME, "http"),
        ];
        if let Some(route) = &self.route {
            metric.push(KeyValue::new(semconv::HTTP_ROUTE, route.clone()));
        }
        let mut record: Vec<(Key, AnyValue)> = vec![
            (
                semconv::HTTP_REQUEST_METHOD.into(),
                method.to_owned().into(),
            ),
            (semconv::URL_PATH.into(), path.to_owned().into()),
        ];
        let (outcome, error, severity) = match self.status {
            Some(status) => {
                let code = i64::from(status.as_u16());
                let said = KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, code);
                self.span.set(said.clone());
                metric.push(said);
                record.push((semconv::HTTP_RESPONSE_STATUS_CODE.into(), code.into()));
                let error = status.is_server_error().then(|| code.to_string());
                let severity = match error {
                    Some(_) => Severity::Error,
                    None => Severity::Info,
                };
                (code.to_string(), error, severity)
            }
            None => (
                CANCELLED.to_owned(),
                Some(CANCELLED.to_owned()),
                Severity::Warn,
            ),
        };
        if let Some(error) = error {
            metric.push(KeyValue::new(semconv::ERROR_TYPE, error.clone()));
            record.push((semconv::ERROR_TYPE.into(), error.clone().into()));
            if self.status.is_some() {
                self.span.fail(error, "");
            }
        }
        self.telemetry
            .instruments
            .server_duration
            .record(elapsed, &metric);
        self.telemetry.log(
            self.span.context(),
            severity,
            format!("{method} {path} {outcome} {:.1} ms", elapsed * 1e3),
            record,
        );
        self.record_of_clocks_and_processor();
        // Left to its own drop otherwise, which says that the caller went away.
        if self.status.is_some() {
            self.span.end_in_place();
        }
    }
}

/// Counts a request as active until it is dropped, finished or not.
struct ActiveRequest {
    telemetry: Arc<Telemetry>,
    attributes: [KeyValue; 2],
}

impl ActiveRequest {
    fn new(telemetry: &Arc<Telemetry>, method: &str) -> Self {
        let attributes = [
            KeyValue::new(semconv::HTTP_REQUEST_METHOD, method.to_owned()),
            KeyValue::new(semconv::URL_SCHEME, "http"),
        ];
        telemetry.instruments.server_active.add(1, &attributes);
        ActiveRequest {
            telemetry: Arc::clone(telemetry),
            attributes,
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.telemetry
            .instruments
            .server_active
            .add(-1, &self.attributes);
    }
}

/// The first address of `x-forwarded-for`, which the edge sets, or else that of the peer.
fn client_address(request: &Request, headers: &HeaderMap) -> Option<String> {
    let forwarded = headers
        .get("x-forwarded-for")
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.split(',').next())
        .map(|first| first.trim().to_owned());
    forwarded.or_else(|| {
        request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_string())
    })
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

//! Calls of one service by another: client span, context propagation, timeout, duration metric.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use opentelemetry::logs::Severity;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute as semconv;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

use super::Telemetry;
use super::span::{ActiveSpan, CANCELLED};
use crate::fault::board::FaultBoard;
use crate::record::Effect;
use loadgen_shop_api::{Service, ShopFault};

/// How often a call is made at most while a retry storm is on.
const TRIES: u32 = 10;
/// `error.type` of an answer that is not accepted in a retry storm.
const REJECTED: &str = "answer_rejected";

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// None came in time.
    Timeout,
    /// The peer could not be connected to.
    Connect,
    /// The exchange broke off.
    Broken,
    /// Nothing was sent: a parameter is `.` or `..`, which in a path means another place.
    Parameter,
}

impl Failure {
    fn error_type(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::Connect => "connect_error",
            Failure::Broken => "broken_exchange",
            Failure::Parameter => "invalid_parameter",
        }
    }
}

/// A call without an answer, or with one that cannot be used.
#[derive(Debug)]
pub(crate) struct CallError {
    peer: Service,
    /// None: there was an answer, of this status or shape.
    pub(crate) failure: Option<Failure>,
    reason: String,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.peer, self.reason)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    peer: Service,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body's JSON when the status is 2xx; `None` for 404; an error for all else.
    pub(crate) fn found(&self) -> Result<Option<Value>, CallError> {
        if self.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !self.status.is_success() {
            return Err(self.unusable(format!("answered {}", self.status.as_u16())));
        }
        serde_json::from_slice(&self.body)
            .map(Some)
            .map_err(|error| self.unusable(format!("answered something that is not JSON: {error}")))
    }

    /// An error unless the status is 2xx or 404.
    pub(crate) fn exists(&self) -> Result<bool, CallError> {
        match self.status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(self.unusable(format!("answered {}", status.as_u16()))),
        }
    }

    fn unusable(&self, reason: String) -> CallError {
        CallError {
            peer: self.peer,
            failure: None,
            reason,
        }
    }
}

/// A client of one other service.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    telemetry: Arc<Telemetry>,
    faults: Arc<FaultBoard>,
    peer: Service,
    base: Url,
    timeout: Duration,
}

/// A request that is to be sent.
struct Outgoing {
    method: Method,
    url: Url,
    template: Option<&'static str>,
    headers: HeaderMap,
    body: Option<Bytes>,
}

/// What a retry storm makes of an answer.
#[derive(Debug, Clone, Copy, Default)]
struct Again {
    /// What fails is asked for once more.
    storm: bool,
    /// An answer is not accepted, whatever it is.
    rejects: bool,
}

impl Client {
    pub(crate) fn new(
        http: reqwest::Client,
        telemetry: Arc<Telemetry>,
        faults: Arc<FaultBoard>,
        peer: Service,
        base: Url,
        timeout: Duration,
    ) -> Self {
        Client {
            http,
            telemetry,
            faults,
            peer,
            base,
            timeout,
        }
    }

    /// GET of a path; each `{}` of the template takes a parameter, percent-encoded.
    pub(crate) async fn get(
        &self,
        context: &Context,
        template: &'static str,
        parameters: &[&str],
    ) -> Result<Reply, CallError> {
        self.call(context, Method::GET, template, parameters, None)
            .await
    }

    /// Any method on a path, with a JSON body.
    pub(crate) async fn call(
        &self,
        context: &Context,
        method: Method,
        template: &'static str,
        parameters: &[&str],
        body: Option<&Value>,
    ) -> Result<Reply, CallError> {
        let mut headers = HeaderMap::new();
        if body.is_some() {
            headers.insert(
                "content-type",
                reqwest::header::HeaderValue::from_static("application/json"),
            );
        }
        let outgoing = Outgoing {
            method,
            url: fill(&self.base, template, parameters).ok_or_else(|| CallError {
                peer: self.peer,
                failure: Some(Failure::Parameter),
                reason: self.explain(Failure::Parameter),
            })?,
            template: Some(template),
            headers,
            body: body.map(|json| Bytes::from(json.to_string())),
        };
        self.send(context, outgoing).await
    }

    /// Sends a request on as it came, but for the trace context. `path_and_query` is encoded.
    pub(crate) async fn forward(
        &self,
        context: &Context,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, CallError> {
        let outgoing = Outgoing {
            method,
            url: at(&self.base, path_and_query),
            template: None,
            headers,
            body: (!body.is_empty()).then_some(body),
        };
        self.send(context, outgoing).await
    }

    /// Once as a rule. In a retry storm, what failed and what is not accepted is asked for again at
    /// once.
    async fn send(&self, context: &Context, outgoing: Outgoing) -> Result<Reply, CallError> {
        for _ in 1..TRIES {
            let storm = self.faults.meets(ShopFault::RetryStorm, context)
                && self.faults.retry.level() > 0.0;
            let rejects = storm && self.faults.retry.strikes();
            let again = Again { storm, rejects };
            let result = self.exchange(context, &outgoing, again).await;
            let failed = result.as_ref().map_or(true, |r| r.status.is_server_error());
            if !storm || !(failed || rejects) {
                return result;
            }
        }
        self.exchange(context, &outgoing, Again::default()).await
    }

    /// One exchange.
    async fn exchange(
        &self,
        context: &Context,
        outgoing: &Outgoing,
        Again { storm, rejects }: Again,
    ) -> Result<Reply, CallError> {
        let mut exchange = self.begin(context, outgoing);
        let mut headers = outgoing.headers.clone();
        self.telemetry.record.send(&mut headers);
        self.telemetry.inject(exchange.span.context(), &mut headers);
        let mut target = outgoing.url.clone();
        if self.faults.meets(ShopFault::NetworkPartition, context)
            && let Some(port) = self.faults.partition.strikes()
        {
            // It can only fail for a URL without a host.
            let _ = target.set_port(Some(port));
            exchange.touched = Some((ShopFault::NetworkPartition, Effect::Failed));
        }
        let mut request = self
            .http
            .request(outgoing.method.clone(), target)
            .headers(headers)
            .timeout(self.timeout);
        if let Some(body) = &outgoing.body {
            request = request.body(body.clone());
        }
        let result = match request.send().await {
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                response.bytes().await.map(|body| (status, headers, body))
            }
            Err(error) => Err(error),
        };
        exchange.ended = true;
        let failed = (result.as_ref()).map_or(true, |(status, ..)| status.is_server_error());
        if storm && (failed || rejects) {
            exchange.touched = Some((ShopFault::RetryStorm, Effect::Repeated));
        } else if result.is_err()
            && self
                .telemetry
                .record
                .was_on(ShopFault::FdExhaustion, exchange.since)
        {
            exchange.touched = Some((ShopFault::FdExhaustion, Effect::Failed));
        }
        self.conclude(&mut exchange, result, rejects)
    }

    /// Begins the client span of an exchange, and its metric.
    fn begin(&self, context: &Context, outgoing: &Outgoing) -> Exchange<'_> {
        let Outgoing {
            method,
            url,
            template,
            ..
        } = outgoing;
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = i64::from(url.port_or_known_default().unwrap_or(80));
        let mut metric = vec![
            KeyValue::new(semconv::HTTP_REQUEST_METHOD, method.to_string()),
            KeyValue::new(semconv::SERVER_ADDRESS, host),
            KeyValue::new(semconv::SERVER_PORT, port),
        ];
        let mut attributes = metric.clone();
        attributes.push(KeyValue::new(semconv::URL_FULL, url.to_string()));
        attributes.push(KeyValue::new(
            semconv::SERVICE_PEER_NAME,
            self.peer.as_str(),
        ));
        let name = match template {
            Some(template) => {
                attributes.push(KeyValue::new(semconv::URL_TEMPLATE, *template));
                metric.push(KeyValue::new(semconv::URL_TEMPLATE, *template));
                format!("{method} {template}")
            }
            None => method.to_string(),
        };
        Exchange {
            telemetry: &self.telemetry,
            span: self
                .telemetry
                .start(context, SpanKind::Client, name, attributes),
            since: Instant::now(),
            metric,
            ended: false,
            touched: None,
        }
    }

    /// Says in telemetry what came of an exchange.
    fn conclude(
        &self,
        exchange: &mut Exchange<'_>,
        result: reqwest::Result<(StatusCode, HeaderMap, Bytes)>,
        rejects: bool,
    ) -> Result<Reply, CallError> {
        let span = &exchange.span;
        match result {
            Ok((status, headers, body)) => {
                let code = i64::from(status.as_u16());
                span.set(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, code));
                span.set(KeyValue::new(semconv::NETWORK_PROTOCOL_VERSION, "1.1"));
                let said = KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, code);
                exchange.metric.push(said);
                // 4xx is an answer here: `no such user` is what the caller asked to know, and the
                // conventions leave the status of such a span unset.
                if status.is_server_error() {
                    span.fail(code.to_string(), "");
                    let error = KeyValue::new(semconv::ERROR_TYPE, code.to_string());
                    exchange.metric.push(error);
                } else if rejects {
                    span.fail(REJECTED, "the answer was not accepted");
                    exchange
                        .metric
                        .push(KeyValue::new(semconv::ERROR_TYPE, REJECTED));
                }
                Ok(Reply {
                    peer: self.peer,
                    status,
                    headers,
                    body,
                })
            }
            Err(error) => {
                let failure = classify(&error);
                let reason = self.explain(failure);
                span.fail(failure.error_type(), reason.clone());
                let error = KeyValue::new(semconv::ERROR_TYPE, failure.error_type());
                exchange.metric.push(error);
                self.telemetry.log(
                    span.context(),
                    Severity::Warn,
                    format!("{}: {reason}", self.peer),
                    vec![
                        (semconv::SERVICE_PEER_NAME.into(), self.peer.as_str().into()),
                        (semconv::ERROR_TYPE.into(), failure.error_type().into()),
                    ],
                );
                Err(CallError {
                    peer: self.peer,
                    failure: Some(failure),
                    reason,
                })
            }
        }
    }

    fn explain(&self, failure: Failure) -> String {
        match failure {
            Failure::Timeout => format!("no answer within {} ms", self.timeout.as_millis()),
            Failure::Connect => "cannot be connected to".to_owned(),
            Failure::Broken => "the exchange broke off".to_owned(),
            Failure::Parameter => "cannot be asked for `.` or `..`".to_owned(),
        }
    }
}

/// A call that is under way. Its duration is recorded when it is dropped, also when that is because
/// the caller's own caller hung up.
struct Exchange<'a> {
    telemetry: &'a Telemetry,
    span: ActiveSpan,
    since: Instant,
    metric: Vec<KeyValue>,
    /// False: no answer yet, and no reason to expect none.
    ended: bool,
    /// What a fault did to it.
    touched: Option<(ShopFault, Effect)>,
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Some((fault, effect)) = self.touched {
            let took = Some(self.since.elapsed());
            self.telemetry
                .record
                .touch(fault, effect, self.span.context(), took);
        }
        if self.ended {
            self.span.end_in_place();
        } else {
            self.metric
                .push(KeyValue::new(semconv::ERROR_TYPE, CANCELLED));
        }
        self.telemetry
            .instruments
            .client_duration
            .record(self.since.elapsed().as_secs_f64(), &self.metric);
    }
}

fn classify(error: &reqwest::Error) -> Failure {
    // First: a connection that was not made in time is both.
    if error.is_connect() {
        Failure::Connect
    } else if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::Broken
    }
}

/// What a path segment may hold as it is, by RFC 3986.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Puts parameters into a template's `{name}` holes, in order, percent-encoded. None when one of
/// them is `.` or `..`: no encoding makes these mean themselves.
fn fill(base: &Url, template: &str, parameters: &[&str]) -> Option<Url> {
    let mut parameters = parameters.iter();
    let mut path = String::new();
    for segment in template.trim_start_matches('/').split('/') {
        path.push('/');
        if !segment.starts_with('{') {
            path.push_str(segment);
            continue;
        }
        let parameter = parameters.next().copied().unwrap_or_default();
        if matches!(parameter, "." | "..") {
            return None;
        }
        path.extend(utf8_percent_encode(parameter, &UNRESERVED));
    }
    let mut url = base.clone();
    url.set_path(&path);
    Some(url)
}

/// The place of an encoded path and query at the base's host. Not by reference resolution, for
/// which a path that begins with `//` names another host.
fn at(base: &Url, path_and_query: &str) -> Url {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(query);
    url
}

/// Whether a path has segments that mean another place than they are at.
pub(crate) fn wanders(path: &str) -> bool {
    // URL parsers take a backslash for a slash.
    path.split(['/', '\\']).any(|segment| {
        let decoded: Vec<u8> = percent_decode_str(segment).collect();
        matches!(decoded.as_slice(), b"." | b"..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Url {
        Url::parse("http://127.0.0.1:1").expect("a URL")
    }

    #[test]
    fn holes_are_filled_in_order() {
        let url = fill(&base(), "/add/{id}/{sku}/{qty}", &["a b", "x/y", "1"]);
        assert_eq!(
            url.expect("no dots").as_str(),
            "http://127.0.0.1:1/add/a%20b/x%2Fy/1"
        );
    }

    #[test]
    fn a_path_with_two_slashes_is_no_host() {
        let url = at(&base(), "//127.0.0.1:2/x?y=//z");
        assert_eq!(url.as_str(), "http://127.0.0.1:1//127.0.0.1:2/x?y=//z");
    }

    #[test]
    fn dots_wander_however_they_are_written() {
        for path in ["/a/..", "/./a", "/a/%2e%2E/b", "/a/.%2e", "/a\\..\\b"] {
            assert!(wanders(path), "{path}");
        }
        for path in ["/", "//a", "/a.b/...", "/a/..b", "/%252e%252e"] {
            assert!(!wanders(path), "{path}");
        }
    }

    /// Any text, and texts of what has a meaning in paths.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![".{1,20}", "[.]{1,3}", "[./\\\\%2eE?#:@\t\n\r a]{1,8}"]
    }

    proptest! {
        #[test]
        fn a_parameter_never_leaves_its_segment(parameter in hostile()) {
            let Some(url) = fill(&base(), "/product/{sku}/stock", &[&parameter]) else {
                prop_assert!(parameter == "." || parameter == "..");
                return Ok(());
            };
            let segments: Vec<_> = url.path_segments().expect("has a path").collect();
            prop_assert_eq!(segments.len(), 3);
            prop_assert_eq!((segments[0], segments[2]), ("product", "stock"));
            let arrived = percent_decode_str(segments[1]).decode_utf8();
            prop_assert_eq!(arrived.expect("UTF-8"), parameter);
            prop_assert!(url.query().is_none());
            prop_assert!(url.fragment().is_none());
        }

        #[test]
        fn a_forwarded_path_never_leaves_its_host(path in hostile()) {
            let url = at(&base(), &format!("/{path}"));
            prop_assert_eq!(url.origin(), base().origin());
            prop_assert_eq!(url.username(), "");
        }
    }
}

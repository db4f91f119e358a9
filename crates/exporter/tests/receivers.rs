//! Receivers that take a part, ask for patience, or refuse, over gRPC and over HTTP.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use loadgen_exporter::{Endpoint, Exporter, Outcome, Patience};
use loadgen_otlp::{OtlpProtocol, SignalRequest};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};

/// What a receiver says.
#[derive(Debug, Clone, Copy)]
enum Say {
    /// It takes all but so many spans.
    AllBut(i64),
    /// Ask again later.
    Later,
    /// Never.
    Never,
}

/// What is still to be said, and the keys that came.
#[derive(Debug, Clone)]
struct Script(Arc<Mutex<(VecDeque<Say>, Vec<String>)>>);

impl Script {
    fn new(says: &[Say]) -> Self {
        Self(Arc::new(Mutex::new((
            says.iter().copied().collect(),
            Vec::new(),
        ))))
    }

    fn next(&self, key: Option<&str>) -> Say {
        let mut script = self.0.lock().unwrap();
        script.1.extend(key.map(str::to_owned));
        script.0.pop_front().expect("asked more often than allowed")
    }

    fn is_over(&self) -> bool {
        self.0.lock().unwrap().0.is_empty()
    }
}

fn response(rejected: i64) -> ExportTraceServiceResponse {
    let partial = ExportTracePartialSuccess {
        rejected_spans: rejected,
        error_message: "too old".to_owned(),
    };
    ExportTraceServiceResponse {
        partial_success: (rejected > 0).then_some(partial),
    }
}

#[tonic::async_trait]
impl TraceService for Script {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let key = request.metadata().get("api-key");
        match self.next(key.and_then(|key| key.to_str().ok())) {
            Say::AllBut(rejected) => Ok(tonic::Response::new(response(rejected))),
            Say::Later => Err(Status::new(Code::Unavailable, "busy")),
            Say::Never => Err(Status::new(Code::InvalidArgument, "no such thing")),
        }
    }
}

async fn over_http(State(script): State<Script>, headers: HeaderMap) -> Response {
    let key = headers.get("api-key").and_then(|key| key.to_str().ok());
    match script.next(key) {
        Say::AllBut(rejected) => response(rejected).encode_to_vec().into_response(),
        Say::Later => (StatusCode::SERVICE_UNAVAILABLE, "busy").into_response(),
        Say::Never => (StatusCode::BAD_REQUEST, "no such thing").into_response(),
    }
}

async fn serve(script: Script, protocol: OtlpProtocol) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    match protocol {
        OtlpProtocol::Grpc => {
            let server = tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(script))
                .serve_with_incoming(TcpIncoming::from(listener));
            tokio::spawn(async { server.await.unwrap() });
        }
        OtlpProtocol::HttpProtobuf => {
            let router = Router::new().route("/v1/traces", post(over_http));
            let router = router.with_state(script);
            tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        }
    }
    address
}

fn three_spans() -> SignalRequest {
    let spans = vec![Span::default(); 3];
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    SignalRequest::Traces(ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    })
}

/// What comes of so many requests to a receiver that says this, over both transports alike.
async fn outcomes(says: &[Say], requests: usize, patience: Duration) -> Vec<Outcome> {
    let mut of_both = Vec::new();
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let script = Script::new(says);
        let address = serve(script.clone(), protocol).await;
        let mut endpoint = Endpoint::new(format!("http://{address}"), protocol);
        endpoint.headers = vec![("API-Key".to_owned(), "secret".to_owned())];
        let mut exporter = Exporter::new(&endpoint, Patience { limit: patience }).unwrap();
        let mut outcomes = Vec::new();
        for _ in 0..requests {
            let outcome = exporter.export(&three_spans()).await;
            // Each transport has words of its own around the receiver's.
            let words = ["too old", "busy", "no such thing"];
            let reason = outcome.reason.unwrap_or_default();
            let said = words.into_iter().find(|word| reason.contains(word));
            outcomes.push(Outcome {
                reason: said.map(str::to_owned),
                ..outcome
            });
        }
        assert!(script.is_over(), "{protocol:?}: asked less often");
        let keys = script.0.lock().unwrap().1.clone();
        assert_eq!(keys, vec!["secret"; says.len()]);
        of_both.push(outcomes);
    }
    assert_eq!(of_both[0], of_both[1]);
    of_both.remove(0)
}

fn outcome(accepted: u64, reason: Option<&str>) -> Outcome {
    Outcome {
        accepted,
        rejected: 3 - accepted,
        reason: reason.map(str::to_owned),
        is_unreachable: false,
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_partial_success_is_a_loss_of_the_rest() {
    let outcomes = outcomes(&[Say::AllBut(0), Say::AllBut(2)], 2, PATIENCE).await;
    assert_eq!(outcomes, [outcome(3, None), outcome(1, Some("too old"))]);
}

#[tokio::test]
async fn a_receiver_that_says_later_is_asked_again() {
    let outcomes = outcomes(&[Say::Later, Say::Later, Say::AllBut(0)], 1, PATIENCE).await;
    assert_eq!(outcomes, [outcome(3, None)]);
}

#[tokio::test]
async fn after_one_request_was_given_up_the_next_is_tried_once() {
    let says = [Say::Later, Say::Later, Say::Later, Say::AllBut(0)];
    // Enough for one pause.
    let outcomes = outcomes(&says, 3, Duration::from_millis(300)).await;
    let lost = outcome(0, Some("busy"));
    assert_eq!(outcomes, [lost.clone(), lost, outcome(3, None)]);
}

#[tokio::test]
async fn what_is_refused_is_not_sent_again() {
    let outcomes = outcomes(&[Say::Never], 1, PATIENCE).await;
    assert_eq!(outcomes, [outcome(0, Some("no such thing"))]);
}

#[tokio::test]
async fn a_page_is_no_answer_of_a_receiver() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(|| async { Html("<html>Log in</html>") });
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    let endpoint = Endpoint::new(format!("http://{address}"), OtlpProtocol::HttpProtobuf);
    let mut exporter = Exporter::new(&endpoint, Patience::default()).unwrap();
    let outcome = exporter.export(&three_spans()).await;
    assert_eq!((outcome.accepted, outcome.rejected), (0, 3));
    assert!(outcome.is_unreachable);
    let reason = outcome.reason.unwrap();
    assert!(reason.starts_with("HTTP 200 with text/html"), "{reason}");
}

#[tokio::test]
async fn an_address_without_a_receiver_is_told_from_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let endpoint = Endpoint::new(format!("http://{address}"), protocol);
        let limit = Duration::ZERO;
        let mut exporter = Exporter::new(&endpoint, Patience { limit }).unwrap();
        let outcome = exporter.export(&three_spans()).await;
        assert!(outcome.is_unreachable, "{protocol:?}: {outcome:?}");
        assert_eq!(outcome.rejected, 3);
    }
}

//! OTLP over gRPC: the three export services, with gzip, behind admission.

use super::admission::{Budget, Share};
use super::body;
use super::connections::{Incoming, LastRequest};
use crate::topology::{Refusal, Signal, Topology};
use http_body::Frame;
use http_body_util::StreamBody;
use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as trace;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tower::{Layer, Service};
use tracing::debug;

/// A client that takes longer than this for one request holds memory for nothing.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that is silent for so long is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Requests that one connection may have open, most of them waiting unread.
const STREAMS_PER_CONNECTION: u32 = 128;

/// Serves until `stop` is done and the open requests are answered.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    incoming: Incoming,
    topology: Arc<Topology>,
    budget: Budget,
    max_request_bytes: usize,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let export = Export(topology.clone());
    let services = Routes::new(
        trace::trace_service_server::TraceServiceServer::new(export.clone())
            .accept_compressed(Gzip)
            .max_decoding_message_size(max_request_bytes),
    )
    .add_service(
        metrics::metrics_service_server::MetricsServiceServer::new(export.clone())
            .accept_compressed(Gzip)
            .max_decoding_message_size(max_request_bytes),
    )
    .add_service(
        logs::logs_service_server::LogsServiceServer::new(export)
            .accept_compressed(Gzip)
            .max_decoding_message_size(max_request_bytes),
    );
    let connections = futures::stream::unfold(incoming, |incoming: Incoming| async move {
        let connection = Ok::<_, std::io::Error>(incoming.accept().await);
        Some((connection, incoming))
    });
    Server::builder()
        .timeout(REQUEST_TIMEOUT)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .layer(Admission {
            budget,
            topology,
            max_request_bytes,
        })
        .add_routes(services)
        .serve_with_incoming_shutdown(connections, stop)
        .await
}

#[derive(Clone)]
struct Export(Arc<Topology>);

/// How the layer hands a request's share to the service. An extension must be `Clone`.
type SharedShare = Arc<Mutex<Option<Share>>>;

impl Export {
    async fn export<S: Signal>(&self, mut request: Request<S>) -> Result<(), Status> {
        // Kept until the line is written.
        let mut share = request
            .extensions_mut()
            .remove::<SharedShare>()
            .and_then(|share| share.lock().unwrap_or_else(PoisonError::into_inner).take());
        let request = request.into_inner();
        let bytes = request.encoded_len();
        if let Some(share) = &mut share {
            share.shrink_to(bytes);
        }
        self.0
            .consume(request, bytes)
            .await
            .map_err(|refusal| refusal.status())
    }
}

#[tonic::async_trait]
impl trace::trace_service_server::TraceService for Export {
    async fn export(
        &self,
        request: Request<trace::ExportTraceServiceRequest>,
    ) -> Result<Response<trace::ExportTraceServiceResponse>, Status> {
        self.export(request).await?;
        Ok(Response::new(trace::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Export {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        self.export(request).await?;
        Ok(Response::new(
            metrics::ExportMetricsServiceResponse::default(),
        ))
    }
}

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Export {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        self.export(request).await?;
        Ok(Response::new(logs::ExportLogsServiceResponse::default()))
    }
}

/// Puts admission before the decoding of a message, and counts what is refused on the way.
#[derive(Clone)]
struct Admission {
    budget: Budget,
    topology: Arc<Topology>,
    max_request_bytes: usize,
}

impl Admission {
    /// Waits for room and then for the body. Gives the request with both.
    async fn admit(&self, request: http::Request<Body>) -> Result<http::Request<Body>, Status> {
        if let Some(connection) = request.extensions().get::<LastRequest>() {
            connection.mark();
        }
        let share = self.budget.reserve().await.map_err(|it| it.status())?;
        let (mut head, body) = request.into_parts();
        let limit = self.max_request_bytes.saturating_add(PREFIX);
        let pieces = body::read(body, limit, &self.budget)
            .await
            .map_err(|why| why.status(self.max_request_bytes))?;
        head.extensions
            .insert(SharedShare::new(Mutex::new(Some(share))));
        let frames = pieces
            .into_iter()
            .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
        Ok(http::Request::from_parts(head, body))
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, service: S) -> Admitted<S> {
        Admitted {
            admission: self.clone(),
            service,
        }
    }
}

#[derive(Clone)]
struct Admitted<S> {
    admission: Admission,
    service: S,
}

impl<S> Service<http::Request<Body>> for Admitted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The service that was asked for readiness is the one to call.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        let admission = self.admission.clone();
        Box::pin(async move {
            let mut response = match admission.admit(request).await {
                Ok(request) => service.call(request).await?,
                Err(status) => status.into_http(),
            };
            // Clients take tonic's code for "too large" as a reason to send it again.
            let code = Status::from_header_map(response.headers()).map(|status| status.code());
            if code == Some(Code::OutOfRange) {
                response = Refusal::TooLarge(admission.max_request_bytes)
                    .status()
                    .into_http();
            }
            if code.is_some_and(|code| code != Code::Ok) {
                admission.topology.count_refusal();
                debug!(?code, "refused");
            }
            Ok(response)
        })
    }
}

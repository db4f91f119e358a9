//! OTLP over HTTP, as protobuf.

use std::error::Error;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use loadgen_otlp::SignalRequest;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::{DecodeError, Message};
use reqwest::{Client, Response};

use crate::answer::{Answer, Refusal, Retry};
use crate::grpc::with_sources;
use crate::{Endpoint, ExporterError};

const PROTOBUF: &str = "application/x-protobuf";

/// A client, and where it sends each signal.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    url: String,
}

impl Http {
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, ExporterError> {
        let url = endpoint.url.trim_end_matches('/').to_owned();
        if let Err(error) = reqwest::Url::parse(&url) {
            return Err(ExporterError::Address {
                url,
                reason: error.to_string(),
            });
        }
        let client = Client::builder()
            .default_headers(headers(&endpoint.headers)?)
            .build()
            .map_err(|error| ExporterError::Client(with_sources(&error)))?;
        Ok(Self { client, url })
    }

    pub(crate) async fn send(&mut self, request: &SignalRequest) -> Result<Answer, Refusal> {
        let (path, body) = match request {
            SignalRequest::Traces(request) => ("/v1/traces", request.encode_to_vec()),
            SignalRequest::Metrics(request) => ("/v1/metrics", request.encode_to_vec()),
            SignalRequest::Logs(request) => ("/v1/logs", request.encode_to_vec()),
        };
        let sent = self.client.post(format!("{}{path}", self.url)).body(body);
        let response = sent.send().await.map_err(|error| Refusal {
            reason: with_sources(&error),
            retry: Retry::Soon,
            is_unreachable: true,
        })?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        // The status says that it was taken, also where the rest of the answer is lost.
        let Ok(body) = response.bytes().await else {
            return Ok(Answer::default());
        };
        // Other servers say 200 to anything, such as with a page to log in.
        answer(request, &body).map_err(|error| Refusal {
            is_unreachable: true,
            ..Refusal::never(format!(
                "HTTP 200 with {}, which is no answer of an OTLP receiver: {error}",
                kind.as_ref()
                    .and_then(|kind| kind.to_str().ok())
                    .unwrap_or("no Content-Type")
            ))
        })
    }
}

fn headers(headers: &[(String, String)]) -> Result<HeaderMap, ExporterError> {
    let mut map = HeaderMap::new();
    map.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    for (name, value) in headers {
        let wrong = |error: &dyn Error| ExporterError::Header {
            name: name.clone(),
            reason: error.to_string(),
        };
        let key: HeaderName = name.parse().map_err(|e| wrong(&e))?;
        map.insert(key, value.parse().map_err(|e| wrong(&e))?);
    }
    Ok(map)
}

fn answer(request: &SignalRequest, body: &[u8]) -> Result<Answer, DecodeError> {
    let partial = match request {
        SignalRequest::Traces(_) => ExportTraceServiceResponse::decode(body)?
            .partial_success
            .map(|it| Answer::partial(it.rejected_spans, it.error_message)),
        SignalRequest::Metrics(_) => ExportMetricsServiceResponse::decode(body)?
            .partial_success
            .map(|it| Answer::partial(it.rejected_data_points, it.error_message)),
        SignalRequest::Logs(_) => ExportLogsServiceResponse::decode(body)?
            .partial_success
            .map(|it| Answer::partial(it.rejected_log_records, it.error_message)),
    };
    Ok(partial.unwrap_or_default())
}

/// Which statuses allow to send again is OTLP's rule.
async fn refusal(response: Response) -> Refusal {
    let status = response.status();
    let wish = response.headers().get(RETRY_AFTER);
    let wish = wish.and_then(|value| value.to_str().ok()?.parse().ok());
    let retry = match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => wish.map_or(Retry::Soon, |seconds| {
            Retry::After(Duration::from_secs(seconds))
        }),
        _ => Retry::Never,
    };
    let is_protobuf = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|mime| mime.as_bytes().starts_with(PROTOBUF.as_bytes()));
    let body = response.bytes().await.unwrap_or_default();
    let message = match is_protobuf {
        true => tonic_types::pb::Status::decode(body).map(|status| status.message),
        false => Ok(String::from_utf8_lossy(&body).chars().take(200).collect()),
    };
    Refusal {
        reason: format!("HTTP {status}: {}", message.unwrap_or_default().trim()),
        retry,
        // There is a server, but no receiver at that path.
        is_unreachable: status == StatusCode::NOT_FOUND,
    }
}

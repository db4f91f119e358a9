//! OTLP over gRPC.

use std::error::Error;
use std::time::Duration;

use loadgen_otlp::SignalRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::answer::{Answer, Refusal, Retry};
use crate::{Endpoint, ExporterError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with the three services.
#[derive(Debug)]
pub(crate) struct Grpc {
    metadata: MetadataMap,
    traces: TraceServiceClient<Channel>,
    metrics: MetricsServiceClient<Channel>,
    logs: LogsServiceClient<Channel>,
}

impl Grpc {
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, ExporterError> {
        let wrong = |error: &dyn Error| ExporterError::Address {
            url: endpoint.url.clone(),
            reason: with_sources(error),
        };
        let mut channel = Channel::from_shared(endpoint.url.clone()).map_err(|e| wrong(&e))?;
        if endpoint.url.starts_with("https://") {
            let tls = ClientTlsConfig::new().with_native_roots();
            channel = channel.tls_config(tls).map_err(|e| wrong(&e))?;
        }
        let channel = channel.connect_timeout(CONNECT_TIMEOUT).connect_lazy();
        Ok(Self {
            metadata: metadata(&endpoint.headers)?,
            traces: TraceServiceClient::new(channel.clone()),
            metrics: MetricsServiceClient::new(channel.clone()),
            logs: LogsServiceClient::new(channel),
        })
    }

    pub(crate) async fn send(&mut self, request: &SignalRequest) -> Result<Answer, Refusal> {
        let metadata = self.metadata.clone();
        let answer = match request {
            SignalRequest::Traces(request) => {
                let answer = self.traces.export(call(metadata, request)).await;
                let partial = answer.map(|answer| answer.into_inner().partial_success);
                partial.map(|it| it.map(|it| Answer::partial(it.rejected_spans, it.error_message)))
            }
            SignalRequest::Metrics(request) => {
                let answer = self.metrics.export(call(metadata, request)).await;
                let partial = answer.map(|answer| answer.into_inner().partial_success);
                partial.map(|it| {
                    it.map(|it| Answer::partial(it.rejected_data_points, it.error_message))
                })
            }
            SignalRequest::Logs(request) => {
                let answer = self.logs.export(call(metadata, request)).await;
                let partial = answer.map(|answer| answer.into_inner().partial_success);
                partial.map(|it| {
                    it.map(|it| Answer::partial(it.rejected_log_records, it.error_message))
                })
            }
        };
        answer
            .map(Option::unwrap_or_default)
            .map_err(|status| refusal(&status))
    }
}

fn call<T: Clone>(metadata: MetadataMap, request: &T) -> tonic::Request<T> {
    let mut call = tonic::Request::new(request.clone());
    *call.metadata_mut() = metadata;
    call
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, ExporterError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let wrong = |error: &dyn Error| ExporterError::Header {
            name: name.clone(),
            reason: error.to_string(),
        };
        let key: MetadataKey<Ascii> = name.to_lowercase().parse().map_err(|e| wrong(&e))?;
        let value: MetadataValue<Ascii> = value.parse().map_err(|e| wrong(&e))?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

/// Which codes allow to send again, and when, is OTLP's rule; `RESOURCE_EXHAUSTED` does if it says
/// when.
fn refusal(status: &Status) -> Refusal {
    let wish = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    let retry = match (status.code(), wish) {
        (Code::ResourceExhausted, None) => Retry::Never,
        (
            Code::ResourceExhausted
            | Code::Unavailable
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::DataLoss,
            wish,
        ) => wish.map_or(Retry::Soon, Retry::After),
        _ => Retry::Never,
    };
    let hint = match status.code() {
        Code::ResourceExhausted if retry == Retry::Never => {
            " (the receiver's limit is max_recv_msg_size_mib in a Collector's otlp receiver)"
        }
        _ => "",
    };
    let source = status.source().map(with_sources);
    Refusal {
        reason: match source {
            Some(source) => source,
            None => format!("{:?}: {}{hint}", status.code(), status.message()),
        },
        retry,
        // An answer has no source, only what went wrong on the way has. A server of HTTP that knows no
        // such path counts as `UNIMPLEMENTED`.
        is_unreachable: status.source().is_some() || status.code() == Code::Unimplemented,
    }
}

/// An error with what it came from, as far as that says something new.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

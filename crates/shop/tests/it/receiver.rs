//! An OTLP/gRPC receiver that keeps what it gets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

/// A span and the service that it is from.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) version: Option<String>,
    pub(crate) span: Span,
}

impl Seen {
    /// A string or number attribute as text; an array's strings in brackets.
    pub(crate) fn attribute(&self, key: &str) -> Option<String> {
        find(&self.span.attributes, key)
    }

    pub(crate) fn millis(&self) -> f64 {
        (self.span.end_time_unix_nano - self.span.start_time_unix_nano) as f64 / 1e6
    }

    pub(crate) fn failed(&self) -> bool {
        self.span
            .status
            .as_ref()
            .is_some_and(|status| status.code == 2)
    }
}

/// A number of a metric with the service it is from.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) service: String,
    pub(crate) metric: String,
    pub(crate) attributes: Vec<KeyValue>,
    /// The value, or the count of a histogram.
    pub(crate) value: f64,
}

#[derive(Default)]
struct Kept {
    resources: HashMap<String, Vec<KeyValue>>,
    spans: Vec<Seen>,
    points: Vec<Point>,
    logs: Vec<(String, LogRecord)>,
}

/// The receiver. Clones share what is kept.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Kept>>);

impl Receiver {
    /// Starts listening; the endpoint's URL.
    pub(crate) async fn start() -> (Self, String) {
        let receiver = Receiver::default();
        let local = "127.0.0.1:0".parse().expect("an address");
        let incoming = tonic::transport::server::TcpIncoming::bind(local).expect("a free port");
        let address = incoming.local_addr().expect("an address");
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .add_service(LogsServiceServer::new(receiver.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        (receiver, format!("http://{address}"))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no panic while it was held")
    }

    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.kept().spans.clone()
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        self.kept().points.clone()
    }

    pub(crate) fn logs(&self) -> Vec<(String, LogRecord)> {
        self.kept().logs.clone()
    }

    pub(crate) fn resource(&self, service: &str, key: &str) -> Option<String> {
        find(self.kept().resources.get(service)?, key)
    }

    pub(crate) fn forget(&self) {
        *self.kept() = Kept::default();
    }
}

pub(crate) fn find(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|kv| kv.key == key)?.value.as_ref()?;
    Some(text(value))
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::ArrayValue(array)) => {
            let texts: Vec<_> = array.values.iter().map(text).collect();
            format!("[{}]", texts.join(","))
        }
        other => format!("{other:?}"),
    }
}

fn service_of(attributes: &[KeyValue]) -> String {
    find(attributes, "service.name").expect("a resource has a service name")
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.kept();
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
            let service = service_of(&attributes);
            let version = find(&attributes, "service.version");
            kept.resources.insert(service.clone(), attributes);
            for span in resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                kept.spans.push(Seen {
                    service: service.clone(),
                    version: version.clone(),
                    span,
                });
            }
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut kept = self.kept();
        for resource in request.into_inner().resource_metrics {
            let service = service_of(&resource.resource.map(|r| r.attributes).unwrap_or_default());
            for metric in resource
                .scope_metrics
                .into_iter()
                .flat_map(|scope| scope.metrics)
            {
                let points: Vec<(Vec<KeyValue>, f64)> = match metric.data {
                    Some(Data::Gauge(gauge)) => gauge.data_points.into_iter().map(number).collect(),
                    Some(Data::Sum(sum)) => sum.data_points.into_iter().map(number).collect(),
                    Some(Data::Histogram(histogram)) => histogram
                        .data_points
                        .into_iter()
                        .map(|point| (point.attributes, point.count as f64))
                        .collect(),
                    _ => Vec::new(),
                };
                for (attributes, value) in points {
                    kept.points.push(Point {
                        service: service.clone(),
                        metric: metric.name.clone(),
                        attributes,
                        value,
                    });
                }
            }
        }
        Ok(Response::new(Default::default()))
    }
}

fn number(point: opentelemetry_proto::tonic::metrics::v1::NumberDataPoint) -> (Vec<KeyValue>, f64) {
    let value = match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    };
    (point.attributes, value)
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut kept = self.kept();
        for resource in request.into_inner().resource_logs {
            let service = service_of(&resource.resource.map(|r| r.attributes).unwrap_or_default());
            for record in resource
                .scope_logs
                .into_iter()
                .flat_map(|scope| scope.log_records)
            {
                kept.logs.push((service.clone(), record));
            }
        }
        Ok(Response::new(Default::default()))
    }
}

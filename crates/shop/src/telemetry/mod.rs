//! The OpenTelemetry SDK of a service: resource, providers, exporters, and the end of them.

pub(crate) mod baggage;
pub(crate) mod client;
pub(crate) mod headers;
pub(crate) mod instruments;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod span;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder as LogBatch, BatchLogProcessor, SdkLogger, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder as SpanBatch, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::error::ShopError;
use instruments::Instruments;
use loadgen_shop_api::Service;

/// Scope of everything that the shop emits.
const SCOPE: &str = "loadgen-shop";
/// How long a finished span or log record waits for company.
const BATCH_DELAY: Duration = Duration::from_millis(500);
/// Spans that wait at most: some seconds of them at 300 requests a second. The queue's memory is
/// taken at the start, a third of a kilobyte a place.
const SPAN_QUEUE: usize = 8_192;
/// Log records that wait at most.
const LOG_QUEUE: usize = 2_048;
/// How often metrics are read and sent.
const METRIC_INTERVAL: Duration = Duration::from_secs(1);
/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Variables of the OpenTelemetry specification that name an endpoint.
const ENDPOINT_VARIABLES: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// A service's tracer, meters, logger and propagators.
pub(crate) struct Telemetry {
    pub(crate) service: Service,
    tracer: SdkTracer,
    logger: SdkLogger,
    pub(crate) instruments: Instruments,
    trace_context: TraceContextPropagator,
    baggage: BaggagePropagator,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    loggers: SdkLoggerProvider,
}

impl Telemetry {
    /// Must be called inside the runtime that carries the exporters' connections.
    pub(crate) fn new(service: Service, endpoint: Option<&str>) -> Result<Arc<Self>, ShopError> {
        let resource = resource(service);
        let mut tracers = SdkTracerProvider::builder()
            .with_sampler(Sampler::parent_based(Sampler::AlwaysOn))
            .with_resource(resource.clone());
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone());
        let mut loggers = SdkLoggerProvider::builder().with_resource(resource);
        if service == Service::Cart {
            tracers = tracers.with_span_processor(baggage::BaggageAttributes);
        }
        // The gateway is somebody else's machine: nothing of it is seen but its answers.
        let exports = service != Service::Gateway
            && (endpoint.is_some() || ENDPOINT_VARIABLES.iter().any(is_set));
        if exports {
            let exporters = Exporters::new(endpoint).map_err(|reason| ShopError::Telemetry {
                endpoint: endpoint
                    .unwrap_or("the OTEL_EXPORTER_OTLP_ENDPOINT")
                    .to_owned(),
                reason,
            })?;
            tracers = tracers.with_span_processor(
                BatchSpanProcessor::builder(exporters.spans)
                    .with_batch_config(
                        SpanBatch::default()
                            .with_max_queue_size(SPAN_QUEUE)
                            .with_max_export_batch_size(1_024)
                            .with_scheduled_delay(BATCH_DELAY)
                            .build(),
                    )
                    .build(),
            );
            meters = meters.with_reader(
                PeriodicReader::builder(exporters.metrics)
                    .with_interval(METRIC_INTERVAL)
                    .build(),
            );
            loggers = loggers.with_log_processor(
                BatchLogProcessor::builder(exporters.logs)
                    .with_batch_config(
                        LogBatch::default()
                            .with_max_queue_size(LOG_QUEUE)
                            .with_max_export_batch_size(1_024)
                            .with_scheduled_delay(BATCH_DELAY)
                            .build(),
                    )
                    .build(),
            );
        }
        let (tracers, meters, loggers) = (tracers.build(), meters.build(), loggers.build());
        Ok(Arc::new(Telemetry {
            service,
            tracer: tracers.tracer(SCOPE),
            logger: loggers.logger(SCOPE),
            instruments: Instruments::new(meters.meter(SCOPE)),
            trace_context: TraceContextPropagator::new(),
            baggage: BaggagePropagator::new(),
            tracers,
            meters,
            loggers,
        }))
    }

    /// The context that a request or message came with: remote parent span and baggage.
    pub(crate) fn extract(&self, headers: &HeaderMap) -> Context {
        let carrier = Carrier(headers);
        let context = self
            .trace_context
            .extract_with_context(&Context::new(), &carrier);
        self.baggage.extract_with_context(&context, &carrier)
    }

    /// Writes `traceparent`, `tracestate` and `baggage`.
    pub(crate) fn inject(&self, context: &Context, headers: &mut HeaderMap) {
        let mut carrier = CarrierMut(headers);
        self.trace_context.inject_context(context, &mut carrier);
        self.baggage.inject_context(context, &mut carrier);
    }

    /// Emits a log record that belongs to the context's span.
    pub(crate) fn log(
        &self,
        context: &Context,
        severity: Severity,
        body: String,
        attributes: Vec<(Key, AnyValue)>,
    ) {
        let mut record = self.logger.create_log_record();
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_timestamp(std::time::SystemTime::now());
        record.set_body(body.into());
        record.add_attributes(attributes);
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        self.logger.emit(record);
    }

    /// Logs what happened in the business.
    pub(crate) fn event(
        &self,
        context: &Context,
        body: &'static str,
        attributes: Vec<(&'static str, AnyValue)>,
    ) {
        let attributes = attributes.into_iter().map(|(k, v)| (k.into(), v)).collect();
        self.log(context, Severity::Info, body.to_owned(), attributes);
    }

    /// Sends what is left and ends the exporters. Blocks for `limit` at most.
    pub(crate) fn shutdown(self: &Arc<Self>, limit: Duration) {
        // On threads that nobody waits for: not all of these calls keep to a limit when the
        // collector is there but does not answer.
        let (done, ended) = std::sync::mpsc::channel();
        let ends: [fn(&Telemetry, Duration) -> OTelSdkResult; 3] = [
            |t, limit| t.tracers.shutdown_with_timeout(limit),
            |t, limit| t.meters.shutdown_with_timeout(limit),
            |t, limit| t.loggers.shutdown_with_timeout(limit),
        ];
        for end in ends {
            let (telemetry, done) = (Arc::clone(self), done.clone());
            std::thread::spawn(move || {
                // What could not be sent is lost; there is nobody left to tell.
                let _ = end(&telemetry, limit);
                let _ = done.send(());
            });
        }
        let deadline = Instant::now() + limit;
        for _ in ends {
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = ended.recv_timeout(left);
        }
    }
}

struct Exporters {
    spans: SpanExporter,
    metrics: MetricExporter,
    logs: LogExporter,
}

impl Exporters {
    fn new(endpoint: Option<&str>) -> Result<Self, String> {
        let mut spans = SpanExporter::builder()
            .with_tonic()
            .with_timeout(EXPORT_TIMEOUT);
        let mut metrics = MetricExporter::builder()
            .with_tonic()
            .with_timeout(EXPORT_TIMEOUT);
        let mut logs = LogExporter::builder()
            .with_tonic()
            .with_timeout(EXPORT_TIMEOUT);
        if let Some(endpoint) = endpoint {
            spans = spans.with_endpoint(endpoint);
            metrics = metrics.with_endpoint(endpoint);
            logs = logs.with_endpoint(endpoint);
        }
        Ok(Exporters {
            spans: spans.build().map_err(|e| e.to_string())?,
            metrics: metrics.build().map_err(|e| e.to_string())?,
            logs: logs.build().map_err(|e| e.to_string())?,
        })
    }
}

fn is_set(variable: &&str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn resource(service: Service) -> Resource {
    // The builder adds telemetry.sdk.* and what OTEL_RESOURCE_ATTRIBUTES says.
    Resource::builder()
        .with_service_name(service.as_str())
        .with_attributes([
            KeyValue::new(semconv::SERVICE_NAMESPACE, "shop"),
            KeyValue::new(
                semconv::SERVICE_INSTANCE_ID,
                uuid::Uuid::new_v4().to_string(),
            ),
            KeyValue::new(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(semconv::PROCESS_PID, i64::from(std::process::id())),
            KeyValue::new(
                semconv::HOST_NAME,
                sysinfo::System::host_name().unwrap_or_else(|_| "localhost".to_owned()),
            ),
        ])
        .build()
}

/// Request headers as the propagators read them.
struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Request headers as the propagators write them.
struct CarrierMut<'a>(&'a mut HeaderMap);

impl Injector for CarrierMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::baggage::BaggageExt;

    #[test]
    fn context_survives_a_hop() {
        let telemetry = Telemetry::new(Service::Cart, None).expect("no exporter, no error");
        let mut headers = HeaderMap::new();
        headers.insert(
            "traceparent",
            HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        );
        headers.insert(
            "baggage",
            HeaderValue::from_static("anomaly.type=none,anomaly.msg=a%20b"),
        );
        let context = telemetry.extract(&headers);
        assert_eq!(
            context
                .baggage()
                .get("anomaly.msg")
                .map(ToString::to_string),
            Some("a b".to_owned())
        );
        let mut onward = HeaderMap::new();
        telemetry.inject(&context, &mut onward);
        assert_eq!(onward.get("traceparent"), headers.get("traceparent"));
        let baggage = onward["baggage"].to_str().expect("baggage is ASCII");
        assert!(baggage.contains("anomaly.type=none"), "{baggage}");
        assert!(baggage.contains("anomaly.msg=a%20b"), "{baggage}");
    }
}

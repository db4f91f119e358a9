//! The OpenTelemetry SDK of a service: resource, providers, exporters, and the end of them.

pub(crate) mod baggage;
pub(crate) mod client;
pub(crate) mod headers;
pub(crate) mod instruments;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod span;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

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
use crate::fault::reach::Reach;
use crate::record::Record;
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
/// `service.version` of the shop, and of the release that a deployment brings. It is the same for a
/// good one and a bad one, or the version would tell which it is.
const VERSIONS: [&str; 2] = [env!("CARGO_PKG_VERSION"), "0.2.0-rc.1"];
/// By how much the clock is ahead when it is skewed as much as possible.
const SKEW: Duration = Duration::from_secs(4);
/// Variables of the OpenTelemetry specification that name an endpoint.
const ENDPOINT_VARIABLES: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// An exporter of a kind to an endpoint, or to where the environment says.
macro_rules! exporter {
    ($kind:ident, $endpoint:expr) => {{
        let endpoint: Option<&str> = $endpoint;
        let mut builder = $kind::builder().with_tonic().with_timeout(EXPORT_TIMEOUT);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        builder.build().map_err(|error| ShopError::Telemetry {
            endpoint: endpoint
                .unwrap_or("the OTEL_EXPORTER_OTLP_ENDPOINT")
                .to_owned(),
            reason: error.to_string(),
        })
    }};
}

/// In the context of a request: the new release answers it.
pub(crate) struct NewRelease {
    pub(crate) has_bugs: bool,
}

impl NewRelease {
    /// Marks a context: the release works in it.
    pub(crate) fn answers(self, context: &Context) -> Context {
        context.with_value(self)
    }
}

/// Whether a new release with bugs works in a context.
pub(crate) fn has_bugs(context: &Context) -> bool {
    context
        .get::<NewRelease>()
        .is_some_and(|release| release.has_bugs)
}

/// A service's tracers, meters, loggers and propagators.
pub(crate) struct Telemetry {
    pub(crate) service: Service,
    release: Release,
    /// There from the first deployment on.
    new_release: OnceLock<Release>,
    pub(crate) instruments: Instruments,
    trace_context: TraceContextPropagator,
    baggage: BaggagePropagator,
    meters: SdkMeterProvider,
    endpoint: Option<String>,
    /// `service.instance.id`.
    instance: String,
    skew_ms: AtomicU64,
    /// What faults do, which is no part of the telemetry.
    pub(crate) record: Record,
    /// Which clients meet them.
    pub(crate) reach: Reach,
}

/// What sends the spans and log records of one release.
pub(crate) struct Release {
    tracer: SdkTracer,
    logger: SdkLogger,
    tracers: SdkTracerProvider,
    loggers: SdkLoggerProvider,
}

impl Release {
    fn new(
        service: Service,
        resource: Resource,
        endpoint: Option<&str>,
    ) -> Result<Self, ShopError> {
        let mut tracers = SdkTracerProvider::builder()
            .with_sampler(Sampler::parent_based(Sampler::AlwaysOn))
            .with_resource(resource.clone());
        let mut loggers = SdkLoggerProvider::builder().with_resource(resource);
        if service == Service::Cart {
            tracers = tracers.with_span_processor(baggage::BaggageAttributes);
        }
        if exports(service, endpoint) {
            let spans = exporter!(SpanExporter, endpoint)?;
            tracers = tracers.with_span_processor(
                BatchSpanProcessor::builder(spans)
                    .with_batch_config(
                        SpanBatch::default()
                            .with_max_queue_size(SPAN_QUEUE)
                            .with_max_export_batch_size(1_024)
                            .with_scheduled_delay(BATCH_DELAY)
                            .build(),
                    )
                    .build(),
            );
            let logs = exporter!(LogExporter, endpoint)?;
            loggers = loggers.with_log_processor(
                BatchLogProcessor::builder(logs)
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
        let (tracers, loggers) = (tracers.build(), loggers.build());
        Ok(Release {
            tracer: tracers.tracer(SCOPE),
            logger: loggers.logger(SCOPE),
            tracers,
            loggers,
        })
    }
}

/// The gateway is somebody else's machine: nothing of it is seen but its answers.
fn exports(service: Service, endpoint: Option<&str>) -> bool {
    service != Service::Gateway && (endpoint.is_some() || ENDPOINT_VARIABLES.iter().any(is_set))
}

impl Telemetry {
    /// Must be called inside the runtime that carries the exporters' connections.
    pub(crate) fn new(
        service: Service,
        endpoint: Option<&str>,
        record: Record,
    ) -> Result<Arc<Self>, ShopError> {
        let instance = uuid::Uuid::new_v4().to_string();
        let resource = resource(service, VERSIONS[0], &instance);
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone());
        if exports(service, endpoint) {
            meters = meters.with_reader(
                PeriodicReader::builder(exporter!(MetricExporter, endpoint)?)
                    .with_interval(METRIC_INTERVAL)
                    .build(),
            );
        }
        let meters = meters.build();
        Ok(Arc::new(Telemetry {
            service,
            release: Release::new(service, resource, endpoint)?,
            new_release: OnceLock::new(),
            instruments: Instruments::new(meters.meter(SCOPE)),
            trace_context: TraceContextPropagator::new(),
            baggage: BaggagePropagator::new(),
            meters,
            endpoint: endpoint.map(str::to_owned),
            instance,
            skew_ms: AtomicU64::new(0),
            record,
            reach: Reach::default(),
        }))
    }

    /// Makes it possible to work as the new release. Must be called inside the runtime that carries
    /// the exporters' connections.
    pub(crate) fn prepare_new_release(&self) -> Result<(), ShopError> {
        if self.new_release.get().is_none() {
            let resource = resource(self.service, VERSIONS[1], &self.instance);
            let release = Release::new(self.service, resource, self.endpoint.as_deref())?;
            // Changes of a service's faults come one after the other: nobody else has set it.
            let _ = self.new_release.set(release);
        }
        Ok(())
    }

    /// The release that works in a context.
    fn release_of(&self, context: &Context) -> &Release {
        match self.new_release.get() {
            Some(new) if context.get::<NewRelease>().is_some() => new,
            _ => &self.release,
        }
    }

    /// Puts the clock of spans and log records ahead, by a share (0 to 1) of what is possible.
    pub(crate) fn skew_clock(&self, level: f64) {
        let skew = SKEW.mul_f64(level).as_millis();
        let skew = u64::try_from(skew).unwrap_or(u64::MAX);
        self.skew_ms.store(skew, Ordering::Relaxed);
    }

    /// By how much the clock is ahead.
    pub(crate) fn skew(&self) -> Duration {
        Duration::from_millis(self.skew_ms.load(Ordering::Relaxed))
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
        let logger = &self.release_of(context).logger;
        let mut record = logger.create_log_record();
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_timestamp(SystemTime::now() + self.skew());
        record.set_body(body.into());
        record.add_attributes(attributes);
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        logger.emit(record);
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
        let ends: [fn(&Telemetry, Duration) -> OTelSdkResult; 5] = [
            |t, limit| t.release.tracers.shutdown_with_timeout(limit),
            |t, limit| t.release.loggers.shutdown_with_timeout(limit),
            |t, limit| t.meters.shutdown_with_timeout(limit),
            |t, limit| match t.new_release.get() {
                Some(new) => new.tracers.shutdown_with_timeout(limit),
                None => Ok(()),
            },
            |t, limit| match t.new_release.get() {
                Some(new) => new.loggers.shutdown_with_timeout(limit),
                None => Ok(()),
            },
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

fn is_set(variable: &&str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn resource(service: Service, version: &'static str, instance: &str) -> Resource {
    // The builder adds telemetry.sdk.* and what OTEL_RESOURCE_ATTRIBUTES says.
    Resource::builder()
        .with_service_name(service.as_str())
        .with_attributes([
            KeyValue::new(semconv::SERVICE_NAMESPACE, "shop"),
            KeyValue::new(semconv::SERVICE_INSTANCE_ID, instance.to_owned()),
            KeyValue::new(semconv::SERVICE_VERSION, version),
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
        let telemetry =
            Telemetry::new(Service::Cart, None, Record::default()).expect("no exporter, no error");
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

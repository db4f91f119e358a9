//! What a detector says, as OTLP: a gauge for each bucket, a log record for each alert.

use loadgen_otlp::SignalRequest;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::detector::Scored;

/// Who speaks.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The run that is looked at; nothing where it has no name.
    pub run_id: String,
    /// The model, as a name for people.
    pub model: String,
    /// Scores above it are alerts.
    pub threshold: f64,
}

impl Speaker {
    fn resource(&self) -> Resource {
        let mut attributes = vec![text("service.name", "loadgen-detect")];
        if !self.run_id.is_empty() {
            attributes.push(text("loadgen.run_id", &self.run_id));
        }
        Resource {
            attributes,
            ..Resource::default()
        }
    }
}

/// The gauge `anomaly.score` of buckets, each at the end of its time.
pub fn gauge(speaker: &Speaker, buckets: &[Scored]) -> SignalRequest {
    let point = |bucket: &Scored| NumberDataPoint {
        attributes: vec![text("anomaly.model", &speaker.model)],
        start_time_unix_nano: nanos(bucket.start_time_ns),
        time_unix_nano: nanos(bucket.end_time_ns()),
        value: Some(Number::AsDouble(bucket.score)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "anomaly.score".to_owned(),
        description: "How anomalous five seconds of all services are; higher is more".to_owned(),
        unit: "1".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: buckets.iter().map(point).collect(),
        })),
        ..Metric::default()
    };
    SignalRequest::Metrics(ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(speaker.resource()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics: vec![metric],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    })
}

/// A log record of a bucket whose score is above the threshold; `now_ns` is when that was seen.
pub fn alert(speaker: &Speaker, bucket: &Scored, now_ns: i64) -> SignalRequest {
    let (score, threshold) = (bucket.score, speaker.threshold);
    let words = format!("anomaly score {score:.3} is above {threshold:.3}");
    let record = LogRecord {
        time_unix_nano: nanos(bucket.end_time_ns()),
        observed_time_unix_nano: nanos(now_ns),
        severity_number: SeverityNumber::Warn.into(),
        severity_text: "WARN".to_owned(),
        body: Some(AnyValue {
            value: Some(Value::StringValue(words)),
        }),
        attributes: vec![
            pair("anomaly.score", Value::DoubleValue(score)),
            pair("anomaly.threshold", Value::DoubleValue(threshold)),
            pair(
                "anomaly.start_time_unix_nano",
                Value::IntValue(bucket.start_time_ns),
            ),
            text("anomaly.model", &speaker.model),
        ],
        event_name: "anomaly.detected".to_owned(),
        ..LogRecord::default()
    };
    SignalRequest::Logs(ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(speaker.resource()),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records: vec![record],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    })
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "loadgen-detect".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nanos(at_ns: i64) -> u64 {
    u64::try_from(at_ns).unwrap_or(0)
}

//! What a reader hands on, as text; and what it should hand on, worked out from the protobuf types
//! without the reader.

use std::borrow::Cow;

use loadgen_otlp::view::{
    self, AnyValue, Buckets, KeyValue, Link, LogRecord, Metric, MetricKind, Point, QuantileValue,
    Resource, Scope, Severity, Span, SpanId, SpanKind, Status, StatusCode, Temporality, TraceId,
    UnixNanos,
};
use loadgen_otlp::{Origin, Sink};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{self as common, InstrumentationScope};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{self as metrics, number_data_point};
use opentelemetry_proto::tonic::{logs, resource, trace};

/// Items with their origins, in their order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Collected {
    pub(crate) items: Vec<String>,
    /// The message, and items before it.
    begun: (u64, usize),
    /// What `resource` and `scope` said last.
    origin: [String; 2],
}

impl Collected {
    fn push(&mut self, origin: Origin<'_, '_>, item: String) {
        let of = [
            format!("{:?}", origin.resource),
            format!("{:?}", origin.scope),
        ];
        if !self.origin[0].is_empty() {
            assert_eq!(self.origin, of);
        }
        self.items.push(format!("{} {item}", of.join(" ")));
    }
}

impl Sink for Collected {
    fn begin(&mut self, message: u64) {
        self.begun = (message, self.items.len());
    }

    fn undo(&mut self) {
        self.items.truncate(self.begun.1);
    }

    fn resource(&mut self, resource: &Resource<'_>) {
        self.origin = [format!("{resource:?}"), String::new()];
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        self.origin[1] = format!("{scope:?}");
    }

    fn span(&mut self, origin: Origin<'_, '_>, span: &Span<'_>) {
        self.push(origin, format!("{span:?}"));
    }

    fn point(&mut self, origin: Origin<'_, '_>, metric: &Metric<'_>, point: &Point<'_>) {
        self.push(origin, format!("{metric:?} {point:?}"));
    }

    fn log_record(&mut self, origin: Origin<'_, '_>, record: &LogRecord<'_>) {
        self.push(origin, format!("{record:?}"));
    }
}

fn value(value: Option<&common::AnyValue>) -> AnyValue<'_> {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => AnyValue::Empty,
        Some(Value::StringValue(text)) => AnyValue::Text(Cow::Borrowed(text)),
        Some(Value::BoolValue(flag)) => AnyValue::Bool(*flag),
        Some(Value::IntValue(number)) => AnyValue::Int(*number),
        Some(Value::DoubleValue(number)) => AnyValue::Double(*number),
        Some(Value::BytesValue(bytes)) => AnyValue::Bytes(Cow::Borrowed(bytes)),
        Some(Value::ArrayValue(array)) => {
            AnyValue::Array(array.values.iter().map(|v| self::value(Some(v))).collect())
        }
        Some(Value::KvlistValue(list)) => AnyValue::KeyValues(attributes(&list.values)),
    }
}

fn attributes(pairs: &[common::KeyValue]) -> Vec<KeyValue<'_>> {
    let named = pairs.iter().filter(|pair| !pair.key.is_empty());
    named
        .map(|pair| KeyValue {
            key: Cow::Borrowed(&pair.key),
            value: value(pair.value.as_ref()),
        })
        .collect()
}

fn trace_id(id: &[u8]) -> TraceId {
    TraceId(id.iter().fold(0, |id, b| id << 8 | u128::from(*b)))
}

fn span_id(id: &[u8]) -> SpanId {
    SpanId(id.iter().fold(0, |id, b| id << 8 | u64::from(*b)))
}

fn origin<'m>(
    resource: Option<&'m resource::v1::Resource>,
    scope: Option<&'m InstrumentationScope>,
) -> (Resource<'m>, Scope<'m>) {
    let of_resource = resource.map_or(Vec::new(), |r| attributes(&r.attributes));
    let scope = scope.map_or(Scope::default(), |scope| Scope {
        name: Cow::Borrowed(&scope.name),
        version: Cow::Borrowed(&scope.version),
        attributes: attributes(&scope.attributes),
    });
    let resource = Resource {
        attributes: of_resource,
    };
    (resource, scope)
}

/// A request whose items can be counted up.
pub(crate) trait Expected {
    /// What a sink should get of it.
    fn expected(&self) -> Vec<String>;
}

impl Expected for ExportTraceServiceRequest {
    fn expected(&self) -> Vec<String> {
        let mut collected = Collected::default();
        for group in &self.resource_spans {
            for scoped in &group.scope_spans {
                let (resource, scope) = origin(group.resource.as_ref(), scoped.scope.as_ref());
                let (resource, scope) = (&resource, &scope);
                for of in &scoped.spans {
                    collected.span(Origin { resource, scope }, &span(of));
                }
            }
        }
        collected.items
    }
}

fn span(span: &trace::v1::Span) -> Span<'_> {
    let link = |link: &trace::v1::span::Link| Link {
        trace_id: trace_id(&link.trace_id),
        span_id: span_id(&link.span_id),
    };
    let code = span.status.as_ref().map_or(0, |status| status.code);
    Span {
        trace_id: trace_id(&span.trace_id),
        span_id: span_id(&span.span_id),
        parent_span_id: span_id(&span.parent_span_id),
        name: Cow::Borrowed(&span.name),
        kind: SpanKind(span.kind),
        start_time_unix_nano: UnixNanos::new(span.start_time_unix_nano),
        end_time_unix_nano: UnixNanos::new(span.end_time_unix_nano),
        attributes: attributes(&span.attributes),
        status: Status {
            code: StatusCode(code),
        },
        links: span.links.iter().map(link).collect(),
    }
}

impl Expected for ExportLogsServiceRequest {
    fn expected(&self) -> Vec<String> {
        let mut collected = Collected::default();
        for group in &self.resource_logs {
            for scoped in &group.scope_logs {
                let (resource, scope) = origin(group.resource.as_ref(), scoped.scope.as_ref());
                let (resource, scope) = (&resource, &scope);
                for record in &scoped.log_records {
                    collected.log_record(Origin { resource, scope }, &log_record(record));
                }
            }
        }
        collected.items
    }
}

fn log_record(record: &logs::v1::LogRecord) -> LogRecord<'_> {
    LogRecord {
        time_unix_nano: UnixNanos::new(record.time_unix_nano),
        observed_time_unix_nano: UnixNanos::new(record.observed_time_unix_nano),
        severity_number: Severity(record.severity_number),
        severity_text: Cow::Borrowed(&record.severity_text),
        body: value(record.body.as_ref()),
        attributes: attributes(&record.attributes),
        trace_id: trace_id(&record.trace_id),
        span_id: span_id(&record.span_id),
        event_name: Cow::Borrowed(&record.event_name),
    }
}

impl Expected for ExportMetricsServiceRequest {
    fn expected(&self) -> Vec<String> {
        let mut collected = Collected::default();
        for group in &self.resource_metrics {
            for scoped in &group.scope_metrics {
                let (resource, scope) = origin(group.resource.as_ref(), scoped.scope.as_ref());
                let (resource, scope) = (&resource, &scope);
                for of in &scoped.metrics {
                    points(&mut collected, Origin { resource, scope }, of);
                }
            }
        }
        collected.items
    }
}

fn points(collected: &mut Collected, origin: Origin<'_, '_>, of: &metrics::Metric) {
    let Some(data) = &of.data else { return };
    let (kind, temporality, is_monotonic) = match data {
        Data::Gauge(_) => (MetricKind::Gauge, 0, false),
        Data::Sum(sum) => (
            MetricKind::Sum,
            sum.aggregation_temporality,
            sum.is_monotonic,
        ),
        Data::Histogram(data) => (MetricKind::Histogram, data.aggregation_temporality, false),
        Data::ExponentialHistogram(data) => (
            MetricKind::ExponentialHistogram,
            data.aggregation_temporality,
            false,
        ),
        Data::Summary(_) => (MetricKind::Summary, 0, false),
    };
    let metric = Metric {
        name: Cow::Borrowed(&of.name),
        unit: Cow::Borrowed(&of.unit),
        kind: Some(kind),
        temporality: Temporality(temporality),
        is_monotonic,
    };
    let mut push = |point: &Point<'_>| collected.point(origin, &metric, point);
    match data {
        Data::Gauge(metrics::Gauge { data_points })
        | Data::Sum(metrics::Sum { data_points, .. }) => data_points
            .iter()
            .for_each(|point| push(&number_point(point))),
        Data::Histogram(data) => data
            .data_points
            .iter()
            .for_each(|point| push(&histogram_point(point))),
        Data::ExponentialHistogram(data) => data
            .data_points
            .iter()
            .for_each(|point| push(&exponential_point(point))),
        Data::Summary(data) => data
            .data_points
            .iter()
            .for_each(|point| push(&summary_point(point))),
    }
}

fn number_point(point: &metrics::NumberDataPoint) -> Point<'_> {
    let (as_int, as_double) = match point.value {
        None => (None, None),
        Some(number_data_point::Value::AsInt(value)) => (Some(value), None),
        Some(number_data_point::Value::AsDouble(value)) => (None, Some(value)),
    };
    Point {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: UnixNanos::new(point.start_time_unix_nano),
        time_unix_nano: UnixNanos::new(point.time_unix_nano),
        as_int,
        as_double,
        flags: point.flags.into(),
        ..Point::default()
    }
}

fn histogram_point(point: &metrics::HistogramDataPoint) -> Point<'_> {
    Point {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: UnixNanos::new(point.start_time_unix_nano),
        time_unix_nano: UnixNanos::new(point.time_unix_nano),
        count: Some(point.count),
        sum: point.sum,
        bucket_counts: point.bucket_counts.clone(),
        explicit_bounds: point.explicit_bounds.clone(),
        min: point.min,
        max: point.max,
        flags: point.flags.into(),
        ..Point::default()
    }
}

fn exponential_point(point: &metrics::ExponentialHistogramDataPoint) -> Point<'_> {
    let buckets = |of: &Option<metrics::exponential_histogram_data_point::Buckets>| match of {
        None => view::Buckets::default(),
        Some(of) => Buckets {
            offset: of.offset,
            bucket_counts: of.bucket_counts.clone(),
        },
    };
    Point {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: UnixNanos::new(point.start_time_unix_nano),
        time_unix_nano: UnixNanos::new(point.time_unix_nano),
        count: Some(point.count),
        sum: point.sum,
        scale: point.scale,
        zero_count: point.zero_count,
        zero_threshold: point.zero_threshold,
        positive: buckets(&point.positive),
        negative: buckets(&point.negative),
        min: point.min,
        max: point.max,
        flags: point.flags.into(),
        ..Point::default()
    }
}

fn summary_point(point: &metrics::SummaryDataPoint) -> Point<'_> {
    let quantile = |of: &metrics::summary_data_point::ValueAtQuantile| QuantileValue {
        quantile: of.quantile,
        value: of.value,
    };
    Point {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: UnixNanos::new(point.start_time_unix_nano),
        time_unix_nano: UnixNanos::new(point.time_unix_nano),
        count: Some(point.count),
        sum: Some(point.sum),
        quantile_values: point.quantile_values.iter().map(quantile).collect(),
        flags: point.flags.into(),
        ..Point::default()
    }
}

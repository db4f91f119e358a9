//! Which fields each OTLP message has, in the order in which the Collector writes them, and of
//! which kind they are. One table drives reading and writing.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::cursor::Json;
use super::kinds::{
    Always, Bytes, Enum, Fields, Flag, Id, Kind, List, Message, Number, Optional, Text,
};
use super::names::{json_member, json_name};
use super::text::Object;
use crate::problem::Result;
use crate::view::{Severity, SpanKind, StatusCode, Temporality};

type TraceId = Id<16>;
type SpanId = Id<8>;
type Attributes = List<Message<KeyValue>>;

/// `field | other name: kind`, and for a field that holds one of several things
/// `[field] { name: variant as kind }`.
macro_rules! fields {
    ($message:ty {
        $($field:ident $(| $alias:ident)*: $kind:ty),* $(,)?
        $([$oneof:ident] { $($name:ident: $variant:path as $of:ty,)* }
        $($later:ident: $later_kind:ty),* $(,)?)?
    }) => {
        impl Fields for $message {
            fn read_field(&mut self, name: &str, json: &mut Json<'_>) -> Result<bool> {
                $(if [json_name!($field), stringify!($field)].contains(&name)
                    $(|| [json_name!($alias), stringify!($alias)].contains(&name))*
                {
                    return <$kind as Kind>::read(&mut self.$field, json).map(|()| true);
                })*
                $($(if [json_name!($name), stringify!($name)].contains(&name) {
                    // Of several only the last has a place.
                    json.note_unread(self.$oneof.is_some());
                    let mut value = <$of as Kind>::Value::default();
                    <$of>::read(&mut value, json)?;
                    self.$oneof = Some($variant(value));
                    return Ok(true);
                })*
                $(if [json_name!($later), stringify!($later)].contains(&name) {
                    return <$later_kind>::read(&mut self.$later, json).map(|()| true);
                })*)?
                Ok(false)
            }

            fn write_fields(&self, object: &mut Object<'_>) {
                $(if !<$kind>::is_absent(&self.$field) {
                    <$kind>::write(&self.$field, object.field(json_member!($field)));
                })*
                $(match &self.$oneof {
                    None => {}
                    $(Some($variant(value)) => <$of>::write(value, object.field(json_member!($name))),)*
                }
                $(if !<$later_kind>::is_absent(&self.$later) {
                    <$later_kind>::write(&self.$later, object.field(json_member!($later)));
                })*)?
            }
        }
    };
}

fields!(AnyValue {
    [value] {
        string_value: Any::StringValue as Text,
        bool_value: Any::BoolValue as Flag,
        int_value: Any::IntValue as Number<i64>,
        double_value: Any::DoubleValue as Number<f64>,
        array_value: Any::ArrayValue as Message<ArrayValue>,
        kvlist_value: Any::KvlistValue as Message<KeyValueList>,
        bytes_value: Any::BytesValue as Bytes,
        string_value_strindex: Any::StringValueStrindex as Number<i32>,
    }
});
fields!(ArrayValue { values: List<Message<AnyValue, true>>, });
fields!(KeyValueList { values: Attributes });
fields!(KeyValue {
    key: Text,
    value: Always<AnyValue>,
    key_strindex: Number<i32>,
});
fields!(InstrumentationScope {
    name: Text,
    version: Text,
    attributes: Attributes,
    dropped_attributes_count: Number<u32>,
});
fields!(Resource {
    attributes: Attributes,
    dropped_attributes_count: Number<u32>,
    entity_refs: List<Message<EntityRef>>,
});
fields!(EntityRef {
    schema_url: Text,
    r#type: Text,
    id_keys: List<Text>,
    description_keys: List<Text>,
});

/// A message of any signals: in a file there is nothing but its content to tell which.
#[derive(Default)]
pub(crate) struct AnySignals {
    pub(crate) resource_spans: Vec<ResourceSpans>,
    pub(crate) resource_metrics: Vec<ResourceMetrics>,
    pub(crate) resource_logs: Vec<ResourceLogs>,
}

fields!(AnySignals {
    resource_spans | batches: List<Message<ResourceSpans>>,
    resource_metrics: List<Message<ResourceMetrics>>,
    resource_logs: List<Message<ResourceLogs>>,
});

// Spans.
fields!(ExportTraceServiceRequest { resource_spans: List<Message<ResourceSpans>>, });
fields!(ResourceSpans {
    resource: Always<Resource>,
    scope_spans | instrumentation_library_spans: List<Message<ScopeSpans>>,
    schema_url: Text,
});
fields!(ScopeSpans {
    scope | instrumentation_library: Always<InstrumentationScope>,
    spans: List<Message<Span>>,
    schema_url: Text,
});
fields!(Span {
    trace_id: TraceId,
    span_id: SpanId,
    trace_state: Text,
    parent_span_id: SpanId,
    flags: Number<u32>,
    name: Text,
    kind: Enum<SpanKind>,
    start_time_unix_nano: Number<u64>,
    end_time_unix_nano: Number<u64>,
    attributes: Attributes,
    dropped_attributes_count: Number<u32>,
    events: List<Message<Event>>,
    dropped_events_count: Number<u32>,
    links: List<Message<Link>>,
    dropped_links_count: Number<u32>,
    status: Always<Status>,
});
fields!(Event {
    time_unix_nano: Number<u64>,
    name: Text,
    attributes: Attributes,
    dropped_attributes_count: Number<u32>,
});
fields!(Link {
    trace_id: TraceId,
    span_id: SpanId,
    trace_state: Text,
    attributes: Attributes,
    dropped_attributes_count: Number<u32>,
    flags: Number<u32>,
});
fields!(Status {
    message: Text,
    code: Enum<StatusCode>,
});

// Log records.
fields!(ExportLogsServiceRequest { resource_logs: List<Message<ResourceLogs>>, });
fields!(ResourceLogs {
    resource: Always<Resource>,
    scope_logs | instrumentation_library_logs: List<Message<ScopeLogs>>,
    schema_url: Text,
});
fields!(ScopeLogs {
    scope | instrumentation_library: Always<InstrumentationScope>,
    log_records | logs: List<Message<LogRecord>>,
    schema_url: Text,
});
fields!(LogRecord {
    time_unix_nano: Number<u64>,
    observed_time_unix_nano: Number<u64>,
    severity_number: Enum<Severity>,
    severity_text: Text,
    body: Always<AnyValue>,
    attributes: Attributes,
    dropped_attributes_count: Number<u32>,
    flags: Number<u32>,
    trace_id: TraceId,
    span_id: SpanId,
    event_name: Text,
});

// Metrics.
fields!(ExportMetricsServiceRequest { resource_metrics: List<Message<ResourceMetrics>>, });
fields!(ResourceMetrics {
    resource: Always<Resource>,
    scope_metrics | instrumentation_library_metrics: List<Message<ScopeMetrics>>,
    schema_url: Text,
});
fields!(ScopeMetrics {
    scope | instrumentation_library: Always<InstrumentationScope>,
    metrics: List<Message<Metric>>,
    schema_url: Text,
});
fields!(Metric {
    name: Text,
    description: Text,
    unit: Text,
    [data] {
        gauge: Data::Gauge as Message<Gauge>,
        sum: Data::Sum as Message<Sum>,
        histogram: Data::Histogram as Message<Histogram>,
        exponential_histogram: Data::ExponentialHistogram as Message<ExponentialHistogram>,
        summary: Data::Summary as Message<Summary>,
    }
    metadata: Attributes,
});
fields!(Gauge { data_points: List<Message<NumberDataPoint>>, });
fields!(Sum {
    data_points: List<Message<NumberDataPoint>>,
    aggregation_temporality: Enum<Temporality>,
    is_monotonic: Flag,
});
fields!(Histogram {
    data_points: List<Message<HistogramDataPoint>>,
    aggregation_temporality: Enum<Temporality>,
});
fields!(ExponentialHistogram {
    data_points: List<Message<ExponentialHistogramDataPoint>>,
    aggregation_temporality: Enum<Temporality>,
});
fields!(Summary { data_points: List<Message<SummaryDataPoint>>, });
fields!(NumberDataPoint {
    attributes: Attributes,
    start_time_unix_nano: Number<u64>,
    time_unix_nano: Number<u64>,
    [value] {
        as_double: number_data_point::Value::AsDouble as Number<f64>,
        as_int: number_data_point::Value::AsInt as Number<i64>,
    }
    exemplars: List<Message<Exemplar>>,
    flags: Number<u32>,
});
fields!(HistogramDataPoint {
    attributes: Attributes,
    start_time_unix_nano: Number<u64>,
    time_unix_nano: Number<u64>,
    count: Number<u64>,
    sum: Optional<Number<f64>>,
    bucket_counts: List<Number<u64>>,
    explicit_bounds: List<Number<f64>>,
    exemplars: List<Message<Exemplar>>,
    flags: Number<u32>,
    min: Optional<Number<f64>>,
    max: Optional<Number<f64>>,
});
fields!(ExponentialHistogramDataPoint {
    attributes: Attributes,
    start_time_unix_nano: Number<u64>,
    time_unix_nano: Number<u64>,
    count: Number<u64>,
    sum: Optional<Number<f64>>,
    scale: Number<i32>,
    zero_count: Number<u64>,
    positive: Always<Buckets>,
    negative: Always<Buckets>,
    flags: Number<u32>,
    exemplars: List<Message<Exemplar>>,
    min: Optional<Number<f64>>,
    max: Optional<Number<f64>>,
    zero_threshold: Number<f64>,
});
fields!(Buckets {
    offset: Number<i32>,
    bucket_counts: List<Number<u64>>,
});
fields!(SummaryDataPoint {
    attributes: Attributes,
    start_time_unix_nano: Number<u64>,
    time_unix_nano: Number<u64>,
    count: Number<u64>,
    sum: Number<f64>,
    quantile_values: List<Message<ValueAtQuantile>>,
    flags: Number<u32>,
});
fields!(ValueAtQuantile {
    quantile: Number<f64>,
    value: Number<f64>,
});
fields!(Exemplar {
    filtered_attributes: Attributes,
    time_unix_nano: Number<u64>,
    [value] {
        as_double: exemplar::Value::AsDouble as Number<f64>,
        as_int: exemplar::Value::AsInt as Number<i64>,
    }
    trace_id: TraceId,
    span_id: SpanId,
});

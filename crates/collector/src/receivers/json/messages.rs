//! Which field of which OTLP message is read how.

use super::{
    Base64, Enum, Fields, Flag, Id, Kind, List, MapAccess, Message, Named, Number, Optional, Seed,
    Text,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    Summary, SummaryDataPoint, exemplar, exponential_histogram_data_point, metric,
    number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

type TraceId = Id<16>;
type SpanId = Id<8>;
type Attributes = List<Message<KeyValue>>;

fn value<'de, K: Kind, A: MapAccess<'de>>(map: &mut A) -> Result<K::Out, A::Error> {
    map.next_value_seed(Seed::<K>::new())
}

/// `camelCase | snake_case => field: kind`, then for a oneof
/// `camelCase | snake_case => field = variant: kind`.
macro_rules! fields {
    ($message:ty {
        $($camel:literal $(| $snake:literal)? => $field:ident: $kind:ty,)*
        $(; $($oneof_camel:literal $(| $oneof_snake:literal)? => $oneof:ident = $variant:path: $oneof_kind:ty,)*)?
    }) => {
        impl Fields for $message {
            fn read<'de, A: MapAccess<'de>>(
                &mut self,
                name: &str,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                match name {
                    $($camel $(| $snake)? => self.$field = value::<$kind, A>(map)?,)*
                    $($($oneof_camel $(| $oneof_snake)? => {
                        self.$oneof = Some($variant(value::<$oneof_kind, A>(map)?));
                    })*)?
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

macro_rules! enums {
    ($($type:ty),*) => {$(
        impl Named for $type {
            fn number(name: &str) -> Option<i32> {
                Self::from_str_name(name).map(|value| value as i32)
            }
        }
    )*};
}

enums!(SpanKind, StatusCode, SeverityNumber, AggregationTemporality);

// An AnyValue can hold itself, which the recursion limit of serde_json bounds.
fields!(AnyValue {;
    "stringValue" | "string_value" => value = any_value::Value::StringValue: Text,
    "boolValue" | "bool_value" => value = any_value::Value::BoolValue: Flag,
    "intValue" | "int_value" => value = any_value::Value::IntValue: Number<i64>,
    "doubleValue" | "double_value" => value = any_value::Value::DoubleValue: Number<f64>,
    "arrayValue" | "array_value" => value = any_value::Value::ArrayValue: Message<ArrayValue>,
    "kvlistValue" | "kvlist_value" => value = any_value::Value::KvlistValue: Message<KeyValueList>,
    "bytesValue" | "bytes_value" => value = any_value::Value::BytesValue: Base64,
});
fields!(ArrayValue { "values" => values: List<Message<AnyValue>>, });
fields!(KeyValueList { "values" => values: Attributes, });
fields!(KeyValue {
    "key" => key: Text,
    "value" => value: Optional<Message<AnyValue>>,
});
fields!(InstrumentationScope {
    "name" => name: Text,
    "version" => version: Text,
    "attributes" => attributes: Attributes,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Number<u32>,
});
fields!(Resource {
    "attributes" => attributes: Attributes,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Number<u32>,
    "entityRefs" | "entity_refs" => entity_refs: List<Message<EntityRef>>,
});
fields!(EntityRef {
    "schemaUrl" | "schema_url" => schema_url: Text,
    "type" => r#type: Text,
    "idKeys" | "id_keys" => id_keys: List<Text>,
    "descriptionKeys" | "description_keys" => description_keys: List<Text>,
});

fields!(ExportTraceServiceRequest {
    "resourceSpans" | "resource_spans" => resource_spans: List<Message<ResourceSpans>>,
});
fields!(ResourceSpans {
    "resource" => resource: Optional<Message<Resource>>,
    "scopeSpans" | "scope_spans" => scope_spans: List<Message<ScopeSpans>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});
fields!(ScopeSpans {
    "scope" => scope: Optional<Message<InstrumentationScope>>,
    "spans" => spans: List<Message<Span>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});
fields!(Span {
    "traceId" | "trace_id" => trace_id: TraceId,
    "spanId" | "span_id" => span_id: SpanId,
    "traceState" | "trace_state" => trace_state: Text,
    "parentSpanId" | "parent_span_id" => parent_span_id: SpanId,
    "flags" => flags: Number<u32>,
    "name" => name: Text,
    "kind" => kind: Enum<SpanKind>,
    "startTimeUnixNano" | "start_time_unix_nano" => start_time_unix_nano: Number<u64>,
    "endTimeUnixNano" | "end_time_unix_nano" => end_time_unix_nano: Number<u64>,
    "attributes" => attributes: Attributes,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Number<u32>,
    "events" => events: List<Message<Event>>,
    "droppedEventsCount" | "dropped_events_count" => dropped_events_count: Number<u32>,
    "links" => links: List<Message<Link>>,
    "droppedLinksCount" | "dropped_links_count" => dropped_links_count: Number<u32>,
    "status" => status: Optional<Message<Status>>,
});
fields!(Event {
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "name" => name: Text,
    "attributes" => attributes: Attributes,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Number<u32>,
});
fields!(Link {
    "traceId" | "trace_id" => trace_id: TraceId,
    "spanId" | "span_id" => span_id: SpanId,
    "traceState" | "trace_state" => trace_state: Text,
    "attributes" => attributes: Attributes,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Number<u32>,
    "flags" => flags: Number<u32>,
});
fields!(Status {
    "message" => message: Text,
    "code" => code: Enum<StatusCode>,
});

fields!(ExportLogsServiceRequest {
    "resourceLogs" | "resource_logs" => resource_logs: List<Message<ResourceLogs>>,
});
fields!(ResourceLogs {
    "resource" => resource: Optional<Message<Resource>>,
    "scopeLogs" | "scope_logs" => scope_logs: List<Message<ScopeLogs>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});
fields!(ScopeLogs {
    "scope" => scope: Optional<Message<InstrumentationScope>>,
    "logRecords" | "log_records" => log_records: List<Message<LogRecord>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});
fields!(LogRecord {
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "observedTimeUnixNano" | "observed_time_unix_nano" => observed_time_unix_nano: Number<u64>,
    "severityNumber" | "severity_number" => severity_number: Enum<SeverityNumber>,
    "severityText" | "severity_text" => severity_text: Text,
    "body" => body: Optional<Message<AnyValue>>,
    "attributes" => attributes: Attributes,
    "droppedAttributesCount" | "dropped_attributes_count" => dropped_attributes_count: Number<u32>,
    "flags" => flags: Number<u32>,
    "traceId" | "trace_id" => trace_id: TraceId,
    "spanId" | "span_id" => span_id: SpanId,
    "eventName" | "event_name" => event_name: Text,
});

fields!(ExportMetricsServiceRequest {
    "resourceMetrics" | "resource_metrics" => resource_metrics: List<Message<ResourceMetrics>>,
});
fields!(ResourceMetrics {
    "resource" => resource: Optional<Message<Resource>>,
    "scopeMetrics" | "scope_metrics" => scope_metrics: List<Message<ScopeMetrics>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});
fields!(ScopeMetrics {
    "scope" => scope: Optional<Message<InstrumentationScope>>,
    "metrics" => metrics: List<Message<Metric>>,
    "schemaUrl" | "schema_url" => schema_url: Text,
});
fields!(Metric {
    "name" => name: Text,
    "description" => description: Text,
    "unit" => unit: Text,
    "metadata" => metadata: Attributes,
    ;
    "gauge" => data = metric::Data::Gauge: Message<Gauge>,
    "sum" => data = metric::Data::Sum: Message<Sum>,
    "histogram" => data = metric::Data::Histogram: Message<Histogram>,
    "exponentialHistogram" | "exponential_histogram" => data = metric::Data::ExponentialHistogram: Message<ExponentialHistogram>,
    "summary" => data = metric::Data::Summary: Message<Summary>,
});
fields!(Gauge { "dataPoints" | "data_points" => data_points: List<Message<NumberDataPoint>>, });
fields!(Sum {
    "dataPoints" | "data_points" => data_points: List<Message<NumberDataPoint>>,
    "aggregationTemporality" | "aggregation_temporality" => aggregation_temporality: Enum<AggregationTemporality>,
    "isMonotonic" | "is_monotonic" => is_monotonic: Flag,
});
fields!(Histogram {
    "dataPoints" | "data_points" => data_points: List<Message<HistogramDataPoint>>,
    "aggregationTemporality" | "aggregation_temporality" => aggregation_temporality: Enum<AggregationTemporality>,
});
fields!(ExponentialHistogram {
    "dataPoints" | "data_points" => data_points: List<Message<ExponentialHistogramDataPoint>>,
    "aggregationTemporality" | "aggregation_temporality" => aggregation_temporality: Enum<AggregationTemporality>,
});
fields!(Summary { "dataPoints" | "data_points" => data_points: List<Message<SummaryDataPoint>>, });
fields!(NumberDataPoint {
    "attributes" => attributes: Attributes,
    "startTimeUnixNano" | "start_time_unix_nano" => start_time_unix_nano: Number<u64>,
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "exemplars" => exemplars: List<Message<Exemplar>>,
    "flags" => flags: Number<u32>,
    ;
    "asDouble" | "as_double" => value = number_data_point::Value::AsDouble: Number<f64>,
    "asInt" | "as_int" => value = number_data_point::Value::AsInt: Number<i64>,
});
fields!(HistogramDataPoint {
    "attributes" => attributes: Attributes,
    "startTimeUnixNano" | "start_time_unix_nano" => start_time_unix_nano: Number<u64>,
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "count" => count: Number<u64>,
    "sum" => sum: Optional<Number<f64>>,
    "bucketCounts" | "bucket_counts" => bucket_counts: List<Number<u64>>,
    "explicitBounds" | "explicit_bounds" => explicit_bounds: List<Number<f64>>,
    "exemplars" => exemplars: List<Message<Exemplar>>,
    "flags" => flags: Number<u32>,
    "min" => min: Optional<Number<f64>>,
    "max" => max: Optional<Number<f64>>,
});
fields!(ExponentialHistogramDataPoint {
    "attributes" => attributes: Attributes,
    "startTimeUnixNano" | "start_time_unix_nano" => start_time_unix_nano: Number<u64>,
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "count" => count: Number<u64>,
    "sum" => sum: Optional<Number<f64>>,
    "scale" => scale: Number<i32>,
    "zeroCount" | "zero_count" => zero_count: Number<u64>,
    "positive" => positive: Optional<Message<exponential_histogram_data_point::Buckets>>,
    "negative" => negative: Optional<Message<exponential_histogram_data_point::Buckets>>,
    "flags" => flags: Number<u32>,
    "exemplars" => exemplars: List<Message<Exemplar>>,
    "min" => min: Optional<Number<f64>>,
    "max" => max: Optional<Number<f64>>,
    "zeroThreshold" | "zero_threshold" => zero_threshold: Number<f64>,
});
fields!(exponential_histogram_data_point::Buckets {
    "offset" => offset: Number<i32>,
    "bucketCounts" | "bucket_counts" => bucket_counts: List<Number<u64>>,
});
fields!(SummaryDataPoint {
    "attributes" => attributes: Attributes,
    "startTimeUnixNano" | "start_time_unix_nano" => start_time_unix_nano: Number<u64>,
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "count" => count: Number<u64>,
    "sum" => sum: Number<f64>,
    "quantileValues" | "quantile_values" => quantile_values: List<Message<summary_data_point::ValueAtQuantile>>,
    "flags" => flags: Number<u32>,
});
fields!(summary_data_point::ValueAtQuantile {
    "quantile" => quantile: Number<f64>,
    "value" => value: Number<f64>,
});
fields!(Exemplar {
    "filteredAttributes" | "filtered_attributes" => filtered_attributes: Attributes,
    "timeUnixNano" | "time_unix_nano" => time_unix_nano: Number<u64>,
    "traceId" | "trace_id" => trace_id: TraceId,
    "spanId" | "span_id" => span_id: SpanId,
    ;
    "asDouble" | "as_double" => value = exemplar::Value::AsDouble: Number<f64>,
    "asInt" | "as_int" => value = exemplar::Value::AsInt: Number<i64>,
});

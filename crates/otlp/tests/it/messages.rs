//! Any message that OTLP allows, as protobuf types.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
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
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::kit::read;

/// A double, but not the negative zero, which no field without presence can tell from a zero.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => any::<f64>().prop_map(|v| v + 0.0),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

/// Zeros are what makes fields absent.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..1000u64, any::<u64>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z._]{1,12}", any::<String>()]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|flag| Some(Value::BoolValue(flag))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        double().prop_map(|number| Some(Value::DoubleValue(number))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value })
        .prop_recursive(3, 20, 4, |inner| {
            let pair = (text(), inner.clone()).prop_map(|(key, value)| KeyValue {
                key,
                value: Some(value),
                ..KeyValue::default()
            });
            prop_oneof![
                vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
                vec(pair, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
            ]
            .prop_map(|value| AnyValue { value: Some(value) })
        })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let pair = (text(), any_value()).prop_map(|(key, value)| KeyValue {
        key,
        value: Some(value),
        ..KeyValue::default()
    });
    vec(pair, 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    (attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| {
        Some(Resource {
            attributes,
            dropped_attributes_count,
            ..Resource::default()
        })
    })
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    (text(), text(), attributes()).prop_map(|(name, version, attributes)| {
        Some(InstrumentationScope {
            name,
            version,
            attributes,
            ..InstrumentationScope::default()
        })
    })
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    // An id of zeros is written as none.
    prop_oneof![1 => Just(Vec::new()), 4 => vec(1..=u8::MAX, bytes)]
}

fn span() -> impl Strategy<Value = Span> {
    let link = (id(16), id(8), attributes()).prop_map(|(trace_id, span_id, attributes)| Link {
        trace_id,
        span_id,
        attributes,
        ..Link::default()
    });
    let event =
        (number(), text(), attributes()).prop_map(|(time_unix_nano, name, attributes)| Event {
            time_unix_nano,
            name,
            attributes,
            ..Event::default()
        });
    (
        (id(16), id(8), id(8)),
        (any::<u32>(), 0..7i32, number(), number()),
        (text(), text(), text()),
        attributes(),
        0..4i32,
        vec(link, 0..3),
        vec(event, 0..3),
    )
        .prop_map(
            |(ids, numbers, texts, attributes, code, links, events)| Span {
                trace_id: ids.0,
                span_id: ids.1,
                parent_span_id: ids.2,
                flags: numbers.0,
                kind: numbers.1,
                start_time_unix_nano: numbers.2,
                end_time_unix_nano: numbers.3,
                name: texts.0,
                trace_state: texts.1,
                attributes,
                status: Some(Status {
                    message: texts.2,
                    code,
                }),
                links,
                events,
                ..Span::default()
            },
        )
        // Without an id it is no span; its texts may then be read as those of a log record, and
        // nothing in the bytes says which they are.
        .prop_map(
            |span| match span.trace_id.is_empty() && span.span_id.is_empty() {
                true => Span {
                    name: String::new(),
                    trace_state: String::new(),
                    attributes: Vec::new(),
                    ..span
                },
                false => span,
            },
        )
}

fn number_point() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![
        double().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
    ];
    let exemplar = (number(), id(16), any::<i64>(), attributes()).prop_map(
        |(time_unix_nano, trace_id, value, filtered_attributes)| Exemplar {
            time_unix_nano,
            trace_id,
            value: Some(exemplar::Value::AsInt(value)),
            filtered_attributes,
            ..Exemplar::default()
        },
    );
    let times = (number(), number());
    (
        attributes(),
        times,
        option::of(value),
        0..2u32,
        vec(exemplar, 0..2),
    )
        .prop_map(
            |(attributes, times, value, flags, exemplars)| NumberDataPoint {
                attributes,
                start_time_unix_nano: times.0,
                time_unix_nano: times.1,
                value,
                flags,
                exemplars,
            },
        )
}

type Doubles = (Option<f64>, Option<f64>, Option<f64>);

fn doubles() -> impl Strategy<Value = Doubles> {
    let one = || option::of(prop_oneof![Just(0.0), double()]);
    (one(), one(), one())
}

fn histogram_point() -> impl Strategy<Value = HistogramDataPoint> {
    let buckets = (vec(number(), 0..5), vec(double(), 0..5));
    (
        attributes(),
        (number(), number(), number()),
        doubles(),
        buckets,
    )
        .prop_map(
            |(attributes, numbers, doubles, buckets)| HistogramDataPoint {
                attributes,
                start_time_unix_nano: numbers.0,
                time_unix_nano: numbers.1,
                count: numbers.2,
                sum: doubles.0,
                min: doubles.1,
                max: doubles.2,
                bucket_counts: buckets.0,
                explicit_bounds: buckets.1,
                ..HistogramDataPoint::default()
            },
        )
}

fn exponential_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let buckets = || {
        (any::<i32>(), vec(number(), 0..5)).prop_map(|(offset, bucket_counts)| {
            Some(Buckets {
                offset,
                bucket_counts,
            })
        })
    };
    let numbers = (number(), number(), number());
    (
        attributes(),
        numbers,
        doubles(),
        -20..20i32,
        double(),
        buckets(),
        buckets(),
    )
        .prop_map(
            |(attributes, numbers, doubles, scale, zero_threshold, positive, negative)| {
                ExponentialHistogramDataPoint {
                    attributes,
                    time_unix_nano: numbers.0,
                    count: numbers.1,
                    zero_count: numbers.2,
                    sum: doubles.0,
                    min: doubles.1,
                    max: doubles.2,
                    scale,
                    zero_threshold,
                    positive,
                    negative,
                    ..ExponentialHistogramDataPoint::default()
                }
            },
        )
}

fn summary_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile =
        (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    let numbers = (number(), number(), double());
    (attributes(), numbers, vec(quantile, 0..3)).prop_map(
        |(attributes, numbers, quantile_values)| SummaryDataPoint {
            attributes,
            time_unix_nano: numbers.0,
            count: numbers.1,
            sum: numbers.2,
            quantile_values,
            ..SummaryDataPoint::default()
        },
    )
}

fn metric() -> impl Strategy<Value = Metric> {
    let temporality = 0..3i32;
    let data = prop_oneof![
        vec(number_point(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (
            vec(number_point(), 0..3),
            temporality.clone(),
            any::<bool>()
        )
            .prop_map(
                |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                    data_points,
                    aggregation_temporality,
                    is_monotonic
                })
            ),
        (vec(histogram_point(), 0..3), temporality.clone()).prop_map(
            |(data_points, aggregation_temporality)| Data::Histogram(Histogram {
                data_points,
                aggregation_temporality
            })
        ),
        (vec(exponential_point(), 0..3), temporality).prop_map(
            |(data_points, aggregation_temporality)| Data::ExponentialHistogram(
                ExponentialHistogram {
                    data_points,
                    aggregation_temporality
                }
            )
        ),
        vec(summary_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    (text(), text(), text(), option::of(data), attributes()).prop_map(
        |(name, description, unit, data, metadata)| Metric {
            // Without points, one without a name is the same bytes as a span without anything, and
            // one with a name of 16 bytes the same as a span with a trace id.
            name: match name.len() {
                15 => format!("mm{name}"),
                _ => format!("m{name}"),
            },
            description,
            unit,
            data,
            metadata,
        },
    )
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let numbers = (number(), number(), 0..26i32, any::<u32>());
    let texts = (text(), text());
    (numbers, texts, any_value(), attributes(), (id(16), id(8))).prop_map(
        |(numbers, texts, body, attributes, ids)| LogRecord {
            time_unix_nano: numbers.0,
            observed_time_unix_nano: numbers.1,
            severity_number: numbers.2,
            flags: numbers.3,
            severity_text: texts.0,
            event_name: texts.1,
            body: Some(body),
            attributes,
            trace_id: ids.0,
            span_id: ids.1,
            ..LogRecord::default()
        },
    )
}

pub(crate) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope_spans = (scope(), vec(span(), 0..4)).prop_map(|(scope, spans)| ScopeSpans {
        scope,
        spans,
        ..ScopeSpans::default()
    });
    let resource_spans = (resource(), vec(scope_spans, 0..3), text()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        },
    );
    vec(resource_spans, 0..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub(crate) fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope_metrics = (scope(), vec(metric(), 0..4)).prop_map(|(scope, metrics)| ScopeMetrics {
        scope,
        metrics,
        ..ScopeMetrics::default()
    });
    let resource_metrics =
        (resource(), vec(scope_metrics, 0..3)).prop_map(|(resource, scope_metrics)| {
            ResourceMetrics {
                resource,
                scope_metrics,
                ..ResourceMetrics::default()
            }
        });
    vec(resource_metrics, 0..3)
        .prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

pub(crate) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope_logs =
        (scope(), vec(log_record(), 0..4)).prop_map(|(scope, log_records)| ScopeLogs {
            scope,
            log_records,
            ..ScopeLogs::default()
        });
    let resource_logs =
        (resource(), vec(scope_logs, 0..3)).prop_map(|(resource, scope_logs)| ResourceLogs {
            resource,
            scope_logs,
            ..ResourceLogs::default()
        });
    vec(resource_logs, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

#[test]
fn labels_of_older_points_are_attributes() {
    let of = |pair: &str| {
        read(format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","sum":{{"dataPoints":[{{{pair},"asInt":"1"}}]}}}}]}}]}}]}}"#
        ))
    };
    let (old, summary) = of(r#""labels":[{"key":"a","value":"b"}]"#);
    assert_eq!(summary.skipped, []);
    assert_eq!(
        old,
        of(r#""attributes":[{"key":"a","value":{"stringValue":"b"}}]"#).0
    );
}

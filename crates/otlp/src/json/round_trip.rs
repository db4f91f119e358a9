//! Tests: what is written as JSON is read as the same message, and what is wrong is named.

use super::{Message, read, write};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any::<String>().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|flag| Some(Value::BoolValue(flag))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        any::<f64>().prop_map(|number| Some(Value::DoubleValue(number))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value })
        .prop_recursive(3, 20, 4, |inner| {
            let pair = (any::<String>(), inner.clone()).prop_map(|(key, value)| KeyValue {
                key,
                value: Some(value),
                key_strindex: 0,
            });
            prop_oneof![
                vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
                vec(pair, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
            ]
            .prop_map(|value| AnyValue { value: Some(value) })
        })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let pair = (any::<String>(), any_value());
    vec(
        pair.prop_map(|(key, value)| KeyValue {
            key,
            value: Some(value),
            key_strindex: 0,
        }),
        0..4,
    )
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    (attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| {
        Some(Resource {
            attributes,
            dropped_attributes_count,
            entity_refs: Vec::new(),
        })
    })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope::default())
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    // An id of zeros is written as none.
    prop_oneof![Just(Vec::new()), vec(1..=u8::MAX, bytes)]
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), id(8));
    let numbers = (any::<u32>(), any::<i32>(), any::<u64>(), any::<u64>());
    (
        ids,
        numbers,
        any::<String>(),
        attributes(),
        any::<String>(),
        any::<i32>(),
    )
        .prop_map(|(ids, numbers, name, attributes, message, code)| Span {
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            flags: numbers.0,
            kind: numbers.1,
            start_time_unix_nano: numbers.2,
            end_time_unix_nano: numbers.3,
            name,
            attributes,
            status: Some(Status { message, code }),
            ..Span::default()
        })
}

fn metric() -> impl Strategy<Value = Metric> {
    let value = prop_oneof![
        any::<f64>().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
    ];
    let number = (attributes(), any::<u64>(), option::of(value)).prop_map(
        |(attributes, time_unix_nano, value)| NumberDataPoint {
            attributes,
            time_unix_nano,
            value,
            ..NumberDataPoint::default()
        },
    );
    let floats = (
        option::of(any::<f64>()),
        option::of(any::<f64>()),
        option::of(any::<f64>()),
    );
    let buckets = (vec(any::<u64>(), 0..5), vec(any::<f64>(), 0..5));
    let histogram =
        (any::<u64>(), floats, buckets).prop_map(|(count, floats, buckets)| HistogramDataPoint {
            count,
            sum: floats.0,
            min: floats.1,
            max: floats.2,
            bucket_counts: buckets.0,
            explicit_bounds: buckets.1,
            ..HistogramDataPoint::default()
        });
    let data = prop_oneof![
        (vec(number, 0..3), any::<i32>(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic
            })
        ),
        vec(histogram, 0..3).prop_map(|data_points| Data::Histogram(Histogram {
            data_points,
            aggregation_temporality: 2
        })),
    ];
    (any::<String>(), option::of(data)).prop_map(|(name, data)| Metric {
        name,
        data,
        ..Metric::default()
    })
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    (
        any::<u64>(),
        any::<i32>(),
        any_value(),
        attributes(),
        id(16),
    )
        .prop_map(
            |(time_unix_nano, severity_number, body, attributes, trace_id)| LogRecord {
                time_unix_nano,
                severity_number,
                body: Some(body),
                attributes,
                trace_id,
                ..LogRecord::default()
            },
        )
}

/// Reads the JSON of `request` back.
fn read_back<T: Message>(request: &T) -> T {
    let mut text = Vec::new();
    write(request, &mut text);
    let read: T = read(&text).unwrap();
    let mut again = Vec::new();
    write(&read, &mut again);
    assert_eq!(text, again);
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn traces_read_back(resource in resource(), spans in vec(span(), 0..4), schema_url: String) {
        let scope_spans = vec![ScopeSpans { scope: scope(), spans, schema_url: String::new() }];
        let resource_spans = vec![ResourceSpans { resource, scope_spans, schema_url }];
        let request = ExportTraceServiceRequest { resource_spans };
        prop_assert_eq!(read_back(&request), request);
    }

    #[test]
    fn metrics_read_back(resource in resource(), metrics in vec(metric(), 0..4)) {
        let schema_url = String::new();
        let scope_metrics =
            vec![ScopeMetrics { scope: scope(), metrics, schema_url: schema_url.clone() }];
        let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url }];
        let request = ExportMetricsServiceRequest { resource_metrics };
        prop_assert_eq!(read_back(&request), request);
    }

    #[test]
    fn logs_read_back(resource in resource(), log_records in vec(log_record(), 0..4)) {
        let schema_url = String::new();
        let scope_logs =
            vec![ScopeLogs { scope: scope(), log_records, schema_url: schema_url.clone() }];
        let resource_logs = vec![ResourceLogs { resource, scope_logs, schema_url }];
        let request = ExportLogsServiceRequest { resource_logs };
        prop_assert_eq!(read_back(&request), request);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text: String) {
        let _ = read::<ExportTraceServiceRequest>(text.as_bytes());
    }
}

#[test]
fn null_is_the_default_and_unknown_fields_are_skipped() {
    let text = br#"{"x":{"y":[1]},"resourceSpans":[{"resource":null,"scopeSpans":[
        {"spans":[{"name":null,"kind":null,"startTimeUnixNano":null,"status":null,"traceId":null,
        "attributes":null,"flags":1.0}]}]}]}"#;
    let request: ExportTraceServiceRequest = read(text).unwrap();
    let span = Span {
        flags: 1,
        ..Span::default()
    };
    assert_eq!(request.resource_spans[0].scope_spans[0].spans, [span]);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (field, complaint) in [
        (r#""name":7"#, "expected a string, found `7}]}]}]}`"),
        (r#""kind":"SPAN_KIND_X""#, "expected a span's kind"),
        (r#""flags":-1"#, "expected an unsigned 32-bit integer"),
        (
            r#""flags":4294967296"#,
            "expected an unsigned 32-bit integer",
        ),
        (
            r#""endTimeUnixNano":"soon""#,
            "expected an unsigned 64-bit integer",
        ),
        (
            r#""endTimeUnixNano":1.5"#,
            "expected an unsigned 64-bit integer",
        ),
        (
            r#""traceId":"00000000000000ff""#,
            "expected an id of 32 hex digits",
        ),
        (r#""attributes":{}"#, "expected a list"),
        (r#""status":[]"#, "expected an object"),
        (
            r#""attributes":[{"value":{"bytesValue":"*"}}]"#,
            "expected bytes in base64",
        ),
        (r#""name":"x"} "#, "expected `,` or `]`"),
    ] {
        let before = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"#;
        let text = format!("{before}{field}}}]}}]}}]}}");
        let problem = read::<ExportTraceServiceRequest>(text.as_bytes()).unwrap_err();
        assert!(problem.reason.contains(complaint), "{field}: {problem}");
        let place = before.len()..before.len() + field.len() + 2;
        assert!(place.contains(&problem.byte), "{field}: {problem}");
    }
}

#[test]
fn names_of_older_versions_are_read_beside_those_of_today() {
    let text = br#"{"resourceLogs":[{"instrumentation_library_logs":[{"instrumentationLibrary":{"name":"old"},
        "logs":[{"severityText":"a"}]}],"scopeLogs":[{"logRecords":[{"severityText":"b"}]}]}]}"#;
    let request: ExportLogsServiceRequest = read(text).unwrap();
    let scopes = &request.resource_logs[0].scope_logs;
    assert_eq!(scopes[0].scope.as_ref().unwrap().name, "old");
    let texts: Vec<&str> = scopes
        .iter()
        .flat_map(|scope| &scope.log_records)
        .map(|record| &*record.severity_text)
        .collect();
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn a_null_is_absent_wherever_it_stands() {
    let text = br#"{"resourceMetrics":[null,{"scopeMetrics":[{"metrics":[{"gauge":null,"histogram":
        {"dataPoints":[null,{"sum":null,"bucketCounts":[1,null,"2"],"explicitBounds":null,
        "attributes":[null,{"key":"a","value":{"arrayValue":{"values":[null,{"intValue":7.0}]}}},
        {"key":"b","value":{"stringValue":null}}]}]}}]}]}]}"#;
    let request: ExportMetricsServiceRequest = read(text).unwrap();
    let Some(Data::Histogram(histogram)) =
        &request.resource_metrics[0].scope_metrics[0].metrics[0].data
    else {
        panic!("{request:?}")
    };
    let [point] = &histogram.data_points[..] else {
        panic!("{histogram:?}")
    };
    // Numbers and values keep their places in a list.
    assert_eq!(
        (point.sum, &point.bucket_counts[..]),
        (None, &[1, 0, 2][..])
    );
    let int = AnyValue {
        value: Some(Value::IntValue(7)),
    };
    let array = ArrayValue {
        values: vec![AnyValue::default(), int],
    };
    let values: Vec<_> = point.attributes.iter().map(|a| a.value.clone()).collect();
    assert_eq!(
        values,
        [
            Some(AnyValue {
                value: Some(Value::ArrayValue(array))
            }),
            Some(AnyValue::default())
        ]
    );
}

//! Spans with every field, and with captured headers in each form.

use super::values::{any, array, attribute, every_value, resource, scope, span_id, text, trace_id};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

pub(crate) fn spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans {
        scope: None,
        spans,
        schema_url: String::new(),
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource("web"),
            scope_spans,
            schema_url: String::new(),
        }],
    }
}

fn full_span() -> Span {
    Span {
        trace_id: trace_id(1),
        span_id: span_id(2),
        trace_state: "vendor=a,other=\"b\"".to_owned(),
        parent_span_id: span_id(3),
        flags: 0x301,
        name: "GET /api/<x>".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_767_960_000_123_456_789,
        end_time_unix_nano: u64::MAX,
        attributes: every_value(),
        dropped_attributes_count: 1,
        events: vec![
            Event {
                time_unix_nano: 1_767_960_000_200_000_000,
                name: "exception".to_owned(),
                attributes: every_value(),
                dropped_attributes_count: 2,
            },
            Event::default(),
        ],
        dropped_events_count: 3,
        links: vec![
            Link {
                trace_id: trace_id(4),
                span_id: span_id(5),
                trace_state: "k=v".to_owned(),
                attributes: vec![attribute("why", text("batch"))],
                dropped_attributes_count: 5,
                flags: 1,
            },
            Link::default(),
        ],
        dropped_links_count: 6,
        status: Some(Status {
            message: "it\nbroke".to_owned(),
            code: 2,
        }),
    }
}

pub(super) fn every_span() -> ExportTraceServiceRequest {
    let kinds = (0..=6).map(|kind| Span {
        trace_id: trace_id(7),
        span_id: span_id(kind),
        name: format!("kind {kind}"),
        kind: kind.into(),
        status: Some(Status {
            message: String::new(),
            code: i32::from(kind) % 3,
        }),
        ..Span::default()
    });
    let zero_ids = Span {
        trace_id: vec![0; 16],
        span_id: vec![0; 8],
        parent_span_id: vec![0; 8],
        ..Span::default()
    };
    let scope_spans = vec![
        ScopeSpans {
            scope: scope(),
            spans: vec![full_span()],
            schema_url: "https://example.com/scope".to_owned(),
        },
        ScopeSpans {
            scope: None,
            spans: kinds.collect(),
            schema_url: String::new(),
        },
        ScopeSpans {
            scope: Some(InstrumentationScope::default()),
            spans: vec![Span::default(), zero_ids],
            schema_url: String::new(),
        },
        ScopeSpans::default(),
    ];
    let entity_refs = vec![
        EntityRef {
            schema_url: "https://example.com/entity".to_owned(),
            r#type: "service".to_owned(),
            id_keys: vec!["service.name".to_owned(), "service.instance.id".to_owned()],
            description_keys: vec!["service.version".to_owned()],
        },
        EntityRef::default(),
    ];
    ExportTraceServiceRequest {
        resource_spans: vec![
            ResourceSpans {
                resource: Some(Resource {
                    attributes: every_value(),
                    dropped_attributes_count: 9,
                    entity_refs,
                }),
                scope_spans,
                schema_url: "https://example.com/resource".to_owned(),
            },
            ResourceSpans::default(),
            ResourceSpans {
                resource: Some(Resource::default()),
                ..ResourceSpans::default()
            },
        ],
    }
}

/// Spans as the languages' instrumentations send them: with the captured headers in each form.
pub(super) fn captured_headers() -> ExportTraceServiceRequest {
    let header =
        |name: &str, value: AnyValue| attribute(&format!("http.request.header.{name}"), value);
    let strings = |values: &[&str]| array(values.iter().map(|value| text(value)).collect());
    let cases: Vec<Vec<KeyValue>> = vec![
        vec![],
        vec![
            header(
                "x-anomaly-msg",
                strings(&["order is not that of the mapping"]),
            ),
            header("x-anomaly-type", strings(&["latency_spike"])),
            header("x-anomaly-root-cause", strings(&["slow_database_query"])),
            header("x-anomaly-label", strings(&["anomalous"])),
        ],
        vec![
            header("x_anomaly_type", strings(&["timeout", "second"])),
            header("x_anomaly_label", strings(&["anomalous"])),
            header(
                "x_anomaly_root_cause",
                strings(&["downstream_service_timeout"]),
            ),
            header("x_anomaly_msg", strings(&["ä \"quoted\""])),
        ],
        vec![
            header("x-anomaly-type", text("error_spike")),
            header("x-anomaly-label", text("anomalous")),
            header("x-anomaly-root-cause", text("service_unavailable")),
            header("x-anomaly-msg", text("")),
        ],
        vec![
            header("x-anomaly-type", text("")),
            header("x_anomaly_type", text("from underscores")),
            header("x-anomaly-label", array(vec![])),
            header("x_anomaly_label", strings(&[""])),
            header("x-anomaly-root-cause", array(vec![any(Value::IntValue(3))])),
            header("x_anomaly_msg", any(Value::IntValue(3))),
            header("x-anomaly-msg", AnyValue { value: None }),
        ],
        vec![
            attribute("anomaly.type", text("from_baggage")),
            header("x-anomaly-type", strings(&["from_header"])),
            attribute("anomaly.label", text("")),
            header("x-anomaly-label", strings(&["from_header"])),
            attribute("anomaly.root_cause", any(Value::IntValue(5))),
            attribute("anomaly.msg", AnyValue { value: None }),
            header("x-anomaly-msg", strings(&["into the empty one"])),
        ],
        vec![
            header("x-anomaly-type", strings(&["dashes"])),
            header("x_anomaly_type", strings(&["underscores"])),
            header(
                "X-Anomaly-Label",
                strings(&["capitals are another attribute"]),
            ),
        ],
    ];
    let spans = cases
        .into_iter()
        .zip(1..)
        .map(|(attributes, n)| Span {
            trace_id: trace_id(n),
            span_id: span_id(n),
            name: format!("case {n}"),
            attributes,
            ..Span::default()
        })
        .collect();
    self::spans(spans)
}

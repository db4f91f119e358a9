//! Spans.

use super::Object;
use super::attributes::{key_value, resource, scope};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// Writes one line of `traces.jsonl`, without the newline.
pub fn traces_request(out: &mut Vec<u8>, request: &ExportTraceServiceRequest) {
    let mut object = Object::open(out);
    object.list("resourceSpans", &request.resource_spans, resource_spans);
    object.close();
}

fn resource_spans(out: &mut Vec<u8>, group: &ResourceSpans) {
    let mut object = Object::open(out);
    object.always("resource", group.resource.as_ref(), resource);
    object.list("scopeSpans", &group.scope_spans, scope_spans);
    object.text("schemaUrl", &group.schema_url);
    object.close();
}

fn scope_spans(out: &mut Vec<u8>, group: &ScopeSpans) {
    let mut object = Object::open(out);
    object.always("scope", group.scope.as_ref(), scope);
    object.list("spans", &group.spans, span);
    object.text("schemaUrl", &group.schema_url);
    object.close();
}

fn span(out: &mut Vec<u8>, span: &Span) {
    let mut object = Object::open(out);
    object.id("traceId", &span.trace_id);
    object.id("spanId", &span.span_id);
    object.text("traceState", &span.trace_state);
    object.id("parentSpanId", &span.parent_span_id);
    object.int32("flags", span.flags);
    object.text("name", &span.name);
    object.int32("kind", span.kind);
    object.uint64("startTimeUnixNano", span.start_time_unix_nano);
    object.uint64("endTimeUnixNano", span.end_time_unix_nano);
    object.list("attributes", &span.attributes, key_value);
    object.int32("droppedAttributesCount", span.dropped_attributes_count);
    object.list("events", &span.events, event);
    object.int32("droppedEventsCount", span.dropped_events_count);
    object.list("links", &span.links, link);
    object.int32("droppedLinksCount", span.dropped_links_count);
    object.always("status", span.status.as_ref(), status);
    object.close();
}

fn event(out: &mut Vec<u8>, event: &Event) {
    let mut object = Object::open(out);
    object.uint64("timeUnixNano", event.time_unix_nano);
    object.text("name", &event.name);
    object.list("attributes", &event.attributes, key_value);
    object.int32("droppedAttributesCount", event.dropped_attributes_count);
    object.close();
}

fn link(out: &mut Vec<u8>, link: &Link) {
    let mut object = Object::open(out);
    object.id("traceId", &link.trace_id);
    object.id("spanId", &link.span_id);
    object.text("traceState", &link.trace_state);
    object.list("attributes", &link.attributes, key_value);
    object.int32("droppedAttributesCount", link.dropped_attributes_count);
    object.int32("flags", link.flags);
    object.close();
}

fn status(out: &mut Vec<u8>, status: &Status) {
    let mut object = Object::open(out);
    object.text("message", &status.message);
    object.int32("code", status.code);
    object.close();
}

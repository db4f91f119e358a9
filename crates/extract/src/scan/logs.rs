//! Log records as records.

use loadgen_otlp::view::{AnyValue, LogRecord, PlainObject};
use serde_json::Value;

use super::packed::Packed;
use super::records::LogRow;
use super::resource::ResourceAttributes;
use super::spool::hash;

/// Adds a log record.
pub(super) fn pack(
    rows: &mut Packed,
    resource: &ResourceAttributes,
    scope_name: &str,
    record: &LogRecord<'_>,
) {
    let id = record.trace_id.0;
    let trace = [(id >> 64) as u64, id as u64];
    let observed = record.observed_time_unix_nano.get();
    let time_ns = record.time_unix_nano.get().or(observed);
    let body = body(&record.body);
    let attributes = serde_json::to_string(&PlainObject(&record.attributes)).unwrap_or_default();
    let row = LogRow {
        trace_high: Some(trace[0]),
        trace_low: Some(trace[1]),
        span_id: Some(record.span_id.0),
        time_ns,
        observed_ns: observed,
        severity_number: Some(record.severity_number.0),
        severity_text: Some(&record.severity_text),
        service_name: Some(resource.service_name()),
        body: body.as_deref(),
        event_name: Some(&record.event_name),
        scope_name: Some(scope_name),
        attributes: Some(&attributes),
        service_instance_id: resource.service_instance_id.as_deref(),
        host_name: resource.host_name.as_deref(),
        container_name: resource.container_name.as_deref(),
        k8s_pod_name: resource.k8s_pod_name.as_deref(),
    };
    row.pack(hash(dealt_by(trace, time_ns)), rows);
}

/// What a log record is dealt by: its trace. One without a trace goes anywhere, and not all to one
/// place.
pub(super) fn dealt_by(trace: [u64; 2], time_ns: Option<i64>) -> [u64; 2] {
    match trace {
        [0, 0] => [0, time_ns.unwrap_or(0) as u64],
        trace => trace,
    }
}

/// Text as it is, bytes as base64, what has structure as JSON.
fn body(body: &AnyValue<'_>) -> Option<String> {
    match body {
        AnyValue::Empty => None,
        AnyValue::Text(text) => Some(text.to_string()),
        AnyValue::Bytes(_) => match serde_json::to_value(body) {
            Ok(Value::String(base64)) => Some(base64),
            _ => None,
        },
        structured => serde_json::to_string(structured).ok(),
    }
}

//! Log records as records.

use loadgen_otlp::view::{AnyValue, LogRecord, PlainObject};
use serde_json::Value;

use super::records::LogBuilder;
use super::resource::ResourceAttributes;

impl LogBuilder {
    pub(super) fn record(
        &mut self,
        resource: &ResourceAttributes,
        scope_name: &str,
        record: &LogRecord<'_>,
    ) {
        let id = record.trace_id.0;
        let observed = record.observed_time_unix_nano.get();
        self.trace_high.append_value((id >> 64) as u64);
        self.trace_low.append_value(id as u64);
        self.span_id.append_value(record.span_id.0);
        self.time_ns
            .append_option(record.time_unix_nano.get().or(observed));
        self.observed_ns.append_option(observed);
        self.severity_number.append_value(record.severity_number.0);
        self.severity_text.append_value(&*record.severity_text);
        self.service_name.append_value(resource.service_name());
        self.body.append_option(body(&record.body));
        self.event_name.append_value(&*record.event_name);
        self.scope_name.append_value(scope_name);
        let attributes = serde_json::to_string(&PlainObject(&record.attributes));
        self.attributes.append_value(attributes.unwrap_or_default());
        self.service_instance_id
            .append_option(resource.service_instance_id.as_deref());
        self.host_name.append_option(resource.host_name.as_deref());
        self.container_name
            .append_option(resource.container_name.as_deref());
        self.k8s_pod_name
            .append_option(resource.k8s_pod_name.as_deref());
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

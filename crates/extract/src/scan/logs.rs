//! Log records of a message as records.

use super::records::LogBuilder;
use crate::telemetry::attribute::{AnyValue, AsObject};
use crate::telemetry::log::{LogRecord, ResourceLogs};
use crate::telemetry::resource::ResourceAttributes;

impl LogBuilder {
    /// Takes the records of a message. Gives their number.
    pub(super) fn message(&mut self, data: &[ResourceLogs<'_>]) -> u64 {
        let mut read = 0;
        for resource in data {
            for scope in &resource.scope_logs {
                for record in &scope.log_records {
                    read += 1;
                    self.record(resource.resource.attributes(), &scope.scope.name, record);
                }
            }
        }
        read
    }

    fn record(
        &mut self,
        resource: &ResourceAttributes<'_>,
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
        match &record.body {
            AnyValue::Empty => self.body.append_null(),
            AnyValue::Text(text) | AnyValue::Bytes(text) => self.body.append_value(&**text),
            // A body is always JSON.
            structured => self.body.append_option(serde_json::to_string(structured).ok()),
        }
        self.event_name.append_value(&*record.event_name);
        self.scope_name.append_value(scope_name);
        let attributes = serde_json::to_string(&AsObject(&record.attributes));
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

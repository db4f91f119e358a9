//! Log records.

use super::Object;
use super::attributes::{any_value, key_value, resource, scope};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

/// Writes one line of `logs.jsonl`, without the newline.
pub fn logs_request(out: &mut Vec<u8>, request: &ExportLogsServiceRequest) {
    let mut object = Object::open(out);
    object.list("resourceLogs", &request.resource_logs, resource_logs);
    object.close();
}

fn resource_logs(out: &mut Vec<u8>, group: &ResourceLogs) {
    let mut object = Object::open(out);
    object.always("resource", group.resource.as_ref(), resource);
    object.list("scopeLogs", &group.scope_logs, scope_logs);
    object.text("schemaUrl", &group.schema_url);
    object.close();
}

fn scope_logs(out: &mut Vec<u8>, group: &ScopeLogs) {
    let mut object = Object::open(out);
    object.always("scope", group.scope.as_ref(), scope);
    object.list("logRecords", &group.log_records, log_record);
    object.text("schemaUrl", &group.schema_url);
    object.close();
}

fn log_record(out: &mut Vec<u8>, record: &LogRecord) {
    let mut object = Object::open(out);
    object.uint64("timeUnixNano", record.time_unix_nano);
    object.uint64("observedTimeUnixNano", record.observed_time_unix_nano);
    object.int32("severityNumber", record.severity_number);
    object.text("severityText", &record.severity_text);
    object.always("body", record.body.as_ref(), any_value);
    object.list("attributes", &record.attributes, key_value);
    object.int32("droppedAttributesCount", record.dropped_attributes_count);
    object.int32("flags", record.flags);
    object.id("traceId", &record.trace_id);
    object.id("spanId", &record.span_id);
    object.text("eventName", &record.event_name);
    object.close();
}

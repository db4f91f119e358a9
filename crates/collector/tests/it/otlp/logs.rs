//! Log records with every field and every kind of body.

use super::values::{every_value, resource, scope, span_id, text, trace_id};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

pub(super) fn every_log_record() -> ExportLogsServiceRequest {
    let full = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 2,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: Some(text("it broke\n\tat line 1")),
        attributes: every_value(),
        dropped_attributes_count: 3,
        flags: 1,
        trace_id: trace_id(1),
        span_id: span_id(1),
        event_name: "event".to_owned(),
    };
    let bodies = every_value().into_iter().map(|attribute| LogRecord {
        body: attribute.value,
        ..LogRecord::default()
    });
    ExportLogsServiceRequest {
        resource_logs: vec![
            ResourceLogs {
                resource: resource("payment"),
                scope_logs: vec![
                    ScopeLogs {
                        scope: scope(),
                        log_records: std::iter::once(full).chain(bodies).collect(),
                        schema_url: "https://example.com/s".to_owned(),
                    },
                    ScopeLogs::default(),
                ],
                schema_url: "https://example.com/r".to_owned(),
            },
            ResourceLogs::default(),
        ],
    }
}

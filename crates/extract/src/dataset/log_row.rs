//! A log record as a row.

use super::csv_row::CsvRows;
use crate::join::label::{Label, LabelSource};
use crate::join::phase::Phase;
use crate::telemetry::attribute::{AnyValue, AsObject};
use crate::telemetry::log::LogRecord;
use crate::telemetry::resource::ResourceAttributes;

/// Columns of the file of logs, in this order.
pub(crate) const COLUMNS: [&str; 25] = [
    "timestamp",
    "time_ns",
    "observed_time_ns",
    "severity_number",
    "severity_text",
    "service_name",
    "body",
    "trace_id",
    "span_id",
    "event_name",
    "scope_name",
    "attributes",
    "service_instance_id",
    "host_name",
    "container_name",
    "k8s_pod_name",
    "anomaly_type",
    "anomaly_label",
    "anomaly_root_cause",
    "anomaly_msg",
    "scenario",
    "root_cause_service",
    "label_source",
    "phase",
    "is_root_cause_service",
];

/// The time of a record: when it happened, else when it was observed; Unix nanoseconds.
pub(crate) fn time_ns(record: &LogRecord<'_>) -> Option<i64> {
    record
        .time_unix_nano
        .get()
        .or(record.observed_time_unix_nano.get())
}

pub(crate) fn write_csv(
    rows: &mut CsvRows,
    resource: &ResourceAttributes<'_>,
    scope_name: &str,
    record: &LogRecord<'_>,
    (label, source, phase): (&Label, LabelSource, Phase),
) {
    let time_ns = time_ns(record);
    rows.timestamp(time_ns);
    rows.opt_integer(time_ns);
    rows.opt_integer(record.observed_time_unix_nano.get());
    match record.severity_number.0 {
        0 => rows.null(),
        severity => rows.integer(severity),
    }
    rows.text(&record.severity_text);
    rows.text(resource.service_name());
    match &record.body {
        AnyValue::Empty => rows.null(),
        AnyValue::Text(text) | AnyValue::Bytes(text) => rows.text(text),
        structured => rows.json(structured),
    }
    rows.trace_id(record.trace_id);
    rows.span_id(record.span_id);
    rows.text(&record.event_name);
    rows.text(scope_name);
    rows.json(&AsObject(&record.attributes));
    rows.instance(resource);
    rows.anomaly(label);
    rows.provenance(label, source);
    rows.phase(phase);
    rows.is_root_cause_service(label, resource.service_name());
    rows.end();
}

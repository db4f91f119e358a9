//! Spans as Arrow columns, for Parquet. Same columns as in CSV, with proper types and nulls; text
//! stands as it came, since no spreadsheet reads Parquet formulas.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampNanosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::csv_row::hex;
use super::span_row::SpanRow;
use crate::telemetry::scalar::{SpanId, TraceId};

/// Names, types and nullability of the Parquet file's columns.
pub(crate) fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let text = || DataType::Utf8;
    Arc::new(Schema::new(vec![
        Field::new("timestamp", time, true),
        Field::new("start_time_ns", DataType::Int64, true),
        Field::new("end_time_ns", DataType::Int64, true),
        Field::new("duration_ns", DataType::Int64, true),
        Field::new("duration_ms", DataType::Float64, true),
        Field::new("service_name", text(), false),
        Field::new("trace_id", text(), true),
        Field::new("span_id", text(), true),
        Field::new("parent_span_id", text(), true),
        Field::new("span_name", text(), false),
        Field::new("span_kind", DataType::Int32, false),
        Field::new("http_method", text(), true),
        Field::new("http_status_code", DataType::Int32, true),
        Field::new("http_target", text(), true),
        Field::new("anomaly_type", text(), false),
        Field::new("anomaly_label", text(), false),
        Field::new("anomaly_root_cause", text(), false),
        Field::new("anomaly_msg", text(), false),
        Field::new("span_status", DataType::Int32, false),
        Field::new("scenario", text(), true),
        Field::new("root_cause_service", text(), true),
        Field::new("label_source", text(), false),
        Field::new("server_address", text(), true),
        Field::new("server_port", DataType::Int32, true),
        Field::new("client_address", text(), true),
        Field::new("network_protocol_version", text(), true),
        Field::new("phase", text(), true),
        Field::new("is_root_cause_service", DataType::Boolean, true),
        Field::new("touches_root_cause", DataType::Boolean, true),
        Field::new("service_instance_id", text(), true),
    ]))
}

/// Collects rows.
#[derive(Debug, Default)]
pub(crate) struct SpanColumns {
    start_ns: Int64Builder,
    end_ns: Int64Builder,
    duration_ns: Int64Builder,
    duration_ms: Float64Builder,
    service_name: StringBuilder,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    parent_span_id: StringBuilder,
    span_name: StringBuilder,
    span_kind: Int32Builder,
    http_method: StringBuilder,
    http_status_code: Int32Builder,
    http_target: StringBuilder,
    anomaly_type: StringBuilder,
    anomaly_label: StringBuilder,
    anomaly_root_cause: StringBuilder,
    anomaly_msg: StringBuilder,
    span_status: Int32Builder,
    scenario: StringBuilder,
    root_cause_service: StringBuilder,
    label_source: StringBuilder,
    server_address: StringBuilder,
    server_port: Int32Builder,
    client_address: StringBuilder,
    network_protocol_version: StringBuilder,
    phase: StringBuilder,
    is_root_cause_service: BooleanBuilder,
    touches_root_cause: BooleanBuilder,
    service_instance_id: StringBuilder,
}

impl SpanColumns {
    pub(crate) fn push(&mut self, row: &SpanRow<'_>) {
        let duration_ns = row.duration_ns();
        self.start_ns.append_option(row.start_ns);
        self.end_ns.append_option(row.end_ns);
        self.duration_ns.append_option(duration_ns);
        self.duration_ms
            .append_option(duration_ns.map(|ns| ns as f64 / 1e6));
        self.service_name.append_value(row.service_name);
        let TraceId(trace) = row.trace_id;
        push_id(&mut self.trace_id, &hex::<32>(trace), trace == 0);
        push_span_id(&mut self.span_id, row.span_id);
        push_span_id(&mut self.parent_span_id, row.parent_span_id);
        self.span_name.append_value(row.name);
        self.span_kind.append_value(row.kind);
        self.http_method.append_option(row.http_method);
        self.http_status_code.append_option(row.http_status_code);
        self.http_target.append_option(row.http_target.as_deref());
        self.anomaly_type.append_value(&row.of.label.anomaly_type);
        self.anomaly_label.append_value(&row.of.label.anomaly_label);
        self.anomaly_root_cause
            .append_value(&row.of.label.anomaly_root_cause);
        self.anomaly_msg.append_value(&row.of.label.anomaly_msg);
        self.span_status.append_value(row.status);
        self.scenario
            .append_option(row.of.label.scenario.as_deref());
        self.root_cause_service
            .append_option(row.of.label.root_cause_service.as_deref());
        self.label_source.append_value(row.of.source.name());
        self.server_address.append_option(row.server_address);
        self.server_port.append_option(row.server_port);
        self.client_address.append_option(row.client_address);
        self.network_protocol_version
            .append_option(row.network_protocol_version);
        self.phase.append_option(row.of.phase.name());
        self.is_root_cause_service
            .append_option(row.is_root_cause_service());
        self.touches_root_cause
            .append_option(row.touches_root_cause());
        self.service_instance_id
            .append_option(row.service_instance_id);
    }

    pub(crate) fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let start = self.start_ns.finish();
        let mut time = TimestampNanosecondBuilder::with_capacity(start.len());
        time.extend(start.iter());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(time.finish().with_timezone("UTC")),
            Arc::new(start),
            Arc::new(self.end_ns.finish()),
            Arc::new(self.duration_ns.finish()),
            Arc::new(self.duration_ms.finish()),
            Arc::new(self.service_name.finish()),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(self.parent_span_id.finish()),
            Arc::new(self.span_name.finish()),
            Arc::new(self.span_kind.finish()),
            Arc::new(self.http_method.finish()),
            Arc::new(self.http_status_code.finish()),
            Arc::new(self.http_target.finish()),
            Arc::new(self.anomaly_type.finish()),
            Arc::new(self.anomaly_label.finish()),
            Arc::new(self.anomaly_root_cause.finish()),
            Arc::new(self.anomaly_msg.finish()),
            Arc::new(self.span_status.finish()),
            Arc::new(self.scenario.finish()),
            Arc::new(self.root_cause_service.finish()),
            Arc::new(self.label_source.finish()),
            Arc::new(self.server_address.finish()),
            Arc::new(self.server_port.finish()),
            Arc::new(self.client_address.finish()),
            Arc::new(self.network_protocol_version.finish()),
            Arc::new(self.phase.finish()),
            Arc::new(self.is_root_cause_service.finish()),
            Arc::new(self.touches_root_cause.finish()),
            Arc::new(self.service_instance_id.finish()),
        ];
        RecordBatch::try_new(schema.clone(), columns)
    }
}

fn push_span_id(column: &mut StringBuilder, SpanId(id): SpanId) {
    push_id(column, &hex::<16>(id.into()), id == 0);
}

fn push_id(column: &mut StringBuilder, digits: &[u8], none: bool) {
    match std::str::from_utf8(digits) {
        Ok(digits) if !none => column.append_value(digits),
        _ => column.append_null(),
    }
}

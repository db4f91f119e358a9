//! A span as a row: the columns, their order, and how a row is written as CSV.

use std::borrow::Cow;

use super::csv_row::CsvRows;
use crate::join::label::Label;
use crate::telemetry::scalar::{SpanId, TraceId};
use crate::telemetry::trace::Span;

/// Columns of every file of traces, in this order.
pub(crate) const COLUMNS: [&str; 26] = [
    "timestamp",
    "start_time_ns",
    "end_time_ns",
    "duration_ns",
    "duration_ms",
    "service_name",
    "trace_id",
    "span_id",
    "parent_span_id",
    "span_name",
    "span_kind",
    "http_method",
    "http_status_code",
    "http_target",
    "anomaly_type",
    "anomaly_label",
    "anomaly_root_cause",
    "anomaly_msg",
    "span_status",
    "scenario",
    "root_cause_service",
    "label_source",
    "server_address",
    "server_port",
    "client_address",
    "network_protocol_version",
];

/// One span with all that its row needs; times in Unix nanoseconds.
#[derive(Debug)]
pub(crate) struct SpanRow<'a> {
    pub(crate) start_ns: Option<i64>,
    pub(crate) end_ns: Option<i64>,
    pub(crate) service_name: &'a str,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: SpanId,
    pub(crate) name: &'a str,
    pub(crate) kind: i32,
    pub(crate) http_method: Option<&'a str>,
    pub(crate) http_status_code: Option<i32>,
    pub(crate) http_target: Option<Cow<'a, str>>,
    pub(crate) label: &'a Label,
    pub(crate) status: i32,
    pub(crate) server_address: Option<&'a str>,
    pub(crate) server_port: Option<i32>,
    pub(crate) client_address: Option<&'a str>,
    pub(crate) network_protocol_version: Option<&'a str>,
}

impl<'a> SpanRow<'a> {
    pub(crate) fn new(service_name: &'a str, span: &'a Span<'a>, label: &'a Label) -> Self {
        let http = &span.attributes.0;
        let kind = span.kind.0;
        Self {
            start_ns: span.start_time_unix_nano.get(),
            end_ns: span.end_time_unix_nano.get(),
            service_name,
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: &span.name,
            kind,
            http_method: http.method(),
            http_status_code: http.status_code(),
            http_target: http.target(),
            label,
            status: span.status.code.0,
            server_address: http.server_address(kind),
            server_port: http.server_port(kind),
            client_address: http.client_address(kind),
            network_protocol_version: http.protocol_version(),
        }
    }

    /// End minus start; negative where a clock went back, none where either is missing.
    pub(crate) fn duration_ns(&self) -> Option<i64> {
        Some(self.end_ns? - self.start_ns?)
    }

    pub(crate) fn write_csv(&self, rows: &mut CsvRows) {
        let duration_ns = self.duration_ns();
        rows.timestamp(self.start_ns);
        rows.opt_integer(self.start_ns);
        rows.opt_integer(self.end_ns);
        rows.opt_integer(duration_ns);
        match duration_ns {
            Some(ns) => rows.milliseconds(ns),
            None => rows.null(),
        }
        rows.text(self.service_name);
        rows.trace_id(self.trace_id);
        rows.span_id(self.span_id);
        rows.span_id(self.parent_span_id);
        rows.text(self.name);
        rows.integer(self.kind);
        rows.opt_text(self.http_method);
        rows.opt_integer(self.http_status_code);
        rows.opt_text(self.http_target.as_deref());
        rows.anomaly(self.label);
        rows.integer(self.status);
        rows.provenance(self.label);
        rows.opt_text(self.server_address);
        rows.opt_integer(self.server_port);
        rows.opt_text(self.client_address);
        rows.opt_text(self.network_protocol_version);
        rows.end();
    }
}

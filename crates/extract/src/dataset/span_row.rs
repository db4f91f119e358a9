//! A span as a row: the columns, their order, and how a row is written as CSV.

use std::borrow::Cow;

use super::csv_row::CsvRows;
use crate::join::label::{Label, LabelSource};
use crate::join::phase::Phase;
use crate::telemetry::attribute::Picked;
use crate::telemetry::http::HttpAttributes;
use crate::telemetry::resource::ResourceAttributes;
use crate::telemetry::scalar::{SpanId, TraceId};
use crate::telemetry::trace::Span;

/// A span with what its row needs.
pub(crate) type HttpSpan<'a> = Span<'a, Picked<HttpAttributes<'a>>>;

/// Columns of every file of traces, in this order.
pub(crate) const COLUMNS: [&str; 30] = [
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
    "phase",
    "is_root_cause_service",
    "touches_root_cause",
    "service_instance_id",
];

/// Columns that can be left out: those that hold what was observed, neither where and when nor
/// labels.
pub(crate) const FEATURES: [&str; 11] = [
    "service_name",
    "span_name",
    "span_kind",
    "http_method",
    "http_status_code",
    "http_target",
    "span_status",
    "server_address",
    "server_port",
    "client_address",
    "network_protocol_version",
];

/// The columns of one extraction.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    dropped: Vec<&'static str>,
}

impl Columns {
    /// All but those that are named; names of columns that can't be left out are passed over.
    pub(crate) fn without(names: &[String]) -> Self {
        let dropped = FEATURES.iter().filter(|f| names.iter().any(|n| n == *f));
        Self {
            dropped: dropped.copied().collect(),
        }
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        !self.dropped.contains(&column)
    }

    /// Names of those that are there.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        COLUMNS.into_iter().filter(|c| self.has(c)).collect()
    }

    /// Names of those that were left out.
    pub(crate) fn dropped(&self) -> &[&'static str] {
        &self.dropped
    }
}

/// What the join says of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfSpan<'a> {
    pub(crate) label: &'a Label,
    pub(crate) source: LabelSource,
    pub(crate) phase: Phase,
    /// Its trace has a span of the service that the fault is in.
    pub(crate) touches_root_cause: bool,
}

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
    pub(crate) of: OfSpan<'a>,
    pub(crate) status: i32,
    pub(crate) server_address: Option<&'a str>,
    pub(crate) server_port: Option<i32>,
    pub(crate) client_address: Option<&'a str>,
    pub(crate) network_protocol_version: Option<&'a str>,
    pub(crate) service_instance_id: Option<&'a str>,
}

impl<'a> SpanRow<'a> {
    pub(crate) fn new(
        resource: &'a ResourceAttributes<'a>,
        span: &'a HttpSpan<'a>,
        of: OfSpan<'a>,
    ) -> Self {
        let http = &span.attributes.0;
        let kind = span.kind.0;
        Self {
            start_ns: span.start_time_unix_nano.get(),
            end_ns: span.end_time_unix_nano.get(),
            service_name: resource.service_name(),
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: &span.name,
            kind,
            http_method: http.method(),
            http_status_code: http.status_code(),
            http_target: http.target(),
            of,
            status: span.status.code.0,
            server_address: http.server_address(kind),
            server_port: http.server_port(kind),
            client_address: http.client_address(kind),
            network_protocol_version: http.protocol_version(),
            service_instance_id: resource.service_instance_id.as_deref(),
        }
    }

    /// End minus start; negative where a clock went back, none where either is missing.
    pub(crate) fn duration_ns(&self) -> Option<i64> {
        Some(self.end_ns? - self.start_ns?)
    }

    /// Whether its service is the one that the fault is in; none where no service is.
    pub(crate) fn is_root_cause_service(&self) -> Option<bool> {
        let service = self.of.label.root_cause_service.as_deref()?;
        Some(service == self.service_name)
    }

    /// Whether its trace has a span of that service; none where no service is.
    pub(crate) fn touches_root_cause(&self) -> Option<bool> {
        self.of.label.root_cause_service.as_ref()?;
        Some(self.of.touches_root_cause)
    }

    pub(crate) fn write_csv(&self, rows: &mut CsvRows, columns: &Columns) {
        let duration_ns = self.duration_ns();
        rows.timestamp(self.start_ns);
        rows.opt_integer(self.start_ns);
        rows.opt_integer(self.end_ns);
        rows.opt_integer(duration_ns);
        match duration_ns {
            Some(ns) => rows.milliseconds(ns),
            None => rows.null(),
        }
        if columns.has("service_name") {
            rows.text(self.service_name);
        }
        rows.trace_id(self.trace_id);
        rows.span_id(self.span_id);
        rows.span_id(self.parent_span_id);
        if columns.has("span_name") {
            rows.text(self.name);
        }
        if columns.has("span_kind") {
            rows.integer(self.kind);
        }
        if columns.has("http_method") {
            rows.opt_text(self.http_method);
        }
        if columns.has("http_status_code") {
            rows.opt_integer(self.http_status_code);
        }
        if columns.has("http_target") {
            rows.opt_text(self.http_target.as_deref());
        }
        rows.anomaly(self.of.label);
        if columns.has("span_status") {
            rows.integer(self.status);
        }
        rows.provenance(self.of.label, self.of.source);
        if columns.has("server_address") {
            rows.opt_text(self.server_address);
        }
        if columns.has("server_port") {
            rows.opt_integer(self.server_port);
        }
        if columns.has("client_address") {
            rows.opt_text(self.client_address);
        }
        if columns.has("network_protocol_version") {
            rows.opt_text(self.network_protocol_version);
        }
        rows.phase(self.of.phase);
        rows.opt_boolean(self.is_root_cause_service());
        rows.opt_boolean(self.touches_root_cause());
        rows.opt_text(self.service_instance_id);
        rows.end();
    }
}

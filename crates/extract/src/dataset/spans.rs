//! The table of spans.

use super::said::{
    Labelled, Said, anomaly_columns, backing_columns, phase_columns, provenance_columns,
};
use super::table::{Column, Kind, NEVER, Table, Value};
use super::unusual::OfSpan;

/// Every span.
#[derive(Debug)]
pub(crate) struct Spans;

/// Columns that can be left out: those that hold what was observed, neither where and when nor
/// labels.
pub(crate) const FEATURES: [&str; 12] = [
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
    "service_instance_id",
];

/// One span with all that its row needs; times in Unix nanoseconds.
#[derive(Debug)]
pub(crate) struct SpanRow<'a> {
    pub(crate) start_ns: Option<i64>,
    pub(crate) end_ns: Option<i64>,
    pub(crate) service_name: &'a str,
    /// 0: none.
    pub(crate) trace_id: u128,
    /// 0: none.
    pub(crate) span_id: u64,
    /// 0: none.
    pub(crate) parent_span_id: u64,
    pub(crate) name: &'a str,
    pub(crate) kind: u8,
    pub(crate) status: u8,
    pub(crate) http_method: Option<&'a str>,
    pub(crate) http_status_code: Option<i32>,
    pub(crate) http_target: Option<&'a str>,
    pub(crate) server_address: Option<&'a str>,
    pub(crate) server_port: Option<i32>,
    pub(crate) client_address: Option<&'a str>,
    pub(crate) network_protocol_version: Option<&'a str>,
    pub(crate) service_instance_id: Option<&'a str>,
    pub(crate) said: Said<'a>,
    /// Its trace has a span of a service that a fault is in.
    pub(crate) touches_root_cause: bool,
    /// The scenario that sent its trace.
    pub(crate) sent_by: Option<&'a str>,
    /// It began long after its request had ended.
    pub(crate) late: bool,
    pub(crate) unusual: OfSpan,
}

impl SpanRow<'_> {
    fn duration_ns(&self) -> Option<i64> {
        Some(self.end_ns? - self.start_ns?)
    }
}

impl Labelled for SpanRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        self.service_name
    }
}

impl Table for Spans {
    type Row<'a> = SpanRow<'a>;

    const NAME: &'static str = "traces_labeled";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let mut columns = vec![
            new(
                "timestamp",
                Kind::Timestamp,
                "start of the span, RFC 3339",
                "no start time",
                |r| Value::opt_int(r.start_ns),
            ),
            new(
                "start_time_ns",
                Kind::UnixNanos,
                "start, Unix ns",
                "no start time",
                |r| Value::opt_int(r.start_ns),
            ),
            new(
                "end_time_ns",
                Kind::UnixNanos,
                "end, Unix ns",
                "no end time",
                |r| Value::opt_int(r.end_ns),
            ),
            new(
                "duration_ns",
                Kind::Nanos,
                "end minus start, ns; negative where a clock went back",
                "start or end missing",
                |r| Value::opt_int(r.duration_ns()),
            ),
            new(
                "duration_ms",
                Kind::Milliseconds,
                "the same in ms; in CSV exact, with one to six decimals",
                "start or end missing",
                |r| Value::opt_int(r.duration_ns()),
            ),
            new(
                "service_name",
                Kind::Text,
                "`service.name` of the resource; `unknown_service` if it has none",
                NEVER,
                |r| Value::text(r.service_name),
            ),
            new(
                "trace_id",
                Kind::TraceId,
                "32 lower-case hexadecimal digits",
                "no id",
                |r| trace_id(r.trace_id),
            ),
            new(
                "span_id",
                Kind::SpanId,
                "16 lower-case hexadecimal digits",
                "no id",
                |r| span_id(r.span_id),
            ),
            new(
                "parent_span_id",
                Kind::SpanId,
                "16 lower-case hexadecimal digits",
                "root span",
                |r| span_id(r.parent_span_id),
            ),
            new("span_name", Kind::Text, "name of the span", NEVER, |r| {
                Value::text(r.name)
            }),
            new(
                "span_kind",
                Kind::Int32,
                "OTLP's number: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, \
                 5 consumer",
                NEVER,
                |r| Value::count(r.kind),
            ),
            new(
                "http_method",
                Kind::Text,
                "see below",
                "not an HTTP span",
                |r| Value::opt_text(r.http_method),
            ),
            new(
                "http_status_code",
                Kind::Int32,
                "see below",
                "no answer, or not an HTTP span",
                |r| Value::opt_int(r.http_status_code.map(i64::from)),
            ),
            new(
                "http_target",
                Kind::Text,
                "path and query, see below",
                "not an HTTP span",
                |r| Value::opt_text(r.http_target),
            ),
        ];
        columns.extend(anomaly_columns());
        columns.push(new(
            "span_status",
            Kind::Int32,
            "0 unset, 1 ok, 2 error",
            NEVER,
            |r| Value::count(r.status),
        ));
        columns.extend(provenance_columns());
        columns.extend([
            new(
                "server_address",
                Kind::Text,
                "name or address of the side that answers",
                "not known",
                |r| Value::opt_text(r.server_address),
            ),
            new("server_port", Kind::Int32, "its port", "not known", |r| {
                Value::opt_int(r.server_port.map(i64::from))
            }),
            new(
                "client_address",
                Kind::Text,
                "address of the side that asks",
                "not known",
                |r| Value::opt_text(r.client_address),
            ),
            new(
                "network_protocol_version",
                Kind::Text,
                "such as `1.1`",
                "not known",
                |r| Value::opt_text(r.network_protocol_version),
            ),
        ]);
        columns.extend(phase_columns());
        columns.extend([
            new(
                "touches_root_cause",
                Kind::Boolean,
                "whether its trace has a span of a service that a fault is in",
                "no fault is in a service that is named",
                |r| {
                    let named = !r.said.label.services.is_empty();
                    Value::opt_boolean(named.then_some(r.touches_root_cause))
                },
            ),
            new(
                "service_instance_id",
                Kind::Text,
                "`service.instance.id` of the resource",
                "none sent",
                |r| Value::opt_text(r.service_instance_id),
            ),
            new(
                "sent_by",
                Kind::Text,
                "the scenario that sent its trace, by the ledger",
                "not in the ledger",
                |r| Value::opt_text(r.sent_by),
            ),
            new(
                "late",
                Kind::Boolean,
                "whether it began more than 5 s after its request had ended, see below",
                NEVER,
                |r| Value::Boolean(r.late),
            ),
        ]);
        columns.extend(backing_columns());
        columns.extend([
            new(
                "span_anomaly",
                Kind::Text,
                "`none`, or what is unusual for its operation: `latency`, `error`, `structure`, \
                 several joined by `+`, see below",
                "too few normal spans of its operation, late, or not of the run",
                |r| Value::opt_text(r.unusual.anomaly()),
            ),
            new(
                "is_root_cause_span",
                Kind::Boolean,
                "whether what is unusual begins in this span, in a service that a fault is in or \
                 on a call of it, see below",
                "label unknown, no service is named, or `span_anomaly` is not known",
                |r| Value::opt_boolean(r.unusual.is_root_cause),
            ),
        ]);
        columns
    }
}

pub(super) fn trace_id(id: u128) -> Value<'static> {
    match id {
        0 => Value::Null,
        id => Value::TraceId(id),
    }
}

pub(super) fn span_id(id: u64) -> Value<'static> {
    match id {
        0 => Value::Null,
        id => Value::SpanId(id),
    }
}

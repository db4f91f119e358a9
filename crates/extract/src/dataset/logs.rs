//! The table of log records.

use super::points::{Origin, Sent, origin_columns};
use super::said::{
    Labelled, Said, anomaly_columns, backing_columns, phase_columns, provenance_columns,
};
use super::spans::{span_id, trace_id};
use super::table::{Column, Kind, NEVER, Table, Value};

/// Every log record.
#[derive(Debug)]
pub(crate) struct Logs;

/// One log record; times in Unix nanoseconds.
#[derive(Debug)]
pub(crate) struct LogRow<'a> {
    pub(crate) time_ns: Option<i64>,
    pub(crate) observed_ns: Option<i64>,
    /// 0: not sent.
    pub(crate) severity_number: i32,
    pub(crate) severity_text: &'a str,
    pub(crate) service_name: &'a str,
    pub(crate) body: Option<&'a str>,
    /// 0: none.
    pub(crate) trace_id: u128,
    /// 0: none.
    pub(crate) span_id: u64,
    pub(crate) event_name: &'a str,
    pub(crate) scope_name: &'a str,
    pub(crate) attributes: &'a str,
    pub(crate) origin: Origin<'a>,
    pub(crate) said: Said<'a>,
    /// The scenario that sent its trace.
    pub(crate) sent_by: Option<&'a str>,
}

impl Labelled for LogRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        self.service_name
    }
}

impl Sent for LogRow<'_> {
    fn origin(&self) -> &Origin<'_> {
        &self.origin
    }
}

impl Table for Logs {
    type Row<'a> = LogRow<'a>;

    const NAME: &'static str = "logs_labeled";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let mut columns = vec![
            new(
                "timestamp",
                Kind::Timestamp,
                "time of the record, or where it has none the time at which it was observed, \
                 RFC 3339",
                "neither sent",
                |r| Value::opt_int(r.time_ns),
            ),
            new(
                "time_ns",
                Kind::UnixNanos,
                "the same, Unix ns",
                "neither sent",
                |r| Value::opt_int(r.time_ns),
            ),
            new(
                "observed_time_ns",
                Kind::UnixNanos,
                "when a collector or SDK saw it, Unix ns",
                "not sent",
                |r| Value::opt_int(r.observed_ns),
            ),
            new(
                "severity_number",
                Kind::Int32,
                "OTLP's number, 1 to 24 (9 info, 13 warn, 17 error)",
                "not sent",
                |r| Value::opt_int(Some(i64::from(r.severity_number)).filter(|n| *n != 0)),
            ),
            new("severity_text", Kind::Text, "as sent", "not sent", |r| {
                sent(r.severity_text)
            }),
            new("service_name", Kind::Text, "as for spans", NEVER, |r| {
                Value::text(r.service_name)
            }),
            new(
                "body",
                Kind::Text,
                "text as it is; a structured body as JSON",
                "no body",
                |r| Value::opt_text(r.body),
            ),
            new(
                "trace_id",
                Kind::TraceId,
                "as for spans",
                "no trace context",
                |r| trace_id(r.trace_id),
            ),
            new(
                "span_id",
                Kind::SpanId,
                "as for spans",
                "no trace context",
                |r| span_id(r.span_id),
            ),
            new(
                "event_name",
                Kind::Text,
                "name of the event",
                "not an event",
                |r| sent(r.event_name),
            ),
            new("scope_name", Kind::Text, "the logger", "none sent", |r| {
                sent(r.scope_name)
            }),
            new(
                "attributes",
                Kind::Json,
                "JSON object, keys sorted",
                NEVER,
                |r| Value::text(r.attributes),
            ),
        ];
        columns.extend(origin_columns());
        columns.extend(anomaly_columns());
        columns.extend(provenance_columns());
        columns.extend(phase_columns());
        columns.push(new(
            "sent_by",
            Kind::Text,
            "the scenario that sent its trace, by the ledger",
            "no trace, or not in the ledger",
            |r| Value::opt_text(r.sent_by),
        ));
        columns.extend(backing_columns());
        columns
    }
}

/// Text that is empty where nothing was sent.
fn sent(text: &str) -> Value<'_> {
    Value::opt_text(Some(text).filter(|text| !text.is_empty()))
}

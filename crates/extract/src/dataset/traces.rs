//! The table of traces.

use super::said::{
    Labelled, Said, anomaly_columns, backing_columns, phase_columns, provenance_columns,
};
use super::spans::trace_id;
use super::table::{Column, Kind, NEVER, Table, Value};

/// Every trace.
#[derive(Debug)]
pub(crate) struct Traces;

/// One trace; times in Unix nanoseconds. Spans that are late count in `late_spans` alone.
#[derive(Debug)]
pub(crate) struct TraceRow<'a> {
    /// 0: none.
    pub(crate) trace_id: u128,
    pub(crate) start_ns: Option<i64>,
    pub(crate) duration_ns: i64,
    pub(crate) root_service: &'a str,
    pub(crate) root_span_name: &'a str,
    pub(crate) has_root: bool,
    /// Sorted, each once, `;` between them.
    pub(crate) services: &'a str,
    pub(crate) service_count: u32,
    pub(crate) depth: u32,
    pub(crate) spans: u32,
    pub(crate) error_spans: u32,
    pub(crate) orphan_spans: u32,
    pub(crate) duplicate_spans: u32,
    pub(crate) late_spans: u32,
    pub(crate) said: Said<'a>,
    pub(crate) touches_root_cause: bool,
    pub(crate) sent_by: Option<&'a str>,
    /// Its client is one that the fault is for.
    pub(crate) client_exposed: Option<bool>,
}

impl Labelled for TraceRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        self.services
    }
}

impl Table for Traces {
    type Row<'a> = TraceRow<'a>;

    const NAME: &'static str = "trace_labels";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let mut columns = vec![
            new(
                "trace_id",
                Kind::TraceId,
                "32 lower-case hexadecimal digits",
                "no id",
                |r| trace_id(r.trace_id),
            ),
            new(
                "timestamp",
                Kind::Timestamp,
                "start of the root, or of the earliest span, RFC 3339",
                "no start time",
                |r| Value::opt_int(r.start_ns),
            ),
            new(
                "start_time_ns",
                Kind::UnixNanos,
                "the same, Unix ns",
                "no start time",
                |r| Value::opt_int(r.start_ns),
            ),
            new(
                "duration_ns",
                Kind::Nanos,
                "from there to the latest end, ns",
                "no start time",
                |r| Value::opt_int(r.start_ns.map(|_| r.duration_ns)),
            ),
            new(
                "root_service",
                Kind::Text,
                "service of the root",
                NEVER,
                |r| Value::text(r.root_service),
            ),
            new(
                "root_span_name",
                Kind::Text,
                "name of the root",
                NEVER,
                |r| Value::text(r.root_span_name),
            ),
            new(
                "has_root",
                Kind::Boolean,
                "whether a span without a parent arrived",
                NEVER,
                |r| Value::Boolean(r.has_root),
            ),
            new(
                "services",
                Kind::Text,
                "names, sorted, `;` between them",
                NEVER,
                |r| Value::text(r.services),
            ),
            new(
                "service_count",
                Kind::Int32,
                "how many services",
                NEVER,
                |r| Value::count(r.service_count),
            ),
            new(
                "depth",
                Kind::Int32,
                "spans on the longest chain",
                NEVER,
                |r| Value::count(r.depth),
            ),
            new(
                "spans",
                Kind::Int32,
                "spans, each once, without late ones",
                NEVER,
                |r| Value::count(r.spans),
            ),
            new(
                "error_spans",
                Kind::Int32,
                "of these with status error",
                NEVER,
                |r| Value::count(r.error_spans),
            ),
            new(
                "orphan_spans",
                Kind::Int32,
                "of these whose parent is not there",
                NEVER,
                |r| Value::count(r.orphan_spans),
            ),
            new(
                "duplicate_spans",
                Kind::Int32,
                "copies beyond the first",
                NEVER,
                |r| Value::count(r.duplicate_spans),
            ),
        ];
        columns.extend(anomaly_columns());
        columns.extend(provenance_columns());
        // The root's service has no meaning of its own for a trace.
        columns.extend(phase_columns().into_iter().filter(|c| c.name == "phase"));
        columns.extend([
            new(
                "touches_root_cause",
                Kind::Boolean,
                "whether it has a span of a service that a fault is in",
                "no fault is in a service that is named",
                |r| {
                    let named = !r.said.label.services.is_empty();
                    Value::opt_boolean(named.then_some(r.touches_root_cause))
                },
            ),
            new(
                "sent_by",
                Kind::Text,
                "the scenario that sent it, by the ledger",
                "not in the ledger",
                |r| Value::opt_text(r.sent_by),
            ),
            new(
                "client_exposed",
                Kind::Boolean,
                "whether the client that sent it is one that the faults in force are for",
                "none of them is for some clients only, or not in the ledger",
                |r| Value::opt_boolean(r.client_exposed),
            ),
            new(
                "late_spans",
                Kind::Int32,
                "spans that began long after its end",
                NEVER,
                |r| Value::count(r.late_spans),
            ),
        ]);
        columns.extend(backing_columns());
        columns
    }
}

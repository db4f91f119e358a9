//! The table of traces with what their shape says.

use super::said::{
    Labelled, Said, anomaly_columns, backing_columns, phase_columns, provenance_columns,
};
use super::spans::trace_id;
use super::table::{Column, Kind, NEVER, Table, Value};

/// Every trace that has a span that is not late.
#[derive(Debug)]
pub(crate) struct TraceFeatures;

/// One trace; times in Unix nanoseconds. Late spans and copies don't count.
#[derive(Debug)]
pub(crate) struct TraceFeatureRow<'a> {
    /// 0: none.
    pub(crate) trace_id: u128,
    pub(crate) start_ns: Option<i64>,
    pub(crate) duration_ns: Option<i64>,
    pub(crate) root_service: &'a str,
    pub(crate) root_name: &'a str,
    pub(crate) span_count: u32,
    pub(crate) depth: u32,
    pub(crate) width: u32,
    /// Sorted, each once.
    pub(crate) services: Vec<&'a str>,
    pub(crate) services_joined: String,
    pub(crate) error_count: u32,
    pub(crate) orphan_count: u32,
    /// JSON.
    pub(crate) critical_path_ms: String,
    /// JSON.
    pub(crate) self_time_ms: String,
    pub(crate) critical_service: Option<&'a str>,
    pub(crate) said: Said<'a>,
    /// Names of all its services, `;` between them, as `trace_labels` has them.
    pub(crate) labelled_services: &'a str,
    pub(crate) touches_root_cause: bool,
    pub(crate) sent_by: Option<&'a str>,
}

impl Labelled for TraceFeatureRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        self.labelled_services
    }
}

impl Table for TraceFeatures {
    type Row<'a> = TraceFeatureRow<'a>;

    const NAME: &'static str = "trace_features";

    fn columns() -> Vec<Column<Self>> {
        let mut columns = shape_columns();
        columns.extend(time_columns());
        columns.extend(anomaly_columns());
        columns.extend(provenance_columns());
        columns.extend(phase_columns().into_iter().filter(|c| c.name == "phase"));
        columns.push(Column::new(
            "touches_root_cause",
            Kind::Boolean,
            "whether it has a span of a service that a fault is in",
            "no fault is in a service that is named",
            |r| {
                let named = !r.said.label.services.is_empty();
                Value::opt_boolean(named.then_some(r.touches_root_cause))
            },
        ));
        columns.push(Column::new(
            "sent_by",
            Kind::Text,
            "the scenario that sent it, by the ledger",
            "not in the ledger",
            |r| Value::opt_text(r.sent_by),
        ));
        columns.extend(backing_columns());
        columns
    }
}

fn shape_columns() -> Vec<Column<TraceFeatures>> {
    let new = Column::<TraceFeatures>::new;
    vec![
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
            "start of its first span, RFC 3339",
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
            "from there to its last end, ns",
            "no start or end time",
            |r| Value::opt_int(r.duration_ns),
        ),
        new(
            "duration_ms",
            Kind::Milliseconds,
            "the same in ms",
            "no start or end time",
            |r| Value::opt_int(r.duration_ns),
        ),
        new(
            "root_service",
            Kind::Text,
            "service of the root, as in `trace_labels`",
            NEVER,
            |r| Value::text(r.root_service),
        ),
        new("root_name", Kind::Text, "name of the root", NEVER, |r| {
            Value::text(r.root_name)
        }),
        new(
            "span_count",
            Kind::Int32,
            "spans, each once, without late ones",
            NEVER,
            |r| Value::count(r.span_count),
        ),
        new(
            "depth",
            Kind::Int32,
            "spans on the longest chain",
            NEVER,
            |r| Value::count(r.depth),
        ),
        new(
            "width",
            Kind::Int32,
            "most spans that are equally far from the top",
            NEVER,
            |r| Value::count(r.width),
        ),
        new(
            "service_count",
            Kind::Int32,
            "how many services",
            NEVER,
            |r| Value::count(r.services.len()),
        ),
        new(
            "services",
            Kind::Text,
            "their names, sorted, `+` between them",
            NEVER,
            |r| Value::text(&r.services_joined),
        ),
        new(
            "service_names",
            Kind::Texts,
            "the same, each by itself",
            NEVER,
            |r| Value::Texts(r.services.clone()),
        ),
    ]
}

fn time_columns() -> Vec<Column<TraceFeatures>> {
    let new = Column::<TraceFeatures>::new;
    vec![
        new(
            "error_count",
            Kind::Int32,
            "spans with status error",
            NEVER,
            |r| Value::count(r.error_count),
        ),
        new(
            "orphan_count",
            Kind::Int32,
            "spans whose parent is not there",
            NEVER,
            |r| Value::count(r.orphan_count),
        ),
        new(
            "critical_path_ms",
            Kind::Json,
            "for how much of the root's duration each service stands, ms: an object, services sorted",
            NEVER,
            |r| Value::text(&r.critical_path_ms),
        ),
        new(
            "self_time_ms",
            Kind::Json,
            "what each service did itself, ms: of each span the part that no child covers",
            NEVER,
            |r| Value::text(&r.self_time_ms),
        ),
        new(
            "critical_service",
            Kind::Text,
            "the service with the most of the critical path, of several the first by name",
            "the root has no duration",
            |r| Value::opt_text(r.critical_service),
        ),
    ]
}

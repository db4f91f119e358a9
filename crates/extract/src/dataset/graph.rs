//! The tables of the graph of calls: its edges and its nodes, window by window.

use super::table::{Column, Kind, NEVER, Table, Value};

/// Every caller and callee in every window.
#[derive(Debug)]
pub(crate) struct GraphEdges;

/// Every node in every window.
#[derive(Debug)]
pub(crate) struct GraphNodes;

/// The window that a row is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfWindow<'a> {
    pub(crate) number: usize,
    pub(crate) scenario: &'a str,
    pub(crate) anomaly_type: &'a str,
}

/// How calls went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Went {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    /// Median, 95th and 99th percentile of durations, in nanoseconds.
    pub(crate) quantiles_ns: [Option<i64>; 3],
}

impl Went {
    fn error_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| self.errors as f64 / self.count as f64)
    }
}

/// Calls of one service by another in a window.
#[derive(Debug)]
pub(crate) struct EdgeRow<'a> {
    pub(crate) window: OfWindow<'a>,
    pub(crate) caller: &'a str,
    pub(crate) callee: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) went: Went,
}

/// A node in a window.
#[derive(Debug)]
pub(crate) struct NodeRow<'a> {
    pub(crate) window: OfWindow<'a>,
    pub(crate) service: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) went: Went,
    /// Calls a second of steady time.
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) is_root_cause: bool,
    pub(crate) service_affected: Option<bool>,
    pub(crate) onset_s: Option<f64>,
}

trait Row {
    fn window(&self) -> &OfWindow<'_>;
    fn went(&self) -> &Went;
}

impl Row for EdgeRow<'_> {
    fn window(&self) -> &OfWindow<'_> {
        &self.window
    }

    fn went(&self) -> &Went {
        &self.went
    }
}

impl Row for NodeRow<'_> {
    fn window(&self) -> &OfWindow<'_> {
        &self.window
    }

    fn went(&self) -> &Went {
        &self.went
    }
}

fn window_columns<T: Table>() -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Row,
{
    vec![
        Column::new(
            "window",
            Kind::Int64,
            "number of the window, as in `windows`",
            NEVER,
            |r| Value::count(r.window().number),
        ),
        Column::new("scenario", Kind::Text, "its scenario", NEVER, |r| {
            Value::text(r.window().scenario)
        }),
        Column::new(
            "anomaly_type",
            Kind::Text,
            "what it is labelled with",
            NEVER,
            |r| Value::text(r.window().anomaly_type),
        ),
    ]
}

fn went_columns<T: Table>(count: &'static str, none: &'static str) -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Row,
{
    vec![
        Column::new("count", Kind::Int64, count, NEVER, |r| {
            Value::count(r.went().count)
        }),
        Column::new(
            "errors",
            Kind::Int64,
            "of these with status error",
            NEVER,
            |r| Value::count(r.went().errors),
        ),
        Column::new("error_rate", Kind::Double, "their share", none, |r| {
            Value::opt_double(r.went().error_rate())
        }),
        Column::new(
            "p50_ms",
            Kind::Milliseconds,
            "median of their durations, ms, right to 0.05 %",
            none,
            |r| Value::opt_int(r.went().quantiles_ns[0]),
        ),
        Column::new(
            "p95_ms",
            Kind::Milliseconds,
            "95th percentile, likewise",
            none,
            |r| Value::opt_int(r.went().quantiles_ns[1]),
        ),
        Column::new(
            "p99_ms",
            Kind::Milliseconds,
            "99th percentile, likewise",
            none,
            |r| Value::opt_int(r.went().quantiles_ns[2]),
        ),
    ]
}

impl Table for GraphEdges {
    type Row<'a> = EdgeRow<'a>;

    const NAME: &'static str = "graph_edges";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let mut columns = window_columns();
        columns.extend([
            new("caller", Kind::Text, "service that calls", NEVER, |r| {
                Value::text(r.caller)
            }),
            new(
                "callee",
                Kind::Text,
                "service, or other node, that is called",
                NEVER,
                |r| Value::text(r.callee),
            ),
            new(
                "kind",
                Kind::Text,
                "`http`, `rpc`, `db`, `messaging` or `other`",
                NEVER,
                |r| Value::text(r.kind),
            ),
        ]);
        columns.extend(went_columns("calls", "no call has a duration"));
        columns
    }
}

impl Table for GraphNodes {
    type Row<'a> = NodeRow<'a>;

    const NAME: &'static str = "graph_nodes";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let mut columns = window_columns();
        columns.extend([
            new(
                "service_name",
                Kind::Text,
                "the service, database, broker or peer",
                NEVER,
                |r| Value::text(r.service),
            ),
            new(
                "node_kind",
                Kind::Text,
                "`service`, `database`, `broker` or `external`",
                NEVER,
                |r| Value::text(r.kind),
            ),
        ]);
        columns.extend(went_columns(
            "calls into it: entries of traces into a service, calls to what sends no spans",
            "no calls",
        ));
        columns.extend([
            new(
                "rate_per_s",
                Kind::Double,
                "calls into it a second of the window's steady time",
                "the window has no steady time",
                |r| Value::opt_double(r.rate_per_s),
            ),
            new(
                "is_root_cause",
                Kind::Boolean,
                "whether the window's fault is in it",
                NEVER,
                |r| Value::Boolean(r.is_root_cause),
            ),
            new(
                "service_affected",
                Kind::Boolean,
                "whether it shifted in the window, by the evidence",
                "nothing was compared",
                |r| Value::opt_boolean(r.service_affected),
            ),
            new(
                "onset_s",
                Kind::Double,
                "when it shifted, s after the fault was confirmed, by the evidence",
                "not affected, or single requests don't show it",
                |r| Value::opt_double(r.onset_s),
            ),
        ]);
        columns
    }
}

//! The table of data points of metrics.

use super::said::{
    Labelled, Said, anomaly_columns, backing_columns, phase_columns, provenance_columns,
};
use super::table::{Column, Kind, NEVER, Table, Value};

/// Every data point of every metric.
#[derive(Debug)]
pub(crate) struct Points;

/// One data point; times in Unix nanoseconds.
#[derive(Debug)]
pub(crate) struct PointRow<'a> {
    pub(crate) time_ns: Option<i64>,
    pub(crate) start_ns: Option<i64>,
    pub(crate) service_name: &'a str,
    pub(crate) metric_name: &'a str,
    pub(crate) metric_type: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) int_value: Option<i64>,
    pub(crate) double_value: Option<f64>,
    pub(crate) count: Option<i64>,
    pub(crate) sum: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) buckets: Option<&'a str>,
    pub(crate) temporality: Option<&'a str>,
    pub(crate) monotonic: Option<bool>,
    pub(crate) attributes: &'a str,
    pub(crate) scope_name: &'a str,
    pub(crate) origin: Origin<'a>,
    pub(crate) said: Said<'a>,
    pub(crate) interval_start_ns: Option<i64>,
    pub(crate) increase: Option<f64>,
}

/// Who sent a thing, beside the service's name.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin<'a> {
    pub(crate) service_instance_id: Option<&'a str>,
    pub(crate) host_name: Option<&'a str>,
    pub(crate) container_name: Option<&'a str>,
    pub(crate) k8s_pod_name: Option<&'a str>,
}

/// A row that says who sent it.
pub(crate) trait Sent {
    fn origin(&self) -> &Origin<'_>;
}

impl Labelled for PointRow<'_> {
    fn said(&self) -> &Said<'_> {
        &self.said
    }

    fn service(&self) -> &str {
        self.service_name
    }
}

impl Sent for PointRow<'_> {
    fn origin(&self) -> &Origin<'_> {
        &self.origin
    }
}

/// The four columns of the resource beside the service's name.
pub(super) fn origin_columns<T: Table>() -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Sent,
{
    let none = "none sent";
    vec![
        Column::new(
            "service_instance_id",
            Kind::Text,
            "`service.instance.id`",
            none,
            |r| Value::opt_text(r.origin().service_instance_id),
        ),
        Column::new("host_name", Kind::Text, "`host.name`", none, |r| {
            Value::opt_text(r.origin().host_name)
        }),
        Column::new(
            "container_name",
            Kind::Text,
            "`container.name` or `k8s.container.name`",
            none,
            |r| Value::opt_text(r.origin().container_name),
        ),
        Column::new("k8s_pod_name", Kind::Text, "`k8s.pod.name`", none, |r| {
            Value::opt_text(r.origin().k8s_pod_name)
        }),
    ]
}

impl Table for Points {
    type Row<'a> = PointRow<'a>;

    const NAME: &'static str = "metrics_labeled";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let not_sent = "not sent; no recorded value";
        let mut columns = vec![
            new(
                "timestamp",
                Kind::Timestamp,
                "time of the point, RFC 3339",
                "no time",
                |r| Value::opt_int(r.time_ns),
            ),
            new(
                "time_ns",
                Kind::UnixNanos,
                "the same, Unix ns",
                "no time",
                |r| Value::opt_int(r.time_ns),
            ),
            new(
                "start_time_ns",
                Kind::UnixNanos,
                "`startTimeUnixNano` as sent, Unix ns",
                "not sent",
                |r| Value::opt_int(r.start_ns),
            ),
            new("service_name", Kind::Text, "as for spans", NEVER, |r| {
                Value::text(r.service_name)
            }),
            new(
                "metric_name",
                Kind::Text,
                "name of the metric",
                NEVER,
                |r| Value::text(r.metric_name),
            ),
            new(
                "metric_type",
                Kind::Text,
                "`gauge`, `sum`, `histogram`, `exponential_histogram`, `summary`",
                NEVER,
                |r| Value::text(r.metric_type),
            ),
            new("unit", Kind::Text, "UCUM unit as sent", NEVER, |r| {
                Value::text(r.unit)
            }),
            new(
                "value",
                Kind::Double,
                "value of a gauge or a sum, in `unit`; in CSV an integer or a double (`NaN`, \
                 `Infinity`, `-Infinity` possible)",
                "other kinds; no recorded value",
                |r| match r.int_value {
                    Some(value) => Value::Int(value),
                    None => Value::opt_double(r.double_value),
                },
            ),
            new(
                "count",
                Kind::Int64,
                "number of measurements in a histogram or summary",
                "gauges, sums; no recorded value",
                |r| Value::opt_int(r.count),
            ),
            new(
                "sum",
                Kind::Double,
                "of these measurements, in `unit`",
                not_sent,
                |r| Value::opt_double(r.sum),
            ),
            new("min", Kind::Double, "the least of them", not_sent, |r| {
                Value::opt_double(r.min)
            }),
            new("max", Kind::Double, "the largest of them", not_sent, |r| {
                Value::opt_double(r.max)
            }),
            new(
                "buckets",
                Kind::Json,
                "see below",
                "gauges, sums; no recorded value",
                |r| Value::opt_text(r.buckets),
            ),
            new(
                "temporality",
                Kind::Text,
                "`delta` (since the point before) or `cumulative` (since `start_time_ns`)",
                "gauges, summaries",
                |r| Value::opt_text(r.temporality),
            ),
            new(
                "monotonic",
                Kind::Boolean,
                "whether a sum only grows",
                "other kinds",
                |r| Value::opt_boolean(r.monotonic),
            ),
            new(
                "attributes",
                Kind::Json,
                "attributes of the point as a JSON object, keys sorted",
                NEVER,
                |r| Value::text(r.attributes),
            ),
            new(
                "scope_name",
                Kind::Text,
                "the instrumentation that measured it",
                NEVER,
                |r| Value::text(r.scope_name),
            ),
        ];
        columns.extend(origin_columns());
        columns.extend(anomaly_columns());
        columns.extend(provenance_columns());
        columns.extend(phase_columns());
        columns.extend([
            new(
                "interval_start_ns",
                Kind::UnixNanos,
                "start of the time that the point speaks of, Unix ns; it ends at `time_ns`",
                "no time",
                |r| Value::opt_int(r.interval_start_ns),
            ),
            new(
                "increase",
                Kind::Double,
                "growth in that time: of the value of a sum, of `count` of a histogram or summary",
                "gauges; the first point of a cumulative series; no recorded value",
                |r| Value::opt_double(r.increase),
            ),
        ]);
        columns.extend(backing_columns());
        columns
    }
}

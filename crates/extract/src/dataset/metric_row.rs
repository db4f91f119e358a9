//! Data points of metrics as rows: one a point, whichever of the five kinds it is.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::csv_row::CsvRows;
use crate::join::interval::Kind;
use crate::join::label::{Label, LabelSource};
use crate::join::phase::Phase;
use crate::telemetry::attribute::{AsObject, JsonDouble, KeyValue};
use crate::telemetry::metric::{
    ExponentialBuckets, ExponentialPoint, HistogramPoint, Metric, NO_RECORDED_VALUE, NumberPoint,
    Points, SummaryPoint,
};
use crate::telemetry::resource::ResourceAttributes;
use crate::telemetry::scalar::{Double, UnixNanos, Unsigned};

/// Columns of the file of metrics, in this order.
pub(crate) const COLUMNS: [&str; 32] = [
    "timestamp",
    "time_ns",
    "start_time_ns",
    "service_name",
    "metric_name",
    "metric_type",
    "unit",
    "value",
    "count",
    "sum",
    "min",
    "max",
    "buckets",
    "temporality",
    "monotonic",
    "attributes",
    "scope_name",
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
    "interval_start_ns",
    "increase",
];

/// Where a metric comes from.
pub(crate) struct MetricRows<'a> {
    pub(crate) resource: &'a ResourceAttributes<'a>,
    pub(crate) scope_name: &'a str,
}

/// What the join says of a point: the start of its interval, Unix nanoseconds, and its growth
/// there.
pub(crate) struct OfPoint<'a> {
    pub(crate) label: &'a Label,
    pub(crate) source: LabelSource,
    pub(crate) phase: Phase,
    pub(crate) interval_start: Option<i64>,
    pub(crate) increase: Option<f64>,
}

/// What distinguishes one kind of point from another in a row.
#[derive(Default)]
pub(crate) struct PointRow<'a> {
    pub(crate) metric_type: &'static str,
    pub(crate) time: UnixNanos,
    pub(crate) start: UnixNanos,
    flags: Unsigned,
    pub(crate) attributes: &'a [KeyValue<'a>],
    value: Value,
    count: Option<u64>,
    sum: Option<Double>,
    min: Option<Double>,
    max: Option<Double>,
    buckets: Option<Buckets<'a>>,
    temporality: Option<&'static str>,
    monotonic: Option<bool>,
}

#[derive(Default)]
enum Value {
    #[default]
    None,
    Int(i64),
    Double(f64),
}

enum Buckets<'a> {
    Explicit(&'a HistogramPoint<'a>),
    Exponential(&'a ExponentialPoint<'a>),
    Quantiles(&'a SummaryPoint<'a>),
}

impl PointRow<'_> {
    /// What a series of such points adds up: the value of a sum, the count of a histogram or a
    /// summary.
    pub(crate) fn total(&self) -> f64 {
        match (&self.value, self.count) {
            _ if !self.is_recorded() => f64::NAN,
            (Value::Int(value), _) => *value as f64,
            (Value::Double(value), _) => *value,
            (Value::None, Some(count)) => count as f64,
            (Value::None, None) => f64::NAN,
        }
    }

    /// What its value means for the time that it speaks of.
    pub(crate) fn kind(&self) -> Kind {
        match (self.temporality, self.monotonic) {
            (Some("delta"), _) => Kind::Delta,
            (Some(_), Some(false)) => Kind::Cumulative,
            (Some(_), _) => Kind::Monotonic,
            // A summary has no temporality; its count is that since its start.
            (None, _) if self.metric_type == "summary" => Kind::Monotonic,
            (None, _) => Kind::Moment,
        }
    }

    fn is_recorded(&self) -> bool {
        self.flags.0 & NO_RECORDED_VALUE == 0
    }
}

/// Calls `each` with all points of a metric, in an order that is always the same.
pub(crate) fn for_each_point<'m>(metric: &'m Metric<'m>, mut each: impl FnMut(PointRow<'m>)) {
    for point in points(&metric.gauge) {
        each(number("gauge", point));
    }
    if let Some(sum) = &metric.sum {
        for point in &sum.data_points {
            each(PointRow {
                monotonic: Some(sum.is_monotonic.0),
                temporality: temporality(sum),
                ..number("sum", point)
            });
        }
    }
    if let Some(histogram) = &metric.histogram {
        for point in &histogram.data_points {
            each(PointRow {
                temporality: temporality(histogram),
                ..explicit(point)
            });
        }
    }
    if let Some(histogram) = &metric.exponential_histogram {
        for point in &histogram.data_points {
            each(PointRow {
                temporality: temporality(histogram),
                ..exponential(point)
            });
        }
    }
    for point in points(&metric.summary) {
        each(quantiles(point));
    }
}

impl MetricRows<'_> {
    /// Writes one point.
    pub(crate) fn write_csv(
        &self,
        rows: &mut CsvRows,
        metric: &Metric<'_>,
        row: &PointRow<'_>,
        of: &OfPoint<'_>,
    ) {
        // Where the flag is set the numbers are zeros that mean nothing.
        let recorded = row.is_recorded();
        rows.timestamp(row.time.get());
        rows.opt_integer(row.time.get());
        rows.opt_integer(row.start.get());
        rows.text(self.resource.service_name());
        rows.text(&metric.name);
        rows.text(row.metric_type);
        rows.text(&metric.unit);
        match row.value {
            Value::Int(value) if recorded => rows.integer(value),
            Value::Double(value) if recorded => rows.double(value),
            _ => rows.null(),
        }
        rows.opt_integer(row.count.filter(|_| recorded));
        for double in [row.sum, row.min, row.max] {
            rows.opt_double(double.filter(|_| recorded).map(|v| v.0));
        }
        match &row.buckets {
            Some(buckets) if recorded => rows.json(buckets),
            _ => rows.null(),
        }
        rows.opt_text(row.temporality);
        rows.opt_boolean(row.monotonic);
        rows.json(&AsObject(row.attributes));
        rows.text(self.scope_name);
        rows.instance(self.resource);
        rows.anomaly(of.label);
        rows.provenance(of.label, of.source);
        rows.phase(of.phase);
        rows.is_root_cause_service(of.label, self.resource.service_name());
        rows.opt_integer(of.interval_start);
        rows.opt_double(of.increase.filter(|_| recorded));
        rows.end();
    }
}

fn points<P>(points: &Option<Points<P>>) -> &[P] {
    points.as_ref().map_or(&[], |points| &points.data_points)
}

fn temporality<P>(points: &Points<P>) -> Option<&'static str> {
    match points.aggregation_temporality.0 {
        1 => Some("delta"),
        2 => Some("cumulative"),
        _ => None,
    }
}

fn number<'a>(metric_type: &'static str, point: &'a NumberPoint<'a>) -> PointRow<'a> {
    PointRow {
        metric_type,
        time: point.time_unix_nano,
        start: point.start_time_unix_nano,
        flags: point.flags,
        attributes: &point.attributes,
        value: match (point.as_int, point.as_double) {
            (Some(value), _) => Value::Int(value.0),
            (None, Some(value)) => Value::Double(value.0),
            (None, None) => Value::None,
        },
        ..PointRow::default()
    }
}

fn explicit<'a>(point: &'a HistogramPoint<'a>) -> PointRow<'a> {
    PointRow {
        metric_type: "histogram",
        time: point.time_unix_nano,
        start: point.start_time_unix_nano,
        flags: point.flags,
        attributes: &point.attributes,
        count: Some(point.count.0),
        sum: point.sum,
        min: point.min,
        max: point.max,
        buckets: Some(Buckets::Explicit(point)),
        ..PointRow::default()
    }
}

fn exponential<'a>(point: &'a ExponentialPoint<'a>) -> PointRow<'a> {
    PointRow {
        metric_type: "exponential_histogram",
        time: point.time_unix_nano,
        start: point.start_time_unix_nano,
        flags: point.flags,
        attributes: &point.attributes,
        count: Some(point.count.0),
        sum: point.sum,
        min: point.min,
        max: point.max,
        buckets: Some(Buckets::Exponential(point)),
        ..PointRow::default()
    }
}

fn quantiles<'a>(point: &'a SummaryPoint<'a>) -> PointRow<'a> {
    PointRow {
        metric_type: "summary",
        time: point.time_unix_nano,
        start: point.start_time_unix_nano,
        flags: point.flags,
        attributes: &point.attributes,
        count: Some(point.count.0),
        sum: Some(point.sum),
        buckets: Some(Buckets::Quantiles(point)),
        ..PointRow::default()
    }
}

/// Compact JSON; the shapes are in `docs/dataset-format.md`.
impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Buckets::Explicit(point) => {
                let bounds: Vec<JsonDouble> = point
                    .explicit_bounds
                    .iter()
                    .map(|b| JsonDouble(b.0))
                    .collect();
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("bounds", &bounds)?;
                map.serialize_entry("counts", &counts(&point.bucket_counts))?;
                map.end()
            }
            Buckets::Exponential(point) => {
                let mut map = serializer.serialize_map(Some(5))?;
                map.serialize_entry("scale", &point.scale.0)?;
                map.serialize_entry("zero_count", &point.zero_count.0)?;
                map.serialize_entry("zero_threshold", &JsonDouble(point.zero_threshold.0))?;
                map.serialize_entry("positive", &Half(&point.positive))?;
                map.serialize_entry("negative", &Half(&point.negative))?;
                map.end()
            }
            Buckets::Quantiles(point) => {
                let quantiles: Vec<[JsonDouble; 2]> = point
                    .quantile_values
                    .iter()
                    .map(|q| [JsonDouble(q.quantile.0), JsonDouble(q.value.0)])
                    .collect();
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("quantiles", &quantiles)?;
                map.end()
            }
        }
    }
}

struct Half<'a>(&'a ExponentialBuckets);

impl Serialize for Half<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("offset", &self.0.offset.0)?;
        map.serialize_entry("counts", &counts(&self.0.bucket_counts))?;
        map.end()
    }
}

fn counts(counts: &[Unsigned]) -> Vec<u64> {
    counts.iter().map(|count| count.0).collect()
}

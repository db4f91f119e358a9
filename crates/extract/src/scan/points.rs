//! Data points of metrics: one record a point, whichever of the five kinds it is.

use std::hash::{Hash, Hasher};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use twox_hash::XxHash64;

use super::records::PointBuilder;
use crate::label::interval::Meaning;
use crate::telemetry::attribute::{AsObject, JsonDouble, KeyValue};
use crate::telemetry::log::Scope;
use crate::telemetry::metric::{
    ExponentialBuckets, ExponentialPoint, HistogramPoint, Metric, NO_RECORDED_VALUE, NumberPoint,
    Points, ResourceMetrics, SummaryPoint,
};
use crate::telemetry::resource::ResourceAttributes;
use crate::telemetry::scalar::{Double, UnixNanos, Unsigned};

impl PointBuilder {
    /// Takes the points of a message. Gives their number.
    pub(super) fn message(&mut self, data: &[ResourceMetrics<'_>]) -> u64 {
        let mut read = 0;
        for resource in data {
            let attributes = resource.resource.attributes();
            for scope in &resource.scope_metrics {
                for metric in &scope.metrics {
                    for_each_point(metric, |point| {
                        read += 1;
                        self.point(attributes, &scope.scope, metric, &point);
                    });
                }
            }
        }
        read
    }

    fn point(
        &mut self,
        resource: &ResourceAttributes<'_>,
        scope: &Scope<'_>,
        metric: &Metric<'_>,
        point: &Point<'_>,
    ) {
        // Attributes are always JSON.
        let attributes = serde_json::to_string(&AsObject(point.attributes)).unwrap_or_default();
        let mut series = XxHash64::with_seed(0);
        let names = (&*scope.name, &*scope.version, &*metric.name, &*metric.unit);
        (resource.identity, names, point.metric_type, &attributes).hash(&mut series);
        // Where the flag is set the numbers are zeros that mean nothing.
        let recorded = point.is_recorded();
        let number = |double: Option<Double>| double.filter(|_| recorded).map(|v| v.0);
        self.series.append_value(series.finish());
        self.time_ns.append_option(point.time.get());
        self.start_ns.append_option(point.start.get());
        self.meaning.append_value(point.meaning() as u8);
        self.total.append_option(point.total());
        self.service_name.append_value(resource.service_name());
        self.metric_name.append_value(&*metric.name);
        self.metric_type.append_value(point.metric_type);
        self.unit.append_value(&*metric.unit);
        self.int_value.append_option(match point.value {
            Value::Int(value) if recorded => Some(value),
            _ => None,
        });
        self.double_value.append_option(match point.value {
            Value::Double(value) if recorded => Some(value),
            _ => None,
        });
        let count = point.count.filter(|_| recorded);
        self.count
            .append_option(count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
        self.sum.append_option(number(point.sum));
        self.min.append_option(number(point.min));
        self.max.append_option(number(point.max));
        let buckets = point.buckets.as_ref().filter(|_| recorded);
        self.buckets
            .append_option(buckets.and_then(|buckets| serde_json::to_string(buckets).ok()));
        self.temporality.append_option(point.temporality);
        self.monotonic.append_option(point.monotonic);
        self.attributes.append_value(attributes);
        self.scope_name.append_value(&*scope.name);
        self.service_instance_id
            .append_option(resource.service_instance_id.as_deref());
        self.host_name.append_option(resource.host_name.as_deref());
        self.container_name
            .append_option(resource.container_name.as_deref());
        self.k8s_pod_name
            .append_option(resource.k8s_pod_name.as_deref());
    }
}

/// What distinguishes one kind of point from another in a row.
#[derive(Default)]
struct Point<'a> {
    metric_type: &'static str,
    time: UnixNanos,
    start: UnixNanos,
    flags: Unsigned,
    attributes: &'a [KeyValue<'a>],
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

impl Point<'_> {
    /// What a series of such points adds up: the value of a sum, the count of a histogram or a
    /// summary.
    fn total(&self) -> Option<f64> {
        match (&self.value, self.count) {
            _ if !self.is_recorded() => None,
            (Value::Int(value), _) => Some(*value as f64),
            (Value::Double(value), _) => Some(*value),
            (Value::None, count) => count.map(|count| count as f64),
        }
    }

    /// What its value means for the time that it speaks of.
    fn meaning(&self) -> Meaning {
        match (self.temporality, self.monotonic) {
            (Some("delta"), _) => Meaning::Delta,
            (Some(_), Some(false)) => Meaning::Cumulative,
            (Some(_), _) => Meaning::Monotonic,
            // A summary has no temporality; its count is that since its start.
            (None, _) if self.metric_type == "summary" => Meaning::Monotonic,
            (None, _) => Meaning::Moment,
        }
    }

    fn is_recorded(&self) -> bool {
        self.flags.0 & NO_RECORDED_VALUE == 0
    }
}

/// Calls `each` with all points of a metric, in an order that is always the same.
fn for_each_point<'m>(metric: &'m Metric<'m>, mut each: impl FnMut(Point<'m>)) {
    for point in points(&metric.gauge) {
        each(number("gauge", point));
    }
    if let Some(sum) = &metric.sum {
        for point in &sum.data_points {
            each(Point {
                monotonic: Some(sum.is_monotonic.0),
                temporality: temporality(sum),
                ..number("sum", point)
            });
        }
    }
    if let Some(histogram) = &metric.histogram {
        for point in &histogram.data_points {
            each(Point {
                temporality: temporality(histogram),
                ..explicit(point)
            });
        }
    }
    if let Some(histogram) = &metric.exponential_histogram {
        for point in &histogram.data_points {
            each(Point {
                temporality: temporality(histogram),
                ..exponential(point)
            });
        }
    }
    for point in points(&metric.summary) {
        each(quantiles(point));
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

fn number<'a>(metric_type: &'static str, point: &'a NumberPoint<'a>) -> Point<'a> {
    Point {
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
        ..Point::default()
    }
}

fn explicit<'a>(point: &'a HistogramPoint<'a>) -> Point<'a> {
    Point {
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
        ..Point::default()
    }
}

fn exponential<'a>(point: &'a ExponentialPoint<'a>) -> Point<'a> {
    Point {
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
        ..Point::default()
    }
}

fn quantiles<'a>(point: &'a SummaryPoint<'a>) -> Point<'a> {
    Point {
        metric_type: "summary",
        time: point.time_unix_nano,
        start: point.start_time_unix_nano,
        flags: point.flags,
        attributes: &point.attributes,
        count: Some(point.count.0),
        sum: Some(point.sum),
        buckets: Some(Buckets::Quantiles(point)),
        ..Point::default()
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

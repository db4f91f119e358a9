//! Data points of metrics: one record a point, whichever of the five kinds it is.

use std::hash::{Hash, Hasher};

use loadgen_otlp::view::{
    Buckets, Metric, MetricKind, NO_RECORDED_VALUE, PlainDouble, PlainObject, Point, Scope,
    Temporality,
};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use twox_hash::XxHash64;

use super::packed::Packed;
use super::records::PointRow;
use super::resource::ResourceAttributes;
use crate::label::interval::Meaning;

/// Adds a data point.
pub(super) fn pack(
    rows: &mut Packed,
    resource: &ResourceAttributes,
    scope: &Scope<'_>,
    metric: &Metric<'_>,
    point: &Point<'_>,
) {
    // Attributes are always JSON.
    let attributes = serde_json::to_string(&PlainObject(&point.attributes));
    let attributes = attributes.unwrap_or_default();
    let metric_type = metric_type(metric.kind);
    let mut series = XxHash64::with_seed(0);
    let names = (&*scope.name, &*scope.version, &*metric.name, &*metric.unit);
    (resource.identity, names, metric_type, &attributes).hash(&mut series);
    let series = series.finish();
    // Where the flag is set the numbers are zeros that mean nothing.
    let nothing = Point::default();
    let recorded = point.flags & NO_RECORDED_VALUE == 0;
    let said = if recorded { point } else { &nothing };
    let buckets = metric
        .kind
        .filter(|_| recorded)
        .and_then(|kind| buckets(kind, said));
    let count = said
        .count
        .map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let is_sum = metric.kind == Some(MetricKind::Sum);
    let row = PointRow {
        series: Some(series),
        time_ns: point.time_unix_nano.get(),
        start_ns: point.start_time_unix_nano.get(),
        meaning: Some(meaning(metric) as u8),
        total: total(said),
        service_name: Some(resource.service_name()),
        metric_name: Some(&metric.name),
        metric_type: Some(metric_type),
        unit: Some(&metric.unit),
        int_value: said.as_int,
        double_value: said.as_double.filter(|_| said.as_int.is_none()),
        count,
        sum: said.sum,
        min: said.min,
        max: said.max,
        buckets: buckets.as_deref(),
        temporality: temporality(metric),
        monotonic: is_sum.then_some(metric.is_monotonic),
        attributes: Some(&attributes),
        scope_name: Some(&scope.name),
        service_instance_id: resource.service_instance_id.as_deref(),
        host_name: resource.host_name.as_deref(),
        container_name: resource.container_name.as_deref(),
        k8s_pod_name: resource.k8s_pod_name.as_deref(),
    };
    // A series' number is well mixed already.
    row.pack(series, rows);
}

/// What a series of such points adds up: the value of a sum, the count of a histogram or a
/// summary.
fn total(point: &Point<'_>) -> Option<f64> {
    let int = point.as_int.map(|value| value as f64);
    let count = point.count.map(|count| count as f64);
    int.or(point.as_double).or(count)
}

/// Compact JSON; the shapes are in `docs/dataset-format.md`.
fn buckets(kind: MetricKind, point: &Point<'_>) -> Option<String> {
    match kind {
        MetricKind::Gauge | MetricKind::Sum => None,
        MetricKind::Histogram => serde_json::to_string(&Explicit(point)).ok(),
        MetricKind::ExponentialHistogram => serde_json::to_string(&Exponential(point)).ok(),
        MetricKind::Summary => serde_json::to_string(&Quantiles(point)).ok(),
    }
}

fn metric_type(kind: Option<MetricKind>) -> &'static str {
    match kind {
        Some(MetricKind::Gauge) | None => "gauge",
        Some(MetricKind::Sum) => "sum",
        Some(MetricKind::Histogram) => "histogram",
        Some(MetricKind::ExponentialHistogram) => "exponential_histogram",
        Some(MetricKind::Summary) => "summary",
    }
}

fn temporality(metric: &Metric<'_>) -> Option<&'static str> {
    match (metric.kind, metric.temporality) {
        (Some(MetricKind::Gauge | MetricKind::Summary), _) => None,
        (_, Temporality::DELTA) => Some("delta"),
        (_, Temporality::CUMULATIVE) => Some("cumulative"),
        _ => None,
    }
}

/// What the values of a metric mean for the time that they speak of.
fn meaning(metric: &Metric<'_>) -> Meaning {
    let is_falling_sum = metric.kind == Some(MetricKind::Sum) && !metric.is_monotonic;
    match temporality(metric) {
        Some("delta") => Meaning::Delta,
        Some(_) if is_falling_sum => Meaning::Cumulative,
        Some(_) => Meaning::Monotonic,
        // A summary has no temporality; its count is that since its start.
        None if metric.kind == Some(MetricKind::Summary) => Meaning::Monotonic,
        None => Meaning::Moment,
    }
}

struct Explicit<'p>(&'p Point<'p>);

impl Serialize for Explicit<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bounds = self.0.explicit_bounds.iter().copied().map(PlainDouble);
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("bounds", &bounds.collect::<Vec<_>>())?;
        map.serialize_entry("counts", &self.0.bucket_counts)?;
        map.end()
    }
}

struct Exponential<'p>(&'p Point<'p>);

impl Serialize for Exponential<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("scale", &self.0.scale)?;
        map.serialize_entry("zero_count", &self.0.zero_count)?;
        map.serialize_entry("zero_threshold", &PlainDouble(self.0.zero_threshold))?;
        map.serialize_entry("positive", &Half(&self.0.positive))?;
        map.serialize_entry("negative", &Half(&self.0.negative))?;
        map.end()
    }
}

struct Half<'p>(&'p Buckets);

impl Serialize for Half<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("offset", &self.0.offset)?;
        map.serialize_entry("counts", &self.0.bucket_counts)?;
        map.end()
    }
}

struct Quantiles<'p>(&'p Point<'p>);

impl Serialize for Quantiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let quantiles = self.0.quantile_values.iter();
        let pair =
            |q: &loadgen_otlp::view::QuantileValue| [PlainDouble(q.quantile), PlainDouble(q.value)];
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("quantiles", &quantiles.map(pair).collect::<Vec<_>>())?;
        map.end()
    }
}

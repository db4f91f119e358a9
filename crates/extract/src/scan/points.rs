//! Data points of metrics: one record a point, whichever of the five kinds it is.

use std::hash::{Hash, Hasher};

use loadgen_otlp::view::{
    Buckets, Metric, MetricKind, NO_RECORDED_VALUE, PlainDouble, PlainObject, Point, Scope,
    Temporality,
};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use twox_hash::XxHash64;

use super::records::PointBuilder;
use super::resource::ResourceAttributes;
use crate::label::interval::Meaning;

impl PointBuilder {
    pub(super) fn point(
        &mut self,
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
        // Where the flag is set the numbers are zeros that mean nothing.
        let nothing = Point::default();
        let recorded = point.flags & NO_RECORDED_VALUE == 0;
        let said = if recorded { point } else { &nothing };
        self.series.append_value(series.finish());
        self.time_ns.append_option(point.time_unix_nano.get());
        self.start_ns
            .append_option(point.start_time_unix_nano.get());
        self.meaning.append_value(meaning(metric) as u8);
        self.total.append_option(total(said));
        self.service_name.append_value(resource.service_name());
        self.metric_name.append_value(&*metric.name);
        self.metric_type.append_value(metric_type);
        self.unit.append_value(&*metric.unit);
        self.int_value.append_option(said.as_int);
        let double = said.as_double.filter(|_| said.as_int.is_none());
        self.double_value.append_option(double);
        let count = said
            .count
            .map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        self.count.append_option(count);
        self.sum.append_option(said.sum);
        self.min.append_option(said.min);
        self.max.append_option(said.max);
        let buckets = metric
            .kind
            .filter(|_| recorded)
            .and_then(|kind| buckets(kind, said));
        self.buckets.append_option(buckets);
        self.temporality.append_option(temporality(metric));
        let is_sum = metric.kind == Some(MetricKind::Sum);
        self.monotonic
            .append_option(is_sum.then_some(metric.is_monotonic));
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

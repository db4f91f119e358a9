//! A line of metrics: resources, scopes, metrics and their data points.

use serde::Deserialize;

use super::attribute::KeyValue;
use super::log::Scope;
use super::resource::Resource;
use super::scalar::{Double, Enum, Flag, Int, Named, Text, UnixNanos, Unsigned, list};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceMetrics<'a> {
    #[serde(borrow)]
    pub(crate) resource: Resource<'a>,
    #[serde(
        borrow,
        deserialize_with = "list",
        alias = "instrumentationLibraryMetrics"
    )]
    pub(crate) scope_metrics: Vec<ScopeMetrics<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ScopeMetrics<'a> {
    #[serde(borrow)]
    pub(crate) scope: Scope<'a>,
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) metrics: Vec<Metric<'a>>,
}

/// A metric; one of the five kinds of data is set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metric<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) unit: Text<'a>,
    #[serde(borrow)]
    pub(crate) gauge: Option<Points<NumberPoint<'a>>>,
    #[serde(borrow)]
    pub(crate) sum: Option<Points<NumberPoint<'a>>>,
    #[serde(borrow)]
    pub(crate) histogram: Option<Points<HistogramPoint<'a>>>,
    #[serde(borrow)]
    pub(crate) exponential_histogram: Option<Points<ExponentialPoint<'a>>>,
    #[serde(borrow)]
    pub(crate) summary: Option<Points<SummaryPoint<'a>>>,
}

/// Data points and what holds for all of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de>"))]
pub(crate) struct Points<P> {
    #[serde(default = "Vec::new", deserialize_with = "list")]
    pub(crate) data_points: Vec<P>,
    #[serde(default)]
    pub(crate) aggregation_temporality: Enum<Temporality>,
    #[serde(default)]
    pub(crate) is_monotonic: Flag,
}

/// A point of a gauge or a sum.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NumberPoint<'a> {
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) attributes: Vec<KeyValue<'a>>,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) time_unix_nano: UnixNanos,
    pub(crate) as_int: Option<Int>,
    pub(crate) as_double: Option<Double>,
    pub(crate) flags: Unsigned,
}

/// A point of a histogram with explicit bounds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HistogramPoint<'a> {
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) attributes: Vec<KeyValue<'a>>,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) time_unix_nano: UnixNanos,
    pub(crate) count: Unsigned,
    pub(crate) sum: Option<Double>,
    #[serde(deserialize_with = "list")]
    pub(crate) bucket_counts: Vec<Unsigned>,
    #[serde(deserialize_with = "list")]
    pub(crate) explicit_bounds: Vec<Double>,
    pub(crate) min: Option<Double>,
    pub(crate) max: Option<Double>,
    pub(crate) flags: Unsigned,
}

/// A point of an exponential histogram.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExponentialPoint<'a> {
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) attributes: Vec<KeyValue<'a>>,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) time_unix_nano: UnixNanos,
    pub(crate) count: Unsigned,
    pub(crate) sum: Option<Double>,
    pub(crate) scale: Int,
    pub(crate) zero_count: Unsigned,
    pub(crate) zero_threshold: Double,
    pub(crate) positive: ExponentialBuckets,
    pub(crate) negative: ExponentialBuckets,
    pub(crate) min: Option<Double>,
    pub(crate) max: Option<Double>,
    pub(crate) flags: Unsigned,
}

/// One half of the buckets of an exponential histogram.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExponentialBuckets {
    pub(crate) offset: Int,
    #[serde(deserialize_with = "list")]
    pub(crate) bucket_counts: Vec<Unsigned>,
}

/// A point of a summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SummaryPoint<'a> {
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) attributes: Vec<KeyValue<'a>>,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) time_unix_nano: UnixNanos,
    pub(crate) count: Unsigned,
    pub(crate) sum: Double,
    #[serde(deserialize_with = "list")]
    pub(crate) quantile_values: Vec<QuantileValue>,
    pub(crate) flags: Unsigned,
}

/// A quantile of a summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct QuantileValue {
    pub(crate) quantile: Double,
    pub(crate) value: Double,
}

/// Set in `flags` where a point says that there is no value.
pub(crate) const NO_RECORDED_VALUE: u64 = 1;

/// Whether points count from the start or from the point before.
#[derive(Debug)]
pub(crate) struct Temporality;

impl Named for Temporality {
    const PREFIX: &'static str = "AGGREGATION_TEMPORALITY_";
    const NAMES: &'static [&'static str] = &["UNSPECIFIED", "DELTA", "CUMULATIVE"];
    const EXPECTED: &'static str = "an aggregation temporality, as its number or name";
}

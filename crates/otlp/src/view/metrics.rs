//! Metrics and their data points.

use std::borrow::Cow;

use super::merge::view;
use super::{Keep, KeyValue, Merge, Temporality, UnixNanos};
use crate::input::{Field, Input, ListOf, field};
use crate::problem::Result;

/// What holds for all points of a metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metric<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The unit of its values.
    pub unit: Cow<'a, str>,
    /// What its points are; none where it has none.
    pub kind: Option<MetricKind>,
    /// Whether points count from the start or from the point before.
    pub temporality: Temporality,
    /// Whether a sum only grows.
    pub is_monotonic: bool,
}

/// What the points of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A value at a moment.
    Gauge,
    /// A total.
    Sum,
    /// Counts by explicit bounds.
    Histogram,
    /// Counts by bounds that grow exponentially.
    ExponentialHistogram,
    /// Quantiles.
    Summary,
}

impl MetricKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Gauge,
        Self::Sum,
        Self::Histogram,
        Self::ExponentialHistogram,
        Self::Summary,
    ];

    /// The field of a metric that holds its points.
    pub(crate) const fn field(self) -> Field {
        match self {
            Self::Gauge => field!(5, gauge),
            Self::Sum => field!(7, sum),
            Self::Histogram => field!(9, histogram),
            Self::ExponentialHistogram => field!(10, exponential_histogram),
            Self::Summary => field!(11, summary),
        }
    }
}

/// A data point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point<'p, 'a> {
    /// Of a gauge or a sum.
    Number(&'p NumberPoint<'a>),
    /// Of a histogram.
    Histogram(&'p HistogramPoint<'a>),
    /// Of an exponential histogram.
    ExponentialHistogram(&'p ExponentialHistogramPoint<'a>),
    /// Of a summary.
    Summary(&'p SummaryPoint<'a>),
}

/// Set in `flags` where a point says that there is no value.
pub const NO_RECORDED_VALUE: u64 = 1;

/// What all kinds of points have.
macro_rules! every_point {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $point:ident => $read:expr;)*) => {
        impl<'p, 'a> Point<'p, 'a> {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $type {
                    match self {
                        Self::Number($point) => $read,
                        Self::Histogram($point) => $read,
                        Self::ExponentialHistogram($point) => $read,
                        Self::Summary($point) => $read,
                    }
                }
            )*
        }
    };
}

every_point! {
    /// Those that the sink wants, in their order; a key may come twice.
    attributes: &'p [KeyValue<'a>] = point => &point.attributes;
    /// Since when it counts.
    start: UnixNanos = point => point.start_time_unix_nano;
    /// When it was taken.
    time: UnixNanos = point => point.time_unix_nano;
    /// OTLP's flags, such as [`NO_RECORDED_VALUE`].
    flags: u64 = point => point.flags;
}

view! {
    /// A point of a gauge or a sum.
    pub struct NumberPoint<'a> {
        /// Those that the sink wants.
        7, attributes: Vec<KeyValue<'a>>,
        /// Since when it counts.
        2, start_time_unix_nano: UnixNanos,
        /// When it was taken.
        3, time_unix_nano: UnixNanos,
        /// Its value, if that is an integer.
        6, as_int: Option<i64>,
        /// Its value, if that is a double.
        4, as_double: Option<f64>,
        /// OTLP's flags.
        8, flags: u64,
    }
}

view! {
    /// A point of a histogram with explicit bounds.
    pub struct HistogramPoint<'a> {
        /// Those that the sink wants.
        9, attributes: Vec<KeyValue<'a>>,
        /// Since when it counts.
        2, start_time_unix_nano: UnixNanos,
        /// When it was taken.
        3, time_unix_nano: UnixNanos,
        /// How many values there were.
        4, count: u64,
        /// Their sum.
        5, sum: Option<f64>,
        /// How many values there were in each bucket; one more than bounds.
        6, bucket_counts: Vec<u64>,
        /// Upper bounds of the buckets.
        7, explicit_bounds: Vec<f64>,
        /// The least value.
        11, min: Option<f64>,
        /// The greatest value.
        12, max: Option<f64>,
        /// OTLP's flags.
        10, flags: u64,
    }
}

view! {
    /// A point of an exponential histogram: bucket `i` ends at `2^((i + 1) / 2^scale)`.
    pub struct ExponentialHistogramPoint<'a> {
        /// Those that the sink wants.
        1, attributes: Vec<KeyValue<'a>>,
        /// Since when it counts.
        2, start_time_unix_nano: UnixNanos,
        /// When it was taken.
        3, time_unix_nano: UnixNanos,
        /// How many values there were.
        4, count: u64,
        /// Their sum.
        5, sum: Option<f64>,
        /// How fine the buckets are.
        6, scale: i32,
        /// How many values count as zero.
        7, zero_count: u64,
        /// Up to which magnitude they do.
        14, zero_threshold: f64,
        /// Values above zero.
        8, positive: Buckets,
        /// Values below zero, by their magnitude.
        9, negative: Buckets,
        /// The least value.
        12, min: Option<f64>,
        /// The greatest value.
        13, max: Option<f64>,
        /// OTLP's flags.
        10, flags: u64,
    }
}

/// One half of the buckets of an exponential histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    /// Index of the first.
    pub offset: i32,
    /// How many values there were in each.
    pub bucket_counts: Vec<u64>,
}

impl<'a> Merge<'a> for Buckets {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()> {
        input.fields(|input, key| {
            if I::is(key, field!(1, offset)) {
                self.offset.merge(input, keep)
            } else if I::is(key, field!(2, bucket_counts)) {
                // Unlike those of a histogram they are varints.
                input.elements(ListOf::Varints, |input, null| {
                    let count = if null { 0 } else { input.unsigned()? };
                    keep.one()?;
                    self.bucket_counts.push(count);
                    Ok(())
                })
            } else {
                input.skip()
            }
        })
    }

    fn clear(&mut self) {
        self.offset = 0;
        self.bucket_counts.clear();
    }
}

view! {
    /// A point of a summary.
    pub struct SummaryPoint<'a> {
        /// Those that the sink wants.
        7, attributes: Vec<KeyValue<'a>>,
        /// Since when it counts.
        2, start_time_unix_nano: UnixNanos,
        /// When it was taken.
        3, time_unix_nano: UnixNanos,
        /// How many values there were.
        4, count: u64,
        /// Their sum.
        5, sum: f64,
        /// Quantiles.
        6, quantile_values: Vec<QuantileValue>,
        /// OTLP's flags.
        8, flags: u64,
    }
}

view! {
    /// A quantile of a summary.
    pub struct QuantileValue {
        /// Which one, from 0 to 1.
        1, quantile: f64,
        /// Its value.
        2, value: f64,
    }
}

//! Metrics and their data points.

use std::borrow::Cow;

use super::merge::view;
use super::{AnyValue, Keep, KeyValue, Merge, Temporality, UnixNanos};
use crate::input::{Field, Input, ListOf, Unasked, field};
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

    /// Which of the four messages for points it has.
    const fn message(self) -> usize {
        match self {
            Self::Gauge | Self::Sum => 0,
            Self::Histogram => 1,
            Self::ExponentialHistogram => 2,
            Self::Summary => 3,
        }
    }
}

/// Set in `flags` where a point says that there is no value.
pub const NO_RECORDED_VALUE: u64 = 1;

/// Defines the point, and how it is read: the numbers of a field in the four messages that OTLP has
/// for points (of numbers, of histograms, of exponential histograms, of summaries; 0 where it has
/// no such field), its name, and its type.
macro_rules! point {
    ($(#[$doc:meta])* pub struct Point<'a> {
        $($(#[$field_doc:meta])* [$($number:literal),*], $field:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Point<'a> {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a> Point<'a> {
            /// Reads a point of a kind into one that is as new but for the memory of its lists.
            pub(crate) fn read<I: Input<'a>>(
                &mut self,
                kind: MetricKind,
                input: &mut I,
                keep: &Keep<'_>,
            ) -> Result<()> {
                let message = kind.message();
                $(Merge::clear(&mut self.$field);)*
                input.fields(|input, key| {
                    $(if I::is(key, field!([$($number),*][message], $field)) {
                        return self.$field.merge(input, keep);
                    })*
                    if I::is(key, field!([1, 1, 0, 1][message], labels)) {
                        labels(input, &mut self.attributes, keep)
                    } else if I::is(key, field!([5, 8, 11, 0][message], exemplars)) {
                        keep.odd.unasked(input, key, Unasked::Messages)
                    } else {
                        keep.odd.unknown(input, key)
                    }
                })?;
                // A zero is left out where a field has no presence.
                if message > 0 {
                    self.count.get_or_insert(0);
                }
                if kind == MetricKind::Summary {
                    self.sum.get_or_insert(0.0);
                }
                Ok(())
            }
        }
    };
}

point! {
    /// A data point of any kind of metric.
    pub struct Point<'a> {
        /// Those that the sink wants, in their order; a key may come twice.
        [7, 9, 1, 7], attributes: Vec<KeyValue<'a>>,
        /// Since when it counts.
        [2, 2, 2, 2], start_time_unix_nano: UnixNanos,
        /// When it was taken.
        [3, 3, 3, 3], time_unix_nano: UnixNanos,
        /// OTLP's flags, such as [`NO_RECORDED_VALUE`].
        [8, 10, 10, 8], flags: u64,
        /// The value of a gauge or a sum, if it is an integer.
        [6, 0, 0, 0], as_int: Option<i64>,
        /// The value of a gauge or a sum, if it is a double.
        [4, 0, 0, 0], as_double: Option<f64>,
        /// How many values there were; always there but for gauges and sums.
        [0, 4, 4, 4], count: Option<u64>,
        /// Their sum; always there for summaries.
        [0, 5, 5, 5], sum: Option<f64>,
        /// The least value.
        [0, 11, 12, 0], min: Option<f64>,
        /// The greatest value.
        [0, 12, 13, 0], max: Option<f64>,
        /// Of a histogram: how many values there were in each bucket; one more than bounds.
        [0, 6, 0, 0], bucket_counts: Vec<u64>,
        /// Of a histogram: upper bounds of the buckets.
        [0, 7, 0, 0], explicit_bounds: Vec<f64>,
        /// Of an exponential histogram: how fine it is. Bucket `i` ends at `2^((i + 1) / 2^scale)`.
        [0, 0, 6, 0], scale: i32,
        /// Of an exponential histogram: how many values count as zero.
        [0, 0, 7, 0], zero_count: u64,
        /// Of an exponential histogram: up to which magnitude they do.
        [0, 0, 14, 0], zero_threshold: f64,
        /// Of an exponential histogram: values above zero.
        [0, 0, 8, 0], positive: Buckets,
        /// Of an exponential histogram: values below zero, by their magnitude.
        [0, 0, 9, 0], negative: Buckets,
        /// Of a summary: quantiles.
        [0, 0, 0, 6], quantile_values: Vec<QuantileValue>,
    }
}

/// Attributes as they were before OTLP 0.9: texts by their keys.
#[cold]
fn labels<'a, I: Input<'a>>(
    input: &mut I,
    attributes: &mut Vec<KeyValue<'a>>,
    keep: &Keep<'_>,
) -> Result<()> {
    input.elements(ListOf::Messages, |input, _| {
        let mut label = KeyValue::default();
        input.fields(|input, key| {
            if I::is(key, field!(1, key)) {
                label.key = input.text()?;
            } else if I::is(key, field!(2, value)) {
                label.value = AnyValue::Text(input.text()?);
            } else {
                return keep.odd.unknown(input, key);
            }
            Ok(())
        })?;
        if (keep.wants)(&label.key) {
            keep.one()?;
            attributes.push(label);
        }
        Ok(())
    })
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
                keep.odd.unknown(input, key)
            }
        })
    }

    fn clear(&mut self) {
        self.offset = 0;
        self.bucket_counts.clear();
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

//! Durations of any number of spans in bounded memory, with quantiles that are right to 0.05 %.
//!
//! The buckets are those of HdrHistogram with three significant digits (Tene 2015): 1,024 to each
//! doubling, below 2,048 ns each value its own. Only those that are met are kept, because most of
//! the many histograms of a run hold few spans.

use std::collections::BTreeMap;

/// Leading bits of a duration that are kept.
const BITS: u32 = 11;

/// Durations, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Durations {
    /// By the middle of their bucket, in nanoseconds.
    counts: BTreeMap<i64, u64>,
    count: u64,
}

/// The middle of a duration's bucket, in nanoseconds; the duration itself where it is short.
pub(crate) fn rounded(ns: i64) -> i64 {
    let ns = ns.max(0);
    let bits = i64::BITS - ns.leading_zeros();
    match bits.checked_sub(BITS) {
        None | Some(0) => ns,
        Some(cut) => (ns >> cut << cut) + (1 << (cut - 1)),
    }
}

impl Durations {
    /// Adds one, in nanoseconds.
    pub(crate) fn add(&mut self, ns: i64) {
        *self.counts.entry(rounded(ns)).or_default() += 1;
        self.count += 1;
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (value, count) in &other.counts {
            *self.counts.entry(*value).or_default() += count;
        }
        self.count += other.count;
    }

    /// Median, 95th and 99th percentile by the nearest rank, in nanoseconds.
    pub(crate) fn quantiles(&self) -> [Option<i64>; 3] {
        [50, 95, 99].map(|percent| {
            let rank = (self.count * percent).div_ceil(100);
            let mut below = 0;
            let reaches = |(_, count): &(&i64, &u64)| {
                below += **count;
                below >= rank
            };
            self.counts.iter().find(reaches).map(|(value, _)| *value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_durations_are_kept_as_they_are() {
        assert_eq!(rounded(2047), 2047);
        assert_eq!(rounded(2048), 2049);
        assert_eq!(rounded(2049), 2049);
        assert_eq!(rounded(-5), 0);
        assert!(rounded(i64::MAX) > 0);
    }

    proptest! {
        #[test]
        fn quantiles_are_right_to_five_in_ten_thousand(
            values in prop::collection::vec(0i64..100_000_000_000, 1..300), split in 0usize..300,
        ) {
            let mut parts = [Durations::default(), Durations::default()];
            for (index, value) in values.iter().enumerate() {
                parts[usize::from(index < split)].add(*value);
            }
            let [mut all, other] = parts;
            all.merge(&other);
            let mut sorted = values;
            sorted.sort_unstable();
            for (found, percent) in all.quantiles().into_iter().zip([50, 95, 99]) {
                let exact = sorted[(sorted.len() * percent).div_ceil(100) - 1];
                let found = found.expect("some");
                prop_assert_eq!(found, rounded(exact));
                prop_assert!((found - exact).abs() as f64 <= exact as f64 * 0.0005);
            }
        }
    }
}

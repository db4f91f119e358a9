//! Times of a scenario's requests, as an HdrHistogram that takes the memory that its values need: a
//! plan may have a thousand scenarios, of which a few go on at a time.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use loadgen_timeline::summary::LatencySummary;

/// The longest time that is told apart from longer ones, in microseconds: 10 min.
const LONGEST_US: u64 = 600_000_000;

/// Times in microseconds with 3 significant digits, from 1 µs to 10 min.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// None: nothing was added, or what was is packed.
    histogram: Option<Histogram<u64>>,
    /// In HdrHistogram's encoding V2, which leaves out what is empty.
    packed: Vec<u8>,
}

impl Times {
    /// Adds a time, rounded up to the next microsecond.
    pub(super) fn add(&mut self, ns: i64) {
        let us = u64::try_from(ns).unwrap_or(0).div_ceil(1000);
        // A histogram that grows takes any time.
        let _ = self.histogram().record(us.min(LONGEST_US));
    }

    /// Gives memory back. What is added later is added to what there is.
    pub(super) fn pack(&mut self) {
        let Some(histogram) = &self.histogram else {
            return;
        };
        let mut packed = Vec::new();
        // Writing to memory does not fail; if it did, the histogram would stay as it is.
        if V2Serializer::new()
            .serialize(histogram, &mut packed)
            .is_ok()
        {
            packed.shrink_to_fit();
            self.packed = packed;
            self.histogram = None;
        }
    }

    /// None where nothing was added.
    pub(super) fn quantiles(&mut self) -> Option<LatencySummary> {
        if self.histogram.is_none() && self.packed.is_empty() {
            return None;
        }
        let histogram = self.histogram();
        let ms = |us: u64| us as f64 / 1e3;
        let quantiles = LatencySummary {
            p50_ms: ms(histogram.value_at_quantile(0.50)),
            p95_ms: ms(histogram.value_at_quantile(0.95)),
            p99_ms: ms(histogram.value_at_quantile(0.99)),
            p999_ms: Some(ms(histogram.value_at_quantile(0.999))),
            max_ms: ms(histogram.max()),
        };
        self.pack();
        Some(quantiles)
    }

    fn histogram(&mut self) -> &mut Histogram<u64> {
        let packed = std::mem::take(&mut self.packed);
        self.histogram.get_or_insert_with(|| unpacked(&packed))
    }
}

/// A histogram of what was packed; nothing gives an empty one.
fn unpacked(packed: &[u8]) -> Histogram<u64> {
    let known = Deserializer::new().deserialize(&mut &packed[..]);
    // The number of digits is one for which the constructor does not fail.
    let empty = || Histogram::new(3).unwrap_or_else(|_| unreachable!());
    let mut histogram = known.unwrap_or_else(|_| empty());
    histogram.auto(true);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What three quarters of a second take, of which nothing else is known.
    fn times() -> impl Iterator<Item = i64> {
        (0..500).map(|n| 1_000 * (n * n * 3 + 1))
    }

    #[test]
    fn figures_are_those_of_a_histogram_of_full_size() {
        let mut whole: Histogram<u64> = Histogram::new_with_bounds(1, LONGEST_US, 3).unwrap();
        let mut times_packed = Times::default();
        for (n, ns) in times().chain([0, -5, 1_500, i64::MAX]).enumerate() {
            whole.saturating_record(u64::try_from(ns).unwrap_or(0).div_ceil(1000));
            times_packed.add(ns);
            if n % 100 == 7 {
                times_packed.pack();
            }
        }
        let figures = times_packed.quantiles().unwrap();
        let ms = |us: u64| us as f64 / 1e3;
        assert_eq!(figures.p50_ms, ms(whole.value_at_quantile(0.5)));
        assert_eq!(figures.p95_ms, ms(whole.value_at_quantile(0.95)));
        assert_eq!(figures.p99_ms, ms(whole.value_at_quantile(0.99)));
        assert_eq!(figures.p999_ms, Some(ms(whole.value_at_quantile(0.999))));
        assert_eq!(figures.max_ms, ms(whole.max()));
        assert_eq!(times_packed.quantiles(), Some(figures), "asked twice");
    }

    #[test]
    fn what_is_packed_is_small_and_nothing_is_none() {
        let mut some = Times::default();
        times().for_each(|ns| some.add(ns));
        some.pack();
        assert!(some.histogram.is_none());
        assert!(some.packed.len() < 2_000, "{} bytes", some.packed.len());
        let mut none = Times::default();
        none.pack();
        assert_eq!(none.quantiles(), None);
    }
}

//! A sample of one run, and its quantiles.

use rand::Rng;
use rand_distr::{Beta, Distribution};

/// Values of one run, sorted. Values that are not finite are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SortedValues(Vec<f64>);

/// Requests that must lie above a quantile, and below it, before it is looked at: where fewer do it
/// is an extreme, and the bootstrap of an extreme is wrong however often it is drawn.
const BEYOND: f64 = 5.0;

impl SortedValues {
    /// Sorts the values.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values, from the smallest to the largest.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// The `p`-quantile, `p` in (0, 1]: the smallest value that a share of at least `p` does not
    /// exceed. None of an empty sample.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        Some(self.0[self.rank(p)?.checked_sub(1)?])
    }

    /// Whether enough values lie on both sides of the quantile to say how sure it is.
    pub fn can_resample(&self, p: f64) -> bool {
        self.len() as f64 * p.min(1.0 - p) >= BEYOND
    }

    /// The `p`-quantile of a sample drawn from this one with replacement, of the same size.
    ///
    /// Drawing n indices and sorting them is not needed: the m-th smallest of n uniform numbers has
    /// the distribution Beta(m, n - m + 1), and the m-th smallest value of the resample is the one
    /// that this number points at.
    pub(super) fn resampled_quantile(&self, p: f64, rng: &mut impl Rng) -> Option<f64> {
        let rank = self.rank(p)?;
        let n = self.len();
        let place = Beta::new(rank as f64, (n - rank + 1) as f64)
            .ok()?
            .sample(rng);
        let index = (place * n as f64) as usize;
        self.0.get(index.min(n - 1)).copied()
    }

    /// The place of the quantile, from 1.
    fn rank(&self, p: f64) -> Option<usize> {
        let n = self.len();
        // 0.95 × 20 is a little more than 19 in floating point.
        let rank = (p * n as f64 - 1e-9).ceil() as usize;
        (n > 0).then(|| rank.clamp(1, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample = SortedValues::new((1..=20).rev().map(f64::from).collect());
        for (p, expected) in [
            (0.5, 10.0),
            (0.95, 19.0),
            (0.96, 20.0),
            (1.0, 20.0),
            (0.01, 1.0),
        ] {
            assert_eq!(sample.quantile(p), Some(expected), "{p}");
        }
        assert_eq!(SortedValues::default().quantile(0.5), None);
    }

    #[test]
    fn a_quantile_with_hardly_anything_beyond_it_is_not_resampled() {
        let sample = |n: u32| SortedValues::new((0..n).map(f64::from).collect());
        assert!(sample(10).can_resample(0.5));
        assert!(!sample(99).can_resample(0.95));
        assert!(!sample(499).can_resample(0.99));
        assert!(sample(501).can_resample(0.99));
    }

    /// The short way draws from the same distribution as the long one.
    #[test]
    fn the_short_way_is_the_long_way() {
        const N: usize = 40;
        const DRAWS: usize = 20_000;
        let sample = SortedValues::new((0..N).map(|i| (i * i) as f64).collect());
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut short, mut long) = ([0u32; N], [0u32; N]);
        let place = |value: f64| value.sqrt().round() as usize;
        for _ in 0..DRAWS {
            short[place(sample.resampled_quantile(0.8, &mut rng).unwrap())] += 1;
            let drawn: Vec<f64> = (0..N)
                .map(|_| sample.values()[rng.random_range(0..N)])
                .collect();
            long[place(SortedValues::new(drawn).quantile(0.8).unwrap())] += 1;
        }
        // Largest distance of the two distribution functions; 1.63 √(2/DRAWS) has p = 0.01.
        let mut sums = (0i64, 0i64);
        let mut largest = 0;
        for (a, b) in short.iter().zip(&long) {
            sums = (sums.0 + i64::from(*a), sums.1 + i64::from(*b));
            largest = largest.max((sums.0 - sums.1).abs());
        }
        assert!((largest as f64 / DRAWS as f64) < 1.63 * (2.0 / DRAWS as f64).sqrt());
    }
}

//! The paired bootstrap: of scalars over pairs, of quantiles in two stages.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::{Kind, SortedValues};

/// Level of all intervals.
pub const CONFIDENCE: f64 = 0.95;
/// Resamples of each interval.
pub const RESAMPLES: usize = 4000;
/// Seed of each row's generator, together with the row's name.
pub const BOOTSTRAP_SEED: u64 = 0x6c6f_6164_6765_6e00;

/// A mean of paired differences.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanDifference {
    /// Mean of the differences: of relative ones the geometric mean of the ratios, less 1, so that
    /// twice and half as much cancel out and it does not matter which side is a.
    pub mean: f64,
    /// The difference of each pair.
    pub by_pair: Vec<f64>,
    /// Where the mean lies, at [`CONFIDENCE`]; none: there is too little to tell.
    pub interval: Option<(f64, f64)>,
}

/// Mean difference of pairs of numbers `(a, b)`, with the interval of a bootstrap over the pairs.
/// One pair has no interval; no pair, or ratios of what is not above 0, no estimate.
pub fn paired_scalars(pairs: &[(f64, f64)], kind: Kind, seed: u64) -> Option<MeanDifference> {
    let scaled: Option<Vec<f64>> = pairs.iter().map(|(a, b)| kind.scaled(*a, *b)).collect();
    let scaled = scaled?;
    let mean = mean(&scaled)?;
    let interval = (pairs.len() > 1)
        .then(|| interval(&scaled, mean, seed, |_, _| Some(0.0)))
        .flatten();
    Some(MeanDifference::new(kind, &scaled, mean, interval))
}

/// Mean difference of the `p`-quantiles of pairs of samples `(a, b)`, with the interval of a
/// bootstrap in two stages: pairs are drawn, and within each drawn pair the requests of both runs.
/// With one pair only the second stage is left: the interval then says nothing about how much runs
/// differ from each other.
pub fn paired_quantiles(
    pairs: &[(&SortedValues, &SortedValues)],
    p: f64,
    kind: Kind,
    seed: u64,
) -> Option<MeanDifference> {
    let scaled: Option<Vec<f64>> = pairs
        .iter()
        .map(|(a, b)| kind.scaled(a.quantile(p)?, b.quantile(p)?))
        .collect();
    let scaled = scaled?;
    let mean = mean(&scaled)?;
    let enough = pairs
        .iter()
        .all(|(a, b)| a.can_resample(p) && b.can_resample(p));
    let within = |index: usize, rng: &mut ChaCha8Rng| {
        let (a, b) = pairs[index];
        let drawn = kind.scaled(a.resampled_quantile(p, rng)?, b.resampled_quantile(p, rng)?)?;
        Some(drawn - scaled[index])
    };
    let interval = enough
        .then(|| interval(&scaled, mean, seed, within))
        .flatten();
    Some(MeanDifference::new(kind, &scaled, mean, interval))
}

impl MeanDifference {
    /// All numbers on the scale of [`Kind::scaled`].
    fn new(kind: Kind, scaled: &[f64], mean: f64, interval: Option<(f64, f64)>) -> Self {
        Self {
            mean: kind.unscaled(mean),
            by_pair: scaled.iter().map(|x| kind.unscaled(*x)).collect(),
            interval: interval.map(|(low, high)| (kind.unscaled(low), kind.unscaled(high))),
        }
    }
}

/// The percentile interval of the mean of differences over drawn pairs, to each of which `within`
/// adds how far a resample within the pair lies from the pair itself.
///
/// The spread of a bootstrap over n pairs is too small by √((n-1)/n), and percentiles take it for
/// known although it is estimated from n values. What comes from the choice of pairs is therefore
/// multiplied by √(n/(n-1)) · t / z, which makes it agree with Student's interval where that one
/// holds. What comes from within them rests on many requests and needs none of that.
fn interval(
    differences: &[f64],
    mean: f64,
    seed: u64,
    within: impl Fn(usize, &mut ChaCha8Rng) -> Option<f64>,
) -> Option<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = differences.len();
    let wider = small_sample_factor(n);
    let mut means = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let (mut of_pairs, mut of_requests) = (0.0, 0.0);
        for _ in 0..n {
            let index = rng.random_range(0..n);
            of_pairs += differences[index] - mean;
            of_requests += within(index, &mut rng)?;
        }
        means.push(mean + (wider * of_pairs + of_requests) / n as f64);
    }
    means.sort_unstable_by(f64::total_cmp);
    let cut = ((1.0 - CONFIDENCE) / 2.0 * RESAMPLES as f64) as usize;
    let (low, high) = (means[cut], means[RESAMPLES - 1 - cut]);
    // Where nothing varies, only the order of sums does, and with it the last digit.
    Some((low.min(mean), high.max(mean)))
}

/// By how much an interval over n pairs has to be wider than the bootstrap makes it.
fn small_sample_factor(n: usize) -> f64 {
    if n < 2 {
        return 1.0;
    }
    let pairs = n as f64;
    (pairs / (pairs - 1.0)).sqrt() * student_97_5(n - 1) / NORMAL_97_5
}

const NORMAL_97_5: f64 = 1.959_964;

/// The 97.5 % quantile of Student's t distribution.
pub(super) fn student_97_5(degrees_of_freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    match degrees_of_freedom.checked_sub(1).and_then(|i| TABLE.get(i)) {
        Some(t) => *t,
        // The first term of the expansion in 1/df, good to three digits from here on.
        None => {
            let z = NORMAL_97_5;
            z + (z.powi(3) + z) / (4.0 * degrees_of_freedom as f64)
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_quantiles_fall_towards_the_normal_one() {
        let all: Vec<f64> = (1..200).map(student_97_5).collect();
        assert!(all.is_sorted_by(|a, b| a >= b), "{all:?}");
        // From tables: 40 and 120 degrees of freedom.
        assert!((student_97_5(40) - 2.021).abs() < 2e-3);
        assert!((student_97_5(120) - 1.980).abs() < 1e-3);
    }

    #[test]
    fn three_pairs_get_about_what_student_gives_them() {
        let differences = [-1.0, 0.0, 1.0];
        let pairs = differences.map(|d| (0.0, d));
        let estimate = paired_scalars(&pairs, Kind::Absolute, 1).unwrap();
        let (low, high) = estimate.interval.unwrap();
        // 4.303 · 1 / √3 = 2.48; the bootstrap of three has no value between 2/3 and 1.
        assert!(
            (-2.7..=-2.2).contains(&low) && (2.2..=2.7).contains(&high),
            "{low} {high}"
        );
    }
}

//! Cliff's δ: the chance that a value of one sample is larger than one of another, less the chance
//! that it is smaller (Cliff 1993). It needs no shape of distribution, and of figures that are 0 or
//! 1 it is the difference of their shares.

use super::quantile::student_97_5;
use crate::comparison::Estimate;

/// A variance below this is one of rounding.
const NO_VARIANCE: f64 = 1e-12;

/// Values of one side, each with the block of time that it lies in.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Values {
    /// In ascending order.
    sorted: Vec<f64>,
    /// The block of each, in the same order.
    blocks: Vec<usize>,
}

impl Values {
    /// Of pairs of a value and its block, in any order. Values must be numbers.
    pub(crate) fn new(mut pairs: Vec<(f64, usize)>) -> Self {
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let (sorted, blocks) = pairs.into_iter().unzip();
        Self { sorted, blocks }
    }

    pub(crate) fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (f64, usize)> + '_ {
        self.sorted.iter().copied().zip(self.blocks.iter().copied())
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.len() as f64
    }

    /// How many blocks have a value.
    pub(crate) fn blocks_with_values(&self) -> usize {
        let mut blocks = self.blocks.clone();
        blocks.sort_unstable();
        blocks.dedup();
        blocks.len()
    }
}

/// Cliff's δ of two samples, with what each block contributes to its chance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delta {
    pub(crate) value: f64,
    /// Variance as if all values were independent (DeLong et al. 1988, on the scale of δ).
    independent: f64,
    /// Sums of deviations by block, of both sides.
    deviations: [Vec<(usize, f64)>; 2],
    /// Values on each side.
    n: [usize; 2],
}

impl Delta {
    /// δ of `a` against `b`: above 0 where the values of `a` are larger. Neither may be empty.
    pub(crate) fn new(a: &Values, b: &Values) -> Self {
        let placed = [placements(a, b), placements(b, a)];
        let value = placed[0].iter().sum::<f64>() / a.len() as f64;
        // Placements of b are against a: their mean is −δ.
        let deviations =
            [(a, &placed[0], value), (b, &placed[1], -value)].map(|(side, placements, mean)| {
                let mut by_block: Vec<(usize, f64)> = Vec::new();
                let mut pairs: Vec<(usize, f64)> = side
                    .blocks
                    .iter()
                    .copied()
                    .zip(placements.iter().copied())
                    .collect();
                pairs.sort_by_key(|(block, _)| *block);
                for (block, placement) in pairs {
                    let deviation = (placement - mean) / side.len() as f64;
                    match by_block.last_mut().filter(|(last, _)| *last == block) {
                        Some((_, sum)) => *sum += deviation,
                        None => by_block.push((block, deviation)),
                    }
                }
                by_block
            });
        let independent = [(a, &placed[0], value), (b, &placed[1], -value)]
            .iter()
            .map(|(side, placements, mean)| {
                let n = side.len() as f64;
                let squares: f64 = placements.iter().map(|v| (v - mean).powi(2)).sum();
                if n > 1.0 {
                    squares / (n - 1.0) / n
                } else {
                    1.0
                }
            })
            .sum();
        Self {
            value,
            independent,
            deviations,
            n: [a.len(), b.len()],
        }
    }

    /// How many times as large the variance is as that of independent values, because values of one
    /// block are alike (Kish's design effect); at least 1.
    pub(crate) fn design_effect(&self) -> f64 {
        let clustered = clustered_variance(&self.deviations);
        if self.independent > 0.0 {
            (clustered / self.independent).max(1.0)
        } else {
            1.0
        }
    }

    /// The 95 % interval.
    pub(crate) fn estimate(&self) -> Estimate {
        pooled(&[(1.0, self)])
    }
}

/// δ of several strata together, with given weights that sum to 1, and its 95 % interval: Feng and
/// Cliff's (2004), which stays within -1 and 1, with the larger of two variances: that of
/// independent values (DeLong et al. 1988) and that of blocks which are alike within (Obuchowski
/// 1997), and with Student's t for the number of blocks.
pub(crate) fn pooled(strata: &[(f64, &Delta)]) -> Estimate {
    let sum: f64 = strata
        .iter()
        .map(|(weight, delta)| weight * delta.value)
        .sum();
    let value = sum.clamp(-1.0, 1.0);
    let independent: f64 = strata
        .iter()
        .map(|(weight, delta)| weight * weight * delta.independent)
        .sum();
    let mut deviations = [Vec::new(), Vec::new()];
    for (side, all) in deviations.iter_mut().enumerate() {
        for (weight, delta) in strata {
            all.extend(
                delta.deviations[side]
                    .iter()
                    .map(|(block, sum)| (*block, weight * sum)),
            );
        }
        all.sort_by_key(|(block, _)| *block);
        *all = all
            .chunk_by(|a, b| a.0 == b.0)
            .map(|same| (same[0].0, same.iter().map(|(_, sum)| sum).sum()))
            .collect();
    }
    let variance = independent.max(clustered_variance(&deviations));
    let df = (deviations[0].len() + deviations[1].len()).saturating_sub(2);
    let (low, high) = if variance > NO_VARIANCE {
        feng_and_cliff(value, variance, student_97_5(df as f64))
    } else {
        let total = |side: usize| strata.iter().map(|(_, delta)| delta.n[side]).sum::<usize>();
        without_variance(value, total(0).min(total(1)) as f64)
    };
    Estimate { value, low, high }
}

/// For each value of `of` the chance that it is larger than a value of `against`, less the chance
/// that it is smaller.
fn placements(of: &Values, against: &Values) -> Vec<f64> {
    let n = against.len() as f64;
    of.sorted
        .iter()
        .map(|value| {
            let smaller = against.sorted.partition_point(|other| other < value);
            let not_larger = against.sorted.partition_point(|other| other <= value);
            (smaller as f64 - (against.len() - not_larger) as f64) / n
        })
        .collect()
}

/// Variance of δ where values of one block are alike and blocks are independent (Obuchowski 1997).
fn clustered_variance(deviations: &[Vec<(usize, f64)>; 2]) -> f64 {
    deviations
        .iter()
        .map(|side| {
            let blocks = side.len() as f64;
            let squares: f64 = side.iter().map(|(_, sum)| sum * sum).sum();
            if blocks > 1.0 {
                squares * blocks / (blocks - 1.0)
            } else {
                squares
            }
        })
        .sum()
}

/// The asymmetric interval of Feng and Cliff (2004), with a quantile `t`.
fn feng_and_cliff(delta: f64, variance: f64, t: f64) -> (f64, f64) {
    let spread = t * t * variance;
    let around = t * variance.sqrt() * ((1.0 - delta * delta).powi(2) + spread).sqrt();
    let middle = delta - delta.powi(3);
    let whole = 1.0 - delta * delta + spread;
    (
        ((middle - around) / whole).max(-1.0),
        ((middle + around) / whole).min(1.0),
    )
}

/// Where nothing overlaps there is no variance to estimate. Feng and Cliff's bound for that case,
/// with the smaller number of values.
fn without_variance(delta: f64, n: f64) -> (f64, f64) {
    let z2 = super::quantile::NORMAL_97_5.powi(2);
    let bound = ((n - z2) / (n + z2)).max(-1.0);
    if delta > 0.0 {
        (bound, 1.0)
    } else if delta < 0.0 {
        (-1.0, -bound)
    } else {
        (0.0, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Each value in a block of its own: all independent.
    fn values(values: &[f64]) -> Values {
        Values::new(
            values
                .iter()
                .enumerate()
                .map(|(block, value)| (*value, block))
                .collect(),
        )
    }

    #[test]
    fn delta_is_that_of_the_rank_sum() {
        // scipy.stats.mannwhitneyu: 2 U / (n m) − 1 = 5/6.
        let a = values(&[5.0, 6.0, 7.0, 8.0, 9.0, 9.5]);
        let b = values(&[1.0, 2.0, 5.0, 6.0, 6.0, 3.0, 4.0]);
        let delta = Delta::new(&a, &b);
        assert!((delta.value - 5.0 / 6.0).abs() < 1e-12);
        // numpy: variance of placements over n, both sides.
        assert!((delta.independent - 0.022_108_843_537_414_97).abs() < 1e-12);
        let (low, high) = feng_and_cliff(delta.value, delta.independent, 1.959_963_985);
        assert!((low - 0.336_950_643_2).abs() < 1e-9, "{low}");
        assert!((high - 0.967_217_911_7).abs() < 1e-9, "{high}");
        assert!((Delta::new(&b, &a).value + delta.value).abs() < 1e-12);
    }

    #[test]
    fn samples_that_do_not_overlap_have_a_bound_all_the_same() {
        let low: Vec<f64> = (0..20).map(f64::from).collect();
        let high: Vec<f64> = (100..140).map(f64::from).collect();
        let estimate = Delta::new(&values(&high), &values(&low)).estimate();
        assert_eq!((estimate.value, estimate.high), (1.0, 1.0));
        // (20 − 3.84) / (20 + 3.84).
        assert!((estimate.low - 0.6777).abs() < 1e-3, "{estimate:?}");
        let same = Delta::new(&values(&[1.0; 9]), &values(&[1.0; 5])).estimate();
        assert_eq!((same.low, same.value, same.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn values_that_are_alike_in_blocks_count_as_fewer() {
        // Ten blocks of twenty equal values: worth ten.
        let block = |shift: usize| -> Values {
            let pairs = (0..200)
                .map(|i| ((i / 20 * 7 % 10) as f64, shift + i / 20))
                .collect();
            Values::new(pairs)
        };
        let delta = Delta::new(&block(0), &block(10));
        assert!(
            (15.0..25.0).contains(&delta.design_effect()),
            "{}",
            delta.design_effect()
        );
        let apart = Delta::new(&values(block(0).sorted()), &values(block(0).sorted()));
        assert!(
            (apart.design_effect() - 1.0).abs() < 0.02,
            "{}",
            apart.design_effect()
        );
        let width = |e: Estimate| e.high - e.low;
        assert!(width(delta.estimate()) > 4.0 * width(apart.estimate()));
    }

    /// Why blocks matter: values that share a mood in each of ten blocks, with no difference
    /// between the sides. Of intervals that take them for independent far too few have 0 in them.
    #[test]
    fn intervals_that_know_of_blocks_cover_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut normal = || -> f64 {
            let uniform: f64 = (0..12).map(|_| rng.random::<f64>()).sum();
            uniform - 6.0
        };
        let mut covered = (0, 0);
        let draws = 400;
        for _ in 0..draws {
            let mut side = |first: usize| {
                let blocks = first..first + 10;
                let values = blocks.flat_map(|block| {
                    let mood = 0.5 * normal();
                    (0..30)
                        .map(|_| (mood + normal(), block))
                        .collect::<Vec<_>>()
                });
                Values::new(values.collect())
            };
            let delta = Delta::new(&side(0), &side(10));
            let Estimate { low, high, .. } = delta.estimate();
            covered.0 += usize::from(low <= 0.0 && 0.0 <= high);
            let (low, high) = feng_and_cliff(delta.value, delta.independent, 1.96);
            covered.1 += usize::from(low <= 0.0 && 0.0 <= high);
        }
        let share = |count: usize| count as f64 / f64::from(draws);
        assert!(
            (0.92..0.98).contains(&share(covered.0)),
            "{}",
            share(covered.0)
        );
        assert!(share(covered.1) < 0.6, "{}", share(covered.1));
    }

    proptest! {
        #[test]
        fn delta_and_its_interval_lie_between_minus_one_and_one(
            a in prop::collection::vec((0..9_u8, 0..5_usize), 1..40),
            b in prop::collection::vec((0..9_u8, 5..10_usize), 1..40),
        ) {
            let number = |pairs: &[(u8, usize)]| {
                Values::new(pairs.iter().map(|(value, block)| (f64::from(*value), *block)).collect())
            };
            let (a, b) = (number(&a), number(&b));
            let Estimate { value, low, high } = Delta::new(&a, &b).estimate();
            prop_assert!(-1.0 <= low && low <= value + 1e-12, "{low} {value}");
            prop_assert!(value <= high + 1e-12 && high <= 1.0, "{value} {high}");
            // By its definition.
            let mut sum = 0.0;
            for x in a.sorted() {
                for y in b.sorted() {
                    sum += f64::from(i8::from(x > y) - i8::from(x < y));
                }
            }
            prop_assert!((value - sum / (a.len() * b.len()) as f64).abs() < 1e-12);
        }
    }
}

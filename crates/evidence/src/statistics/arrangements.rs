//! p by rearranging blocks of time: if nothing differs, any choice of the blocks could have been
//! the window. All choices are gone through where there are few, else some are drawn.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::scores::Scores;

/// Arrangements at least as extreme after which a p is known well enough: to a seventh of itself. A
/// p of 0.01 is settled after 5,000.
const SETTLED: usize = 50;

/// Choices of which blocks are the window's. The first is the one that really was.
#[derive(Debug, Clone)]
pub(crate) struct Arrangements {
    blocks: usize,
    /// Blocks of the side that is chosen: the one with fewer.
    chosen: usize,
    /// The window is the side that is chosen.
    window_is_chosen: bool,
    /// Numbers of the blocks that are chosen, `chosen` for each arrangement.
    members: Vec<u32>,
    /// These are all that there are.
    pub(crate) exact: bool,
}

/// The p of one row: a stratum, or several together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct P {
    /// Share of the arrangements in which this row is at least as extreme.
    pub(crate) alone: f64,
    /// Share of the arrangements in which any row is at least as extreme as this one really was
    /// (single-step max-T; Westfall and Young 1993).
    pub(crate) adjusted: f64,
}

impl Arrangements {
    /// Arrangements of blocks of which the first `window` are the window's and the next `reference`
    /// are the other side's. All of them if they are at most `most`, else `most` are drawn.
    pub(crate) fn new(window: usize, reference: usize, most: usize, seed: u64) -> Self {
        let blocks = window + reference;
        let window_is_chosen = window <= reference;
        let chosen = window.min(reference);
        let observed = || match window_is_chosen {
            true => (0..window as u32).collect::<Vec<_>>(),
            false => (window as u32..blocks as u32).collect(),
        };
        let exact = choices(blocks, chosen).is_some_and(|choices| choices <= most as u64);
        let mut members = observed();
        if exact {
            // In any order: the one that really was comes once, at the front.
            let first = members.clone();
            let mut choice: Vec<u32> = (0..chosen as u32).collect();
            loop {
                if choice != first {
                    members.extend_from_slice(&choice);
                }
                if !next_choice(&mut choice, blocks as u32) {
                    break;
                }
            }
        } else {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut all: Vec<u32> = (0..blocks as u32).collect();
            for _ in 1..most {
                // The first steps of a Fisher-Yates shuffle; where it starts from does not matter.
                for index in 0..chosen {
                    all.swap(index, rng.random_range(index..blocks));
                }
                members.extend_from_slice(&all[..chosen]);
            }
        }
        Self {
            blocks,
            chosen,
            window_is_chosen,
            members,
            exact,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len() / self.chosen.max(1)
    }

    /// The one-sided p of each row: in what share of the arrangements its statistic is at least as
    /// large as it really was. Drawn arrangements are gone through only until that is settled for
    /// all rows, which it is at once where nothing differs ([`SETTLED`]; Besag and Clifford 1991).
    ///
    /// The statistic is Wilcoxon's rank sum over its standard deviation, of several strata together
    /// van Elteren's (1960). The deviation is the larger of two: that of independent values, and
    /// that of blocks which are alike within. So it is comparable between operations, and a window
    /// that has ten times as many requests as normal time is not at a disadvantage (Chung and
    /// Romano 2013 on why permutations want a studentised statistic where sides differ in more than
    /// their middle).
    pub(crate) fn p(&self, strata: &[Scores], rows: &[Vec<usize>]) -> Vec<P> {
        let mut work = Work::new(strata, rows, self.blocks);
        let mut observed: Vec<f64> = Vec::new();
        let mut counts = vec![(0_usize, 0_usize); rows.len()];
        let mut sides = vec![OTHER; self.blocks];
        let mut gone_through = 0;
        for choice in self.members.chunks_exact(self.chosen.max(1)) {
            let (chosen, rest) = match self.window_is_chosen {
                true => (WINDOW, OTHER),
                false => (OTHER, WINDOW),
            };
            sides.fill(rest);
            for block in choice {
                sides[*block as usize] = chosen;
            }
            let statistics = work.statistics(&sides);
            if observed.is_empty() {
                observed = statistics
                    .iter()
                    .map(|statistic| statistic - 1e-9)
                    .collect();
            }
            let largest = statistics.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for ((count, statistic), observed) in counts.iter_mut().zip(statistics).zip(&observed) {
                count.0 += usize::from(statistic >= observed);
                count.1 += usize::from(largest >= *observed);
            }
            gone_through += 1;
            if !self.exact && counts.iter().all(|count| count.0.min(count.1) >= SETTLED) {
                break;
            }
        }
        let share = |(alone, adjusted): (usize, usize)| P {
            alone: alone as f64 / gone_through as f64,
            adjusted: adjusted as f64 / gone_through as f64,
        };
        counts.into_iter().map(share).collect()
    }
}

/// The side of a block that is not the window's.
const OTHER: usize = 0;

/// The side of one that is.
const WINDOW: usize = 1;

/// What is needed to go through arrangements, made once.
struct Work<'a> {
    strata: &'a [Scores],
    /// Rows that each stratum is in, with its weight there.
    parts: Vec<Vec<(usize, f64)>>,
    /// By row and block: how far the block is from what its side has on average.
    deviations: Vec<f64>,
    /// By row: the sum of ranks in the window, and its variance if all values were independent.
    sums: Vec<(f64, f64)>,
    statistics: Vec<f64>,
    blocks: usize,
}

impl<'a> Work<'a> {
    fn new(strata: &'a [Scores], rows: &[Vec<usize>], blocks: usize) -> Self {
        let mut parts = vec![Vec::new(); strata.len()];
        for (row, members) in rows.iter().enumerate() {
            for stratum in members {
                parts[*stratum].push((row, 1.0 / (strata[*stratum].n + 1.0)));
            }
        }
        Self {
            strata,
            parts,
            deviations: vec![0.0; rows.len() * blocks],
            sums: vec![(0.0, 0.0); rows.len()],
            statistics: vec![0.0; rows.len()],
            blocks,
        }
    }

    /// The statistic of each row.
    ///
    /// Which side a block is on is as good as random, and this is gone through millions of times: so
    /// values are chosen, and there is no branch.
    fn statistics(&mut self, sides: &[usize]) -> &[f64] {
        self.sums.fill((0.0, 0.0));
        self.deviations.fill(0.0);
        for (stratum, parts) in self.strata.iter().zip(&self.parts) {
            let (mut sum, mut n) = (0.0, 0.0);
            for here in &stratum.blocks {
                let is_window = sides[here.block] == WINDOW;
                sum += if is_window { here.sum } else { 0.0 };
                n += if is_window { here.count } else { 0.0 };
            }
            let rest = stratum.n - n;
            if n == 0.0 || rest == 0.0 {
                continue;
            }
            // Of a sum of n out of N numbers with mean 0: n (N − n) / (N (N − 1)) Σ x².
            let independent = n * rest / (stratum.n * (stratum.n - 1.0).max(1.0)) * stratum.squares;
            for (row, weight) in parts {
                self.sums[*row].0 += weight * sum;
                self.sums[*row].1 += weight * weight * independent;
                let deviations = &mut self.deviations[row * self.blocks..][..self.blocks];
                let weights = [weight * n / stratum.n, weight * rest / stratum.n];
                let means = [-(sum / rest), sum / n];
                for here in &stratum.blocks {
                    let side = sides[here.block];
                    deviations[here.block] += weights[side] * (here.sum - means[side] * here.count);
                }
            }
        }
        let rows = self.deviations.chunks_exact(self.blocks).zip(&self.sums);
        for (statistic, (deviations, (sum, independent))) in self.statistics.iter_mut().zip(rows) {
            let variance = alike_in_blocks(deviations, sides).max(*independent);
            *statistic = if variance > 0.0 {
                sum / variance.sqrt()
            } else {
                0.0
            };
        }
        &self.statistics
    }
}

/// The variance of a sum over one side's blocks, estimated from how far blocks of each side are
/// from each other.
fn alike_in_blocks(deviations: &[f64], sides: &[usize]) -> f64 {
    let (mut window, mut other) = ((0.0, 0.0), (0.0, 0.0));
    for (deviation, side) in deviations.iter().zip(sides) {
        let here = f64::from(u8::from(*deviation != 0.0));
        let square = deviation * deviation;
        let is_window = *side == WINDOW;
        window.0 += if is_window { here } else { 0.0 };
        window.1 += if is_window { square } else { 0.0 };
        other.0 += if is_window { 0.0 } else { here };
        other.1 += if is_window { 0.0 } else { square };
    }
    [other, window]
        .iter()
        .map(|(blocks, squares)| {
            if *blocks > 1.0 {
                squares * blocks / (blocks - 1.0)
            } else {
                *squares
            }
        })
        .sum()
}

/// Number of ways to choose `k` of `n`; none: more than fit.
fn choices(n: usize, k: usize) -> Option<u64> {
    (0..k as u64).try_fold(1_u64, |choices, i| {
        Some(choices.checked_mul(n as u64 - i)? / (i + 1))
    })
}

/// The next choice of numbers below `n`, in the order of a dictionary; false: it was the last.
fn next_choice(choice: &mut [u32], n: u32) -> bool {
    let k = choice.len();
    let Some(index) = (0..k)
        .rev()
        .find(|index| choice[*index] < n - (k - index) as u32)
    else {
        return false;
    };
    choice[index] += 1;
    for later in index + 1..k {
        choice[later] = choice[later - 1] + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statistics::scores::{Total, TotalKind};

    /// One value for each block.
    fn scores(values: &[f64]) -> Scores {
        let pairs = values
            .iter()
            .enumerate()
            .map(|(block, value)| (*value, block))
            .collect();
        Scores::ranks(pairs)
    }

    fn alone(arrangements: &Arrangements, values: &[f64]) -> f64 {
        arrangements.p(&[scores(values)], &[vec![0]])[0].alone
    }

    #[test]
    fn all_choices_are_gone_through_where_there_are_few() {
        let arrangements = Arrangements::new(4, 5, 5_000, 1);
        assert!(arrangements.exact);
        assert_eq!(arrangements.len(), 126);
        assert_eq!(choices(20, 10), Some(184_756));
        assert_eq!(choices(500, 100), None);
        let drawn = Arrangements::new(10, 10, 5_000, 1);
        assert_eq!((drawn.exact, drawn.len()), (false, 5_000));
    }

    #[test]
    fn p_is_that_of_the_exact_rank_sum_test() {
        // scipy.stats.mannwhitneyu, alternative greater, method exact: 7/126.
        let values = [9.0, 8.0, 7.0, 12.0, 1.0, 2.0, 3.0, 4.0, 10.0];
        let expected = 0.055_555_555_6;
        let p = alone(&Arrangements::new(4, 5, 5_000, 1), &values);
        assert!((p - expected).abs() < 1e-9, "{p}");
        // The same with the sides' sizes exchanged: smaller values are in the window.
        let turned: Vec<f64> = values.iter().rev().map(|value| -value).collect();
        let p = alone(&Arrangements::new(5, 4, 5_000, 1), &turned);
        assert!((p - expected).abs() < 1e-9, "{p}");
    }

    #[test]
    fn a_second_row_that_says_nothing_costs_little() {
        let strong = scores(&[9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let weak = scores(&[1.0, 5.0, 2.0, 4.0, 3.0, 9.0, 2.0, 5.0, 1.0, 3.0, 9.0, 4.0]);
        let arrangements = Arrangements::new(6, 6, 5_000, 1);
        let rows = [vec![0], vec![1], vec![0, 1]];
        let [first, second, both] = arrangements.p(&[strong, weak], &rows)[..] else {
            panic!()
        };
        assert_eq!(first.alone, 1.0 / 924.0);
        assert_eq!(first.adjusted, 1.0 / 924.0);
        assert!(second.adjusted >= second.alone);
        assert!(
            first.alone < both.alone && both.alone < second.alone,
            "{both:?}"
        );
    }

    /// A busy window against a quiet baseline: 40 requests a block, four in five of them slow,
    /// against one request a block.
    #[test]
    fn more_requests_in_the_window_than_in_normal_time_do_no_harm() {
        let slow = |i: usize| {
            if i.is_multiple_of(5) {
                1.0 + i as f64 / 1e3
            } else {
                100.0 + i as f64
            }
        };
        let busy = (0..400).map(|i| (slow(i), i / 40));
        let quiet = (0..10).map(|i| (0.5 + i as f64 / 20.0, 10 + i));
        let ranks = Scores::ranks(busy.chain(quiet).collect());
        let p = Arrangements::new(10, 10, 5_000, 1).p(&[ranks], &[vec![0]]);
        assert!(p[0].alone < 0.002, "{p:?}");
    }

    /// One lookup in twenty misses on both sides, with ten times as many lookups in the window.
    #[test]
    fn the_same_share_of_more_is_no_difference() {
        let window = (0..10).map(|block| Total {
            block,
            sum: 2.0,
            of: 40.0,
        });
        let misses = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        let reference = misses.iter().enumerate().map(|(i, sum)| Total {
            block: 10 + i,
            sum: *sum,
            of: 4.0,
        });
        let totals: Vec<Total> = window.chain(reference).collect();
        let arrangements = Arrangements::new(10, 10, 5_000, 1);
        let p = arrangements.p(&[Scores::totals(&totals, TotalKind::Events)], &[vec![0]]);
        assert!(p[0].alone > 0.2, "{p:?}");
        let more: Vec<Total> = totals
            .iter()
            .map(|total| Total {
                sum: total.sum * if total.block < 10 { 4.0 } else { 1.0 },
                ..*total
            })
            .collect();
        let p = arrangements.p(&[Scores::totals(&more, TotalKind::Events)], &[vec![0]]);
        assert!(p[0].alone < 0.01, "{p:?}");
    }

    #[test]
    fn a_row_without_any_difference_has_no_p_to_speak_of() {
        let arrangements = Arrangements::new(6, 6, 5_000, 1);
        let p = arrangements.p(&[scores(&[1.0; 12])], &[vec![0], vec![]]);
        assert_eq!((p[0].alone, p[0].adjusted, p[1].alone), (1.0, 1.0, 1.0));
    }

    #[test]
    fn the_same_seed_gives_the_same_p() {
        let values: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11)).collect();
        let p = |seed| alone(&Arrangements::new(10, 14, 1_000, seed), &values);
        assert_eq!(p(5), p(5));
        assert_ne!(p(5), p(6));
    }

    #[test]
    fn what_does_not_differ_is_settled_early_and_is_not_called_rare() {
        // A row as it comes, against 1,000 and against 100,000 drawn arrangements.
        let values: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11)).collect();
        let few = alone(&Arrangements::new(10, 14, 1_000, 3), &values);
        let many = alone(&Arrangements::new(10, 14, 100_000, 3), &values);
        assert_eq!(few, many);
        assert!(few > 0.2, "{few}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Where nothing differs, a p of at most x comes in at most a share x of the cases. Here
        /// over all arrangements of the same numbers, so that it holds exactly.
        #[test]
        fn p_is_no_smaller_than_it_may_be(
            values in prop::collection::vec((0..20_u8, 0..8_usize), 8..40),
            others in prop::collection::vec((0..20_u8, 0..8_usize), 8..40),
        ) {
            let mut adjusted = Vec::new();
            let mut choice: Vec<u32> = (0..4).collect();
            loop {
                // The chosen blocks become the first four.
                let chosen = |block: &u32| choice.contains(block);
                let (a, b): (Vec<u32>, Vec<u32>) = (0..8).partition(chosen);
                let order: Vec<u32> = a.into_iter().chain(b).collect();
                let place = |block: usize| order.iter().position(|at| *at as usize == block).unwrap();
                let arranged = |of: &[(u8, usize)]| {
                    let pairs = of.iter().map(|(value, block)| (f64::from(*value), place(*block)));
                    Scores::ranks(pairs.collect())
                };
                let strata = [arranged(&values), arranged(&others)];
                let rows = [vec![0], vec![1], vec![0, 1]];
                let p = Arrangements::new(4, 4, 100, 1).p(&strata, &rows);
                adjusted.push(p.iter().map(|p| p.adjusted).fold(1.0, f64::min));
                if !next_choice(&mut choice, 8) {
                    break;
                }
            }
            for level in [0.05, 0.1, 0.25, 0.5] {
                let share = adjusted.iter().filter(|p| **p <= level).count() as f64 / 70.0;
                prop_assert!(share <= level + 1e-9, "{share} at {level}");
            }
        }
    }
}

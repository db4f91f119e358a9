//! p by rearranging blocks of time: if nothing differs, any choice of the blocks could have been
//! the window. All choices are gone through where there are few, else some are drawn.

#![allow(
    clippy::needless_range_loop,
    reason = "several arrays are gone through at once, by lane"
)]

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
        let mut gone_through = 0;
        let chosen = self.chosen.max(1);
        'all: for choices in self.members.chunks(LANES * chosen) {
            let choices = choices.chunks_exact(chosen);
            let lanes = choices.len();
            work.statistics(choices, self.window_is_chosen);
            for lane in 0..lanes {
                let statistics = work.statistics.iter().map(|of_row| of_row[lane]);
                if observed.is_empty() {
                    observed = statistics.clone().map(|of| of - 1e-9).collect();
                }
                let largest = statistics.clone().fold(f64::NEG_INFINITY, f64::max);
                for ((count, statistic), observed) in
                    counts.iter_mut().zip(statistics).zip(&observed)
                {
                    count.0 += usize::from(statistic >= *observed);
                    count.1 += usize::from(largest >= *observed);
                }
                gone_through += 1;
                if !self.exact && counts.iter().all(|count| count.0.min(count.1) >= SETTLED) {
                    break 'all;
                }
            }
        }
        let share = |(alone, adjusted): (usize, usize)| P {
            alone: alone as f64 / gone_through as f64,
            adjusted: adjusted as f64 / gone_through as f64,
        };
        counts.into_iter().map(share).collect()
    }
}

/// So many arrangements are gone through side by side, each by the same operations in the same order
/// as by itself.
const LANES: usize = 8;

/// A number of each arrangement that is gone through.
type Lanes = [f64; LANES];

/// Of each arrangement: all bits are set where a block is the window's, else none.
type Sides = [u64; LANES];

/// One of two numbers, without a branch.
#[inline]
fn choose(side: u64, window: f64, other: f64) -> f64 {
    f64::from_bits(window.to_bits() & side | other.to_bits() & !side)
}

/// What is needed to go through arrangements, made once.
struct Work<'a> {
    strata: &'a [Scores],
    /// Rows that each stratum is in, with its weight there.
    parts: Vec<Vec<(usize, f64)>>,
    /// By block: whose it is.
    sides: Vec<Sides>,
    /// By row and block: how far the block is from what its side has on average.
    deviations: Vec<Lanes>,
    /// By row: the sum of ranks in the window, and its variance if all values were independent.
    sums: Vec<[Lanes; 2]>,
    /// By row.
    statistics: Vec<Lanes>,
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
            sides: vec![[0; LANES]; blocks],
            deviations: vec![[0.0; LANES]; rows.len() * blocks],
            sums: vec![[[0.0; LANES]; 2]; rows.len()],
            statistics: vec![[0.0; LANES]; rows.len()],
            blocks,
        }
    }

    /// Finds the statistic of each row, for arrangements that are given by the blocks of one side.
    ///
    /// Which side a block is on is as good as random, and this is gone through millions of times: so
    /// values are chosen, and there is no branch.
    fn statistics<'c>(&mut self, choices: impl Iterator<Item = &'c [u32]>, window_is_chosen: bool) {
        let (chosen, rest) = match window_is_chosen {
            true => (u64::MAX, 0),
            false => (0, u64::MAX),
        };
        self.sides.fill([rest; LANES]);
        for (lane, choice) in choices.enumerate() {
            for block in choice {
                self.sides[*block as usize][lane] = chosen;
            }
        }
        self.sums.fill([[0.0; LANES]; 2]);
        self.deviations.fill([0.0; LANES]);
        for (stratum, parts) in self.strata.iter().zip(&self.parts) {
            let in_window = InWindow::new(stratum, &self.sides);
            for &(row, weight) in parts {
                in_window.add_to(&mut self.sums[row], weight);
                let deviations = &mut self.deviations[row * self.blocks..][..self.blocks];
                in_window.add_deviations(deviations, stratum, &self.sides, weight);
            }
        }
        let rows = self.deviations.chunks_exact(self.blocks).zip(&self.sums);
        for (statistic, (deviations, [sum, independent])) in self.statistics.iter_mut().zip(rows) {
            let alike = alike_in_blocks(deviations, &self.sides);
            for lane in 0..LANES {
                let variance = alike[lane].max(independent[lane]);
                statistic[lane] = if variance > 0.0 {
                    sum[lane] / variance.sqrt()
                } else {
                    0.0
                };
            }
        }
    }
}

/// What a stratum has in the window.
struct InWindow {
    /// Sum of its scores.
    sum: Lanes,
    /// How many values it has in the window, and how many elsewhere; 0 and 0 where all are on one
    /// side, so that it says nothing.
    n: Lanes,
    rest: Lanes,
    /// The variance of the sum if all values were independent.
    independent: Lanes,
}

impl InWindow {
    fn new(stratum: &Scores, sides: &[Sides]) -> Self {
        let (mut sum, mut n) = ([0.0; LANES], [0.0; LANES]);
        for here in &stratum.blocks {
            let sides = &sides[here.block];
            for lane in 0..LANES {
                sum[lane] += choose(sides[lane], here.sum, 0.0);
                n[lane] += choose(sides[lane], here.count, 0.0);
            }
        }
        let (mut rest, mut independent) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            rest[lane] = stratum.n - n[lane];
            if n[lane] == 0.0 || rest[lane] == 0.0 {
                (sum[lane], n[lane], rest[lane]) = (0.0, 0.0, 0.0);
                continue;
            }
            // Of a sum of n out of N numbers with mean 0: n (N − n) / (N (N − 1)) Σ x².
            let pairs = n[lane] * rest[lane] / (stratum.n * (stratum.n - 1.0).max(1.0));
            independent[lane] = pairs * stratum.squares;
        }
        Self {
            sum,
            n,
            rest,
            independent,
        }
    }

    fn add_to(&self, [sum, independent]: &mut [Lanes; 2], weight: f64) {
        for lane in 0..LANES {
            sum[lane] += weight * self.sum[lane];
            independent[lane] += weight * weight * self.independent[lane];
        }
    }

    /// Adds how far blocks are from what their side has on average.
    fn add_deviations(
        &self,
        deviations: &mut [Lanes],
        stratum: &Scores,
        sides: &[Sides],
        weight: f64,
    ) {
        // Zeros where the stratum says nothing.
        let ratio = |of: f64, n: f64| if n == 0.0 { 0.0 } else { of / n };
        let (mut means, mut weights) = ([[0.0; LANES]; 2], [[0.0; LANES]; 2]);
        for lane in 0..LANES {
            let (sum, n, rest) = (self.sum[lane], self.n[lane], self.rest[lane]);
            (means[0][lane], means[1][lane]) = (ratio(sum, n), -ratio(sum, rest));
            weights[0][lane] = ratio(weight * rest, stratum.n);
            weights[1][lane] = ratio(weight * n, stratum.n);
        }
        for here in &stratum.blocks {
            let (deviations, sides) = (&mut deviations[here.block], &sides[here.block]);
            for lane in 0..LANES {
                let side = sides[lane];
                let mean = choose(side, means[0][lane], means[1][lane]);
                let weight = choose(side, weights[0][lane], weights[1][lane]);
                deviations[lane] += weight * (here.sum - mean * here.count);
            }
        }
    }
}

/// The variance of a sum over one side's blocks, estimated from how far blocks of each side are
/// from each other.
fn alike_in_blocks(deviations: &[Lanes], sides: &[Sides]) -> Lanes {
    // Of window and other side: blocks, squares.
    let (mut blocks, mut squares) = ([[0.0; LANES]; 2], [[0.0; LANES]; 2]);
    for (deviations, sides) in deviations.iter().zip(sides) {
        for lane in 0..LANES {
            let (deviation, side) = (deviations[lane], sides[lane]);
            let here = if deviation != 0.0 { 1.0 } else { 0.0 };
            let square = deviation * deviation;
            blocks[0][lane] += choose(side, here, 0.0);
            blocks[1][lane] += choose(side, 0.0, here);
            squares[0][lane] += choose(side, square, 0.0);
            squares[1][lane] += choose(side, 0.0, square);
        }
    }
    let of_side = |side: usize, lane: usize| {
        let (blocks, squares): (f64, f64) = (blocks[side][lane], squares[side][lane]);
        if blocks > 1.0 {
            squares * blocks / (blocks - 1.0)
        } else {
            squares
        }
    };
    std::array::from_fn(|lane| of_side(1, lane) + of_side(0, lane))
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

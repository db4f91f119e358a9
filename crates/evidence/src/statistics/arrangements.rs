//! p by rearranging blocks of time: if nothing differs, any choice of the blocks could have been the
//! window. All choices are gone through where there are few, else some are drawn.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

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

/// The p of one row of block sums.
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

    /// The one-sided p of each row: of how few arrangements the blocks of the window have sums as
    /// large. A row has a number for each block and sums to 0; of ranks these are centred rank sums,
    /// so that the sum over the window's blocks is Wilcoxon's statistic. Sums are divided by their
    /// standard deviation over all arrangements, which makes rows comparable.
    pub(crate) fn p(&self, rows: &[Vec<f64>]) -> Vec<P> {
        let scales: Vec<f64> = rows.iter().map(|row| self.scale(row)).collect();
        // By block, so that the innermost loop runs over neighbours.
        let by_block: Vec<f64> = (0..self.blocks)
            .flat_map(|block| {
                rows.iter()
                    .zip(&scales)
                    .map(move |(row, scale)| row[block] * scale)
            })
            .collect();
        let mut observed: Vec<f64> = Vec::new();
        let mut counts = vec![(0_usize, 0_usize); rows.len()];
        let mut sums = vec![0.0; rows.len()];
        for choice in self.members.chunks_exact(self.chosen.max(1)) {
            sums.fill(0.0);
            for block in choice {
                let from = *block as usize * rows.len();
                let scaled = &by_block[from..from + rows.len()];
                sums.iter_mut()
                    .zip(scaled)
                    .for_each(|(sum, value)| *sum += value);
            }
            if observed.is_empty() {
                observed = sums.iter().map(|sum| sum - 1e-9).collect();
            }
            let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for ((count, sum), observed) in counts.iter_mut().zip(&sums).zip(&observed) {
                count.0 += usize::from(sum >= observed);
                count.1 += usize::from(largest >= *observed);
            }
        }
        let all = self.len() as f64;
        counts
            .iter()
            .map(|(alone, adjusted)| P {
                alone: *alone as f64 / all,
                adjusted: *adjusted as f64 / all,
            })
            .collect()
    }

    /// What a sum over the chosen blocks is multiplied with: the sign that makes more in the window
    /// larger, over the standard deviation. That of a sum of `k` out of `n` numbers with mean 0 is
    /// √(k (n − k) / (n (n − 1)) Σ x²). 0 where all numbers are the same.
    fn scale(&self, row: &[f64]) -> f64 {
        let (n, k) = (self.blocks as f64, self.chosen as f64);
        let squares: f64 = row.iter().map(|x| x * x).sum();
        let variance = k * (n - k) / (n * (n - 1.0)) * squares;
        let sign = if self.window_is_chosen { 1.0 } else { -1.0 };
        if variance > 0.0 {
            sign / variance.sqrt()
        } else {
            0.0
        }
    }
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

    /// Row of centred values, one for each block.
    fn row(values: &[f64]) -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect()
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
    fn p_is_that_of_the_exact_permutation_test() {
        // scipy.stats.permutation_test of the sum, alternative greater: 4/126.
        let values = [9.0, 8.0, 7.0, 12.0, 1.0, 2.0, 3.0, 4.0, 10.0];
        let p = Arrangements::new(4, 5, 5_000, 1).p(&[row(&values)]);
        assert!((p[0].alone - 0.031_746_031_7).abs() < 1e-9, "{p:?}");
        // The same with the sides' sizes exchanged: smaller values are in the window.
        let turned: Vec<f64> = values.iter().rev().map(|value| -value).collect();
        let p = Arrangements::new(5, 4, 5_000, 1).p(&[row(&turned)]);
        assert!((p[0].alone - 0.031_746_031_7).abs() < 1e-9, "{p:?}");
    }

    #[test]
    fn a_second_row_that_says_nothing_costs_little() {
        let strong = row(&[9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let weak = row(&[1.0, 5.0, 2.0, 4.0, 3.0, 9.0, 2.0, 5.0, 1.0, 3.0, 9.0, 4.0]);
        let arrangements = Arrangements::new(6, 6, 5_000, 1);
        let [first, second] = arrangements.p(&[strong, weak])[..] else {
            panic!()
        };
        assert_eq!(first.alone, 1.0 / 924.0);
        assert_eq!(first.adjusted, 1.0 / 924.0);
        assert!(second.adjusted >= second.alone);
    }

    #[test]
    fn a_row_without_any_difference_has_no_p_to_speak_of() {
        let arrangements = Arrangements::new(6, 6, 5_000, 1);
        let p = arrangements.p(&[vec![0.0; 12]]);
        assert_eq!((p[0].alone, p[0].adjusted), (1.0, 1.0));
    }

    #[test]
    fn the_same_seed_gives_the_same_p() {
        let values: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11)).collect();
        let p = |seed| Arrangements::new(10, 14, 1_000, seed).p(&[row(&values)]);
        assert_eq!(p(5), p(5));
        assert_ne!(p(5), p(6));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Where nothing differs, a p of at most x comes in at most a share x of the cases. Here over
        /// all arrangements of the same numbers, so that it holds exactly.
        #[test]
        fn p_is_no_smaller_than_it_may_be(
            values in prop::collection::vec(0..20_u8, 8),
            others in prop::collection::vec(0..20_u8, 8),
        ) {
            let mut adjusted = Vec::new();
            let mut choice: Vec<u32> = (0..4).collect();
            loop {
                let chosen = |index: &usize| choice.contains(&(*index as u32));
                let (a, b): (Vec<usize>, Vec<usize>) = (0..8).partition(chosen);
                let order: Vec<usize> = a.into_iter().chain(b).collect();
                let arranged = |of: &[u8]| -> Vec<f64> {
                    row(&order.iter().map(|index| f64::from(of[*index])).collect::<Vec<_>>())
                };
                let p = Arrangements::new(4, 4, 100, 1).p(&[arranged(&values), arranged(&others)]);
                adjusted.push(p[0].adjusted.min(p[1].adjusted));
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

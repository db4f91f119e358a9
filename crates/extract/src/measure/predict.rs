//! Whether the label of a time can be told from what was sent alone: from the mix of requests, or from
//! their number a second.
//!
//! Steady time is cut into blocks of a second. The blocks of each window are split into two halves,
//! one after the other, so that neighbours do not tell each other's label. Where windows lie in a load
//! that goes on all the time, each stays whole, as does the time between two, and those of a type go to
//! the halves in turns. Each half is told by the nearest centroid of the other one. What is compared is the square root of shares (Hellinger's
//! distance) or of counts (which makes the scatter of Poisson counts the same at every rate). Design:
//! `docs/design/0058-what-tells-the-label.md`.

use std::collections::BTreeMap;

use loadgen_timeline::audit::{Predictor, ToldBlocks};
use loadgen_timeline::condition::UNKNOWN_CONDITION;

use super::RunFacts;
use crate::label::survey::Gathered;
use crate::label::truth::Truth;

/// Length of a block, in nanoseconds; longer where slices of arrivals are.
const BLOCK_NS: i64 = 1_000_000_000;

/// Fewest blocks of a type in either half.
const LEAST_BLOCKS: usize = 2;

/// What the label is told from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Shares of steps among all requests.
    Mix,
    /// The number of requests.
    Rate,
}

/// Blocks of steady time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    block_ns: i64,
    /// By window, in the order of time.
    windows: BTreeMap<usize, Vec<Block>>,
    /// Of stretches that stay whole, each with one type, in the order of time.
    whole: Vec<Vec<Block>>,
}

/// One block.
#[derive(Debug, Clone)]
struct Block {
    anomaly_type: String,
    /// Requests sent in it, by step.
    sent: Vec<u64>,
}

/// The blocks of a run, by its ledger.
pub(crate) fn blocks(truth: &Truth, gathered: &Gathered, run: &RunFacts) -> Blocks {
    let arrivals = &gathered.arrivals;
    let slices_of_a_block = (BLOCK_NS + arrivals.slice_ns() - 1) / arrivals.slice_ns();
    let mut blocks = Blocks {
        block_ns: slices_of_a_block * arrivals.slice_ns(),
        windows: BTreeMap::new(),
        whole: Vec::new(),
    };
    if arrivals.steps() == 0 {
        return blocks;
    }
    let conditions = &truth.conditions;
    let stretches = conditions.stretches().iter();
    let in_a_load = in_a_load(truth, gathered);
    for stretch in stretches.filter(|s| s.condition != UNKNOWN_CONDITION) {
        let Some(&window) = stretch.windows.first() else {
            continue;
        };
        let anomaly_type = conditions.all()[stretch.condition].anomaly_type();
        let mut of_stretch = Vec::new();
        for steady in run.phases.steady_in(stretch.time) {
            let slices = arrivals.sent_in(steady);
            for slices in slices.chunks_exact(slices_of_a_block as usize) {
                let mut sent = vec![0; arrivals.steps()];
                for (step, requests) in slices.iter().flat_map(|(_, sent)| sent) {
                    sent[*step] += requests;
                }
                of_stretch.push(Block {
                    anomaly_type: anomaly_type.clone(),
                    sent,
                });
            }
        }
        if !stretch.windows.iter().any(|window| in_a_load[*window]) {
            blocks.windows.entry(window).or_default().extend(of_stretch);
        } else if !of_stretch.is_empty() {
            blocks.whole.push(of_stretch);
        }
    }
    blocks
}

/// By window: it sends nothing itself, or holds one that does not.
fn in_a_load(truth: &Truth, gathered: &Gathered) -> Vec<bool> {
    let mut found = vec![false; gathered.windows.len()];
    let stretches = truth.conditions.stretches().iter();
    for stretch in stretches.filter(|stretch| stretch.windows.len() > 1) {
        let sends_nothing = |window: &usize| gathered.windows[*window].requests == 0;
        if stretch.windows.iter().any(sends_nothing) {
            stretch
                .windows
                .iter()
                .for_each(|window| found[*window] = true);
        }
    }
    found
}

/// How well a feature tells the label; none: there are too few types or blocks.
pub(crate) fn predict(blocks: &Blocks, feature: Feature) -> Option<Predictor> {
    // By half and type.
    let mut halves: [BTreeMap<&str, Vec<Vec<f64>>>; 2] = Default::default();
    // By type: how many there are that don't depend on each other.
    let mut independent: BTreeMap<&str, u64> = BTreeMap::new();
    for of_window in blocks.windows.values() {
        let points = of_window
            .iter()
            .filter_map(|block| Some((block, point(block, feature)?)));
        let points: Vec<(&Block, Vec<f64>)> = points.collect();
        let middle = points.len() / 2;
        for (index, (block, point)) in points.into_iter().enumerate() {
            let half = &mut halves[usize::from(index >= middle)];
            half.entry(&block.anomaly_type).or_default().push(point);
            *independent.entry(&block.anomaly_type).or_default() += 1;
        }
    }
    for of_stretch in &blocks.whole {
        let points = of_stretch.iter().filter_map(|block| point(block, feature));
        let points: Vec<Vec<f64>> = points.collect();
        let Some(first) = of_stretch.first().filter(|_| !points.is_empty()) else {
            continue;
        };
        // The rate of a load is alike for as long as a stretch lasts: it counts once.
        let before = independent.entry(&first.anomaly_type).or_default();
        let half = &mut halves[(*before % 2) as usize];
        half.entry(&first.anomaly_type).or_default().extend(points);
        *before += 1;
    }
    let enough = |half: &BTreeMap<&str, Vec<Vec<f64>>>, kind: &str| {
        half.get(kind)
            .is_some_and(|points| points.len() >= LEAST_BLOCKS)
    };
    let kinds: Vec<&str> = halves[0].keys().copied().collect();
    let kinds: Vec<&str> = kinds
        .into_iter()
        .filter(|kind| halves.iter().all(|half| enough(half, kind)))
        .collect();
    if kinds.len() < 2 {
        return None;
    }
    let mut types: BTreeMap<String, ToldBlocks> = BTreeMap::new();
    for (tested, trained) in [(0, 1), (1, 0)] {
        let centroids: Vec<Vec<f64>> = kinds
            .iter()
            .map(|kind| centroid(&halves[trained][kind]))
            .collect();
        for (kind, own) in kinds.iter().enumerate() {
            let told = types.entry((*own).to_owned()).or_default();
            for point in &halves[tested][own] {
                told.blocks += 1;
                told.told += u64::from(nearest(&centroids, point) == kind);
            }
        }
    }
    let number = types.len() as f64;
    let chance = 1.0 / number;
    let share = |of: &ToldBlocks| of.told as f64 / of.blocks as f64;
    // Guesses are right independently of each other with the probability `chance`.
    let variance = |kind: &String| {
        let number = independent.get(kind.as_str()).copied().unwrap_or(1);
        chance * (1.0 - chance) / number as f64
    };
    Some(Predictor {
        balanced_accuracy: types.values().map(share).sum::<f64>() / number,
        chance,
        chance_error: types.keys().map(variance).sum::<f64>().sqrt() / number,
        block_s: blocks.block_ns as f64 / 1e9,
        types,
    })
}

/// Where a block lies; none: nothing was sent in it, so that it has no mix.
fn point(block: &Block, feature: Feature) -> Option<Vec<f64>> {
    let all: u64 = block.sent.iter().sum();
    match feature {
        Feature::Rate => Some(vec![(all as f64).sqrt()]),
        Feature::Mix if all == 0 => None,
        Feature::Mix => {
            let share = |sent: &u64| (*sent as f64 / all as f64).sqrt();
            Some(block.sent.iter().map(share).collect())
        }
    }
}

fn centroid(points: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; points.first().map_or(0, Vec::len)];
    for point in points {
        sum.iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
    }
    sum.iter().map(|sum| sum / points.len() as f64).collect()
}

/// The first of those that are nearest.
fn nearest(centroids: &[Vec<f64>], point: &[f64]) -> usize {
    let distance = |centroid: &Vec<f64>| -> f64 {
        centroid
            .iter()
            .zip(point)
            .map(|(a, b)| (a - b).powi(2))
            .sum()
    };
    let distances = centroids.iter().map(distance).enumerate();
    let best = distances.min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 20 blocks, each with its type and what its blocks send by step; counts scatter by
    /// up to 2 in a pattern that no type owns.
    fn windows(of: &[(&str, [u64; 3])]) -> Blocks {
        let mut scatter = 1u64;
        let mut count = |mean: u64| {
            scatter = scatter
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            mean + (scatter >> 33) % 5 - 2
        };
        let windows = of.iter().enumerate().map(|(window, (kind, means))| {
            let blocks = (0..20).map(|_| Block {
                anomaly_type: (*kind).to_owned(),
                sent: means.iter().map(|mean| count(*mean)).collect(),
            });
            (window, blocks.collect())
        });
        Blocks {
            block_ns: BLOCK_NS,
            windows: windows.collect(),
            whole: Vec::new(),
        }
    }

    #[test]
    fn in_a_load_that_goes_on_whole_stretches_are_left_out() {
        // Each stretch has a rate of its own, for its length.
        let stretches = |rates: &[(&str, u64)]| Blocks {
            block_ns: BLOCK_NS,
            windows: BTreeMap::new(),
            whole: (rates.iter())
                .map(|(kind, rate)| {
                    let block = Block {
                        anomaly_type: (*kind).to_owned(),
                        sent: vec![*rate],
                    };
                    vec![block; 20]
                })
                .collect(),
        };
        // Halves of one stretch would tell each other.
        let once = stretches(&[("none", 10), ("timeout", 50), ("none", 60)]);
        assert_eq!(predict(&once, Feature::Rate), None);
        let twice = stretches(&[("none", 10), ("timeout", 50), ("none", 60), ("timeout", 20)]);
        let found = predict(&twice, Feature::Rate).expect("enough");
        assert_eq!(found.balanced_accuracy, 0.0);
        // Two of each are four, and not eighty.
        assert!((found.chance_error - (0.25f64 / 2.0 * 2.0).sqrt() / 2.0).abs() < 1e-12);
        let told = stretches(&[("none", 10), ("timeout", 50), ("none", 12), ("timeout", 48)]);
        assert_eq!(
            predict(&told, Feature::Rate)
                .expect("enough")
                .balanced_accuracy,
            1.0
        );
    }

    #[test]
    fn another_mix_tells_the_label_and_the_same_mix_does_not() {
        let other = windows(&[("none", [30, 10, 10]), ("timeout", [10, 30, 10])]);
        let found = predict(&other, Feature::Mix).expect("enough");
        assert_eq!((found.balanced_accuracy, found.chance), (1.0, 0.5));
        assert_eq!(
            found.types["timeout"],
            ToldBlocks {
                blocks: 20,
                told: 20
            }
        );
        let same = windows(&[("none", [30, 10, 10]), ("timeout", [30, 10, 10])]);
        let found = predict(&same, Feature::Mix).expect("enough");
        assert!(
            (found.balanced_accuracy - 0.5).abs() < 3.0 * found.chance_error,
            "{found:?}"
        );
        assert!((found.chance_error - (0.25f64 / 20.0 * 2.0).sqrt() / 2.0).abs() < 1e-12);
    }

    #[test]
    fn another_rate_tells_the_label_although_the_mix_is_the_same() {
        let windows = windows(&[("none", [30, 30, 30]), ("timeout", [90, 90, 90])]);
        let rate = predict(&windows, Feature::Rate).expect("enough");
        assert_eq!(rate.balanced_accuracy, 1.0);
        let mix = predict(&windows, Feature::Mix).expect("enough");
        assert!(
            (mix.balanced_accuracy - 0.5).abs() < 3.0 * mix.chance_error,
            "{mix:?}"
        );
    }

    #[test]
    fn a_mix_that_changes_within_windows_is_not_learned_by_heart() {
        // Each window goes from one mix to another: what the first half teaches is wrong of the second.
        let mut windows = windows(&[("none", [10, 10, 10]), ("timeout", [10, 10, 10])]);
        for (window, blocks) in &mut windows.windows {
            for (index, block) in blocks.iter_mut().enumerate() {
                block.sent[(index / 10 + window) % 2] += 50;
            }
        }
        let found = predict(&windows, Feature::Mix).expect("enough");
        assert_eq!(found.balanced_accuracy, 0.0);
    }

    #[test]
    fn one_type_and_windows_that_are_too_short_say_nothing() {
        let one = windows(&[("none", [30, 10, 10]), ("none", [10, 30, 10])]);
        assert_eq!(predict(&one, Feature::Mix), None);
        let mut short = windows(&[("none", [30, 10, 10]), ("timeout", [10, 30, 10])]);
        short.windows.get_mut(&1).expect("a window").truncate(3);
        assert_eq!(predict(&short, Feature::Rate), None);
    }
}

//! Properties of estimates and intervals. All random numbers have fixed seeds, so that a test that
//! passes once passes always.

use loadgen_compare::statistics::{Kind, SortedValues, paired_quantiles, paired_scalars};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Normal};

fn scalars() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((0.1..1000.0, 0.1..1000.0), 1..8)
}

fn samples() -> impl Strategy<Value = Vec<(Vec<f64>, Vec<f64>)>> {
    let sample = || prop::collection::vec(0.1..1000.0, 100..200);
    prop::collection::vec((sample(), sample()), 1..4)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Relative), Just(Kind::Absolute)]
}

fn of(
    pairs: &[(Vec<f64>, Vec<f64>)],
    change: impl Fn(f64) -> f64,
) -> Vec<(SortedValues, SortedValues)> {
    let sample = |values: &[f64]| SortedValues::new(values.to_vec());
    let changed = |values: &[f64]| SortedValues::new(values.iter().map(|v| change(*v)).collect());
    pairs.iter().map(|(a, b)| (sample(a), changed(b))).collect()
}

fn quantiles(
    pairs: &[(SortedValues, SortedValues)],
    p: f64,
    kind: Kind,
) -> loadgen_compare::statistics::MeanDifference {
    let pairs: Vec<(&SortedValues, &SortedValues)> = pairs.iter().map(|(a, b)| (a, b)).collect();
    paired_quantiles(&pairs, p, kind, 1).unwrap()
}

fn close(x: f64, y: f64) -> bool {
    (x - y).abs() <= 1e-6 * (1.0 + x.abs().max(y.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_interval_contains_its_estimate(pairs in scalars(), kind in kinds()) {
        let estimate = paired_scalars(&pairs, kind, 1).unwrap();
        prop_assert_eq!(estimate.interval.is_some(), pairs.len() > 1);
        if let Some((low, high)) = estimate.interval {
            prop_assert!(low <= estimate.mean && estimate.mean <= high);
        }
    }

    #[test]
    fn an_interval_of_quantiles_contains_its_estimate(pairs in samples(), kind in kinds()) {
        let estimate = quantiles(&of(&pairs, |v| v), 0.9, kind);
        let (low, high) = estimate.interval.unwrap();
        prop_assert!(low <= estimate.mean && estimate.mean <= high);
    }

    #[test]
    fn the_same_numbers_give_the_same_interval(pairs in samples()) {
        let pairs = of(&pairs, |v| v);
        prop_assert_eq!(
            quantiles(&pairs, 0.5, Kind::Relative),
            quantiles(&pairs, 0.5, Kind::Relative)
        );
    }

    /// Whoever measures in seconds sees the same percentages as whoever measures in milliseconds.
    #[test]
    fn relative_differences_have_no_unit(pairs in scalars(), unit in 0.001..1000.0) {
        let other: Vec<_> = pairs.iter().map(|(a, b)| (a * unit, b * unit)).collect();
        let x = paired_scalars(&pairs, Kind::Relative, 1).unwrap();
        let y = paired_scalars(&other, Kind::Relative, 1).unwrap();
        prop_assert!(close(x.mean, y.mean));
        if let (Some(x), Some(y)) = (x.interval, y.interval) {
            prop_assert!(close(x.0, y.0) && close(x.1, y.1), "{:?} {:?}", x, y);
        }
    }

    #[test]
    fn a_factor_on_one_side_is_that_factor_on_the_ratio(pairs in samples(), factor in 0.1..10.0) {
        let x = quantiles(&of(&pairs, |v| v), 0.5, Kind::Relative);
        let y = quantiles(&of(&pairs, |v| v * factor), 0.5, Kind::Relative);
        let ratio = |percent: f64| 1.0 + percent / 100.0;
        let (x_low, x_high) = x.interval.unwrap();
        let (y_low, y_high) = y.interval.unwrap();
        for (x, y) in [(x.mean, y.mean), (x_low, y_low), (x_high, y_high)] {
            prop_assert!(close(ratio(x) * factor, ratio(y)), "{} {}", x, y);
        }
    }

    #[test]
    fn a_constant_on_one_side_is_that_constant_on_the_difference(
        pairs in samples(),
        constant in -100.0..100.0,
    ) {
        let x = quantiles(&of(&pairs, |v| v), 0.5, Kind::Absolute);
        let y = quantiles(&of(&pairs, |v| v + constant), 0.5, Kind::Absolute);
        let (x_low, x_high) = x.interval.unwrap();
        let (y_low, y_high) = y.interval.unwrap();
        for (x, y) in [(x.mean, y.mean), (x_low, y_low), (x_high, y_high)] {
            prop_assert!(close(x + constant, y), "{} {}", x, y);
        }
    }

    #[test]
    fn sides_can_be_swapped(pairs in scalars()) {
        let swapped: Vec<_> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        let x = paired_scalars(&pairs, Kind::Relative, 1).unwrap();
        let y = paired_scalars(&swapped, Kind::Relative, 1).unwrap();
        prop_assert!(close((1.0 + x.mean / 100.0) * (1.0 + y.mean / 100.0), 1.0));
    }
}

#[test]
fn what_is_equal_by_construction_is_equal() {
    let estimate = paired_scalars(&[(361.0, 361.0); 3], Kind::Relative, 1).unwrap();
    assert_eq!((estimate.mean, estimate.interval), (0.0, Some((0.0, 0.0))));
}

#[test]
fn nothing_is_said_of_nothing() {
    assert_eq!(paired_scalars(&[], Kind::Absolute, 1), None);
    assert_eq!(paired_scalars(&[(0.0, 1.0)], Kind::Relative, 1), None);
    assert_eq!(paired_quantiles(&[], 0.5, Kind::Absolute, 1), None);
    let empty = SortedValues::default();
    assert_eq!(
        paired_quantiles(&[(&empty, &empty)], 0.5, Kind::Absolute, 1),
        None
    );
}

/// Share of trials in which the interval contains the truth, in percent.
fn coverage(trials: u64, mut covers: impl FnMut(&mut ChaCha8Rng) -> bool) -> f64 {
    let covered = (0..trials).filter(|trial| covers(&mut ChaCha8Rng::seed_from_u64(*trial)));
    100.0 * covered.count() as f64 / trials as f64
}

/// The reason for widening: percentiles alone would cover 75 % with three pairs, the range of the
/// three.
#[test]
fn few_pairs_are_covered_as_often_as_is_said() {
    for n in [3, 5, 10] {
        let normal = Normal::new(2.0, 5.0).unwrap();
        let share = coverage(400, |rng| {
            let pairs: Vec<_> = (0..n).map(|_| (0.0, normal.sample(rng))).collect();
            let estimate = paired_scalars(&pairs, Kind::Absolute, 1).unwrap();
            let (low, high) = estimate.interval.unwrap();
            low <= 2.0 && 2.0 <= high
        });
        println!("{n} pairs: {share} %");
        assert!((91.0..=98.5).contains(&share), "{n} pairs: {share} %");
    }
}

#[test]
fn quantiles_of_one_pair_are_covered_as_often_as_is_said() {
    // Both sides are alike but for a factor of 1.2.
    let latency = LogNormal::new(1.0, 0.8).unwrap();
    let share = coverage(200, |rng| {
        let a = SortedValues::new((0..400).map(|_| latency.sample(rng)).collect());
        let b = SortedValues::new((0..400).map(|_| 1.2 * latency.sample(rng)).collect());
        let estimate = paired_quantiles(&[(&a, &b)], 0.95, Kind::Relative, 1).unwrap();
        let (low, high) = estimate.interval.unwrap();
        low <= 20.0 && 20.0 <= high
    });
    println!("p95 of one pair: {share} %");
    assert!((91.0..=98.5).contains(&share), "{share} %");
}

/// Runs that differ from each other by more than chance within them explains.
#[test]
fn quantiles_of_three_pairs_are_covered_at_least_as_often_as_is_said() {
    let latency = LogNormal::new(1.0, 0.8).unwrap();
    let run = Normal::new(0.0, 0.1).unwrap();
    let share = coverage(200, |rng| {
        let mut side = |factor: f64| {
            let factor = factor * f64::exp(run.sample(rng));
            SortedValues::new((0..300).map(|_| factor * latency.sample(rng)).collect())
        };
        let pairs: Vec<_> = (0..3).map(|_| (side(1.0), side(1.2))).collect();
        let (low, high) = quantiles(&pairs, 0.5, Kind::Relative).interval.unwrap();
        low <= 20.0 && 20.0 <= high
    });
    println!("p50 of three pairs: {share} %");
    assert!(share >= 93.0, "{share} %");
}

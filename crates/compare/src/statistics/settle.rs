//! How many pairs would settle what is undecided.

use super::bootstrap::student_97_5;
use super::{FigureVerdict, Kind, MeanDifference, verdict};

/// Beyond so many nobody repeats.
pub const MOST_REPETITIONS: usize = 1000;

/// How many pairs in all would settle a difference that is undecided, if its mean and its spread stay
/// as they are: an interval over n pairs is as wide as Student's t for n over the root of n. None: it
/// is settled, there is no interval over pairs to begin with, or not even [`MOST_REPETITIONS`] would
/// do.
///
/// It is a guess: mean and spread of a few pairs are guesses themselves. Where the mean lies near the
/// tolerance no number of pairs settles it soon.
pub fn pairs_to_settle(estimate: &MeanDifference, kind: Kind, tolerance: f64) -> Option<usize> {
    let now = estimate.by_pair.len();
    let (low, high) = estimate.interval.filter(|_| now > 1)?;
    if verdict(Some((low, high)), tolerance) != FigureVerdict::NotEnoughData {
        return None;
    }
    let scaled = |value: f64| kind.rescaled(value);
    let (mean, low, high) = (scaled(estimate.mean)?, scaled(low)?, scaled(high)?);
    let width = |pairs: usize| student_97_5(pairs - 1) / (pairs as f64).sqrt();
    let of_now = width(now);
    (now + 1..=MOST_REPETITIONS).find(|pairs| {
        let factor = width(*pairs) / of_now;
        let interval = (
            kind.unscaled(mean - (mean - low) * factor),
            kind.unscaled(mean + (high - mean) * factor),
        );
        verdict(Some(interval), tolerance) != FigureVerdict::NotEnoughData
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::paired_scalars;

    fn estimate(mean: f64, half: f64, pairs: usize) -> MeanDifference {
        MeanDifference {
            mean,
            by_pair: vec![mean; pairs],
            interval: Some((mean - half, mean + half)),
        }
    }

    #[test]
    fn an_interval_that_is_too_wide_by_half_takes_fewer_than_four_times_the_pairs() {
        // With three pairs t is 4.3, with five 2.8: the interval shrinks faster than by the root.
        let pairs = pairs_to_settle(&estimate(0.0, 20.0, 3), Kind::Absolute, 10.0);
        assert_eq!(pairs, Some(5));
        let pairs = pairs_to_settle(&estimate(0.0, 20.0, 30), Kind::Absolute, 10.0);
        assert!(pairs.is_some_and(|n| (112..=120).contains(&n)), "{pairs:?}");
    }

    #[test]
    fn what_is_settled_or_can_not_be_has_no_number() {
        assert_eq!(
            pairs_to_settle(&estimate(0.0, 5.0, 3), Kind::Absolute, 10.0),
            None
        );
        assert_eq!(
            pairs_to_settle(&estimate(10.0, 5.0, 3), Kind::Absolute, 10.0),
            None
        );
        assert_eq!(
            pairs_to_settle(&estimate(0.0, 50.0, 1), Kind::Absolute, 10.0),
            None
        );
        let none = MeanDifference {
            interval: None,
            ..estimate(0.0, 0.0, 3)
        };
        assert_eq!(pairs_to_settle(&none, Kind::Absolute, 10.0), None);
    }

    #[test]
    fn relative_differences_are_settled_on_the_scale_on_which_they_are_averaged() {
        let pairs = [(100.0, 103.0), (100.0, 90.0), (100.0, 112.0)];
        let estimate = paired_scalars(&pairs, Kind::Relative, 1).expect("an estimate");
        let settled = pairs_to_settle(&estimate, Kind::Relative, 10.0).expect("a number");
        assert!((5..=20).contains(&settled), "{settled}");
    }
}

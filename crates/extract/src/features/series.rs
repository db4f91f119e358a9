//! The points of a series, second by second.

use super::grid::{Grid, SECOND_NS};

/// What the points of a series say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A level at a moment.
    Level,
    /// Growth in an interval.
    Increase,
}

/// A point: the time that it speaks of, in Unix nanoseconds, and what it says. Of a level the end
/// is its moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeriesPoint {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) value: f64,
}

/// A whole series, its points in the order of their times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series<'s> {
    pub(crate) metric: &'s str,
    pub(crate) unit: &'s str,
    /// JSON.
    pub(crate) attributes: &'s str,
    /// Who sent it beside the service's name, as text.
    pub(crate) origin: &'s str,
    pub(crate) reading: Reading,
    /// It is a histogram or a summary.
    pub(crate) is_distribution: bool,
    pub(crate) points: &'s [SeriesPoint],
}

/// A level holds for at most so long, in nanoseconds, whatever comes after it.
const LONGEST_HOLD_NS: i64 = 60 * SECOND_NS;

/// An increase over a longer time, in nanoseconds, says nothing of a second.
const LONGEST_INCREASE_NS: i64 = 300 * SECOND_NS;

/// The level in each second: the last that was said before its end. It holds until the next is
/// said, for twice the time since the one before it and a minute at the most.
pub(crate) fn levels(grid: &Grid, points: &[SeriesPoint]) -> Vec<Option<f64>> {
    let mut all = vec![None; grid.len()];
    for (index, point) in points.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| points[before].end);
        let next = points.get(index + 1).map(|next| next.end);
        let apart = match (before, next) {
            (Some(before), _) => point.end - before,
            (None, Some(next)) => next - point.end,
            (None, None) => 0,
        };
        let hold = apart.saturating_mul(2).min(LONGEST_HOLD_NS);
        let own = point.end.div_euclid(SECOND_NS) * SECOND_NS;
        let (from, to) = grid.within((own, point.end.saturating_add(hold).max(own + 1)));
        let seconds = from / SECOND_NS..(to + SECOND_NS - 1) / SECOND_NS;
        // What comes later overwrites it.
        for second in seconds {
            all[second as usize] = Some(point.value);
        }
    }
    all
}

/// The growth a second in each second, over the part of it that points speak of; the growth of a
/// point is spread evenly over its time.
pub(crate) fn rates(grid: &Grid, points: &[SeriesPoint]) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0i64); grid.len()];
    for point in points {
        let length = point.end - point.start;
        if !(1..=LONGEST_INCREASE_NS).contains(&length) {
            continue;
        }
        let (from, to) = grid.within((point.start, point.end));
        let mut at = from;
        while at < to {
            let second = at / SECOND_NS;
            let until = to.min((second + 1) * SECOND_NS);
            let (sum, covered) = &mut sums[second as usize];
            *sum += point.value * (until - at) as f64 / length as f64;
            *covered += until - at;
            at = until;
        }
    }
    let rate = |(sum, covered): (f64, i64)| {
        (covered > 0).then(|| sum / (covered as f64 / SECOND_NS as f64))
    };
    sums.into_iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid::new(Some((0, 15 * SECOND_NS)))
    }

    fn point(start: f64, end: f64, value: f64) -> SeriesPoint {
        let ns = |s: f64| (s * 1e9) as i64;
        SeriesPoint {
            start: ns(start),
            end: ns(end),
            value,
        }
    }

    #[test]
    fn growth_is_spread_over_its_time() {
        let points = [
            point(0.5, 2.5, 4.0),
            point(2.5, 3.0, 0.0),
            // The first of a cumulative series.
            point(5.0, 5.0, 99.0),
        ];
        let found = rates(&grid(), &points);
        // The third second: one of growth in its first half, none in the other.
        assert_eq!(
            found[..6],
            [Some(2.0), Some(2.0), Some(1.0), None, None, None]
        );
    }

    #[test]
    fn a_level_holds_until_the_next_but_not_for_ever() {
        let level = |at: f64, value: f64| point(at, at, value);
        let points = [level(1.2, 1.0), level(1.7, 2.0), level(3.7, 3.0)];
        let found = levels(&grid(), &points);
        let three = Some(3.0);
        assert_eq!(
            found[..9],
            [
                None,
                Some(2.0),
                Some(2.0),
                three,
                three,
                three,
                three,
                three,
                None
            ]
        );
        // A point by itself holds for its own second alone.
        let alone = levels(&grid(), &points[..1]);
        assert_eq!(alone[..3], [None, Some(1.0), None]);
    }
}

//! What is kept of a metric: for each series and second the sum of what its points say. Sums are of
//! whole numbers of a billionth, so that the order in which points came does not show.

use serde::{Deserialize, Serialize};

use super::observation::{MetricPoint, Reading};

/// Billionths in one.
const SCALE: f64 = 1e9;
/// Largest value of a point that is kept, either way.
const LARGEST: f64 = 1e18;

/// What the points of one series said in one bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Earliest start of their intervals, Unix ns.
    pub(crate) from_ns: i64,
    /// Latest end, Unix ns.
    pub(crate) to_ns: i64,
    /// How many there were.
    pub(crate) points: u64,
    /// Sum of levels or increases.
    value: i128,
}

impl Cell {
    /// Of one point; none: it says nothing that is a number.
    pub(crate) fn of(point: &MetricPoint) -> Option<Self> {
        let (Reading::Level(value) | Reading::Increase(value)) = point.reading;
        Some(Self {
            from_ns: point.interval_start_ns,
            to_ns: point.end_ns,
            points: 1,
            value: billionths(value)?,
        })
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.from_ns = self.from_ns.min(other.from_ns);
        self.to_ns = self.to_ns.max(other.to_ns);
        self.points += other.points;
        self.value += other.value;
    }

    /// Sum of what the points said.
    pub(crate) fn value(&self) -> f64 {
        self.value as f64 / SCALE
    }
}

fn billionths(value: f64) -> Option<i128> {
    value
        .is_finite()
        .then(|| (value.clamp(-LARGEST, LARGEST) * SCALE).round() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(reading: Reading) -> MetricPoint {
        MetricPoint {
            interval_start_ns: 5,
            end_ns: 9,
            reading,
        }
    }

    #[test]
    fn cells_add_up_what_their_points_said() {
        let mut cell = Cell::of(&point(Reading::Increase(0.125))).unwrap();
        cell.merge(&Cell::of(&point(Reading::Increase(0.25))).unwrap());
        assert_eq!((cell.value(), cell.points), (0.375, 2));
    }

    #[test]
    fn a_point_that_is_no_number_is_left_out() {
        assert_eq!(Cell::of(&point(Reading::Level(f64::NAN))), None);
        assert_eq!(Cell::of(&point(Reading::Increase(f64::INFINITY))), None);
        assert!(Cell::of(&point(Reading::Level(-1e300))).is_some());
    }
}

//! Sets of half-open intervals of time, in nanoseconds from the start of the run.

/// Start and end.
pub(crate) type Interval = (u64, u64);

/// Intervals in the order of their starts as intervals that are apart.
pub(crate) fn merged(intervals: impl IntoIterator<Item = Interval>) -> Vec<Interval> {
    let mut merged: Vec<Interval> = Vec::new();
    for (start, end) in intervals {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// What is in the first intervals and not in the second; both in order, and each apart.
pub(crate) fn without(from: Vec<Interval>, holes: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::new();
    for (mut start, end) in from {
        for &(hole_start, hole_end) in holes {
            if hole_end <= start || end <= hole_start {
                continue;
            }
            if start < hole_start {
                left.push((start, hole_start));
            }
            start = hole_end.min(end);
        }
        if start < end {
            left.push((start, end));
        }
    }
    left
}

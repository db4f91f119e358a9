//! Which time a data point speaks of, and how much grew in it.
//!
//! A gauge speaks of its moment, a delta of the time since its start, and a cumulative point of the
//! time since the point before it in the same series, or since its start where it is the first or
//! the series was reset (OpenTelemetry metrics data model, "Resets and Gaps").

use crate::spool::heads::PointHead;

/// What the value of a point means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// The value at a moment: gauges, and what says nothing of its interval.
    Moment = 0,
    /// The growth since `start`.
    Delta = 1,
    /// The total since `start`, which can go down.
    Cumulative = 2,
    /// The total since `start`, which only grows: counters and histograms.
    Monotonic = 3,
}

/// The interval of a point, `(start, end]` in Unix nanoseconds, and the growth in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PointInterval {
    /// Equal to `end` for a moment.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Growth of a sum's value, of a histogram's or a summary's count; NaN for a moment.
    pub(crate) increase: f64,
}

/// The intervals of one series' points, which are in the order of their times.
pub(crate) fn intervals(points: &[PointHead]) -> Vec<PointInterval> {
    let mut before: Option<&PointHead> = None;
    let mut all = Vec::with_capacity(points.len());
    for point in points {
        let start = if point.start == 0 {
            point.time
        } else {
            point.start.min(point.time)
        };
        let interval = |start, increase| PointInterval {
            start,
            end: point.time,
            increase,
        };
        let is_cumulative =
            point.kind == Kind::Cumulative as u32 || point.kind == Kind::Monotonic as u32;
        all.push(if point.kind == Kind::Delta as u32 {
            interval(start, point.value)
        } else if is_cumulative {
            match before {
                Some(before) if !is_reset(before, point) => interval(
                    before.time.max(start).min(point.time),
                    point.value - before.value,
                ),
                _ => interval(start, point.value),
            }
        } else {
            interval(point.time, f64::NAN)
        });
        before = Some(point);
    }
    all
}

fn is_reset(before: &PointHead, point: &PointHead) -> bool {
    let restarted = before.start != point.start && point.start >= before.time;
    let fell = point.kind == Kind::Monotonic as u32 && point.value < before.value;
    restarted || fell
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn point(kind: Kind, start: i64, time: i64, value: f64) -> PointHead {
        PointHead {
            kind: kind as u32,
            start,
            time,
            value,
            ..PointHead::zeroed()
        }
    }

    fn of(points: &[PointHead]) -> Vec<(i64, i64, f64)> {
        intervals(points)
            .iter()
            .map(|i| (i.start, i.end, i.increase))
            .collect()
    }

    #[test]
    fn cumulative_points_speak_of_the_time_since_the_one_before() {
        use Kind::Monotonic as M;
        let points = [
            point(M, 10, 20, 5.0),
            point(M, 10, 30, 7.0),
            // The process was started anew.
            point(M, 32, 40, 1.0),
            // A reset that keeps its start shows in the value.
            point(M, 32, 50, 0.5),
        ];
        assert_eq!(
            of(&points),
            [(10, 20, 5.0), (20, 30, 2.0), (32, 40, 1.0), (32, 50, 0.5)]
        );
    }

    #[test]
    fn what_may_fall_is_not_reset_by_falling() {
        let points = [
            point(Kind::Cumulative, 10, 20, 5.0),
            point(Kind::Cumulative, 10, 30, 3.0),
        ];
        assert_eq!(of(&points), [(10, 20, 5.0), (20, 30, -2.0)]);
    }

    #[test]
    fn deltas_and_moments_stand_for_themselves() {
        let points = [
            point(Kind::Delta, 10, 20, 5.0),
            point(Kind::Delta, 20, 30, 3.0),
        ];
        assert_eq!(of(&points), [(10, 20, 5.0), (20, 30, 3.0)]);
        let moment = intervals(&[point(Kind::Moment, 10, 20, 5.0)])[0];
        assert_eq!((moment.start, moment.end), (20, 20));
        assert!(moment.increase.is_nan());
        // Without a start a point is a moment.
        assert_eq!(of(&[point(Kind::Delta, 0, 20, 5.0)]), [(20, 20, 5.0)]);
    }
}

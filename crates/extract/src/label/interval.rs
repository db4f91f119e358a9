//! Which time a data point speaks of, and how much grew in it.
//!
//! A gauge speaks of its moment, a delta of the time since its start, and a cumulative point of the
//! time since the point before it in the same series, or, where the series was started anew, since
//! its start (OpenTelemetry metrics data model, "Resets and Gaps"). The first point of a cumulative
//! series counts as a moment: its start may lie long before the run.

/// What the value of a point means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Meaning {
    /// The value at a moment: gauges, and what says nothing of its interval.
    Moment = 0,
    /// The growth since `start`.
    Delta = 1,
    /// The total since `start`, which can go down.
    Cumulative = 2,
    /// The total since `start`, which only grows: counters and histograms.
    Monotonic = 3,
}

impl Meaning {
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            1 => Meaning::Delta,
            2 => Meaning::Cumulative,
            3 => Meaning::Monotonic,
            _ => Meaning::Moment,
        }
    }
}

/// A point of a series. Times are Unix nanoseconds, 0 where they are not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SeriesPoint {
    pub(crate) meaning: Meaning,
    pub(crate) start: i64,
    pub(crate) time: i64,
    /// Value of a sum, count of a histogram or a summary; none: none was recorded.
    pub(crate) total: Option<f64>,
    /// Sum of the measurements of a histogram or a summary; none for other kinds.
    pub(crate) sum: Option<f64>,
}

/// The interval of a point, `(start, end]` in Unix nanoseconds, and the growth in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PointInterval {
    /// Equal to `end` for a moment.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Growth of a sum's value, of a histogram's or a summary's count; none for a moment.
    pub(crate) increase: Option<f64>,
    /// Growth of the sum of measurements.
    pub(crate) sum_increase: Option<f64>,
}

/// The intervals of one series' points, which are in the order of their times.
pub(crate) fn intervals(points: &[SeriesPoint]) -> Vec<PointInterval> {
    let mut before: Option<&SeriesPoint> = None;
    let mut all = Vec::with_capacity(points.len());
    for point in points {
        let start = match point.start {
            0 => point.time,
            start => start.min(point.time),
        };
        let interval = |start, increase, sum_increase| PointInterval {
            start,
            end: point.time,
            increase,
            sum_increase,
        };
        let moment = interval(point.time, None, None);
        // One without a time is before or after none.
        if point.time == 0 {
            all.push(moment);
            continue;
        }
        all.push(match (point.meaning, before) {
            (Meaning::Moment, _) => moment,
            (Meaning::Delta, _) => interval(start, point.total, point.sum),
            (Meaning::Cumulative | Meaning::Monotonic, None) => moment,
            (_, Some(before)) if is_started_anew(before, point) => {
                interval(start, point.total, point.sum)
            }
            (_, Some(before)) => {
                // A start that was not sent bounds nothing.
                let from = match point.start {
                    0 => before.time,
                    _ => before.time.max(start),
                };
                let from = from.min(point.time);
                // A reset that keeps its start shows in the value.
                let monotonic = point.meaning == Meaning::Monotonic;
                let reset = monotonic && point.total < before.total;
                let grown = |now: Option<f64>, then: Option<f64>| match reset {
                    true => now,
                    false => Some(now? - then?),
                };
                interval(
                    from,
                    grown(point.total, before.total),
                    grown(point.sum, before.sum),
                )
            }
        });
        before = Some(point);
    }
    all
}

fn is_started_anew(before: &SeriesPoint, point: &SeriesPoint) -> bool {
    before.start != point.start && point.start >= before.time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(meaning: Meaning, points: &[(i64, i64, f64)]) -> Vec<(i64, i64, Option<f64>)> {
        let points: Vec<SeriesPoint> = points
            .iter()
            .map(|&(start, time, total)| SeriesPoint {
                meaning,
                start,
                time,
                total: Some(total),
                sum: None,
            })
            .collect();
        let found = intervals(&points);
        found.iter().map(|i| (i.start, i.end, i.increase)).collect()
    }

    #[test]
    fn cumulative_points_speak_of_the_time_since_the_one_before() {
        let points = [
            (10, 20, 5.0),
            (10, 30, 7.0),
            // The process was started anew.
            (32, 40, 1.0),
            // A reset that keeps its start shows in the value.
            (32, 50, 0.5),
        ];
        assert_eq!(
            of(Meaning::Monotonic, &points),
            [
                (20, 20, None),
                (20, 30, Some(2.0)),
                (32, 40, Some(1.0)),
                (40, 50, Some(0.5))
            ]
        );
    }

    #[test]
    fn what_may_fall_is_not_reset_by_falling() {
        assert_eq!(
            of(Meaning::Cumulative, &[(10, 20, 5.0), (10, 30, 3.0)]),
            [(20, 20, None), (20, 30, Some(-2.0))]
        );
    }

    #[test]
    fn a_cumulative_series_without_starts_speaks_of_the_time_since_the_point_before() {
        assert_eq!(
            of(Meaning::Monotonic, &[(0, 20, 5.0), (0, 30, 7.0)]),
            [(20, 20, None), (20, 30, Some(2.0))]
        );
    }

    #[test]
    fn deltas_and_moments_stand_for_themselves() {
        let points = [(10, 20, 5.0), (20, 30, 3.0)];
        assert_eq!(
            of(Meaning::Delta, &points),
            [(10, 20, Some(5.0)), (20, 30, Some(3.0))]
        );
        assert_eq!(of(Meaning::Moment, &points[..1]), [(20, 20, None)]);
        // Without a start a point is a moment.
        assert_eq!(of(Meaning::Delta, &[(0, 20, 5.0)]), [(20, 20, Some(5.0))]);
    }
}

//! By how much the times of telemetry miss those of the run: whole hours where clocks are set to
//! different zones, or powers of a thousand where another unit was meant.

use loadgen_timeline::audit::TimeOffset;
use loadgen_timeline::condition::TimeSpan;

/// Zones differ by multiples of this: 15 minutes.
const QUARTER_NS: i64 = 900_000_000_000;

/// Spans may lie so far outside of the run and be its own: what was in flight, and clocks that differ.
const SLACK_NS: i64 = 60_000_000_000;

/// What times may be counted in where nanoseconds are expected, and how many of these it is.
const UNITS: [(&str, i64); 3] = [
    ("microseconds", 1_000),
    ("milliseconds", 1_000_000),
    ("seconds", 1_000_000_000),
];

/// None where some of it may be the run's.
pub(crate) fn offset(run: TimeSpan, telemetry: TimeSpan) -> Option<TimeOffset> {
    let overlaps = |(from, to): TimeSpan| {
        from <= run.1.saturating_add(SLACK_NS) && to >= run.0.saturating_sub(SLACK_NS)
    };
    if overlaps(telemetry) {
        return None;
    }
    let in_unit = |ns: i64| Some((telemetry.0.checked_mul(ns)?, telemetry.1.checked_mul(ns)?));
    let unit = UNITS
        .iter()
        .find(|(_, ns)| in_unit(*ns).is_some_and(overlaps));
    let middle = |(from, to): TimeSpan| from / 2 + to / 2;
    let between = middle(run).saturating_sub(middle(telemetry));
    let shift_ns =
        (between.saturating_add(between.signum() * QUARTER_NS / 2)) / QUARTER_NS * QUARTER_NS;
    let shifted = (
        telemetry.0.saturating_add(shift_ns),
        telemetry.1.saturating_add(shift_ns),
    );
    Some(TimeOffset {
        first_span_ns: telemetry.0.saturating_sub(run.0),
        shift_ns: (unit.is_none() && overlaps(shifted)).then_some(shift_ns),
        unit: unit.map(|(name, _)| (*name).to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const RUN: TimeSpan = (1_770_000_000 * SECOND, 1_770_000_300 * SECOND);

    fn of(from_s: f64, to_s: f64) -> TimeSpan {
        let ns = |s: f64| (s * 1e9) as i64;
        (RUN.0 + ns(from_s), RUN.0 + ns(to_s))
    }

    #[test]
    fn what_may_be_the_runs_has_no_offset() {
        for telemetry in [of(0.0, 300.0), of(-50.0, 10.0), of(299.0, 9000.0)] {
            assert_eq!(offset(RUN, telemetry), None);
        }
    }

    #[test]
    fn whole_quarters_of_an_hour_are_told() {
        for hours in [1.0, -2.0, 5.75, -8.0] {
            let telemetry = of(hours * 3600.0 + 2.0, hours * 3600.0 + 290.0);
            let found = offset(RUN, telemetry).expect("an offset");
            assert_eq!(found.shift_ns, Some((-hours * 3600.0) as i64 * SECOND));
            assert_eq!(found.first_span_ns, telemetry.0 - RUN.0);
        }
        // Ten minutes later is another time.
        let found = offset(RUN, of(1000.0 + 600.0, 1000.0 + 610.0)).expect("an offset");
        assert_eq!((found.unit, found.first_span_ns), (None, 1600 * SECOND));
    }

    #[test]
    fn other_units_are_told() {
        for (unit, ns) in UNITS {
            let telemetry = (RUN.0 / ns, RUN.1 / ns);
            let found = offset(RUN, telemetry).expect("an offset");
            assert_eq!((found.unit.as_deref(), found.shift_ns), (Some(unit), None));
        }
    }

    #[test]
    fn no_time_overflows() {
        for telemetry in [(i64::MIN, i64::MIN), (i64::MAX, i64::MAX), (0, 0)] {
            assert!(offset(RUN, telemetry).is_some());
        }
    }
}

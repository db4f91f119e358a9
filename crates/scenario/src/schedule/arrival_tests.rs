//! Arrival schedules against what k6 did, and against the integral of the rate.

use super::*;
use crate::plan::Stage;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn constant(rate: u32, time_unit_ns: u64, duration_ns: u64) -> ArrivalSchedule {
    ArrivalSchedule::new(&Executor::ConstantArrivalRate {
        rate,
        time_unit_ns,
        duration_ns,
        pre_allocated_vus: 1,
        max_vus: 1,
    })
    .unwrap()
}

fn ramping(start_rate: u32, time_unit_ns: u64, stages: &[(u64, u32)]) -> ArrivalSchedule {
    let stages = stages
        .iter()
        .map(|&(duration_ns, target)| Stage {
            duration_ns,
            target,
        })
        .collect();
    ArrivalSchedule::new(&Executor::RampingArrivalRate {
        start_rate,
        time_unit_ns,
        stages,
        pre_allocated_vus: 1,
        max_vus: 1,
    })
    .unwrap()
}

/// k6's numbers are wall-clock milliseconds of when an iteration began, so they lie at the
/// intended moment or up to two milliseconds after it.
fn assert_near(start_ns: u64, measured_ms: u64) {
    let late = (measured_ms * 1_000_000 + 999_999) as i64 - start_ns as i64;
    assert!(
        (0..3_000_000).contains(&late),
        "{start_ns} ns against {measured_ms} ms"
    );
}

fn assert_measured(schedule: &ArrivalSchedule, measured_ms: &[u64]) {
    let starts: Vec<u64> = schedule.starts().collect();
    assert_eq!(starts.len(), measured_ms.len());
    for (&start, &measured) in starts.iter().zip(measured_ms) {
        assert_near(start, measured);
    }
}

#[test]
fn constant_rate_as_measured_on_k6() {
    let schedule = constant(7, SECOND, 3 * SECOND);
    let starts: Vec<u64> = schedule.starts().collect();
    assert_eq!(starts.len(), 22);
    assert_eq!(starts[..4], [0, 142_857_143, 285_714_286, 428_571_429]);
    assert_eq!(starts[20..], [2_857_142_858, 3_000_000_000]);
    assert_eq!(schedule.count(), 22);
    for (n, measured) in [(0, 0), (1, 144), (2, 286), (3, 429), (20, 2858), (21, 3001)] {
        assert_near(starts[n], measured);
    }
}

#[test]
fn ramping_rate_as_measured_on_k6() {
    let schedule = ramping(
        2,
        SECOND,
        &[(2 * SECOND, 10), (SECOND, 10), (2 * SECOND, 0)],
    );
    let mut measured = vec![
        367, 619, 823, 1000, 1159, 1303, 1437, 1562, 1681, 1792, 1898, 2000,
    ];
    measured.extend((1..=10).map(|tenth| 2000 + tenth * 100));
    measured.extend([3103, 3211, 3327, 3451, 3587, 3736, 3905, 4106, 4368, 5001]);
    assert_measured(&schedule, &measured);
    assert_eq!(schedule.count(), 32);
    assert_eq!(schedule.start_ns(3), Some(SECOND));
    assert_eq!(schedule.start_ns(11), Some(2 * SECOND));
    assert_eq!(schedule.start_ns(31), Some(5 * SECOND));
    assert_eq!(schedule.start_ns(32), None);
}

#[test]
fn stages_without_length_jump() {
    let schedule = ramping(0, SECOND, &[(0, 10), (SECOND, 10), (0, 2), (SECOND, 2)]);
    let starts: Vec<u64> = schedule.starts().collect();
    assert_eq!(starts.len(), 12);
    assert_eq!(starts[0], SECOND / 10);
    assert_eq!(starts[9..], [SECOND, SECOND + SECOND / 2, 2 * SECOND]);
}

#[test]
fn a_rate_of_zero_starts_nothing() {
    assert_eq!(ramping(0, SECOND, &[(SECOND, 0)]).starts().count(), 0);
    assert_eq!(ramping(0, SECOND, &[]).starts().count(), 0);
    assert_eq!(constant(0, SECOND, SECOND).starts().count(), 0);
}

#[test]
fn the_time_unit_divides_the_rate() {
    let starts: Vec<u64> = constant(30, 60 * SECOND, 4 * SECOND).starts().collect();
    assert_eq!(starts, [0, 2 * SECOND, 4 * SECOND]);
}

#[test]
fn nothing_drifts_in_three_hours_at_ten_thousand_a_second() {
    let hours = 3 * 3600;
    let schedule = constant(10_000, SECOND, hours * SECOND);
    assert_eq!(schedule.start_ns(hours * 10_000), Some(hours * SECOND));
    let level = ramping(10_000, SECOND, &[(hours * SECOND, 10_000)]);
    assert_eq!(level.start_ns(hours * 10_000 - 1), Some(hours * SECOND));
    assert_eq!(level.start_ns(12_345_678), Some(1_234_567_900_000));
}

#[test]
fn the_ends_of_long_steep_ramps_are_exact() {
    let day = 86_400 * SECOND;
    let down = ramping(1_000_000, SECOND, &[(day, 0)]);
    let count = down.count();
    assert_eq!(count, 43_200_000_000);
    assert_eq!(down.start_ns(count - 1), Some(day));
    // One before the last: the triangle that is left has the area 1, so its base is
    // sqrt(2 * day / 1,000,000) = 0.4156921938 s.
    assert_eq!(down.start_ns(count - 2), Some(day - 415_692_193));
}

#[test]
fn absurd_plans_do_not_panic() {
    let schedule = ramping(u32::MAX, 1, &[(u64::MAX, 0), (u64::MAX, u32::MAX)]);
    assert!(schedule.starts().take(3).count() == 3);
    assert!(schedule.start_ns(u64::MAX).is_some());
    assert_eq!(constant(u32::MAX, u64::MAX, u64::MAX).start_ns(0), Some(0));
}

proptest! {
    #[test]
    fn constant_starts_are_the_rounded_up_quotient(rate in 1u32..100_000, unit in 1u64..100_000_000_000,
                                                   duration in 0u64..100_000_000_000, n in 0u64..1_000_000) {
        let schedule = constant(rate, unit, duration);
        let count = schedule.count();
        prop_assert!(schedule.start_ns(count - 1).is_some());
        prop_assert_eq!(schedule.start_ns(count), None);
        if let Some(start) = schedule.start_ns(n) {
            let exact = u128::from(n) * u128::from(unit);
            prop_assert!(u128::from(start) * u128::from(rate) >= exact);
            prop_assert!(start == 0 || u128::from(start - 1) * u128::from(rate) < exact);
        }
    }

    #[test]
    fn ramping_starts_are_the_integral_inverted(
        start_rate in 0u32..200,
        stages in prop::collection::vec((0u64..3_000_000_000, 0u32..200), 0..6),
    ) {
        let schedule = ramping(start_rate, SECOND, &stages);
        let starts: Vec<u64> = schedule.starts().collect();
        prop_assert_eq!(starts.len() as u64, schedule.count());
        prop_assert!(starts.windows(2).all(|pair| pair[0] <= pair[1]));
        let end: u64 = stages.iter().map(|stage| stage.0).sum();
        prop_assert!(starts.last().is_none_or(|&last| last <= end));
        for (n, &start) in starts.iter().enumerate() {
            prop_assert_eq!(schedule.start_ns(n as u64), Some(start));
            let integral = integral_at(start_rate, &stages, start);
            prop_assert!(integral >= (n + 1) as f64 - 1e-6, "{} at {}", integral, start);
            // Two nanoseconds earlier, at the highest of the rates, it was not due.
            prop_assert!(integral <= (n + 1) as f64 + 1e-6 + 200.0 * 2e-9);
        }
    }
}

/// Iterations due by a moment, by the trapezium rule.
fn integral_at(start_rate: u32, stages: &[(u64, u32)], at_ns: u64) -> f64 {
    let (mut from, mut left, mut sum) = (f64::from(start_rate), at_ns, 0.0);
    for &(duration, target) in stages {
        let part = left.min(duration);
        if duration > 0 {
            let there = from + (f64::from(target) - from) * part as f64 / duration as f64;
            sum += (from + there) / 2.0 * part as f64 / 1e9;
        }
        left -= part;
        from = f64::from(target);
    }
    sum
}

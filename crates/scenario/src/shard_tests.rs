//! All shards together do what one generator would, and nothing twice.

use super::*;
use crate::plan::Stage;
use crate::{ArrivalSchedule, VuSchedule};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn all(count: u32) -> impl Iterator<Item = Shard> + Clone {
    (0..count).map(move |index| Shard::new(index, count).unwrap())
}

fn constant_arrival_rate(rate: u32, duration_ns: u64, max_vus: u32) -> Executor {
    Executor::ConstantArrivalRate {
        rate,
        time_unit_ns: SECOND,
        duration_ns,
        pre_allocated_vus: max_vus,
        max_vus,
    }
}

fn places(shard: Shard, executor: &Executor, below: u64) -> Vec<u64> {
    let stripe = shard.stripe(executor);
    let numbers = (0..).map_while(|n| stripe.nth(n));
    numbers.take_while(|number| *number < below).collect()
}

/// `iterationInTest` of k6 1.1.0 with `--execution-segment i/4:…` and ten VUs, as far as they came.
#[test]
fn as_measured_on_k6() {
    let arrivals = constant_arrival_rate(20, 2 * SECOND, 10);
    let shared = Executor::SharedIterations {
        vus: 10,
        iterations: 37,
        max_duration_ns: SECOND,
    };
    let of_k6 = [
        &[0, 4, 7, 10, 14, 17, 20, 24, 27, 30, 34][..],
        &[1, 5, 8, 11, 15, 18, 21, 25, 28, 31, 35],
        &[2, 6, 12, 16, 22, 26, 32, 36],
        &[3, 9, 13, 19, 23, 29, 33],
    ];
    for (shard, of_k6) in all(4).zip(of_k6) {
        assert_eq!(places(shard, &shared, 37), of_k6, "{shard}");
        assert_eq!(places(shard, &arrivals, 37), of_k6, "{shard}");
        assert_eq!(shard.iterations_to_make(&shared), Some(of_k6.len() as u64));
    }
    let each = Executor::PerVuIterations {
        vus: 10,
        iterations: 3,
        max_duration_ns: SECOND,
    };
    let to_make: Vec<_> = all(4).map(|s| s.iterations_to_make(&each)).collect();
    assert_eq!(to_make, [Some(9), Some(9), Some(6), Some(6)]);
    let third = Shard::new(2, 4).unwrap();
    assert_eq!(places(third, &each, 24), [2, 6, 10, 14, 18, 22]);
}

#[test]
fn a_shard_without_vus_has_no_iterations() {
    let arrivals = constant_arrival_rate(20, 2 * SECOND, 2);
    let numbers: Vec<_> = all(3).map(|s| places(s, &arrivals, 5)).collect();
    assert_eq!(numbers, [vec![0, 2, 4], vec![1, 3], vec![]]);
    let third = Shard::new(2, 3).unwrap();
    let stripe = third.stripe(&arrivals);
    assert_eq!(
        (third.vus(2), stripe.nth(0), stripe.among(99)),
        (0, None, 0)
    );
}

#[test]
fn what_makes_no_sense_is_no_shard() {
    for (index, count) in [(0, 0), (1, 1), (4, 4), (0, MOST_SHARDS + 1)] {
        assert_eq!(Shard::new(index, count), None);
    }
    assert!(Shard::WHOLE.is_whole() && Shard::new(0, 1) == Some(Shard::WHOLE));
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let stage = (0u64..3 * SECOND, 0u32..60);
    let stage = stage.prop_map(|(duration_ns, target)| Stage {
        duration_ns,
        target,
    });
    prop::collection::vec(stage, 1..5)
}

fn executor() -> impl Strategy<Value = Executor> {
    prop_oneof![
        (1u32..200, 0u64..5 * SECOND, 1u32..40)
            .prop_map(|(rate, length, vus)| constant_arrival_rate(rate, length, vus)),
        (0u32..60, stages(), 1u32..40).prop_map(|(start_rate, stages, max_vus)| {
            Executor::RampingArrivalRate {
                start_rate,
                time_unit_ns: SECOND,
                stages,
                pre_allocated_vus: max_vus / 2,
                max_vus,
            }
        }),
        (1u32..40).prop_map(|vus| Executor::ConstantVus {
            vus,
            duration_ns: SECOND
        }),
        (0u32..40, stages()).prop_map(|(start_vus, stages)| Executor::RampingVus {
            start_vus,
            stages,
            graceful_ramp_down_ns: 0,
        }),
        (1u32..40, 1u64..20).prop_map(|(vus, iterations)| Executor::PerVuIterations {
            vus,
            iterations,
            max_duration_ns: SECOND,
        }),
        (1u32..40, 0u64..200).prop_map(|(vus, more)| Executor::SharedIterations {
            vus,
            iterations: u64::from(vus) + more,
            max_duration_ns: SECOND,
        }),
    ]
}

proptest! {
    /// Each number is exactly one shard's, and the three ways to ask agree.
    #[test]
    fn numbers_are_dealt_out(executor in executor(), count in 1u32..=16, below in 0u64..500) {
        let mut union: Vec<u64> = Vec::new();
        for shard in all(count) {
            let stripe = shard.stripe(&executor);
            let own = places(shard, &executor, below);
            prop_assert_eq!(stripe.among(below), own.len() as u64);
            prop_assert!(own.iter().all(|number| stripe.holds(*number)));
            prop_assert!(own.windows(2).all(|pair| pair[0] < pair[1]));
            union.extend(own);
        }
        union.sort_unstable();
        prop_assert_eq!(union, (0..below).collect::<Vec<_>>());
    }

    /// The starts of all shards are those of the whole schedule, each with its number and moment.
    #[test]
    fn arrivals_are_those_of_the_whole(executor in executor(), count in 1u32..=16) {
        let Some(schedule) = ArrivalSchedule::new(&executor) else { return Ok(()) };
        let mut union: Vec<(u64, u64)> = Vec::new();
        for shard in all(count) {
            let stripe = shard.stripe(&executor);
            let own = (0..).map_while(|n| stripe.nth(n));
            let starts = own.map_while(|number| Some((number, schedule.start_ns(number)?)));
            let starts: Vec<_> = starts.collect();
            prop_assert_eq!(starts.len() as u64, stripe.among(schedule.count()));
            // Who has something to start has somebody to start it.
            prop_assert!(starts.is_empty() || shard.vus(executor.most_vus()) > 0);
            union.extend(starts);
        }
        union.sort_unstable();
        let whole: Vec<(u64, u64)> = (0..).zip(schedule.starts()).collect();
        prop_assert_eq!(union, whole);
    }

    /// At every step of the plan the VUs of all shards are those of the plan.
    #[test]
    fn vus_are_those_of_the_whole(executor in executor(), count in 1u32..=16) {
        let Some(schedule) = VuSchedule::new(&executor) else {
            let max_vus = executor.most_vus();
            prop_assert_eq!(all(count).map(|shard| shard.vus(max_vus)).sum::<u32>(), max_vus);
            return Ok(());
        };
        for (_, vus) in schedule.steps() {
            let each: Vec<u32> = all(count).map(|shard| shard.vus(vus)).collect();
            prop_assert_eq!(each.iter().sum::<u32>(), vus);
            prop_assert!(each.iter().all(|own| own.abs_diff(vus / count) <= 1));
        }
    }

    /// Executors that make a number of iterations make it.
    #[test]
    fn iterations_to_make_add_up(executor in executor(), count in 1u32..=16) {
        let whole = Shard::WHOLE.iterations_to_make(&executor);
        let each: Vec<_> = all(count).map(|shard| shard.iterations_to_make(&executor)).collect();
        match whole {
            Some(whole) => prop_assert_eq!(each.iter().map(|n| n.unwrap()).sum::<u64>(), whole),
            None => prop_assert!(each.iter().all(Option::is_none)),
        }
    }

    /// One of one has everything.
    #[test]
    fn the_whole_is_everything(executor in executor(), n in 0u64..10_000) {
        let stripe = Shard::WHOLE.stripe(&executor);
        prop_assert_eq!((stripe.nth(n), stripe.holds(n), stripe.among(n)), (Some(n), true, n));
        prop_assert_eq!(Shard::WHOLE.vus(n as u32), n as u32);
    }
}

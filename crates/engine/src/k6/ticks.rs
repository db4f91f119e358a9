//! Which moment of an arrival-rate schedule an iteration of k6 belongs to.
//!
//! k6 starts an iteration on the tick that it is due at, or drops the tick where no VU is free; it
//! numbers only those that start. So the n-th iteration is the n-th tick as long as nothing was
//! dropped, and a later one otherwise. How many were dropped k6 counts, but not which. Two things
//! bound it: a tick is not used twice, and none is used before it is due. Between the two, the count
//! decides: what k6 has not counted as dropped was late, not dropped.

use loadgen_scenario::{ArrivalSchedule, Stripe};

/// k6's clock as scripts see it has whole milliseconds, so an iteration may seem to start so much
/// before its tick.
const GRAIN_NS: u64 = 1_000_000;

/// The ticks of a scenario's schedule that are this k6's, given out in order.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    schedule: ArrivalSchedule,
    /// Which ticks of the schedule they are.
    stripe: Stripe,
    /// The first tick that no iteration has used yet.
    next: u64,
    /// Ticks that were passed over.
    passed_over: u64,
}

impl Ticks {
    pub(super) fn new(schedule: ArrivalSchedule, stripe: Stripe) -> Self {
        Self {
            schedule,
            stripe,
            next: 0,
            passed_over: 0,
        }
    }

    /// When the iteration that started `started_ns` after the scenario was due, in nanoseconds from
    /// the start of the scenario. Iterations must be asked for in the order of their numbers.
    ///
    /// `dropped` is how many ticks k6 has dropped up to then; none: not known, and then the latest
    /// tick that was due is taken, so that a generator that is late by more than a tick looks better
    /// than it is. Past the end of the schedule there is no tick.
    pub(super) fn due_ns(&mut self, started_ns: u64, dropped: Option<u64>) -> Option<u64> {
        let latest = self.latest_before(started_ns);
        let farthest = match dropped {
            Some(dropped) => self
                .next
                .saturating_add(dropped.saturating_sub(self.passed_over)),
            None => u64::MAX,
        };
        let tick = latest.unwrap_or(self.next).min(farthest).max(self.next);
        let due_ns = self.start_ns(tick)?;
        self.passed_over += tick - self.next;
        self.next = tick + 1;
        Some(due_ns)
    }

    fn start_ns(&self, tick: u64) -> Option<u64> {
        self.schedule.start_ns(self.stripe.nth(tick)?)
    }

    /// The last tick from `next` on that an iteration can have started on. The clock's grain counts
    /// where no tick came in the millisecond before: there the start may seem earlier than its tick.
    fn latest_before(&self, started_ns: u64) -> Option<u64> {
        let surely = self.latest(started_ns);
        let is_near = |tick| {
            let due_ns = self.start_ns(tick).unwrap_or(0);
            due_ns.saturating_add(GRAIN_NS) > started_ns
        };
        if surely.is_some_and(is_near) {
            return surely;
        }
        self.latest(started_ns.saturating_add(GRAIN_NS)).or(surely)
    }

    /// The last tick from `next` on that is due by a moment; none: not even `next` is.
    fn latest(&self, at_ns: u64) -> Option<u64> {
        let is_due = |tick: u64| self.start_ns(tick).is_some_and(|due| due <= at_ns);
        if !is_due(self.next) {
            return None;
        }
        // Doubling steps find a tick that is not due, halving ones the last that is.
        let mut step = 1;
        while is_due(self.next.saturating_add(step)) {
            step *= 2;
        }
        let (mut due, mut not_due) = (self.next + step / 2, self.next.saturating_add(step));
        while not_due - due > 1 {
            let middle = due + (not_due - due) / 2;
            if is_due(middle) {
                due = middle;
            } else {
                not_due = middle;
            }
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_scenario::{Executor, Shard};
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn ticks(rate: u32, seconds: u64) -> Ticks {
        let executor = Executor::ConstantArrivalRate {
            rate,
            time_unit_ns: 1000 * MS,
            duration_ns: seconds * 1000 * MS,
            pre_allocated_vus: 1,
            max_vus: 1,
        };
        let schedule = ArrivalSchedule::new(&executor).unwrap();
        Ticks::new(schedule, Shard::WHOLE.stripe(&executor))
    }

    #[test]
    fn without_drops_a_late_start_is_late() {
        let mut ticks = ticks(10, 2);
        assert_eq!(ticks.due_ns(0, Some(0)), Some(0));
        assert_eq!(ticks.due_ns(450 * MS, Some(0)), Some(100 * MS));
        assert_eq!(ticks.due_ns(451 * MS, Some(0)), Some(200 * MS));
    }

    #[test]
    fn as_measured_on_k6_with_one_vu_that_is_busy() {
        // 10/s for 2 s, busy for 450 ms: 5 start and 16 are dropped.
        let mut ticks = ticks(10, 2);
        let starts = [0, 500, 1001, 1501, 2001];
        let due = starts.map(|ms| ticks.due_ns(ms * MS, Some(16)).unwrap() / MS);
        assert_eq!(due, [0, 500, 1000, 1500, 2000]);
    }

    #[test]
    fn where_drops_are_not_known_the_latest_tick_counts() {
        let mut ticks = ticks(10, 2);
        assert_eq!(ticks.due_ns(450 * MS, None), Some(400 * MS));
    }

    #[test]
    fn past_the_end_there_is_none() {
        let mut ticks = ticks(1, 1);
        assert_eq!(ticks.due_ns(0, None), Some(0));
        assert_eq!(ticks.due_ns(1000 * MS, None), Some(1000 * MS));
        assert_eq!(ticks.due_ns(1000 * MS, None), None);
    }

    #[test]
    fn a_shard_has_its_own_ticks() {
        let executor = Executor::ConstantArrivalRate {
            rate: 10,
            time_unit_ns: 1000 * MS,
            duration_ns: 2000 * MS,
            pre_allocated_vus: 4,
            max_vus: 4,
        };
        let schedule = ArrivalSchedule::new(&executor).unwrap();
        let third = Shard::new(2, 4).unwrap();
        let mut ticks = Ticks::new(schedule, third.stripe(&executor));
        let due = [201, 601, 1001].map(|ms| ticks.due_ns(ms * MS, Some(0)).unwrap() / MS);
        assert_eq!(due, [200, 600, 1000]);
        assert_eq!(ticks.due_ns(1900 * MS, None), Some(1800 * MS));
        assert_eq!(ticks.due_ns(2001 * MS, None), None);
    }

    proptest! {
        /// An executor that is never late, with any ticks dropped: each start gets its own tick.
        #[test]
        fn drops_are_found_where_nothing_is_late(rate in 1u32..400, is_dropped in prop::collection::vec(any::<bool>(), 1..300)) {
            let mut ticks = ticks(rate, 1000);
            let dropped = is_dropped.iter().filter(|d| **d).count() as u64;
            let schedule = ticks.schedule.clone();
            // The last one is not dropped, so that all drops lie before some start.
            for (n, _) in is_dropped.iter().enumerate().filter(|(n, d)| !**d || n + 1 == is_dropped.len()) {
                let due = schedule.start_ns(n as u64).unwrap();
                // Less than half a tick late, to the grain of the clock.
                let started = due.div_ceil(MS) * MS;
                let found = ticks.due_ns(started, Some(dropped)).unwrap();
                prop_assert!(found.abs_diff(due) <= 2 * MS, "{} {}", found, due);
            }
        }

        /// Without drops the n-th start is the n-th tick, however late it is.
        #[test]
        fn lateness_is_kept(rate in 1u32..2000, late_ms in prop::collection::vec(0u64..500, 1..200)) {
            let mut ticks = ticks(rate, 1000);
            let schedule = ticks.schedule.clone();
            for (n, late) in late_ms.iter().enumerate() {
                let due = schedule.start_ns(n as u64).unwrap();
                prop_assert_eq!(ticks.due_ns(due + late * MS, Some(0)), Some(due));
            }
        }

        /// Whatever comes: in order, each tick once.
        #[test]
        fn ticks_go_forward(starts in prop::collection::vec((0u64..5000, prop::option::of(0u64..50)), 1..100)) {
            let mut ticks = ticks(50, 5);
            let mut last = None;
            for (ms, dropped) in starts {
                let Some(due) = ticks.due_ns(ms * MS, dropped) else { break };
                prop_assert!(last.is_none_or(|last| due > last));
                last = Some(due);
            }
        }
    }
}

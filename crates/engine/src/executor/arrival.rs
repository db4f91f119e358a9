//! The open model: iterations start when they are due, whatever the target does.
//!
//! As in k6, an iteration that is due while no VU is free is dropped and counted, never queued;
//! the first such moment makes a VU more, up to `maxVUs`, for those that are due later.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loadgen_scenario::{ArrivalSchedule, Executor};
use tokio::task::JoinSet;

use super::{Share, propagate_panic};
use crate::journey;
use crate::pacer::Pacer;

/// A schedule that is far behind gives way to the rest of the worker after so many starts.
const STARTS_IN_A_ROW: u32 = 64;

pub(super) async fn drive(
    share: &Rc<Share>,
    executor: &Executor,
    pacer: &mut Pacer,
    tasks: &mut JoinSet<()>,
) {
    let Some(schedule) = ArrivalSchedule::new(executor) else {
        return;
    };
    let state = &share.context.shared.scenarios[share.scenario];
    let dropped = &state.counters.dropped;
    let starts = (0..).zip(schedule.starts());
    let of_this_generator = starts.filter(|(number, _)| state.stripe.holds(*number));
    let mut in_a_row = 0;
    for (n, (_, start_ns)) in (0..).zip(of_this_generator) {
        if !share.is_mine(n) {
            continue;
        }
        let due = share.start + Duration::from_nanos(start_ns);
        pacer.until(due).await;
        in_a_row += 1;
        if in_a_row == STARTS_IN_A_ROW {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
        while let Some(ended) = tasks.try_join_next() {
            propagate_panic(ended);
        }
        let Some(vu) = Vu::take(share) else {
            dropped.fetch_add(1, Relaxed);
            Vu::make(share);
            continue;
        };
        let Some(number) = share.next_iteration(u64::MAX) else {
            break;
        };
        tasks.spawn_local(async move {
            let Share {
                context, scenario, ..
            } = vu.0.as_ref();
            journey::run(context, *scenario, number, due).await;
        });
    }
    pacer.until(share.end).await;
}

/// A VU that is busy; idle again when dropped, also by an abort. The pool is that of all workers
/// together, as `maxVUs` is.
struct Vu(Rc<Share>);

impl Vu {
    /// Takes an idle VU, if there is one.
    fn take(share: &Rc<Share>) -> Option<Self> {
        let idle = &share.context.shared.scenarios[share.scenario].free_vus;
        idle.try_update(Relaxed, Relaxed, |n| n.checked_sub(1))
            .ok()?;
        Some(Self(share.clone()))
    }

    /// Adds an idle VU to the pool, if there may be one more.
    fn make(share: &Share) {
        let state = &share.context.shared.scenarios[share.scenario];
        if state
            .vus_to_make
            .try_update(Relaxed, Relaxed, |n| n.checked_sub(1))
            .is_ok()
        {
            state.free_vus.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Vu {
    fn drop(&mut self) {
        let idle = &self.0.context.shared.scenarios[self.0.scenario].free_vus;
        idle.fetch_add(1, Relaxed);
    }
}

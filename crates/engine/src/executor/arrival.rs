//! The open model: iterations start when they are due, whatever the target does.
//!
//! As in k6, an iteration that is due while no VU is free is dropped and counted, never queued;
//! the first such moment makes a VU more, up to `maxVUs`, for those that are due later.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loadgen_scenario::{ArrivalSchedule, Executor};
use tokio::task::JoinSet;

use super::{Share, propagate_panic};
use crate::journey;
use crate::pacer::Pacer;

pub(super) async fn drive(
    share: &Rc<Share>,
    executor: &Executor,
    pre_allocated_vus: u32,
    max_vus: u32,
    pacer: &mut Pacer,
    tasks: &mut JoinSet<()>,
) {
    let Some(schedule) = ArrivalSchedule::new(executor) else {
        return;
    };
    let free = Rc::new(Cell::new(share.part(pre_allocated_vus)));
    let mut to_make = share.part(max_vus).saturating_sub(free.get());
    let dropped = &share.worker.shared.scenarios[share.scenario]
        .counters
        .dropped;
    for (n, start_ns) in schedule.starts().enumerate() {
        if !share.is_mine(n as u64) {
            continue;
        }
        let due = share.start + Duration::from_nanos(start_ns);
        pacer.until(due).await;
        while let Some(ended) = tasks.try_join_next() {
            propagate_panic(ended);
        }
        if free.get() == 0 {
            dropped.fetch_add(1, Relaxed);
            if to_make > 0 {
                to_make -= 1;
                free.set(1);
            }
            continue;
        }
        let Some(number) = share.next_iteration(u64::MAX) else {
            break;
        };
        free.set(free.get() - 1);
        let vu = BusyVu(free.clone());
        let share = share.clone();
        tasks.spawn_local(async move {
            let _vu = vu;
            journey::run(&share.worker, share.scenario, number, due).await;
        });
    }
    pacer.until(share.end).await;
}

/// Gives its VU back when the iteration ends, also by an abort.
struct BusyVu(Rc<Cell<u32>>);

impl Drop for BusyVu {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

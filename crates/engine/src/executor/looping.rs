//! The closed model: VUs that start the next iteration when the last one has ended.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use loadgen_scenario::{Executor, VuSchedule};
use tokio::task::{AbortHandle, JoinSet};

use super::{Share, propagate_panic};
use crate::journey;
use crate::pacer::Pacer;

/// Runs a number of VUs that changes over time (`constant-vus`, `ramping-vus`). The VU that is
/// taken away is the one that was added last; it may finish its iteration within `grace`.
pub(super) async fn vary(
    share: &Rc<Share>,
    executor: &Executor,
    grace: Duration,
    pacer: &mut Pacer,
    tasks: &mut JoinSet<()>,
) {
    let Some(schedule) = VuSchedule::new(executor) else {
        return;
    };
    let mut vus: Vec<Vu> = Vec::new();
    let mut running = 0;
    for (at_ns, wanted) in schedule.steps() {
        let wanted = share.vus(wanted);
        pacer.until(share.start + Duration::from_nanos(at_ns)).await;
        while let Some(ended) = tasks.try_join_next() {
            propagate_panic(ended);
        }
        for place in running..wanted {
            if !share.is_mine(place.into()) {
                continue;
            }
            let slot = (place as usize) / share.context.shared.workers;
            if slot == vus.len() {
                vus.push(Vu::spawn(share, tasks));
            } else if !vus[slot].resume() {
                vus[slot] = Vu::spawn(share, tasks);
            }
        }
        for place in (wanted..running).rev() {
            if share.is_mine(place.into()) {
                let slot = (place as usize) / share.context.shared.workers;
                vus[slot].retire(grace);
            }
        }
        running = wanted;
    }
    pacer.until(share.end).await;
}

/// A VU that loops until it is told to retire or the window ends.
struct Vu {
    /// How often it was retired or taken back: odd while it is retired.
    changes: Rc<Cell<u32>>,
    task: AbortHandle,
}

impl Vu {
    fn spawn(share: &Rc<Share>, tasks: &mut JoinSet<()>) -> Self {
        let changes = Rc::new(Cell::new(0));
        let (share, seen) = (share.clone(), changes.clone());
        let task = tasks.spawn_local(async move {
            while share.is_open() && seen.get() % 2 == 0 {
                let Some(number) = share.next_iteration(u64::MAX) else {
                    break;
                };
                iterate(&share, number).await;
            }
        });
        Self { changes, task }
    }

    /// Takes back a retirement. False: the VU has gone.
    fn resume(&self) -> bool {
        let alive = !self.task.is_finished();
        if alive {
            self.changes.update(|n| n + 1);
        }
        alive
    }

    /// Lets the VU finish its iteration within `grace`, and interrupts it then, unless it was
    /// taken back meanwhile.
    fn retire(&self, grace: Duration) {
        self.changes.update(|n| n + 1);
        let (changes, now, task) = (self.changes.clone(), self.changes.get(), self.task.clone());
        // On its own, so that a scenario that has drained does not wait for the grace to pass.
        tokio::task::spawn_local(async move {
            tokio::time::sleep(grace).await;
            if changes.get() == now {
                task.abort();
            }
        });
    }
}

/// Runs a number of iterations: `of_each` by each VU, or `in_all` by all of them together.
pub(super) async fn count(
    share: &Rc<Share>,
    vus: u32,
    of_each: Option<u64>,
    in_all: u64,
    pacer: &mut Pacer,
    tasks: &mut JoinSet<()>,
) {
    pacer.until(share.start).await;
    for place in 0..vus {
        if !share.is_mine(place.into()) {
            continue;
        }
        let share = share.clone();
        tasks.spawn_local(async move {
            let mut left = of_each.unwrap_or(u64::MAX);
            while left > 0 && share.is_open() {
                let Some(number) = share.next_iteration(in_all) else {
                    break;
                };
                left -= 1;
                iterate(&share, number).await;
            }
        });
    }
    tokio::select! {
        () = super::drained(tasks) => {}
        () = pacer.until(share.end) => {}
    }
}

async fn iterate(share: &Share, number: u64) {
    let due = share.context.now();
    journey::run(&share.context, share.scenario, number, due).await;
    // An iteration whose steps are all skipped awaits nothing; without this its VU would never
    // let another task run.
    tokio::task::yield_now().await;
}

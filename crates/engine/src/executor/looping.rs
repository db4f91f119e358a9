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
    let mut vus = Vus::default();
    for (at_ns, wanted) in schedule.steps() {
        let wanted = share.vus(wanted);
        pacer.until(share.start + Duration::from_nanos(at_ns)).await;
        vus.set(wanted, share, Some(grace), tasks);
    }
    pacer.until(share.end).await;
}

/// Runs as many VUs as are wanted at each moment (`externally-controlled`). One that is taken away
/// may finish its iteration, as in k6.
pub(super) async fn follow(share: &Rc<Share>, pacer: &mut Pacer, tasks: &mut JoinSet<()>) {
    let mut vus = Vus::default();
    let mut wanted = share.context.shared.scenarios[share.scenario]
        .wanted_vus
        .subscribe();
    pacer.until(share.start).await;
    loop {
        let now = *wanted.borrow_and_update();
        vus.set(now, share, None, tasks);
        tokio::select! {
            () = pacer.until(share.end) => return,
            // The sender lives as long as the run, so a change can be waited for.
            _ = wanted.changed() => {}
        }
    }
}

/// This worker's share of a number of VUs.
#[derive(Default)]
struct Vus {
    mine: Vec<Vu>,
    /// Of all workers.
    running: u32,
}

impl Vus {
    /// Changes how many VUs all workers run together. Those that are taken away may finish their
    /// iteration, within `grace` where there is one.
    fn set(
        &mut self,
        wanted: u32,
        share: &Rc<Share>,
        grace: Option<Duration>,
        tasks: &mut JoinSet<()>,
    ) {
        while let Some(ended) = tasks.try_join_next() {
            propagate_panic(ended);
        }
        let slot = |place: u32| (place as usize) / share.context.shared.workers;
        for place in self.running..wanted {
            if !share.is_mine(place.into()) {
                continue;
            }
            if slot(place) == self.mine.len() {
                self.mine.push(Vu::spawn(share, tasks));
            } else if !self.mine[slot(place)].resume() {
                self.mine[slot(place)] = Vu::spawn(share, tasks);
            }
        }
        for place in (wanted..self.running).rev() {
            if share.is_mine(place.into()) {
                self.mine[slot(place)].retire(grace);
            }
        }
        self.running = wanted;
    }
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

    /// Lets the VU finish its iteration. Where there is a `grace` it is interrupted after that,
    /// unless it was taken back meanwhile.
    fn retire(&self, grace: Option<Duration>) {
        self.changes.update(|n| n + 1);
        let Some(grace) = grace else {
            return;
        };
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

//! k6's executors: each starts iterations as its schedule says; this module opens and closes a
//! scenario around them.

mod arrival;
mod looping;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use loadgen_scenario::Executor;
use tokio::task::JoinSet;

use crate::pacer::Pacer;
use crate::shared::Signal;
use crate::worker::{Progress, Worker};

/// One worker's share of one scenario.
pub(crate) struct Share {
    pub(crate) worker: Rc<Worker>,
    pub(crate) scenario: usize,
    /// Start of the scenario by the plan.
    pub(crate) start: Instant,
    /// End of the window by the plan.
    pub(crate) end: Instant,
    /// No iteration may start any more.
    closed: Cell<bool>,
}

impl Share {
    /// Whether an iteration may start now.
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.get() && Instant::now() < self.end
    }

    /// Whether the n-th iteration of a schedule or the n-th VU is this worker's.
    pub(crate) fn is_mine(&self, n: u64) -> bool {
        n % self.worker.shared.workers as u64 == self.worker.index as u64
    }

    /// This worker's part of a number of VUs.
    pub(crate) fn part(&self, vus: u32) -> u32 {
        let (workers, index) = (self.worker.shared.workers as u32, self.worker.index as u32);
        vus / workers + u32::from(index < vus % workers)
    }

    /// Takes the number of the iteration that starts now; none: `limit` have started already.
    pub(crate) fn next_iteration(&self, limit: u64) -> Option<u64> {
        let next = &self.worker.shared.scenarios[self.scenario].next_iteration;
        next.try_update(Relaxed, Relaxed, |n| (n < limit).then_some(n + 1))
            .ok()
    }
}

/// Runs this worker's share of a scenario from its opening until it has drained.
pub(crate) async fn run(worker: &Rc<Worker>, scenario: usize, report: impl Fn(Progress)) {
    let shared = worker.shared.clone();
    let planned = &shared.plan.scenarios[scenario];
    let mut signal = shared.scenarios[scenario].signal.subscribe();
    // The sender lives as long as `shared`, so waiting can't fail.
    let opened = signal
        .wait_for(|s| *s > Signal::Waiting)
        .await
        .map_or(Signal::Kill, |s| *s);
    let share = Rc::new(Share {
        worker: worker.clone(),
        scenario,
        start: worker.moment(planned.start_ns),
        end: worker.moment(planned.end_ns),
        closed: Cell::new(false),
    });
    let mut tasks = JoinSet::new();
    if opened == Signal::Open {
        tokio::select! {
            () = drive(&share, &planned.executor, &mut tasks) => {}
            _ = signal.wait_for(|s| *s >= Signal::Stop) => {}
        }
    }
    share.closed.set(true);
    report(Progress::Closed(scenario));

    let deadline = Instant::now() + Duration::from_nanos(planned.graceful_stop_ns);
    tokio::select! {
        () = drained(&mut tasks) => {}
        () = tokio::time::sleep_until(deadline.into()) => {}
        () = stopped(worker, scenario) => {}
    }
    tasks.shutdown().await;
    report(Progress::Drained(scenario));
}

async fn drive(share: &Rc<Share>, executor: &Executor, tasks: &mut JoinSet<()>) {
    let mut pacer = Pacer::new();
    match executor {
        Executor::ConstantArrivalRate {
            pre_allocated_vus,
            max_vus,
            ..
        }
        | Executor::RampingArrivalRate {
            pre_allocated_vus,
            max_vus,
            ..
        } => {
            arrival::drive(
                share,
                executor,
                *pre_allocated_vus,
                *max_vus,
                &mut pacer,
                tasks,
            )
            .await;
        }
        Executor::ConstantVus { .. } => {
            looping::vary(share, executor, Duration::ZERO, &mut pacer, tasks).await;
        }
        Executor::RampingVus {
            graceful_ramp_down_ns,
            ..
        } => {
            let grace = Duration::from_nanos(*graceful_ramp_down_ns);
            looping::vary(share, executor, grace, &mut pacer, tasks).await;
        }
        Executor::PerVuIterations {
            vus, iterations, ..
        } => {
            looping::count(share, *vus, Some(*iterations), u64::MAX, &mut pacer, tasks).await;
        }
        Executor::SharedIterations {
            vus, iterations, ..
        } => {
            looping::count(share, *vus, None, *iterations, &mut pacer, tasks).await;
        }
    }
}

async fn drained(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        propagate_panic(ended);
    }
}

/// A panic in an iteration is a bug that must not pass for an iteration that ended.
pub(crate) fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Returns when the run was stopped by a signal and nothing of the scenario is in flight: pauses
/// are not waited for.
async fn stopped(worker: &Worker, scenario: usize) {
    let mut signal = worker.shared.scenarios[scenario].signal.subscribe();
    let _ = signal.wait_for(|s| *s >= Signal::Stop).await;
    while worker.in_flight[scenario].get() > 0 && worker.signal(scenario) < Signal::Kill {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

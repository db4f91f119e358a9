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

use crate::context::{Context, Progress};
use crate::pacer::Pacer;
use crate::shared::Signal;

/// One worker's share of one scenario.
pub(crate) struct Share {
    pub(crate) context: Rc<Context>,
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
        !self.closed.get() && self.context.now() < self.end
    }

    /// Whether of this generator's iterations of a schedule, or of its VUs, the n-th is this
    /// worker's.
    pub(crate) fn is_mine(&self, n: u64) -> bool {
        n % self.context.shared.workers as u64 == self.context.index as u64
    }

    /// Takes the number of the iteration that starts now; none: `limit` have started already.
    pub(crate) fn next_iteration(&self, limit: u64) -> Option<u64> {
        let state = &self.context.shared.scenarios[self.scenario];
        let before = state
            .started
            .try_update(Relaxed, Relaxed, |n| (n < limit).then_some(n + 1))
            .ok()?;
        state.stripe.nth(before)
    }

    /// How many of a number of VUs are this generator's.
    fn vus(&self, all: u32) -> u32 {
        self.context.shared.shard.vus(all)
    }
}

/// Runs this worker's share of a scenario from its opening until it has drained.
pub(crate) async fn run(context: &Rc<Context>, scenario: usize, report: impl Fn(Progress)) {
    let shared = context.shared.clone();
    let planned = &shared.plan.scenarios[scenario];
    shared.signalled(scenario, Signal::Open).await;
    let share = Rc::new(Share {
        context: context.clone(),
        scenario,
        start: context.moment(planned.start_ns),
        end: context.moment(planned.end_ns),
        closed: Cell::new(false),
    });
    let mut tasks = JoinSet::new();
    tokio::select! {
        biased;
        () = shared.signalled(scenario, Signal::Stop) => {}
        () = drive(&share, &planned.executor, &mut tasks) => {}
    }
    share.closed.set(true);
    report(Progress::Closed(scenario, None));

    let deadline = context.now() + Duration::from_nanos(planned.graceful_stop_ns);
    tokio::select! {
        () = drained(&mut tasks) => {}
        () = tokio::time::sleep_until(deadline.into()) => {}
        () = stopped(context, scenario) => {}
    }
    tasks.shutdown().await;
    context.hand_over();
    report(Progress::Drained(scenario, None));
}

async fn drive(share: &Rc<Share>, executor: &Executor, tasks: &mut JoinSet<()>) {
    let mut pacer = Pacer::new(share.context.shared.clock);
    match executor {
        Executor::ConstantArrivalRate { .. } | Executor::RampingArrivalRate { .. } => {
            arrival::drive(share, executor, &mut pacer, tasks).await;
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
        Executor::ExternallyControlled { .. } => looping::follow(share, &mut pacer, tasks).await,
        Executor::PerVuIterations {
            vus, iterations, ..
        } => {
            let vus = share.vus(*vus);
            looping::count(share, vus, Some(*iterations), u64::MAX, &mut pacer, tasks).await;
        }
        Executor::SharedIterations { vus, .. } => {
            let vus = share.vus(*vus);
            let in_all = share.context.shared.shard.iterations_to_make(executor);
            let in_all = in_all.unwrap_or(0);
            looping::count(share, vus, None, in_all, &mut pacer, tasks).await;
        }
        // Workers have no part in it.
        Executor::NoLoad { .. } => {}
    }
}

/// Waits for the end of all tasks.
pub(crate) async fn drained(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        propagate_panic(ended);
    }
}

/// A panic in an iteration is a bug that must not pass for an iteration that ended.
fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Returns when the run was stopped by a signal and nothing of the scenario is in flight: pauses
/// are not waited for.
async fn stopped(context: &Context, scenario: usize) {
    context.shared.signalled(scenario, Signal::Stop).await;
    while context.in_flight[scenario].get() > 0 && !context.is_signalled(scenario, Signal::Kill) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

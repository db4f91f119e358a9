//! What the conductor and the workers of a run share: the plan, counters, and one signal a
//! scenario. On the way of a request all of it is atomics; nothing locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use loadgen_scenario::{Executor, Plan, Prng, Shard, Stripe};
use loadgen_timeline::Clock;
use tokio::sync::watch;

/// How far a scenario may go. Ordered: a later signal includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// Its window has not opened.
    Waiting,
    /// Run.
    Open,
    /// Start nothing more, not even the next step of an iteration; let requests in flight finish.
    Stop,
    /// Give up what is in flight.
    Kill,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) run_id: String,
    pub(crate) plan: Arc<Plan>,
    /// Without a trailing slash.
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    /// Zero of the plan's times, in Unix nanoseconds.
    pub(crate) start_ns: i64,
    /// Which part of the plan this generator does.
    pub(crate) shard: Shard,
    /// Workers that report each scenario; k6 is one.
    pub(crate) workers: usize,
    pub(crate) scenarios: Vec<ScenarioState>,
    /// What the plan's flags say, by their indices; 0 until they have been read.
    pub(crate) flags: Vec<AtomicU64>,
}

#[derive(Debug)]
pub(crate) struct ScenarioState {
    pub(crate) prng: Prng,
    /// The iterations that are this generator's.
    pub(crate) stripe: Stripe,
    /// To wait for a change.
    signal: watch::Sender<Signal>,
    /// The same for a look in passing: a watch channel takes a lock for that.
    latest_signal: AtomicU8,
    /// For arrival-rate executors: VUs that are idle, and VUs that may still be made.
    pub(crate) free_vus: AtomicU32,
    pub(crate) vus_to_make: AtomicU32,
    /// For executors that follow a flag: VUs that are to run.
    pub(crate) wanted_vus: watch::Sender<u32>,
    pub(crate) counters: Counters,
    /// Iterations that this generator has started.
    pub(crate) started: AtomicU64,
}

/// Totals of a scenario over all workers. On cache lines of their own, as every request of every
/// worker counts here.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) interrupted_iterations: AtomicU64,
    /// Steps without a request, because a value that they need was never captured.
    pub(crate) unsent_steps: AtomicU64,
    /// Unix nanoseconds; `i64::MIN`: none yet.
    pub(crate) last_completed_ns: AtomicI64,
}

impl Counters {
    fn new() -> Self {
        Self {
            sent: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            interrupted_iterations: AtomicU64::new(0),
            unsent_steps: AtomicU64::new(0),
            last_completed_ns: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn last_completed(&self) -> Option<i64> {
        Some(self.last_completed_ns.load(Relaxed)).filter(|&ns| ns != i64::MIN)
    }
}

impl Shared {
    pub(crate) fn new(
        run_id: String,
        plan: Arc<Plan>,
        base_url: String,
        clock: Clock,
        start_ns: i64,
        shard: Shard,
        workers: usize,
    ) -> Self {
        let scenarios = plan
            .scenarios
            .iter()
            .map(|scenario| {
                let (pre_allocated_vus, max_vus) = vu_pool(&scenario.executor, shard);
                ScenarioState {
                    prng: Prng::new(plan.seed, &scenario.name),
                    stripe: shard.stripe(&scenario.executor),
                    signal: watch::Sender::new(Signal::Waiting),
                    latest_signal: AtomicU8::new(Signal::Waiting as u8),
                    free_vus: AtomicU32::new(pre_allocated_vus),
                    vus_to_make: AtomicU32::new(max_vus.saturating_sub(pre_allocated_vus)),
                    wanted_vus: watch::Sender::new(match scenario.executor {
                        Executor::ExternallyControlled { vus, .. } => vus,
                        _ => 0,
                    }),
                    counters: Counters::new(),
                    started: AtomicU64::new(0),
                }
            })
            .collect();
        Self {
            flags: plan.flags.iter().map(|_| AtomicU64::new(0)).collect(),
            run_id,
            plan,
            base_url,
            clock,
            start_ns,
            shard,
            workers,
            scenarios,
        }
    }

    /// Raises a scenario's signal; never lowers it.
    pub(crate) fn signal(&self, scenario: usize, to: Signal) {
        self.scenarios[scenario].signal.send_if_modified(|signal| {
            let raise = *signal < to;
            if raise {
                *signal = to;
                self.scenarios[scenario]
                    .latest_signal
                    .store(to as u8, Relaxed);
            }
            raise
        });
    }

    /// Whether a scenario's signal is `least` or a later one.
    pub(crate) fn is_signalled(&self, scenario: usize, least: Signal) -> bool {
        self.scenarios[scenario].latest_signal.load(Relaxed) >= least as u8
    }

    /// Waits until a scenario's signal is `least` or a later one.
    pub(crate) async fn signalled(&self, scenario: usize, least: Signal) {
        let mut signal = self.scenarios[scenario].signal.subscribe();
        // The sender lives as long as `self`, so waiting can't fail.
        let _ = signal.wait_for(|signal| *signal >= least).await;
    }

    /// A time of the plan in Unix nanoseconds.
    pub(crate) fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.start_ns.saturating_add_unsigned(plan_ns)
    }
}

/// VUs made before the start, and at most, for executors that have a pool.
fn vu_pool(executor: &Executor, shard: Shard) -> (u32, u32) {
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
        } => (shard.vus(*pre_allocated_vus), shard.vus(*max_vus)),
        _ => (0, 0),
    }
}

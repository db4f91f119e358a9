//! What the conductor and the workers of a run share: the plan, counters, and one signal a
//! scenario. All of it is atomics and watch channels; nothing on the way of a request locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use loadgen_scenario::{Plan, Prng};
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
    pub(crate) plan: Arc<Plan>,
    /// Without a trailing slash.
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    /// Zero of the plan's times, in Unix nanoseconds.
    pub(crate) start_ns: i64,
    pub(crate) workers: usize,
    pub(crate) scenarios: Vec<ScenarioState>,
}

#[derive(Debug)]
pub(crate) struct ScenarioState {
    pub(crate) prng: Prng,
    pub(crate) signal: watch::Sender<Signal>,
    pub(crate) counters: Counters,
    /// Number of the next iteration to start.
    pub(crate) next_iteration: AtomicU64,
}

/// Totals of a scenario over all workers.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) interrupted_iterations: AtomicU64,
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
            last_completed_ns: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn last_completed(&self) -> Option<i64> {
        Some(self.last_completed_ns.load(Relaxed)).filter(|&ns| ns != i64::MIN)
    }
}

impl Shared {
    pub(crate) fn new(
        plan: Arc<Plan>,
        base_url: String,
        clock: Clock,
        start_ns: i64,
        workers: usize,
    ) -> Self {
        let state = |name: &str| ScenarioState {
            prng: Prng::new(plan.seed, name),
            signal: watch::Sender::new(Signal::Waiting),
            counters: Counters::new(),
            next_iteration: AtomicU64::new(0),
        };
        let scenarios = plan.scenarios.iter().map(|s| state(&s.name)).collect();
        Self {
            plan,
            base_url,
            clock,
            start_ns,
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
            }
            raise
        });
    }

    /// A time of the plan in Unix nanoseconds.
    pub(crate) fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.start_ns.saturating_add_unsigned(plan_ns)
    }
}

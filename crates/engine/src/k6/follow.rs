//! k6 at work: reads what it writes, tells the conductor how far it is, and ends it.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use loadgen_program::Log;
use loadgen_scenario::{ArrivalSchedule, Plan, PlannedScenario};
use loadgen_timeline::RequestRecord;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::api::{self, Counted};
use super::feed::{Feed, Over};
use super::line::{self, LogLine};
use super::pipe::LOOK;
use super::start::Started;
use crate::client;
use crate::context::Progress;
use crate::error::EngineError;
use crate::event::EngineEvent;
use crate::shared::{Shared, Signal};

/// How often what was read is handed over. Bounds what a kill can lose.
const HAND_OVER: Duration = Duration::from_millis(250);

/// k6 adds its counts up this often at most, so they hold for what happened so long before.
const COUNTING_DELAY_NS: i64 = 200_000_000;

/// More than this between two looks is a stall.
const STALL_NS: i64 = 1_000_000_000;

/// So long k6's API is waited for, or k6 after a stall.
const PATIENCE_NS: i64 = 2_000_000_000;

/// An iteration that k6 started in a window has said so this long after the window's end, also where
/// k6 has too little processor time.
const LATE_LINES_NS: i64 = 2_000_000_000;

/// Follows k6 to its end.
pub(crate) async fn follow(
    started: Started,
    shared: Arc<Shared>,
    events: SyncSender<EngineEvent>,
    progress: UnboundedSender<Progress>,
) -> Result<(), EngineError> {
    let Started {
        mut child,
        mut lines,
        log,
        api_address,
        zero_ns,
    } = started;
    let counted = match api_address {
        Some(address) => Some(ask_for_counts(address, &shared)?),
        None => None,
    };
    let mut follower = LogFollower::new(shared.clone(), zero_ns, counted, events, progress, log);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = tokio::time::interval(HAND_OVER);
    let (stop, kill) = (
        shared.signalled(0, Signal::Stop),
        shared.signalled(0, Signal::Kill),
    );
    tokio::pin!(stop, kill);
    let (mut stopped, mut killed) = (false, false);
    // k6's end of the pipe closes when it ends.
    let mut is_reading = true;
    let mut exit: Option<ExitStatus> = None;
    loop {
        tokio::select! {
            _ = look.tick(), if is_reading => {}
            status = child.wait(), if !is_reading && exit.is_none() => {
                let status = status.map_err(|e| EngineError::K6(e.to_string()))?;
                exit = Some(status);
                follower.exited(status, stopped || killed)?;
            }
            _ = tick.tick() => follower.hand_over(exit.is_some()),
            () = &mut stop, if !stopped => {
                stopped = true;
                // k6 cuts everything off, and still writes its summary.
                child.signal(loadgen_program::Signal::INT);
            }
            () = &mut kill, if !killed => {
                killed = true;
                child.signal(loadgen_program::Signal::KILL);
            }
        }
        // Everything that was written before this moment has been read when it is decided what is over.
        let now_ns = shared.clock.now_ns();
        is_reading = is_reading && lines.read().unwrap_or(false);
        while let Some(text) = lines.next() {
            follower.take(&text);
        }
        follower.count();
        if exit.is_some() && (stopped || killed) {
            follower.end_all();
        } else {
            follower.look_for_ends(now_ns, exit.is_some());
        }
        if exit.is_some() && follower.has_drained() {
            follower.hand_over(true);
            return Ok(());
        }
    }
}

/// Asks k6's API for its counts as long as somebody takes them.
fn ask_for_counts(
    address: String,
    shared: &Shared,
) -> Result<watch::Receiver<Counted>, EngineError> {
    let (counted, receiver) = watch::channel(Counted::default());
    let client = client::defaults().build()?;
    tokio::spawn(api::ask(client, address, shared.clock, counted));
    Ok(receiver)
}

/// How far a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    No,
    Closed,
    Drained,
}

/// Nothing ends in k6 that it does not run.
fn ends(plan: &Plan) -> Vec<End> {
    let of = |scenario: &PlannedScenario| match scenario.executor.sends() {
        true => End::No,
        false => End::Drained,
    };
    plan.scenarios.iter().map(of).collect()
}

/// Takes the lines of k6's event log.
struct LogFollower {
    feed: Feed,
    shared: Arc<Shared>,
    events: SyncSender<EngineEvent>,
    progress: UnboundedSender<Progress>,
    log: Log,
    ends: Vec<End>,
    /// None: k6 is not asked.
    counted: Option<watch::Receiver<Counted>>,
    /// Records for which the recorder had no room yet.
    waiting: Vec<RequestRecord>,
    started_ns: i64,
    /// When it was last looked what is over.
    looked_ns: i64,
    /// Until then nothing is taken to be over.
    patient_until_ns: i64,
}

impl LogFollower {
    fn new(
        shared: Arc<Shared>,
        zero_ns: i64,
        counted: Option<watch::Receiver<Counted>>,
        events: SyncSender<EngineEvent>,
        progress: UnboundedSender<Progress>,
        log: Log,
    ) -> Self {
        Self {
            feed: Feed::new(shared.plan.clone(), zero_ns, shared.shard),
            ends: ends(&shared.plan),
            counted,
            waiting: Vec::new(),
            started_ns: shared.clock.now_ns(),
            looked_ns: shared.clock.now_ns(),
            patient_until_ns: i64::MIN,
            shared,
            events,
            progress,
            log,
        }
    }

    /// k6 is gone. An error: it should not be, and nobody told it to end.
    fn exited(&mut self, status: ExitStatus, was_told: bool) -> Result<(), EngineError> {
        self.hand_over(true);
        if was_told || self.may_end_so(status) {
            return Ok(());
        }
        let _ = self.progress.send(Progress::Died);
        self.end_all();
        let why = self.log.explain(status);
        Err(EngineError::K6(format!("k6 ended during the run: {why}")))
    }

    fn has_drained(&self) -> bool {
        self.ends.iter().all(|end| *end == End::Drained)
    }

    fn take(&mut self, text: &str) {
        let Some(payload) = line::payload(text) else {
            self.log.write(text);
            return;
        };
        let now_ns = self.shared.clock.now_ns();
        let taken = line::parse(&payload).and_then(|line| {
            if let LogLine::Summary(summary) = &line {
                let dropped =
                    |name: &str| summary.scenarios.get(name).map(|s| s.dropped_iterations);
                self.set_dropped(dropped);
            }
            self.feed.take(&line, now_ns)
        });
        if let Err(reason) = taken {
            self.log.write(&format!("{payload}: {reason}"));
        }
    }

    /// Makes what was read visible to the conductor.
    fn count(&self) {
        for (index, state) in self.shared.scenarios.iter().enumerate() {
            let counts = self.feed.counts(index);
            state.counters.sent.store(counts.sent, Relaxed);
            state.counters.completed.store(counts.completed, Relaxed);
            state.counters.failed.store(counts.failed, Relaxed);
            state
                .counters
                .unsent_steps
                .store(counts.unsent_steps, Relaxed);
            state
                .counters
                .interrupted_iterations
                .store(counts.interrupted_iterations, Relaxed);
            state
                .counters
                .last_completed_ns
                .store(counts.last_completed_ns.unwrap_or(i64::MIN), Relaxed);
            state.started.store(counts.iterations, Relaxed);
        }
    }

    /// Of executors that count iterations the conductor knows what time ran out for.
    fn set_dropped(&self, dropped: impl Fn(&str) -> Option<u64>) {
        for (scenario, state) in self
            .shared
            .plan
            .scenarios
            .iter()
            .zip(&self.shared.scenarios)
        {
            if ArrivalSchedule::new(&scenario.executor).is_some()
                && let Some(dropped) = dropped(&scenario.name)
            {
                state.counters.dropped.fetch_max(dropped, Relaxed);
            }
        }
    }

    fn hand_over(&mut self, everything: bool) {
        let now_ns = self.shared.clock.now_ns();
        let latest = self.counted.as_ref().map(|c| c.borrow().clone());
        if let Some(counted) = &latest {
            self.set_dropped(|name| counted.dropped.get(name).copied());
        }
        let scenarios = &self.shared.scenarios;
        let dropped = |index: usize| Some(scenarios[index].counters.dropped.load(Relaxed));
        if everything {
            self.feed.resolve(i64::MAX, dropped);
        } else {
            let asked_ns = latest.and_then(|counted| counted.asked_ns);
            match asked_ns {
                Some(asked_ns) => self.feed.resolve(asked_ns - COUNTING_DELAY_NS, dropped),
                // Without answers for a while it does not help to wait for one.
                None if now_ns > self.started_ns + PATIENCE_NS => {
                    self.feed
                        .resolve(now_ns - HAND_OVER.as_nanos() as i64, |_| None);
                }
                None => {}
            }
        }
        self.waiting.extend(self.feed.take_ready());
        self.count();
        if self.waiting.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.waiting);
        if everything {
            // The other end is gone only when a consumer failed, which ends the run by itself.
            let _ = self.events.send(EngineEvent::Requests(records));
        } else if let Err(TrySendError::Full(EngineEvent::Requests(records))) =
            self.events.try_send(EngineEvent::Requests(records))
        {
            self.waiting = records;
        }
    }

    /// Tells the conductor which scenarios start nothing more, and which have drained.
    fn look_for_ends(&mut self, now_ns: i64, has_exited: bool) {
        // A pause of this process or of the whole machine: k6 may have been stopped as well, and what
        // it should have cut off by now is not cut off yet.
        if now_ns - self.looked_ns > STALL_NS {
            self.patient_until_ns = now_ns + PATIENCE_NS;
        }
        self.looked_ns = now_ns;
        if now_ns < self.patient_until_ns && !has_exited {
            return;
        }
        for index in 0..self.ends.len() {
            if self.ends[index] == End::Drained {
                continue;
            }
            let over = self.feed.over(index, now_ns);
            if over != Over::No && self.ends[index] == End::No {
                self.ends[index] = End::Closed;
                let closed_ns = match over {
                    Over::Drained { early: true, at_ns } => Some(at_ns),
                    _ => None,
                };
                let _ = self.progress.send(Progress::Closed(index, closed_ns));
            }
            if let Over::Drained { early, at_ns } = over
                && (early || has_exited || self.has_told_all(index, now_ns))
            {
                self.drained(index, Some(at_ns));
            }
        }
    }

    /// Whether all that k6 had to say of a window has been read, and its count of dropped iterations
    /// is that of the whole window; does not wait for ever.
    fn has_told_all(&self, scenario: usize, now_ns: i64) -> bool {
        let end_ns = self.feed.planned_end_ns(scenario);
        if now_ns < end_ns + LATE_LINES_NS {
            return false;
        }
        let Some(counted) = &self.counted else {
            return true;
        };
        ArrivalSchedule::new(&self.shared.plan.scenarios[scenario].executor).is_none()
            || now_ns > end_ns + LATE_LINES_NS + PATIENCE_NS
            || counted
                .borrow()
                .asked_ns
                .is_some_and(|asked_ns| asked_ns > end_ns + COUNTING_DELAY_NS)
    }

    fn drained(&mut self, index: usize, at_ns: Option<i64>) {
        self.ends[index] = End::Drained;
        self.hand_over(false);
        let _ = self.progress.send(Progress::Drained(index, at_ns));
    }

    /// k6 is gone: nothing is on any more.
    fn end_all(&mut self) {
        let now_ns = self.shared.clock.now_ns();
        for index in 0..self.ends.len() {
            self.feed.interrupt(index, now_ns);
        }
        self.hand_over(true);
        for index in 0..self.ends.len() {
            if self.ends[index] == End::No {
                let _ = self.progress.send(Progress::Closed(index, None));
            }
            if self.ends[index] != End::Drained {
                self.drained(index, None);
            }
        }
    }

    /// Whether k6 may have ended: all is well, and everything has begun. It does not wait for the
    /// end of a window in which nothing is left to do.
    fn may_end_so(&self, status: ExitStatus) -> bool {
        let now_ns = self.shared.clock.now_ns();
        let begun = |s: &PlannedScenario| self.shared.planned_ns(s.start_ns) <= now_ns;
        let scenarios = self.shared.plan.scenarios.iter();
        let mut sending = scenarios.filter(|scenario| scenario.executor.sends());
        status.success() && sending.all(begun)
    }
}

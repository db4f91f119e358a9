//! The conductor of a run: opens and closes the windows on time, asks for faults, and sends
//! heartbeats.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use loadgen_scenario::PlannedScenario;
use loadgen_timeline::event::{
    ClockStepped, Event as Line, GeneratorStalled, Heartbeat, WindowClosed, WindowOpened,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::context::Progress;
use crate::error::Interrupt;
use crate::event::Event;
use crate::executor::iterations_to_make;
use crate::injector::{FaultJob, HASTY};
use crate::pacer::Pacer;
use crate::recorder::send;
use crate::shared::{Shared, Signal};

/// A wall clock that moves more than this against the monotonic one within a second was set, not
/// slewed (NTP slews by 0.5 ms a second at most).
const CLOCK_STEP_NS: i64 = 20_000_000;

/// A heartbeat that is later than this is a stall.
const STALL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Waiting,
    Open,
    Closed,
    Drained,
}

/// Why a run ends before everything has drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    AtOnce,
    /// The recorder knows more.
    Consumer,
    /// Its thread knows more.
    Worker,
}

pub(crate) struct Conductor {
    shared: Arc<Shared>,
    events: SyncSender<Event>,
    faults: UnboundedSender<FaultJob>,
    windows: Vec<Window>,
    /// Workers that start no more iterations of a scenario.
    closed_by: Vec<usize>,
    /// Workers for which a scenario has drained.
    drained_by: Vec<usize>,
    /// The first wish to end the run early.
    interrupted: Option<Interrupt>,
    clock_offset_ns: i64,
}

impl Conductor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        events: SyncSender<Event>,
        faults: UnboundedSender<FaultJob>,
    ) -> Self {
        let scenarios = shared.plan.scenarios.len();
        Self {
            windows: vec![Window::Waiting; scenarios],
            closed_by: vec![0; scenarios],
            drained_by: vec![0; scenarios],
            clock_offset_ns: shared.clock.wall_offset_ns(),
            shared,
            events,
            faults,
            interrupted: None,
        }
    }

    /// Conducts until every scenario has drained, or until that can't be waited for.
    pub(crate) async fn conduct(
        &mut self,
        mut from_workers: UnboundedReceiver<Progress>,
        interrupts: &mut UnboundedReceiver<Interrupt>,
        mut failure: UnboundedReceiver<()>,
    ) -> Option<Broken> {
        let mut boundaries = boundaries(&self.shared.plan.scenarios);
        let mut pacer = Pacer::new();
        let start = self.shared.clock.instant(self.shared.start_ns);
        let mut heartbeat = tokio::time::interval_at(start.into(), Duration::from_secs(1));
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.windows.iter().any(|w| *w != Window::Drained) {
            let next = boundaries
                .front()
                .map(|at| self.shared.clock.instant(self.planned_ns(*at)));
            tokio::select! {
                () = async { match next {
                    Some(at) => pacer.until(at).await,
                    None => std::future::pending().await,
                } } => {
                    if let Some(at) = boundaries.pop_front() {
                        self.boundary(at);
                    }
                }
                due = heartbeat.tick() => {
                    self.look_for_a_stall(due.into_std());
                    self.heartbeat();
                }
                report = from_workers.recv() => match report {
                    Some(Progress::Died) => {
                        self.give_up(&mut from_workers).await;
                        return Some(Broken::Worker);
                    }
                    Some(report) => self.report(report),
                    // Every worker has gone: nothing will drain any more.
                    None => return None,
                },
                Some(interrupt) = interrupts.recv() => {
                    self.interrupted.get_or_insert(interrupt);
                    boundaries.clear();
                    match interrupt {
                        Interrupt::Gracefully | Interrupt::TargetGone => {
                            self.signal_all(Signal::Stop);
                        }
                        Interrupt::AtOnce => {
                            self.give_up(&mut from_workers).await;
                            return Some(Broken::AtOnce);
                        }
                    }
                }
                Some(()) = failure.recv() => {
                    self.give_up(&mut from_workers).await;
                    return Some(Broken::Consumer);
                }
            }
        }
        self.heartbeat();
        None
    }

    /// Has the workers give up what is in flight, and waits a moment until they have recorded it.
    async fn give_up(&mut self, from_workers: &mut UnboundedReceiver<Progress>) {
        self.signal_all(Signal::Kill);
        let _ = tokio::time::timeout(HASTY, async {
            while self.windows.iter().any(|w| *w != Window::Drained) {
                let Some(report) = from_workers.recv().await else {
                    break;
                };
                self.report(report);
            }
        })
        .await;
    }

    fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.shared.planned_ns(plan_ns)
    }

    /// Closes what ends and opens what starts at a moment of the plan, with one time for both, so
    /// that neighbouring windows meet.
    fn boundary(&mut self, plan_ns: u64) {
        // k6 opens and closes by its own clocks, which start at the zero of the plan.
        let at_ns = match self.shared.keeps_to_the_plan {
            true => self.planned_ns(plan_ns),
            false => self.shared.clock.now_ns(),
        };
        let plan = self.shared.plan.clone();
        for (index, scenario) in plan.scenarios.iter().enumerate() {
            if scenario.end_ns == plan_ns && self.windows[index] == Window::Open {
                self.close(index, at_ns);
            }
        }
        for (index, scenario) in plan.scenarios.iter().enumerate() {
            if scenario.start_ns == plan_ns && self.windows[index] == Window::Waiting {
                self.open(index, at_ns);
            }
        }
    }

    fn open(&mut self, index: usize, at_ns: i64) {
        let scenario = &self.shared.plan.scenarios[index];
        self.windows[index] = Window::Open;
        self.send(Line::WindowOpened(WindowOpened {
            scenario: scenario.name.clone(),
            anomaly: scenario.anomaly.clone(),
            declared: scenario.declared.clone(),
            warm_up: scenario.warm_up,
            may_end_early: iterations_to_make(&scenario.executor).is_some(),
            planned_start_ns: self.planned_ns(scenario.start_ns),
            planned_end_ns: self.planned_ns(scenario.end_ns),
            at_ns,
            guard_ns: scenario.guard_ns,
        }));
        self.inject(index, at_ns);
        // Workers start only now, so no request of the scenario is older than its window.
        self.shared.signal(index, Signal::Open);
    }

    fn close(&mut self, index: usize, at_ns: i64) {
        self.windows[index] = Window::Closed;
        self.send(Line::WindowClosed(self.totals(index, at_ns)));
        self.let_go(index);
    }

    /// Closes the windows that a broken run leaves open. Returns the wish that ended the run early.
    pub(crate) fn end(mut self) -> Option<Interrupt> {
        let at_ns = self.shared.clock.now_ns();
        for index in 0..self.windows.len() {
            if self.windows[index] == Window::Open {
                self.close(index, at_ns);
            }
        }
        self.interrupted
    }

    fn inject(&self, index: usize, opened_ns: i64) {
        let scenario = &self.shared.plan.scenarios[index];
        if let Some(fault) = &scenario.fault {
            let _ = self.faults.send(FaultJob::Inject {
                scenario: scenario.name.clone(),
                fault: fault.clone(),
                opened_ns,
                until_ns: self.planned_ns(scenario.end_ns),
            });
        }
    }

    fn let_go(&self, index: usize) {
        let scenario = &self.shared.plan.scenarios[index];
        if let Some(fault) = &scenario.fault {
            let _ = self.faults.send(FaultJob::LetGo {
                scenario: scenario.name.clone(),
                fault: fault.clone(),
            });
        }
    }

    fn report(&mut self, report: Progress) {
        let at_ns = self.shared.clock.now_ns();
        match report {
            Progress::Closed(index, closed_ns) => {
                self.closed_by[index] += 1;
                let end_ns = self.shared.plan.scenarios[index].end_ns;
                let all = self.closed_by[index] == self.shared.workers;
                if at_ns >= self.planned_ns(end_ns) && self.interrupted.is_none() {
                    // The worker was faster to notice than the conductor itself.
                    self.boundary(end_ns);
                }
                // Before its planned end a window closes when all its iterations have been made.
                if all && self.windows[index] == Window::Open {
                    self.close(index, closed_ns.unwrap_or(at_ns));
                }
            }
            Progress::Drained(index, drained_ns) => {
                let at_ns = drained_ns.unwrap_or(at_ns);
                self.drained_by[index] += 1;
                if self.drained_by[index] == self.shared.workers {
                    self.drop_what_time_ran_out_for(index);
                    if self.windows[index] == Window::Closed {
                        self.send(Line::WindowDrained(self.totals(index, at_ns)));
                    }
                    self.windows[index] = Window::Drained;
                }
            }
            // Seen to where reports are received.
            Progress::Died => {}
        }
    }

    /// Iterations that a counting executor had no time for are dropped ones, as in k6.
    fn drop_what_time_ran_out_for(&self, index: usize) {
        let executor = &self.shared.plan.scenarios[index].executor;
        let Some(planned) = iterations_to_make(executor) else {
            return;
        };
        let state = &self.shared.scenarios[index];
        if self.windows[index] == Window::Closed {
            let left = planned.saturating_sub(state.next_iteration.load(Relaxed));
            state.counters.dropped.fetch_add(left, Relaxed);
        }
    }

    fn signal_all(&self, signal: Signal) {
        for index in 0..self.windows.len() {
            self.shared.signal(index, signal);
        }
    }

    /// Whoever comes to a heartbeat this late came to nothing else meanwhile.
    fn look_for_a_stall(&self, due: Instant) {
        let late = due.elapsed();
        if late > STALL {
            self.send(Line::GeneratorStalled(GeneratorStalled {
                at_ns: self.shared.clock.now_ns(),
                for_ns: u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
            }));
        }
    }

    fn heartbeat(&mut self) {
        let mut beat = Heartbeat {
            at_ns: self.shared.clock.now_ns(),
            sent: 0,
            completed: 0,
            failed: 0,
            dropped: 0,
        };
        for scenario in &self.shared.scenarios {
            beat.sent += scenario.counters.sent.load(Relaxed);
            beat.completed += scenario.counters.completed.load(Relaxed);
            beat.failed += scenario.counters.failed.load(Relaxed);
            beat.dropped += scenario.counters.dropped.load(Relaxed);
        }
        self.send(Line::Heartbeat(beat));
        let offset_ns = self.shared.clock.wall_offset_ns();
        if (offset_ns - self.clock_offset_ns).abs() > CLOCK_STEP_NS {
            self.send(Line::ClockStepped(ClockStepped {
                at_ns: beat.at_ns,
                offset_ns,
            }));
        }
        self.clock_offset_ns = offset_ns;
    }

    fn totals(&self, index: usize, at_ns: i64) -> WindowClosed {
        let state = &self.shared.scenarios[index];
        WindowClosed {
            scenario: self.shared.plan.scenarios[index].name.clone(),
            at_ns,
            last_completed_ns: state.counters.last_completed(),
            sent: state.counters.sent.load(Relaxed),
            completed: state.counters.completed.load(Relaxed),
            failed: state.counters.failed.load(Relaxed),
            dropped: state.counters.dropped.load(Relaxed),
            iterations: state.next_iteration.load(Relaxed),
            interrupted_iterations: state.counters.interrupted_iterations.load(Relaxed),
            unsent_steps: state.counters.unsent_steps.load(Relaxed),
        }
    }

    fn send(&self, line: Line) {
        send(&self.events, line);
    }
}

/// The moments at which windows open or close, in order, each once.
fn boundaries(scenarios: &[PlannedScenario]) -> VecDeque<u64> {
    let mut moments: Vec<u64> = scenarios
        .iter()
        .flat_map(|s| [s.start_ns, s.end_ns])
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments.into()
}

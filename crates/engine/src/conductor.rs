//! The conductor of a run: opens and closes the windows on time, asks for faults, and sends
//! heartbeats.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use loadgen_timeline::event::{ClockStepped, Event, GeneratorStalled, Heartbeat, WindowClosed};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::context::Progress;
use crate::error::Interrupt;
use crate::event::EngineEvent;
use crate::flags::{Flags, Look};
use crate::injector::{FaultJob, HASTY};
use crate::pacer::Pacer;
use crate::recorder::send;
use crate::shared::{Shared, Signal};
use crate::windows::{Action, Windows};

/// A wall clock that moves more than this against the monotonic one within a second was set, not
/// slewed (NTP slews by 0.5 ms a second at most).
const CLOCK_STEP_NS: i64 = 20_000_000;

/// A heartbeat that is later than this is a stall.
const STALL: Duration = Duration::from_secs(1);

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
    events: SyncSender<EngineEvent>,
    faults: UnboundedSender<FaultJob>,
    windows: Windows,
    flags: Flags,
    /// The first wish to end the run early.
    interrupted: Option<Interrupt>,
    clock_offset_ns: i64,
}

impl Conductor {
    /// `keeps_to_the_plan`: windows open and close at the times of the plan, because that is what
    /// k6 does, and not when the conductor comes to it.
    pub(crate) fn new(
        shared: Arc<Shared>,
        keeps_to_the_plan: bool,
        events: SyncSender<EngineEvent>,
        faults: UnboundedSender<FaultJob>,
    ) -> Self {
        let windows = Windows::new(
            shared.plan.clone(),
            shared.start_ns,
            shared.workers,
            keeps_to_the_plan,
        );
        Self {
            windows,
            flags: Flags::new(shared.plan.clone()),
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
        mut looks: UnboundedReceiver<Look>,
    ) -> Option<Broken> {
        let mut pacer = Pacer::new(self.shared.clock);
        let start = self.shared.clock.instant(self.shared.start_ns);
        let mut heartbeat = tokio::time::interval_at(start.into(), Duration::from_secs(1));
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.windows.is_over() {
            let next = self.windows.next_ns();
            let next = next.map(|at_ns| self.shared.clock.instant(at_ns));
            tokio::select! {
                () = async { match next {
                    Some(at) => pacer.until(at).await,
                    None => std::future::pending().await,
                } } => {
                    let actions = self.windows.reach(self.shared.clock.now_ns());
                    self.act(actions);
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
                Some(look) = looks.recv() => self.look(&look),
                Some(interrupt) = interrupts.recv() => {
                    self.interrupted.get_or_insert(interrupt);
                    match interrupt {
                        Interrupt::Gracefully | Interrupt::TargetGone => {
                            self.end_early(Signal::Stop);
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
        self.end_early(Signal::Kill);
        let _ = tokio::time::timeout(HASTY, async {
            while !self.windows.is_over() {
                let Some(report) = from_workers.recv().await else {
                    break;
                };
                self.report(report);
            }
        })
        .await;
    }

    /// Closes the windows that a broken run leaves open. Returns the wish that ended the run early.
    pub(crate) fn end(mut self) -> Option<Interrupt> {
        let actions = self.windows.end(self.shared.clock.now_ns());
        self.act(actions);
        self.interrupted
    }

    fn end_early(&mut self, signal: Signal) {
        let now_ns = self.shared.clock.now_ns();
        let actions = self.windows.end_early(signal, now_ns);
        self.act(actions);
    }

    fn report(&mut self, report: Progress) {
        let now_ns = self.shared.clock.now_ns();
        let actions = match report {
            Progress::Closed(scenario, closed_ns) => {
                self.windows.closed(scenario, now_ns, closed_ns)
            }
            Progress::Drained(scenario, drained_ns) => {
                self.windows.drained(scenario, drained_ns.unwrap_or(now_ns))
            }
            // Seen to where reports are received.
            Progress::Died => return,
        };
        self.act(actions);
    }

    /// Takes what a look at a flag has shown.
    fn look(&mut self, look: &Look) {
        for line in self.flags.take(look) {
            self.send(line);
        }
        if let Ok(value) = look.value {
            self.shared.flags[look.flag].store(value, Relaxed);
        }
        for (index, scenario) in self.shared.scenarios.iter().enumerate() {
            if let Some(vus) = self.flags.vus(index) {
                scenario.wanted_vus.send_if_modified(|wanted| {
                    let before = std::mem::replace(wanted, vus);
                    before != vus
                });
            }
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Open { scenario, at_ns } => {
                    self.send(Event::WindowOpened(self.windows.opened(scenario, at_ns)));
                    if let Some(line) = self.flags.opened(scenario, at_ns) {
                        self.send(line);
                    }
                }
                Action::Inject { scenario, at_ns } => self.inject(scenario, at_ns),
                Action::Signal { scenario, signal } => self.shared.signal(scenario, signal),
                Action::Close { scenario, at_ns } => {
                    self.flags.closed(scenario);
                    self.send(Event::WindowClosed(self.totals(scenario, at_ns)));
                }
                Action::LetGo { scenario } => self.let_go(scenario),
                Action::DropTheRest { scenario } => self.drop_the_rest(scenario),
                Action::Drain { scenario, at_ns } => {
                    self.send(Event::WindowDrained(self.totals(scenario, at_ns)));
                }
            }
        }
    }

    fn inject(&self, index: usize, opened_ns: i64) {
        let scenario = &self.shared.plan.scenarios[index];
        if let Some(fault) = &scenario.fault {
            let _ = self.faults.send(FaultJob::Inject {
                scenario: scenario.name.clone(),
                fault: fault.clone(),
                opened_ns,
                until_ns: self.shared.planned_ns(scenario.end_ns),
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

    fn drop_the_rest(&self, index: usize) {
        let state = &self.shared.scenarios[index];
        let executor = &self.shared.plan.scenarios[index].executor;
        let planned = self.shared.shard.iterations_to_make(executor);
        let made = state.started.load(Relaxed);
        let left = planned.unwrap_or(0).saturating_sub(made);
        state.counters.dropped.fetch_add(left, Relaxed);
    }

    /// Whoever comes to a heartbeat this late came to nothing else meanwhile.
    fn look_for_a_stall(&self, due: Instant) {
        let late = self.shared.clock.now().saturating_duration_since(due);
        if late > STALL {
            self.send(Event::GeneratorStalled(GeneratorStalled {
                at_ns: self.shared.clock.now_ns(),
                for_ns: u64::try_from(late.as_nanos()).unwrap_or(u64::MAX),
                shard: None,
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
        self.send(Event::Heartbeat(beat));
        let offset_ns = self.shared.clock.wall_offset_ns();
        if (offset_ns - self.clock_offset_ns).abs() > CLOCK_STEP_NS {
            self.send(Event::ClockStepped(ClockStepped {
                at_ns: beat.at_ns,
                offset_ns,
                shard: None,
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
            iterations: state.started.load(Relaxed),
            interrupted_iterations: state.counters.interrupted_iterations.load(Relaxed),
            unsent_steps: state.counters.unsent_steps.load(Relaxed),
        }
    }

    fn send(&self, line: Event) {
        send(&self.events, line);
    }
}

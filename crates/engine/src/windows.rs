//! The windows of a run as a state machine: moments of the plan and reports go in, what is to be
//! done comes out, in order. Pure, so that a run of workers, one of k6, and the log of a k6 that
//! was kept have the same windows.
//!
//! At a moment of the plan what ends is closed before what starts is opened, with one time for
//! both, so that neighbouring windows meet.
//!
//! Nobody reports of a window that sends nothing: it has drained when it closes.

use std::collections::VecDeque;
use std::sync::Arc;

use loadgen_scenario::{Executor, Plan, PlannedScenario};
use loadgen_timeline::event::WindowOpened;

use crate::shared::Signal;

/// What is to be done with a scenario. Times are in Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Write down that its window opened.
    Open { scenario: usize, at_ns: i64 },
    /// Have its fault injected.
    Inject { scenario: usize, at_ns: i64 },
    /// Tell the workers how far they may go.
    Signal { scenario: usize, signal: Signal },
    /// Write down that its window closed.
    Close { scenario: usize, at_ns: i64 },
    /// Have its fault cleared.
    LetGo { scenario: usize },
    /// Count the iterations that there was no time for as dropped, as k6 does.
    DropTheRest { scenario: usize },
    /// Write down that its last iteration has ended.
    Drain { scenario: usize, at_ns: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Open,
    Closed,
    Drained,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    state: State,
    /// How many have reported that they start nothing more.
    closed_by: usize,
    /// For how many it has drained.
    drained_by: usize,
}

/// Where the windows of a run stand.
#[derive(Debug)]
pub(crate) struct Windows {
    plan: Arc<Plan>,
    /// Zero of the plan's times, in Unix nanoseconds.
    zero_ns: i64,
    /// How many report each scenario.
    reporters: usize,
    /// Edges have the times of the plan, and not those at which they were reached.
    keeps_to_the_plan: bool,
    /// Moments of the plan at which windows open or close, in order, each once; those to come.
    moments: VecDeque<u64>,
    windows: Vec<Window>,
}

impl Windows {
    pub(crate) fn new(
        plan: Arc<Plan>,
        zero_ns: i64,
        reporters: usize,
        keeps_to_the_plan: bool,
    ) -> Self {
        let scenarios = plan.scenarios.iter();
        let mut moments: Vec<u64> = scenarios.flat_map(|s| [s.start_ns, s.end_ns]).collect();
        moments.sort_unstable();
        moments.dedup();
        let waiting = Window {
            state: State::Waiting,
            closed_by: 0,
            drained_by: 0,
        };
        Self {
            windows: vec![waiting; plan.scenarios.len()],
            plan,
            zero_ns,
            reporters,
            keeps_to_the_plan,
            moments: moments.into(),
        }
    }

    /// When a window is to open or close next.
    pub(crate) fn next_ns(&self) -> Option<i64> {
        self.moments.front().map(|moment| self.planned_ns(*moment))
    }

    /// Every scenario has drained.
    pub(crate) fn is_over(&self) -> bool {
        self.windows.iter().all(|w| w.state == State::Drained)
    }

    /// A scenario's window has closed.
    pub(crate) fn has_closed(&self, scenario: usize) -> bool {
        matches!(self.windows[scenario].state, State::Closed | State::Drained)
    }

    /// A scenario's window has opened, and the scenario has not drained.
    pub(crate) fn is_on(&self, scenario: usize) -> bool {
        matches!(self.windows[scenario].state, State::Open | State::Closed)
    }

    /// It has become `now_ns`.
    pub(crate) fn reach(&mut self, now_ns: i64) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(&moment) = self.moments.front()
            && self.planned_ns(moment) <= now_ns
        {
            self.moments.pop_front();
            let at_ns = match self.keeps_to_the_plan {
                true => self.planned_ns(moment),
                false => now_ns,
            };
            self.close_those(at_ns, |scenario| scenario.end_ns == moment, &mut actions);
            self.open_those(at_ns, |scenario| scenario.start_ns == moment, &mut actions);
        }
        actions
    }

    /// One of those who report starts no more iterations of a scenario: since `closed_ns` if that
    /// is known, or else as it seems `now_ns`. Before its planned end a window closes when nobody
    /// starts any more.
    pub(crate) fn closed(
        &mut self,
        scenario: usize,
        now_ns: i64,
        closed_ns: Option<i64>,
    ) -> Vec<Action> {
        // Who reports may be faster to notice the end than who looks after the windows.
        let mut actions = self.reach(now_ns);
        let window = &mut self.windows[scenario];
        window.closed_by += 1;
        if window.closed_by == self.reporters && window.state == State::Open {
            self.close(scenario, closed_ns.unwrap_or(now_ns), &mut actions);
        }
        actions
    }

    /// For one of those who report, a scenario's last iteration ended at `at_ns`. What has drained
    /// is closed.
    pub(crate) fn drained(&mut self, scenario: usize, at_ns: i64) -> Vec<Action> {
        let window = &mut self.windows[scenario];
        window.drained_by += 1;
        if window.drained_by < self.reporters {
            return Vec::new();
        }
        let mut actions = Vec::new();
        if window.state == State::Open {
            self.close(scenario, at_ns, &mut actions);
        }
        // One that was never opened leaves no line.
        if self.windows[scenario].state == State::Closed {
            if makes_a_number(&self.plan.scenarios[scenario].executor) {
                actions.push(Action::DropTheRest { scenario });
            }
            actions.push(Action::Drain { scenario, at_ns });
        }
        self.windows[scenario].state = State::Drained;
        actions
    }

    /// The run is to end before its time: nothing opens any more, and what is open closes when it
    /// is reported to be; what sends nothing, now.
    pub(crate) fn end_early(&mut self, signal: Signal, now_ns: i64) -> Vec<Action> {
        self.moments.clear();
        let mut actions = Vec::new();
        for scenario in 0..self.windows.len() {
            let sends = self.plan.scenarios[scenario].executor.sends();
            match self.windows[scenario].state {
                _ if sends => actions.push(Action::Signal { scenario, signal }),
                State::Open => self.close(scenario, now_ns, &mut actions),
                _ => self.windows[scenario].state = State::Drained,
            }
        }
        actions
    }

    /// The run is over: what a broken one leaves open is closed.
    pub(crate) fn end(&mut self, at_ns: i64) -> Vec<Action> {
        self.moments.clear();
        let mut actions = Vec::new();
        self.close_those(at_ns, |_| true, &mut actions);
        actions
    }

    /// The timeline's line of an opening.
    pub(crate) fn opened(&self, scenario: usize, at_ns: i64) -> WindowOpened {
        let scenario = &self.plan.scenarios[scenario];
        WindowOpened {
            scenario: scenario.name.clone(),
            anomaly: scenario.anomaly.clone(),
            declared: scenario.declared.clone(),
            warm_up: scenario.warm_up,
            may_end_early: makes_a_number(&scenario.executor),
            planned_start_ns: self.planned_ns(scenario.start_ns),
            planned_end_ns: self.planned_ns(scenario.end_ns),
            at_ns,
            guard_ns: scenario.guard_ns,
        }
    }

    fn open_those(
        &mut self,
        at_ns: i64,
        starts: impl Fn(&PlannedScenario) -> bool,
        actions: &mut Vec<Action>,
    ) {
        for (scenario, planned) in self.plan.scenarios.iter().enumerate() {
            if self.windows[scenario].state != State::Waiting || !starts(planned) {
                continue;
            }
            self.windows[scenario].state = State::Open;
            actions.push(Action::Open { scenario, at_ns });
            if planned.fault.is_some() {
                actions.push(Action::Inject { scenario, at_ns });
            }
            // Workers start only now, so no request of the scenario is older than its window.
            if planned.executor.sends() {
                let signal = Signal::Open;
                actions.push(Action::Signal { scenario, signal });
            }
        }
    }

    fn close_those(
        &mut self,
        at_ns: i64,
        ends: impl Fn(&PlannedScenario) -> bool,
        actions: &mut Vec<Action>,
    ) {
        for scenario in 0..self.windows.len() {
            let is_open = self.windows[scenario].state == State::Open;
            if is_open && ends(&self.plan.scenarios[scenario]) {
                self.close(scenario, at_ns, actions);
            }
        }
    }

    fn close(&mut self, scenario: usize, at_ns: i64, actions: &mut Vec<Action>) {
        self.windows[scenario].state = State::Closed;
        actions.push(Action::Close { scenario, at_ns });
        if self.plan.scenarios[scenario].fault.is_some() {
            actions.push(Action::LetGo { scenario });
        }
        if !self.plan.scenarios[scenario].executor.sends() {
            self.windows[scenario].state = State::Drained;
            actions.push(Action::Drain { scenario, at_ns });
        }
    }

    fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.zero_ns.saturating_add_unsigned(plan_ns)
    }
}

/// Whether an executor makes a number of iterations, and may be done before its time.
fn makes_a_number(executor: &Executor) -> bool {
    matches!(
        executor,
        Executor::PerVuIterations { .. } | Executor::SharedIterations { .. }
    )
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;

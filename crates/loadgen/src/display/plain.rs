//! Progress as plain lines: for logs, pipes and CI.

use std::io;

use loadgen_engine::{Consumer, EngineEvent};
use loadgen_scenario::Plan;
use loadgen_timeline::event::{Event, WindowClosed, WindowOpened};

use super::figures::LiveFigures;
use super::say;

/// One line at each change, and one every so many heartbeats.
const HEARTBEATS: u32 = 10;

pub(super) struct Plain {
    names: Vec<String>,
    /// Whether they send.
    sends: Vec<bool>,
    figures: Vec<LiveFigures>,
    started_ns: i64,
    heartbeats: u32,
    /// Scenarios that send and whose windows are open.
    open: Vec<usize>,
}

impl Plain {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            names: plan.scenarios.iter().map(|s| s.name.clone()).collect(),
            sends: plan.scenarios.iter().map(|s| s.executor.sends()).collect(),
            figures: plan.scenarios.iter().map(|_| LiveFigures::new()).collect(),
            started_ns: 0,
            heartbeats: 0,
            open: Vec::new(),
        }
    }

    fn line(&self, at_ns: i64, text: &str) {
        let seconds = (at_ns - self.started_ns) as f64 / 1e9;
        say(format_args!("[{seconds:8.1} s] {text}"));
    }

    fn opened(&mut self, opened: &WindowOpened) {
        let index = self.names.iter().position(|n| *n == opened.scenario);
        self.open.extend(index.filter(|index| self.sends[*index]));
        let label = &opened.anomaly.kind;
        let text = format!("{} opened, labelled {label}", opened.scenario);
        self.line(opened.at_ns, &text);
    }

    fn closed(&mut self, closed: &WindowClosed) {
        self.open
            .retain(|index| self.names[*index] != closed.scenario);
        let dropped = match closed.dropped {
            0 => String::new(),
            n => format!(", {n} iterations dropped"),
        };
        let index = self.names.iter().position(|n| *n == closed.scenario);
        let text = match index.is_none_or(|index| self.sends[index]) {
            false => format!("{} closed", closed.scenario),
            true => format!(
                "{} closed: {} requests have ended, {} failed{dropped}",
                closed.scenario, closed.sent, closed.failed
            ),
        };
        self.line(closed.at_ns, &text);
    }

    /// Says how the window does that opened last, every so many heartbeats.
    fn heartbeat(&mut self, at_ns: i64) {
        self.heartbeats += 1;
        let latest = self.open.last().copied();
        if let (0, Some(index)) = (self.heartbeats % HEARTBEATS, latest) {
            let figures = &self.figures[index];
            let text = format!(
                "{}: {:.0} requests/s, {:.1} % failed, p95 {:.0} ms",
                self.names[index],
                figures.rate(),
                figures.error_percent(),
                figures.p95_ms()
            );
            self.line(at_ns, &text);
        }
    }
}

impl Consumer for Plain {
    fn name(&self) -> &str {
        "progress"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        let line = match event {
            EngineEvent::Requests(records) => {
                for (index, figures) in self.figures.iter_mut().enumerate() {
                    figures.add(records.iter().filter(|r| usize::from(r.scenario) == index));
                }
                return Ok(());
            }
            EngineEvent::Timeline(line) => line,
            EngineEvent::Generator(_) => return Ok(()),
        };
        match line {
            Event::RunStarted(run) => self.started_ns = run.at_ns,
            Event::WindowOpened(opened) => self.opened(opened),
            Event::FaultInjected(fault) => {
                let text = format!("{} in force in {}", fault.fault, fault.service);
                self.line(fault.at_ns, &text);
            }
            Event::FaultCleared(fault) => {
                let text = format!("{} cleared in {}", fault.fault, fault.service);
                self.line(fault.at_ns, &text);
            }
            Event::FaultFailed(fault) => {
                let text = format!(
                    "warning: can't {} {}: {}",
                    fault.change, fault.fault, fault.reason
                );
                self.line(fault.at_ns, &text);
            }
            Event::WindowClosed(closed) => self.closed(closed),
            Event::Heartbeat(beat) => self.heartbeat(beat.at_ns),
            Event::ClockStepped(step) => {
                let text = format!(
                    "warning: the wall clock is off by {} ms now",
                    step.offset_ns / 1_000_000
                );
                self.line(step.at_ns, &text);
            }
            Event::FaultNoticed(noticed) => {
                self.line(noticed.at_ns, &format!("warning: {}", noticed.describe()));
            }
            Event::GeneratorStalled(stall) => {
                self.line(stall.at_ns, &format!("warning: {}", stall.describe()));
            }
            Event::FlagLost(lost) => {
                self.line(lost.at_ns, &format!("warning: {}", lost.describe()));
            }
            Event::VusChanged(changed) => {
                let text = format!("{}: {} VUs", changed.scenario, changed.vus);
                self.line(changed.at_ns, &text);
            }
            Event::FlagChanged(_) | Event::WindowDrained(_) | Event::RunFinished(_) => {}
        }
        Ok(())
    }
}

//! Progress on a terminal: a bar for each window that sends. A fault in a window that does not is
//! shown beside those that are open.

use std::io;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use loadgen_engine::{Consumer, EngineEvent};
use loadgen_scenario::Plan;
use loadgen_timeline::event::Event;

use super::figures::LiveFigures;

pub(super) struct Bars {
    all: MultiProgress,
    windows: Vec<Bar>,
    run: ProgressBar,
    started_ns: i64,
}

struct Bar {
    /// Position in the plan.
    scenario: usize,
    name: String,
    bar: ProgressBar,
    figures: LiveFigures,
    fault: String,
    opened_ns: Option<i64>,
    is_open: bool,
}

impl Bars {
    pub(super) fn new(plan: &Plan) -> Self {
        let all = MultiProgress::new();
        let width = plan
            .scenarios
            .iter()
            .map(|s| s.name.len())
            .max()
            .unwrap_or(0);
        let windows = plan
            .scenarios
            .iter()
            .enumerate()
            .filter(|(_, scenario)| scenario.executor.sends())
            .map(|(index, scenario)| {
                let length_ms = (scenario.end_ns - scenario.start_ns) / 1_000_000;
                let bar = all.add(
                    ProgressBar::new(length_ms)
                        .with_style(style("{prefix} {bar:10.cyan/dim} {wide_msg}")),
                );
                bar.set_prefix(format!("{:width$}", scenario.name));
                Bar {
                    scenario: index,
                    name: scenario.name.clone(),
                    bar,
                    figures: LiveFigures::new(),
                    fault: String::new(),
                    opened_ns: None,
                    is_open: false,
                }
            })
            .collect();
        let run = all.add(
            ProgressBar::new(plan.end_ns() / 1_000_000).with_style(style(&format!(
                "{{prefix:{width}}} {{bar:10.green/dim}} {{elapsed_precise}} {{wide_msg}}"
            ))),
        );
        run.set_prefix(format!("{:width$}", "run"));
        run.enable_steady_tick(Duration::from_millis(500));
        Self {
            all,
            windows,
            run,
            started_ns: 0,
        }
    }

    fn window(&mut self, scenario: &str) -> Option<&mut Bar> {
        self.windows.iter_mut().find(|w| w.name == scenario)
    }

    /// Shows a fault beside the windows that it is in.
    fn show_fault(&mut self, scenario: &str, text: &str) {
        if let Some(window) = self.window(scenario) {
            let word = if text.is_empty() { "" } else { "fault" };
            word.clone_into(&mut window.fault);
            return;
        }
        for window in self.windows.iter_mut().filter(|window| window.is_open) {
            text.clone_into(&mut window.fault);
        }
    }

    fn warn(&self, text: &str) {
        // A terminal that has gone must not end the run.
        let text = super::for_stderr(&format!("warning: {text}"));
        let _ = self.all.println(text.trim_end());
    }

    fn moved_to(&mut self, at_ns: i64) {
        self.run.set_position(millis(at_ns - self.started_ns));
        for window in &mut self.windows {
            if let (true, Some(opened_ns)) = (window.is_open, window.opened_ns) {
                window.bar.set_position(millis(at_ns - opened_ns));
                window.show();
            }
        }
    }
}

impl Bar {
    fn show(&self) {
        let figures = &self.figures;
        let text = if self.is_open {
            format!(
                "{:4.0} req/s {:5.1} % failed  p95 {:5.0} ms  {}",
                figures.rate(),
                figures.error_percent(),
                figures.p95_ms(),
                self.fault
            )
        } else {
            format!(
                "{:6} sent {:5} failed  p95 {:5.0} ms",
                figures.requests(),
                figures.failed(),
                figures.p95_ms()
            )
        };
        self.bar.set_message(text);
    }
}

impl Consumer for Bars {
    fn name(&self) -> &str {
        "progress"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        let line = match event {
            EngineEvent::Requests(records) => {
                for window in &mut self.windows {
                    let index = window.scenario;
                    window
                        .figures
                        .add(records.iter().filter(|r| usize::from(r.scenario) == index));
                }
                if let Some(last) = records.last() {
                    self.moved_to(last.finished_ns);
                }
                return Ok(());
            }
            EngineEvent::Timeline(line) => line,
            EngineEvent::Generator(_) => return Ok(()),
        };
        match line {
            Event::RunStarted(run) => self.started_ns = run.at_ns,
            Event::WindowOpened(opened) => {
                if let Some(window) = self.window(&opened.scenario) {
                    window.opened_ns = Some(opened.at_ns);
                    window.is_open = true;
                }
            }
            Event::FaultInjected(fault) => {
                let text = format!("{} in {}", fault.fault, fault.service);
                self.show_fault(&fault.scenario, &text);
            }
            Event::FaultCleared(fault) => {
                self.show_fault(&fault.scenario, "");
            }
            Event::FaultFailed(fault) => {
                self.warn(&format!(
                    "can't {} {}: {}",
                    fault.change, fault.fault, fault.reason
                ));
            }
            Event::WindowClosed(closed) => {
                if let Some(window) = self.window(&closed.scenario) {
                    window.is_open = false;
                    window.bar.set_position(window.bar.length().unwrap_or(0));
                    window.show();
                }
            }
            Event::WindowDrained(drained) => {
                if let Some(window) = self.window(&drained.scenario) {
                    window.show();
                }
            }
            Event::Heartbeat(beat) => {
                self.moved_to(beat.at_ns);
                self.run.set_message(format!(
                    "{} sent, {} failed, {} dropped",
                    beat.completed, beat.failed, beat.dropped
                ));
            }
            Event::ClockStepped(step) => {
                self.warn(&format!(
                    "the wall clock is off by {} ms now",
                    step.offset_ns / 1_000_000
                ));
            }
            Event::FaultNoticed(noticed) => self.warn(&noticed.describe()),
            Event::GeneratorStalled(stall) => self.warn(&stall.describe()),
            Event::FlagLost(lost) => self.warn(&lost.describe()),
            Event::FlagChanged(_) | Event::VusChanged(_) | Event::RunFinished(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        for window in &self.windows {
            window.bar.abandon();
        }
        self.run.abandon();
        Ok(())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}

fn millis(ns: i64) -> u64 {
    u64::try_from(ns / 1_000_000).unwrap_or(0)
}

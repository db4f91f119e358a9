//! `summary.json`: what the generator itself measured, by scenario.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use loadgen_scenario::{ArrivalSchedule, Executor, Plan, PlannedScenario, Shard};
use loadgen_timeline::RequestRecord;
use loadgen_timeline::event::{Event, WindowClosed};
use loadgen_timeline::summary::{ScenarioSummary, Summary};

use super::times::Times;
use super::usage::{CpuSeconds, Meter};
use crate::event::{Consumer, EngineEvent};

/// Adds the figures up and writes them at the end. The clone of a handle reads them.
#[derive(Debug)]
pub struct SummaryFile {
    path: PathBuf,
    scenarios: Vec<ScenarioMeasurements>,
    names: Vec<String>,
    summary: Arc<Mutex<Summary>>,
    started_ns: Option<i64>,
    /// None: the events are those of a run that was.
    meter: Option<Meter>,
}

#[derive(Debug)]
struct ScenarioMeasurements {
    /// Its executor starts iterations.
    sends: bool,
    is_open_model: bool,
    latency: Times,
    from_intended: Times,
    lag: Times,
    opened_ns: Option<i64>,
    /// Processor time at the opening; none: not open, or not alone.
    cpu_at_opening: Option<CpuSeconds>,
    is_open: bool,
    sent_in_window: u64,
}

impl SummaryFile {
    /// A summary of a run that was, to be written to `path`. What it cost can be put into it by its
    /// [`handle`](Self::handle).
    pub fn of_replay(path: &Path, plan: &Plan, shard: Shard) -> Self {
        Self {
            meter: None,
            ..Self::new(path, plan, shard)
        }
    }

    /// A summary that will be written to `path`, of what a shard does of a plan.
    pub fn new(path: &Path, plan: &Plan, shard: Shard) -> Self {
        let scenarios = plan
            .scenarios
            .iter()
            .map(|s| ScenarioMeasurements::new(&s.executor))
            .collect();
        let summary = Summary {
            schema_version: 1,
            run: None,
            status: None,
            seconds: 0.0,
            scenarios: plan.scenarios.iter().map(|s| empty(s, shard)).collect(),
            fault_failures: Vec::new(),
            clock_steps_ns: Vec::new(),
            generator: None,
        };
        Self {
            path: path.to_owned(),
            scenarios,
            names: plan.scenarios.iter().map(|s| s.name.clone()).collect(),
            summary: Arc::new(Mutex::new(summary)),
            started_ns: None,
            meter: Some(Meter::new()),
        }
    }

    /// Where the figures can be read after the run.
    pub fn handle(&self) -> Arc<Mutex<Summary>> {
        self.summary.clone()
    }

    fn window_opened(&mut self, index: usize, at_ns: i64) {
        self.scenarios[index].opened_ns = Some(at_ns);
        if !self.scenarios[index].sends {
            return;
        }
        let mut others = self.scenarios.iter_mut().filter(|s| s.is_open);
        let is_alone = others.next().is_none();
        for other in self.scenarios.iter_mut().filter(|s| s.is_open) {
            other.cpu_at_opening = None;
        }
        self.scenarios[index].is_open = true;
        if let (true, Some(meter)) = (is_alone, &mut self.meter) {
            self.scenarios[index].cpu_at_opening = Some(meter.look());
        }
    }

    fn window_ended(&mut self, closed: &WindowClosed, drained: bool) {
        let Some(index) = self.names.iter().position(|n| *n == closed.scenario) else {
            return;
        };
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        let scenario = &mut summary.scenarios[index];
        self.scenarios[index].is_open = false;
        if let Some(before) = self.scenarios[index].cpu_at_opening.take()
            && let Some(meter) = &mut self.meter
        {
            let now = meter.look();
            scenario.generator_cpu_seconds = Some(now.generator - before.generator);
            let harness = before.harness.zip(now.harness);
            scenario.harness_cpu_seconds = harness.map(|(before, now)| now - before);
        }
        scenario.iterations = closed.iterations;
        scenario.interrupted_iterations = closed.interrupted_iterations;
        scenario.dropped_iterations = closed.dropped;
        scenario.unsent_steps = closed.unsent_steps;
        if drained {
            self.scenarios[index].pack();
        }
        if !drained && let Some(opened_ns) = self.scenarios[index].opened_ns {
            self.scenarios[index].sent_in_window = closed.sent;
            scenario.window_seconds = Some(seconds(closed.at_ns - opened_ns));
        }
    }
}

impl Consumer for SummaryFile {
    fn name(&self) -> &str {
        "summary.json"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        match event {
            EngineEvent::Requests(records) => {
                let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(meter) = &mut self.meter {
                    meter.look();
                }
                for record in records {
                    let index = usize::from(record.scenario);
                    self.scenarios[index].add(record);
                    count(&mut summary.scenarios[index], record);
                }
            }
            EngineEvent::Generator(pid) => {
                if let Some(meter) = &mut self.meter {
                    meter.follow(*pid);
                }
            }
            EngineEvent::Timeline(Event::RunStarted(run)) => {
                self.started_ns = Some(run.at_ns);
                let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
                summary.run = Some(run.clone());
            }
            EngineEvent::Timeline(Event::WindowOpened(opened)) => {
                if let Some(index) = self.names.iter().position(|n| *n == opened.scenario) {
                    self.window_opened(index, opened.at_ns);
                }
            }
            EngineEvent::Timeline(Event::WindowClosed(closed)) => self.window_ended(closed, false),
            EngineEvent::Timeline(Event::WindowDrained(drained)) => {
                self.window_ended(drained, true)
            }
            EngineEvent::Timeline(Event::FaultFailed(failed)) => {
                let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
                let (scenario, fault) = (&failed.scenario, &failed.fault);
                let line = format!(
                    "{scenario}: can't {} {fault}: {}",
                    failed.change, failed.reason
                );
                summary.fault_failures.push(line);
            }
            EngineEvent::Timeline(Event::ClockStepped(step)) => {
                let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
                summary.clock_steps_ns.push(step.offset_ns);
            }
            EngineEvent::Timeline(Event::RunFinished(finished)) => {
                let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
                summary.status = Some(finished.status);
                summary.seconds = self.started_ns.map_or(0.0, |s| seconds(finished.at_ns - s));
            }
            EngineEvent::Timeline(
                Event::Heartbeat(_)
                | Event::FaultInjected(_)
                | Event::FaultCleared(_)
                | Event::FaultNoticed(_)
                | Event::FlagChanged(_)
                | Event::FlagLost(_)
                | Event::VusChanged(_)
                | Event::GeneratorStalled(_),
            ) => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = &mut self.meter {
            summary.generator = meter.usage();
        }
        for (measurements, scenario) in self.scenarios.iter_mut().zip(&mut summary.scenarios) {
            measurements.close(scenario);
        }
        // What sends nothing has no figures.
        let mut of_scenarios = self.scenarios.iter();
        let sends = |_: &ScenarioSummary| of_scenarios.next().is_none_or(|of| of.sends);
        summary.scenarios.retain(sends);
        let mut text = serde_json::to_vec_pretty(&*summary)?;
        text.push(b'\n');
        std::fs::write(&self.path, text)
    }
}

/// The figures of a scenario of which nothing has been sent.
fn empty(scenario: &PlannedScenario, shard: Shard) -> ScenarioSummary {
    let share = shard.stripe(&scenario.executor).share();
    ScenarioSummary {
        scenario: scenario.name.clone(),
        anomaly_type: scenario.anomaly.kind.clone(),
        window_seconds: None,
        iterations: 0,
        interrupted_iterations: 0,
        dropped_iterations: 0,
        unsent_steps: 0,
        asked_iterations_per_s: asked_rate(&scenario.executor).map(|rate| rate * share),
        achieved_iterations_per_s: 0.0,
        requests: 0,
        requests_per_s: 0.0,
        failed: 0,
        failures: BTreeMap::new(),
        statuses: BTreeMap::new(),
        latency: None,
        latency_from_intended: None,
        scheduling_lag: None,
        generator_cpu_seconds: None,
        harness_cpu_seconds: None,
    }
}

fn count(summary: &mut ScenarioSummary, record: &RequestRecord) {
    summary.requests += 1;
    if let Some(failure) = record.failure {
        summary.failed += 1;
        match summary.failures.get_mut(failure.name()) {
            Some(count) => *count += 1,
            None => _ = summary.failures.insert(failure.name().to_owned(), 1),
        }
    }
    if let Some(status) = record.status {
        *summary.statuses.entry(status).or_default() += 1;
    }
}

impl ScenarioMeasurements {
    fn new(executor: &Executor) -> Self {
        let is_open_model = ArrivalSchedule::new(executor).is_some();
        Self {
            sends: executor.sends(),
            is_open_model,
            latency: Times::default(),
            from_intended: Times::default(),
            lag: Times::default(),
            opened_ns: None,
            cpu_at_opening: None,
            is_open: false,
            sent_in_window: 0,
        }
    }

    fn add(&mut self, record: &RequestRecord) {
        self.latency.add(record.finished_ns - record.sent_ns);
        self.from_intended
            .add(record.finished_ns - record.intended_ns);
        if !self.is_open_model || record.step == 0 {
            self.lag.add(record.sent_ns - record.intended_ns);
        }
    }

    /// Hardly anything comes any more.
    fn pack(&mut self) {
        for times in [&mut self.latency, &mut self.from_intended, &mut self.lag] {
            times.pack();
        }
    }

    fn close(&mut self, scenario: &mut ScenarioSummary) {
        scenario.latency = self.latency.quantiles();
        scenario.latency_from_intended = self.from_intended.quantiles();
        scenario.scheduling_lag = self.lag.quantiles();
        if let Some(length_s) = scenario.window_seconds.filter(|s| *s > 0.0) {
            scenario.achieved_iterations_per_s = scenario.iterations as f64 / length_s;
            scenario.requests_per_s = self.sent_in_window as f64 / length_s;
        }
    }
}

/// Iterations per second that an arrival-rate executor is to start, on average: the integral of
/// its rate over its length.
fn asked_rate(executor: &Executor) -> Option<f64> {
    match executor {
        Executor::ConstantArrivalRate {
            rate, time_unit_ns, ..
        } => Some(f64::from(*rate) * 1e9 / *time_unit_ns as f64),
        Executor::RampingArrivalRate {
            start_rate,
            time_unit_ns,
            stages,
            ..
        } => {
            let mut from = f64::from(*start_rate);
            let mut iterations = 0.0;
            let mut length_ns = 0.0;
            for stage in stages {
                let to = f64::from(stage.target);
                let stage_ns = stage.duration_ns as f64;
                iterations += (from + to) / 2.0 * stage_ns / *time_unit_ns as f64;
                length_ns += stage_ns;
                from = to;
            }
            (length_ns > 0.0).then_some(iterations * 1e9 / length_ns)
        }
        _ => None,
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

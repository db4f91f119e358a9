//! The events of a timeline, one JSON object a line. All times are Unix nanoseconds (UTC).

use loadgen_scenario::Shard;
use loadgen_scenario::plan::{Anomaly, Clients, Parameters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the timeline's form, raised when a reader of the old form would misread the new.
pub const TIMELINE_SCHEMA_VERSION: u32 = 2;

/// A line of `timeline.jsonl`. Readers skip events and fields that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// First line.
    RunStarted(RunStarted),
    /// A scenario's window began.
    WindowOpened(WindowOpened),
    /// A fault is in force.
    FaultInjected(FaultChanged),
    /// A fault is gone.
    FaultCleared(FaultChanged),
    /// A fault could not be injected or cleared: the window's label is not backed by a fault.
    FaultFailed(FaultFailed),
    /// Somebody else took a fault away or put one in.
    FaultNoticed(FaultNoticed),
    /// Each second.
    Heartbeat(Heartbeat),
    /// A scenario's window ended: no iteration of it starts any more. Iterations in flight may go
    /// on for its graceful stop.
    WindowClosed(WindowClosed),
    /// The last iteration of a scenario ended; final counts.
    WindowDrained(WindowClosed),
    /// A feature flag that the run reads says something else than before; also when it is read for
    /// the first time, and when it can be read again.
    FlagChanged(FlagChanged),
    /// A feature flag can't be read: what it said last holds on.
    FlagLost(FlagLost),
    /// How many VUs a scenario runs whose number a flag says: when its window opens, and at each
    /// change until it closes.
    VusChanged(VusChanged),
    /// The wall clock moved against the monotonic one.
    ClockStepped(ClockStepped),
    /// The generator did not run for a while: it was suspended, or had no processor.
    GeneratorStalled(GeneratorStalled),
    /// Last line of a run that ended by itself or by a signal.
    RunFinished(RunFinished),
}

impl Event {
    /// When it happened, Unix nanoseconds.
    pub(crate) fn at_ns(&self) -> i64 {
        match self {
            Event::RunStarted(run) => run.at_ns,
            Event::WindowOpened(window) => window.at_ns,
            Event::FaultInjected(change) | Event::FaultCleared(change) => change.at_ns,
            Event::FaultFailed(failed) => failed.at_ns,
            Event::FaultNoticed(seen) => seen.at_ns,
            Event::FlagChanged(flag) => flag.at_ns,
            Event::FlagLost(flag) => flag.at_ns,
            Event::VusChanged(vus) => vus.at_ns,
            Event::Heartbeat(beat) => beat.at_ns,
            Event::WindowClosed(totals) | Event::WindowDrained(totals) => totals.at_ns,
            Event::ClockStepped(step) => step.at_ns,
            Event::GeneratorStalled(stall) => stall.at_ns,
            Event::RunFinished(end) => end.at_ns,
        }
    }

    /// All moments that it names, Unix nanoseconds.
    pub fn times(&self) -> impl Iterator<Item = i64> {
        let times = match self {
            Event::RunStarted(run) => [Some(run.at_ns), None, None],
            Event::WindowOpened(window) => [
                Some(window.at_ns),
                Some(window.planned_start_ns),
                Some(window.planned_end_ns),
            ],
            Event::FaultInjected(change) | Event::FaultCleared(change) => {
                [Some(change.at_ns), Some(change.requested_ns), None]
            }
            Event::FaultFailed(failed) => [Some(failed.at_ns), Some(failed.requested_ns), None],
            Event::FaultNoticed(seen) => [Some(seen.at_ns), Some(seen.since_ns), None],
            Event::Heartbeat(beat) => [Some(beat.at_ns), None, None],
            Event::WindowClosed(totals) | Event::WindowDrained(totals) => {
                [Some(totals.at_ns), totals.last_completed_ns, None]
            }
            Event::FlagChanged(flag) => [Some(flag.at_ns), None, None],
            Event::FlagLost(flag) => [Some(flag.at_ns), None, None],
            Event::VusChanged(vus) => [Some(vus.at_ns), None, None],
            Event::ClockStepped(step) => [Some(step.at_ns), None, None],
            Event::GeneratorStalled(stall) => [Some(stall.at_ns), None, None],
            Event::RunFinished(end) => [Some(end.at_ns), None, None],
        };
        times.into_iter().flatten()
    }

    /// Moves all moments that it names by the same time; lengths of time stay.
    pub fn shift(&mut self, by_ns: i64) {
        let times = match self {
            Event::RunStarted(run) => [Some(&mut run.at_ns), None, None],
            Event::WindowOpened(window) => [
                Some(&mut window.at_ns),
                Some(&mut window.planned_start_ns),
                Some(&mut window.planned_end_ns),
            ],
            Event::FaultInjected(change) | Event::FaultCleared(change) => [
                Some(&mut change.at_ns),
                Some(&mut change.requested_ns),
                None,
            ],
            Event::FaultFailed(failed) => [
                Some(&mut failed.at_ns),
                Some(&mut failed.requested_ns),
                None,
            ],
            Event::FaultNoticed(seen) => [Some(&mut seen.at_ns), Some(&mut seen.since_ns), None],
            Event::Heartbeat(beat) => [Some(&mut beat.at_ns), None, None],
            Event::WindowClosed(totals) | Event::WindowDrained(totals) => [
                Some(&mut totals.at_ns),
                totals.last_completed_ns.as_mut(),
                None,
            ],
            Event::FlagChanged(flag) => [Some(&mut flag.at_ns), None, None],
            Event::FlagLost(flag) => [Some(&mut flag.at_ns), None, None],
            Event::VusChanged(vus) => [Some(&mut vus.at_ns), None, None],
            Event::ClockStepped(step) => [Some(&mut step.at_ns), None, None],
            Event::GeneratorStalled(stall) => [Some(&mut stall.at_ns), None, None],
            Event::RunFinished(end) => [Some(&mut end.at_ns), None, None],
        };
        for time in times.into_iter().flatten() {
            *time = time.saturating_add(by_ns);
        }
    }
}

/// Which engine sent the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// loadgen's own.
    Rust,
    /// Stock k6 with loadgen's module.
    K6,
}

/// What the run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// [`TIMELINE_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Unique name of the run: 32 lower-case hexadecimal digits.
    pub run_id: String,
    /// Zero of the plan's times.
    pub at_ns: i64,
    /// Path of the scenario file as it was given.
    pub scenario_file: String,
    /// SHA-256 of the file's bytes, lower-case hex.
    pub scenario_sha256: String,
    /// Seed of every choice.
    pub seed: u64,
    /// Factor by which the timetable was stretched.
    pub time_scale: f64,
    /// Which engine sent the load.
    pub engine: Engine,
    /// Version of an engine that is not loadgen's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Base URL of the target.
    pub target: String,
    /// Version of loadgen.
    pub loadgen_version: String,
    /// Where this is one generator of several for one run: which part of the run it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<RunShard>,
    /// Where the timelines of several generators were merged: those of them that are in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<RunShard>,
}

impl RunStarted {
    /// Numbers of the shards that a merged run lacks.
    pub fn missing_shards(&self) -> Vec<u32> {
        let count = self.shards.first().map_or(0, |shard| shard.count);
        let is_there = |index: &u32| self.shards.iter().any(|shard| shard.index == *index);
        (0..count).filter(|index| !is_there(index)).collect()
    }
}

/// One of the generators that share a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunShard {
    /// Its number, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
    /// It has the run's faults injected and cleared. The others only send load, and their timelines
    /// have no events of faults.
    pub drives_faults: bool,
    /// The least and the most that its clock can be ahead of the clock of shard 0, in nanoseconds;
    /// none: that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ns: Option<[i64; 2]>,
}

impl RunShard {
    /// A shard that drives no faults and whose clock nobody measured; none: it is the whole run.
    pub fn of(shard: Shard) -> Option<Self> {
        (!shard.is_whole()).then_some(Self {
            index: shard.index(),
            count: shard.count(),
            drives_faults: false,
            clock_ahead_ns: None,
        })
    }

    /// What of the run it does; none: its numbers make no sense.
    pub fn shard(&self) -> Option<Shard> {
        Shard::new(self.index, self.count)
    }
}

/// A window and its label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowOpened {
    /// The scenario's name.
    pub scenario: String,
    /// What the window is labelled with; of a sham or harmless window the anomaly `none`.
    pub anomaly: Anomaly,
    /// The anomaly that a sham or harmless window declares, and that its evidence is evaluated by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Anomaly>,
    /// The window only warms the target up: all of it is a transition.
    #[serde(default, skip_serializing_if = "is_false")]
    pub warm_up: bool,
    /// Start by the plan.
    pub planned_start_ns: i64,
    /// End by the plan.
    pub planned_end_ns: i64,
    /// It may close before its planned end without anything being wrong: its executor makes a
    /// number of iterations, or ends with no VU.
    #[serde(default, skip_serializing_if = "is_false")]
    pub may_end_early: bool,
    /// When it really opened.
    pub at_ns: i64,
    /// Time after an edge that counts as transition, in nanoseconds.
    #[serde(default)]
    pub guard_ns: u64,
}

/// A fault's change, confirmed by the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultChanged {
    /// The scenario it belongs to.
    pub scenario: String,
    /// Who made the change.
    pub driver: String,
    /// The fault's name.
    pub fault: String,
    /// Service it is in.
    #[serde(default)]
    pub service: String,
    /// How strong, above 0 up to 1.
    #[serde(default)]
    pub intensity: f64,
    /// All motions were gone through, and nothing was injected.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sham: bool,
    /// It breaks nothing: a new release without bugs, say.
    #[serde(default, skip_serializing_if = "is_false")]
    pub harmless: bool,
    /// The clients that meet it; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// What else the driver was told, by name; times in milliseconds, under names with `_ms`.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// What the driver worked through, with its version, such as `toxiproxy 2.12.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver_version: String,
    /// How the change was confirmed, for people; nothing: by the target's answer alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub confirmed_by: String,
    /// What was read back from the target after the change.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub read_back: serde_json::Value,
    /// When the change was asked for.
    pub requested_ns: i64,
    /// When it was confirmed.
    pub at_ns: i64,
}

impl FaultChanged {
    /// Whether something is broken by it: it is no sham, and not harmless.
    pub fn breaks(&self) -> bool {
        !self.sham && !self.harmless
    }

    /// What a fault is known by: scenario, driver, name and service.
    pub fn identity(&self) -> [&str; 4] {
        [&self.scenario, &self.driver, &self.fault, &self.service]
    }
}

impl FaultFailed {
    /// What the fault is known by: as [`FaultChanged::identity`].
    pub fn identity(&self) -> [&str; 4] {
        [&self.scenario, &self.driver, &self.fault, &self.service]
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A fault of which somebody else changed the state, as a look at the target showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultNoticed {
    /// Who looked.
    pub driver: String,
    /// The fault's name.
    pub fault: String,
    /// Service it is in.
    pub service: String,
    /// How strong it is, above 0 up to 1; 0 where it is gone.
    pub intensity: f64,
    /// Whose it is, or was, as far as the driver knows: a run, or nothing for what was made by
    /// hand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What was seen.
    pub change: NoticedChange,
    /// The last look that had not shown it. What happened in between is not known.
    pub since_ns: i64,
    /// The look that showed it.
    pub at_ns: i64,
}

impl FaultNoticed {
    /// For people.
    pub fn describe(&self) -> String {
        let (fault, service) = (&self.fault, &self.service);
        match self.change {
            NoticedChange::Lost if self.intensity > 0.0 => {
                format!("{fault} in {service} is not as this run injected it any more")
            }
            NoticedChange::Lost => {
                format!("{fault} in {service} is not in force any more, and not by this run")
            }
            NoticedChange::Appeared if self.owner.is_empty() => {
                format!("{fault} in {service} is in force, and not by this run")
            }
            NoticedChange::Appeared => {
                let owner = &self.owner;
                format!("{fault} in {service} is in force, and not by this run: it is of {owner}")
            }
            NoticedChange::Gone => format!("{fault} in {service}, not of this run, is gone"),
        }
    }
}

/// What a look at the target showed of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticedChange {
    /// A fault of this run is not in force any more, or not as it was injected.
    Lost,
    /// A fault that is not this run's is in force.
    Appeared,
    /// A fault that had appeared is gone.
    Gone,
}

/// A fault that could not be changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultFailed {
    /// The scenario it belongs to.
    pub scenario: String,
    /// Who was to make the change.
    pub driver: String,
    /// The fault's name.
    pub fault: String,
    /// Service it was to be in.
    #[serde(default)]
    pub service: String,
    /// `inject` or `clear`.
    pub change: String,
    /// Why it failed.
    pub reason: String,
    /// When the change was asked for.
    pub requested_ns: i64,
    /// When it was given up.
    pub at_ns: i64,
}

/// Totals of requests since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// Time of the line.
    pub at_ns: i64,
    /// Requests sent.
    pub sent: u64,
    /// Requests that ended, well or not.
    pub completed: u64,
    /// Requests that ended otherwise than expected.
    pub failed: u64,
    /// Iterations that could not start because no VU was free.
    pub dropped: u64,
}

/// Totals of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowClosed {
    /// The scenario's name.
    pub scenario: String,
    /// When it closed (`window_closed`) or was empty (`window_drained`).
    pub at_ns: i64,
    /// When the last request that has ended by now ended; none: no request has.
    pub last_completed_ns: Option<i64>,
    /// Requests sent.
    pub sent: u64,
    /// Requests that ended, well or not.
    pub completed: u64,
    /// Requests that ended otherwise than expected.
    pub failed: u64,
    /// Iterations that could not start because no VU was free.
    pub dropped: u64,
    /// Iterations started.
    #[serde(default)]
    pub iterations: u64,
    /// Iterations that did not come to their end.
    #[serde(default)]
    pub interrupted_iterations: u64,
    /// Steps without a request, because a value that they need was never captured.
    #[serde(default)]
    pub unsent_steps: u64,
}

/// What a feature flag says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlagChanged {
    /// The flag, by its name in the scenario file.
    pub flag: String,
    /// Its value.
    pub value: u64,
    /// When it was read.
    pub at_ns: i64,
}

/// A feature flag that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlagLost {
    /// The flag, by its name in the scenario file.
    pub flag: String,
    /// Why it could not be read.
    pub reason: String,
    /// When that was seen.
    pub at_ns: i64,
}

impl FlagLost {
    /// For people.
    pub fn describe(&self) -> String {
        let Self { flag, reason, .. } = self;
        format!("the flag {flag} can't be read, so what it said last holds: {reason}")
    }
}

/// How many VUs a scenario runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VusChanged {
    /// The scenario's name.
    pub scenario: String,
    /// VUs from now on. One that is taken away may be in its last iteration.
    pub vus: u32,
    /// When they were asked for.
    pub at_ns: i64,
}

/// A step of the wall clock. The timeline's own times do not follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockStepped {
    /// When it was seen, by the timeline's clock.
    pub at_ns: i64,
    /// Wall clock minus timeline clock, in nanoseconds.
    pub offset_ns: i64,
    /// Of a merged run: the shard whose clock it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
}

/// A time during which the generator did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorStalled {
    /// When it was seen.
    pub at_ns: i64,
    /// How much later than due, in nanoseconds.
    pub for_ns: u64,
    /// Of a merged run: the shard that did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
}

impl GeneratorStalled {
    /// For people.
    pub fn describe(&self) -> String {
        let which = match self.shard {
            Some(shard) => format!("the generator of shard {shard}"),
            None => "the generator".to_owned(),
        };
        format!(
            "{which} did not run for {:.1} s: it was suspended, or had no processor",
            self.for_ns as f64 / 1e9
        )
    }
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunFinished {
    /// When.
    pub at_ns: i64,
    /// How.
    pub status: RunStatus,
    /// SHA-256 of all lines before this one, as bytes, in lower-case hex: a timeline of which it
    /// is not true was changed after it was written. The writer fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Every window was run.
    Completed,
    /// A signal ended it early.
    Interrupted,
    /// An error ended it early.
    Failed,
}

//! A scenario file as it is written: the types that serde reads and that the JSON Schema comes
//! from. What its names refer to, and which option belongs to which executor, is checked when the
//! plan is made.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::k6_block;
use crate::values::text;

pub(crate) use crate::duration::Duration;
pub(crate) use crate::values::{
    Bounds, CaptureSpec, Exec, Guard, Pause, RepeatSpec, Share, StatusSpec, Text,
};

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "loadgen scenario file")]
pub(crate) struct ScenarioFile {
    /// Version of the format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Name of the run. Default: the file's name without its extension.
    pub name: Option<String>,
    /// What the file is for; not used.
    pub description: Option<String>,
    /// Seed of every choice, 0 to 2^53 - 1. Default: 0. `--seed` overrides it.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991u64))]
    pub seed: Option<u64>,
    /// `embedded`: the demo shop that loadgen starts itself. The default where there is no
    /// `base_url`.
    pub target: Option<TargetName>,
    /// Where the requests go, such as `http://shop.example:8080`. `--base-url` and the variable
    /// `BASE_URL` override it.
    pub base_url: Option<String>,
    /// Hosts other than the target's that redirects may lead to. Default: none.
    #[serde(default)]
    pub redirect_hosts: Vec<String>,
    /// Whether each scenario has connections of its own, new ones from its first request on. Some
    /// faults act on new connections only. Default: `false`.
    #[serde(default)]
    pub renew_connections: bool,
    /// How long after an edge of a window counts as transition: a share of the window (`5%`) or a
    /// duration. Default: `5%`.
    pub guard: Option<Guard>,
    /// Whether windows of scenarios may overlap. Default: `deny`.
    pub overlap: Option<Overlap>,
    /// What steps and scenarios have where they say nothing else.
    #[serde(default)]
    pub defaults: Defaults,
    /// The anomaly registry: what windows are labelled with. `none` is there without being
    /// written.
    #[serde(default)]
    pub anomalies: IndexMap<String, AnomalySpec>,
    /// What fault drivers must be told, by their names: addresses, mostly.
    #[serde(default)]
    pub drivers: IndexMap<String, IndexMap<String, Value>>,
    /// Faults that somebody else makes during the run, by their names, and what data is labelled with
    /// meanwhile.
    #[serde(default)]
    pub observe: IndexMap<String, ObserveSpec>,
    /// Feature flags that are read while the run goes on, by names of the file's own.
    #[serde(default)]
    pub flags: IndexMap<String, FlagSpec>,
    /// The journeys.
    pub flows: IndexMap<String, FlowSpec>,
    /// The timetable, with k6's executors and options.
    #[serde(deserialize_with = "k6_block::scenarios")]
    pub scenarios: IndexMap<String, ScenarioSpec>,
    /// Faults at random times, drawn from the seed, while one scenario goes on sending.
    pub episodes: Option<EpisodesSpec>,
}

/// A target that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TargetName {
    /// The demo shop that loadgen starts itself.
    Embedded,
}

/// Whether windows may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overlap {
    /// Overlapping windows are an error.
    Deny,
    /// Windows may overlap. Where faults of several are in force, data is labelled with all of them:
    /// their types, sorted and joined by `+`.
    Allow,
}

/// Defaults of steps and scenarios.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    /// Limit for each exchange. Default: `60s`.
    pub timeout: Option<Duration>,
    /// Pause after each step: a duration, or `[shortest, longest]`. Default: none.
    pub think_time: Option<Pause>,
    /// Headers of each step.
    #[serde(default)]
    pub headers: IndexMap<String, Text>,
    /// Members of `baggage` of each step, beside those of the engine.
    #[serde(default)]
    pub baggage: IndexMap<String, Text>,
    /// What counts as success. Default: status 200 to 399, any content.
    #[serde(default)]
    pub expect: ExpectSpec,
    /// k6's `gracefulStop` of each scenario. Default: `30s`.
    #[serde(alias = "gracefulStop")]
    pub graceful_stop: Option<Duration>,
    /// k6's `gracefulRampDown` of each `ramping-vus` scenario. Default: `30s`.
    #[serde(alias = "gracefulRampDown")]
    pub graceful_ramp_down: Option<Duration>,
}

/// A feature flag that is read while the run goes on: from flagd's file, or from flagd itself.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlagSpec {
    /// The flag's name in flagd.
    #[serde(deserialize_with = "text")]
    pub flag: String,
    /// flagd's file of flags. Or give `ofrep_url`.
    pub flagd_file: Option<String>,
    /// Where flagd answers OFREP, such as `http://flagd:8016`. Or give `flagd_file`.
    pub ofrep_url: Option<String>,
    /// Time between two looks at the flag. Default: `10s`.
    pub every: Option<Duration>,
}

/// A fault that somebody else makes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObserveSpec {
    /// The driver that sees it.
    #[serde(deserialize_with = "text")]
    pub driver: String,
    /// Entry of the anomaly registry.
    #[serde(deserialize_with = "text")]
    pub anomaly: String,
}

/// An entry of the anomaly registry.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnomalySpec {
    /// `x-anomaly-type`. Default: the entry's key.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `x-anomaly-label`: `normal` with the type `none`, `anomalous` with all others. It follows from
    /// the type and may be left out. Any other text is read as `symptom`, as older files have it.
    pub label: Option<Text>,
    /// A name for what people see, such as `high_latency`; the dataset's `anomaly_symptom`.
    pub symptom: Option<Text>,
    /// `x-anomaly-root-cause`.
    #[serde(deserialize_with = "text")]
    pub root_cause: String,
    /// `x-anomaly-msg`: a sentence for people. Default: empty.
    #[serde(default, deserialize_with = "text")]
    pub msg: String,
    /// The service that the fault is in.
    pub root_cause_service: Option<String>,
}

/// A journey.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlowSpec {
    /// What the flow is for; not used.
    pub description: Option<String>,
    /// Variables drawn at the start of each iteration.
    #[serde(default)]
    pub vars: IndexMap<String, VarSpec>,
    /// Pause at the end of each iteration, also where it sent nothing: a duration, or `[shortest,
    /// longest]`. Default: none.
    pub wait_time: Option<Pause>,
    /// The steps, taken one after the other.
    pub steps: Vec<StepSpec>,
}

/// What a variable is drawn from: exactly one of the options.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VarSpec {
    /// One of a list, each equally likely.
    #[schemars(length(min = 1))]
    pub pick: Option<Vec<Value>>,
    /// An integer between two bounds, both included: `[low, high]`.
    pub range: Option<[i64; 2]>,
    /// That many hexadecimal digits, 1 to 16.
    #[schemars(range(min = 1, max = 16))]
    pub hex: Option<u32>,
    /// A random UUID: 4, its version.
    #[schemars(range(min = 4, max = 4))]
    pub uuid: Option<u32>,
    /// The whole number that a flag of `flags` has at this moment; 0 until it has been read.
    pub flag: Option<String>,
}

/// A request, or a `repeat` of steps.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepSpec {
    /// Name in metrics and messages. Default: method and path as written.
    pub name: Option<String>,
    /// HTTP method. Default: `GET`.
    pub method: Option<String>,
    /// Path with query; begins with `/`, may hold `${variable}`.
    #[schemars(regex(pattern = "^/"))]
    pub path: Option<String>,
    /// Headers; values may hold `${variable}`.
    #[serde(default)]
    pub headers: IndexMap<String, Text>,
    /// Members of `baggage`, beside those of the engine; values may hold `${variable}`.
    #[serde(default)]
    pub baggage: IndexMap<String, Text>,
    /// JSON body; its texts may hold `${variable}`. A text that is one variable and nothing else
    /// becomes the variable's value with its JSON type.
    pub json: Option<Value>,
    /// What counts as success.
    #[serde(default)]
    pub expect: ExpectSpec,
    /// Pause after the step: a duration, or `[shortest, longest]`.
    pub think_time: Option<Pause>,
    /// Limit for the whole exchange.
    pub timeout: Option<Duration>,
    /// Chance of taking the step, 0 to 1. Default: always.
    #[schemars(range(min = 0, max = 1))]
    pub probability: Option<f64>,
    /// Variables drawn just before the step, or before each round of a `repeat`.
    #[serde(default)]
    pub vars: IndexMap<String, VarSpec>,
    /// Variables read from the JSON answer.
    #[serde(default)]
    pub capture: IndexMap<String, CaptureSpec>,
    /// Number of rounds of `steps`: 1 to 1000, or `{var: n, max: 4}` for as many as a variable says.
    pub repeat: Option<RepeatSpec>,
    /// The steps to repeat.
    pub steps: Option<Vec<StepSpec>>,
}

/// What counts as success.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectSpec {
    /// Status codes: `200`, `2xx`, `200-299`, or a list of these.
    pub status: Option<StatusSpec>,
    /// Media type that the answer must have.
    pub content_type: Option<String>,
}

/// A scenario: k6's options under k6's names (or in snake_case), and what its window is labelled
/// with.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = crate::k6_block::add_k6_spellings)]
pub(crate) struct ScenarioSpec {
    /// What the scenario is for; not used.
    pub description: Option<String>,
    /// How iterations are started.
    pub executor: ExecutorName,
    /// The flow that iterations run, or several with weights. Default: the flow `default`.
    pub exec: Option<Exec>,
    /// Entry of the anomaly registry. Default: `none`.
    pub anomaly: Option<String>,
    /// What is really injected during the window.
    pub fault: Option<FaultSpec>,
    /// The window only warms the target up: its data is neither compared nor in the class files. With
    /// the anomaly `none` and without a fault only.
    #[serde(default)]
    pub warm_up: bool,
    /// Start of the window from the start of the run. Default: the end of the scenario before.
    pub start_time: Option<Duration>,
    /// Starts at the end of this scenario's window.
    pub after: Option<String>,
    /// How long iterations in flight may go on after the end. Default: `30s`.
    pub graceful_stop: Option<Duration>,
    /// How long after an edge of the window counts as transition.
    pub guard: Option<Guard>,
    /// Tags of the scenario's metrics.
    #[serde(default, deserialize_with = "k6_block::texts")]
    pub tags: IndexMap<String, Text>,
    /// Environment of the scenario's k6 VUs.
    #[serde(default, deserialize_with = "k6_block::texts")]
    pub env: IndexMap<String, Text>,
    /// k6's options of a browser: not taken, a note says so.
    pub options: Option<Value>,
    /// The flag of `flags` that says how many VUs run (`externally-controlled`).
    pub vus_from: Option<String>,
    /// Number of VUs.
    #[serde(default, deserialize_with = "k6_block::count")]
    pub vus: Option<u32>,
    /// Length of the window.
    pub duration: Option<Duration>,
    /// Iterations: of each VU (`per-vu-iterations`) or in all (`shared-iterations`).
    #[serde(default, deserialize_with = "k6_block::count")]
    pub iterations: Option<u64>,
    /// Limit on the length of a window that ends with its iterations. Default: `10m`.
    pub max_duration: Option<Duration>,
    /// VUs at the start. Default: 1.
    #[serde(default, deserialize_with = "k6_block::count")]
    pub start_vus: Option<u32>,
    /// Straight lines towards a target, one after the other.
    #[serde(default, deserialize_with = "k6_block::stages")]
    #[schemars(length(min = 1))]
    pub stages: Option<Vec<StageSpec>>,
    /// In place of `stages`: lines that are drawn from the seed.
    pub shape: Option<ShapeSpec>,
    /// How long a VU that is taken away may finish its iteration. Default: `30s`.
    pub graceful_ramp_down: Option<Duration>,
    /// Iterations per `time_unit`.
    #[serde(default, deserialize_with = "k6_block::count")]
    pub rate: Option<u32>,
    /// The unit of rates. Default: `1s`.
    pub time_unit: Option<Duration>,
    /// Iterations per `time_unit` at the start. Default: 0.
    #[serde(default, deserialize_with = "k6_block::count")]
    pub start_rate: Option<u32>,
    /// VUs made before the start.
    #[serde(default, deserialize_with = "k6_block::count")]
    pub pre_allocated_vus: Option<u32>,
    /// VUs at most. Default: `pre_allocated_vus`.
    #[serde(default, deserialize_with = "k6_block::count")]
    pub max_vus: Option<u32>,
}

/// k6's executors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExecutorName {
    /// A fixed number of VUs, each iterating as fast as it can.
    ConstantVus,
    /// A number of VUs that follows straight lines.
    RampingVus,
    /// A fixed rate of iterations, whatever the target does.
    ConstantArrivalRate,
    /// A rate of iterations that follows straight lines.
    RampingArrivalRate,
    /// A fixed number of iterations for each VU.
    PerVuIterations,
    /// A fixed number of iterations that all VUs share.
    SharedIterations,
    /// A number of VUs that a flag says while the run goes on.
    ExternallyControlled,
    /// Nothing is sent: a window of time in which other scenarios send.
    #[serde(rename = "none")]
    NoLoad,
}

impl ExecutorName {
    /// Whether iterations are started at all.
    pub(crate) fn sends(self) -> bool {
        self != Self::NoLoad
    }

    /// Whether it makes a number of iterations, and may be done before its time.
    pub(crate) fn counts(self) -> bool {
        matches!(self, Self::PerVuIterations | Self::SharedIterations)
    }
}

/// A straight line towards a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageSpec {
    /// Length; `0s` jumps.
    pub duration: Duration,
    /// VUs or rate at the end.
    #[serde(deserialize_with = "k6_block::target")]
    pub target: u32,
}

/// What is injected for the length of a window.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSpec {
    /// The fault's name, such as `slow_query`.
    #[serde(deserialize_with = "text")]
    pub fault: String,
    /// The service that it is injected into.
    #[serde(deserialize_with = "text")]
    pub service: String,
    /// How strong, above 0 up to 1. Default: 1.
    pub intensity: Option<f64>,
    /// What injects it. Default: `shop`, the demo shop's admin endpoint.
    pub driver: Option<String>,
    /// What else the driver must be told of this fault.
    #[serde(default)]
    pub parameters: IndexMap<String, Value>,
    /// Goes through all motions and injects nothing: the window is normal, and its evidence is
    /// evaluated against the anomaly all the same. Default: `false`.
    #[serde(default)]
    pub sham: bool,
    /// It is really made and breaks nothing, such as a new release without bugs: the window is normal,
    /// and its evidence is evaluated against the anomaly all the same. Drivers that know their
    /// faults say it themselves. Default: `false`.
    #[serde(default)]
    pub harmless: bool,
    /// Share of the clients that meet it, such as `30%`. Default: all.
    pub clients: Option<Share>,
}

/// The course of a day, drawn from the seed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShapeSpec {
    /// Length of the window.
    pub length: Duration,
    /// The least and the most that there may be.
    pub between: [u32; 2],
    /// Length of a day, which is gone through again and again. Default: the length of the window.
    pub period: Option<Duration>,
    /// Time between two points of the line. Default: `10s`.
    pub every: Option<Duration>,
    /// How far a point may be off the course of the day, as a share of the distance between the least
    /// and the most. Default: `5%`.
    pub noise: Option<Share>,
    /// Times at which the load is suddenly another for a while. Default: none.
    pub jumps: Option<JumpsSpec>,
}

/// Times at which the load is suddenly another.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JumpsSpec {
    /// One in so much time, on average.
    pub every: Duration,
    /// How long one lasts: a duration, or `[shortest, longest]`.
    pub length: Pause,
    /// How far up or down, as a share of the distance between the least and the most.
    pub by: Share,
}

/// Faults at random times under the load of one scenario.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpisodesSpec {
    /// The scenario that goes on sending meanwhile.
    #[serde(deserialize_with = "text")]
    pub over: String,
    /// Share of its time that is to be anomalous: of the windows of 5 s that lie in the settled part of
    /// one condition. Default: `10%`.
    pub anomalous_share: Option<Share>,
    /// How long an episode lasts: a duration, or `[shortest, longest]`.
    pub length: Pause,
    /// The least time between the end of one and the start of the next. Default: `20s`.
    pub apart: Option<Duration>,
    /// Share of the episodes that inject nothing (shams), of all. Default: `0%`.
    pub shams: Option<Share>,
    /// Share of the episodes with a change that breaks nothing, of all. Default: `10%` where
    /// `harmless` lists one.
    pub harmless_share: Option<Share>,
    /// Share of the others in which a second fault joins the first. Default: `0%`.
    pub compound: Option<Share>,
    /// What there is to be injected.
    #[schemars(length(min = 1))]
    pub faults: Vec<EpisodeFaultSpec>,
    /// Changes that break nothing, such as new releases without bugs.
    #[serde(default)]
    pub harmless: Vec<EpisodeFaultSpec>,
}

/// A fault that episodes may have.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpisodeFaultSpec {
    /// Entry of the anomaly registry. Where it names no `root_cause_service`, the one that was drawn
    /// is.
    #[serde(deserialize_with = "text")]
    pub anomaly: String,
    /// The fault's name, such as `slow_query`.
    #[serde(deserialize_with = "text")]
    pub fault: String,
    /// The services, of which one is drawn.
    #[schemars(length(min = 1))]
    pub services: Vec<String>,
    /// How strong, above 0 up to 1: a number, or `[least, most]`. Default: 1.
    pub intensity: Option<Bounds>,
    /// How long an episode of it lasts, if not as long as others.
    pub length: Option<Pause>,
    /// How often it comes, relative to others. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<u32>,
    /// What injects it. Default: `shop`, the demo shop's admin endpoint.
    pub driver: Option<String>,
    /// Share of the clients that meet it, such as `30%`. Default: all.
    pub clients: Option<Share>,
    /// What else the driver must be told of this fault.
    #[serde(default)]
    pub parameters: IndexMap<String, Value>,
}

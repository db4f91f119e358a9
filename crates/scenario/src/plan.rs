//! The plan: a scenario file with every default filled in, every offset computed and every name
//! resolved. It is what an engine runs, and, as JSON (`loadgen plan --format json`), what another
//! engine reads. All times are integers of nanoseconds; those of a scenario are relative to the
//! start of the run.

pub use crate::clients::Clients;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the plan's JSON form, raised when a reader of the old form would misread the new.
pub const PLAN_SCHEMA_VERSION: u32 = 1;

/// A run, fully resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// [`PLAN_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the run: `name:` of the file, or the file's stem.
    pub name: String,
    /// Path of the scenario file as it was given.
    pub scenario_file: String,
    /// SHA-256 of the file's bytes, lower-case hex.
    pub scenario_sha256: String,
    /// Seed of every choice, 0 to 2^53 - 1 (exact in a JSON number).
    pub seed: u64,
    /// Factor by which the timetable was stretched.
    pub time_scale: f64,
    /// Where the requests go.
    pub target: Target,
    /// Hosts other than the target's that redirects are followed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_hosts: Vec<String>,
    /// Each scenario has connections of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub renew_connections: bool,
    /// Each request says the cell of its client ([`crate::clients`]): some fault is for some clients
    /// only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub client_cells: bool,
    /// Feature flags that are read while the run goes on; referred to by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The flows that scenarios refer to by index.
    pub flows: Vec<Flow>,
    /// What fault drivers were told, by their names.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub drivers: IndexMap<String, Parameters>,
    /// Faults that somebody else makes, and what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<ObservedFault>,
    /// The scenarios, by start time.
    pub scenarios: Vec<PlannedScenario>,
}

impl Plan {
    /// End of the last window, in nanoseconds from the start of the run.
    pub fn end_ns(&self) -> u64 {
        self.scenarios.iter().map(|s| s.end_ns).max().unwrap_or(0)
    }
}

/// Where the requests go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The demo shop that loadgen starts itself.
    Embedded,
    /// A base URL without a trailing slash, such as `http://shop.example:8080`.
    BaseUrl(String),
}

/// A feature flag that is read while the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flag {
    /// Its key in the file.
    pub name: String,
    /// Its name in flagd.
    pub flag: String,
    /// Where it is read.
    pub source: FlagSource,
    /// Time between two looks.
    pub every_ns: u64,
}

/// Where a flag is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlagSource {
    /// flagd's file of flags.
    FlagdFile(String),
    /// Where flagd answers OFREP, without a trailing slash.
    OfrepUrl(String),
}

/// One scenario on the timetable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedScenario {
    /// Its key in the file.
    pub name: String,
    /// How iterations are started, with scaled times.
    pub executor: Executor,
    /// Start of the window.
    pub start_ns: u64,
    /// End of the window: no iteration starts later. For executors that count iterations this is
    /// the start plus `maxDuration`; their window may close earlier.
    pub end_ns: u64,
    /// How long iterations in flight may go on after the end before they are interrupted.
    pub graceful_stop_ns: u64,
    /// Time after an edge of the window that counts as transition.
    pub guard_ns: u64,
    /// The flows an iteration chooses from, with weights. One entry: no choice is drawn. None where
    /// the executor sends nothing.
    pub exec: Vec<WeightedFlow>,
    /// What the window is labelled with; of a sham or harmless window the anomaly `none`.
    pub anomaly: Anomaly,
    /// The anomaly that a sham or harmless window declares: its evidence is evaluated as if it were
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Anomaly>,
    /// What is really injected during the window.
    pub fault: Option<Fault>,
    /// The window only warms the target up: its time is neither compared nor trained on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub warm_up: bool,
    /// k6's `tags`: carried along for metrics.
    #[serde(default)]
    pub tags: IndexMap<String, String>,
    /// k6's `env`: carried along for the k6 engine.
    #[serde(default)]
    pub env: IndexMap<String, String>,
}

/// A flow among those that a scenario mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeightedFlow {
    /// Index into [`Plan::flows`].
    pub flow: usize,
    /// Relative frequency, at least 1.
    pub weight: u32,
}

/// k6's executors with k6's names and meanings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Executor {
    /// A fixed number of VUs, each iterating as fast as it can.
    ConstantVus {
        /// Number of VUs.
        vus: u32,
        /// Length of the window.
        duration_ns: u64,
    },
    /// A number of VUs that follows straight lines.
    RampingVus {
        /// VUs at the start.
        start_vus: u32,
        /// The lines, one after the other.
        stages: Vec<Stage>,
        /// How long a VU that is taken away may finish its iteration.
        graceful_ramp_down_ns: u64,
    },
    /// A fixed rate of iterations, whatever the target does (open model).
    ConstantArrivalRate {
        /// Iterations per `time_unit_ns`.
        rate: u32,
        /// The unit of `rate`.
        time_unit_ns: u64,
        /// Length of the window.
        duration_ns: u64,
        /// VUs made before the start.
        pre_allocated_vus: u32,
        /// VUs at most.
        max_vus: u32,
    },
    /// A rate of iterations that follows straight lines (open model).
    RampingArrivalRate {
        /// Iterations per `time_unit_ns` at the start.
        start_rate: u32,
        /// The unit of all rates.
        time_unit_ns: u64,
        /// The lines, one after the other; targets are rates.
        stages: Vec<Stage>,
        /// VUs made before the start.
        pre_allocated_vus: u32,
        /// VUs at most.
        max_vus: u32,
    },
    /// A fixed number of iterations for each VU.
    PerVuIterations {
        /// Number of VUs.
        vus: u32,
        /// Iterations of each.
        iterations: u64,
        /// Limit on the window's length.
        max_duration_ns: u64,
    },
    /// A fixed number of iterations that all VUs share.
    SharedIterations {
        /// Number of VUs.
        vus: u32,
        /// Iterations in all.
        iterations: u64,
        /// Limit on the window's length.
        max_duration_ns: u64,
    },
    /// A number of VUs that is changed from outside while the run goes on.
    ExternallyControlled {
        /// VUs until the flag has been read.
        vus: u32,
        /// VUs at most, whatever the flag says.
        max_vus: u32,
        /// Length of the window.
        duration_ns: u64,
        /// The flag that says how many, by its index in [`Plan::flags`].
        flag: usize,
    },
    /// Nothing: the window is one of time in which other scenarios send.
    #[serde(rename = "none")]
    NoLoad {
        /// Length of the window.
        duration_ns: u64,
    },
}

impl Executor {
    /// Whether it starts iterations at all.
    pub fn sends(&self) -> bool {
        !matches!(self, Self::NoLoad { .. })
    }

    /// The most VUs that it has at a time.
    pub fn most_vus(&self) -> u32 {
        match self {
            Self::ConstantVus { vus, .. }
            | Self::PerVuIterations { vus, .. }
            | Self::SharedIterations { vus, .. } => *vus,
            Self::RampingVus {
                start_vus, stages, ..
            } => stages
                .iter()
                .fold(*start_vus, |most, stage| most.max(stage.target)),
            Self::ConstantArrivalRate { max_vus, .. }
            | Self::RampingArrivalRate { max_vus, .. }
            | Self::ExternallyControlled { max_vus, .. } => *max_vus,
            Self::NoLoad { .. } => 0,
        }
    }
}

/// A straight line towards a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Length; 0 jumps.
    pub duration_ns: u64,
    /// VUs or rate at the end.
    pub target: u32,
}

/// An entry of the anomaly registry: what a window's data is labelled with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Anomaly {
    /// `none`, `latency_spike`, …: `x-anomaly-type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `normal` or `anomalous`: `x-anomaly-label`.
    pub label: String,
    /// A name for what people see, such as `high_latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<String>,
    /// `none`, `slow_database_query`, …: `x-anomaly-root-cause`.
    pub root_cause: String,
    /// A sentence for people: `x-anomaly-msg`.
    pub msg: String,
    /// The service that the fault is in; none for a baseline.
    pub root_cause_service: Option<String>,
}

/// The anomaly type that means none, the root cause that goes with it, and the key of the registry's
/// entry that is there without being written.
pub const NONE: &str = "none";

impl Anomaly {
    /// Whether it is the one that says that nothing is wrong.
    pub fn is_none(&self) -> bool {
        self.kind == NONE
    }
}

/// What is injected for the length of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The driver that injects it: `shop` for the demo shop's admin endpoint.
    pub driver: String,
    /// The fault's name, such as `slow_query`.
    pub fault: String,
    /// The service it is injected into.
    pub service: String,
    /// How strong, above 0 up to 1; what 1 means is written down for each fault.
    pub intensity: f64,
    /// Everything is done as for a fault, but nothing is injected: the measure of how often
    /// evidence is seen where there is none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sham: bool,
    /// It is really made and breaks nothing: the measure of how often evidence is seen of what is no
    /// fault.
    #[serde(default, skip_serializing_if = "is_false")]
    pub harmless: bool,
    /// The clients that meet it; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// What else the driver is told.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

/// A fault that somebody else makes during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObservedFault {
    /// The driver that sees it.
    pub driver: String,
    /// Its name.
    pub fault: String,
    /// What data is labelled with while it is in force.
    pub anomaly: Anomaly,
}

/// What a fault or a driver is told, by name. Times are numbers of milliseconds, under names that
/// end with `_ms`.
pub type Parameters = serde_json::Map<String, serde_json::Value>;

impl Fault {
    /// Whether something is broken by it: it is no sham, and not harmless.
    pub fn breaks(&self) -> bool {
        !self.sham && !self.harmless
    }

    /// What is one fault of one place: two of the same key can't be in force at the same time.
    pub fn key(&self) -> FaultKey {
        FaultKey {
            driver: self.driver.clone(),
            fault: self.fault.clone(),
            service: self.service.clone(),
            parameters: serde_json::Value::Object(self.parameters.clone()).to_string(),
        }
    }
}

/// What a fault is apart from its intensity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultKey {
    /// The driver that injects it.
    pub driver: String,
    /// Its name.
    pub fault: String,
    /// The service it is in.
    pub service: String,
    /// Its parameters as JSON.
    pub parameters: String,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A journey: steps taken one after the other by one iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// Its key in the file.
    pub name: String,
    /// Names of the variables; a slot is an index into this list.
    pub variables: Vec<String>,
    /// The steps, with repeats unrolled.
    pub steps: Vec<Step>,
    /// Pause at the end of each iteration, whether or not it sent anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_time: Option<ThinkTime>,
}

/// One request of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its name in the file; unrolled repeats share it.
    pub name: String,
    /// HTTP method, upper case.
    pub method: String,
    /// Path with query, begins with `/`. Values put in are percent-encoded.
    pub path: Template,
    /// Headers of the step, in order.
    pub headers: Vec<(String, Template)>,
    /// Members of `baggage` beside those of the engine, in order. Values are percent-encoded when
    /// they are put in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baggage: Vec<(String, Template)>,
    /// JSON body.
    pub json: Option<JsonTemplate>,
    /// What counts as success.
    pub expect: Expect,
    /// Pause after the step.
    pub think_time: Option<ThinkTime>,
    /// Limit for the whole exchange.
    pub timeout_ns: u64,
    /// Chance of taking the step at all.
    pub probability: Option<Probability>,
    /// Rounds of repeats that the step is in, of those with a variable number; it is taken where
    /// all of them are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// Variables drawn just before the step.
    pub draws: Vec<Draw>,
    /// Variables read from the answer.
    pub captures: Vec<Capture>,
}

/// A round of a repeat whose number of rounds a variable says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// Index of the variable in [`Flow::variables`].
    pub slot: usize,
    /// The round, from 0: it is taken where the variable is a number above this.
    pub round: u32,
}

/// Text with holes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Template(pub Vec<Part>);

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// A variable's value.
    Var(VarRef),
    /// What is read when the run begins, so that it is in no plan: a secret.
    Secret(SecretSource),
}

/// Where a secret is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// An environment variable, by its name.
    Env(String),
    /// A file, by its path; its last end of line is left out.
    File(String),
}

/// A reference to a variable or to something inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VarRef {
    /// Index into [`Flow::variables`].
    pub slot: usize,
    /// JSON Pointer (RFC 6901) into the value; empty for the whole of it.
    pub pointer: String,
}

/// A JSON value with holes. A string that is nothing but one hole takes the value with its JSON
/// type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonTemplate {
    /// A value without holes.
    Value(serde_json::Value),
    /// A variable's value, type kept.
    Var(VarRef),
    /// A string with holes.
    Text(Template),
    /// An array with holes somewhere inside.
    Array(Vec<JsonTemplate>),
    /// An object with holes somewhere inside; order kept.
    Object(Vec<(String, JsonTemplate)>),
}

/// What counts as success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expect {
    /// Inclusive ranges of HTTP status codes.
    pub status: Vec<(u16, u16)>,
    /// The media type that the answer must have, such as `application/json`; none: any.
    pub content_type: Option<String>,
}

/// A pause, drawn evenly between two bounds (both equal: no draw).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThinkTime {
    /// Shortest.
    pub min_ns: u64,
    /// Longest.
    pub max_ns: u64,
    /// Site of the draw.
    pub site: u32,
}

/// A chance between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probability {
    /// Taken when the draw, in [0, 1), is below this.
    pub chance: f64,
    /// Site of the draw.
    pub site: u32,
}

/// A variable that is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Draw {
    /// Index into [`Flow::variables`].
    pub slot: usize,
    /// What it is drawn from.
    pub choice: Choice,
    /// Site of the draw.
    pub site: u32,
}

/// What a variable is drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// One of a list, each equally likely.
    Pick(Vec<serde_json::Value>),
    /// An integer between two bounds, both included.
    Range(i64, i64),
    /// That many lower-case hexadecimal digits (1 to 16).
    Hex(u32),
    /// A random UUID of this version, 4.
    Uuid(u32),
    /// What a flag says at this moment, by its index in [`Plan::flags`].
    Flag(usize),
}

/// A variable read from a JSON answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// Index into [`Flow::variables`].
    pub slot: usize,
    /// JSON Pointer (RFC 6901) into the answer.
    pub pointer: String,
    /// Where set, the pointer names an array and a random element of it is taken; the site of the
    /// draw.
    pub random_element: Option<u32>,
}

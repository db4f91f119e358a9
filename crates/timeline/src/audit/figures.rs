//! What was counted on the way to a dataset: the audit rests on it, and nothing else.
//!
//! Fields that a file of an older version lacks have their default.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Level;
use crate::event::RunStatus;
use crate::read::Integrity;

/// Everything that an extraction counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Figures {
    /// The run, from the first line of its timeline; none without one.
    pub run: Option<RunFigures>,
    /// The timeline; none if none was given.
    pub timeline: Option<TimelineFigures>,
    /// The request ledger; none if there is none.
    pub ledger: Option<LedgerFigures>,
    /// Spans.
    pub spans: Rows,
    /// Data points of metrics.
    pub points: Rows,
    /// Log records.
    pub logs: Rows,
    /// Lines that could not be read, without those that were cut off.
    pub skipped_lines: u64,
    /// Last lines of files that were cut off.
    pub torn_lines: u64,
    /// Parts of lines that could not be read, such as spans, of lines that were read otherwise.
    #[serde(skip_serializing_if = "is_zero")]
    pub unread_parts: u64,
    /// By how much times miss the run, where none of the spans is of its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_offset: Option<TimeOffset>,
    /// What was added to each time of the telemetry, nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shifted_ns: Option<i64>,
    /// Traces whose id has 64 bits and not 128, without those of the ledger.
    #[serde(skip_serializing_if = "is_zero")]
    pub short_trace_ids: u64,
    /// Traces.
    pub traces: u64,
    /// Traces that have spans whose parent is missing, and that lie within 5 s of the first or
    /// the last span: the files begin or end in the middle of them.
    pub traces_cut: u64,
    /// Copies of spans beyond the first.
    pub duplicate_spans: u64,
    /// Traces without a span that has no parent, or whose parent is the generator's own.
    pub traces_without_root: u64,
    /// Late spans, by service and name of the span: see `late` in the table of spans.
    pub late_spans: Vec<LateSpans>,
    /// What was read and is not the run's.
    pub foreign: Vec<ForeignRows>,
    /// Spans that are in no file of a class, by the reason.
    pub left_out: BTreeMap<String, u64>,
    /// Steps of which no span of the target ever arrived, with their requests.
    pub silent_steps: BTreeMap<String, u64>,
    /// Stretches of time of which nothing arrived although requests were sent.
    pub gaps: Vec<Gap>,
    /// Spans by `label_source`.
    pub spans_by_source: BTreeMap<String, u64>,
    /// Spans by `phase`; those without one are not in it.
    pub spans_by_phase: BTreeMap<String, u64>,
    /// Spans by `anomaly_type`.
    pub spans_by_type: BTreeMap<String, u64>,
    /// Windows, as they opened.
    pub windows: Vec<WindowFigures>,
    /// Services, by name.
    pub services: BTreeMap<String, ServiceFigures>,
    /// Services that faults are said to be in.
    pub expected_services: Vec<String>,
    /// Clocks by service and instance, as far as exchanges lead to them.
    pub clocks: Vec<ClockFigures>,
    /// Whether times were corrected by these before windows were looked up.
    pub skew_corrected: bool,
    /// Whether steady baseline windows were there to find recoveries by.
    pub recovery_known: bool,
    /// What by itself gives the label away.
    pub leaks: Vec<Leak>,
    /// Ids that only one window has.
    pub id_leaks: Vec<IdLeak>,
    /// Numbers in paths that count up like a clock.
    pub counting_paths: Vec<CountingPath>,
    /// How well the mix of requests alone tells the label; none: there is too little to tell.
    pub mix: Option<Predictor>,
    /// The same of the number of requests a second.
    pub rate: Option<Predictor>,
    /// Columns that were left out because of that.
    pub dropped_columns: Vec<String>,
    /// Where `span_anomaly` can't tell; none: an older version made the dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_normals: Option<SpanNormals>,
}

/// Where single spans can't be compared with the normal of their operation, or hardly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpanNormals {
    /// Spans of the run that `span_anomaly` says nothing of: their operation has too few normal
    /// spans, or they are late or copies.
    pub untold: u64,
    /// Operations whose normal spans take so long at times that most delays are not told from them,
    /// those with the most spans first.
    pub wide: Vec<WideOperation>,
}

/// An operation whose normal has a long tail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WideOperation {
    /// The service.
    pub service: String,
    /// Name of its spans.
    pub name: String,
    /// Spans of the run.
    pub spans: u64,
    /// Median of the normal ones, ms.
    pub median_ms: f64,
    /// A span that took longer is `latency`, ms.
    pub slow_from_ms: f64,
}

/// Which run it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunFigures {
    /// Its unique name.
    pub run_id: String,
    /// Path of its scenario file.
    pub scenario_file: String,
    /// Seed of its choices.
    pub seed: u64,
    /// Factor by which its timetable was stretched.
    pub time_scale: f64,
    /// When it began, Unix nanoseconds.
    pub began_ns: i64,
}

/// By how much the times of the telemetry miss those of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TimeOffset {
    /// From the run's begin to the first span, nanoseconds.
    pub first_span_ns: i64,
    /// What added to each time puts the telemetry into the run, nanoseconds: a multiple of 15
    /// minutes; none: no such one does.
    pub shift_ns: Option<i64>,
    /// What the times seem to be counted in, instead of nanoseconds.
    pub unit: Option<String>,
}

/// What the timeline had to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TimelineFigures {
    /// Whether the run's end is on it.
    pub finished: bool,
    /// How the run ended, by its last line.
    pub status: Option<RunStatus>,
    /// Whether its lines are those that were written.
    pub integrity: Integrity,
    /// Lines that could not be read.
    pub skipped_lines: u64,
    /// The first of them, each with its number and what is wrong with it.
    pub bad_lines: Vec<String>,
    /// Faults that could not be injected or cleared, and what others did to faults.
    pub fault_failures: Vec<String>,
    /// Scenarios whose windows are labelled with an anomaly, but for which no fault is on the timeline.
    pub without_fault: Vec<String>,
    /// Windows that are not where the plan has them.
    pub off_plan: Vec<OffPlan>,
    /// Times in which the generator did not run, in words.
    pub stalls: Vec<String>,
    /// Where it is that of one generator of several: which one, such as `2/8`, counted from 0.
    pub shard: Option<String>,
    /// How many generators it was merged of, with those that are missing; 0: it was not merged.
    pub shards: u32,
    /// Numbers of the shards that are missing in it.
    pub missing_shards: Vec<u32>,
    /// Shards whose clocks are not known to be within 100 ms of that of shard 0, in words.
    pub shard_clocks: Vec<String>,
}

/// A window that is not where the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OffPlan {
    /// The scenario.
    pub scenario: String,
    /// `error`: it is hardly the one that was planned.
    pub level: Level,
    /// Both in words, with figures.
    pub message: String,
}

/// What the ledger had to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LedgerFigures {
    /// Version of its form; from 2 on checksums prove it to be as it was written.
    pub schema_version: u32,
    /// Requests that were handed to the network.
    pub requests: u64,
    /// Whether it breaks off before its end.
    pub torn: bool,
    /// What is damaged, in words; none: nothing is.
    pub damage: Option<String>,
    /// About how many requests were lost to that.
    pub lost_requests: u64,
    /// Where it and the timeline differ although nothing should be missing.
    pub differences: Vec<String>,
    /// What the end of a run that was killed explains.
    pub missing_at_the_end: Vec<String>,
}

/// Rows of one signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rows {
    /// Records in the lines that could be read.
    pub read: u64,
    /// Rows in the file of all of them.
    pub written: u64,
    /// Records that were left out on request (`--steady-only`).
    pub filtered: u64,
    /// Records that are not the run's.
    pub foreign: u64,
    /// Records that were left out because their trace, or series, is too large for memory.
    pub too_large: u64,
}

impl Rows {
    /// Whether each record became a row or was left out for a reason that is counted.
    pub fn reconcile(&self) -> bool {
        let rows = [self.written, self.filtered, self.foreign, self.too_large];
        let sum = rows.iter().try_fold(0u64, |sum, of| sum.checked_add(*of));
        sum == Some(self.read)
    }
}

/// Late spans of one service and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LateSpans {
    /// The service.
    pub service: String,
    /// Name of the spans.
    pub name: String,
    /// How many.
    pub spans: u64,
}

/// Rows that are not the run's, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForeignRows {
    /// `other_run`, `doctor` or `outside`.
    pub kind: String,
    /// Traces.
    pub traces: u64,
    /// Spans.
    pub spans: u64,
    /// Log records.
    pub log_records: u64,
    /// Data points.
    pub data_points: u64,
}

/// A stretch of time of which nothing arrived. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Its begin.
    pub from_ns: i64,
    /// Its end.
    pub to_ns: i64,
    /// Requests that were sent in it, of steps of which spans arrive at other times.
    pub requests: u64,
    /// Scenarios that sent them.
    #[serde(default)]
    pub scenarios: Vec<String>,
}

/// An effect with its 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Which signal.
    pub signal: String,
    /// The effect, from -1 to 1.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What is labelled with one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WindowFigures {
    /// The scenario.
    pub scenario: String,
    /// Its anomaly's type.
    pub anomaly_type: String,
    /// Spans.
    pub spans: u64,
    /// Traces.
    pub traces: u64,
    /// Requests of the ledger that the scenario sent.
    pub requests: u64,
    /// Of these, those of which no span of the target arrived although others of the same step did.
    pub lost_traces: u64,
    /// Of these, those that were sent in a stretch of time of which nothing arrived.
    pub gap_requests: u64,
    /// End of the phase `recovery` after its fault, Unix nanoseconds; none: there was none to see.
    pub recovered_ns: Option<i64>,
    /// Of its spans those in its steady phase.
    pub steady_spans: u64,
    /// What backs its label.
    pub fault_state: String,
    /// It only warms the target up.
    pub warm_up: bool,
    /// It declares an anomaly and injects nothing.
    pub sham: bool,
    /// It declares an anomaly, and what it injects breaks nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub harmless: bool,
    /// The anomaly type that the evidence evaluates it by; none: it declares none.
    pub declared: Option<String>,
    /// The service that this anomaly is said to be in.
    pub declared_service: Option<String>,
    /// What the evidence says of it; none: it only warms the target up.
    pub verdict: Option<String>,
    /// Why, in plain words.
    pub reasons: Vec<String>,
    /// The strongest effect of its declared service.
    pub effect: Option<Effect>,
    /// From the confirmation of the injection to the first effect, seconds.
    pub onset_s: Option<f64>,
    /// From the confirmation of the clearing to the last request that shows the anomaly, seconds.
    pub recovery_s: Option<f64>,
    /// Traces through its declared service while its condition held; none: it declares none.
    pub traces_met: Option<u64>,
    /// Rank of its declared service among all.
    pub root_cause_rank: Option<u32>,
    /// Whether that service is tied with the one before it.
    pub root_cause_tied: bool,
    /// How many times as many requests a second its declared service got as in normal time; none:
    /// less than twice as many. What is due to the load can't be told from what is due to a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub higher_load: Option<f64>,
}

impl WindowFigures {
    /// Nothing disturbs it as far as one can see, but there was nothing to compare it with.
    #[must_use]
    pub fn is_not_compared(&self) -> bool {
        self.verdict.as_deref() == Some("clean") && self.effect.is_none()
    }
}

/// What is known of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceFigures {
    /// Spans.
    pub spans: u64,
    /// Spans of kind server.
    pub server_spans: u64,
    /// Spans that carry the anomaly header, in any spelling.
    pub header_spans: u64,
    /// Spans on which a default stands in its place.
    pub default_spans: u64,
    /// Headers that agree with a label of the ledger or a window.
    pub agreeing: u64,
    /// Headers that contradict it.
    pub contradicting: u64,
    /// Spans without a parent.
    pub roots: u64,
    /// Spans whose parent is not in the data.
    pub orphans: u64,
    /// Traces of one span only, which is the service's.
    pub single_span_traces: u64,
}

impl ServiceFigures {
    /// Adds those of another part of the telemetry.
    pub fn merge(&mut self, other: &Self) {
        self.spans += other.spans;
        self.server_spans += other.server_spans;
        self.header_spans += other.header_spans;
        self.default_spans += other.default_spans;
        self.agreeing += other.agreeing;
        self.contradicting += other.contradicting;
        self.roots += other.roots;
        self.orphans += other.orphans;
        self.single_span_traces += other.single_span_traces;
    }
}

/// How far a clock is ahead of the generator's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClockFigures {
    /// The service.
    pub service: String,
    /// Its instance or host, if it says which.
    pub instance: String,
    /// How far it is ahead, in nanoseconds.
    pub ahead_ns: i64,
    /// The truth is at most so far from that, in nanoseconds.
    pub bound_ns: i64,
    /// Exchanges that it was found from.
    pub exchanges: u64,
}

/// A column or an attribute that gives the label away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Leak {
    /// Name of the column, or of the attribute as `attributes.<key>`.
    pub column: String,
    /// Share of the sampled spans that it alone labels rightly.
    pub share: f64,
    /// Whether each of its frequent values stands for one type only; otherwise only those in
    /// `values` do.
    pub perfect: bool,
    /// Values that stand for one type only, and the type, the most frequent first.
    pub values: Vec<(String, String)>,
}

/// Ids of a service of which each value occurs in one window only, although the service was seen in
/// others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdLeak {
    /// The column of the dataset, or the attribute as `attributes.<key>` or `resource.<key>`.
    pub column: String,
    /// The service.
    pub service: String,
    /// Values with the scenario of their window and the sampled spans that have them.
    pub values: Vec<IdOfWindow>,
}

/// An id that only one window has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdOfWindow {
    /// The id.
    pub value: String,
    /// Scenario of the window.
    pub scenario: String,
    /// Sampled spans of the service that have it.
    pub spans: u64,
}

/// A path with a number in it that grows or falls with time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CountingPath {
    /// The path with its numbers taken out: `/order/{n}`.
    pub path: String,
    /// Which of its numbers, from 1.
    pub number: usize,
    /// Spearman's rank correlation of number and time, from -1 to 1.
    pub rho: f64,
    /// Sampled requests that it rests on.
    pub requests: u64,
}

/// How well something tells the label of a block of steady time, cross-validated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Predictor {
    /// Mean over anomaly types of the share of their blocks that were told rightly.
    pub balanced_accuracy: f64,
    /// What guessing gives: one over the number of types.
    pub chance: f64,
    /// Standard error of the accuracy of guessing.
    pub chance_error: f64,
    /// Length of a block, seconds.
    pub block_s: f64,
    /// Blocks by anomaly type, and how many of them were told rightly.
    pub types: BTreeMap<String, ToldBlocks>,
}

/// Blocks of one anomaly type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToldBlocks {
    /// All.
    pub blocks: u64,
    /// Those that were told rightly.
    pub told: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference on"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

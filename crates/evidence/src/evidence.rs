//! The evidence of a run: what was compared, how it came out, and the verdict of each window. Its
//! JSON schema is `docs/schema/evidence.schema.json`; how to read it stands in `docs/evidence.md`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::comparison::{
    EffectKind, EffectSize, Estimate, Measure, ServiceSignal, SignalEvidence, Subject,
};
use crate::run::Declared;
use crate::thresholds::Thresholds;
use crate::time::Interval;

/// Version of the evidence's form, raised when a reader of the old form would misread the new.
pub const EVIDENCE_SCHEMA_VERSION: u32 = 1;

/// The JSON schema of [`Evidence`].
pub fn evidence_json_schema() -> schemars::Schema {
    schemars::schema_for!(Evidence)
}

/// All evidence of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// [`EVIDENCE_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run's name, as on its timeline.
    pub run_id: String,
    /// What windows are compared with.
    pub reference: Reference,
    /// Each window, in the order in which they were given.
    pub windows: Vec<WindowEvidence>,
    /// Spans that could not be sampled, because their service has too many names of operations.
    pub spans_left_out: u64,
    /// What was decided by.
    pub thresholds: Thresholds,
}

/// The steady normal time of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reference {
    /// Its intervals, Unix ns.
    pub intervals: Vec<Interval>,
    /// Their length together, seconds.
    pub seconds: f64,
}

/// What a window was evaluated as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatedAs {
    /// It declares an anomaly.
    Anomalous,
    /// It declares an anomaly and injects nothing.
    Sham,
    /// It declares an anomaly, and what it injects breaks nothing.
    Harmless,
    /// Normal time.
    Normal,
    /// Not evaluated.
    WarmUp,
}

/// What the evidence says of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The declared service differs from normal time as an anomaly does.
    Supported,
    /// It differs, but only just too little, or it could only just be chance.
    Weak,
    /// It does not differ.
    NotSupported,
    /// Too little was observed to tell.
    NotEnoughData,
    /// A normal window that nothing speaks against.
    Clean,
    /// A normal window in which some service was much slower or failed more than at other times.
    Disturbed,
}

impl Verdict {
    /// As in the dataset.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Weak => "weak",
            Self::NotSupported => "not_supported",
            Self::NotEnoughData => "not_enough_data",
            Self::Clean => "clean",
            Self::Disturbed => "disturbed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The evidence of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowEvidence {
    /// Its number in the dataset's table of windows.
    pub window: u32,
    /// Its scenario.
    pub scenario: String,
    /// What it was evaluated as.
    #[serde(rename = "judged_as")]
    pub evaluated_as: EvaluatedAs,
    /// What it declares; none: nothing.
    pub declared: Option<Declared>,
    /// The verdict; none: it only warms the target up.
    pub verdict: Option<Verdict>,
    /// Why, in plain words; the first says the most.
    pub reasons: Vec<String>,
    /// Traces that met the declared service while the window's own condition held.
    pub traces_met: u64,
    /// What was compared with what; none: there was nothing to compare.
    pub compared: Option<Compared>,
    /// The declared family of signals, of which each is tested. Of a normal window what can disturb
    /// it: durations and errors of all services.
    pub family: Vec<SignalEvidence>,
    /// The signal of the family that says the most; none: none could be tested.
    pub strongest: Option<Strongest>,
    /// When the anomaly began to show, seconds after its fault was confirmed (or, without a fault
    /// event, after the window opened), by the time at which requests were sent. None: it does not
    /// show, or not in single requests.
    pub onset_s: Option<f64>,
    /// When it had ceased to show, seconds after the clear was confirmed, by the time at which
    /// requests were sent. None: as for the onset, or the next fault came too soon to see it.
    pub recovery_s: Option<f64>,
    /// Where the declared service stands among all; none: no service shows anything.
    pub root_cause_rank: Option<RootCauseRank>,
    /// All services, the one with the strongest effect of its own first.
    pub services: Vec<RankedService>,
    /// All edges between services, the one with the strongest effect first.
    pub edges: Vec<RankedEdge>,
}

/// What was compared with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// The window's side: its steady time. Of a normal window that has nothing to be compared with
    /// its second half.
    pub window: Side,
    /// The other side: the run's steady normal time without the window's own. Of a normal window
    /// that is the only one its first half.
    pub reference: Side,
    /// Length of a block of time, seconds.
    pub block_s: f64,
    /// Arrangements of blocks that each p rests on, at most.
    pub arrangements: u64,
    /// All arrangements that there are were gone through; otherwise at most that many were drawn.
    pub exact: bool,
    /// The halves of one window were compared.
    pub halves: bool,
}

impl Compared {
    /// How many times as many requests a second the service got as in normal time, where that is twice
    /// or more: what is due to the load can't be told from what is due to a fault.
    #[must_use]
    pub fn higher_load(&self) -> Option<f64> {
        let times = self.window.throughput / self.reference.throughput;
        (times >= 2.0 && times.is_finite()).then_some(times)
    }
}

/// A side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Length, seconds.
    pub seconds: f64,
    /// Blocks of time.
    pub blocks: usize,
    /// Traces through the declared service.
    pub traces: u64,
    /// Requests to the declared service a second. Shown, and never decides: load differs on
    /// purpose.
    pub throughput: f64,
}

/// The strongest comparison of a window's family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Strongest {
    /// Its signal.
    pub signal: ServiceSignal,
    /// Its subject.
    pub subject: Subject,
    /// What was measured.
    pub measure: Measure,
    /// How the effect is measured.
    pub effect_kind: EffectKind,
    /// The effect.
    pub effect: Estimate,
    /// How many times as much.
    pub ratio: Option<Estimate>,
    /// Its p, adjusted for everything that was compared.
    pub p: f64,
}

/// Where the declared root cause stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootCauseRank {
    /// Its rank by the strength of its own effect, from 1. Where its interval overlaps that of the
    /// service just before it, the two are tied and it has that one's rank.
    pub rank: u32,
    /// It is tied with the service before it.
    pub tied: bool,
    /// Services that were ranked.
    pub of: u32,
}

/// A service in a window's ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankedService {
    /// The service.
    pub service: String,
    /// Its place, from 1.
    pub rank: u32,
    /// Its strongest effect of its own, without what it waits for or gets from others; none:
    /// nothing of it could be compared.
    pub strength: Option<Strength>,
    /// Its rows shifted in this window: some signal of it, with what comes from others, has at
    /// least the least effect at a q of at most `affected_q`.
    pub affected: bool,
    /// When it began to show, seconds after the confirmation.
    pub onset_s: Option<f64>,
    /// Its place by onset, from 1; none: it has none.
    pub onset_rank: Option<u32>,
    /// When its rows began to shift, with what comes from others: seconds after the confirmation,
    /// and the 95 % interval of that. None: it did not, or single requests don't show it.
    #[serde(default)]
    pub shift_onset: Option<Estimate>,
}

/// An edge in a window's ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankedEdge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// Its place, from 1.
    pub rank: u32,
    /// Its strongest effect; none: nothing of it could be compared.
    pub strength: Option<Strength>,
    /// When it began to show, seconds after the confirmation.
    pub onset_s: Option<f64>,
}

/// How strongly a service or an edge shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Strength {
    /// What was measured.
    pub measure: Measure,
    /// The effect.
    pub effect: Estimate,
    /// How much of an effect that is.
    pub size: EffectSize,
    /// Its p.
    pub p: f64,
    /// Its p, adjusted for the false discovery rate over all services (edges) of the window
    /// (Benjamini and Hochberg).
    pub q: f64,
}

/// A window's evidence in one row, as in the dataset's table of windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowRow {
    /// The window's number.
    pub window: u32,
    /// Its verdict; none: it only warms the target up.
    pub verdict: Option<Verdict>,
    /// The strongest signal of the declared family.
    pub signal: Option<ServiceSignal>,
    /// Its effect, from -1 to 1.
    pub effect: Option<f64>,
    /// Lower end of the effect's 95 % interval.
    pub effect_low: Option<f64>,
    /// Upper end.
    pub effect_high: Option<f64>,
    /// When it began to show, seconds after the fault was confirmed.
    pub onset_s: Option<f64>,
    /// When it had ceased to show, seconds after the clear was confirmed.
    pub recovery_s: Option<f64>,
    /// Traces that met the declared service.
    pub traces_met: u64,
    /// Rank of the declared service.
    pub root_cause_rank: Option<u32>,
}

impl Evidence {
    /// The evidence of a window, by its number.
    pub fn window(&self, window: u32) -> Option<&WindowEvidence> {
        self.windows
            .iter()
            .find(|evidence| evidence.window == window)
    }

    /// Whether a service's rows shifted in a window. None: nothing is known of the window.
    pub fn service_affected(&self, window: u32, service: &str) -> Option<bool> {
        let services = &self.window(window)?.services;
        let found = services.iter().find(|ranked| ranked.service == service)?;
        Some(found.affected)
    }
}

impl WindowEvidence {
    /// In one row.
    pub fn row(&self) -> WindowRow {
        let effect = self.strongest.as_ref().map(|strongest| strongest.effect);
        WindowRow {
            window: self.window,
            verdict: self.verdict,
            signal: self.strongest.as_ref().map(|strongest| strongest.signal),
            effect: effect.map(|effect| effect.value),
            effect_low: effect.map(|effect| effect.low),
            effect_high: effect.map(|effect| effect.high),
            onset_s: self.onset_s,
            recovery_s: self.recovery_s,
            traces_met: self.traces_met,
            root_cause_rank: self.root_cause_rank.map(|rank| rank.rank),
        }
    }
}

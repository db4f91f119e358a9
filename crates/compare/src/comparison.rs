//! The comparison as it is written to `comparison.json`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::figures::ComparedFigure;
use crate::statistics::{FigureVerdict, Kind};
use crate::work::WorkAgreement;

/// Version of the form of `comparison.json`, raised when a reader of the old form would misread the
/// new.
pub const COMPARISON_SCHEMA_VERSION: u32 = 1;

/// Runs of two engines, or two runs, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of loadgen that made it.
    pub loadgen_version: String,
    /// Path of the scenario file as it was given to the first run.
    pub scenario_file: String,
    /// Factor by which the timetable was stretched.
    pub time_scale: f64,
    /// Names of the two sides: the engines where they differ, else `A (rust)` and `B (rust)`.
    /// Differences are b less a, and relative ones in percent of a.
    pub sides: Sides,
    /// Up to so many percent either way count as the same; figures that are percentages themselves
    /// up to a tenth of that, in percentage points.
    pub tolerance_percent: f64,
    /// How the intervals were made.
    pub intervals: Intervals,
    /// What should be known before anything below is trusted; empty: nothing.
    pub warnings: Vec<String>,
    /// The pairs of runs that were compared.
    pub pairs: Vec<PairOfRuns>,
    /// Runs that are not part of it, and why.
    pub left_out: Vec<LeftOut>,
    /// The runs as a whole.
    pub run: Vec<Row>,
    /// By scenario, in the order of the plan.
    pub scenarios: Vec<ScenarioComparison>,
}

/// Names of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sides {
    /// The side that differences refer to.
    pub a: String,
    /// The other one.
    pub b: String,
}

/// How intervals were made; `docs/design/0071-paired-comparison.md` says what they mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intervals {
    /// Their level.
    pub confidence: f64,
    /// Bootstrap resamples of each.
    pub resamples: u32,
    /// Seed of the bootstrap.
    pub seed: u64,
}

/// Two runs of one repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairOfRuns {
    /// Number of the repetition, from 1.
    pub repetition: u32,
    /// Which side ran first: `a` or `b`.
    pub first: String,
    /// One run.
    pub a: RunReference,
    /// The other.
    pub b: RunReference,
}

/// Which run it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReference {
    /// Its folder.
    pub folder: PathBuf,
    /// Its unique name.
    pub run_id: String,
    /// The engine that sent the load: `rust` or `k6`.
    pub engine: String,
    /// Version of k6; none: the engine is loadgen's own.
    pub engine_version: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// When it began, Unix nanoseconds.
    pub at_ns: i64,
    /// `<YYYYMMDD_HHMMSS>` of the dataset that the target's side was read from; none: without one.
    pub dataset: Option<String>,
}

/// A run that is not part of the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Number of the repetition, from 1.
    pub repetition: u32,
    /// Its folder, which is kept.
    pub folder: PathBuf,
    /// Why.
    pub reason: String,
}

/// A scenario of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioComparison {
    /// Its name.
    pub scenario: String,
    /// `type` of its anomaly.
    pub anomaly_type: String,
    /// Iterations per second that were asked for, on average; none: its executor asks for none.
    pub asked_iterations_per_s: Option<f64>,
    /// Whether iterations of the same number were alike.
    pub work: WorkAgreement,
    /// Its figures.
    pub rows: Vec<Row>,
}

/// A figure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Which figure.
    pub metric: ComparedFigure,
    /// Its values on side a, by pair; null: that run does not have it.
    pub a: Vec<Option<f64>>,
    /// Its values on side b.
    pub b: Vec<Option<f64>>,
    /// The difference; none where no pair has the figure on both sides.
    pub difference: Option<Difference>,
    /// Whether it is the same on both sides.
    pub verdict: FigureVerdict,
    /// How many repetitions in all would settle it, if mean and spread stay as they are; none: it is
    /// settled, it can't be told, or more than 1,000 would be needed. Comparisons of older versions
    /// don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetitions_to_settle: Option<usize>,
    /// Why it differs, or why that can't be told; empty: nothing to say.
    pub note: String,
}

/// A mean paired difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Relative, in percent of side a, or absolute, in the figure's unit (percentage points where
    /// that is percent). Absolute also where a value is 0.
    pub kind: Kind,
    /// Mean over the pairs; of relative ones the geometric mean of the ratios, less 1.
    pub mean: f64,
    /// Low end of its interval; null: too little to tell.
    pub low: Option<f64>,
    /// High end of its interval.
    pub high: Option<f64>,
    /// By pair, in the order of those that have the figure on both sides.
    pub by_pair: Vec<f64>,
    /// What counts as the same, in the same unit.
    pub tolerance: f64,
}

impl Row {
    /// Mean of the values of side a.
    pub fn mean_a(&self) -> Option<f64> {
        mean(&self.a)
    }

    /// Mean of the values of side b.
    pub fn mean_b(&self) -> Option<f64> {
        mean(&self.b)
    }
}

impl Difference {
    /// The interval.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }
}

fn mean(values: &[Option<f64>]) -> Option<f64> {
    let there: Vec<f64> = values.iter().flatten().copied().collect();
    (!there.is_empty()).then(|| there.iter().sum::<f64>() / there.len() as f64)
}

/// JSON Schema of `comparison.json`.
pub fn comparison_json_schema() -> serde_json::Value {
    schemars::schema_for!(Comparison).to_value()
}

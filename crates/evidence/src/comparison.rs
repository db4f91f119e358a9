//! What was compared for a signal, and how it came out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::Operation;

/// A signal of a service.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ServiceSignal {
    /// Durations of its operations: only slower counts.
    Duration,
    /// Errors of its operations: only more count.
    Errors,
    /// Time that passes between its callers and it: only more counts.
    Gap,
    /// Processor time a request: only more counts.
    Cpu,
    /// Waits, queues, misses of caches: only more count.
    Saturation,
    /// Spans below its operations, and requests that do not reach it any more.
    Spans,
}

impl ServiceSignal {
    /// As in the dataset.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Errors => "errors",
            Self::Gap => "gap",
            Self::Cpu => "cpu",
            Self::Saturation => "saturation",
            Self::Spans => "spans",
        }
    }
}

impl fmt::Display for ServiceSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of an effect there is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EffectSize {
    /// Nothing that would count.
    None,
    /// Only just too small.
    Small,
    /// At least the least effect.
    Enough,
}

/// A signal, tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalEvidence {
    /// Which.
    pub signal: ServiceSignal,
    /// Why it could not be tested; none: it was.
    pub not_tested: Option<String>,
    /// Everything that was compared for it.
    pub comparisons: Vec<SignalComparison>,
    /// Index in `comparisons` of the one that the signal stands for.
    pub deciding: Option<usize>,
    /// The p of the deciding comparison, adjusted for all comparisons of the signal.
    pub p: Option<f64>,
    /// The same, adjusted also for the signals of the family (Holm).
    pub p_family: Option<f64>,
}

impl SignalEvidence {
    /// The comparison that it stands for.
    pub fn deciding(&self) -> Option<&SignalComparison> {
        self.comparisons.get(self.deciding?)
    }

    /// How much of an effect it shows.
    pub(crate) fn size(&self) -> EffectSize {
        self.deciding()
            .map_or(EffectSize::None, |comparison| comparison.size)
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalComparison {
    /// Of what.
    pub subject: Subject,
    /// What was measured.
    pub measure: Measure,
    /// The window.
    pub window: Measured,
    /// Normal time.
    pub reference: Measured,
    /// How the effect is measured.
    pub effect_kind: EffectKind,
    /// The effect, from -1 to 1; above 0: worse in the window.
    pub effect: Estimate,
    /// How many times as much in the window: ratio of medians, of means for metrics and spans.
    /// None: for shares, or where normal time has nothing.
    pub ratio: Option<Estimate>,
    /// Increase of the median, mean or share, in the measure's unit.
    pub increase: f64,
    /// How much of an effect that is.
    pub size: EffectSize,
    /// One-sided p of this comparison alone.
    pub p_alone: f64,
    /// The p adjusted for all comparisons of the signal (Westfall and Young).
    pub p: f64,
}

/// One side of one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Observations: spans or traces, and blocks for metrics.
    pub n: u64,
    /// Blocks of time that have any.
    pub blocks: usize,
    /// Median; mean for metrics and spans; share for errors and the like. None: of all operations
    /// together there is none for durations.
    pub value: Option<f64>,
}

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// Whether the two intervals have a value in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// What a comparison is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Subject {
    /// An operation of a service.
    Operation {
        /// The service.
        service: String,
        /// The operation.
        operation: Operation,
    },
    /// All operations together, each compared with itself.
    AllOperations,
    /// Requests of one kind.
    Entry {
        /// The service that they are expected to reach.
        service: String,
        /// What they begin with.
        entry: String,
    },
    /// All kinds of requests together, each compared with itself.
    AllEntries,
    /// A metric of a service.
    Metric {
        /// The service.
        service: String,
        /// Name of the metric.
        metric: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation { service, operation } => write!(f, "{service} {}", operation.name),
            Self::AllOperations => f.write_str("all operations"),
            Self::Entry { entry, .. } => f.write_str(entry),
            Self::AllEntries => f.write_str("all requests"),
            Self::Metric { service, metric } => write!(f, "{service} {metric}"),
        }
    }
}

/// What a comparison measures, with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Duration of the service's span, ms.
    DurationMs,
    /// The part of it in which the service did not wait for another one, ms.
    OwnDurationMs,
    /// Share of spans with an error.
    ErrorShare,
    /// Share of spans with an error that does not come from a call below.
    OwnErrorShare,
    /// Duration of the caller's span minus that of the service's, ms.
    GapMs,
    /// Processor time a request, ms.
    CpuMsPerRequest,
    /// Waiting for a pooled connection, ms a request.
    PoolWaitMsPerRequest,
    /// How many wait, on average.
    Waiting,
    /// Share of a cache's lookups that miss.
    MissShare,
    /// By how much a runtime's loop is late, ms.
    LoopDelayMs,
    /// Spans below the service's span; more count.
    SpansBelow,
    /// Share of spans with fewer spans below than any had in normal time.
    FewerSpansShare,
    /// Share of requests that have no span of the service.
    NotReachedShare,
    /// Duration of a caller's span, ms.
    CallDurationMs,
}

impl Measure {
    /// The unit of its values; empty for shares and counts.
    pub fn unit(self) -> &'static str {
        match self {
            Self::DurationMs
            | Self::OwnDurationMs
            | Self::GapMs
            | Self::CallDurationMs
            | Self::LoopDelayMs
            | Self::CpuMsPerRequest
            | Self::PoolWaitMsPerRequest => "ms",
            Self::ErrorShare
            | Self::OwnErrorShare
            | Self::Waiting
            | Self::MissShare
            | Self::SpansBelow
            | Self::FewerSpansShare
            | Self::NotReachedShare => "",
        }
    }
}

/// How an effect is measured. Of figures that are 0 or 1 the two are the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Cliff's δ: the chance that a value of the window is larger than one of normal time, less the
    /// chance that it is smaller.
    CliffsDelta,
    /// Difference of two shares.
    RiskDifference,
}

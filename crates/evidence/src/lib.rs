//! Whether a window of a run differs from the run's normal time, and by what.
//!
//! A label says what was wrong with a system. Evidence says whether that could be seen: it compares
//! the steady time of each window with the steady normal time of the same run, operation by
//! operation, and ends with a [`Verdict`]. What the verdicts mean, each formula with its source,
//! and how to read the result stands in `docs/evidence.md`.
//!
//! - A [`Sampler`] collects observations while traces and metrics go by; what it ends with, a
//!   [`Sample`], is bounded, merges with others, and does not depend on the order or the split.
//! - A [`Run`] says which time is what.
//! - [`evaluate()`] makes [`Evidence`] of the two.
//!
//! Nothing here reads a file, a clock or a random number that is not drawn from the run's name.

mod comparison;
mod evaluate;
mod evidence;
mod metric;
mod run;
mod sample;
mod statistics;
mod thresholds;
mod time;

pub use comparison::{
    EffectKind, EffectSize, Estimate, Measure, Measured, ServiceSignal, SignalComparison,
    SignalEvidence, Subject,
};
pub use evaluate::evaluate;
pub use evidence::{
    Compared, EVIDENCE_SCHEMA_VERSION, EvaluatedAs, Evidence, RankedEdge, RankedService, Reference,
    RootCauseRank, Side, Strength, Strongest, Verdict, WindowEvidence, WindowRow,
    evidence_json_schema,
};
pub use metric::{
    Cpu, Saturation, cpu_preference, is_idle_time, is_relevant, saturation, seconds_in,
};
pub use run::{Declared, EvidenceWindow, Recovery, Run, WindowKind};
pub use sample::{
    CallObservation, DifferentStretches, Edge, EdgeId, EntryId, MetricPoint, Operation,
    OperationId, Reading, Sample, Sampler, Series, ServiceId, SpanKind, SpanObservation,
    trace_hash,
};
pub use thresholds::Thresholds;
pub use time::{Interval, SECOND_NS, Stretches};

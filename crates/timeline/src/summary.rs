//! `summary.json`: what the generator itself measured, by scenario. The engine writes it; displays
//! and comparisons read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{RunStarted, RunStatus};

/// A run in figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Raised when a reader of the old form would misread the new.
    pub schema_version: u32,
    /// The run, as on the timeline.
    pub run: Option<RunStarted>,
    /// How it ended.
    pub status: Option<RunStatus>,
    /// From the start of the run to its end, in seconds.
    pub seconds: f64,
    /// By scenario, in the order of the plan.
    pub scenarios: Vec<ScenarioSummary>,
    /// Faults that could not be injected or cleared: the labels of their windows are not backed.
    pub fault_failures: Vec<String>,
    /// Steps of the wall clock during the run, in nanoseconds.
    pub clock_steps_ns: Vec<i64>,
    /// What sending cost.
    #[serde(default)]
    pub generator: Option<GeneratorUsage>,
}

/// A scenario in figures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScenarioSummary {
    /// Its name.
    pub scenario: String,
    /// `type` of its anomaly.
    pub anomaly_type: String,
    /// Length of its window, in seconds; none: it never opened.
    pub window_seconds: Option<f64>,
    /// Iterations started.
    pub iterations: u64,
    /// Iterations that did not come to their end.
    pub interrupted_iterations: u64,
    /// Iterations that could not start: no VU was free, or `maxDuration` was over.
    pub dropped_iterations: u64,
    /// Steps without a request, because a value that they need was never captured.
    pub unsent_steps: u64,
    /// Iterations per second that an arrival-rate executor was to start, on average.
    pub asked_iterations_per_s: Option<f64>,
    /// Iterations per second that were started, on average over the window. A constant rate
    /// starts one that falls on the very end, as in k6, so this can be a little above what was
    /// asked for.
    pub achieved_iterations_per_s: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Requests per second that were sent within the window, on average. Those of iterations that
    /// went on after its end are not counted here.
    pub requests_per_s: f64,
    /// Requests that ended otherwise than expected.
    pub failed: u64,
    /// The same by kind.
    pub failures: BTreeMap<String, u64>,
    /// Answers by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// From the actual send to the end of the answer.
    pub latency: Option<LatencySummary>,
    /// From the intended send to the end of the answer: includes what a request waited because
    /// the generator or the target was behind (coordinated omission).
    pub latency_from_intended: Option<LatencySummary>,
    /// Actual minus intended send. For arrival-rate executors only of first steps, because later
    /// steps are due when they are sent.
    pub scheduling_lag: Option<LatencySummary>,
    /// Processor time of the generator between opening and close of the window, in seconds; none:
    /// another window was open at the same time.
    #[serde(default)]
    pub generator_cpu_seconds: Option<f64>,
    /// The same of the harness beside k6; none where the generator is the harness itself.
    #[serde(default)]
    pub harness_cpu_seconds: Option<f64>,
}

/// Quantiles of an HdrHistogram with 3 significant digits from 1 µs to 10 min, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile; none: written by a version that did not say it.
    #[serde(default)]
    pub p999_ms: Option<f64>,
    /// Largest.
    pub max_ms: f64,
}

/// What the generator itself used during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratorUsage {
    /// Process that sends: `rust` (this process, which also records) or `k6`.
    pub process: String,
    /// Processor time, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Largest resident memory that was seen, in bytes; looked at several times a second.
    pub max_rss_bytes: u64,
    /// Processor time of the harness beside k6; none where the generator is the harness itself.
    pub harness_cpu_seconds: Option<f64>,
    /// Largest resident memory of the harness beside k6.
    pub harness_max_rss_bytes: Option<u64>,
}

//! The figures of one run that are compared: which there are, what they are called, and their
//! values.

use std::collections::BTreeSet;

use loadgen_timeline::summary::{ScenarioSummary, Summary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::{LoadedRun, ScenarioRequests, TargetSide};
use crate::statistics::{Kind, SortedValues};

/// A figure that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedFigure {
    /// Its name for programs, which stays the same: `client.p95`, `failed.timeout`, …
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What its values are in.
    pub unit: FigureUnit,
    /// What it is about.
    pub group: Group,
}

/// Units of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureUnit {
    /// A number of things.
    Count,
    /// Per second.
    PerSecond,
    /// Percent of something; compared by percentage points.
    Percent,
    /// Milliseconds.
    Milliseconds,
    /// Seconds of processor time.
    CpuSeconds,
    /// Mebibytes.
    Mebibytes,
}

/// What a figure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// What was sent.
    Work,
    /// What did not go well.
    Failures,
    /// What the generator measured.
    ClientLatency,
    /// The same, from the time at which the request was due.
    IntendedLatency,
    /// What the target measured.
    ServerLatency,
    /// What lies between the two.
    Outside,
    /// What sending cost.
    Cost,
    /// How much of the load is found again, labelled, in the telemetry.
    Coverage,
}

impl FigureUnit {
    /// The unit as it stands behind a number; empty for counts.
    pub fn symbol(self) -> &'static str {
        match self {
            FigureUnit::Count => "",
            FigureUnit::PerSecond => "/s",
            FigureUnit::Percent => "%",
            FigureUnit::Milliseconds => "ms",
            FigureUnit::CpuSeconds => "CPU s",
            FigureUnit::Mebibytes => "MiB",
        }
    }

    /// How figures of the unit are compared where nothing speaks against it.
    pub fn kind(self) -> Kind {
        match self {
            FigureUnit::Percent => Kind::Absolute,
            _ => Kind::Relative,
        }
    }
}

/// The value of a figure in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'r> {
    /// One number.
    Scalar(f64),
    /// A quantile of what was measured of each request.
    Quantile(&'r SortedValues, f64),
}

impl Value<'_> {
    /// The number itself; none: a quantile of nothing.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Scalar(number) => Some(*number),
            Value::Quantile(sample, p) => sample.quantile(*p),
        }
    }
}

/// A figure and its value; none: this run does not have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure<'r> {
    /// Which.
    pub metric: ComparedFigure,
    /// How much.
    pub value: Option<Value<'r>>,
}

fn figure<'r>(
    id: impl Into<String>,
    title: impl Into<String>,
    unit: FigureUnit,
    group: Group,
    value: Option<Value<'r>>,
) -> Figure<'r> {
    Figure {
        metric: ComparedFigure {
            id: id.into(),
            title: title.into(),
            unit,
            group,
        },
        value,
    }
}

/// The figures of a scenario; `kinds` are the kinds of failure to tell apart.
pub(crate) fn of_scenario<'r>(
    summary: &ScenarioSummary,
    requests: &'r ScenarioRequests,
    is_open_model: bool,
    kinds: &BTreeSet<String>,
) -> Vec<Figure<'r>> {
    let sent = requests.sent;
    let mut figures = work(summary, sent);
    figures.extend(failures(summary, requests, kinds));
    figures.extend(latencies(requests, is_open_model));
    let per_1000 =
        |cpu_seconds: f64| (sent > 0).then(|| Value::Scalar(1000.0 * cpu_seconds / sent as f64));
    figures.extend(cost(
        summary.generator_cpu_seconds,
        summary.harness_cpu_seconds,
        per_1000,
    ));
    figures.push(figure(
        "label_coverage",
        "requests found labelled in the dataset",
        FigureUnit::Percent,
        Group::Coverage,
        requests
            .labelled
            .and_then(|labelled| percent(labelled, sent)),
    ));
    figures
}

/// None: there is no whole.
fn percent<'r>(part: u64, whole: u64) -> Option<Value<'r>> {
    (whole > 0).then(|| Value::Scalar(100.0 * part as f64 / whole as f64))
}

/// How much was sent.
fn work<'r>(summary: &ScenarioSummary, sent: u64) -> Vec<Figure<'r>> {
    let number = |value: f64| Some(Value::Scalar(value));
    let new = |id, title, unit, value| figure(id, title, unit, Group::Work, value);
    vec![
        new(
            "requests",
            "requests sent",
            FigureUnit::Count,
            number(sent as f64),
        ),
        new(
            "iterations",
            "iterations started",
            FigureUnit::Count,
            number(summary.iterations as f64),
        ),
        new(
            "iterations_per_s",
            "iterations started per second",
            FigureUnit::PerSecond,
            summary
                .window_seconds
                .and(number(summary.achieved_iterations_per_s)),
        ),
        new(
            "requests_per_s",
            "requests sent per second",
            FigureUnit::PerSecond,
            summary.window_seconds.and(number(summary.requests_per_s)),
        ),
    ]
}

/// What did not go as planned, of iterations and of requests.
fn failures<'r>(
    summary: &ScenarioSummary,
    requests: &ScenarioRequests,
    kinds: &BTreeSet<String>,
) -> Vec<Figure<'r>> {
    let new = |id: String, title: String, value| {
        figure(id, title, FigureUnit::Percent, Group::Failures, value)
    };
    let due = summary.iterations + summary.dropped_iterations;
    let failed: u64 = requests.failures.values().sum();
    let mut figures = vec![
        new(
            "dropped".to_owned(),
            "iterations dropped, of those due".to_owned(),
            percent(summary.dropped_iterations, due),
        ),
        new(
            "interrupted".to_owned(),
            "iterations broken off, of those started".to_owned(),
            percent(summary.interrupted_iterations, summary.iterations),
        ),
        new(
            "failed".to_owned(),
            "requests failed".to_owned(),
            percent(failed, requests.sent),
        ),
    ];
    figures.extend(kinds.iter().map(|kind| {
        let count = requests.failures.get(kind).copied().unwrap_or(0);
        new(
            format!("failed.{kind}"),
            format!("requests failed: {kind}"),
            percent(count, requests.sent),
        )
    }));
    figures
}

/// Quantiles of all latencies. Only an open model has an intended send.
fn latencies(requests: &ScenarioRequests, is_open_model: bool) -> Vec<Figure<'_>> {
    let all = [0.50, 0.95, 0.99];
    let mut figures = quantiles(
        "client",
        "latency seen by the client",
        Group::ClientLatency,
        &requests.client_ms,
        &all,
    );
    if is_open_model {
        figures.extend(quantiles(
            "intended",
            "latency from the intended send",
            Group::IntendedLatency,
            &requests.intended_ms,
            &all,
        ));
    }
    figures.extend(quantiles(
        "server",
        "latency seen by the target",
        Group::ServerLatency,
        &requests.server_ms,
        &all,
    ));
    figures.extend(quantiles(
        "outside",
        "client less target, by request",
        Group::Outside,
        &requests.outside_ms,
        &all[..2],
    ));
    figures
}

fn quantiles<'r>(
    id: &str,
    title: &str,
    group: Group,
    sample: &'r SortedValues,
    which: &[f64],
) -> Vec<Figure<'r>> {
    let quantile = |&p: &f64| {
        let name = format!("p{:.0}", 100.0 * p);
        figure(
            format!("{id}.{name}"),
            format!("{title}, {name}"),
            FigureUnit::Milliseconds,
            group,
            (!sample.is_empty()).then_some(Value::Quantile(sample, p)),
        )
    };
    which.iter().map(quantile).collect()
}

/// Processor time a thousand requests: of the process that sends, and of all of the generator.
fn cost<'r>(
    generator: Option<f64>,
    harness: Option<f64>,
    per_1000: impl Fn(f64) -> Option<Value<'r>>,
) -> [Figure<'r>; 2] {
    let all = generator.map(|generator| generator + harness.unwrap_or(0.0));
    [
        figure(
            "cpu_per_1000",
            "CPU of the generator per 1,000 requests",
            FigureUnit::CpuSeconds,
            Group::Cost,
            generator.and_then(&per_1000),
        ),
        figure(
            "cpu_per_1000_all",
            "CPU of generator and harness per 1,000 requests",
            FigureUnit::CpuSeconds,
            Group::Cost,
            all.and_then(&per_1000),
        ),
    ]
}

/// The figures of a run as a whole.
pub(crate) fn of_run(run: &LoadedRun) -> Vec<Figure<'_>> {
    let sent: u64 = run.scenarios.iter().map(|s| s.sent).sum();
    let per_1000 =
        |cpu_seconds: f64| (sent > 0).then(|| Value::Scalar(1000.0 * cpu_seconds / sent as f64));
    let Summary { generator, .. } = &run.summary;
    let usage = generator.as_ref();
    let mib = |bytes: u64| Value::Scalar(bytes as f64 / f64::from(1 << 20));
    let mut figures = vec![figure(
        "requests",
        "requests sent",
        FigureUnit::Count,
        Group::Work,
        Some(Value::Scalar(sent as f64)),
    )];
    figures.extend(cost(
        usage.map(|usage| usage.cpu_seconds),
        usage.and_then(|usage| usage.harness_cpu_seconds),
        per_1000,
    ));
    figures.push(figure(
        "max_rss",
        "peak memory of the generator",
        FigureUnit::Mebibytes,
        Group::Cost,
        usage.map(|usage| mib(usage.max_rss_bytes)),
    ));
    figures.push(figure(
        "max_rss_all",
        "peak memory of generator and harness",
        FigureUnit::Mebibytes,
        Group::Cost,
        usage.map(|usage| mib(usage.max_rss_bytes + usage.harness_max_rss_bytes.unwrap_or(0))),
    ));
    figures.push(figure(
        "header_coverage",
        "server spans that carry the anomaly header",
        FigureUnit::Percent,
        Group::Coverage,
        run.target_side
            .as_ref()
            .and_then(
                |TargetSide {
                     header_coverage_percent,
                     ..
                 }| *header_coverage_percent,
            )
            .map(Value::Scalar),
    ));
    figures
}

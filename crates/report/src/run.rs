//! Everything that the page says of a run. The page's scripts read it as JSON, by the names of these
//! fields; all times are seconds since the run began, unless a name says otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use loadgen_evidence::{EVIDENCE_SCHEMA_VERSION, Evidence, Thresholds};
use loadgen_timeline::audit::{AuditFile, Check, DatasetVerdict, ForeignRows, Rows, read_audit};
use loadgen_timeline::event::RunStarted;
use loadgen_timeline::summary::Summary;
use loadgen_timeline::{Timeline, read_timeline};
use serde::Serialize;

use crate::balance::{self, Balance};
use crate::files::{self, DataFiles};
use crate::graph::{self, Graphs};
use crate::known::{Gaps, Known, Missing, word};
use crate::number::seconds_since;
use crate::series::{self, Series};
use crate::sources::Sources;
use crate::traces::{self, TypicalTraces};
use crate::windows::{self, Window};

/// A run, as the page shows it.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// What it is called: the name of its folder.
    pub name: String,
    /// Which run; none: neither timeline nor audit say.
    pub run: Option<RunStarted>,
    /// Zero of all times, Unix milliseconds.
    pub t0_ms: i64,
    #[serde(skip)]
    pub(crate) began_ns: i64,
    /// Begin and end of what is shown.
    pub span_s: [f64; 2],
    /// How it went; none: there is no run folder.
    pub outcome: Option<RunOutcome>,
    /// The dataset; none: there is none.
    pub dataset: Option<DatasetHead>,
    /// The windows, in the order of opening.
    pub windows: Vec<Window>,
    /// Rates, errors, latencies and more, by service; none: the table is not there.
    pub series: Option<Series>,
    /// Rows by label.
    pub balance: Option<Balance>,
    /// Who calls whom, by window.
    pub graphs: Option<Graphs>,
    /// A trace of each window.
    pub traces: Option<TypicalTraces>,
    /// What the audit found.
    pub checks: Vec<Check>,
    /// What the evidence decided by.
    pub thresholds: Option<Thresholds>,
    /// The files, and how to read them.
    pub files: Option<DataFiles>,
    /// What can't be shown, and why.
    pub missing: Vec<Missing>,
}

/// How a run went.
#[derive(Debug, Clone, Serialize)]
pub struct RunOutcome {
    /// `completed`, `interrupted`, `failed`; none: it was killed, or goes on.
    pub status: Option<String>,
    /// From its start to its end, seconds.
    pub seconds: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Of these those that did not go as expected.
    pub failed: u64,
    /// Iterations that could not start.
    pub dropped: u64,
    /// Faults that could not be injected or cleared, in words.
    pub fault_failures: Vec<String>,
    /// Times in which the generator did not run.
    pub stalls: usize,
}

/// A dataset in short.
#[derive(Debug, Clone, Serialize)]
pub struct DatasetHead {
    /// `<YYYYMMDD_HHMMSS>` in the names of its files.
    pub stamp: String,
    /// Version of loadgen that made it.
    pub loadgen_version: String,
    /// What the audit makes of it.
    pub verdict: DatasetVerdict,
    /// Spans.
    pub spans: Rows,
    /// Data points.
    pub points: Rows,
    /// Log records.
    pub logs: Rows,
    /// Traces.
    pub traces: u64,
    /// Services, with their spans.
    pub services: BTreeMap<String, u64>,
    /// Steady normal time that windows were compared with, seconds; none: there is no evidence.
    pub reference_s: Option<f64>,
    /// What was read and is not the run's.
    pub foreign: Vec<ForeignRows>,
}

impl RunReport {
    /// Reads what is there of a run. What is not there, or can't be read, is told in
    /// [`missing`](Self::missing) and left out.
    pub fn read(sources: &Sources) -> Self {
        let mut gaps = Gaps::default();
        let timeline = sources.run.as_ref().and_then(|run| {
            let read = read_timeline(&run.join("timeline.jsonl"));
            gaps.note("timeline.jsonl", "how the run went", read)
        });
        let summary = sources.run.as_ref().and_then(|run| {
            let read = summary(&run.join("summary.json"));
            gaps.note("summary.json", "requests and failures of the run", read)
        });
        let audit = sources.file("audit", "json").and_then(|path| {
            let read = read_audit(&path);
            gaps.note("audit", "whether the dataset can be trusted", read)
        });
        let evidence = sources.file("evidence", "json").and_then(|path| {
            let read = evidence(&path);
            gaps.note("evidence", "verdicts with their effects", read)
        });
        let began_ns = began_ns(timeline.as_ref(), audit.as_ref());
        let known = Known {
            timeline,
            audit,
            evidence,
            began_ns,
        };
        let windows = windows::windows(sources, &known, &mut gaps);
        let series = series::read(sources, began_ns, &mut gaps);
        let mut report = Self {
            name: name(sources),
            t0_ms: began_ns.div_euclid(1_000_000),
            began_ns,
            span_s: span(&known, &windows, series.as_ref()),
            outcome: outcome(&known, summary.as_ref()),
            balance: balance::read(sources, &known, &mut gaps),
            graphs: graph::read(sources, &known, &windows, &mut gaps),
            traces: traces::read(sources, began_ns, &windows, &mut gaps),
            files: files::files(sources, known.audit.as_ref()),
            series,
            windows,
            run: None,
            dataset: None,
            checks: Vec::new(),
            thresholds: known.evidence.as_ref().map(|e| e.thresholds.clone()),
            missing: Vec::new(),
        };
        report.dataset = dataset(&known);
        let Known {
            timeline, audit, ..
        } = known;
        report.checks = audit.map(|audit| audit.audit.checks).unwrap_or_default();
        report.run = timeline.and_then(|timeline| timeline.run);
        report.missing = gaps.into_missing();
        report
    }
}

impl RunReport {
    /// Leaves out charts, graphs and traces, and tells that as `why`: for a page of many runs.
    pub fn drop_figures(&mut self, why: &str) {
        self.series = None;
        self.graphs = None;
        self.traces = None;
        self.missing.push(Missing {
            table: "windows_features, graph_nodes, traces_labeled".to_owned(),
            shows: "charts, service graphs and typical traces".to_owned(),
            why: why.to_owned(),
        });
    }

    /// Zero of all times, Unix nanoseconds.
    pub(crate) fn began_ns(&self) -> i64 {
        self.began_ns
    }
}

fn name(sources: &Sources) -> String {
    let folder = sources.run.as_ref().or(sources.dataset.as_ref());
    let folder = folder.map(|folder| fs::canonicalize(folder).unwrap_or_else(|_| folder.clone()));
    let name = folder.as_ref().and_then(|folder| folder.file_name());
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn began_ns(timeline: Option<&Timeline>, audit: Option<&AuditFile>) -> i64 {
    let of_audit = || Some(audit?.figures.run.as_ref()?.began_ns);
    let of_timeline = timeline.and_then(|timeline| Some(timeline.run.as_ref()?.at_ns));
    let of_windows = || Some(timeline?.windows.first()?.opened_ns);
    of_timeline
        .or_else(of_audit)
        .or_else(of_windows)
        .unwrap_or_default()
}

fn span(known: &Known, windows: &[Window], series: Option<&Series>) -> [f64; 2] {
    let of_timeline = known.timeline.as_ref().and_then(|timeline| {
        let finished = timeline.finished.as_ref().map(|end| end.at_ns);
        Some(seconds_since(
            known.began_ns,
            finished.or(timeline.last_ns)?,
        ))
    });
    let of_windows = windows.iter().map(|window| window.closed_s);
    let from = series.map_or(0.0, |series| series.from_s.min(0.0));
    let last = of_timeline.or_else(|| of_windows.reduce(f64::max));
    let to = last.or_else(|| Some(series?.end_s())).unwrap_or(0.0);
    match windows.is_empty() {
        // Without a run nothing but the rows themselves says what time is meant.
        true => [series.map_or(0.0, |series| series.from_s), to],
        false => [from.max(-60.0), to],
    }
}

fn outcome(known: &Known, summary: Option<&Summary>) -> Option<RunOutcome> {
    let timeline = known.timeline.as_ref();
    let status = timeline.and_then(|timeline| timeline.finished.as_ref().map(|end| end.status));
    let status = status.or_else(|| summary?.status);
    let seconds = timeline.and_then(|timeline| {
        let end = timeline.finished.as_ref().map(|end| end.at_ns);
        Some(seconds_since(known.began_ns, end.or(timeline.last_ns)?))
    });
    let beat = timeline.and_then(|timeline| timeline.last_heartbeat);
    let sum = |of: fn(&loadgen_timeline::summary::ScenarioSummary) -> u64| {
        summary.map(|summary| summary.scenarios.iter().map(of).sum())
    };
    if timeline.is_none() && summary.is_none() {
        return None;
    }
    let failures = timeline.map(|timeline| {
        let describe = |failed: &loadgen_timeline::event::FaultFailed| {
            let (scenario, fault) = (&failed.scenario, &failed.fault);
            let (change, reason) = (&failed.change, &failed.reason);
            format!("{scenario}: can't {change} {fault}: {reason}")
        };
        timeline.fault_failures.iter().map(describe).collect()
    });
    Some(RunOutcome {
        status: status.and_then(|status| word(&status)),
        seconds: seconds
            .or_else(|| Some(summary?.seconds))
            .unwrap_or_default(),
        requests: sum(|s| s.requests)
            .or(beat.map(|beat| beat.completed))
            .unwrap_or(0),
        failed: sum(|s| s.failed)
            .or(beat.map(|beat| beat.failed))
            .unwrap_or(0),
        dropped: sum(|s| s.dropped_iterations)
            .or(beat.map(|beat| beat.dropped))
            .unwrap_or(0),
        fault_failures: failures.unwrap_or_default(),
        stalls: timeline.map_or(0, |timeline| timeline.stalls.len()),
    })
}

fn dataset(known: &Known) -> Option<DatasetHead> {
    let audit = known.audit.as_ref()?;
    let figures = &audit.figures;
    let services = figures.services.iter();
    Some(DatasetHead {
        stamp: audit.stamp.clone(),
        loadgen_version: audit.loadgen_version.clone(),
        verdict: audit.audit.verdict,
        spans: figures.spans,
        points: figures.points,
        logs: figures.logs,
        traces: figures.traces,
        services: services
            .map(|(name, of)| (name.clone(), of.spans))
            .collect(),
        reference_s: known.evidence.as_ref().map(|e| e.reference.seconds),
        foreign: figures.foreign.clone(),
    })
}

fn summary(path: &Path) -> Result<Summary, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

fn evidence(path: &Path) -> Result<Evidence, String> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema_version: u32,
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if head.schema_version > EVIDENCE_SCHEMA_VERSION {
        return Err(format!(
            "it has schema version {}, and this loadgen reads up to {EVIDENCE_SCHEMA_VERSION}",
            head.schema_version
        ));
    }
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

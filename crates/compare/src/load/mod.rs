//! Reads what a run left behind, as far as a comparison needs it.

mod dataset;
mod error;
mod ledger;

use std::fs;
use std::path::{Path, PathBuf};

use loadgen_scenario::Plan;
use loadgen_timeline::audit::read_audit;
use loadgen_timeline::event::{Engine, RunStarted, RunStatus};
use loadgen_timeline::summary::Summary;
use loadgen_timeline::{Severity, Timeline, consistency, read_timeline};
use serde::de::DeserializeOwned;

pub use error::LoadError;
pub use ledger::{RequestChoice, ScenarioRequests};

/// A run as it lies in its folder.
#[derive(Debug)]
pub struct LoadedRun {
    /// The folder, as it was given.
    pub folder: PathBuf,
    /// `run_started` of its timeline.
    pub started: RunStarted,
    /// `plan.json`.
    pub plan: Plan,
    /// `summary.json`.
    pub summary: Summary,
    /// What was sent, by scenario, in the order of the plan.
    pub scenarios: Vec<ScenarioRequests>,
    /// What the target told of itself; none: there is no dataset in the folder.
    pub target_side: Option<TargetSide>,
    /// What a reader should know of this run before trusting its figures.
    pub warnings: Vec<String>,
}

/// What the dataset of a run says of the target as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSide {
    /// `<YYYYMMDD_HHMMSS>` in the names of the dataset's files.
    pub stamp: String,
    /// Share of the target's server spans that carry a captured `x-anomaly-*` header, in percent;
    /// none: no server span, or no audit file.
    pub header_coverage_percent: Option<f64>,
}

impl LoadedRun {
    /// Reads a run folder.
    ///
    /// # Errors
    /// [`LoadError`]: it is not the folder of a run that came to its end, or a file in it can't be
    /// read. A dataset is not asked for.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        for name in [
            "summary.json",
            "plan.json",
            "timeline.jsonl",
            "ledger.arrows",
        ] {
            if !folder.join(name).is_file() {
                return Err(LoadError::NotARun {
                    folder: folder.to_owned(),
                    missing: name,
                });
            }
        }
        let summary: Summary = json(&folder.join("summary.json"))?;
        let plan: Plan = json(&folder.join("plan.json"))?;
        let timeline = read_timeline(&folder.join("timeline.jsonl"))?;
        let started = timeline
            .run
            .clone()
            .or_else(|| summary.run.clone())
            .ok_or_else(|| LoadError::NoRunStarted {
                folder: folder.to_owned(),
            })?;
        let mut warnings = warnings(&summary, &timeline);
        let mut requests = ledger::read(
            &folder.join("ledger.arrows"),
            &plan,
            &timeline,
            &started.run_id,
        )?;
        // What can't be proven is no reason to doubt a comparison.
        let doubts = consistency(&timeline, Some(&requests.report)).into_iter();
        warnings.extend(
            doubts
                .filter(|doubt| doubt.severity > Severity::Info)
                .map(|doubt| doubt.message),
        );
        let target_side = match dataset::latest(&folder.join("dataset")) {
            Some(found) => {
                dataset::join(&found.traces, &mut requests)?;
                Some(TargetSide {
                    header_coverage_percent: found.audit.as_deref().and_then(header_coverage),
                    stamp: found.stamp,
                })
            }
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            started,
            scenarios: requests.into_scenarios(target_side.is_some()),
            plan,
            summary,
            target_side,
            warnings,
        })
    }

    /// Which engine sent the load.
    pub fn engine(&self) -> &'static str {
        match self.started.engine {
            Engine::Rust => "rust",
            Engine::K6 => "k6",
        }
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| LoadError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn warnings(summary: &Summary, timeline: &Timeline) -> Vec<String> {
    let mut warnings = Vec::new();
    match summary.status {
        Some(RunStatus::Completed) => {}
        Some(RunStatus::Interrupted) => warnings.push("it was interrupted".to_owned()),
        Some(RunStatus::Failed) => warnings.push("it failed".to_owned()),
        None => warnings.push("it has no end".to_owned()),
    }
    if !summary.fault_failures.is_empty() {
        warnings.push(format!(
            "faults could not be injected or cleared ({}): the target was not in the state that \
             was asked for",
            summary.fault_failures.join("; ")
        ));
    }
    if !summary.clock_steps_ns.is_empty() {
        warnings.push("the wall clock was moved during it".to_owned());
    }
    if !timeline.skipped.is_empty() {
        let lines = timeline.skipped.len();
        warnings.push(format!("{lines} lines of its timeline are damaged"));
    }
    warnings
}

/// Over services other than the generator. Headers on spans of other kinds, which some SDKs copy
/// from the baggage, don't make up for server spans without one.
fn header_coverage(audit: &Path) -> Option<f64> {
    let file = read_audit(audit).ok()?;
    let (mut server, mut with_header) = (0, 0);
    for (_, service) in file
        .figures
        .services
        .iter()
        .filter(|(name, _)| *name != "loadgen")
    {
        server += service.server_spans;
        with_header += service.header_spans.min(service.server_spans);
    }
    (server > 0).then(|| 100.0 * with_header as f64 / server as f64)
}

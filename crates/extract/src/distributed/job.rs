//! A job: a folder with what all steps know of a run, and what they have found out so far.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use loadgen_evidence::{Evidence, Interval};
use loadgen_timeline::LedgerReport;
use loadgen_timeline::audit::Figures as AuditFigures;
use loadgen_timeline::condition;
use loadgen_timeline::phase::Phases;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StepError;
use super::frames::{from_bytes, to_bytes};
use crate::ground_truth::{open_ledger, open_others, read_timeline, taken};
use crate::label::truth::Truth;
use crate::measure::{RunFacts, RunSaid};
use crate::options::ExtractOptions;
use crate::scan::ScanFacts;
use crate::scan::inputs::read_error;
use crate::scan::sample::{Features, SampleIndex, SampledSpan, SpanKey};
use crate::stages::Stages;

/// What a job is asked for: `job.json` in its folder.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobOptions {
    /// Names of the files, by their numbers.
    pub files: Vec<PathBuf>,
    /// Into how many portions the input is dealt.
    pub portions: usize,
    /// Time in the names of the files.
    pub stamp: Option<DateTime<Utc>>,
    /// As of [`ExtractOptions`].
    pub steady_only: bool,
    /// Likewise.
    pub include_foreign: bool,
    /// Likewise.
    pub strict: bool,
    /// Likewise.
    pub drop_leaks: bool,
}

/// A job's folder. It has `job.json`, the run's `timeline.jsonl`, `faults.jsonl` and `ledger.arrows`,
/// as far as there are any, and in `others/*` those of other runs. Steps on other machines need all
/// of it but the ledgers and `scan.bin`.
#[derive(Debug)]
pub struct Job {
    folder: PathBuf,
    pub(super) options: JobOptions,
}

/// What is known once all files have been read: `facts.bin`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) extent: Option<(i64, i64)>,
    /// The sampled spans, in order.
    pub(super) sample: Vec<(u64, SpanKey)>,
    pub(super) ledger_is_whole: bool,
    /// Into how many partitions the traces of a portion are dealt, and into how many its series.
    pub(super) cuts: [usize; 2],
}

impl Facts {
    pub(super) fn scan_facts(&self) -> ScanFacts {
        let span = |&(hash, key): &(u64, SpanKey)| SampledSpan {
            hash,
            key,
            features: Features::default(),
        };
        let sample: Vec<SampledSpan> = self.sample.iter().map(span).collect();
        ScanFacts {
            extent: self.extent,
            sample: SampleIndex::new(&sample),
        }
    }
}

/// What is known once all portions have been surveyed: `run.bin`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunState {
    p99_ns: Vec<i64>,
    recoveries: Option<Vec<condition::TimeSpan>>,
    pub(super) reference: Vec<Interval>,
    /// As JSON, as are the figures: their types leave fields out, which the binary form can't.
    evidence: String,
    figures: String,
    pub(super) too_large: [u64; 3],
    pub(super) foreign_points: [u64; 3],
}

impl RunState {
    pub(super) fn new(
        run: &RunFacts,
        p99_ns: Vec<i64>,
        figures: &AuditFigures,
        [too_large, foreign_points]: [[u64; 3]; 2],
    ) -> io::Result<Self> {
        Ok(Self {
            p99_ns,
            recoveries: run.recoveries.clone(),
            reference: run.reference.clone(),
            evidence: serde_json::to_string(&run.evidence)?,
            figures: serde_json::to_string(figures)?,
            too_large,
            foreign_points,
        })
    }

    pub(super) fn facts(&self, truth: &Truth) -> io::Result<RunFacts> {
        let p99_ns = |window: usize| self.p99_ns.get(window).copied().unwrap_or_default();
        let mut phases = Phases::new(&truth.timeline, p99_ns);
        phases.set_recoveries(self.recoveries.clone().unwrap_or_default());
        let evidence: Evidence = serde_json::from_str(&self.evidence)?;
        Ok(RunFacts {
            phases,
            evidence,
            reference: self.reference.clone(),
            recoveries: self.recoveries.clone(),
        })
    }

    pub(super) fn figures(&self) -> io::Result<AuditFigures> {
        Ok(serde_json::from_str(&self.figures)?)
    }
}

impl Job {
    /// Opens the folder of a job.
    ///
    /// # Errors
    ///
    /// [`StepError`]: its `job.json` can't be read.
    pub fn open(folder: &Path) -> Result<Self, StepError> {
        let path = folder.join("job.json");
        let read = || Ok(serde_json::from_slice(&fs::read(&path)?)?);
        let mut options: JobOptions = read().map_err(|source| read_error(&path, source))?;
        options.portions = options.portions.max(1);
        Ok(Self {
            folder: folder.to_path_buf(),
            options,
        })
    }

    /// What an extraction of it on one machine would be asked for, with its rows in `output`.
    pub(super) fn extract_options(&self, output: PathBuf) -> ExtractOptions {
        let timeline = Some(self.folder.join("timeline.jsonl"));
        ExtractOptions {
            timeline: timeline.filter(|path| path.exists()),
            other_runs: self.other_runs(),
            output,
            stamp: self.options.stamp,
            steady_only: self.options.steady_only,
            include_foreign: self.options.include_foreign,
            strict: self.options.strict,
            drop_leaks: self.options.drop_leaks,
            ..ExtractOptions::default()
        }
    }

    fn other_runs(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.join("others")).into_iter();
        let timeline = |entry: fs::DirEntry| entry.path().join("timeline.jsonl");
        let mut timelines: Vec<PathBuf> = folders.flatten().flatten().map(timeline).collect();
        timelines.sort();
        timelines
    }

    /// What is known of the run before its telemetry.
    pub(super) fn truth(&self, ledger_is_whole: bool) -> Result<Truth, StepError> {
        let options = self.extract_options(PathBuf::new());
        let timeline = read_timeline(&options)?;
        let (others, _) = open_others(&options.other_runs);
        let taken = timeline.as_ref().map(|own| taken(&others, own));
        Ok(Truth::new(
            timeline,
            ledger_is_whole,
            taken.unwrap_or_default(),
        ))
    }

    /// What timeline and ledger say of the run. Reads all of the ledger.
    pub(super) fn said(&self) -> Result<RunSaid, StepError> {
        let options = self.extract_options(PathBuf::new());
        let timeline = read_timeline(&options)?;
        let run = timeline.as_ref().and_then(|timeline| timeline.run.as_ref());
        let ledger = open_ledger(&options, run.map(|run| run.run_id.as_str()))?;
        let report = ledger.map(|mut ledger| -> io::Result<LedgerReport> {
            while ledger.next_batch()?.is_some() {}
            ledger.finish()
        });
        Ok(RunSaid::new(
            timeline.as_ref(),
            report.transpose()?.as_ref(),
        ))
    }

    /// Stages that work in `output`, on one core: a scheduler counts on it.
    pub(super) fn stages(&self, output: &Path) -> Result<Stages, StepError> {
        let mut stages = Stages::new(&self.extract_options(output.to_path_buf()))?;
        stages.workers = 1;
        Ok(stages)
    }

    /// What an earlier step has put down.
    pub(super) fn load<T: DeserializeOwned>(&self, name: &str) -> Result<T, StepError> {
        let path = self.folder.join(name);
        let read = || from_bytes(&fs::read(&path)?);
        Ok(read().map_err(|source| read_error(&path, source))?)
    }

    /// Puts down what a step has found out.
    pub(super) fn save(&self, name: &str, state: &impl Serialize) -> Result<(), StepError> {
        Ok(fs::write(self.folder.join(name), to_bytes(state)?)?)
    }
}

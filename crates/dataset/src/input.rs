//! Finds the dataset of each input, and what is known of its run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen_timeline::audit::{
    AuditError, AuditFile, Check, DatasetVerdict, Figures, Level, audits, latest_audit, read_audit,
};
use loadgen_timeline::event::RunStarted;
use loadgen_timeline::{FaultInterval, read_timeline};

use crate::error::BuildError;
use crate::out::read_error;

/// Checks of an audit that speak of single windows. Such windows stay in the index, out of the
/// files of classes, and count against the dataset as a whole.
const OF_WINDOWS: [&str; 2] = ["evidence", "steady-share"];

/// Files of a run folder that are copied, as they are.
const RUN_FILES: [&str; 5] = [
    "timeline.jsonl",
    "faults.jsonl",
    "scenario.yaml",
    "plan.json",
    "summary.json",
];

/// The tables without which there is nothing to build from.
const NEEDED: [&str; 2] = ["windows", "traces_labeled"];

/// Where the parts of one run lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSource {
    /// The run.
    pub run_id: String,
    /// The folder of its dataset.
    pub dataset: PathBuf,
    /// In the names of the dataset's files: `<YYYYMMDD_HHMMSS>`.
    pub stamp: String,
    /// The run folder; none: it is not known.
    pub run: Option<PathBuf>,
}

/// A run with its dataset.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) run_id: String,
    /// The folder of the dataset.
    pub(crate) folder: PathBuf,
    /// In the names of its files.
    pub(crate) stamp: String,
    /// Parquet files by table.
    pub(crate) tables: BTreeMap<String, PathBuf>,
    /// JSON files of the dataset by name, without stamp and ending.
    pub(crate) documents: BTreeMap<String, PathBuf>,
    /// Files of the run folder by name; none where it is not known.
    pub(crate) run_files: BTreeMap<String, PathBuf>,
    pub(crate) ledger: Option<PathBuf>,
    pub(crate) facts: RunFacts,
}

impl Input {
    pub(crate) fn source(&self) -> RunSource {
        let timeline = self.run_files.get("timeline.jsonl");
        RunSource {
            run_id: self.run_id.clone(),
            dataset: self.folder.clone(),
            stamp: self.stamp.clone(),
            run: timeline.and_then(|path| path.parent()).map(Path::to_owned),
        }
    }
}

/// What is said of a run in index and card.
#[derive(Debug)]
pub(crate) struct RunFacts {
    /// Version of loadgen that made the dataset.
    pub(crate) extracted_by: String,
    pub(crate) verdict: DatasetVerdict,
    /// Checks of the audit with a warning or an error: id, level, what was found.
    pub(crate) findings: Vec<(String, Level, String)>,
    /// Errors that do not speak of single windows.
    pub(crate) errors: Vec<String>,
    /// Name of the scenario file, without its folders.
    pub(crate) scenario_file: String,
    pub(crate) seed: u64,
    pub(crate) time_scale: f64,
    pub(crate) began_ns: i64,
    /// Spans by anomaly type.
    pub(crate) spans_by_type: BTreeMap<String, u64>,
    /// By window: whether it only warms the target up.
    pub(crate) warm_up: Vec<bool>,
    /// First line of the timeline; none where it is not there.
    pub(crate) started: Option<RunStarted>,
    /// Faults on the timeline, and those that were made by hand.
    pub(crate) faults: Vec<FaultInterval>,
}

/// Reads all inputs, in the order of their runs.
pub(crate) fn read_all(
    paths: &[PathBuf],
    runs: &[PathBuf],
    notes: &mut Vec<String>,
) -> Result<Vec<Input>, BuildError> {
    if paths.is_empty() {
        return Err(BuildError::NoInput);
    }
    let elsewhere = run_folders(runs)?;
    let mut inputs: Vec<(PathBuf, Input)> = Vec::with_capacity(paths.len());
    for path in paths {
        inputs.push((path.clone(), read(path, &elsewhere, notes)?));
    }
    inputs.sort_by(|(_, a), (_, b)| a.run_id.cmp(&b.run_id));
    for pair in inputs.windows(2) {
        let [(first, a), (second, b)] = pair else {
            continue;
        };
        if a.run_id == b.run_id {
            return Err(BuildError::SameRun {
                run_id: a.run_id.clone(),
                first: first.clone(),
                second: second.clone(),
            });
        }
    }
    notes.sort();
    Ok(inputs.into_iter().map(|(_, input)| input).collect())
}

/// Run folders by run, of the folders in which each run has one.
fn run_folders(runs: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    let mut found = BTreeMap::new();
    for folder in runs {
        let entries = fs::read_dir(folder).map_err(|source| read_error(folder, source))?;
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for run in folders {
            let timeline = run.join("timeline.jsonl");
            // What can't be read is no run that is asked for.
            let started = timeline.exists().then(|| read_timeline(&timeline).ok());
            if let Some(started) = started.flatten().and_then(|timeline| timeline.run) {
                found.entry(started.run_id).or_insert(run);
            }
        }
    }
    Ok(found)
}

fn read(
    path: &Path,
    elsewhere: &BTreeMap<String, PathBuf>,
    notes: &mut Vec<String>,
) -> Result<Input, BuildError> {
    let (folder, audit) = whole_set(path, notes)?;
    let run_id = match &audit.figures.run {
        Some(run) if is_name(&run.run_id) => run.run_id.clone(),
        run => {
            return Err(BuildError::NoRun {
                run_id: run.as_ref().map_or_else(String::new, |r| r.run_id.clone()),
                path: folder,
            });
        }
    };
    let warnings = audit.audit.checks.iter();
    let warnings = warnings.filter(|check| check.level == Level::Warning);
    let warnings: Vec<&str> = warnings.map(|check| check.id.as_str()).collect();
    if !warnings.is_empty() {
        notes.push(format!(
            "run {run_id}: its audit has warnings: {}",
            warnings.join(", ")
        ));
    }
    let (tables, documents) = files(&folder, &audit.stamp)?;
    let mut input = Input {
        tables,
        documents,
        run_files: BTreeMap::new(),
        ledger: None,
        facts: facts(&audit),
        stamp: audit.stamp.clone(),
        folder,
        run_id,
    };
    let beside = input.folder.parent().map(Path::to_path_buf);
    let others = elsewhere.get(&input.run_id).cloned();
    let candidates = [Some(input.folder.clone()), beside, others];
    for run in candidates.into_iter().flatten() {
        if take_run(&mut input, &run)? {
            return Ok(input);
        }
    }
    notes.push(format!(
        "run {}: its run folder is not known, so that its timeline, scenario and plan are not in the \
         dataset, nor the drivers of its faults in the index; name the folder of runs with --runs",
        input.run_id
    ));
    Ok(input)
}

/// Takes the files of a run folder, if it is that of the run.
fn take_run(input: &mut Input, folder: &Path) -> Result<bool, BuildError> {
    let path = folder.join("timeline.jsonl");
    if !path.is_file() {
        return Ok(false);
    }
    let timeline = read_timeline(&path)?;
    if timeline.run.as_ref().map(|run| &run.run_id) != Some(&input.run_id) {
        return Ok(false);
    }
    input.facts.started = timeline.run;
    input.facts.faults = timeline.faults;
    let by_hand = folder.join("faults.jsonl");
    if by_hand.is_file() {
        input.facts.faults.extend(read_timeline(&by_hand)?.faults);
    }
    let named = RUN_FILES.map(|name| (name.to_owned(), folder.join(name)));
    input.run_files = named
        .into_iter()
        .filter(|(_, path)| path.is_file())
        .collect();
    let ledger = folder.join("ledger.arrows");
    input.ledger = ledger.is_file().then_some(ledger);
    Ok(true)
}

fn facts(audit: &AuditFile) -> RunFacts {
    let Figures { run, windows, .. } = &audit.figures;
    let run = run.clone().unwrap_or_default();
    let found = |check: &&Check| check.level >= Level::Warning;
    let is_error =
        |check: &&Check| check.level == Level::Error && !OF_WINDOWS.contains(&&*check.id);
    let checks = &audit.audit.checks;
    // The folders of a path are those of one machine, and `\` parts them on some.
    let scenario_file = run.scenario_file.rsplit(['/', '\\']).next();
    RunFacts {
        extracted_by: audit.loadgen_version.clone(),
        verdict: audit.audit.verdict,
        findings: checks
            .iter()
            .filter(found)
            .map(|check| (check.id.clone(), check.level, check.figure.clone()))
            .collect(),
        errors: checks
            .iter()
            .filter(is_error)
            .map(|check| format!("{}: {}", check.id, check.figure))
            .collect(),
        scenario_file: scenario_file.unwrap_or_default().to_owned(),
        seed: run.seed,
        time_scale: run.time_scale,
        began_ns: run.began_ns,
        spans_by_type: audit.figures.spans_by_type.clone(),
        warm_up: windows.iter().map(|window| window.warm_up).collect(),
        started: None,
        faults: Vec::new(),
    }
}

/// Whether a text can be the name of a folder and the value of a partition, everywhere.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain)
}

/// The newest set of files of an input that is whole, or the one that is named.
fn whole_set(path: &Path, notes: &mut Vec<String>) -> Result<(PathBuf, AuditFile), BuildError> {
    let none = || BuildError::NoDataset {
        path: path.to_path_buf(),
    };
    if path.is_file() {
        let folder = path.parent().ok_or_else(none)?;
        let audit = read_audit(path).map_err(|error| match error {
            AuditError::Malformed { .. } => none(),
            error => error.into(),
        })?;
        return match missing(folder, &audit) {
            Some(reason) => Err(BuildError::Incomplete {
                path: folder.to_path_buf(),
                reason,
            }),
            None => Ok((folder.to_path_buf(), audit)),
        };
    }
    let inner = path.join("dataset");
    let folder = [path.to_path_buf(), inner]
        .into_iter()
        .find(|folder| latest_audit(folder).is_ok())
        .ok_or_else(none)?;
    let audits = audits(&folder)?;
    let mut first_reason = None;
    for path in audits.iter().rev() {
        let (reason, audit) = match read_audit(path) {
            Ok(audit) => (missing(&folder, &audit), Some(audit)),
            Err(_) => (Some(format!("{} can't be read", file_name(path))), None),
        };
        match (reason, audit) {
            (None, Some(audit)) => {
                if let Some(reason) = first_reason {
                    let run = audit.figures.run.as_ref();
                    // Notes go into the card, which no path is to go into.
                    notes.push(format!(
                        "run {}: the newest set of files is not whole ({reason}); that of {} is taken",
                        run.map_or("", |run| &run.run_id),
                        audit.stamp
                    ));
                }
                return Ok((folder, audit));
            }
            (reason, _) => first_reason = first_reason.or(reason),
        }
    }
    Err(BuildError::Incomplete {
        path: folder,
        reason: first_reason.unwrap_or_default(),
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What a set of files lacks; none: it is whole. CSV is not needed.
fn missing(folder: &Path, audit: &AuditFile) -> Option<String> {
    let stamp = &audit.stamp;
    let needed = NEEDED.map(|table| format!("{table}_{stamp}.parquet"));
    if let Some(name) = needed.iter().find(|name| !folder.join(name).is_file()) {
        return Some(format!("{name} is not there"));
    }
    let listed = audit.files.iter();
    let mut read = listed.filter(|f| f.name.ends_with(".parquet") || f.name.ends_with(".json"));
    read.find_map(|file| match folder.join(&file.name).metadata() {
        Ok(found) if found.len() == file.bytes => None,
        Ok(found) => Some(format!(
            "{} has {} bytes, there were {}",
            file.name,
            found.len(),
            file.bytes
        )),
        Err(_) => Some(format!("{} is not there", file.name)),
    })
}

type ByName = BTreeMap<String, PathBuf>;

/// Tables and documents of a set, by name.
fn files(folder: &Path, stamp: &str) -> Result<(ByName, ByName), BuildError> {
    let (mut tables, mut documents) = (ByName::new(), ByName::new());
    let entries = fs::read_dir(folder).map_err(|source| read_error(folder, source))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let of = |ending: &str| {
            let name = name.strip_suffix(ending)?.strip_suffix(stamp)?;
            name.strip_suffix('_')
                .filter(|name| is_name(name))
                .map(str::to_owned)
        };
        if let Some(table) = of(".parquet") {
            tables.insert(table, path.clone());
        } else if let Some(document) = of(".json") {
            documents.insert(document, path.clone());
        }
    }
    Ok((tables, documents))
}

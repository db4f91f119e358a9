//! One call of continuous extraction: reads what is new, and makes a dataset of each run that is
//! complete and has none.
//!
//! What is written comes in an order in which a kill costs nothing: the state with what was read,
//! then a dataset in one rename, then the state that names it. A dataset that the state doesn't name
//! is taken from its own record by the next call.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::Utc;
use loadgen_otlp::source::backup;
use loadgen_timeline::audit::Rows;
use serde::Serialize;

use super::complete::{FLUSH_NS, Missing, RunEnd, RunMarks, missing};
use super::index::{FileMark, Index, Look};
use super::marks::RowCounts;
use super::owners::Owners;
use super::runs::{FoundRun, TIMELINE, find};
use super::state::{
    Extracted, LostFile, RunState, STATE_FILE, Standing, State, sync_folder, write_json,
};
use crate::error::ExtractError;
use crate::extract::extract_from;
use crate::options::ExtractOptions;
use crate::report::ExtractReport;
use crate::scan::inputs::{Inputs, Opened, open_all, read_error};

/// Names of working files in the folder of datasets begin so.
const WORKING: &str = ".extract-";

/// A lock that one call holds.
const LOCK: &str = ".extraction.lock";

/// What is said of a dataset, beside its files.
const RECORD: &str = "extraction.json";

/// Spans of a run's traces that come later than this after its end, in nanoseconds, are not known as
/// the run's any more.
const DAY_NS: i64 = 86_400_000_000_000;

/// What a call is asked for.
#[derive(Debug, Clone)]
pub struct PassOptions {
    /// What a Collector writes: files, folders, patterns.
    pub telemetry: Vec<PathBuf>,
    /// The folder in which each run has a folder.
    pub runs: PathBuf,
    /// The folder in which each run gets a dataset, and where the state is.
    pub output: PathBuf,
    /// So long after a run's end it is extracted even if something of it has not come.
    pub wait: Duration,
    /// What holds for each extraction; its files are not asked for.
    pub rows: ExtractOptions,
}

/// What a call did.
#[derive(Debug, Clone, Serialize)]
pub struct PassReport {
    /// Datasets that this call made.
    pub made: Vec<ExtractReport>,
    /// Ids of runs that turned out in this call to be complete without a dataset being possible, or
    /// to have lost files.
    pub spoilt: Vec<String>,
    /// Run folders that can't be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Files that were not read because they begin like another.
    pub copies: Vec<PathBuf>,
    /// What is remembered.
    pub state: State,
}

/// Reads what is new and extracts all runs that are complete and have no dataset yet.
///
/// # Errors
/// [`ExtractError`]: another call is under way, the state, the telemetry or the folder of runs can't
/// be read, the output can't be written. A run that can't be extracted is no error: it is in the
/// state, and the other runs are extracted all the same.
pub fn extract_new(options: &PassOptions) -> Result<PassReport, ExtractError> {
    let output = &options.output;
    let cannot_write = |source| ExtractError::Write {
        path: output.clone(),
        source,
    };
    fs::create_dir_all(output).map_err(cannot_write)?;
    let _lock = lock(output)?;
    remove_working(output).map_err(cannot_write)?;
    let now = Utc::now();
    let now_ns = now.timestamp_nanos_opt().unwrap_or(i64::MAX);
    let mut pass = Pass::load(options, now_ns)?;
    let opened = open(&options.telemetry)?;
    let look = pass.look(&opened)?;
    pass.state.save(output, now).map_err(cannot_write)?;
    let mut made = Vec::new();
    for run in pass.found.clone() {
        if pass.is_due(&run)
            && let Some(report) = pass.extract(&run, &look, &opened)?
        {
            made.push(report);
            pass.state.save(output, Utc::now()).map_err(cannot_write)?;
        }
    }
    pass.state.save(output, Utc::now()).map_err(cannot_write)?;
    pass.spoilt.sort();
    pass.spoilt.dedup();
    Ok(PassReport {
        made,
        spoilt: pass.spoilt,
        unreadable: pass.unreadable,
        copies: look.copies,
        state: pass.state,
    })
}

struct Pass<'o> {
    options: &'o PassOptions,
    now_ns: i64,
    state: State,
    /// Nothing had been read before this call.
    is_first: bool,
    found: Vec<FoundRun>,
    unreadable: Vec<(PathBuf, String)>,
    owners: Owners,
    /// By run of `owners`: its position in the state.
    of_owners: Vec<usize>,
    index: Index,
    /// Runs that were not known before, by id.
    strangers: Vec<String>,
    spoilt: Vec<String>,
}

impl<'o> Pass<'o> {
    /// Takes up where the call before ended.
    fn load(options: &'o PassOptions, now_ns: i64) -> Result<Self, ExtractError> {
        let output = &options.output;
        let state = State::load(output).map_err(|source| ExtractError::State {
            path: output.join(STATE_FILE),
            source,
        })?;
        let mut state = state.unwrap_or_default();
        adopt(output, &mut state).map_err(|source| read_error(output, source))?;
        if options.runs.join(TIMELINE).exists() {
            return Err(ExtractError::IsARun {
                path: options.runs.clone(),
            });
        }
        let found = find(&options.runs, now_ns);
        let (found, unreadable) = found.map_err(|source| read_error(&options.runs, source))?;
        let mut pass = Self {
            options,
            now_ns,
            is_first: state.files.is_empty() && state.gone.files == 0,
            index: Index {
                files: std::mem::take(&mut state.files),
                sources: std::mem::take(&mut state.metric_sources)
                    .into_iter()
                    .filter_map(|(key, source)| Some((u64::from_str_radix(&key, 16).ok()?, source)))
                    .collect(),
            },
            state,
            found: Vec::new(),
            unreadable,
            owners: Owners::default(),
            of_owners: Vec::new(),
            strangers: Vec::new(),
            spoilt: Vec::new(),
        };
        for run in &found {
            pass.know(run);
        }
        pass.found = found;
        Ok(pass)
    }

    /// Makes a run known, and its traces if any of it may still come.
    fn know(&mut self, run: &FoundRun) {
        let runs = &mut self.state.runs;
        let position = runs.iter().position(|known| known.run_id == run.run_id);
        let position = position.unwrap_or_else(|| {
            runs.push(RunState {
                run_id: run.run_id.clone(),
                folder: run.name.clone(),
                begin_ns: run.time.0,
                end_ns: None,
                standing: Standing::Waiting {
                    missing: Vec::new(),
                },
                lost: Vec::new(),
                late: RowCounts::default(),
                marks: None,
            });
            self.strangers.push(run.run_id.clone());
            runs.len() - 1
        });
        let known = &mut runs[position];
        let has_just_ended = known.end_ns.is_none() && run.end_ns.is_some();
        known.end_ns = run.end_ns;
        let is_over = run.time.1.saturating_add(DAY_NS) < self.now_ns;
        if is_over && known.extracted().is_some() {
            return;
        }
        if has_just_ended {
            // Before, its ledger was not whole; and a run folder may come later than the telemetry,
            // as one that is copied does.
            known.marks = None;
            let files = self.index.files.iter_mut();
            for file in files.filter(|file| file.overlaps(run.time)) {
                file.again = true;
            }
        }
        // A ledger that can't be read is told when the run is extracted.
        let _ = self.owners.add(&run.run_id, run.time, &run.ledger());
        self.of_owners.push(position);
    }

    /// Reads what is new, and notes of each run what has come, what is missing and what is lost.
    fn look(&mut self, opened: &[Opened]) -> Result<Look, ExtractError> {
        let of_state = |position: &usize| {
            let marks = self.state.runs[*position].marks.take();
            marks.unwrap_or_default()
        };
        let mut marks: Vec<RunMarks> = self.of_owners.iter().map(of_state).collect();
        let look = self
            .index
            .look(opened, &self.owners, &mut marks, self.now_ns)?;
        for (run, rows) in &look.new {
            let run = &mut self.state.runs[self.of_owners[*run]];
            // Where the state was lost nothing is known of what had come before.
            if run.extracted().is_some() && !self.is_first {
                run.late.add(*rows);
            }
        }
        for gone in &look.gone {
            self.state.gone.files += 1;
            self.state.gone.rows.add(gone.rows);
            self.lose(gone);
        }
        for ((owner, position), marks) in self.owners.runs().iter().zip(&self.of_owners).zip(marks)
        {
            let run = &mut self.state.runs[*position];
            if run.extracted().is_some() {
                continue;
            }
            let end = RunEnd {
                begin_ns: run.begin_ns,
                end_ns: run.end_ns,
                requests: owner.requests,
            };
            let missing = missing(&end, &marks, self.index.sources(), self.now_ns);
            run.marks = Some(marks);
            // One that could not be extracted is tried again, and told once.
            if !matches!(run.standing, Standing::Failed { .. }) {
                run.standing = Standing::Waiting {
                    missing: missing.iter().map(Missing::to_string).collect(),
                };
            }
        }
        self.state.files = self.index.files.clone();
        let sources = self.index.sources.iter();
        self.state.metric_sources = sources
            .map(|(key, source)| (format!("{key:016x}"), source.clone()))
            .collect();
        Ok(look)
    }

    /// Notes which runs lack what was in a file that is gone.
    fn lose(&mut self, gone: &FileMark) {
        let was_open = backup(&name(&gone.path)).is_none();
        // What was written behind it is in the oldest of its stream that is still there, or lost.
        let files = self.index.files.iter();
        let of_stream = files.filter(|file| stream(&file.path) == stream(&gone.path));
        let after = of_stream.filter_map(|file| file.first_ns);
        let after = after.filter(|first| Some(*first) > gone.last_ns).min();
        let unknown = (
            gone.last_ns.unwrap_or(i64::MIN),
            after.unwrap_or(self.now_ns),
        );
        for (run, position) in self.owners.runs().iter().zip(&self.of_owners) {
            let state = &mut self.state.runs[*position];
            if state.extracted().is_some() {
                continue;
            }
            let rows = gone.of_runs.get(&run.run_id).copied().unwrap_or_default();
            let overlaps = run.time.0 < unknown.1 && run.time.1 > unknown.0;
            // What was read before the run was known was not noted as its own.
            let is_unnoted = self.strangers.contains(&run.run_id) && gone.overlaps(run.time);
            if rows.all() > 0 || is_unnoted || was_open && overlaps {
                state.lost.push(LostFile {
                    path: gone.path.clone(),
                    rows,
                    was_open: was_open && overlaps,
                });
                self.spoilt.push(run.run_id.clone());
            }
        }
    }

    fn state_of(&mut self, run: &FoundRun) -> Option<&mut RunState> {
        let mut runs = self.state.runs.iter_mut();
        runs.find(|known| known.run_id == run.run_id)
    }

    /// Whether a run has no dataset, and is complete or has been waited for long enough.
    fn is_due(&mut self, run: &FoundRun) -> bool {
        let wait = i64::try_from(self.options.wait.as_nanos()).unwrap_or(i64::MAX);
        let now_ns = self.now_ns;
        let Some(end_ns) = run.end_ns else {
            return false;
        };
        self.state_of(run)
            .is_some_and(|state| match &state.standing {
                Standing::Waiting { missing } => {
                    missing.is_empty() || now_ns >= end_ns.saturating_add(wait)
                }
                Standing::Failed { .. } => true,
                Standing::Extracted(_) => false,
            })
    }

    /// Makes the dataset of a run. None: that is not possible, and the state says why.
    fn extract(
        &mut self,
        run: &FoundRun,
        look: &Look,
        opened: &[Opened],
    ) -> Result<Option<ExtractReport>, ExtractError> {
        let near: Vec<&FileMark> = self
            .index
            .files
            .iter()
            .filter(|file| file.is_near(&run.run_id, run.time))
            .collect();
        let files: Vec<&Opened> = self
            .index
            .files
            .iter()
            .zip(&look.opened)
            .filter(|(file, _)| file.is_near(&run.run_id, run.time))
            .map(|(_, position)| &opened[*position])
            .collect();
        if files.is_empty() {
            let reason = "no file has telemetry of its time: the Collector did not run, its files \
                          were deleted, or the clocks differ";
            self.fail(run, reason.to_owned());
            return Ok(None);
        }
        let begins_late = self.begins_late(run, &near);
        let working = self.options.output.join(format!("{WORKING}{}", run.run_id));
        let options = ExtractOptions {
            timeline: Some(run.timeline()),
            other_runs: self.others(run, DAY_NS).map(FoundRun::timeline).collect(),
            output: working.clone(),
            ..self.options.rows.clone()
        };
        let inputs = Inputs::of(files.iter().copied())?;
        let mut report = match extract_from(&options, inputs, Instant::now()) {
            Ok(report) => report,
            Err(error) => {
                // The next call would remove it, too.
                let _ = fs::remove_dir_all(&working);
                if !error.is_bad_input() {
                    return Err(error);
                }
                self.fail(run, error.to_string());
                return Ok(None);
            }
        };
        let dataset = self.dataset_name(run);
        let place = self.options.output.join(&dataset);
        let files = files.iter().map(|file| file.path.clone()).collect();
        let Some(state) = self.extracted(run, &report, dataset, files, begins_late) else {
            return Ok(None);
        };
        let put = self.put(&working, &place, &state);
        put.map_err(|source| ExtractError::Write {
            path: place.clone(),
            source,
        })?;
        report.output.clone_from(&place);
        for file in &mut report.files {
            file.path = place.join(file.path.file_name().unwrap_or_default());
        }
        Ok(Some(report))
    }

    /// Notes that a run has its dataset, and gives its new state.
    fn extracted(
        &mut self,
        run: &FoundRun,
        report: &ExtractReport,
        dataset: String,
        files: Vec<PathBuf>,
        begins_late: Option<String>,
    ) -> Option<RunState> {
        let overlaps = self.others(run, 0).map(|other| other.run_id.clone());
        let overlaps = overlaps.collect();
        let figures = &report.figures;
        let signals = [&figures.spans, &figures.points, &figures.logs];
        let state = self.state_of(run)?;
        let mut missing = match &state.standing {
            Standing::Waiting { missing } => missing.clone(),
            _ => Vec::new(),
        };
        missing.extend(begins_late);
        state.marks = None;
        state.standing = Standing::Extracted(Extracted {
            dataset,
            at: Utc::now(),
            verdict: report.audit.verdict,
            rows: counts(signals, |rows| rows.written + rows.filtered),
            others: counts(signals, |rows| rows.foreign),
            files,
            missing,
            overlaps,
        });
        Some(state.clone())
    }

    /// Puts a dataset in its place, with the state of its run, when all of it is on the disk.
    fn put(&self, working: &Path, place: &Path, state: &RunState) -> io::Result<()> {
        write_json(&working.join(RECORD), state)?;
        for entry in working.read_dir()? {
            File::open(entry?.path())?.sync_all()?;
        }
        fs::rename(working, place)?;
        sync_folder(&self.options.output)
    }

    /// Runs whose telemetry may be in the same time, or that ended so long before.
    fn others(&self, run: &FoundRun, before_ns: i64) -> impl Iterator<Item = &FoundRun> {
        let (begin, end) = run.time;
        let run_id = run.run_id.clone();
        self.found.iter().filter(move |other| {
            other.run_id != run_id
                && other.time.0 <= end
                && other.time.1 >= begin.saturating_sub(before_ns)
        })
    }

    /// Says so if the files begin after the first requests of a run.
    fn begins_late(&self, run: &FoundRun, near: &[&FileMark]) -> Option<String> {
        let mut runs = self.owners.runs().iter();
        let first = runs.find(|owner| owner.run_id == run.run_id)?;
        let first = first.first_finished_ns?;
        let traces = near.iter().filter(|file| file.rows.spans > 0);
        let oldest = traces.filter_map(|file| file.first_ns).min()?;
        let late = oldest.saturating_sub(first);
        (late > FLUSH_NS).then(|| {
            format!(
                "the oldest spans in the files are {} s younger than the run's first request: what \
                 came before was rotated away, or never stored",
                late / 1_000_000_000
            )
        })
    }

    fn fail(&mut self, run: &FoundRun, reason: String) {
        let Some(state) = self.state_of(run) else {
            return;
        };
        let failed = Standing::Failed { reason };
        if state.standing != failed {
            state.standing = failed;
            self.spoilt.push(run.run_id.clone());
        }
    }

    /// The name of the run's folder, unless something else has it.
    fn dataset_name(&self, run: &FoundRun) -> String {
        let name = &run.name;
        let id = run.run_id.get(..8).unwrap_or(&run.run_id);
        match self.options.output.join(name).exists() || name.starts_with('.') {
            true => format!("{}-{id}", name.trim_start_matches('.')),
            false => name.clone(),
        }
    }
}

fn counts(signals: [&Rows; 3], of: impl Fn(&Rows) -> u64) -> RowCounts {
    let [spans, points, logs] = signals;
    RowCounts {
        spans: of(spans),
        data_points: of(points),
        log_records: of(logs),
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What a file and its backups have in common.
fn stream(path: &Path) -> (Option<&Path>, String) {
    let name = name(path);
    let stem = match backup(&name) {
        Some((stem, _)) => stem,
        None => name.split('.').next().unwrap_or_default().to_owned(),
    };
    (path.parent(), stem)
}

/// Opens all telemetry. A folder in which there is none yet is empty.
fn open(telemetry: &[PathBuf]) -> Result<Vec<Opened>, ExtractError> {
    let mut all = Vec::new();
    for path in telemetry {
        match open_all(&[path]) {
            Ok(opened) => all.extend(opened),
            Err(ExtractError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Keeps other calls out until it is dropped, or the process ends.
fn lock(output: &Path) -> Result<File, ExtractError> {
    let path = output.join(LOCK);
    let cannot = |source| ExtractError::Write {
        path: path.clone(),
        source,
    };
    let options = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path);
    let file = options.map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ExtractError::Busy {
            path: output.to_owned(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(cannot(source)),
    }
}

/// Removes what a call that was killed has left.
fn remove_working(output: &Path) -> io::Result<()> {
    for entry in output.read_dir()? {
        let path = entry?.path();
        if name(&path).starts_with(WORKING) && path.is_dir() {
            fs::remove_dir_all(path)?;
        } else if name(&path).starts_with(".extraction-") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Takes datasets into the state that a call made which was killed before it could write that down.
fn adopt(output: &Path, state: &mut State) -> io::Result<()> {
    let known: HashMap<&str, bool> = state
        .runs
        .iter()
        .map(|run| (run.run_id.as_str(), run.extracted().is_some()))
        .collect();
    let mut adopted: BTreeMap<String, RunState> = BTreeMap::new();
    for entry in output.read_dir()? {
        let folder = entry?.path();
        let Ok(text) = fs::read(folder.join(RECORD)) else {
            continue;
        };
        let run: RunState = serde_json::from_slice(&text)?;
        let is_here = run
            .extracted()
            .is_some_and(|of| of.dataset == name(&folder));
        if is_here && known.get(run.run_id.as_str()) != Some(&true) {
            adopted.insert(run.run_id.clone(), run);
        }
    }
    state.runs.retain(|run| !adopted.contains_key(&run.run_id));
    state.runs.extend(adopted.into_values());
    state
        .runs
        .sort_by(|a, b| (a.begin_ns, &a.run_id).cmp(&(b.begin_ns, &b.run_id)));
    Ok(())
}

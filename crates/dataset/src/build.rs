//! The build, step by step.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_schema::Schema;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::card::{CARD, card};
use crate::cases::{self, CASES};
use crate::columns::{COLUMNS_SCHEMA_VERSION, dictionary};
use crate::croissant::{CROISSANT, croissant};
use crate::error::BuildError;
use crate::facts::{About, Facts};
use crate::input::{self, Input, RunSource};
use crate::out::OutFolder;
use crate::place::Unlisted;
use crate::requests;
use crate::splits::{Dealt, RunSplits, SPLITS, SplitOptions};
use crate::tables::{self, REQUESTS, Run, WindowCounts};
use crate::verdict::{DatasetStanding, WEAK_BELOW, standing_of};
use crate::windows;

/// Something that puts more files into the folder before checksums are made: see
/// [`BuildOptions::finish`].
pub type Finish = Arc<dyn Fn(&Path, &[RunSource]) -> std::io::Result<()> + Send + Sync>;

/// What is asked for.
#[derive(Clone)]
pub struct BuildOptions {
    /// Run folders, folders of datasets, or their audit files; in any order.
    pub inputs: Vec<PathBuf>,
    /// Folders in which each run has a folder, for datasets that lie elsewhere.
    pub runs: Vec<PathBuf>,
    /// The folder of the dataset. It must not be there yet, or be empty.
    pub output: PathBuf,
    /// Intensities below this are weak on purpose.
    pub weak_below: f64,
    /// How episodes are dealt out to train, validate and test with.
    pub splits: SplitOptions,
    /// What becomes of runs whose audit says that they can't be used.
    pub unusable: Unusable,
    /// What only people know of the dataset.
    pub about: About,
    /// Set from elsewhere, it stops the build, which leaves nothing behind.
    pub stop: Arc<AtomicBool>,
    /// Called with the folder, while it is hidden, and the runs in the order of their ids, when all
    /// else is written but the checksums. What it writes must depend on nothing but what lies there.
    pub finish: Option<Finish>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            runs: Vec::new(),
            output: PathBuf::new(),
            weak_below: WEAK_BELOW,
            splits: SplitOptions::default(),
            unusable: Unusable::Refuse,
            about: About::default(),
            stop: Arc::default(),
            finish: None,
        }
    }
}

impl fmt::Debug for BuildOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildOptions")
            .field("inputs", &self.inputs)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// What becomes of runs whose audit says that they can't be used, for another reason than single
/// windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// There is no dataset.
    Refuse,
    /// They are left out, and named.
    Skip,
    /// They are taken as they are; index and card say so.
    Keep,
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BuildReport {
    /// The folder.
    pub output: PathBuf,
    /// Ids of the runs.
    pub runs: Vec<String>,
    /// Ids of runs that were left out because of their audit, with the reason.
    pub left_out: Vec<String>,
    /// Episodes of all runs.
    pub episodes: u64,
    /// Of these, those in each split, by its name.
    pub splits: BTreeMap<String, u64>,
    /// Windows of all runs: rows of the index.
    pub windows: u64,
    /// The tables, by name.
    pub tables: Vec<TableFacts>,
    /// The folders of classes, by name.
    pub classes: Vec<ClassFacts>,
    /// Files, and their size in bytes.
    pub files: u64,
    /// The size of all files, in bytes.
    pub bytes: u64,
    /// How the windows count, and whether the dataset is usable.
    pub standing: DatasetStanding,
    /// What is worth to know of the inputs.
    pub notes: Vec<String>,
}

/// A table of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFacts {
    /// Its name.
    pub table: String,
    /// Rows of all runs.
    pub rows: u64,
    /// Columns, with those of run and episode.
    pub columns: usize,
}

/// A folder of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassFacts {
    /// Its name.
    pub class: String,
    /// Spans of all runs.
    pub rows: u64,
}

/// Makes one dataset of several runs.
///
/// # Errors
///
/// [`BuildError`]: no dataset was made, and nothing is left where it was to be.
pub fn build(options: &BuildOptions) -> Result<BuildReport, BuildError> {
    let mut notes = Vec::new();
    let inputs = input::read_all(&options.inputs, &options.runs, &mut notes)?;
    let (inputs, left_out) = usable(inputs, options.unusable)?;
    let (mut runs, dealt) = dealt_runs(inputs, &options.splits)?;
    notes.extend(dealt.note());
    let all = runs.iter().flat_map(|run| {
        let windows = run.windows.iter().enumerate();
        windows.map(|(number, window)| (run.input.run_id.as_str(), number, window))
    });
    let standing = standing_of(all, options.weak_below);

    let mut out = OutFolder::new(&options.output)?;
    let requests = requests::write(&mut runs, &mut out, &options.stop, &mut notes)?;
    let mut made = tables::copy_all(&mut runs, &mut out, &options.stop, &mut notes)?;
    made.tables
        .extend(requests.map(|of| (REQUESTS.to_owned(), of)));
    copy_documents(&runs, &mut out)?;
    out.write(SPLITS, &dealt.json())?;
    let windows = &made.tables["windows"].schema;
    let index = cases::write(&runs, windows, options.weak_below, &mut out)?;
    let facts = Facts {
        about: &options.about,
        runs: &runs,
        left_out: &left_out,
        tables: &made,
        dealt: &dealt,
        standing: &standing,
        notes: &notes,
        fingerprint: const_hex::encode(Sha256::digest(out.sums(|_| true))),
    };
    describe(&facts, &index, &mut out)?;
    if let Some(finish) = &options.finish {
        let sources: Vec<RunSource> = runs.iter().map(|run| run.input.source()).collect();
        finish(&out.root(), &sources).map_err(|source| out.cannot(source))?;
        out.take_others()?;
    }
    let sums = out.sums(|_| true);
    out.write("SHA256SUMS", sums.as_bytes())?;
    let report = report(options, &facts, &out);
    out.commit()?;
    Ok(report)
}

/// Deals the episodes of all runs out to folds.
fn dealt_runs(inputs: Vec<Input>, options: &SplitOptions) -> Result<(Vec<Run>, Dealt), BuildError> {
    let mut parts = Vec::with_capacity(inputs.len());
    let mut facts = Vec::new();
    for input in inputs {
        let (windows, episodes) = windows::read(&input)?;
        facts.extend(windows::episode_facts(&input.run_id, &windows, &episodes));
        parts.push((input, windows, episodes));
    }
    let dealt = Dealt::new(facts, options);
    let mut folds = dealt.folds.as_slice();
    let mut runs = Vec::with_capacity(parts.len());
    for (input, windows, episodes) in parts {
        let (of_run, rest) = folds.split_at(episodes.len());
        folds = rest;
        let splits = RunSplits::new(of_run, &episodes, options);
        runs.push(Run {
            counts: vec![WindowCounts::default(); windows.len()],
            placed: windows::placed(&windows, &episodes, &splits),
            unlisted: Unlisted::new(),
            windows,
            episodes,
            splits,
            input,
        });
    }
    Ok((runs, dealt))
}

/// Writes what tells of the dataset: dictionary, Croissant, card.
fn describe(facts: &Facts<'_>, index: &Schema, out: &mut OutFolder) -> Result<(), BuildError> {
    let dictionary = dictionary(facts.runs, facts.tables, index)?;
    let columns = json!({"schema_version": COLUMNS_SCHEMA_VERSION, "tables": &dictionary});
    out.write("columns.json", &json(&columns))?;
    let croissant = croissant(facts, &dictionary, out);
    out.write(CROISSANT, &json(&croissant))?;
    out.write(CARD, card(facts).as_bytes())
}

fn json(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// The inputs that are taken, and those that are left out in words.
fn usable(inputs: Vec<Input>, unusable: Unusable) -> Result<(Vec<Input>, Vec<String>), BuildError> {
    let mut left_out = Vec::new();
    let mut taken = Vec::with_capacity(inputs.len());
    for input in inputs {
        let checks = input.facts.errors.join("; ");
        match unusable {
            _ if checks.is_empty() => taken.push(input),
            Unusable::Keep => taken.push(input),
            Unusable::Skip => left_out.push(format!("{} ({checks})", input.run_id)),
            Unusable::Refuse => {
                return Err(BuildError::Unusable {
                    path: input.folder,
                    checks,
                });
            }
        }
    }
    match taken.is_empty() {
        true => Err(BuildError::NoneLeft {
            runs: left_out.len(),
        }),
        false => Ok((taken, left_out)),
    }
}

/// Copies what is no table: `runs/<run_id>/`.
fn copy_documents(runs: &[Run], out: &mut OutFolder) -> Result<(), BuildError> {
    for run in runs {
        let run_id = &run.input.run_id;
        for (name, path) in &run.input.run_files {
            out.copy(path, &format!("runs/{run_id}/{name}"))?;
        }
        for (name, path) in &run.input.documents {
            let place = format!("runs/{run_id}/{name}.json");
            if !out.files().contains_key(&place) {
                out.copy(path, &place)?;
            }
        }
    }
    Ok(())
}

fn report(options: &BuildOptions, facts: &Facts<'_>, out: &OutFolder) -> BuildReport {
    let (runs, made) = (facts.runs, facts.tables);
    let tables = made.tables.iter().map(|(table, copied)| TableFacts {
        table: table.clone(),
        rows: copied.rows,
        columns: copied.schema.fields().len(),
    });
    let classes = made.classes.iter().map(|(class, rows)| ClassFacts {
        class: class.clone(),
        rows: *rows,
    });
    let files = out.files();
    debug_assert!(files.contains_key(&format!("{CASES}.csv")));
    BuildReport {
        output: options.output.clone(),
        runs: runs.iter().map(|run| run.input.run_id.clone()).collect(),
        left_out: facts.left_out.to_vec(),
        episodes: facts.episodes() as u64,
        splits: facts.dealt.by_split(),
        windows: runs.iter().map(|run| run.windows.len() as u64).sum(),
        tables: tables.collect(),
        classes: classes.collect(),
        files: files.len() as u64,
        bytes: files.values().map(|file| file.bytes).sum(),
        standing: facts.standing.clone(),
        notes: facts.notes.to_vec(),
    }
}

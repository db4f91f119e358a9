//! The steps after the first. Those that see portions run on any machine; those that put together
//! what portions say run in one place.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use loadgen_timeline::audit::DatasetFile;

use super::figures::{self, Merged, RowFigures, ScanFigures, SurveyFigures};
use super::frames::{self, CANDIDATES, Frame, FrameWriter};
use super::job::{Facts, Job, RunState};
use super::portion::{self, Portions};
use super::{BUDGET_BYTES, StepError};
use crate::audit::audit;
use crate::extract::{
    Read as ReadCounts, check_input, check_rows, counted, dataset_file, label_counts, row_rules,
    write_audit,
};
use crate::ground_truth::{open_ledger, open_others, read_ledger};
use crate::label::Offsets;
use crate::label::truth::Truth;
use crate::lines::Lines;
use crate::measure::normal::Normals;
use crate::measure::{self, RunFacts};
use crate::options::{ExtractOptions, TableFormats};
use crate::report::{ExtractReport, WrittenFile};
use crate::scan::Scanned;
use crate::scan::row_spool::cuts;
use crate::stages::{Labelled, Stages};

/// Tables that are made portion by portion. Those over time need all portions at once.
const TABLES: [&str; 5] = [
    "traces_labeled",
    "trace_labels",
    "trace_features",
    "logs_labeled",
    "metrics_labeled",
];

impl Job {
    /// Deals the requests of the run's ledger, and those of other runs, into portions.
    ///
    /// # Errors
    ///
    /// [`StepError`]: timeline or ledger can't be read.
    pub fn requests(&self, output: impl Write) -> Result<(), StepError> {
        let options = self.extract_options(PathBuf::new());
        let timeline = crate::ground_truth::read_timeline(&options)?;
        let run = timeline.as_ref().and_then(|timeline| timeline.run.as_ref());
        let ledger = open_ledger(&options, run.map(|run| run.run_id.as_str()))?;
        let (_, others) = open_others(&options.other_runs);
        let folder = tempfile::tempdir()?;
        let mut scanned =
            Scanned::with_partitions(folder.path(), self.options.portions, BUDGET_BYTES)?;
        if let Some(ledger) = ledger {
            read_ledger(ledger, false, &mut scanned)?;
        }
        for other in others {
            read_ledger(other, true, &mut scanned)?;
        }
        let mut out = FrameWriter::new(output)?;
        portion::write(&scanned, &mut out)?;
        Ok(out.finish()?)
    }

    /// Puts together what was found out while files were read.
    ///
    /// # Errors
    ///
    /// [`StepError`]: nothing could be read, or with `strict` not all of it.
    pub fn scanned(&self, input: impl Read) -> Result<(), StepError> {
        let mut merged = Merged::<ScanFigures>::new();
        frames::read(input, |frame| merged.take(frame))?;
        let mut scan = merged.finish().ok_or(crate::ExtractError::NoInput)?;
        // Frames come in any order.
        scan.files.sort_by_key(|(number, _)| *number);
        let (messages, input, problems) = self.lines(&scan);
        let options = self.extract_options(PathBuf::new());
        check_input(&options, &self.options.files, &messages, &input, &problems)?;
        let facts = Facts {
            extent: scan.extent,
            sample: scan.sample.iter().map(|s| (s.hash, s.key)).collect(),
            ledger_is_whole: self.said()?.ledger_is_whole,
            cuts: scan
                .bytes
                .map(|bytes| cuts(bytes / self.options.portions as u64)),
        };
        self.save("scan.bin", &scan)?;
        self.save("facts.bin", &facts)
    }

    /// The lines of all files.
    fn lines(&self, scan: &ScanFigures) -> Known {
        let files = &self.options.files;
        let mut lines = Lines::new(files.len());
        for (number, of) in &scan.files {
            lines.merge(of.clone(), &[*number as usize]);
        }
        let messages = lines.messages.clone();
        let (report, problems) = lines.problems(files);
        (messages, report, problems)
    }

    /// Labels portions, and says what was found out, with all of which [`normals`](Self::normals) may
    /// have need: spans are labelled and compared before it is known which of them are normal.
    ///
    /// # Errors
    ///
    /// [`StepError`]: the input or the job's folder can't be read.
    pub fn survey(&self, input: impl Read, output: impl Write) -> Result<(), StepError> {
        let labelled = LabelledPortions::new(self, input)?;
        let mut out = FrameWriter::new(output)?;
        let times = measure::normal_time(&labelled.truth);
        let stages = &labelled.stages;
        stages.candidates(&labelled.labelled, &times, |spans| {
            out.write_packed(0, CANDIDATES, spans.slice())
        })?;
        let figures = SurveyFigures {
            gathered: labelled.labelled.gathered,
            foreign_points: labelled.labelled.foreign_points,
            too_large: labelled.scanned.too_large,
        };
        figures::write(&figures, 0, &mut out)?;
        Ok(out.finish()?)
    }

    /// Finds out what holds for the whole run, from what portions said.
    ///
    /// # Errors
    ///
    /// [`StepError`]: the input or the job's folder can't be read.
    pub fn surveyed(&self, input: impl Read) -> Result<(), StepError> {
        let scan: ScanFigures = self.load("scan.bin")?;
        let facts: Facts = self.load("facts.bin")?;
        let truth = self.truth(facts.ledger_is_whole)?;
        let mut merged = Merged::<SurveyFigures>::new();
        frames::read(input, |frame| merged.take(frame))?;
        let survey = merged.finish().ok_or(crate::ExtractError::NoInput)?;
        let mut gathered = survey.gathered;
        gathered.sampled.sort_unstable();
        let (_, clocks) = measure::clocks(&truth, &gathered);
        let run = RunFacts::new(&truth, &gathered);
        let mut figures = measure::figures(&truth, &gathered, &run);
        figures.clocks = clocks;
        self.said()?.put(&mut figures);
        measure::leaks(&mut figures, &truth, &scan.sample, &gathered);
        let windows = 0..truth.timeline.windows.len();
        let state = RunState::new(
            &run,
            windows.map(|window| gathered.p99_ns(window)).collect(),
            &figures,
            [survey.too_large, survey.foreign_points],
        )?;
        self.save("run.bin", &state)
    }

    /// Gathers what is normal for each operation, from what [`survey`](Self::survey) wrote.
    ///
    /// # Errors
    ///
    /// [`StepError`]: the input or the job's folder can't be read.
    pub fn normals(&self, input: impl Read, output: impl Write) -> Result<(), StepError> {
        let run: RunState = self.load("run.bin")?;
        let mut normals = Normals::default();
        frames::read(input, |frame| match frame.kind {
            CANDIDATES => frames::packed(frame.bytes, |spans| {
                normals.add_candidates(&run.reference, spans)
            }),
            _ => Ok(()),
        })?;
        let mut out = FrameWriter::new(output)?;
        figures::write(&normals, 0, &mut out)?;
        Ok(out.finish()?)
    }

    /// Puts together what is normal for each operation.
    ///
    /// # Errors
    ///
    /// [`StepError`]: the input can't be read, or the job's folder not be written.
    pub fn limits(&self, input: impl Read) -> Result<(), StepError> {
        let mut merged = Merged::<Normals>::new();
        frames::read(input, |frame| merged.take(frame))?;
        self.save("normals.bin", &merged.finish().unwrap_or_default())
    }

    /// Makes the rows of portions: a frame of each table, which is a Parquet file. `part` is the
    /// number in their names.
    ///
    /// # Errors
    ///
    /// [`StepError`]: the input or the job's folder can't be read.
    pub fn rows(&self, part: u32, input: impl Read, output: impl Write) -> Result<(), StepError> {
        let LabelledPortions {
            truth,
            mut stages,
            scanned,
            labelled,
            folder: _folder,
        } = LabelledPortions::new(self, input)?;
        let run: RunState = self.load("run.bin")?;
        let normals: Normals = self.load("normals.bin")?;
        let (facts, mut audit_figures) = (run.facts(&truth)?, run.figures()?);
        // Portions hand on Parquet alone.
        let options = ExtractOptions {
            formats: TableFormats::Parquet,
            ..self.extract_options(PathBuf::new())
        };
        let rules = row_rules(
            &options,
            &truth,
            &facts,
            normals.limits(),
            scanned.spans.len(),
            &mut audit_figures,
        );
        let (counts, files) = stages.write(&scanned, &labelled, &rules)?;
        let mut out = FrameWriter::new(output)?;
        let mut written = RowFigures {
            counts,
            files: Vec::new(),
        };
        for file in files
            .iter()
            .filter_map(dataset_file)
            .filter(|file| file.rows > 0)
        {
            let Some(table) = table(&file.name) else {
                continue;
            };
            let bytes = std::fs::read(stages.folder().join(&file.name))?;
            out.write(Frame {
                key: part.into(),
                kind: table,
                bytes: &bytes,
            })?;
            written.files.push(DatasetFile {
                name: format!("{table}/part-{part:05}.parquet"),
                ..file
            });
        }
        figures::write(&written, part.into(), &mut out)?;
        Ok(out.finish()?)
    }

    /// Writes the table of windows, the evidence and the audit to `output`.
    ///
    /// # Errors
    ///
    /// [`StepError`]: the input or the job's folder can't be read, rows are missing, two files of rows
    /// have one name, or the output can't be written.
    pub fn finish(&self, input: impl Read, output: &Path) -> Result<ExtractReport, StepError> {
        let began = Instant::now();
        let scan: ScanFigures = self.load("scan.bin")?;
        let facts: Facts = self.load("facts.bin")?;
        let truth = self.truth(facts.ledger_is_whole)?;
        let state: RunState = self.load("run.bin")?;
        let normals: Normals = self.load("normals.bin")?;
        let mut merged = Merged::<RowFigures>::new();
        frames::read(input, |frame| merged.take(frame))?;
        let rows = merged.finish().unwrap_or_default();
        let run = state.facts(&truth)?;
        let mut figures = state.figures()?;
        let options = self.extract_options(output.to_path_buf());
        let rules = row_rules(&options, &truth, &run, normals.limits(), 1, &mut figures);
        let (_, input, problems) = self.lines(&scan);
        let read = ReadCounts {
            rows: scan.read,
            too_large: state.too_large,
            foreign_points: state.foreign_points,
        };
        counted(&mut figures, &truth, &read, &rows.counts, &input);
        let mut stages = self.stages(output)?;
        let mut written = rows.files;
        written.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = written.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(StepError::SameFile(twice[0].name.clone()));
        }
        let windows = stages.write_windows(&truth, &figures, options.formats)?;
        written.extend(windows.iter().filter_map(dataset_file));
        let evidence = stages.write_json("evidence", &run.evidence)?;
        written.extend(dataset_file(&evidence));
        let audit = audit(&figures);
        let audit_file = write_audit(
            &mut stages,
            &audit,
            &figures,
            &problems.skipped,
            written.clone(),
        )?;
        written.extend(dataset_file(&audit_file));
        let path = |file: DatasetFile| WrittenFile {
            path: output.join(file.name),
            rows: file.rows,
            bytes: file.bytes,
        };
        let report = ExtractReport {
            stamp: stages.stamp.clone(),
            output: output.to_path_buf(),
            files: written.into_iter().map(path).collect(),
            input,
            labels: label_counts(&rules, &rows.counts),
            figures,
            audit,
            skipped: problems.skipped,
            torn: problems.torn,
            seconds: began.elapsed().as_secs_f64(),
        };
        check_rows(&report)?;
        stages.commit()?;
        Ok(report)
    }
}

/// Puts figures of several frames together, kind by kind: what many portions say need not all go to
/// one place.
///
/// # Errors
///
/// [`StepError`]: the input can't be read.
pub fn merge(input: impl Read, output: impl Write) -> Result<(), StepError> {
    let mut scan = Merged::<ScanFigures>::new();
    let mut survey = Merged::<SurveyFigures>::new();
    let mut normals = Merged::<Normals>::new();
    let mut rows = Merged::<RowFigures>::new();
    frames::read(input, |frame| {
        scan.take(frame)?;
        survey.take(frame)?;
        normals.take(frame)?;
        rows.take(frame)
    })?;
    let mut out = FrameWriter::new(output)?;
    scan.write(&mut out)?;
    survey.write(&mut out)?;
    normals.write(&mut out)?;
    rows.write(&mut out)?;
    Ok(out.finish()?)
}

/// Portions with what is said of them: the same on each step, which is sooner than to store all of it.
struct LabelledPortions {
    truth: Truth,
    stages: Stages,
    scanned: Scanned,
    labelled: Labelled,
    /// Goes with all that is in it.
    folder: tempfile::TempDir,
}

impl LabelledPortions {
    fn new(job: &Job, input: impl Read) -> Result<Self, StepError> {
        let facts: Facts = job.load("facts.bin")?;
        let truth = job.truth(facts.ledger_is_whole)?;
        let folder = tempfile::tempdir()?;
        let stages = job.stages(folder.path())?;
        let scanned = Portions::read(input, stages.folder(), job.options.portions, facts.cuts)?;
        let scan_facts = Arc::new(facts.scan_facts());
        let labelled = stages.label(&scanned, &truth, &scan_facts, &Offsets::new())?;
        Ok(Self {
            truth,
            stages,
            scanned,
            labelled,
            folder,
        })
    }
}

/// The table of a file, if portions make it.
fn table(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".parquet")?;
    // `<table>_<YYYYMMDD>_<HHMMSS>`.
    let (name, _) = name.rsplit_once('_')?;
    let (name, _) = name.rsplit_once('_')?;
    TABLES.into_iter().find(|table| *table == name)
}

type Known = (Vec<[u64; 3]>, crate::InputReport, crate::lines::Problems);

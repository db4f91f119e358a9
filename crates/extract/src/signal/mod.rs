//! One signal from its files to those of the dataset, and what all signals share on the way.

pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod traces;

use std::io::{self, Write};
use std::path::PathBuf;

use crate::dataset::csv_row::CsvRows;
use crate::dataset::staging::{StagedFile, Staging};
use crate::error::ExtractError;
use crate::join::label::{Label, LabelSource, Labels};
use crate::report::{LineProblem, MAX_LINES_NAMED, SignalReport, WrittenFile};
use crate::telemetry::input::{Block, Input};
use crate::telemetry::line::LineTally;
use crate::telemetry::pipeline::{PipelineError, for_each_block};

/// An extraction on its way.
pub(crate) struct Extraction {
    pub(crate) labels: Labels,
    /// Threads that parse.
    pub(crate) workers: usize,
    pub(crate) stamp: String,
    pub(crate) output: PathBuf,
    pub(crate) staging: Staging,
    pub(crate) files: Vec<WrittenFile>,
    pub(crate) skipped: Vec<LineProblem>,
    pub(crate) torn: Vec<LineProblem>,
}

/// What came of one signal.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) report: SignalReport,
    pub(crate) counts: Counts,
}

/// Rows by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Spans, data points or records in the messages, counted before any row is made of them.
    pub(crate) read: u64,
    /// Rows by position of their anomaly type.
    by_type: Vec<u64>,
    pub(crate) ambiguous: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, label: &Label) {
        if self.by_type.len() <= label.kind {
            self.by_type.resize(label.kind + 1, 0);
        }
        self.by_type[label.kind] += 1;
        self.ambiguous += u64::from(label.source == LabelSource::Ambiguous);
    }

    pub(crate) fn merge(&mut self, other: &Counts) {
        self.read += other.read;
        self.ambiguous += other.ambiguous;
        self.by_type
            .resize(self.by_type.len().max(other.by_type.len()), 0);
        for (sum, count) in self.by_type.iter_mut().zip(&other.by_type) {
            *sum += count;
        }
    }

    pub(crate) fn of_type(&self, kind: usize) -> u64 {
        self.by_type.get(kind).copied().unwrap_or(0)
    }
}

/// Keeps count of lines while the blocks of one signal come by, and turns places in a block into
/// places in a file.
struct Lines<'a> {
    inputs: &'a [Input],
    report: SignalReport,
    messages: u64,
    skipped: Vec<LineProblem>,
    torn: Vec<LineProblem>,
    /// File of the last block, and lines before the next one in it.
    file: usize,
    before: u64,
}

impl<'a> Lines<'a> {
    fn new(inputs: &'a [Input]) -> Self {
        let report = SignalReport {
            files: inputs.len() as u64,
            ..SignalReport::default()
        };
        Self {
            inputs,
            report,
            messages: 0,
            skipped: Vec::new(),
            torn: Vec::new(),
            file: 0,
            before: 0,
        }
    }

    fn take(&mut self, file: usize, tally: LineTally) {
        if file != self.file {
            (self.file, self.before) = (file, 0);
        }
        for problem in tally.problems {
            let located = LineProblem {
                file: self.inputs[file].path.clone(),
                line: self.before + problem.line + 1,
                byte: problem.byte,
                reason: problem.reason,
            };
            if problem.torn {
                self.report.torn_last_lines += 1;
                self.torn.push(located);
            } else {
                self.report.skipped_lines += 1;
                if self.skipped.len() < MAX_LINES_NAMED {
                    self.skipped.push(located);
                }
            }
        }
        self.before += tally.lines;
        self.report.lines += tally.lines;
        self.report.bytes += tally.bytes;
        self.messages += tally.messages;
    }

    /// Files in which there is something, but nothing that could be read, are the wrong files.
    fn check(&self) -> Result<(), ExtractError> {
        match self.skipped.first().or(self.torn.first()) {
            Some(first) if self.messages == 0 => Err(ExtractError::Unreadable {
                files: self.report.files,
                first: first.clone(),
            }),
            _ => Ok(()),
        }
    }
}

impl Extraction {
    fn write_error(&self, source: io::Error) -> ExtractError {
        ExtractError::Write {
            path: self.output.clone(),
            source,
        }
    }

    fn pipeline_error(&self, inputs: &[Input], error: PipelineError<io::Error>) -> ExtractError {
        match error {
            PipelineError::Read(file, source) => ExtractError::Read {
                path: inputs[file].path.clone(),
                source,
            },
            PipelineError::Consumer(source) => self.write_error(source),
        }
    }

    fn finish(
        &mut self,
        lines: Lines<'_>,
        counts: Counts,
        files: Vec<StagedFile>,
    ) -> Result<Outcome, ExtractError> {
        lines.check()?;
        let mut report = lines.report;
        report.records_read = counts.read;
        // The file of all rows comes first.
        report.rows_written = files.first().map_or(0, |file| file.rows);
        let room = MAX_LINES_NAMED.saturating_sub(self.skipped.len());
        self.skipped.extend(lines.skipped.into_iter().take(room));
        self.torn.extend(lines.torn);
        self.files.extend(files.into_iter().map(|file| WrittenFile {
            path: file.path,
            rows: file.rows,
            bytes: file.bytes,
        }));
        Ok(Outcome { report, counts })
    }

    /// A signal whose rows all go to one CSV. `rows_of` writes the rows of a block and counts
    /// them.
    fn one_csv(
        &mut self,
        inputs: &[Input],
        name: &str,
        columns: &[&str],
        rows_of: impl Fn(&Labels, &Block, &mut CsvRows, &mut Counts) -> LineTally + Sync,
    ) -> Result<Outcome, ExtractError> {
        let mut file = self
            .staging
            .create(format!("{name}_{}.csv", self.stamp))
            .map_err(|source| self.write_error(source))?;
        let mut header = CsvRows::new();
        header.header(columns);
        let header = header
            .into_bytes()
            .map_err(|source| self.write_error(source))?;
        file.append(&header, 0)
            .map_err(|source| self.write_error(source))?;

        let mut lines = Lines::new(inputs);
        let mut counts = Counts::default();
        let work = |block: &Block| {
            let mut rows = CsvRows::new();
            let mut counts = Counts::default();
            let tally = rows_of(&self.labels, block, &mut rows, &mut counts);
            (tally, counts, rows.into_counted_bytes())
        };
        for_each_block(
            inputs,
            self.workers,
            work,
            |index, (tally, of_block, rows)| {
                lines.take(index, tally);
                counts.merge(&of_block);
                let (bytes, rows) = rows?;
                file.append(&bytes, rows)
            },
        )
        .and_then(|()| file.flush().map_err(PipelineError::Consumer))
        .map_err(|error| self.pipeline_error(inputs, error))?;
        self.finish(lines, counts, vec![file])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::line::Problem;

    #[test]
    fn places_are_counted_over_blocks_and_start_again_with_each_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let inputs: Vec<Input> = ["a", "b"]
            .iter()
            .map(|name| {
                let path = dir.path().join(name);
                std::fs::write(&path, b"xyz").expect("written");
                Input::open(&path).expect("opened")
            })
            .collect();
        let mut lines = Lines::new(&inputs);
        let tally = |count, line, torn| LineTally {
            bytes: 2 * count,
            lines: count,
            messages: count - 1,
            problems: vec![Problem {
                line,
                byte: 9,
                reason: "odd".into(),
                torn,
            }],
        };
        lines.take(0, tally(10, 4, false));
        lines.take(0, tally(5, 0, false));
        lines.take(1, tally(3, 2, true));
        let numbers: Vec<u64> = lines.skipped.iter().map(|p| p.line).collect();
        assert_eq!(numbers, [5, 11]);
        assert_eq!(lines.torn[0].line, 3);
        assert!(lines.torn[0].file.ends_with("b"));
        let report = lines.report;
        assert_eq!((report.lines, report.bytes), (18, 36));
        assert_eq!((report.skipped_lines, report.torn_last_lines), (2, 1));
    }
}

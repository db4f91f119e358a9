//! Keeps count of lines, and names those that could not be read.

use std::path::PathBuf;

use loadgen_otlp::Signal;
use loadgen_otlp::source::UnitSummary;
use loadgen_timeline::audit::LineProblem;
use serde::{Deserialize, Serialize};

use crate::report::{InputReport, MAX_LINES_NAMED};

/// Lines of all files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lines {
    pub(crate) report: InputReport,
    /// Messages of traces, metrics, logs, by file.
    pub(crate) messages: Vec<[u64; 3]>,
    bad: Vec<Bad>,
}

/// A message that could not be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bad {
    file: usize,
    /// Messages before it in the file.
    message: u64,
    byte: u64,
    reason: String,
    /// Parts of a message that was read otherwise; 0 of a whole one.
    parts: u64,
    torn: bool,
}

/// Lines that could not be read, by file and place.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// The first [`MAX_LINES_NAMED`] of them.
    pub(crate) skipped: Vec<LineProblem>,
    /// Last lines of files that were cut off.
    pub(crate) torn: Vec<LineProblem>,
}

impl Lines {
    /// None yet, of so many files.
    pub(crate) fn new(files: usize) -> Self {
        let report = InputReport {
            files: files as u64,
            ..InputReport::default()
        };
        Self {
            report,
            messages: vec![[0; 3]; files],
            bad: Vec::new(),
        }
    }

    /// Adds those of a unit of a file. Units come in any order.
    pub(crate) fn take(&mut self, file: usize, summary: UnitSummary) {
        for skipped in summary.skipped {
            match (skipped.torn, skipped.parts) {
                (true, _) => self.report.torn_last_lines += 1,
                (false, 0) => self.report.skipped_lines += 1,
                (false, parts) => self.report.unread_parts += parts,
            }
            self.bad.push(Bad {
                file,
                message: skipped.message,
                byte: skipped.byte,
                reason: skipped.reason,
                parts: skipped.parts,
                torn: skipped.torn,
            });
        }
        self.bound();
        self.report.lines += summary.lines;
        self.report.bytes += summary.bytes;
        let counts = summary.counts;
        let of =
            [Signal::Traces, Signal::Metrics, Signal::Logs].map(|signal| counts.messages(signal));
        for (sum, count) in self.messages[file].iter_mut().zip(of) {
            *sum += count;
        }
    }

    /// Adds those that were read elsewhere; `files` are the numbers that their files have here.
    pub(crate) fn merge(&mut self, other: Self, files: &[usize]) {
        let known = self.messages.len();
        let here = |file: usize| files.get(file).copied().filter(|file| *file < known);
        let moved = |bad: Bad| {
            let file = here(bad.file)?;
            Some(Bad { file, ..bad })
        };
        self.bad.extend(other.bad.into_iter().filter_map(moved));
        for (file, counts) in other.messages.iter().enumerate() {
            let Some(file) = here(file) else { continue };
            for (sum, count) in self.messages[file].iter_mut().zip(counts) {
                *sum += count;
            }
        }
        self.bound();
        self.report.lines += other.report.lines;
        self.report.bytes += other.report.bytes;
        self.report.skipped_lines += other.report.skipped_lines;
        self.report.torn_last_lines += other.report.torn_last_lines;
        self.report.unread_parts += other.report.unread_parts;
    }

    /// Keeps no more of those that are named than are needed.
    fn bound(&mut self) {
        if self.bad.len() > 2 * MAX_LINES_NAMED {
            self.sort();
            // Torn lines are few, at most one a file.
            let mut named = 0;
            self.bad.retain(|bad| {
                named += usize::from(!bad.torn);
                bad.torn || named <= MAX_LINES_NAMED
            });
        }
    }

    fn sort(&mut self) {
        self.bad
            .sort_by_key(|bad| (bad.file, bad.message, bad.byte));
    }

    /// What could not be read.
    pub(crate) fn problems(mut self, paths: &[PathBuf]) -> (InputReport, Problems) {
        self.sort();
        let mut problems = Problems::default();
        for bad in self.bad {
            let problem = LineProblem {
                file: paths[bad.file].clone(),
                line: bad.message + 1,
                byte: bad.byte,
                reason: bad.reason,
            };
            if bad.torn {
                problems.torn.push(problem);
            } else if problems.skipped.len() < MAX_LINES_NAMED {
                problems.skipped.push(problem);
            }
        }
        (self.report, problems)
    }
}

#[cfg(test)]
mod tests {
    use loadgen_otlp::source::Skipped;

    use super::*;

    #[test]
    fn problems_are_in_the_order_of_the_input_and_the_first_are_named() {
        let mut lines = Lines::new(2);
        let skipped = |message, torn| Skipped {
            message,
            byte: 9,
            reason: "odd".into(),
            parts: 0,
            torn,
        };
        let summary = |skipped| UnitSummary {
            bytes: 5,
            lines: 3,
            skipped,
            ..UnitSummary::default()
        };
        lines.take(1, summary(vec![skipped(2, true)]));
        for message in (0..3000).rev() {
            lines.take(0, summary(vec![skipped(message, false)]));
        }
        let (report, problems) = lines.problems(&["a".into(), "b".into()]);
        assert_eq!((report.lines, report.bytes), (9003, 15005));
        assert_eq!((report.skipped_lines, report.torn_last_lines), (3000, 1));
        let numbers: Vec<u64> = problems.skipped.iter().map(|p| p.line).collect();
        assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
        assert_eq!(problems.torn[0].file, PathBuf::from("b"));
    }
}

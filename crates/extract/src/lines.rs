//! Keeps count of lines while blocks go by, and turns places in a block into places in a file.

use loadgen_timeline::audit::LineProblem;

use crate::report::{InputReport, MAX_LINES_NAMED};
use crate::telemetry::input::Input;
use crate::telemetry::line::LineTally;

/// Lines of all files.
pub(crate) struct Lines<'a> {
    inputs: &'a [Input],
    pub(crate) report: InputReport,
    /// Messages of traces, metrics, logs, by file.
    pub(crate) messages: Vec<[u64; 3]>,
    pub(crate) skipped: Vec<LineProblem>,
    pub(crate) torn: Vec<LineProblem>,
    /// File of the last block, and lines before the next one in it.
    file: usize,
    before: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(inputs: &'a [Input]) -> Self {
        let report = InputReport {
            files: inputs.len() as u64,
            ..InputReport::default()
        };
        let mut lines = Self {
            inputs,
            report,
            messages: vec![[0; 3]; inputs.len()],
            skipped: Vec::new(),
            torn: Vec::new(),
            file: 0,
            before: 0,
        };
        for (file, input) in inputs.iter().enumerate() {
            for lost in &input.lost {
                lines.problem(file, lost.message, lost.byte, &lost.reason, lost.torn);
            }
        }
        lines
    }

    fn problem(&mut self, file: usize, before: u64, byte: u64, reason: &str, torn: bool) {
        let located = LineProblem {
            file: self.inputs[file].path.clone(),
            line: before + 1,
            byte,
            reason: reason.to_owned(),
        };
        if torn {
            self.report.torn_last_lines += 1;
            self.torn.push(located);
        } else {
            self.report.skipped_lines += 1;
            if self.skipped.len() < MAX_LINES_NAMED {
                self.skipped.push(located);
            }
        }
    }

    pub(crate) fn take(&mut self, file: usize, tally: LineTally) {
        if file != self.file {
            (self.file, self.before) = (file, 0);
        }
        for problem in tally.problems {
            let line = self.before + problem.line;
            self.problem(file, line, problem.byte, &problem.reason, problem.torn);
        }
        self.before += tally.lines;
        self.report.lines += tally.lines;
        self.report.bytes += tally.bytes;
        for (sum, count) in self.messages[file].iter_mut().zip(tally.messages) {
            *sum += count;
        }
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
                Input::open(&path, dir.path()).expect("opened")
            })
            .collect();
        let mut lines = Lines::new(&inputs);
        let tally = |count, line, torn| LineTally {
            bytes: 2 * count,
            lines: count,
            messages: [count - 1, 0, 0],
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

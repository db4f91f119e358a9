//! Stages as straight lines: each with where and at which value it begins, so that a moment is
//! looked up without walking from the start.

use crate::plan::Stage;

/// A stage with its place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Start, in nanoseconds from the start of the scenario.
    pub(crate) start_ns: u64,
    /// Length in nanoseconds; 0 jumps.
    pub(crate) length_ns: u64,
    /// Value at the start.
    pub(crate) from: u32,
    /// Value at the end.
    pub(crate) to: u32,
}

impl Line {
    /// The lines through `stages`, beginning at the value `start`.
    pub(crate) fn through(start: u32, stages: &[Stage]) -> Vec<Self> {
        let (mut start_ns, mut from) = (0u64, start);
        let mut lines = Vec::with_capacity(stages.len());
        for stage in stages {
            let (length_ns, to) = (stage.duration_ns, stage.target);
            lines.push(Self {
                start_ns,
                length_ns,
                from,
                to,
            });
            start_ns = start_ns.saturating_add(length_ns);
            from = to;
        }
        lines
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.length_ns)
    }

    /// The line's value at a moment, held at its ends outside of it.
    pub(crate) fn value_at(&self, at_ns: u64) -> f64 {
        let (from, to) = (f64::from(self.from), f64::from(self.to));
        if at_ns >= self.end_ns() {
            return to;
        }
        let passed = at_ns.saturating_sub(self.start_ns) as f64;
        from + (to - from) * passed / self.length_ns as f64
    }
}

/// The line that holds at a moment: the last that has begun.
pub(crate) fn line_at(lines: &[Line], at_ns: u64) -> Option<&Line> {
    let begun = lines.partition_point(|line| line.start_ns <= at_ns);
    lines[..begun].last()
}

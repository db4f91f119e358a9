//! Stages as straight lines: each with where and at which value it begins.

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
}

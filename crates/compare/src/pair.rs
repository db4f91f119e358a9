//! What is compared: two runs.

use crate::load::LoadedRun;

/// Two runs of one repetition.
#[derive(Debug)]
pub struct Pair {
    /// Number of the repetition, from 1.
    pub repetition: u32,
    /// The run that differences refer to.
    pub a: LoadedRun,
    /// The other one.
    pub b: LoadedRun,
}

impl Pair {
    /// Whether side a ran first.
    pub fn a_was_first(&self) -> bool {
        self.a.started.at_ns <= self.b.started.at_ns
    }
}

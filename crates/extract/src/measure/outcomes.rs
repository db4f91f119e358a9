//! How traces ended: a bounded sample of each stretch of time, from which the time is found at which
//! the system was back at its normal after a fault.

use std::collections::{BTreeMap, BinaryHeap};

use loadgen_timeline::condition::Placed;
use serde::{Deserialize, Serialize};

use crate::label::truth::Truth;

/// Traces that are kept of a stretch: those with the smallest hashes. Enough for 30 a second over
/// two minutes, of which a twentieth that is slow shows.
const KEPT: usize = 4000;

/// How one trace ended. Ordered by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Outcome {
    hash: u64,
    /// When its request was sent, Unix nanoseconds.
    pub(crate) moment_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) failed: bool,
    /// What it began with, by number.
    pub(crate) operation: u32,
}

/// Outcomes by stretch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    operations: BTreeMap<(String, String), u32>,
    kept: BTreeMap<usize, BinaryHeap<Outcome>>,
}

impl Outcomes {
    /// Takes a trace into account; `operation` is service and name of its root.
    pub(crate) fn add(
        &mut self,
        truth: &Truth,
        hash: u64,
        operation: (&str, &str),
        moment_ns: i64,
        duration_ns: i64,
        failed: bool,
    ) {
        let Placed::Within { stretch, .. } = truth.conditions.at(moment_ns) else {
            return;
        };
        let operation = self.operation((operation.0.to_owned(), operation.1.to_owned()));
        self.keep(
            stretch,
            Outcome {
                hash,
                moment_ns,
                duration_ns,
                failed,
                operation,
            },
        );
    }

    fn operation(&mut self, operation: (String, String)) -> u32 {
        let next = self.operations.len() as u32;
        *self.operations.entry(operation).or_insert(next)
    }

    fn keep(&mut self, stretch: usize, outcome: Outcome) {
        let kept = self.kept.entry(stretch).or_default();
        kept.push(outcome);
        if kept.len() > KEPT {
            kept.pop();
        }
    }

    /// Adds those of another part of the same run.
    pub(crate) fn merge(&mut self, other: Self) {
        let mut numbers = vec![0; other.operations.len()];
        for (operation, number) in other.operations {
            numbers[number as usize] = self.operation(operation);
        }
        for (stretch, outcomes) in other.kept {
            for outcome in outcomes {
                let operation = numbers[outcome.operation as usize];
                self.keep(
                    stretch,
                    Outcome {
                        operation,
                        ..outcome
                    },
                );
            }
        }
    }

    /// All that were kept, with their stretches.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Outcome)> {
        let by_stretch = self.kept.iter();
        by_stretch.flat_map(|(stretch, kept)| kept.iter().map(|outcome| (*stretch, outcome)))
    }
}

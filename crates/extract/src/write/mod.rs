//! From what was scanned and what was said of it to rows: pure, partition by partition.

pub(crate) mod partition;
mod points;
mod traces;
mod unusual;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::classes::LeftOut;
use crate::dataset::files::Run;
use crate::dataset::rows::Made;
use crate::dataset::said::Said;
use crate::features::Observed;

pub(crate) use partition::TracePartition;
pub(crate) use points::{PointPartition, write_points};
pub(crate) use traces::write_traces;

/// Rows of spans, with the classes that they go to.
#[derive(Debug)]
pub(crate) struct SpanRows {
    pub(crate) made: Made,
    pub(crate) runs: Vec<Run>,
}

/// The rows of a partition.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) spans: Vec<SpanRows>,
    pub(crate) traces: Vec<Made>,
    pub(crate) logs: Vec<Made>,
    pub(crate) points: Vec<Made>,
    pub(crate) counts: WriteCounts,
    /// For the tables that put a run together.
    pub(crate) observed: Option<Observed>,
}

/// What was counted on the way; it merges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteCounts {
    pub(crate) spans: RowCounts,
    pub(crate) logs: RowCounts,
    pub(crate) points: RowCounts,
    pub(crate) spans_by_source: BTreeMap<Cow<'static, str>, u64>,
    pub(crate) spans_by_phase: BTreeMap<Cow<'static, str>, u64>,
    /// Spans in no file of a class, by the reason.
    pub(crate) left_out: BTreeMap<LeftOut, u64>,
    /// Steady spans by stretch.
    pub(crate) steady: BTreeMap<usize, u64>,
    /// Spans of the run of which nothing is said by themselves.
    pub(crate) untold: u64,
    /// Operations whose normal has a long tail, by service and name.
    pub(crate) wide: BTreeMap<String, BTreeMap<String, Wide>>,
}

/// Spans of an operation whose normal has a long tail, and that normal, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wide {
    pub(crate) spans: u64,
    pub(crate) median_us: u64,
    pub(crate) slow_from_us: u64,
}

impl Wide {
    /// Operations of one name differ in their kind: the one that tells the least stands for all.
    fn add(&mut self, other: Self) {
        let (own, others) = (self.slow_from_us, other.slow_from_us);
        if (others, other.median_us) > (own, self.median_us) {
            (self.median_us, self.slow_from_us) = (other.median_us, other.slow_from_us);
        }
        self.spans += other.spans;
    }
}

/// Rows of one signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowCounts {
    pub(crate) written: u64,
    /// Left out on request.
    pub(crate) filtered: u64,
    /// Left out because they are not the run's: labelling counts these, and marks no row of them.
    pub(crate) foreign: u64,
    /// By anomaly type.
    pub(crate) by_type: BTreeMap<String, u64>,
}

impl RowCounts {
    fn take(&mut self, keep: bool, said: &Said<'_>) -> bool {
        if keep {
            self.written += 1;
            add(&mut self.by_type, &said.label.anomaly_type, 1);
        } else {
            self.filtered += 1;
        }
        keep
    }

    fn merge(&mut self, other: &Self) {
        self.written += other.written;
        self.filtered += other.filtered;
        self.foreign += other.foreign;
        for (kind, count) in &other.by_type {
            add(&mut self.by_type, kind, *count);
        }
    }
}

fn add(counts: &mut BTreeMap<String, u64>, key: &str, count: u64) {
    match counts.get_mut(key) {
        Some(sum) => *sum += count,
        None => _ = counts.insert(key.to_owned(), count),
    }
}

impl WriteCounts {
    fn add_wide(&mut self, service: &str, name: &str, of: Wide) {
        if !self.wide.contains_key(service) {
            self.wide.insert(service.to_owned(), BTreeMap::new());
        }
        let Some(names) = self.wide.get_mut(service) else {
            return;
        };
        match names.get_mut(name) {
            Some(known) => known.add(of),
            None => _ = names.insert(name.to_owned(), of),
        }
    }

    /// Adds those of another partition.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.spans.merge(&other.spans);
        self.logs.merge(&other.logs);
        self.points.merge(&other.points);
        for (source, count) in &other.spans_by_source {
            *self.spans_by_source.entry(source.clone()).or_default() += count;
        }
        for (phase, count) in &other.spans_by_phase {
            *self.spans_by_phase.entry(phase.clone()).or_default() += count;
        }
        for (reason, count) in &other.left_out {
            *self.left_out.entry(*reason).or_default() += count;
        }
        for (stretch, count) in &other.steady {
            *self.steady.entry(*stretch).or_default() += count;
        }
        self.untold += other.untold;
        for (service, names) in &other.wide {
            for (name, of) in names {
                self.add_wide(service, name, *of);
            }
        }
    }
}

//! Looks at growing telemetry until all of one run has come.

use std::path::PathBuf;

use loadgen_timeline::Timeline;
use loadgen_timeline::condition::Conditions;

use super::complete::{Missing, RunEnd, RunMarks, missing};
use super::index::Index;
use super::owners::Owners;
use crate::error::ExtractError;
use crate::ground_truth::read_timeline;
use crate::options::ExtractOptions;
use crate::scan::inputs::{open_all, read_error};

/// A file that was last written to so long before the run began, in nanoseconds, has nothing of it.
const BEFORE_NS: i64 = 600_000_000_000;

/// A run without a heartbeat for so long, in nanoseconds, was killed together with its guard.
const KILLED_NS: i64 = 60_000_000_000;

/// Looks at the telemetry of one run. Each look reads only what is new.
#[derive(Debug)]
pub struct Watch {
    inputs: Vec<PathBuf>,
    options: ExtractOptions,
    index: Index,
    /// Set once the run has ended.
    run: Option<Ended>,
    marks: [RunMarks; 1],
}

#[derive(Debug)]
struct Ended {
    owners: Owners,
    begin_ns: i64,
    end_ns: i64,
}

impl Watch {
    /// Of the run and the telemetry of an extraction.
    pub fn new(options: &ExtractOptions) -> Self {
        let named = [
            &options.inputs,
            &options.traces,
            &options.metrics,
            &options.logs,
        ];
        Self {
            inputs: named.into_iter().flatten().cloned().collect(),
            options: options.clone(),
            index: Index::default(),
            run: None,
            marks: [RunMarks::default()],
        }
    }

    /// When the run ended, in Unix nanoseconds; none: it goes on, as of the last look.
    pub fn end_ns(&self) -> Option<i64> {
        self.run.as_ref().map(|run| run.end_ns)
    }

    /// What is still to come; empty: the run's data is complete.
    ///
    /// # Errors
    /// A timeline or a ledger that can't serve. Telemetry that can't be read yet is still to come.
    pub fn look(&mut self, now_ns: i64) -> Result<Vec<Missing>, ExtractError> {
        if self.run.is_none() {
            self.run = self.ended(now_ns)?;
        }
        let Some(run) = &self.run else {
            return Ok(vec![Missing::End]);
        };
        let named: Vec<&PathBuf> = self.inputs.iter().collect();
        let mut opened = match open_all(&named) {
            Ok(opened) => opened,
            // Files that are not there yet may come.
            Err(error) => return Ok(vec![Missing::Telemetry(error.to_string())]),
        };
        let earliest = run.begin_ns.saturating_sub(BEFORE_NS);
        opened.retain(|file| file.modified_ns().is_none_or(|at| at >= earliest));
        self.index
            .look(&opened, &run.owners, &mut self.marks, now_ns)?;
        let end = RunEnd {
            begin_ns: run.begin_ns,
            end_ns: Some(run.end_ns),
            requests: run.owners.runs()[0].requests,
        };
        Ok(missing(&end, &self.marks[0], self.index.sources(), now_ns))
    }

    fn ended(&self, now_ns: i64) -> Result<Option<Ended>, ExtractError> {
        let (Some(path), Some(timeline)) = (&self.options.timeline, read_timeline(&self.options)?)
        else {
            // Without a timeline nothing is known of the run; the files are all that there is.
            return Ok(None);
        };
        let time = Conditions::new(&timeline).run();
        let Some((time, end_ns)) = time.zip(end_of(&timeline, now_ns)) else {
            return Ok(None);
        };
        let ledger = match &self.options.ledger {
            Some(ledger) => ledger.clone(),
            None => path.with_file_name("ledger.arrows"),
        };
        let run_id = timeline.run.as_ref().map_or("", |run| &run.run_id);
        let mut owners = Owners::default();
        let added = owners.add(run_id, time, &ledger);
        added.map_err(|source| read_error(&ledger, source))?;
        Ok(Some(Ended {
            owners,
            begin_ns: time.0,
            end_ns,
        }))
    }
}

/// When a run ended; of one that was killed, its latest event. None: it goes on.
pub(crate) fn end_of(timeline: &Timeline, now_ns: i64) -> Option<i64> {
    let finished = timeline.finished.as_ref().map(|finished| finished.at_ns);
    let silent = |last: &i64| now_ns > last.saturating_add(KILLED_NS);
    finished.or(timeline.last_ns.filter(silent))
}

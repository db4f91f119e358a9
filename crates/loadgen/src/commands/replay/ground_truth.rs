//! The ground truth of a run that is sent again, with its moments moved as those of the telemetry are.

use std::fs;
use std::path::Path;

use loadgen_scenario::Plan;
use loadgen_timeline::event::Event;
use loadgen_timeline::ledger::LedgerWriter;
use loadgen_timeline::{LedgerError, LedgerReader, TimelineWriter};

use super::super::ground_truth::{record, unchanged_timeline};
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;

/// What a run folder says of its run.
pub(super) struct GroundTruth {
    folder: RunFolder,
    run_id: String,
    pub(super) started_ns: i64,
}

impl GroundTruth {
    /// Of a run folder; none: it has no timeline.
    pub(super) fn of(folder: &RunFolder) -> Result<Option<Self>, Failure> {
        let path = folder.timeline();
        if !path.exists() {
            return Ok(None);
        }
        let timeline = unchanged_timeline(&path)?;
        let run = timeline.run.ok_or_else(|| {
            wrong(format!(
                "{}: the line `run_started` is missing, so it is not known when the run began",
                path.display()
            ))
        })?;
        Ok(Some(Self {
            folder: folder.clone(),
            run_id: run.run_id,
            started_ns: run.at_ns,
        }))
    }

    /// Writes a run folder without telemetry in which all of it happened `by_ns` later.
    pub(super) fn write_shifted(&self, out: &Path, by_ns: i64) -> Result<(), Failure> {
        let to = RunFolder::create_without_telemetry(out).map_err(|e| cannot(out, e))?;
        shift_events(&self.folder.timeline(), &to.timeline(), by_ns)?;
        if self.folder.faults().exists() {
            shift_events(&self.folder.faults(), &to.faults(), by_ns)?;
        }
        for (from, to) in [
            (self.folder.plan(), to.plan()),
            (self.folder.scenario(), to.scenario()),
        ] {
            if from.exists() {
                fs::copy(&from, &to).map_err(|e| cannot(&to, e))?;
            }
        }
        if self.folder.ledger().exists() {
            self.shift_ledger(&to.ledger(), by_ns)?;
        }
        Ok(())
    }

    fn shift_ledger(&self, to: &Path, by_ns: i64) -> Result<(), Failure> {
        let (from, name) = (
            self.folder.ledger(),
            self.folder.path().display().to_string(),
        );
        let plan = self.folder.plan();
        let no_plan = |e: String| {
            wrong(format!(
                "can't read {}, which names what is in the ledger: {e}",
                plan.display()
            ))
        };
        let bytes = fs::read(&plan).map_err(|e| no_plan(e.to_string()))?;
        let plan: Plan = serde_json::from_slice(&bytes).map_err(|e| no_plan(e.to_string()))?;
        let mut reader = match LedgerReader::open(&from, Some(&self.run_id)) {
            Ok(reader) => reader,
            // The run was killed before its first request.
            Err(LedgerError::Empty { .. }) => return Ok(()),
            Err(error) => return Err(wrong(error)),
        };
        let mut writer =
            LedgerWriter::create(to, &plan, &self.run_id).map_err(|e| cannot(to, e))?;
        let read = |e| wrong(format!("can't read {}: {e}", from.display()));
        while let Some(batch) = reader.next_batch().map_err(read)? {
            let shifted = batch.rows().map(|row| {
                let mut record = record(&plan, &name, &row)?;
                for time in [
                    &mut record.intended_ns,
                    &mut record.sent_ns,
                    &mut record.finished_ns,
                ] {
                    *time = time.saturating_add(by_ns);
                }
                Ok(record)
            });
            let shifted = shifted.collect::<Result<Vec<_>, Failure>>()?;
            writer.append(&shifted).map_err(|e| cannot(to, e))?;
        }
        if let Some(damage) = reader.report().damage.describe() {
            let from = from.display();
            say(format_args!("warning: {from} is damaged: {damage}"));
        }
        writer.finish().map_err(|e| cannot(to, e))
    }
}

fn shift_events(from: &Path, to: &Path, by_ns: i64) -> Result<(), Failure> {
    let bytes = fs::read(from).map_err(|e| wrong(format!("can't read {}: {e}", from.display())))?;
    let mut writer = TimelineWriter::create(to).map_err(|e| cannot(to, e))?;
    for mut event in loadgen_timeline::read::events(&bytes) {
        Event::shift(&mut event, by_ns);
        writer.append(&event).map_err(|e| cannot(to, e))?;
    }
    Ok(())
}

fn wrong(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::BadInput, message)
}

fn cannot(what: &Path, error: std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("can't write {}: {error}", what.display()),
    )
}

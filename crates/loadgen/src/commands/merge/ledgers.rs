//! The ledgers of shards, read as one.

use loadgen_scenario::{Plan, Stripe};
use loadgen_timeline::event::{Event, RunStarted};
use loadgen_timeline::merge::ShardTimeline;
use loadgen_timeline::{LedgerBatch, LedgerError, LedgerReader, RequestRecord, RequestRow};

use super::super::ground_truth::record;
use super::wrong;
use crate::display::say;
use crate::exit::Failure;
use crate::folder::RunFolder;

/// The ledgers of all shards, by batches in the order of their ends.
pub(super) struct Ledgers<'p> {
    plan: &'p Plan,
    sources: Vec<Source>,
}

struct Source {
    name: String,
    reader: LedgerReader,
    next: Option<LedgerBatch>,
    /// By scenario of the plan: the iterations that are this shard's.
    stripes: Vec<Stripe>,
}

impl<'p> Ledgers<'p> {
    pub(super) fn open(
        timelines: &[ShardTimeline],
        folders: &[RunFolder],
        plan: &'p Plan,
    ) -> Result<Self, Failure> {
        let mut sources = Vec::new();
        for (timeline, folder) in timelines.iter().zip(folders) {
            let run = timeline.events.iter().find_map(|event| match event {
                Event::RunStarted(run) => Some(run),
                _ => None,
            });
            let shard = run.and_then(|run| run.shard.as_ref()?.shard());
            let (Some(RunStarted { run_id, .. }), Some(shard)) = (run, shard) else {
                return Err(wrong(format!("{} is no shard of a run", timeline.name)));
            };
            let path = folder.ledger();
            let reader = match LedgerReader::open(&path, Some(run_id)) {
                Ok(reader) => reader,
                // It was killed before its first request.
                Err(LedgerError::Empty { .. }) => continue,
                Err(error) => return Err(wrong(error)),
            };
            if let Some(other) = reader.report().run_id.as_ref().filter(|id| *id != run_id) {
                return Err(wrong(format!(
                    "{} is of another run: {other} and not {run_id}",
                    path.display()
                )));
            }
            let stripes = plan.scenarios.iter().map(|s| shard.stripe(&s.executor));
            let mut source = Source {
                name: timeline.name.clone(),
                reader,
                next: None,
                stripes: stripes.collect(),
            };
            source.advance()?;
            sources.push(source);
        }
        Ok(Self { plan, sources })
    }

    /// The next batch; none: there are no more.
    pub(super) fn next(&mut self) -> Result<Option<Vec<RequestRecord>>, Failure> {
        let ended_ns = |source: &Source| {
            let first = source.next.as_ref()?.rows().next()?;
            Some(first.finished_ns)
        };
        let sources = self
            .sources
            .iter_mut()
            .filter(|source| source.next.is_some());
        let Some(source) = sources.min_by_key(|source| ended_ns(source)) else {
            return Ok(None);
        };
        let Some(batch) = source.next.take() else {
            return Ok(None);
        };
        let records = batch
            .rows()
            .map(|row| record_of_shard(self.plan, source, &row));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        source.advance()?;
        Ok(Some(records))
    }
}

impl Source {
    fn advance(&mut self) -> Result<(), Failure> {
        let read = |e| wrong(format!("can't read the ledger of {}: {e}", self.name));
        self.next = self.reader.next_batch().map_err(read)?;
        if self.next.is_none()
            && let Some(damage) = self.reader.report().damage.describe()
        {
            say(format_args!(
                "warning: the ledger of {} is damaged: {damage}",
                self.name
            ));
        }
        Ok(())
    }
}

/// A request, if it is one of the shard's.
fn record_of_shard(
    plan: &Plan,
    source: &Source,
    row: &RequestRow<'_>,
) -> Result<RequestRecord, Failure> {
    let record = record(plan, &source.name, row)?;
    if !source.stripes[usize::from(record.scenario)].holds(row.iteration) {
        return Err(wrong(format!(
            "{}: iteration {} of `{}` is not that shard's: its ledger is another's, or it counted \
             otherwise",
            source.name, row.iteration, row.scenario
        )));
    }
    Ok(record)
}

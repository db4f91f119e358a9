//! The table of requests: what was asked of the target, by the ledgers of the runs, with the label of
//! the moment. It shows whether the load alone tells the label.

mod columns;
mod in_order;
mod said;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loadgen_timeline::{LedgerError, LedgerReader};

pub(crate) use self::columns::columns;
use self::columns::{Row, batch, properties, schema};
use self::in_order::{InOrder, least_behind};
use self::said::Labels;
use crate::error::BuildError;
use crate::out::{OutFolder, read_error};
use crate::place::Places;
use crate::read::{self, ROWS_AT_ONCE};
use crate::schema::{Placed, own_values};
use crate::tables::{Copied, Form, PartFile, REQUESTS, Run};

/// Writes the requests of all runs whose ledger is known; none: of none it is.
pub(crate) fn write(
    runs: &mut [Run],
    out: &mut OutFolder,
    stop: &AtomicBool,
    notes: &mut Vec<String>,
) -> Result<Option<Copied>, BuildError> {
    let form = Form {
        schema: schema(),
        properties: properties(),
    };
    let (mut rows, mut without) = (0, 0);
    for run in &mut *runs {
        match write_run(run, &form, out, stop, notes)? {
            Some(of_run) => rows += of_run,
            None => without += 1,
        }
    }
    let all = runs.len();
    if without > 0 {
        notes.push(format!(
            "{REQUESTS}: {without} of {all} runs have no ledger of requests"
        ));
    }
    Ok((without < all).then_some(Copied {
        schema: form.schema,
        rows,
    }))
}

/// Writes the requests of a run, in the order in which they were sent. Gives how many; none: there is
/// no ledger.
fn write_run(
    run: &mut Run,
    form: &Form,
    out: &mut OutFolder,
    stop: &AtomicBool,
    notes: &mut Vec<String>,
) -> Result<Option<u64>, BuildError> {
    let run_id = run.input.run_id.clone();
    let Some(path) = run.input.ledger.clone() else {
        return Ok(None);
    };
    let Some(behind) = survey(&path, &run_id, notes)? else {
        return Ok(None);
    };
    let Some(mut ledger) = open(&path, &run_id)? else {
        return Ok(None);
    };
    let ids = run.episode_ids();
    let places = Places {
        episodes: &run.episodes,
        splits: &run.splits,
        windows: &run.placed,
    };
    let labels = Labels::read(&run.input, places)?;
    let place = format!("tables/{REQUESTS}/run_id={run_id}/part.parquet");
    let mut file = PartFile::create(out, &place, form)?;
    let mut flush = |rows: &mut Vec<Row>, least: usize| {
        if rows.len() < least {
            return Ok(());
        }
        let wrong = |error| read::malformed(&path, error);
        let placed: Vec<Placed> = rows.iter().map(|row| row.said.place).collect();
        let own = own_values(&run_id, &ids, &run.splits, &placed).map_err(wrong)?;
        let made = batch(rows, own, &form.schema).map_err(wrong)?;
        rows.clear();
        file.write(out, &made)
    };
    let (mut waiting, mut ready) = (InOrder::default(), Vec::new());
    for behind in behind {
        if stop.load(Ordering::Relaxed) {
            return Err(BuildError::Stopped);
        }
        let next = ledger.next_batch();
        let next = next.map_err(|source| read_error(&path, source))?;
        for row in next.iter().flat_map(|batch| batch.rows()) {
            let trace = u128::from_be_bytes(row.trace_id);
            let said = labels.by_trace(trace).unwrap_or_else(|| {
                let said = labels.by_moment(row.sent_ns);
                run.unlisted.insert(trace, said.place);
                Arc::new(said)
            });
            let client_exposed = labels.client_exposed(&row);
            waiting.push(row.sent_ns, Row::new(&row, said, client_exposed));
        }
        ready.extend(waiting.before(behind));
        flush(&mut ready, ROWS_AT_ONCE)?;
    }
    ready.extend(waiting.rest());
    flush(&mut ready, 1)?;
    file.close(out).map(Some)
}

/// Goes through a ledger for the least time at which anything behind each batch was sent; none: there
/// is nothing in it. What is damaged is told.
fn survey(
    path: &Path,
    run_id: &str,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<i64>>, BuildError> {
    let Some(mut ledger) = open(path, run_id)? else {
        return Ok(None);
    };
    let mut least = Vec::new();
    while let Some(batch) = ledger
        .next_batch()
        .map_err(|source| read_error(path, source))?
    {
        let sent = batch.rows().map(|row| row.sent_ns);
        least.push(sent.min().unwrap_or(i64::MAX));
    }
    if let Some(damage) = ledger.report().damage.describe() {
        notes.push(format!(
            "run {run_id}: its ledger of requests is damaged: {damage}"
        ));
    }
    Ok(Some(least_behind(&least)))
}

/// None: it is empty, as a run leaves it that was killed before its first request.
fn open(path: &Path, run_id: &str) -> Result<Option<LedgerReader>, BuildError> {
    match LedgerReader::open(path, Some(run_id)) {
        Ok(ledger) => Ok(Some(ledger)),
        Err(LedgerError::Empty { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

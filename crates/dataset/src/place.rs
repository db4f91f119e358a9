//! Which episode each row of a table is of, and in which split it is.
//!
//! A row that has a `window` is of that window's episode. A row that has a `trace_id` is of its
//! trace's, which the table of traces decides, so that no trace lies in two. Any other row is of
//! the episode of its own moment. All rows of a trace share its moment, and so its split.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use loadgen_extract::order::trace_order;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::cells::{int, text, texts};
use crate::episodes::Episodes;
use crate::error::BuildError;
use crate::read;
use crate::schema::Placed;
use crate::splits::RunSplits;

/// The table that has a row for each trace.
pub(crate) const TRACES: &str = "trace_labels";

/// The table whose rows may be of traces of which there is nothing else. These stand behind others, out
/// of the order of traces.
const LOGS: &str = "logs_labeled";

/// Columns that say when a row is, the first that there is.
const TIMES: [&str; 3] = ["time_ns", "start_time_ns", "timestamp"];

/// A column of whole seconds that says so where none of [`TIMES`] is there.
const SECONDS: &str = "time";

/// What the places of a run's rows follow from.
#[derive(Clone, Copy)]
pub(crate) struct Places<'r> {
    pub(crate) episodes: &'r Episodes,
    pub(crate) splits: &'r RunSplits,
    /// By window.
    pub(crate) windows: &'r [Placed],
}

impl Places<'_> {
    /// The place of a row that is of no window, by its scenario and its moment in Unix nanoseconds.
    pub(crate) fn of_row(&self, scenario: Option<&str>, at_ns: Option<i64>) -> Placed {
        let episode = self.episodes.of_row(scenario, at_ns);
        Placed {
            episode,
            split: episode.and_then(|episode| self.splits.at(episode, at_ns)),
        }
    }
}

/// Places the rows of one table, in their order.
pub(crate) struct Placer<'r> {
    places: Places<'r>,
    traces: Option<Traces>,
    unlisted: &'r mut Unlisted,
}

/// Places of traces that the table of traces does not have: all of their rows in all tables go by the
/// ledger, or else by the first of them.
pub(crate) type Unlisted = HashMap<u128, Placed>;

impl<'r> Placer<'r> {
    /// `traces` is the run's table of traces, if there is one.
    pub(crate) fn new(
        table: &str,
        traces: Option<&PathBuf>,
        places: Places<'r>,
        unlisted: &'r mut Unlisted,
    ) -> Result<Self, BuildError> {
        let traces = traces.filter(|_| table != TRACES);
        Ok(Self {
            places,
            traces: traces
                .map(|path| Traces::open(path, table == LOGS))
                .transpose()?,
            unlisted,
        })
    }

    /// The places of the rows of the next batch.
    pub(crate) fn place(
        &mut self,
        batch: &RecordBatch,
        path: &Path,
    ) -> Result<Vec<Placed>, BuildError> {
        let windows = batch.column_by_name("window");
        let windows = windows.and_then(|column| column.as_primitive_opt::<Int64Type>());
        let scenarios = texts(batch, "scenario");
        let ids = texts(batch, "trace_id").filter(|_| windows.is_none());
        let mut placed = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let window = windows.filter(|windows| !windows.is_null(row));
            let of_window = window.map(|windows| windows.value(row));
            let of_window = of_window.and_then(|number| usize::try_from(number).ok());
            if let Some(place) = of_window.and_then(|number| self.places.windows.get(number)) {
                placed.push(*place);
                continue;
            }
            let trace = text(ids, row).and_then(|id| u128::from_str_radix(id, 16).ok());
            let own = || {
                let scenario = text(scenarios, row);
                self.places.of_row(scenario, moment(batch, row))
            };
            placed.push(match (trace, &mut self.traces) {
                (Some(trace), Some(traces)) => match traces.find(trace, self.places, path)? {
                    Some(place) => place,
                    None => *self.unlisted.entry(trace).or_insert_with(own),
                },
                _ => own(),
            });
        }
        Ok(placed)
    }
}

/// When a row is, Unix nanoseconds.
fn moment(batch: &RecordBatch, row: usize) -> Option<i64> {
    let named = TIMES
        .iter()
        .find(|name| batch.column_by_name(name).is_some());
    match named {
        Some(name) => int(batch, name, row),
        None => int(batch, SECONDS, row)?.checked_mul(1_000_000_000),
    }
}

/// The table of traces, read alongside another that is in the same order.
struct Traces {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    row: usize,
    /// Where the trace that was asked for last stands.
    last: (u64, u128),
    /// Traces that the table does not have may be asked for out of their order.
    has_strays: bool,
}

impl Traces {
    fn open(path: &Path, has_strays: bool) -> Result<Self, BuildError> {
        let columns = ["trace_id", "scenario", "start_time_ns"];
        Ok(Self {
            reader: read::columns(path, &columns)?,
            path: path.to_path_buf(),
            batch: None,
            row: 0,
            last: (0, 0),
            has_strays,
        })
    }

    /// The place of a trace; none: the table does not have it. Traces are to be asked for in their
    /// order.
    fn find(
        &mut self,
        trace: u128,
        places: Places<'_>,
        asked_by: &Path,
    ) -> Result<Option<Placed>, BuildError> {
        let wanted = trace_order(trace);
        if wanted < self.last {
            return match self.has_strays {
                true => Ok(None),
                false => Err(out_of_order(asked_by)),
            };
        }
        self.last = wanted;
        loop {
            let is_over = self.batch.as_ref().is_none_or(|b| self.row >= b.num_rows());
            if is_over {
                self.batch = read::next(&mut self.reader, &self.path)?;
                self.row = 0;
                if self.batch.is_none() {
                    return Ok(None);
                }
                continue;
            }
            let Some(batch) = &self.batch else {
                return Ok(None);
            };
            let id = text(texts(batch, "trace_id"), self.row);
            let here = id.and_then(|id| u128::from_str_radix(id, 16).ok());
            match here.map(trace_order) {
                Some(here) if here == wanted => {
                    let scenario = text(texts(batch, "scenario"), self.row);
                    let start = int(batch, "start_time_ns", self.row);
                    return Ok(Some(places.of_row(scenario, start)));
                }
                Some(here) if here > wanted => return Ok(None),
                _ => self.row += 1,
            }
        }
    }
}

pub(crate) fn out_of_order(path: &Path) -> BuildError {
    let reason = "its rows are not in the order of their traces that an extraction writes them in";
    read::malformed(path, reason)
}

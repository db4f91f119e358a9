//! A batch of a ledger, row by row.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt16Type, UInt64Type};
use arrow_array::{Array, Int64Array, RecordBatch, StringArray, UInt16Array, UInt64Array};

use crate::record::Failure;

/// Requests that were written together. What its checksum says has been checked.
#[derive(Debug, Clone)]
pub struct LedgerBatch {
    batch: RecordBatch,
    ids: Vec<([u8; 16], [u8; 8])>,
    scenario: Names,
    iteration: UInt64Array,
    flow: Names,
    step: Names,
    step_index: UInt16Array,
    intended_ns: Int64Array,
    sent_ns: Int64Array,
    finished_ns: Int64Array,
    status: UInt16Array,
    failure: Names,
    path: StringArray,
    /// By key of the dictionary: the position in the reader's list.
    scenarios: Vec<u16>,
    /// In the file.
    pub(super) bytes: u64,
}

/// A request, as the ledger has it. Times are Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRow<'b> {
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// Id of the generator's client span.
    pub span_id: [u8; 8],
    /// Name of the scenario that sent it.
    pub scenario: &'b str,
    /// Position of that name in [`LedgerReader::scenarios`](super::LedgerReader::scenarios).
    pub scenario_index: u16,
    /// Number of the iteration within its scenario, from 0.
    pub iteration: u64,
    /// Name of the flow.
    pub flow: &'b str,
    /// Name of the step.
    pub step: &'b str,
    /// Position of the step in the flow.
    pub step_index: u16,
    /// When it was due.
    pub intended_ns: i64,
    /// When it was handed to the HTTP client.
    pub sent_ns: i64,
    /// When its answer was complete or it failed.
    pub finished_ns: i64,
    /// HTTP status.
    pub status: Option<u16>,
    /// Why it counts as failed, by [`Failure::name`]; none: it went as the flow expects.
    pub failure: Option<&'b str>,
    /// Path and query as sent.
    pub path: &'b str,
}

impl RequestRow<'_> {
    /// Whether it was really handed to the network: one that could not be built was not, and one
    /// that the generator had no connection for.
    pub fn was_sent(&self) -> bool {
        let unsent = [Failure::Request, Failure::Generator].map(Failure::name);
        !self
            .failure
            .is_some_and(|failure| unsent.contains(&failure))
    }
}

impl LedgerBatch {
    /// None: columns are missing, or ids are not what ids are.
    pub(super) fn of(batch: RecordBatch) -> Option<Self> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let names = |name: &str| Names::of(&batch, name);
        let numbers = |name: &str| {
            let column = batch.column_by_name(name)?;
            column.as_primitive_opt::<UInt64Type>().cloned()
        };
        let small = |name: &str| {
            let column = batch.column_by_name(name)?;
            column.as_primitive_opt::<UInt16Type>().cloned()
        };
        let times = |name: &str| {
            let column = batch.column_by_name(name)?;
            column.as_primitive_opt::<Int64Type>().cloned()
        };
        let pairs = text("trace_id")?.iter().zip(text("span_id")?.iter());
        let ids = pairs.map(|(trace, span)| Some((hex(trace?)?, hex(span?)?)));
        Some(Self {
            ids: ids.collect::<Option<_>>()?,
            scenario: names("scenario")?,
            iteration: numbers("iteration")?,
            flow: names("flow")?,
            step: names("step")?,
            step_index: small("step_index")?,
            intended_ns: times("intended_ns")?,
            sent_ns: times("sent_ns")?,
            finished_ns: times("finished_ns")?,
            status: small("status")?,
            failure: names("failure")?,
            path: text("path")?.clone(),
            scenarios: Vec::new(),
            bytes: 0,
            batch,
        })
    }

    /// Gives each scenario its position in a list that grows.
    pub(super) fn number_scenarios(&mut self, known: &mut Vec<String>) {
        let position = |name: Option<&str>| {
            let name = name.unwrap_or("");
            let position = known.iter().position(|known| known == name);
            let position = position.unwrap_or_else(|| {
                known.push(name.to_owned());
                known.len() - 1
            });
            // A ledger names its scenarios by 16-bit keys.
            u16::try_from(position).unwrap_or(u16::MAX)
        };
        self.scenarios = self.scenario.values.iter().map(position).collect();
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no request in it.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The requests, in the order in which they ended.
    pub fn rows(&self) -> impl Iterator<Item = RequestRow<'_>> {
        (0..self.len()).map(|row| RequestRow {
            trace_id: self.ids[row].0,
            span_id: self.ids[row].1,
            scenario: self.scenario.at(row).unwrap_or(""),
            scenario_index: self.scenarios[usize::from(self.scenario.keys.value(row))],
            iteration: self.iteration.value(row),
            flow: self.flow.at(row).unwrap_or(""),
            step: self.step.at(row).unwrap_or(""),
            step_index: self.step_index.value(row),
            intended_ns: self.intended_ns.value(row),
            sent_ns: self.sent_ns.value(row),
            finished_ns: self.finished_ns.value(row),
            status: self.status.is_valid(row).then(|| self.status.value(row)),
            failure: self.failure.at(row),
            path: self.path.value(row),
        })
    }

    /// The batch as Arrow has it; columns as in `docs/timeline-format.md`.
    pub fn record_batch(&self) -> &RecordBatch {
        &self.batch
    }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    const_hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// A column of names.
#[derive(Debug, Clone)]
struct Names {
    keys: UInt16Array,
    values: StringArray,
}

impl Names {
    fn of(batch: &RecordBatch, column: &str) -> Option<Self> {
        let dictionary = batch
            .column_by_name(column)?
            .as_dictionary_opt::<UInt16Type>()?;
        Some(Self {
            keys: dictionary.keys().clone(),
            values: dictionary.values().as_string_opt::<i32>()?.clone(),
        })
    }

    fn at(&self, row: usize) -> Option<&str> {
        self.keys
            .is_valid(row)
            .then(|| self.values.value(usize::from(self.keys.value(row))))
    }
}

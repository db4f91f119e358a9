//! The request ledger: one record a request, as an Arrow IPC *stream*.
//!
//! The stream form has no footer, so what is in the file is readable after a kill up to the last
//! whole batch; `pyarrow.ipc.open_stream("ledger.arrows").read_all()` reads it. Names of
//! scenarios, flows, steps and failures are dictionaries that are written once.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder, UInt16Builder, UInt64Builder};
use arrow_array::types::UInt16Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, UInt16Array,
    UInt64Array,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use loadgen_scenario::plan::Plan;

use crate::record::{Failure, RequestRecord};

/// An open ledger.
pub struct LedgerWriter {
    out: StreamWriter<BufWriter<File>>,
    schema: SchemaRef,
    scenarios: ArrayRef,
    flows: ArrayRef,
    steps: ArrayRef,
    failures: ArrayRef,
    /// By flow and step: the key of the step's name in `steps`.
    step_keys: Vec<Vec<u16>>,
}

impl std::fmt::Debug for LedgerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerWriter").finish_non_exhaustive()
    }
}

impl LedgerWriter {
    /// Creates the file; one that exists already is an error.
    pub fn create(path: &Path, plan: &Plan) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        let schema = schema();
        let out = StreamWriter::try_new(BufWriter::new(file), &schema).map_err(io::Error::other)?;
        for length in [plan.scenarios.len(), plan.flows.len()] {
            index(length)?;
        }
        // Flows share names of steps, and a dictionary has each name once.
        let mut steps: Vec<&str> = Vec::new();
        let mut step_keys = Vec::with_capacity(plan.flows.len());
        for flow in &plan.flows {
            let mut keys = Vec::with_capacity(flow.steps.len());
            for step in &flow.steps {
                let known = steps.iter().position(|name| *name == step.name);
                keys.push(index(known.unwrap_or(steps.len()))?);
                if known.is_none() {
                    steps.push(&step.name);
                }
            }
            index(keys.len())?;
            step_keys.push(keys);
        }
        Ok(Self {
            out,
            schema,
            scenarios: names(plan.scenarios.iter().map(|s| s.name.as_str())),
            flows: names(plan.flows.iter().map(|f| f.name.as_str())),
            steps: names(steps),
            failures: names(Failure::ALL.map(Failure::name)),
            step_keys,
        })
    }

    /// Writes a batch of records and hands it to the operating system.
    pub fn append(&mut self, records: &[RequestRecord]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let batch = self.batch(records).map_err(io::Error::other)?;
        self.out.write(&batch).map_err(io::Error::other)?;
        self.out.get_mut().flush()
    }

    /// Writes the end marker and syncs the file to the disk.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.finish().map_err(io::Error::other)?;
        self.out.get_mut().flush()?;
        self.out.get_ref().get_ref().sync_all()
    }

    fn batch(&self, records: &[RequestRecord]) -> Result<RecordBatch, ArrowError> {
        let rows = records.len();
        let mut trace_id = StringBuilder::with_capacity(rows, rows * 32);
        let mut span_id = StringBuilder::with_capacity(rows, rows * 16);
        let mut iteration = UInt64Builder::with_capacity(rows);
        let mut step_index = UInt16Builder::with_capacity(rows);
        let mut intended = Int64Builder::with_capacity(rows);
        let mut sent = Int64Builder::with_capacity(rows);
        let mut finished = Int64Builder::with_capacity(rows);
        let mut status = UInt16Builder::with_capacity(rows);
        let mut path = StringBuilder::with_capacity(rows, rows * 32);
        for record in records {
            trace_id.append_value(const_hex::Buffer::<16>::new().format(&record.trace_id));
            span_id.append_value(const_hex::Buffer::<8>::new().format(&record.span_id));
            iteration.append_value(record.iteration);
            step_index.append_value(record.step);
            intended.append_value(record.intended_ns);
            sent.append_value(record.sent_ns);
            finished.append_value(record.finished_ns);
            status.append_option(record.status);
            path.append_value(&record.path);
        }
        let keys = |key: &dyn Fn(&RequestRecord) -> u16| {
            UInt16Array::from_iter_values(records.iter().map(key))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(trace_id.finish()),
            Arc::new(span_id.finish()),
            dictionary(keys(&|r| r.scenario), &self.scenarios)?,
            Arc::new(iteration.finish()),
            dictionary(keys(&|r| r.flow), &self.flows)?,
            dictionary(
                keys(&|r| self.step_keys[usize::from(r.flow)][usize::from(r.step)]),
                &self.steps,
            )?,
            Arc::new(step_index.finish()),
            Arc::new(intended.finish()),
            Arc::new(sent.finish()),
            Arc::new(finished.finish()),
            Arc::new(status.finish()),
            dictionary(
                records
                    .iter()
                    .map(|r| r.failure.map(|f| f as u16))
                    .collect(),
                &self.failures,
            )?,
            Arc::new(path.finish()),
        ];
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn schema() -> SchemaRef {
    let name = || DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("trace_id", DataType::Utf8, false),
        Field::new("span_id", DataType::Utf8, false),
        Field::new("scenario", name(), false),
        Field::new("iteration", DataType::UInt64, false),
        Field::new("flow", name(), false),
        Field::new("step", name(), false),
        Field::new("step_index", DataType::UInt16, false),
        Field::new("intended_ns", DataType::Int64, false),
        Field::new("sent_ns", DataType::Int64, false),
        Field::new("finished_ns", DataType::Int64, false),
        Field::new("status", DataType::UInt16, true),
        Field::new("failure", name(), true),
        Field::new("path", DataType::Utf8, false),
    ]))
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(names))
}

fn dictionary(keys: UInt16Array, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(
        keys,
        values.clone(),
    )?))
}

fn index(length: usize) -> io::Result<u16> {
    u16::try_from(length).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "a plan can have at most 65,535 steps, scenarios and flows",
        )
    })
}

/// What could be read of a ledger.
#[derive(Debug)]
pub struct Ledger {
    /// Batches in the order of writing; columns as in `docs/timeline-format.md`.
    pub batches: Vec<RecordBatch>,
    /// Whether the file breaks off before its end marker: the run was killed or still goes on.
    pub torn: bool,
}

impl Ledger {
    /// Number of requests.
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column of text, dictionary-encoded or not, as strings; null is `None`. A column that
    /// does not exist is empty.
    pub fn text(&self, column: &str) -> Vec<Option<String>> {
        let mut out = Vec::new();
        for batch in &self.batches {
            let Some(array) = batch.column_by_name(column) else {
                continue;
            };
            if let Some(text) = array.as_any().downcast_ref::<StringArray>() {
                out.extend(text.iter().map(|v| v.map(str::to_owned)));
            } else if let Some(dictionary) =
                array.as_any().downcast_ref::<DictionaryArray<UInt16Type>>()
                && let Some(typed) = dictionary.downcast_dict::<StringArray>()
            {
                out.extend(typed.into_iter().map(|v| v.map(str::to_owned)));
            }
        }
        out
    }
}

impl Ledger {
    /// A column of unsigned numbers (`iteration`, `step_index`, `status`); null is `None`. A
    /// column that does not exist is empty.
    pub fn numbers(&self, column: &str) -> Vec<Option<u64>> {
        let mut out = Vec::new();
        for batch in &self.batches {
            let Some(array) = batch.column_by_name(column) else {
                continue;
            };
            if let Some(numbers) = array.as_any().downcast_ref::<UInt64Array>() {
                out.extend(numbers.iter());
            } else if let Some(numbers) = array.as_any().downcast_ref::<UInt16Array>() {
                out.extend(numbers.iter().map(|n| n.map(u64::from)));
            }
        }
        out
    }
}

/// A request in so far as a label can come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentRequest {
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// Id of the generator's client span.
    pub span_id: [u8; 8],
    /// Position in [`SentRequests::scenarios`].
    pub scenario: u16,
    /// Position in [`SentRequests::steps`].
    pub step: u16,
    /// When it was sent, in Unix nanoseconds.
    pub sent_ns: i64,
    /// When its answer was complete or it failed, in Unix nanoseconds.
    pub finished_ns: i64,
    /// Whether it was really handed to the network: one that could not be built was not.
    pub sent: bool,
}

/// Goes through a ledger batch by batch, so that a long one needs no more memory than a short one.
pub struct SentRequests {
    reader: StreamReader<BufReader<File>>,
    scenarios: Vec<String>,
    steps: Vec<String>,
    /// Whether the file breaks off before its end marker: the run was killed or still goes on.
    pub torn: bool,
}

impl std::fmt::Debug for SentRequests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentRequests").finish_non_exhaustive()
    }
}

impl SentRequests {
    /// Opens a ledger. A file that is no Arrow IPC stream, or lacks a column, is an error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let torn = !ends_with_marker(&mut file)?;
        let reader = unless_it_panics(|| StreamReader::try_new(BufReader::new(file), None))?;
        for column in ["trace_id", "span_id", "scenario", "sent_ns", "finished_ns"] {
            if reader.schema().column_with_name(column).is_none() {
                let message = format!("not a ledger: it has no column {column}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok(Self {
            reader,
            scenarios: Vec::new(),
            steps: Vec::new(),
            torn,
        })
    }

    /// Names of the scenarios that were met so far.
    pub fn scenarios(&self) -> &[String] {
        &self.scenarios
    }

    /// Names of the steps that were met so far.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The requests of the next batch; none at the end, or where the file breaks off.
    pub fn next_batch(&mut self) -> Option<Vec<SentRequest>> {
        // A torn batch can only be the last one: what stands before it is whole.
        let reader = &mut self.reader;
        let batch = unless_it_panics(|| reader.next().transpose()).ok()??;
        Some(self.requests(&batch).unwrap_or_default())
    }

    fn requests(&mut self, batch: &RecordBatch) -> Option<Vec<SentRequest>> {
        let text = |name| {
            batch
                .column_by_name(name)?
                .as_any()
                .downcast_ref::<StringArray>()
        };
        let times = |name| {
            batch
                .column_by_name(name)?
                .as_any()
                .downcast_ref::<Int64Array>()
        };
        let dictionary = |name| {
            let column = batch.column_by_name(name)?;
            let keys = column
                .as_any()
                .downcast_ref::<DictionaryArray<UInt16Type>>()?;
            Some((keys, keys.values().as_any().downcast_ref::<StringArray>()?))
        };
        let (traces, spans) = (text("trace_id")?, text("span_id")?);
        let (sent, finished) = (times("sent_ns")?, times("finished_ns")?);
        let (keys, names) = dictionary("scenario")?;
        let failures = dictionary("failure");
        let known: Vec<u16> = names
            .iter()
            .map(|name| number(&mut self.scenarios, name.unwrap_or("")))
            .collect();
        let steps = dictionary("step").map(|(keys, names)| {
            let names = names.iter();
            let known = names.map(|name| number(&mut self.steps, name.unwrap_or("")));
            (keys, known.collect::<Vec<u16>>())
        });
        let request = |row: usize| {
            let mut trace_id = [0; 16];
            let mut span_id = [0; 8];
            const_hex::decode_to_slice(traces.value(row), &mut trace_id).ok()?;
            const_hex::decode_to_slice(spans.value(row), &mut span_id).ok()?;
            let failure = failures.and_then(|(keys, names)| Some(names.value(keys.key(row)?)));
            Some(SentRequest {
                trace_id,
                span_id,
                scenario: *known.get(keys.key(row)?)?,
                step: steps
                    .as_ref()
                    .and_then(|(keys, known)| known.get(keys.key(row)?).copied())
                    .unwrap_or_default(),
                sent_ns: sent.value(row),
                finished_ns: finished.value(row),
                sent: failure != Some(Failure::Request.name()),
            })
        };
        Some((0..batch.num_rows()).filter_map(request).collect())
    }
}

/// The number of a name; a ledger names things by 16-bit keys.
fn number(names: &mut Vec<String>, name: &str) -> u16 {
    let known = names.iter().position(|known| known == name);
    let position = known.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    u16::try_from(position).unwrap_or(u16::MAX)
}

/// Reads a ledger up to where it is whole.
pub fn read_ledger(path: &Path) -> io::Result<Ledger> {
    let mut file = File::open(path)?;
    let torn = !ends_with_marker(&mut file)?;
    let mut reader = unless_it_panics(|| StreamReader::try_new(BufReader::new(file), None))?;
    let mut batches = Vec::new();
    // A torn batch can only be the last one: what stands before it is whole.
    while let Ok(Some(batch)) = unless_it_panics(|| reader.next().transpose()) {
        batches.push(batch);
    }
    Ok(Ledger { batches, torn })
}

/// The reader of Arrow's format takes the lengths in a file on trust: where they are damaged it
/// panics. For us that is a damaged file like any other.
fn unless_it_panics<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(io::Error::other),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a ledger, or a damaged one",
        )),
    }
}

/// Whether the stream was finished: the reader itself takes a plain end of file for an end, too.
fn ends_with_marker(file: &mut File) -> io::Result<bool> {
    const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let mut tail = [0; 8];
    let whole = file.seek(SeekFrom::End(-8)).is_ok() && file.read_exact(&mut tail).is_ok();
    file.seek(SeekFrom::Start(0))?;
    Ok(whole && tail == END_OF_STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_scenario::plan::{Anomaly, Executor, Expect, Flow, PlannedScenario, Step, Target};
    use loadgen_scenario::plan::{PLAN_SCHEMA_VERSION, Part, Template, WeightedFlow};

    fn plan() -> Plan {
        let step = |name: &str| Step {
            name: name.into(),
            method: "GET".into(),
            path: Template(vec![Part::Text("/".into())]),
            headers: vec![],
            json: None,
            expect: Expect {
                status: vec![(200, 399)],
                content_type: None,
            },
            think_time: None,
            timeout_ns: 1,
            probability: None,
            draws: vec![],
            captures: vec![],
        };
        let flow = |name: &str, steps: &[&str]| Flow {
            name: name.into(),
            variables: vec![],
            steps: steps.iter().map(|s| step(s)).collect(),
        };
        Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            name: "p".into(),
            scenario_file: "p.yaml".into(),
            scenario_sha256: String::new(),
            seed: 1,
            time_scale: 1.0,
            target: Target::Embedded,
            flows: vec![
                flow("browse", &["home", "list", "home"]),
                flow("buy", &["cart", "list"]),
            ],
            scenarios: vec![PlannedScenario {
                name: "baseline".into(),
                executor: Executor::ConstantVus {
                    vus: 1,
                    duration_ns: 1,
                },
                start_ns: 0,
                end_ns: 1,
                graceful_stop_ns: 0,
                guard_ns: 0,
                exec: vec![WeightedFlow { flow: 0, weight: 1 }],
                anomaly: Anomaly {
                    kind: "none".into(),
                    label: "normal".into(),
                    symptom: None,
                    root_cause: "none".into(),
                    msg: String::new(),
                    root_cause_service: None,
                },
                declared: None,
                fault: None,
                warm_up: false,
                tags: Default::default(),
                env: Default::default(),
            }],
        }
    }

    fn record(iteration: u64, flow: u16, step: u16, failure: Option<Failure>) -> RequestRecord {
        RequestRecord {
            trace_id: [0xab; 16],
            span_id: [1; 8],
            scenario: 0,
            flow,
            step,
            iteration,
            intended_ns: 1,
            sent_ns: 2,
            finished_ns: 3,
            status: failure.is_none().then_some(200),
            failure,
            path: "/x".into(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.arrows");
        let mut ledger = LedgerWriter::create(&path, &plan()).unwrap();
        ledger.append(&[record(0, 0, 1, None)]).unwrap();
        ledger
            .append(&[record(1, 1, 0, Some(Failure::Timeout))])
            .unwrap();
        ledger.finish().unwrap();
        let mut requests = SentRequests::open(&path).unwrap();
        let first = requests.next_batch().unwrap();
        assert_eq!((first[0].trace_id, first[0].span_id), ([0xab; 16], [1; 8]));
        assert_eq!(
            (first[0].sent_ns, first[0].finished_ns, first[0].sent),
            (2, 3, true)
        );
        assert_eq!(
            requests.scenarios()[usize::from(first[0].scenario)],
            "baseline"
        );
        assert_eq!(requests.next_batch().map(|b| b.len()), Some(1));
        assert_eq!(requests.next_batch(), None);

        let read = read_ledger(&path).unwrap();
        assert!(!read.torn);
        assert_eq!(
            read.text("step"),
            [Some("list".into()), Some("cart".into())]
        );
        assert_eq!(read.text("failure"), [None, Some("timeout".into())]);
        assert_eq!(
            read.text("trace_id")[0].as_deref(),
            Some("ab".repeat(16).as_str())
        );
    }

    #[test]
    fn a_ledger_with_any_byte_damaged_never_ends_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.arrows");
        let mut ledger = LedgerWriter::create(&path, &plan()).unwrap();
        ledger.append(&[record(0, 0, 1, None)]).unwrap();
        ledger.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            std::fs::write(&path, damaged).unwrap();
            let _ = read_ledger(&path).map(|ledger| ledger.text("trace_id"));
            if let Ok(mut requests) = SentRequests::open(&path) {
                while requests.next_batch().is_some() {}
            }
        }
    }

    #[test]
    fn a_ledger_cut_anywhere_gives_its_whole_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.arrows");
        let mut ledger = LedgerWriter::create(&path, &plan()).unwrap();
        ledger.append(&[record(0, 0, 0, None)]).unwrap();
        let one_batch = std::fs::metadata(&path).unwrap().len();
        ledger.append(&[record(1, 0, 0, None)]).unwrap();
        drop(ledger);
        let bytes = std::fs::read(&path).unwrap();
        for cut in usize::try_from(one_batch).unwrap()..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let read = read_ledger(&path).unwrap();
            assert!(read.torn);
            assert_eq!(read.len(), 1, "cut at {cut}");
        }
    }
}

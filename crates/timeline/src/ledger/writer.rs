//! Writes a ledger while the run goes on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder, UInt16Builder, UInt64Builder};
use arrow_array::types::UInt16Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray, UInt16Array, UInt64Array};
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
    write_message,
};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use loadgen_scenario::plan::Plan;

use super::checksum::Content;
use super::schema;
use crate::record::{Failure, RequestRecord};

/// What a finished stream ends with.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// An open ledger.
pub struct LedgerWriter {
    out: BufWriter<File>,
    encoder: Encoder,
    schema: SchemaRef,
    run_id: String,
    /// Number of the next batch.
    number: u64,
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
    pub fn create(path: &Path, plan: &Plan, run_id: &str) -> io::Result<Self> {
        let file = loadgen_files::create_new(path)?;
        let schema = Arc::new(schema::of_run(run_id));
        let mut out = BufWriter::new(file);
        let encoder = Encoder::begin(&mut out, &schema).map_err(io::Error::other)?;
        out.flush()?;
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
            encoder,
            schema,
            run_id: run_id.to_owned(),
            number: 0,
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
        // Once would do for a whole file. Of one that is damaged a copy is left, wherever that is.
        let copies = match self.number {
            0 => 2,
            number if number.is_power_of_two() => 1,
            _ => 0,
        };
        self.encoder
            .write(&mut self.out, &batch, copies)
            .map_err(io::Error::other)?;
        self.number += 1;
        self.out.flush()
    }

    /// Writes the end marker and syncs the file to the disk.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(&END_OF_STREAM)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()
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
        let mut columns: Vec<ArrayRef> = vec![
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
        let content = Content::of(&columns)
            .ok_or_else(|| ArrowError::SchemaError("not the columns of a ledger".into()))?;
        let checksum = content.checksum(&self.run_id, self.number);
        columns.push(Arc::new(UInt64Array::from_value(checksum, rows)));
        RecordBatch::try_new(self.schema.clone(), columns)
    }
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

/// Writes messages of an Arrow IPC stream.
struct Encoder {
    generator: IpcDataGenerator,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl Encoder {
    fn begin(out: impl Write, schema: &Schema) -> Result<Self, ArrowError> {
        let encoder = Self {
            generator: IpcDataGenerator::default(),
            // Batches are small, and padding to 64 bytes would double them.
            options: IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?,
            context: IpcWriteContext::default(),
        };
        let head = encoder.generator.schema_to_bytes_with_dictionary_tracker(
            schema,
            &mut DictionaryTracker::new(false),
            &encoder.options,
        );
        write_message(out, head, &encoder.options)?;
        Ok(encoder)
    }

    /// Writes a batch behind so many copies of its dictionaries.
    fn write(
        &mut self,
        mut out: impl Write,
        batch: &RecordBatch,
        copies: usize,
    ) -> Result<(), ArrowError> {
        for _ in 1..copies {
            for names in self.encode(batch)?.0 {
                write_message(&mut out, names, &self.options)?;
            }
        }
        let (names, encoded) = self.encode(batch)?;
        for names in names.into_iter().filter(|_| copies > 0) {
            write_message(&mut out, names, &self.options)?;
        }
        write_message(&mut out, encoded, &self.options)?;
        Ok(())
    }

    /// Every time as if it were the first.
    fn encode(
        &mut self,
        batch: &RecordBatch,
    ) -> Result<(Vec<EncodedData>, EncodedData), ArrowError> {
        let mut tracker = DictionaryTracker::new(false);
        for _ in 0..schema::DICTIONARIES {
            tracker.next_dict_id();
        }
        self.generator
            .encode(batch, &mut tracker, &self.options, &mut self.context)
    }
}

//! From files to partitions: the input is read once, and what is needed of each span, log record
//! and data point goes to the partition of its trace, or of its series.

pub(crate) mod batch;
mod headers;
mod http;
pub(crate) mod inputs;
mod logs;
pub(crate) mod packed;
mod peer;
pub(crate) mod pipeline;
mod points;
pub(crate) mod records;
pub(crate) mod resource;
pub(crate) mod row_spool;
pub(crate) mod sample;
mod sink;
pub(crate) mod spans;
pub(crate) mod spool;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::Array;

use batch::{ALL_COLUMNS, Batch, PackedBatch};
use loadgen_otlp::source::{Skipped, Source, Unit, UnitSummary, decode};
use packed::Packed;
use pipeline::{PipelineError, Placed, Results, for_each_unit};
use records::{LogBatch, PointBatch, RequestBatch, SpanBatch};
use row_spool::{MAX_GROUP_BYTES, RowSpool, partitions};
use sample::{Sample, SampleIndex, SampledSpan};
use sink::{Part, Records, SpareParts};

use crate::lines::Lines;
use crate::stop::Stop;

/// Bytes of spans that one process keeps in memory before they are written.
const BUDGET_BYTES: usize = 24 << 20;

/// All that was read, dealt into partitions. Those of spans, logs and requests have the same traces.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) spans: RowSpool,
    pub(crate) logs: RowSpool,
    pub(crate) requests: RowSpool,
    pub(crate) points: RowSpool,
    /// Spans, data points and log records in the messages.
    pub(crate) read: [u64; 3],
    /// Those of them that belong to traces, or series, which are too large.
    pub(crate) too_large: [u64; 3],
    pub(crate) sample: Vec<SampledSpan>,
    /// First start and last end of all spans, Unix nanoseconds.
    pub(crate) extent: Option<(i64, i64)>,
    /// Number of the first unit that is read next, by which spans without a trace are told apart.
    pub(crate) first_unit: u64,
    /// What is added to each time that is read, nanoseconds.
    pub(crate) shift_ns: i64,
}

/// What is known of the input as a whole once it has been read.
#[derive(Debug, Default)]
pub(crate) struct ScanFacts {
    /// First start and last end of all spans, Unix nanoseconds.
    pub(crate) extent: Option<(i64, i64)>,
    pub(crate) sample: SampleIndex,
}

/// What a worker has to say of a unit.
enum Said {
    /// Records of some of its messages.
    Part(Part),
    /// What there was in it; it comes last.
    Whole(UnitSummary),
}

impl Scanned {
    /// Empty, for an input of so many bytes, with its files in `folder`.
    pub(crate) fn new(folder: &Path, input_bytes: u64) -> io::Result<Self> {
        Self::with_partitions(folder, partitions(input_bytes), BUDGET_BYTES)
    }

    /// Empty, with so many partitions, and `budget` bytes of spans that are kept in memory. Of the
    /// other signals, which have less, it is a part of that.
    pub(crate) fn with_partitions(
        folder: &Path,
        partitions: usize,
        budget: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            spans: RowSpool::new::<SpanBatch>(folder, partitions, budget)?,
            logs: RowSpool::new::<LogBatch>(folder, partitions, budget / 4)?,
            requests: RowSpool::new::<RequestBatch>(folder, partitions, budget / 4)?,
            points: RowSpool::new::<PointBatch>(folder, partitions, budget / 3)?,
            read: [0; 3],
            too_large: [0; 3],
            sample: Vec::new(),
            extent: None,
            first_unit: 0,
            shift_ns: 0,
        })
    }

    /// Adds requests of a ledger.
    pub(crate) fn requests(&mut self, requests: &Packed) -> io::Result<()> {
        self.requests.deal(requests)
    }

    /// Reads the input, or more of it.
    pub(crate) fn read(
        &mut self,
        sources: &mut [Source],
        workers: usize,
        lines: &mut Lines,
        stop: &Stop,
    ) -> Result<(), PipelineError<io::Error>> {
        let mut sample = Sample::new();
        // Sampled are spans with a hash up to this, which falls as more of them come.
        let limit = AtomicU64::new(sample.add(std::mem::take(&mut self.sample)));
        let (first_unit, shift_ns) = (self.first_unit, self.shift_ns);
        let spare = SpareParts::default();
        let work = |placed: &Placed, results: &Results<'_, Said>| {
            let limit = limit.load(Ordering::Relaxed);
            let give = |part| results.send(Said::Part(part));
            let number = first_unit + placed.number;
            let records = Records::new(number, shift_ns, limit, spare.take(), give);
            results.send(Said::Whole(scan(&placed.unit, records)));
        };
        for_each_unit(sources, workers, work, |file, said| {
            stop.check()?;
            let mut part = match said {
                Said::Part(part) => part,
                Said::Whole(tally) => {
                    lines.take(file, tally);
                    return Ok(());
                }
            };
            let Part {
                spans,
                points,
                logs,
                ..
            } = &part;
            for (sum, rows) in self.read.iter_mut().zip([spans, points, logs]) {
                *sum += rows.len() as u64;
            }
            if let Some((from, to)) = part.extent.get() {
                let (first, last) = self.extent.unwrap_or((from, to));
                self.extent = Some((first.min(from), last.max(to)));
            }
            self.spans.deal(spans)?;
            self.points.deal(points)?;
            self.logs.deal(logs)?;
            let still_wanted = sample.add(part.sampled.drain(..));
            limit.store(still_wanted, Ordering::Relaxed);
            spare.put(part);
            Ok(())
        })?;
        self.sample = sample.into_spans();
        Ok(())
    }

    /// Bytes that the records of traces, and data points, take up in memory as batches.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        let of_traces = [&self.spans, &self.logs, &self.requests].map(RowSpool::bytes);
        [of_traces.into_iter().sum(), self.points.bytes()]
    }

    /// What is known of the input as a whole.
    pub(crate) fn facts(&self) -> ScanFacts {
        ScanFacts {
            extent: self.extent,
            sample: SampleIndex::new(&self.sample),
        }
    }

    /// Deals what has become too large for memory again, and leaves out what can't be divided.
    pub(crate) fn split_large(&mut self, folder: &Path) -> io::Result<()> {
        let (spans, logs, requests) = (&mut self.spans, &mut self.logs, &mut self.requests);
        RowSpool::split_large(&mut [spans, logs, requests], folder)?;
        RowSpool::split_large(&mut [&mut self.points], folder)?;
        let all = [&mut self.spans, &mut self.points, &mut self.logs];
        for (left_out, spool) in self.too_large.iter_mut().zip(all) {
            *left_out = spool.leave_out_large(folder, MAX_GROUP_BYTES)?;
        }
        Ok(())
    }
}

/// A batch whose rows belong to traces.
pub(crate) trait OfTraces: Batch {
    fn trace(&self, row: usize) -> [u64; 2];
}

impl OfTraces for SpanBatch {
    fn trace(&self, row: usize) -> [u64; 2] {
        [self.trace_high.value(row), self.trace_low.value(row)]
    }
}

impl OfTraces for LogBatch {
    fn trace(&self, row: usize) -> [u64; 2] {
        let time_ns = (!self.time_ns.is_null(row)).then(|| self.time_ns.value(row));
        logs::dealt_by(
            [self.trace_high.value(row), self.trace_low.value(row)],
            time_ns,
        )
    }
}

impl OfTraces for RequestBatch {
    fn trace(&self, row: usize) -> [u64; 2] {
        [self.trace_high.value(row), self.trace_low.value(row)]
    }
}

/// The records of a unit that is read by itself: spans, data points and log records.
#[derive(Debug, Default)]
pub(crate) struct UnitRecords {
    pub(crate) spans: Vec<SpanBatch>,
    pub(crate) points: Vec<PointBatch>,
    pub(crate) logs: Vec<LogBatch>,
    /// Messages that can't be read.
    pub(crate) skipped: Vec<Skipped>,
}

impl UnitRecords {
    /// Reads a unit; `number` tells its spans without a trace from those of others.
    pub(crate) fn of(unit: &Unit, number: u64) -> io::Result<Self> {
        fn view<B: PackedBatch>(rows: &Packed, all: &mut Vec<B>) -> io::Result<()> {
            if rows.len() > 0 {
                all.push(
                    B::view(&B::unpack(&[rows], None, ALL_COLUMNS)?).map_err(io::Error::other)?,
                );
            }
            Ok(())
        }
        let mut parts = Vec::new();
        let records = Records::new(number, 0, 0, Part::default(), |part| parts.push(part));
        let tally = scan(unit, records);
        let mut found = Self {
            skipped: tally.skipped,
            ..Self::default()
        };
        for part in parts {
            view(&part.spans, &mut found.spans)?;
            view(&part.points, &mut found.points)?;
            view(&part.logs, &mut found.logs)?;
        }
        Ok(found)
    }
}

fn scan<G: FnMut(Part)>(unit: &Unit, mut records: Records<G>) -> UnitSummary {
    let mut tally = decode(unit, &mut records);
    for message in records.finish() {
        if tally
            .skipped
            .iter()
            .any(|skipped| skipped.message == message && skipped.parts == 0)
        {
            continue;
        }
        tally.skipped.push(Skipped {
            message,
            byte: unit.offset(),
            reason: "its items repeat so much text that they would take too much memory".to_owned(),
            parts: 0,
            torn: false,
        });
    }
    tally
}

//! From files to partitions: the input is read once, and what is needed of each span, log record
//! and data point goes to the partition of its trace, or of its series.

pub(crate) mod batch;
mod headers;
mod http;
pub(crate) mod inputs;
mod logs;
mod peer;
pub(crate) mod pipeline;
mod points;
pub(crate) mod records;
pub(crate) mod resource;
pub(crate) mod sample;
mod sink;
pub(crate) mod spans;
pub(crate) mod spool;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use batch::Batch;
use loadgen_otlp::source::{Skipped, Source, Unit, UnitTally, decode};
use pipeline::{PipelineError, Placed, Results, for_each_unit};
use records::{LogBatch, PointBatch, RequestBatch, RequestBuilder, SpanBatch};
use sample::{Sample, SampleIndex, SampledSpan};
use sink::{Part, Records};
use spool::{Dealt, Hashed, MAX_GROUP_BYTES, Spool, deal, hash, partitions};

use crate::lines::Lines;

/// All that was read, dealt into partitions. Those of spans, logs and requests have the same traces.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) spans: Spool,
    pub(crate) logs: Spool,
    pub(crate) requests: Spool,
    pub(crate) points: Spool,
    /// Spans, data points and log records in the messages.
    pub(crate) read: [u64; 3],
    /// Those of them that belong to traces, or series, which are too large.
    pub(crate) too_large: [u64; 3],
    pub(crate) sample: Vec<SampledSpan>,
    /// First start and last end of all spans, Unix nanoseconds.
    pub(crate) extent: Option<(i64, i64)>,
    /// Number of the first unit that is read next, by which spans without a trace are told apart.
    pub(crate) first_unit: u64,
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
    Whole(UnitTally),
    /// Records could not be made, which is a bug.
    Failed(ArrowError),
}

impl Scanned {
    /// Empty, for an input of so many bytes, with its files in `folder`.
    pub(crate) fn new(folder: &Path, input_bytes: u64) -> io::Result<Self> {
        Self::with_partitions(folder, partitions(input_bytes))
    }

    /// Empty, with so many partitions.
    pub(crate) fn with_partitions(folder: &Path, partitions: usize) -> io::Result<Self> {
        let spool = |schema| Spool::new(folder, schema, partitions);
        Ok(Self {
            spans: spool(SpanBatch::schema())?,
            logs: spool(LogBatch::schema())?,
            requests: spool(RequestBatch::schema())?,
            points: spool(PointBatch::schema())?,
            read: [0; 3],
            too_large: [0; 3],
            sample: Vec::new(),
            extent: None,
            first_unit: 0,
        })
    }

    /// Adds requests of a ledger.
    pub(crate) fn requests(&mut self, mut requests: RequestBuilder) -> io::Result<()> {
        let batch = requests.finish().map_err(io::Error::other)?;
        let partitions = self.requests.len();
        for dealt in deal(&batch, &trace_hashes::<RequestBatch>(&batch)?, partitions)? {
            self.requests.push(dealt)?;
        }
        Ok(())
    }

    /// Reads the input, or more of it.
    pub(crate) fn read(
        &mut self,
        sources: &mut [Source],
        workers: usize,
        lines: &mut Lines,
    ) -> Result<(), PipelineError<io::Error>> {
        let mut sample = Sample::new();
        // Sampled are spans with a hash up to this, which falls as more of them come.
        let limit = AtomicU64::new(sample.add(std::mem::take(&mut self.sample)));
        let (partitions, first_unit) = (self.spans.len(), self.first_unit);
        let work = |placed: &Placed, results: &Results<'_, Said>| {
            let limit = limit.load(Ordering::Relaxed);
            let give = |part| results.send(Said::Part(part));
            let records = Records::new(first_unit + placed.number, limit, partitions, give);
            results.send(match scan(&placed.unit, records) {
                Ok(tally) => Said::Whole(tally),
                Err(error) => Said::Failed(error),
            });
        };
        for_each_unit(sources, workers, work, |file, said| {
            let part = match said {
                Said::Part(part) => part,
                Said::Whole(tally) => {
                    lines.take(file, tally);
                    return Ok(());
                }
                Said::Failed(error) => return Err(io::Error::other(error)),
            };
            for (sum, read) in self.read.iter_mut().zip(part.read) {
                *sum += read;
            }
            if let Some((from, to)) = part.extent {
                let (first, last) = self.extent.unwrap_or((from, to));
                self.extent = Some((first.min(from), last.max(to)));
            }
            limit.store(sample.add(part.sampled), Ordering::Relaxed);
            for (spool, dealt) in [
                (&mut self.spans, part.spans),
                (&mut self.points, part.points),
                (&mut self.logs, part.logs),
            ] {
                for rows in dealt {
                    spool.push(rows)?;
                }
            }
            Ok(())
        })?;
        self.sample = sample.into_spans();
        Ok(())
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
        let mut traces: [Hashed<'_>; 3] = [
            (&mut self.spans, trace_hashes::<SpanBatch>),
            (&mut self.logs, trace_hashes::<LogBatch>),
            (&mut self.requests, trace_hashes::<RequestBatch>),
        ];
        Spool::split_large(&mut traces, folder)?;
        Spool::split_large(&mut [(&mut self.points, series_hashes)], folder)?;
        let all: [Hashed<'_>; 3] = [
            (&mut self.spans, trace_hashes::<SpanBatch>),
            (&mut self.points, series_hashes),
            (&mut self.logs, trace_hashes::<LogBatch>),
        ];
        for (left_out, (spool, hashes)) in self.too_large.iter_mut().zip(all) {
            *left_out = spool.leave_out_large(hashes, folder, MAX_GROUP_BYTES)?;
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
        match [self.trace_high.value(row), self.trace_low.value(row)] {
            // One without a trace goes anywhere, and not all to one place.
            [0, 0] => [0, self.time_ns.value(row) as u64],
            trace => trace,
        }
    }
}

impl OfTraces for RequestBatch {
    fn trace(&self, row: usize) -> [u64; 2] {
        [self.trace_high.value(row), self.trace_low.value(row)]
    }
}

fn trace_hashes<B: OfTraces>(batch: &RecordBatch) -> io::Result<Vec<u64>> {
    let view = B::view(batch).map_err(io::Error::other)?;
    Ok((0..batch.num_rows())
        .map(|row| hash(view.trace(row)))
        .collect())
}

fn series_hashes(batch: &RecordBatch) -> io::Result<Vec<u64>> {
    let view = PointBatch::view(batch).map_err(io::Error::other)?;
    // A series' number is well mixed already.
    Ok(view.series.values().to_vec())
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
        fn views<B: Batch>(dealt: Vec<Dealt>, all: &mut Vec<B>) -> Result<(), ArrowError> {
            for (_, batch) in dealt {
                all.push(B::view(&batch)?);
            }
            Ok(())
        }
        let mut parts = Vec::new();
        let records = Records::new(number, 0, 1, |part| parts.push(part));
        let tally = scan(unit, records).map_err(io::Error::other)?;
        let mut found = Self {
            skipped: tally.skipped,
            ..Self::default()
        };
        for part in parts {
            views(part.spans, &mut found.spans).map_err(io::Error::other)?;
            views(part.points, &mut found.points).map_err(io::Error::other)?;
            views(part.logs, &mut found.logs).map_err(io::Error::other)?;
        }
        Ok(found)
    }
}

fn scan<G: FnMut(Part)>(unit: &Unit, mut records: Records<G>) -> Result<UnitTally, ArrowError> {
    let mut tally = decode(unit, &mut records);
    for message in records.finish()? {
        if tally
            .skipped
            .iter()
            .any(|skipped| skipped.message == message)
        {
            continue;
        }
        tally.skipped.push(Skipped {
            message,
            byte: unit.offset(),
            reason: "its items repeat so much text that they would take too much memory".to_owned(),
            torn: false,
        });
    }
    Ok(tally)
}

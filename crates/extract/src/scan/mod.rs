//! From files to partitions: the input is read once, and what is needed of each span, log record
//! and data point goes to the partition of its trace, or of its series.

pub(crate) mod batch;
mod logs;
mod points;
pub(crate) mod records;
pub(crate) mod sample;
pub(crate) mod spans;
pub(crate) mod spool;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use batch::Batch;
use records::{
    LogBatch, LogBuilder, PointBatch, PointBuilder, RequestBatch, RequestBuilder, SpanBatch,
    SpanBuilder,
};
use sample::{Sample, SampleIndex, SampledSpan, SpanKey};
use spool::{Dealt, Hashed, Spool, deal, hash, partitions};

use crate::lines::Lines;
use crate::telemetry::input::{Block, Input};
use crate::telemetry::line::{LineTally, for_each_message};
use crate::telemetry::pipeline::{PipelineError, for_each_block};
use crate::telemetry::scalar::TraceId;

/// All that was read, dealt into partitions. Those of spans, logs and requests have the same traces.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) spans: Spool,
    pub(crate) logs: Spool,
    pub(crate) requests: Spool,
    pub(crate) points: Spool,
    /// Spans, data points and log records in the messages.
    pub(crate) read: [u64; 3],
    pub(crate) sample: Vec<SampledSpan>,
    /// First start and last end of all spans, Unix nanoseconds.
    extent: Option<(i64, i64)>,
}

/// What is known of the input as a whole once it has been read.
#[derive(Debug, Default)]
pub(crate) struct ScanFacts {
    /// First start and last end of all spans, Unix nanoseconds.
    pub(crate) extent: Option<(i64, i64)>,
    pub(crate) sample: SampleIndex,
}

/// What one block held.
struct OfBlock {
    tally: LineTally,
    read: [u64; 3],
    spans: Vec<Dealt>,
    logs: Vec<Dealt>,
    points: Vec<Dealt>,
    sampled: Vec<SampledSpan>,
    extent: Option<(i64, i64)>,
}

impl Scanned {
    /// Empty, for an input of so many bytes, with its files in `folder`.
    pub(crate) fn new(folder: &Path, input_bytes: u64) -> io::Result<Self> {
        let partitions = partitions(input_bytes);
        let spool = |schema| Spool::new(folder, schema, partitions);
        Ok(Self {
            spans: spool(SpanBatch::schema())?,
            logs: spool(LogBatch::schema())?,
            requests: spool(RequestBatch::schema())?,
            points: spool(PointBatch::schema())?,
            read: [0; 3],
            sample: Vec::new(),
            extent: None,
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

    /// Reads the input.
    pub(crate) fn read(
        &mut self,
        inputs: &[Input],
        workers: usize,
        lines: &mut Lines<'_>,
    ) -> Result<(), PipelineError<io::Error>> {
        let mut sample = Sample::new();
        // Sampled are spans with a hash up to this, which falls as more of them come.
        let limit = AtomicU64::new(u64::MAX);
        let partitions = self.spans.len();
        let work = |block: &Block| scan(block, limit.load(Ordering::Relaxed), partitions);
        for_each_block(inputs, workers, work, |file, of_block| {
            let of_block: OfBlock = of_block.map_err(io::Error::other)?;
            lines.take(file, of_block.tally);
            for (sum, read) in self.read.iter_mut().zip(of_block.read) {
                *sum += read;
            }
            if let Some((from, to)) = of_block.extent {
                let (first, last) = self.extent.unwrap_or((from, to));
                self.extent = Some((first.min(from), last.max(to)));
            }
            limit.store(sample.add(of_block.sampled), Ordering::Relaxed);
            for (spool, dealt) in [
                (&mut self.spans, of_block.spans),
                (&mut self.logs, of_block.logs),
                (&mut self.points, of_block.points),
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

    /// Deals what has become too large for memory again.
    pub(crate) fn split_large(&mut self, folder: &Path) -> io::Result<()> {
        let mut traces: [Hashed<'_>; 3] = [
            (&mut self.spans, trace_hashes::<SpanBatch>),
            (&mut self.logs, trace_hashes::<LogBatch>),
            (&mut self.requests, trace_hashes::<RequestBatch>),
        ];
        Spool::split_large(&mut traces, folder)?;
        Spool::split_large(&mut [(&mut self.points, series_hashes)], folder)
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
    Ok((0..batch.num_rows()).map(|row| hash(view.trace(row))).collect())
}

fn series_hashes(batch: &RecordBatch) -> io::Result<Vec<u64>> {
    let view = PointBatch::view(batch).map_err(io::Error::other)?;
    // A series' number is well mixed already.
    Ok(view.series.values().to_vec())
}

fn scan(block: &Block, limit: u64, partitions: usize) -> Result<OfBlock, ArrowError> {
    let mut spans = SpanBuilder::default();
    let mut logs = LogBuilder::default();
    let mut points = PointBuilder::default();
    let mut sampled = Vec::new();
    let mut read = [0; 3];
    let [span_count, point_count, log_count] = &mut read;
    let tally = for_each_message(
        block,
        |_, line, data: spans::Message<'_>| {
            let mut wanted: Vec<(usize, u64, SpanKey)> = Vec::new();
            let mut index = 0;
            for resource in &data {
                let attributes = resource.resource.attributes();
                for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                    let trace = match span.trace_id {
                        TraceId(0) => [u64::MAX, u64::from(block.sequence) << 32 | *span_count],
                        TraceId(id) => [(id >> 64) as u64, id as u64],
                    };
                    spans.span(attributes, span, trace);
                    let key = (trace, span.span_id.0);
                    let hash = sample::span_hash(key);
                    if hash <= limit {
                        wanted.push((index, hash, key));
                    }
                    index += 1;
                    *span_count += 1;
                }
            }
            if !wanted.is_empty() {
                sampled.extend(sample::read(line, &wanted));
            }
        },
        |_, _, data: Vec<_>| *point_count += points.message(&data),
        |_, _, data: Vec<_>| *log_count += logs.message(&data),
    );
    let to_arrow = |error: io::Error| ArrowError::from_external_error(Box::new(error));
    let (spans, logs, points) = (spans.finish()?, logs.finish()?, points.finish()?);
    let dealt = |batch: &RecordBatch, hashes: io::Result<Vec<u64>>| {
        hashes
            .and_then(|hashes| deal(batch, &hashes, partitions))
            .map_err(to_arrow)
    };
    let extent = extent(&spans)?;
    Ok(OfBlock {
        tally,
        read,
        sampled,
        extent,
        spans: dealt(&spans, trace_hashes::<SpanBatch>(&spans))?,
        logs: dealt(&logs, trace_hashes::<LogBatch>(&logs))?,
        points: dealt(&points, series_hashes(&points))?,
    })
}

/// First start and last end.
fn extent(spans: &RecordBatch) -> Result<Option<(i64, i64)>, ArrowError> {
    let view = SpanBatch::view(spans)?;
    let starts = view.start_ns.iter().flatten().min();
    let ends = view.end_ns.iter().flatten().max();
    Ok(starts.map(|start| (start, ends.unwrap_or(start).max(start))))
}

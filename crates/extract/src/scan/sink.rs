//! Takes what is decoded and makes records of it, dealt into partitions.
//!
//! Records are given away in parts, so that not even a message of millions of items is in memory as
//! a whole. Items of a message that is not known to be good yet can still be taken back.

use std::ops::Range;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use arrow_select::filter::filter_record_batch;
use loadgen_otlp::view::{LogRecord, Metric, Point, Resource, Scope, Span, TraceId};
use loadgen_otlp::{Origin, Owner, Sink, UNDO_ITEMS};

use super::batch::Batch;
use super::records::{LogBatch, LogBuilder, PointBuilder, SpanBatch, SpanBuilder};
use super::resource::ResourceAttributes;
use super::sample::{self, SampledSpan};
use super::spool::{Dealt, deal};
use super::{series_hashes, trace_hashes};

/// A part is given away from so many bytes of text on.
const PART_TEXT_BYTES: usize = 16 << 20;

/// A part is given away from so many records on.
const PART_RECORDS: usize = UNDO_ITEMS as usize;

/// Text of the records of one message that is not known to be good yet. What has more is taken for
/// bad: names that are repeated for each of many items can make gigabytes of a few megabytes.
const MAX_UNDO_TEXT_BYTES: usize = 512 << 20;

/// Records of a part of a unit, and what was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Spans, data points and log records.
    pub(super) read: [u64; 3],
    pub(super) spans: Vec<Dealt>,
    pub(super) points: Vec<Dealt>,
    pub(super) logs: Vec<Dealt>,
    pub(super) sampled: Vec<SampledSpan>,
    /// First start and last end of spans, Unix nanoseconds.
    pub(super) extent: Option<(i64, i64)>,
}

/// Makes records of one unit.
pub(super) struct Records<G> {
    unit: u64,
    /// Up to which hash spans are wanted in the sample.
    sample_limit: u64,
    partitions: usize,
    give: G,
    spans: Signal<SpanBuilder>,
    points: Signal<PointBuilder>,
    logs: Signal<LogBuilder>,
    sampled: Vec<SampledSpan>,
    resource: ResourceAttributes,
    /// Spans in the unit so far.
    place: u64,
    message: Message,
    /// Messages that are too large as records.
    pub(super) refused: Vec<u64>,
    error: Option<ArrowError>,
}

/// Records of a signal, those of bad messages included.
#[derive(Default)]
struct Signal<B> {
    builder: B,
    records: usize,
    taken_back: Vec<Range<usize>>,
    /// Where those of the message begin that is being read.
    message: usize,
}

impl<B> Signal<B> {
    /// Without those of the message that is being read.
    fn undo(&mut self) {
        if self.records > self.message {
            self.taken_back.push(self.message..self.records);
        }
        self.message = self.records;
    }

    fn good(&mut self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        (self.records, self.message) = (0, 0);
        let bad = std::mem::take(&mut self.taken_back);
        if bad.is_empty() {
            return Ok(batch);
        }
        let is_good = |row: usize| !bad.iter().any(|range| range.contains(&row));
        let good: BooleanArray = (0..batch.num_rows())
            .map(|row| Some(is_good(row)))
            .collect();
        filter_record_batch(&batch, &good)
    }
}

/// The message that is being read.
#[derive(Default)]
struct Message {
    number: u64,
    items: u64,
    /// Of the sample before it.
    sampled: usize,
    is_refused: bool,
}

impl<G: FnMut(Part)> Records<G> {
    pub(super) fn new(unit: u64, sample_limit: u64, partitions: usize, give: G) -> Self {
        Self {
            unit,
            sample_limit,
            partitions,
            give,
            spans: Signal::default(),
            points: Signal::default(),
            logs: Signal::default(),
            sampled: Vec::new(),
            resource: ResourceAttributes::default(),
            place: 0,
            message: Message::default(),
            refused: Vec::new(),
            error: None,
        }
    }

    /// Gives away what is left. Gives the messages that were refused.
    pub(super) fn finish(mut self) -> Result<Vec<u64>, ArrowError> {
        self.give_away();
        self.error.map_or(Ok(self.refused), Err)
    }

    fn give_away(&mut self) {
        match self.part() {
            Ok(part) => (self.give)(part),
            Err(error) => self.error = Some(error),
        }
    }

    fn part(&mut self) -> Result<Part, ArrowError> {
        let spans = self.spans.builder.finish()?;
        let spans = self.spans.good(spans)?;
        let points = self.points.builder.finish()?;
        let points = self.points.good(points)?;
        let logs = self.logs.builder.finish()?;
        let logs = self.logs.good(logs)?;
        self.message.sampled = 0;
        let deal = |batch: &RecordBatch, hashes: std::io::Result<Vec<u64>>| {
            hashes
                .and_then(|hashes| deal(batch, &hashes, self.partitions))
                .map_err(|error| ArrowError::from_external_error(Box::new(error)))
        };
        Ok(Part {
            read: [&spans, &points, &logs].map(|batch| batch.num_rows() as u64),
            extent: extent(&spans)?,
            spans: deal(&spans, trace_hashes::<SpanBatch>(&spans))?,
            points: deal(&points, series_hashes(&points))?,
            logs: deal(&logs, trace_hashes::<LogBatch>(&logs))?,
            sampled: std::mem::take(&mut self.sampled),
        })
    }

    fn text_bytes(&self) -> usize {
        let spans = self.spans.builder.text_bytes();
        spans + self.points.builder.text_bytes() + self.logs.builder.text_bytes()
    }

    fn records(&self) -> usize {
        self.spans.records + self.points.records + self.logs.records
    }

    fn is_large(&self) -> bool {
        self.records() >= PART_RECORDS || self.text_bytes() >= PART_TEXT_BYTES
    }

    /// Whether the next item is taken; gives away those before it where that is due.
    fn takes_next(&mut self) -> bool {
        if self.message.is_refused {
            return false;
        }
        self.message.items += 1;
        if self.message.items > UNDO_ITEMS {
            if self.is_large() {
                self.give_away();
            }
        } else if self.text_bytes() > MAX_UNDO_TEXT_BYTES {
            self.message.is_refused = true;
            self.refused.push(self.message.number);
            self.undo();
            return false;
        }
        true
    }
}

impl<G: FnMut(Part)> Sink for Records<G> {
    fn wants(&self, owner: Owner, _: &str) -> bool {
        owner != Owner::Scope
    }

    fn begin(&mut self, message: u64) {
        if self.is_large() {
            self.give_away();
        }
        self.message = Message {
            number: message,
            sampled: self.sampled.len(),
            ..Message::default()
        };
        self.spans.message = self.spans.records;
        self.points.message = self.points.records;
        self.logs.message = self.logs.records;
    }

    fn undo(&mut self) {
        self.spans.undo();
        self.points.undo();
        self.logs.undo();
        self.sampled.truncate(self.message.sampled);
    }

    fn resource(&mut self, resource: &Resource<'_>) {
        self.resource = ResourceAttributes::of(resource);
    }

    fn span(&mut self, origin: Origin<'_, '_>, span: &Span<'_>) {
        if !self.takes_next() {
            return;
        }
        let trace = match span.trace_id {
            TraceId(0) => [u64::MAX, self.unit << 32 | self.place],
            TraceId(id) => [(id >> 64) as u64, id as u64],
        };
        self.place += 1;
        self.spans.records += 1;
        self.spans.builder.span(&self.resource, span, trace);
        let key = (trace, span.span_id.0);
        let hash = sample::span_hash(key);
        if hash <= self.sample_limit {
            let sampled = SampledSpan::new(hash, key, &self.resource, origin.resource, span);
            self.sampled.push(sampled);
        }
    }

    fn point(&mut self, origin: Origin<'_, '_>, metric: &Metric<'_>, point: &Point<'_>) {
        if !self.takes_next() {
            return;
        }
        self.points.records += 1;
        let builder = &mut self.points.builder;
        builder.point(&self.resource, origin.scope, metric, point);
    }

    fn log_record(&mut self, origin: Origin<'_, '_>, record: &LogRecord<'_>) {
        if !self.takes_next() {
            return;
        }
        self.logs.records += 1;
        let Scope { name, .. } = origin.scope;
        self.logs.builder.record(&self.resource, name, record);
    }
}

/// First start and last end.
fn extent(spans: &RecordBatch) -> Result<Option<(i64, i64)>, ArrowError> {
    let view = SpanBatch::view(spans)?;
    let starts = view.start_ns.iter().flatten().min();
    let ends = view.end_ns.iter().flatten().max();
    Ok(starts.map(|start| (start, ends.unwrap_or(start).max(start))))
}

#[cfg(test)]
mod tests {
    use loadgen_otlp::read_json;

    use super::*;

    /// Reads messages and gives the parts.
    fn parts(messages: &[String]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut records = Records::new(0, 0, 4, |part| parts.push(part));
        for (number, message) in messages.iter().enumerate() {
            records.begin(number as u64);
            let _ = read_json(message.as_bytes(), &mut records);
        }
        records.finish().expect("records");
        parts
    }

    fn message(spans: usize, end: &str) -> String {
        let spans = vec!["{}"; spans].join(",");
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{spans}]}}]}}]{end}")
    }

    #[test]
    fn items_of_a_bad_message_are_taken_back_and_those_around_it_stay() {
        let read = |messages: &[String]| {
            let parts = parts(messages);
            parts.iter().map(|part| part.read[0]).sum::<u64>()
        };
        assert_eq!(read(&[message(3, "}"), message(5, ""), message(2, "}")]), 5);
        let large = PART_RECORDS + 10;
        assert_eq!(
            read(&[message(3, "}"), message(large, ""), message(2, "}")]),
            5
        );
        assert_eq!(
            read(&[message(3, "}"), message(large, "}")]),
            large as u64 + 3
        );
    }

    #[test]
    fn a_message_of_many_items_comes_in_parts() {
        let parts = parts(&[message(3 * PART_RECORDS, "}")]);
        let most = parts.iter().map(|part| part.read[0]).max();
        assert!(
            most.is_some_and(|most| most <= 2 * PART_RECORDS as u64),
            "{most:?}"
        );
        assert!(parts.len() >= 2);
    }
}

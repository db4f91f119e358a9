//! Takes what is decoded and makes records of it, dealt into partitions.
//!
//! Records are given away in parts, so that not even a message of millions of items is in memory as
//! a whole. Items of a message that is not known to be good yet can still be taken back.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use loadgen_otlp::view::{LogRecord, Metric, Point, Resource, Scope, Span, TraceId, UnixNanos};
use loadgen_otlp::{Origin, Owner, Sink, UNDO_ITEMS};

use super::http::HttpAttributes;
use super::packed::{Mark, Packed};
use super::resource::ResourceAttributes;
use super::sample::{self, Features, SampledSpan};
use super::spool::hash;
use super::{logs, points, spans};

/// A part is given away from so many bytes of text on.
const PART_TEXT_BYTES: usize = 16 << 20;

/// A part is given away from so many records on.
const PART_RECORDS: usize = UNDO_ITEMS as usize;

/// Memory of a part that is kept to be used again: units of 1 MiB have parts of less.
const MAX_SPARE_BYTES: usize = 4 << 20;

/// Text of the records of one message that is not known to be good yet. What has more is taken for
/// bad: names that are repeated for each of many items can make gigabytes of a few megabytes.
const MAX_UNDO_TEXT_BYTES: usize = 512 << 20;

/// Records of a part of a unit, and what was seen on the way.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) spans: Packed,
    pub(super) points: Packed,
    pub(super) logs: Packed,
    pub(super) sampled: Vec<SampledSpan>,
    pub(super) extent: Extent,
}

/// Parts that were dealt, whose memory is used again: what grows anew for each unit costs copies,
/// and pages that the kernel has to clear.
#[derive(Debug, Default)]
pub(super) struct SpareParts(Mutex<Vec<Part>>);

impl SpareParts {
    /// An empty part.
    pub(super) fn take(&self) -> Part {
        let spare = self.0.lock().ok().and_then(|mut parts| parts.pop());
        spare.unwrap_or_default()
    }

    /// Takes back a part, whose sampled spans were taken, unless it is one of the few large ones.
    pub(super) fn put(&self, mut part: Part) {
        let rows = [&mut part.spans, &mut part.points, &mut part.logs];
        let bytes: usize = rows.iter().map(|rows| rows.capacity()).sum();
        rows.into_iter().for_each(Packed::clear);
        part.extent = Extent::default();
        // A lock is poisoned where a worker panicked, which ends all.
        if bytes <= MAX_SPARE_BYTES
            && let Ok(mut parts) = self.0.lock()
        {
            parts.push(part);
        }
    }
}

/// First start and last end of spans, Unix nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    first_start: Option<i64>,
    last_end: Option<i64>,
}

impl Extent {
    fn with(self, span: &Span<'_>) -> Self {
        let start = span.start_time_unix_nano.get();
        Self {
            first_start: self.first_start.into_iter().chain(start).min(),
            last_end: self.last_end.max(span.end_time_unix_nano.get()),
        }
    }

    /// From the first start to the last end; none where no start is known.
    pub(super) fn get(self) -> Option<(i64, i64)> {
        let start = self.first_start?;
        Some((start, self.last_end.unwrap_or(start).max(start)))
    }
}

/// Makes records of one unit.
pub(super) struct Records<G> {
    unit: u64,
    /// What is added to each time, nanoseconds.
    shift_ns: i64,
    /// Up to which hash spans are wanted in the sample.
    sample_limit: u64,
    give: G,
    part: Part,
    resource: ResourceAttributes,
    /// What sampled spans of the resource have in common, once there is one.
    of_resource: Option<Arc<Features>>,
    /// Spans in the unit so far.
    place: u64,
    message: Message,
    /// Messages that are too large as records.
    refused: Vec<u64>,
}

/// The message that is being read, and what was there before it.
#[derive(Default)]
struct Message {
    number: u64,
    items: u64,
    spans: Mark,
    points: Mark,
    logs: Mark,
    sampled: usize,
    extent: Extent,
    is_refused: bool,
}

impl<G: FnMut(Part)> Records<G> {
    /// Of the unit with this number; `part` is an empty one.
    pub(super) fn new(unit: u64, shift_ns: i64, sample_limit: u64, part: Part, give: G) -> Self {
        Self {
            unit,
            shift_ns,
            sample_limit,
            give,
            part,
            resource: ResourceAttributes::default(),
            of_resource: None,
            place: 0,
            message: Message::default(),
            refused: Vec::new(),
        }
    }

    /// Gives away what is left. Gives the messages that were refused.
    pub(super) fn finish(mut self) -> Vec<u64> {
        self.give_away();
        self.refused
    }

    fn give_away(&mut self) {
        (self.give)(std::mem::take(&mut self.part));
        self.message = Message {
            number: self.message.number,
            items: self.message.items,
            is_refused: self.message.is_refused,
            ..Message::default()
        };
    }

    fn text_bytes(&self) -> usize {
        let Part {
            spans,
            points,
            logs,
            ..
        } = &self.part;
        spans.text_bytes() + points.text_bytes() + logs.text_bytes()
    }

    fn records(&self) -> usize {
        self.part.spans.len() + self.part.points.len() + self.part.logs.len()
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
        let part = &self.part;
        self.message = Message {
            number: message,
            items: 0,
            spans: part.spans.mark(),
            points: part.points.mark(),
            logs: part.logs.mark(),
            sampled: part.sampled.len(),
            extent: part.extent,
            is_refused: false,
        };
    }

    fn undo(&mut self) {
        let (part, message) = (&mut self.part, &mut self.message);
        message.items = 0;
        part.spans.cut(message.spans);
        part.points.cut(message.points);
        part.logs.cut(message.logs);
        part.sampled.truncate(message.sampled);
        part.extent = message.extent;
    }

    fn resource(&mut self, resource: &Resource<'_>) {
        self.resource = ResourceAttributes::of(resource);
        self.of_resource = None;
    }

    fn span(&mut self, origin: Origin<'_, '_>, span: &Span<'_>) {
        if !self.takes_next() {
            return;
        }
        let span = shifted(span, self.shift_ns, |span| {
            [&mut span.start_time_unix_nano, &mut span.end_time_unix_nano]
        });
        let span = &*span;
        let trace = match span.trace_id {
            TraceId(0) => [u64::MAX, self.unit << 32 | self.place],
            TraceId(id) => [(id >> 64) as u64, id as u64],
        };
        self.place += 1;
        self.part.extent = self.part.extent.with(span);
        let of_trace = hash(trace);
        let (part, resource) = (&mut self.part, &self.resource);
        let http = HttpAttributes::of(span);
        spans::pack(&mut part.spans, resource, span, &http, trace, of_trace);
        let hash = sample::span_hash(of_trace, span.span_id.0);
        if hash <= self.sample_limit {
            let key = (trace, span.span_id.0);
            let of_resource = self
                .of_resource
                .get_or_insert_with(|| sample::of_resource(origin.resource));
            let sampled = SampledSpan::new(hash, key, resource, of_resource, span, &http);
            part.sampled.push(sampled);
        }
    }

    fn point(&mut self, origin: Origin<'_, '_>, metric: &Metric<'_>, point: &Point<'_>) {
        if !self.takes_next() {
            return;
        }
        let point = shifted(point, self.shift_ns, |point| {
            [&mut point.start_time_unix_nano, &mut point.time_unix_nano]
        });
        let rows = &mut self.part.points;
        points::pack(rows, &self.resource, origin.scope, metric, &point);
    }

    fn log_record(&mut self, origin: Origin<'_, '_>, record: &LogRecord<'_>) {
        if !self.takes_next() {
            return;
        }
        let record = shifted(record, self.shift_ns, |record| {
            [
                &mut record.time_unix_nano,
                &mut record.observed_time_unix_nano,
            ]
        });
        let Scope { name, .. } = origin.scope;
        logs::pack(&mut self.part.logs, &self.resource, name, &record);
    }
}

/// An item whose times are so much later, nanoseconds; one that is not known stays so.
fn shifted<T: Clone>(
    item: &T,
    ns: i64,
    times: impl FnOnce(&mut T) -> [&mut UnixNanos; 2],
) -> Cow<'_, T> {
    if ns == 0 {
        return Cow::Borrowed(item);
    }
    let mut item = item.clone();
    for time in times(&mut item) {
        let later = time.get().map(|time| time.saturating_add(ns));
        let later = later.and_then(|time| u64::try_from(time).ok());
        *time = UnixNanos::new(later.unwrap_or(0));
    }
    Cow::Owned(item)
}

#[cfg(test)]
mod tests {
    use loadgen_otlp::read_json;

    use super::*;

    /// Reads messages and gives the parts.
    fn parts(messages: &[String]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut records = Records::new(0, 0, 0, Part::default(), |part| parts.push(part));
        for (number, message) in messages.iter().enumerate() {
            records.begin(number as u64);
            let _ = read_json(message.as_bytes(), &mut records);
        }
        records.finish();
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
            parts.iter().map(|part| part.spans.len()).sum::<usize>()
        };
        assert_eq!(read(&[message(3, "}"), message(5, ""), message(2, "}")]), 5);
        let large = PART_RECORDS + 10;
        assert_eq!(
            read(&[message(3, "}"), message(large, ""), message(2, "}")]),
            5
        );
        assert_eq!(read(&[message(3, "}"), message(large, "}")]), large + 3);
    }

    #[test]
    fn a_message_of_many_items_comes_in_parts() {
        let parts = parts(&[message(3 * PART_RECORDS, "}")]);
        let most = parts.iter().map(|part| part.spans.len()).max();
        assert!(
            most.is_some_and(|most| most <= 2 * PART_RECORDS),
            "{most:?}"
        );
        assert!(parts.len() >= 2);
    }
}

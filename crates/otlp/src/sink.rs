//! Who takes what is read: one span, data point or log record at a time.

use crate::view::{LogRecord, Metric, Point, Resource, Scope, Span};

/// Items of one message that a sink may have to take back; see [`Sink::undo`].
pub const UNDO_ITEMS: u64 = 1 << 16;

/// The signals of OpenTelemetry that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

/// What attributes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A resource.
    Resource,
    /// A scope.
    Scope,
    /// A span.
    Span,
    /// A data point.
    Point,
    /// A log record.
    LogRecord,
}

/// Who speaks.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'o, 'a> {
    /// Who sent it.
    pub resource: &'o Resource<'a>,
    /// What made it.
    pub scope: &'o Scope<'a>,
}

/// Takes what is read, in the order of the message.
///
/// Of each message the calls are [`begin`](Sink::begin), then for each resource that has items
/// [`resource`](Sink::resource), for each of its scopes [`scope`](Sink::scope), and for each item
/// one of [`span`](Sink::span), [`point`](Sink::point) and [`log_record`](Sink::log_record). If the
/// message turns out to be bad, [`undo`](Sink::undo) is the last call.
///
/// Everything that is handed over is borrowed from the message and gone after the call.
pub trait Sink {
    /// Whether the value of an attribute is worth reading. What is not wanted is passed over
    /// without allocation and isn't in the views.
    fn wants(&self, owner: Owner, key: &str) -> bool {
        let _ = (owner, key);
        true
    }

    /// A message begins: the number of messages before it in its file.
    fn begin(&mut self, message: u64) {
        let _ = message;
    }

    /// The message that began last can't be read, so nothing of it counts.
    ///
    /// A message is read once and handed on while it is read, so what is wrong with it may come to
    /// light late. There are never more than [`UNDO_ITEMS`] items to take back: before a message
    /// hands on more than these, all of it is checked.
    fn undo(&mut self) {}

    /// The items that follow are of this resource. It may have been here before.
    fn resource(&mut self, resource: &Resource<'_>) {
        let _ = resource;
    }

    /// The items that follow are of this scope. It may have been here before.
    fn scope(&mut self, scope: &Scope<'_>) {
        let _ = scope;
    }

    /// A span.
    fn span(&mut self, origin: Origin<'_, '_>, span: &Span<'_>) {
        let _ = (origin, span);
    }

    /// A data point of a metric.
    fn point(&mut self, origin: Origin<'_, '_>, metric: &Metric<'_>, point: &Point<'_>) {
        let _ = (origin, metric, point);
    }

    /// A log record.
    fn log_record(&mut self, origin: Origin<'_, '_>, record: &LogRecord<'_>) {
        let _ = (origin, record);
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages with traces.
    pub traces: u64,
    /// Messages with metrics.
    pub metrics: u64,
    /// Messages with logs.
    pub logs: u64,
    /// Spans in them.
    pub spans: u64,
    /// Data points in them.
    pub points: u64,
    /// Log records in them.
    pub log_records: u64,
}

impl Counts {
    /// Adds what was read elsewhere.
    pub fn add(&mut self, other: Counts) {
        self.traces += other.traces;
        self.metrics += other.metrics;
        self.logs += other.logs;
        self.spans += other.spans;
        self.points += other.points;
        self.log_records += other.log_records;
    }

    /// Messages with something of a signal.
    pub fn messages(&self, signal: Signal) -> u64 {
        match signal {
            Signal::Traces => self.traces,
            Signal::Metrics => self.metrics,
            Signal::Logs => self.logs,
        }
    }

    pub(crate) fn message(&mut self, signal: Signal) {
        match signal {
            Signal::Traces => self.traces += 1,
            Signal::Metrics => self.metrics += 1,
            Signal::Logs => self.logs += 1,
        }
    }

    pub(crate) fn items(&self) -> u64 {
        self.spans + self.points + self.log_records
    }
}

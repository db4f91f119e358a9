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

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];
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
/// message turns out to be bad, [`undo`](Sink::undo) is called, and is the last call unless the rest
/// of the message can be read without what is odd: then that follows.
///
/// Everything that is handed over is borrowed from the message and gone after the call.
pub trait Sink {
    /// Whether the value of an attribute is worth reading. What is not wanted is passed over
    /// without allocation and isn't in the views.
    fn wants(&self, _owner: Owner, _key: &str) -> bool {
        true
    }

    /// A message begins: the number of messages before it in its file.
    fn begin(&mut self, _message: u64) {}

    /// The message that began last can't be read as it was, so nothing of it counts so far.
    ///
    /// A message is read once and handed on while it is read, so what is wrong with it may come to
    /// light late. There are never more than [`UNDO_ITEMS`] items to take back: before a message
    /// hands on more than these, all of it is checked.
    fn undo(&mut self) {}

    /// The items that follow are of this resource. It may have been here before.
    fn resource(&mut self, _resource: &Resource<'_>) {}

    /// The items that follow are of this scope. It may have been here before.
    fn scope(&mut self, _scope: &Scope<'_>) {}

    /// A span.
    fn span(&mut self, _origin: Origin<'_, '_>, _span: &Span<'_>) {}

    /// A data point of a metric.
    fn point(&mut self, _origin: Origin<'_, '_>, _metric: &Metric<'_>, _point: &Point<'_>) {}

    /// A log record.
    fn log_record(&mut self, _origin: Origin<'_, '_>, _record: &LogRecord<'_>) {}
}

/// What was read, by signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    messages: [u64; 3],
    items: [u64; 3],
}

impl Counts {
    /// Messages with something of a signal.
    pub fn messages(&self, signal: Signal) -> u64 {
        self.messages[signal as usize]
    }

    /// Spans, data points or log records.
    pub fn items(&self, signal: Signal) -> u64 {
        self.items[signal as usize]
    }

    /// Spans, data points and log records.
    pub fn all_items(&self) -> u64 {
        self.items.iter().sum()
    }

    /// Adds what was read elsewhere.
    pub fn add(&mut self, other: Counts) {
        for signal in Signal::ALL {
            self.messages[signal as usize] += other.messages(signal);
            self.items[signal as usize] += other.items(signal);
        }
    }

    pub(crate) fn message(&mut self, signal: Signal) {
        self.messages[signal as usize] += 1;
    }

    pub(crate) fn item(&mut self, signal: Signal) {
        self.items[signal as usize] += 1;
    }
}

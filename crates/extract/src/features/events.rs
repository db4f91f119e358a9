//! What begins in a second, dealt by time: the tables over time need everything of a second at
//! once, and partitions hold everything of a trace.

use std::collections::BTreeMap;
use std::io;

use super::grid::Grid;
use crate::scan::batch::batch;
use crate::scan::spool::Dealt;

/// Kinds of spans, in the order of the columns.
pub(crate) const KINDS: usize = 5;

/// Severities of log records, in the order of the columns; the last is that which is not known.
pub(crate) const SEVERITIES: usize = 7;

batch! {
    /// Spans and log records by the second in which they begin.
    EventBatch, EventBuilder {
        /// The second, by its place in the grid.
        second: U32,
        service: Text,
        /// An `Event` as a number.
        what: U8,
        /// Duration of a span in nanoseconds; null where it is not known.
        duration_ns: I64,
    }
}

/// What begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A span of a kind, by its column, and whether it has an error.
    Span {
        /// Below [`KINDS`].
        kind: usize,
        error: bool,
    },
    /// A log record of a severity, by its column, below [`SEVERITIES`].
    Log(usize),
}

impl Event {
    pub(crate) fn number(self) -> u8 {
        match self {
            Event::Span { kind, error } => 2 * kind as u8 + u8::from(error),
            Event::Log(severity) => (2 * KINDS + severity) as u8,
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        let number = usize::from(number);
        match number.checked_sub(2 * KINDS) {
            Some(severity) => Event::Log(severity.min(SEVERITIES - 1)),
            None => Event::Span {
                kind: number / 2,
                error: number % 2 == 1,
            },
        }
    }
}

/// The column of a span's kind, by OTLP's number: server, client, internal, producer, consumer. A
/// kind that is not said is internal, as OTLP has it.
pub(crate) fn kind_column(kind: u8) -> usize {
    match kind {
        2 => 0,
        3 => 1,
        4 => 3,
        5 => 4,
        _ => 2,
    }
}

/// The column of a log record's severity, by OTLP's number, or else by its text.
pub(crate) fn severity_column(number: i32, text: &str) -> usize {
    match number {
        1..=24 => (number - 1) as usize / 4,
        _ => match text.to_ascii_lowercase().as_str() {
            "trace" => 0,
            "debug" => 1,
            "info" | "information" | "informational" | "notice" => 2,
            "warn" | "warning" => 3,
            "err" | "error" => 4,
            "fatal" | "critical" | "crit" | "alert" | "emerg" | "emergency" | "panic" => 5,
            _ => SEVERITIES - 1,
        },
    }
}

/// Collects events by the slice of time that they lie in.
pub(crate) struct Events<'g> {
    grid: &'g Grid,
    slices: usize,
    by_slice: BTreeMap<usize, EventBuilder>,
}

impl<'g> Events<'g> {
    pub(crate) fn new(grid: &'g Grid, slices: usize) -> Self {
        Self {
            grid,
            slices,
            by_slice: BTreeMap::new(),
        }
    }

    /// Adds what began at a moment, in Unix nanoseconds. What lies outside of the grid is left out.
    pub(crate) fn push(&mut self, at_ns: i64, service: &str, event: Event, duration: Option<i64>) {
        let Some(second) = self.grid.second(at_ns) else {
            return;
        };
        let slice = self.grid.slice_of(second, self.slices);
        let of = self.by_slice.entry(slice).or_default();
        of.second.append_value(second as u32);
        of.service.append_value(service);
        of.what.append_value(event.number());
        of.duration_ns.append_option(duration);
    }

    /// What was collected, by slice.
    pub(crate) fn finish(self) -> io::Result<Vec<Dealt>> {
        let finish = |(slice, mut of): (usize, EventBuilder)| {
            Ok((slice, of.finish().map_err(io::Error::other)?))
        };
        self.by_slice.into_iter().map(finish).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_from_their_numbers() {
        let spans =
            (0..KINDS).flat_map(|kind| [false, true].map(|error| Event::Span { kind, error }));
        for event in spans.chain((0..SEVERITIES).map(Event::Log)) {
            assert_eq!(Event::from_number(event.number()), event);
        }
    }

    #[test]
    fn a_severity_goes_by_its_number_or_else_by_its_text() {
        let columns = [1, 4, 5, 9, 12, 13, 17, 21, 24].map(|n| severity_column(n, "debug"));
        assert_eq!(columns, [0, 0, 1, 2, 2, 3, 4, 5, 5]);
        assert_eq!(severity_column(0, "WARNING"), 3);
        assert_eq!(severity_column(0, ""), 6);
        assert_eq!(severity_column(99, "odd"), 6);
    }
}

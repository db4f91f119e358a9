//! What is noted of each thing, in records of fixed size.

use bytemuck::{Pod, Zeroable};

use super::{Spool, partition, partitions};
use crate::telemetry::scalar::TraceId;
use std::io;
use std::path::Path;

/// Where in the input a thing is. It finds the thing again in the second pass, also when a
/// message before it can be read in one pass and not in the other.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub(crate) struct Key {
    /// Number of the block over all files.
    pub(crate) block: u32,
    /// Number of the message in the block.
    pub(crate) message: u32,
    /// Number of the thing in the message.
    pub(crate) index: u32,
}

/// A trace id as two numbers.
pub(crate) type Trace = [u64; 2];

/// A trace id as two numbers.
pub(crate) fn trace(id: TraceId) -> Trace {
    [(id.0 >> 64) as u64, id.0 as u64]
}

/// A span. Times are Unix nanoseconds, 0 where they are not known.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct SpanHead {
    pub(crate) trace: Trace,
    pub(crate) span: u64,
    pub(crate) parent: u64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The trace that its first link leads to; zeros: none.
    pub(crate) link: Trace,
    pub(crate) key: Key,
    /// Which resource, by the order of their coming.
    pub(crate) resource: u32,
    /// Which name, by the order of their coming.
    pub(crate) name: u32,
    /// Which evidence of a header, by the order of their coming; 0: none.
    pub(crate) evidence: u32,
    pub(crate) kind: u8,
    pub(crate) status: u8,
    /// It has no trace id and is a trace of its own; `trace` stands for its place.
    pub(crate) alone: u8,
    pub(crate) pad: [u8; 5],
}

/// A log record that has a trace id.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct LogHead {
    pub(crate) trace: Trace,
    pub(crate) key: Key,
    pub(crate) pad: u32,
}

/// A request of the ledger.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct RequestHead {
    pub(crate) trace: Trace,
    pub(crate) span: u64,
    pub(crate) sent: i64,
    pub(crate) finished: i64,
    pub(crate) scenario: u32,
    /// 1: it was handed to the network.
    pub(crate) sent_out: u32,
}

/// A data point of a metric. Times are Unix nanoseconds, 0 where they are not known.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct PointHead {
    /// Hash of all that makes up its series.
    pub(crate) series: u64,
    pub(crate) start: i64,
    pub(crate) time: i64,
    /// Value of a sum, count of a histogram or a summary.
    pub(crate) value: f64,
    pub(crate) key: Key,
    /// A [`Kind`](crate::join::interval::Kind) as its number.
    pub(crate) kind: u32,
}

/// All that the first pass noted.
#[derive(Debug)]
pub(crate) struct Heads {
    pub(crate) spans: Spool<SpanHead>,
    pub(crate) logs: Spool<LogHead>,
    pub(crate) requests: Spool<RequestHead>,
    pub(crate) points: Spool<PointHead>,
    partitions: usize,
}

impl Heads {
    /// For an input of so many bytes.
    pub(crate) fn new(folder: &Path, input_bytes: u64) -> io::Result<Self> {
        let partitions = partitions(input_bytes);
        Ok(Self {
            spans: Spool::new(folder, partitions)?,
            logs: Spool::new(folder, partitions)?,
            requests: Spool::new(folder, partitions)?,
            points: Spool::new(folder, partitions)?,
            partitions,
        })
    }

    pub(crate) fn span(&mut self, head: SpanHead) -> io::Result<()> {
        self.spans.push(self.of(super::hash(head.trace)), head)
    }

    pub(crate) fn log(&mut self, head: LogHead) -> io::Result<()> {
        self.logs.push(self.of(super::hash(head.trace)), head)
    }

    pub(crate) fn request(&mut self, head: RequestHead) -> io::Result<()> {
        self.requests.push(self.of(super::hash(head.trace)), head)
    }

    pub(crate) fn point(&mut self, head: PointHead) -> io::Result<()> {
        self.points.push(self.of(head.series), head)
    }

    fn of(&self, hash: u64) -> usize {
        partition(hash, self.partitions)
    }
}

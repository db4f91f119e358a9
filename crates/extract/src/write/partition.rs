//! A partition of traces, and what is said of each of them.

use crate::dataset::said::{LabelTexts, Said};
use crate::label::records::{LogMarkBatch, SpanMarkBatch, TraceBatch};
use crate::label::shape::ShapeBatch;
use crate::label::truth::Foreign;
use crate::scan::records::{LogBatch, SpanBatch};

/// A partition of traces: what was scanned of that which has marks, and what was said of it.
#[derive(Debug)]
pub(crate) struct TracePartition {
    pub(crate) spans: SpanBatch,
    pub(crate) logs: LogBatch,
    pub(crate) traces: TraceBatch,
    pub(crate) span_marks: SpanMarkBatch,
    pub(crate) shapes: ShapeBatch,
    pub(crate) log_marks: LogMarkBatch,
}

/// What is said of one trace.
#[derive(Debug)]
pub(crate) struct OfTrace<'p> {
    pub(crate) said: Said<'p>,
    pub(crate) condition: usize,
    pub(crate) moment_ns: Option<i64>,
    pub(crate) foreign: Option<Foreign>,
    pub(crate) sent_by: Option<&'p str>,
    pub(super) client_exposed: Option<bool>,
    pub(crate) touches: bool,
}

impl OfTrace<'_> {
    pub(super) fn is_of_the_run(&self) -> bool {
        self.foreign.is_none()
    }

    pub(super) fn label(&self) -> &LabelTexts {
        self.said.label
    }
}

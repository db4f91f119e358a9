//! What the label stage says of each trace and of each thing in it.

use crate::scan::batch::batch;

batch! {
    /// Traces of a partition, and requests of the ledger of which no span arrived.
    TraceBatch, TraceBuilder {
        /// Halves of its id; zeros: it has none.
        trace_high: U64,
        trace_low: U64,
        start_ns: I64,
        duration_ns: I64,
        root_service: Text,
        root_name: Text,
        has_root: Bool,
        /// Names, sorted, each once, `;` between them.
        services: Text,
        service_count: U32,
        depth: U32,
        /// 0: no span of it arrived.
        spans: U32,
        errors: U32,
        orphans: U32,
        duplicates: U32,
        late: U32,
        /// The moment by which it is labelled, Unix nanoseconds; null: not known.
        moment_ns: I64,
        /// A `LabelSource` as its number.
        source: U8,
        /// It has a span of a service that a fault is in.
        touches: Bool,
        /// A `Foreign` as its number.
        foreign: U8,
        /// The scenario that sent it.
        sent_by: Text,
        /// Whether its client is one that the fault is for; null: no fault is for some only.
        client_exposed: Bool,
        /// What headers say, where there is no timeline.
        header_type: Text,
        header_root_cause: Text,
        header_msg: Text,
    }
}

batch! {
    /// Spans, in the order of their traces.
    SpanMarkBatch, SpanMarkBuilder {
        /// Its row in the batch of spans.
        row: U32,
        /// Its trace's row in the batch of traces.
        trace: U32,
        late: Bool,
    }
}

batch! {
    /// Log records, in the order of their traces, last those without one.
    LogMarkBatch, LogMarkBuilder {
        row: U32,
        /// Null: it is labelled by its own time.
        trace: U32,
    }
}

batch! {
    /// Data points, in the order of their series.
    PointMarkBatch, PointMarkBuilder {
        row: U32,
        interval_start_ns: I64,
        increase: F64,
        /// A `Foreign` as its number.
        foreign: U8,
    }
}

//! Log records.

use std::borrow::Cow;

use super::merge::view;
use super::{AnyValue, KeyValue, Severity, SpanId, TraceId, UnixNanos};

view! {
    /// A log record.
    pub struct LogRecord<'a> {
        /// When it happened.
        1, time_unix_nano: UnixNanos,
        /// When it was first seen by OpenTelemetry.
        11, observed_time_unix_nano: UnixNanos,
        /// How bad it is.
        2, severity_number: Severity,
        /// The same in the words of whoever said it.
        3, severity_text: Cow<'a, str>,
        /// What is said.
        5, body: AnyValue<'a>,
        /// Those that the sink wants, in their order; a key may come twice.
        6, attributes: Vec<KeyValue<'a>>,
        /// The trace in which it was said.
        9, trace_id: TraceId,
        /// The span in which it was said.
        10, span_id: SpanId,
        /// The kind of event that it is.
        12, event_name: Cow<'a, str>,
    }
    passes over {
        4, name: Scalar,
        7, dropped_attributes_count: Scalar,
        8, flags: Scalar,
    }
}

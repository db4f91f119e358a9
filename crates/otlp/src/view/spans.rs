//! Spans, and who speaks in all three signals: resource and scope.

use std::borrow::Cow;

use super::merge::view;
use super::{KeyValue, SpanId, SpanKind, StatusCode, TraceId, UnixNanos};

view! {
    /// Who sent telemetry.
    pub struct Resource<'a> {
        /// Those that the sink wants.
        1, attributes: Vec<KeyValue<'a>>,
    }
    passes over {
        2, dropped_attributes_count: Scalar,
        3, entity_refs: Messages,
    }
}

view! {
    /// What made telemetry: the library or its instrumentation.
    pub struct Scope<'a> {
        /// Its name.
        1, name: Cow<'a, str>,
        /// Its version.
        2, version: Cow<'a, str>,
        /// Those that the sink wants.
        3, attributes: Vec<KeyValue<'a>>,
    }
    passes over {
        4, dropped_attributes_count: Scalar,
    }
}

view! {
    /// A span.
    pub struct Span<'a> {
        /// The trace that it belongs to.
        1, trace_id: TraceId,
        /// Its id, unique in the trace.
        2, span_id: SpanId,
        /// Its parent's id; none for a root.
        4, parent_span_id: SpanId,
        /// Its name.
        5, name: Cow<'a, str>,
        /// Which side of which exchange it is.
        6, kind: SpanKind,
        /// When it began.
        7, start_time_unix_nano: UnixNanos,
        /// When it ended.
        8, end_time_unix_nano: UnixNanos,
        /// Those that the sink wants, in their order; a key may come twice.
        9, attributes: Vec<KeyValue<'a>>,
        /// How it ended.
        15, status: Status,
        /// Other traces that it belongs to, such as that of the message which it handles.
        13, links: Vec<Link>,
    }
    passes over {
        16, flags: Scalar,
        3, trace_state: Scalar,
        11, events: Messages,
        10, dropped_attributes_count: Scalar,
        12, dropped_events_count: Scalar,
        14, dropped_links_count: Scalar,
    }
}

view! {
    /// How a span ended.
    pub struct Status {
        /// Whether it failed.
        3, code: StatusCode,
    }
    passes over {
        2, message: Scalar,
    }
}

view! {
    /// Another span that a span belongs to.
    pub struct Link {
        /// Its trace.
        1, trace_id: TraceId,
        /// Its id.
        2, span_id: SpanId,
    }
    passes over {
        3, trace_state: Scalar,
        4, attributes: Messages,
        5, dropped_attributes_count: Scalar,
        6, flags: Scalar,
    }
}

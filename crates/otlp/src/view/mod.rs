//! What a reader sees of telemetry: spans, data points and log records, one at a time, borrowed
//! from the message.
//!
//! These types hold what a dataset is made of and leave out the rest (events, exemplars, counts of
//! what was dropped). The fields are called what they are called in OTLP; the number before a
//! field is that in OTLP's `.proto` files, from which protobuf is read.

mod logs;
mod merge;
mod metrics;
mod plain;
mod scalar;
mod spans;
mod value;

pub use logs::LogRecord;
pub use metrics::{Buckets, Metric, MetricKind, NO_RECORDED_VALUE, Point, QuantileValue};
pub use plain::{PlainDouble, PlainObject};
pub use scalar::{Severity, SpanId, SpanKind, StatusCode, Temporality, TraceId, UnixNanos};
pub use spans::{Link, Resource, Scope, Span, Status};
pub use value::{AnyValue, KeyValue};

pub(crate) use merge::{Keep, MAX_ELEMENTS, Merge, Odd};

//! What is observed of spans, calls between services, traces and metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a span, as in OTLP.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// Not said.
    Unspecified,
    /// Within a service.
    Internal,
    /// Answers a call.
    Server,
    /// Makes a call.
    Client,
    /// Sends a message.
    Producer,
    /// Works on a message.
    Consumer,
}

impl SpanKind {
    /// By OTLP's number; numbers that are not known count as 0.
    pub fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// An operation of a service: what is compared with itself, and with nothing else.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Operation {
    /// Name of the span, such as `GET /product/{sku}`.
    pub name: String,
    /// Kind of the span.
    pub kind: SpanKind,
}

/// Two services of which one calls the other.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Edge {
    /// Who calls. May be the load generator.
    pub caller: String,
    /// Who is called.
    pub callee: String,
}

/// One entry of a trace into a service: a span of kind server or consumer, or one without a parent
/// in its own service.
///
/// The order of the fields is the order of observations: by the hash of the trace first. It makes a
/// sample independent of the order in which observations came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanObservation {
    /// [`trace_hash()`](crate::trace_hash()) of the trace id.
    pub trace: u64,
    /// When the trace's request was sent, Unix ns.
    pub moment_ns: i64,
    /// When the span itself began, Unix ns: requests are counted by it, for metrics per request.
    pub start_ns: i64,
    /// End minus start, ns.
    pub duration_ns: i64,
    /// The part of the duration in which the service did not wait for another one, ns: without the
    /// time covered by its calls (spans below, in the same service) that a span of another service
    /// answers. Calls that nobody answers with a span, as those to a database or to an outside
    /// party, stay in.
    pub own_ns: i64,
    /// Duration of the caller's client span minus the duration, ns; only of a server span whose
    /// parent is a client span of another service, the load generator included. Here a service
    /// shows that has no time to take requests.
    pub gap_ns: Option<i64>,
    /// Spans below it in the same service, directly or over others of the same service.
    pub spans_below: u32,
    /// Its status is error.
    pub error: bool,
    /// A call below it to another service had an error: its own error may come from there.
    pub error_below: bool,
}

/// One call of a service by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallObservation {
    /// [`trace_hash()`](crate::trace_hash()) of the trace id.
    pub trace: u64,
    /// When the trace's request was sent, Unix ns.
    pub moment_ns: i64,
    /// Duration of the caller's span, ns.
    pub duration_ns: i64,
    /// That minus the duration of the callee's span, ns.
    pub gap_ns: i64,
    /// The status of the caller's span is error.
    pub error: bool,
}

/// A series of a metric. One service may have several of one name, by attributes and by instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Series {
    /// `service.name` of its resource.
    pub service: String,
    /// Name of the metric.
    pub metric: String,
    /// Unit as sent, in UCUM; empty where none was.
    pub unit: String,
    /// Whatever else tells the series of a metric apart: attributes of the point and of the
    /// resource, as text. The attribute values `hit` and `miss` are looked for in it, as JSON
    /// strings.
    pub attributes: String,
}

/// A point of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricPoint {
    /// Start of the time that it speaks of, Unix ns. Of a gauge the same as the end.
    pub interval_start_ns: i64,
    /// End of that time, Unix ns.
    pub end_ns: i64,
    /// What it says.
    pub reading: Reading,
}

/// What a point of a metric says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A level at the end of the interval: a gauge, or a sum that also falls.
    Level(f64),
    /// Growth in the interval, in the metric's unit: of a monotonic sum, or of the *sum* of a
    /// histogram or summary (not of its count).
    Increase(f64),
}

//! What happened to one request.

use serde::{Deserialize, Serialize};

/// One request, as the ledger keeps it. Times are Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// W3C trace id; the request is alone in its trace on the generator's side.
    pub trace_id: [u8; 16],
    /// Id of the generator's client span: the parent of the target's server span.
    pub span_id: [u8; 8],
    /// Index into the plan's scenarios.
    pub scenario: u16,
    /// Index into the plan's flows.
    pub flow: u16,
    /// Index into the flow's steps.
    pub step: u16,
    /// Number of the iteration within its scenario, counted from 0 in order of start.
    pub iteration: u64,
    /// When it was due.
    pub intended_ns: i64,
    /// When it was handed to the HTTP client.
    pub sent_ns: i64,
    /// When the whole answer had been read, or the request failed.
    pub finished_ns: i64,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// Why it counts as failed; none: it went as the flow expects.
    pub failure: Option<Failure>,
    /// Path and query as sent.
    pub path: Box<str>,
}

/// Why a request counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No complete answer within the step's timeout.
    Timeout,
    /// No connection.
    Connect,
    /// The exchange broke off.
    Io,
    /// An answer with a status that the step does not expect.
    Status,
    /// An answer of a media type that the step does not expect.
    ContentType,
    /// An answer that lacks a value which a later step needs.
    Capture,
    /// Ended by the engine: graceful stop, ramp-down, or a signal.
    Interrupted,
    /// Not sent, because it could not be built as the step asks for it.
    Request,
    /// Not sent, because the generator ran out of what a connection takes: file descriptors, or
    /// ports of its own.
    Generator,
}

impl Failure {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Failure; 9] = [
        Failure::Timeout,
        Failure::Connect,
        Failure::Io,
        Failure::Status,
        Failure::ContentType,
        Failure::Capture,
        Failure::Interrupted,
        Failure::Request,
        Failure::Generator,
    ];

    /// The name in the ledger, in `summary.json` and in `error.type`.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::Connect => "connect",
            Failure::Io => "io",
            Failure::Status => "status",
            Failure::ContentType => "content_type",
            Failure::Capture => "capture",
            Failure::Interrupted => "interrupted",
            Failure::Request => "request",
            Failure::Generator => "generator",
        }
    }
}

//! A line of logs: resources, scopes and records.

use serde::Deserialize;

use super::attribute::{AnyValue, KeyValue};
use super::resource::Resource;
use super::scalar::{Enum, Named, SpanId, Text, TraceId, UnixNanos, list};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceLogs<'a> {
    #[serde(borrow)]
    pub(crate) resource: Resource<'a>,
    #[serde(
        borrow,
        deserialize_with = "list",
        alias = "instrumentationLibraryLogs"
    )]
    pub(crate) scope_logs: Vec<ScopeLogs<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ScopeLogs<'a> {
    #[serde(borrow)]
    pub(crate) scope: Scope<'a>,
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) log_records: Vec<LogRecord<'a>>,
}

/// OTLP's `InstrumentationScope`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Scope<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) version: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LogRecord<'a> {
    pub(crate) time_unix_nano: UnixNanos,
    pub(crate) observed_time_unix_nano: UnixNanos,
    pub(crate) severity_number: Enum<SeverityNumber>,
    #[serde(borrow)]
    pub(crate) severity_text: Text<'a>,
    #[serde(borrow)]
    pub(crate) body: AnyValue<'a>,
    #[serde(borrow)]
    pub(crate) event_name: Text<'a>,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) attributes: Vec<KeyValue<'a>>,
}

#[derive(Debug)]
pub(crate) struct SeverityNumber;

impl Named for SeverityNumber {
    const PREFIX: &'static str = "SEVERITY_NUMBER_";
    const NAMES: &'static [&'static str] = &[
        "UNSPECIFIED",
        "TRACE",
        "TRACE2",
        "TRACE3",
        "TRACE4",
        "DEBUG",
        "DEBUG2",
        "DEBUG3",
        "DEBUG4",
        "INFO",
        "INFO2",
        "INFO3",
        "INFO4",
        "WARN",
        "WARN2",
        "WARN3",
        "WARN4",
        "ERROR",
        "ERROR2",
        "ERROR3",
        "ERROR4",
        "FATAL",
        "FATAL2",
        "FATAL3",
        "FATAL4",
    ];
    const EXPECTED: &'static str = "a severity, as its number or name";
}

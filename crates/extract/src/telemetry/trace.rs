//! A line of traces: resources, scopes and spans.

use serde::Deserialize;

use super::attribute::Picked;
use super::http::HttpAttributes;
use super::resource::Resource;
use super::scalar::{Enum, Named, SpanId, Text, TraceId, UnixNanos, list};

/// OTLP's `TracesData`, with what the dataset has columns for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracesData<'a> {
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceSpans<'a> {
    #[serde(borrow)]
    pub(crate) resource: Resource<'a>,
    #[serde(
        borrow,
        deserialize_with = "list",
        alias = "instrumentationLibrarySpans"
    )]
    pub(crate) scope_spans: Vec<ScopeSpans<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ScopeSpans<'a> {
    #[serde(borrow, deserialize_with = "list")]
    pub(crate) spans: Vec<Span<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Span<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: SpanId,
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) kind: Enum<SpanKind>,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) end_time_unix_nano: UnixNanos,
    #[serde(borrow)]
    pub(crate) attributes: Picked<HttpAttributes<'a>>,
    pub(crate) status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: Enum<StatusCode>,
}

/// OTLP's number for a span that answers a request.
pub(crate) const KIND_SERVER: i32 = 2;

/// Which side of which exchange a span is.
#[derive(Debug)]
pub(crate) struct SpanKind;

impl Named for SpanKind {
    const PREFIX: &'static str = "SPAN_KIND_";
    const NAMES: &'static [&'static str] = &[
        "UNSPECIFIED",
        "INTERNAL",
        "SERVER",
        "CLIENT",
        "PRODUCER",
        "CONSUMER",
    ];
    const EXPECTED: &'static str = "a span kind, as its number or name";
}

/// How a span ended.
#[derive(Debug)]
pub(crate) struct StatusCode;

impl Named for StatusCode {
    const PREFIX: &'static str = "STATUS_CODE_";
    const NAMES: &'static [&'static str] = &["UNSET", "OK", "ERROR"];
    const EXPECTED: &'static str = "a status code, as its number or name";
}

/// A line of traces with only what places a trace in time. It accepts every line that
/// [`TracesData`] accepts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TraceHeads {
    #[serde(deserialize_with = "list")]
    pub(crate) resource_spans: Vec<ResourceHeads>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceHeads {
    #[serde(deserialize_with = "list", alias = "instrumentationLibrarySpans")]
    pub(crate) scope_spans: Vec<ScopeHeads>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ScopeHeads {
    #[serde(deserialize_with = "list")]
    pub(crate) spans: Vec<SpanHead>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SpanHead {
    pub(crate) trace_id: TraceId,
    pub(crate) parent_span_id: SpanId,
    pub(crate) start_time_unix_nano: UnixNanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enums_come_as_numbers_or_names_and_zero_fields_are_left_out() {
        let line = r#"{"resourceSpans":[{"scopeSpans":[{"scope":{},"spans":[
            {"traceId":"00000000000000000000000000000001","spanId":"0000000000000002","name":"a",
             "kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_ERROR"},"flags":256},
            {"kind":2,"status":{}},{}]}],"schemaUrl":"x"}]}"#;
        let data: TracesData<'_> = serde_json::from_str(line).expect("valid line");
        let spans = &data.resource_spans[0].scope_spans[0].spans;
        assert_eq!((spans[0].kind.0, spans[0].status.code.0), (3, 2));
        assert_eq!((spans[1].kind.0, spans[1].status.code.0), (KIND_SERVER, 0));
        assert_eq!(spans[2].trace_id, TraceId(0));
    }

    #[test]
    fn a_line_of_another_signal_is_an_error() {
        let error = serde_json::from_str::<TracesData<'_>>(r#"{"resourceLogs":[]}"#);
        assert!(error.is_err_and(|e| e.to_string().contains("resourceSpans")));
    }
}

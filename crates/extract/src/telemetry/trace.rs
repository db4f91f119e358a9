//! A line of traces: resources, scopes and spans.

use serde::Deserialize;

use super::resource::Resource;
use super::scalar::{Enum, Named, SpanId, Text, TraceId, UnixNanos, list};

/// Spans of one resource. `A` is what is read of their attributes: each pass wants other ones.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    rename_all = "camelCase",
    bound = "A: Deserialize<'de> + Default"
)]
pub(crate) struct ResourceSpans<'a, A> {
    #[serde(borrow)]
    pub(crate) resource: Resource<'a>,
    #[serde(deserialize_with = "list", alias = "instrumentationLibrarySpans")]
    pub(crate) scope_spans: Vec<ScopeSpans<'a, A>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound = "A: Deserialize<'de> + Default")]
pub(crate) struct ScopeSpans<'a, A> {
    #[serde(
        borrow,
        deserialize_with = "list",
        bound = "A: Deserialize<'de> + Default"
    )]
    pub(crate) spans: Vec<Span<'a, A>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    rename_all = "camelCase",
    bound = "A: Deserialize<'de> + Default"
)]
pub(crate) struct Span<'a, A> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: SpanId,
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) kind: Enum<SpanKind>,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) end_time_unix_nano: UnixNanos,
    pub(crate) attributes: A,
    pub(crate) status: Status,
    #[serde(deserialize_with = "list")]
    pub(crate) links: Vec<Link>,
}

/// Another trace that a span belongs to, such as that of the message which it handles.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Link {
    pub(crate) trace_id: TraceId,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::line::{Skip, for_each_message};
    use serde::de::IgnoredAny;

    #[test]
    fn enums_come_as_numbers_or_names_and_zero_fields_are_left_out() {
        let line = r#"{"resourceSpans":[{"scopeSpans":[{"scope":{},"spans":[
            {"traceId":"00000000000000000000000000000001","spanId":"0000000000000002","name":"a",
             "kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_ERROR"},"flags":256},
            {"kind":2,"status":{}},{}]}],"schemaUrl":"x"}]}"#;
        let mut kinds = Vec::new();
        let block = crate::telemetry::input::Block {
            bytes: line.replace('\n', " ").into_bytes(),
            ..Default::default()
        };
        for_each_message(
            &block,
            |_, _, resources: Vec<ResourceSpans<'_, IgnoredAny>>| {
                let spans = &resources[0].scope_spans[0].spans;
                kinds.extend(
                    spans
                        .iter()
                        .map(|s| (s.kind.0, s.status.code.0, s.trace_id.0)),
                );
            },
            |_, _, _: Skip| (),
            |_, _, _: Skip| (),
        );
        assert_eq!(kinds, [(3, 2, 1), (KIND_SERVER, 0, 0), (0, 0, 0)]);
    }
}

//! Jaeger's JSON, as its user interface saves it and its query API answers: a trace with its spans,
//! and the processes that sent them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::input::{Input as _, Unasked};
use crate::json::cursor::Json;
use crate::problem::{Problem, Result};
use crate::sink::{Origin, Owner, Signal, Sink};
use crate::view::{
    AnyValue, KeyValue, Link, MAX_ELEMENTS, Odd, Resource, Scope, Span, SpanId, SpanKind,
    StatusCode, TraceId, UnixNanos,
};
use crate::walk::Walk;

/// Reads the traces of an answer of the query API: a list of them or a single one. What is no trace
/// is passed over and named.
pub(crate) fn traces<'a, S: Sink, const LENIENT: bool>(
    json: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
) -> Result<()> {
    walk.is_jaegers = true;
    let byte = json.byte();
    match json.peek() {
        b'{' => trace(json, walk, false),
        b'[' => json.array(|json, null| match null {
            true => {
                let byte = json.byte().saturating_sub("null".len());
                walk.not_read(byte, NO_TRACE.to_owned());
                Ok(())
            }
            false => traces(json, walk),
        }),
        _ => {
            walk.not_read(byte, NO_TRACE.to_owned());
            json.skip()
        }
    }
}

/// What an element of `data` is that has no spans.
pub(crate) const NO_TRACE: &str = "an element of `data` that is no trace of Jaeger";

/// What holds for all spans of a trace, and stands anywhere in it.
#[derive(Default)]
struct OfTrace<'a> {
    /// Of spans that do not say it themselves.
    trace_id: TraceId,
    processes: BTreeMap<String, Resource<'a>>,
    has_spans: bool,
}

/// Whether a trace has a field of this name.
pub(crate) fn is_of_trace(key: &str) -> bool {
    ["traceID", "spans", "processes", "warnings"].contains(&key)
}

impl<'a> OfTrace<'a> {
    /// Reads it. What is not known in a trace that is a message is left to who reads messages.
    fn read<S: Sink, const LENIENT: bool>(
        json: &mut Json<'a>,
        walk: &mut Walk<'_, 'a, S, LENIENT>,
        is_message: bool,
    ) -> Result<Self> {
        let mut of = Self::default();
        json.fields(|json, key| match key {
            "traceID" => {
                let id = walk.or_name(json, true, |_, json| id(json, 32))?;
                of.trace_id = TraceId(id.unwrap_or(0));
                Ok(())
            }
            "processes" => {
                let processes = &mut of.processes;
                walk.or_name(json, false, |walk, json| {
                    read_processes(json, walk, processes)
                })?;
                Ok(())
            }
            "spans" => {
                of.has_spans = true;
                json.skip()
            }
            "warnings" => walk.unasked(json, key, Unasked::Scalar),
            _ if is_message => json.skip(),
            _ => walk.unknown(json, key, "a trace of Jaeger").map(drop),
        })?;
        Ok(of)
    }

    /// Who sent a span.
    fn resource<'o>(&'o self, span: &'o JaegerSpan<'a>) -> Option<&'o Resource<'a>> {
        let process = span.process.as_ref();
        process.or_else(|| self.processes.get(&*span.process_id))
    }
}

/// Reads processes by their names.
fn read_processes<'a, S: Sink, const LENIENT: bool>(
    json: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
    processes: &mut BTreeMap<String, Resource<'a>>,
) -> Result<()> {
    json.fields(|json, id| {
        if processes.len() == MAX_ELEMENTS as usize {
            return json.fail(format!("more than {MAX_ELEMENTS} processes of one trace"));
        }
        let read = walk.or_name(json, true, |walk, json| process(json, walk.sink, &walk.odd))?;
        walk.name_odd(Owner::Resource);
        processes.extend(read.map(|process| (id.to_owned(), process)));
        Ok(())
    })
}

/// Reads the spans of a trace. They name their processes, which stand behind them. A span or a
/// process that can't be read costs itself and is named.
///
/// What else there is is named here, unless the trace is a message by itself.
pub(crate) fn trace<'a, S: Sink, const LENIENT: bool>(
    json: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
    is_message: bool,
) -> Result<()> {
    let byte = json.byte();
    let mut again = json.clone();
    let of = OfTrace::read(json, walk, is_message)?;
    if !of.has_spans {
        walk.not_read(byte, NO_TRACE.to_owned());
        return Ok(());
    }
    walk.is_jaegers = true;
    let (mut there, mut read) = (0u64, 0u64);
    let mut last = None;
    again.fields(|json, key| match key {
        "spans" => {
            let spans = |walk: &mut Walk<'_, 'a, S, LENIENT>, json: &mut Json<'a>| {
                json.array(|json, null| {
                    there += u64::from(!null);
                    let is_read = !null && span(json, walk, &of, &mut last)?;
                    read += u64::from(is_read);
                    Ok(())
                })
            };
            let is_list = walk.or_name(json, false, spans)?.is_some();
            there += u64::from(!is_list);
            Ok(())
        }
        _ => json.skip(),
    })?;
    // One of which no span can be read is none.
    if read > 0 || there == 0 {
        walk.counts.message(Signal::Traces);
    }
    Ok(())
}

/// Reads a span of a trace and hands it on, behind who speaks if that is not who spoke last;
/// whether it could be read.
fn span<'a, S: Sink, const LENIENT: bool>(
    json: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
    of: &OfTrace<'a>,
    last: &mut Option<(Resource<'a>, Scope<'a>)>,
) -> Result<bool> {
    walk.before_item()?;
    let span = walk.or_name(json, true, |walk, json| {
        JaegerSpan::read(json, walk.sink, &walk.odd, of.trace_id)
    })?;
    let Some(span) = span else {
        return Ok(false);
    };
    walk.name_odd(Owner::Span);
    let nobody = Resource::default();
    let resource = of.resource(&span).unwrap_or(&nobody);
    let scope = &span.scope;
    let is_last = |last: &(Resource<'a>, Scope<'a>)| last.0 == *resource && last.1 == *scope;
    if !last.as_ref().is_some_and(is_last) {
        walk.sink.resource(resource);
        walk.sink.scope(scope);
        *last = Some((resource.clone(), scope.clone()));
    }
    walk.sink.span(Origin { resource, scope }, &span.span);
    walk.counts.item(Signal::Traces);
    Ok(true)
}

impl<'a, S: Sink, const LENIENT: bool> Walk<'_, 'a, S, LENIENT> {
    fn not_read(&mut self, byte: usize, reason: String) {
        self.unread.add(1, Problem { byte, reason });
    }
}

/// The latest time of which there are nanoseconds, in 2262, in microseconds.
const LATEST: i64 = i64::MAX / 1000;

/// A time in nanoseconds, of one in microseconds.
fn time(json: &mut Json<'_>) -> Result<i64> {
    let start = json.clone();
    let us = json.integer("Unix microseconds")?;
    if us < 0 {
        return start.expected("Unix microseconds");
    }
    if us > LATEST {
        return start.fail(format!(
            "a time that is in microseconds after the year 2262: {us}. Nanoseconds? Divide \
             startTime and duration by 1000"
        ));
    }
    Ok(us)
}

/// A span, and who speaks.
#[derive(Default)]
struct JaegerSpan<'a> {
    span: Span<'a>,
    scope: Scope<'a>,
    process: Option<Resource<'a>>,
    process_id: Cow<'a, str>,
}

/// Another span that a span refers to; of its own trace where none is named.
#[derive(Default)]
struct Reference<'a> {
    kind: Cow<'a, str>,
    trace_id: Option<TraceId>,
    span_id: SpanId,
}

impl<'a> JaegerSpan<'a> {
    /// Reads a span of a trace, which may not say again which it is.
    fn read<S: Sink>(json: &mut Json<'a>, sink: &S, odd: &Odd, trace_id: TraceId) -> Result<Self> {
        let at = json.clone();
        let mut read = Self::default();
        read.span.trace_id = trace_id;
        let mut is_jaegers = false;
        let mut references: Vec<Reference<'a>> = Vec::new();
        let (mut start, mut duration) = (0i64, 0i64);
        let mut is_error = false;
        json.fields(|json, key| {
            let span = &mut read.span;
            is_jaegers |= ["spanID", "operationName", "startTime"].contains(&key);
            match key {
                "traceID" => match id(json, 32)? {
                    0 => {}
                    id => span.trace_id = TraceId(id),
                },
                "spanID" => span.span_id = SpanId(id(json, 16)? as u64),
                "parentSpanID" => span.parent_span_id = SpanId(id(json, 16)? as u64),
                "operationName" => span.name = json.text()?,
                "startTime" => start = time(json)?,
                "duration" => duration = json.integer("microseconds")?,
                "processID" => read.process_id = json.text()?,
                "process" => read.process = Some(process(json, sink, odd)?),
                "references" => each(json, |json| {
                    references.push(reference(json, odd)?);
                    Ok(())
                })?,
                "tags" => each(json, |json| {
                    let tag = tag(json, odd)?;
                    let is_true =
                        tag.value == AnyValue::Bool(true) || tag.value.as_text() == Some("true");
                    is_error |= tag.key == "error" && is_true;
                    read.take(tag, sink);
                    Ok(())
                })?,
                "logs" => odd.unasked(json, key, Unasked::Messages)?,
                "flags" | "warnings" => odd.unasked(json, key, Unasked::Scalar)?,
                _ => odd.unknown(json, key)?,
            }
            Ok(())
        })?;
        if !is_jaegers {
            return at.expected("a span of Jaeger with spanID, operationName or startTime");
        }
        let span = &mut read.span;
        let ns = |us: i64| UnixNanos::new(u64::try_from(us).unwrap_or(0).saturating_mul(1000));
        span.start_time_unix_nano = ns(start);
        span.end_time_unix_nano = ns(start.saturating_add(duration));
        if is_error && span.status.code == StatusCode::default() {
            span.status.code = StatusCode::ERROR;
        }
        let own = span.trace_id;
        let parent = |kind: &str| {
            let mut own = references
                .iter()
                .filter(|r| r.trace_id.is_none_or(|trace| trace == own));
            own.find(|r| r.kind == kind).map(|r| r.span_id)
        };
        if let Some(parent) = parent("CHILD_OF").or_else(|| parent("FOLLOWS_FROM")) {
            span.parent_span_id = parent;
        }
        for reference in &references {
            match reference.trace_id {
                Some(trace_id) if trace_id != own => span.links.push(Link {
                    trace_id,
                    span_id: reference.span_id,
                }),
                _ => {}
            }
        }
        Ok(read)
    }

    /// A tag is an attribute, or a field of the span that Jaeger has no place for.
    fn take<S: Sink>(&mut self, tag: KeyValue<'a>, sink: &S) {
        let text = match &tag.value {
            AnyValue::Text(text) => text.clone(),
            _ => Cow::default(),
        };
        match &*tag.key {
            "span.kind" => {
                self.span.kind = match &*text {
                    "internal" => SpanKind::INTERNAL,
                    "server" => SpanKind::SERVER,
                    "client" => SpanKind::CLIENT,
                    "producer" => SpanKind::PRODUCER,
                    "consumer" => SpanKind::CONSUMER,
                    _ => SpanKind::default(),
                }
            }
            "otel.status_code" => {
                self.span.status.code = match &*text {
                    "ERROR" => StatusCode::ERROR,
                    "OK" => StatusCode::OK,
                    _ => StatusCode::default(),
                }
            }
            "otel.status_description" => {}
            "otel.scope.name" | "otel.library.name" => self.scope.name = text,
            "otel.scope.version" | "otel.library.version" => self.scope.version = text,
            key if sink.wants(Owner::Span, key) => self.span.attributes.push(tag),
            _ => {}
        }
    }
}

/// Calls `each` at the elements of a list, of which there must not be too many to hold.
fn each<'a>(json: &mut Json<'a>, mut each: impl FnMut(&mut Json<'a>) -> Result<()>) -> Result<()> {
    let mut left = MAX_ELEMENTS;
    json.array(|json, null| {
        left -= 1;
        match (null, left) {
            (_, 0) => json.fail(format!(
                "more than {MAX_ELEMENTS} tags or references of one span"
            )),
            (true, _) => Ok(()),
            (false, _) => each(json),
        }
    })
}

/// A process: a service's name, and tags that are attributes of its resource.
fn process<'a, S: Sink>(json: &mut Json<'a>, sink: &S, odd: &Odd) -> Result<Resource<'a>> {
    let mut attributes = Vec::new();
    let mut take = |tag: KeyValue<'a>| {
        if sink.wants(Owner::Resource, &tag.key) {
            attributes.push(tag);
        }
    };
    json.fields(|json, key| match key {
        "serviceName" => {
            take(KeyValue {
                key: Cow::Borrowed("service.name"),
                value: AnyValue::Text(json.text()?),
            });
            Ok(())
        }
        "tags" => each(json, |json| {
            take(tag(json, odd)?);
            Ok(())
        }),
        _ => odd.unknown(json, key),
    })?;
    Ok(Resource { attributes })
}

fn reference<'a>(json: &mut Json<'a>, odd: &Odd) -> Result<Reference<'a>> {
    let mut read = Reference::default();
    json.fields(|json, key| {
        match key {
            "refType" => read.kind = json.text()?,
            "traceID" => read.trace_id = Some(TraceId(id(json, 32)?)),
            "spanID" => read.span_id = SpanId(id(json, 16)? as u64),
            _ => odd.unknown(json, key)?,
        }
        Ok(())
    })?;
    Ok(read)
}

/// An id in hex, of which some versions leave out zeros at the front.
fn id(json: &mut Json<'_>, digits: usize) -> Result<u128> {
    let start = json.clone();
    let text = json.text()?;
    let is_hex = text.len() <= digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    match u128::from_str_radix(&text, 16) {
        Ok(id) if is_hex => Ok(id),
        _ if text.is_empty() => Ok(0),
        _ => start.fail(format!("expected an id of at most {digits} hex digits")),
    }
}

/// A tag as an attribute, by its type where that is named.
fn tag<'a>(json: &mut Json<'a>, odd: &Odd) -> Result<KeyValue<'a>> {
    let mut read = KeyValue::default();
    let mut kind = Cow::default();
    let mut first_unknown = None;
    json.fields(|json, key| {
        match key {
            "key" => read.key = json.text()?,
            "type" => kind = json.text()?,
            "value" => read.value = value(json)?,
            _ => {
                first_unknown = first_unknown.or(Some(json.byte()));
                odd.unknown(json, key)?;
            }
        }
        Ok(())
    })?;
    odd.without_key(&read.key, first_unknown);
    read.value = of_kind(read.value, &kind);
    Ok(read)
}

fn value<'a>(json: &mut Json<'a>) -> Result<AnyValue<'a>> {
    Ok(match json.peek() {
        b'"' => AnyValue::Text(json.text()?),
        b't' | b'f' => AnyValue::Bool(json.boolean()?),
        b'-' | b'0'..=b'9' => {
            let text = json.raw()?;
            match (text.parse(), text.parse()) {
                (Ok(number), _) => AnyValue::Int(number),
                (_, Ok(number)) => AnyValue::Double(number),
                _ => AnyValue::Text(Cow::Borrowed(text)),
            }
        }
        _ => AnyValue::Text(Cow::Borrowed(json.raw()?)),
    })
}

/// What a value is by the word for its type; stores that know only strings write all as such.
fn of_kind<'a>(value: AnyValue<'a>, kind: &str) -> AnyValue<'a> {
    let converted = match (kind, &value) {
        ("float64", AnyValue::Int(number)) => Some(AnyValue::Double(*number as f64)),
        ("float64", AnyValue::Text(text)) => text.parse().ok().map(AnyValue::Double),
        ("int64", AnyValue::Text(text)) => text.parse().ok().map(AnyValue::Int),
        ("bool", AnyValue::Text(text)) => text.parse().ok().map(AnyValue::Bool),
        ("binary", AnyValue::Text(text)) => BASE64
            .decode(&**text)
            .ok()
            .map(|bytes| AnyValue::Bytes(bytes.into())),
        // Lists come as the text of their JSON.
        (_, AnyValue::Text(text)) if text.starts_with('[') => {
            let texts: Option<Vec<String>> = serde_json::from_str(text).ok();
            texts.map(|texts| {
                AnyValue::Array(
                    texts
                        .into_iter()
                        .map(|t| AnyValue::Text(t.into()))
                        .collect(),
                )
            })
        }
        _ => None,
    };
    converted.unwrap_or(value)
}

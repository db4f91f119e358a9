//! A message of any signal, as JSON or as protobuf.

use crate::input::Input;
use crate::jaeger;
use crate::json::cursor::Json;
use crate::problem::{Problem, Result, Unread, UnreadParts};
use crate::sink::{Counts, Origin, Owner, Signal, Sink};
use crate::view::{LogRecord, Metric, Point};
use crate::walk::Walk;
use crate::wire::Wire;

/// Reads a message of OTLP/JSON, or of Jaeger's JSON: an answer of its query API, or one trace.
///
/// Which it is, and of which signal, its content says. [`Sink::begin`] is left to the caller. Parts
/// of it that can't be read are passed over; [`decode`](crate::source::decode) names them.
///
/// # Errors
/// What is wrong, and where. [`Sink::undo`] has been called then.
pub fn read_json(message: &[u8], sink: &mut impl Sink) -> std::result::Result<Counts, Problem> {
    json(message, sink).map(|read| read.counts)
}

/// Reads a message of OTLP as protobuf.
///
/// The messages of the three signals begin alike; which it is shows in its items. One without items
/// is taken for traces if it can be. A span without ids, which OTLP does not allow, may be taken for
/// a log record. [`Sink::begin`] is left to the caller. Parts of it that are not known are passed
/// over; [`decode`](crate::source::decode) names them.
///
/// # Errors
/// What is wrong, and where. [`Sink::undo`] has been called then.
pub fn read_protobuf(message: &[u8], sink: &mut impl Sink) -> std::result::Result<Counts, Problem> {
    protobuf(message, sink).map(|read| read.counts)
}

/// What was read of a message, and what was not.
#[derive(Default)]
pub(crate) struct ReadMessage {
    pub(crate) counts: Counts,
    pub(crate) unread: Vec<Unread>,
}

impl ReadMessage {
    fn new(counts: Counts, unread: UnreadParts) -> Self {
        let unread = unread.into_vec();
        Self { counts, unread }
    }
}

/// What [`read_json`] does.
pub(crate) fn json(
    message: &[u8],
    sink: &mut impl Sink,
) -> std::result::Result<ReadMessage, Problem> {
    Message::Json(message).read(sink)
}

/// What [`read_protobuf`] does.
pub(crate) fn protobuf(
    message: &[u8],
    sink: &mut impl Sink,
) -> std::result::Result<ReadMessage, Problem> {
    let mut without_items = None;
    // Names of metrics are text, ids of spans are not, and a log record begins with a number. So
    // what is of another signal mostly shows at the first item.
    for signal in [Signal::Metrics, Signal::Logs] {
        let mut nobody = Nobody::new(&|_, _| true);
        let mut walk = Walk::<_, false>::new(&mut nobody, None);
        let read = Message::Protobuf(message, signal).walk(&mut walk);
        if read.is_ok() && nobody.has_seen {
            return Message::Protobuf(message, signal).read(sink);
        }
        if read.is_ok() {
            without_items = without_items.or(Some(signal));
        }
    }
    let read = Message::Protobuf(message, Signal::Traces).read(sink);
    match (read, without_items) {
        // It may have log records in which nothing is said.
        (Err(_), Some(signal)) => Message::Protobuf(message, signal).read(sink),
        (read, _) => read,
    }
}

/// A message and its form.
#[derive(Clone, Copy)]
enum Message<'a> {
    Json(&'a [u8]),
    Protobuf(&'a [u8], Signal),
}

impl<'a> Message<'a> {
    fn read<S: Sink>(self, sink: &mut S) -> std::result::Result<ReadMessage, Problem> {
        let read = self.read_as::<S, false>(sink);
        // The names of JSON say what a thing is, also where it is odd. Of protobuf not even the
        // signal is known then.
        match (read, self) {
            (Err(problem), Message::Json(text)) if is_json(text) => {
                self.read_leniently(sink).ok_or(problem)
            }
            (read, _) => read,
        }
    }

    /// Reads what can be read of a message that is JSON and has something odd, which costs itself
    /// and is named. None where nothing can be read.
    #[cold]
    fn read_leniently<S: Sink>(self, sink: &mut S) -> Option<ReadMessage> {
        let read = self.read_as::<S, true>(sink).ok()?;
        if read.counts.all_items() == 0 {
            sink.undo();
            return None;
        }
        Some(read)
    }

    fn read_as<S: Sink, const LENIENT: bool>(
        self,
        sink: &mut S,
    ) -> std::result::Result<ReadMessage, Problem> {
        let check = |sink: &S| self.check::<S, LENIENT>(sink);
        let mut walk = Walk::<_, LENIENT>::new(sink, Some(&check));
        match self.walk(&mut walk) {
            Ok(()) => Ok(ReadMessage::new(walk.counts, walk.unread)),
            Err(problem) => {
                sink.undo();
                Err(*problem)
            }
        }
    }

    /// Whether it can be read to its end, without the sink, which is only asked what it wants.
    fn check<S: Sink, const LENIENT: bool>(self, sink: &S) -> Result<()> {
        let wants = |owner: Owner, key: &str| sink.wants(owner, key);
        let mut nobody = Nobody::new(&wants);
        self.walk(&mut Walk::<_, LENIENT>::new(&mut nobody, None))
    }

    fn walk<S: Sink, const LENIENT: bool>(self, walk: &mut Walk<'_, 'a, S, LENIENT>) -> Result<()> {
        match self {
            Message::Json(message) => whole(message, walk),
            Message::Protobuf(message, signal) => {
                walk.counts.message(signal);
                Wire::new(message).whole(|input, key| match Wire::is(key, signal.message_field()) {
                    true => walk.resources(input, signal),
                    false => walk.unknown(input, key, "a message").map(drop),
                })
            }
        }
    }
}

/// Whether a text is one value of JSON.
#[cold]
fn is_json(text: &[u8]) -> bool {
    let read = || {
        let mut json = Json::new(text)?;
        json.skip()?;
        json.end()
    };
    read().is_ok()
}

fn whole<'a, S: Sink, const LENIENT: bool>(
    message: &'a [u8],
    walk: &mut Walk<'_, 'a, S, LENIENT>,
) -> Result<()> {
    let mut input = Json::new(message)?;
    let start = input.clone();
    object(&mut input, walk)?;
    input.end()?;
    if walk.counts == Counts::default() && !walk.is_jaegers {
        return start.fail(nothing(&mut start.clone()));
    }
    Ok(())
}

/// Why a message in which nothing is known can't be read.
fn nothing(input: &mut Json<'_>) -> String {
    /// So many of its fields are named.
    const NAMED: usize = 5;
    let mut names = Vec::new();
    let read = input.fields(|input, key| {
        if names.len() < NAMED && !key.is_empty() {
            names.push(Json::name(key));
        }
        input.skip()
    });
    let what = match (read, names.is_empty()) {
        (Ok(()), false) => format!("; it has {}", names.join(", ")),
        _ => String::new(),
    };
    format!(
        "none of resourceSpans, resourceMetrics and resourceLogs is in it, nor a trace of \
         Jaeger{what}"
    )
}

fn object<'a, S: Sink, const LENIENT: bool>(
    input: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
) -> Result<()> {
    let start = input.clone();
    let mut is_jaegers = false;
    let mut of_one_resource = None;
    let mut has_of_trace = false;
    let mut has_unknown = false;
    input.fields(|input, key| {
        for signal in Signal::ALL {
            if Json::is(key, signal.message_field()) {
                walk.counts.message(signal);
                return walk.resources(input, signal);
            }
            if signal.scopes().iter().any(|field| Json::is(key, *field)) {
                of_one_resource = Some(signal);
                return input.skip();
            }
        }
        match key {
            // Jaeger's newer query API wraps OTLP, and so does Tempo's, which also has a name of its
            // own for resources with their spans.
            "result" | "trace" => {
                let inner =
                    |walk: &mut Walk<'_, 'a, S, LENIENT>, input: &mut Json<'a>| object(input, walk);
                walk.or_pass_over(input, false, inner).map(drop)
            }
            "batches" => {
                walk.counts.message(Signal::Traces);
                walk.resources(input, Signal::Traces)
            }
            "data" => jaeger::traces(input, walk),
            "spans" => {
                is_jaegers = true;
                input.skip()
            }
            _ => {
                match jaeger::is_of_trace(key) {
                    true => has_of_trace = true,
                    false => has_unknown = true,
                }
                input.skip()
            }
        }
    })?;
    // The logging exporters of Java write each resource by itself. What is not known in it, its
    // reader names.
    if let Some(signal) = of_one_resource {
        walk.counts.message(signal);
        return walk.resource(&mut start.clone(), signal);
    }
    if is_jaegers {
        jaeger::trace(&mut start.clone(), walk, true)?;
    }
    match has_unknown || has_of_trace && !is_jaegers {
        true => unknown(&mut start.clone(), walk, is_jaegers),
        false => Ok(()),
    }
}

/// Whether a field of a message is read.
fn is_read(key: &str) -> bool {
    const KNOWN: [&str; 5] = ["result", "trace", "batches", "data", "spans"];
    let is_signals = |signal: Signal| Json::is(key, signal.message_field());
    KNOWN.contains(&key) || Signal::ALL.into_iter().any(is_signals)
}

/// Names the fields of a message that are not known and may hold items.
#[cold]
fn unknown<'a, S: Sink, const LENIENT: bool>(
    input: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
    is_jaegers: bool,
) -> Result<()> {
    input.fields(|input, key| {
        if is_read(key) || is_jaegers && jaeger::is_of_trace(key) {
            return input.skip();
        }
        if key == "errors" {
            return errors(input, walk);
        }
        walk.unknown(input, key, "a message").map(drop)
    })
}

/// What an answer of Jaeger's query API says that it could not find.
fn errors<'a, S: Sink, const LENIENT: bool>(
    input: &mut Json<'a>,
    walk: &mut Walk<'_, 'a, S, LENIENT>,
) -> Result<()> {
    let byte = input.byte();
    let mut list = input.clone();
    let text: String = input.raw()?.chars().take(200).collect();
    let parts = list.skip_unknown()?;
    if parts > 0 {
        let reason = format!("the answer of Jaeger has errors: {}", text.escape_debug());
        walk.unread.add(parts, Problem { byte, reason });
    }
    Ok(())
}

/// Hands nothing on.
struct Nobody<'n> {
    wants: &'n dyn Fn(Owner, &str) -> bool,
    /// A data point, or a log record that says something: empty ones and empty spans look alike.
    has_seen: bool,
}

impl<'n> Nobody<'n> {
    fn new(wants: &'n dyn Fn(Owner, &str) -> bool) -> Self {
        Self {
            wants,
            has_seen: false,
        }
    }
}

impl Sink for Nobody<'_> {
    fn wants(&self, owner: Owner, key: &str) -> bool {
        (self.wants)(owner, key)
    }

    fn point(&mut self, _: Origin<'_, '_>, _: &Metric<'_>, _: &Point<'_>) {
        self.has_seen = true;
    }

    fn log_record(&mut self, _: Origin<'_, '_>, record: &LogRecord<'_>) {
        self.has_seen |= *record != LogRecord::default();
    }
}

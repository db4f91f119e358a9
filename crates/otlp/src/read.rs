//! A message of any signal, as JSON or as protobuf.

use crate::input::Input;
use crate::jaeger;
use crate::json::cursor::Json;
use crate::problem::{Problem, Result};
use crate::sink::{Counts, Origin, Owner, Signal, Sink};
use crate::view::{LogRecord, Metric, Point};
use crate::walk::Walk;
use crate::wire::Wire;

/// Reads a message of OTLP/JSON, or of Jaeger's JSON: an answer of its query API, or one trace.
///
/// Which it is, and of which signal, its content says. [`Sink::begin`] is left to the caller.
///
/// # Errors
/// What is wrong, and where. [`Sink::undo`] has been called then.
pub fn read_json(message: &[u8], sink: &mut impl Sink) -> std::result::Result<Counts, Problem> {
    Message::Json(message).read(sink)
}

/// Reads a message of OTLP as protobuf.
///
/// The messages of the three signals begin alike; which it is shows in its items. One without items
/// is taken for traces if it can be. A span without ids, which OTLP does not allow, may be taken for
/// a log record. [`Sink::begin`] is left to the caller.
///
/// # Errors
/// What is wrong, and where. [`Sink::undo`] has been called then.
pub fn read_protobuf(message: &[u8], sink: &mut impl Sink) -> std::result::Result<Counts, Problem> {
    let mut without_items = None;
    // Names of metrics are text, ids of spans are not, and a log record begins with a number. So
    // what is of another signal mostly shows at the first item.
    for signal in [Signal::Metrics, Signal::Logs] {
        let mut nobody = Nobody::new(&|_, _| true);
        let mut walk = Walk::new(&mut nobody, None);
        let read = Message::Protobuf(message, signal).walk(&mut walk);
        let counts = walk.counts;
        if read.is_ok() && nobody.has_seen {
            return Message::Protobuf(message, signal).read(sink);
        }
        without_items = without_items.or(read.is_ok().then_some(counts));
    }
    let read = Message::Protobuf(message, Signal::Traces).read(sink);
    read.or_else(|problem| without_items.ok_or(problem))
}

/// A message and its form.
#[derive(Clone, Copy)]
enum Message<'a> {
    Json(&'a [u8]),
    Protobuf(&'a [u8], Signal),
}

impl<'a> Message<'a> {
    fn read<S: Sink>(self, sink: &mut S) -> std::result::Result<Counts, Problem> {
        let check = |sink: &S| self.check(sink);
        let mut walk = Walk::new(sink, Some(&check));
        match self.walk(&mut walk) {
            Ok(()) => Ok(walk.counts),
            Err(problem) => {
                sink.undo();
                Err(*problem)
            }
        }
    }

    /// Whether it can be read to its end, without the sink, which is only asked what it wants.
    fn check<S: Sink>(self, sink: &S) -> Result<()> {
        let wants = |owner: Owner, key: &str| sink.wants(owner, key);
        let mut nobody = Nobody::new(&wants);
        self.walk(&mut Walk::new(&mut nobody, None))
    }

    fn walk<S: Sink>(self, walk: &mut Walk<'_, 'a, S>) -> Result<()> {
        match self {
            Message::Json(message) => json(message, walk),
            Message::Protobuf(message, signal) => {
                walk.counts.message(signal);
                Wire::new(message).whole(|input, key| match Wire::is(key, signal.message_field()) {
                    true => walk.resources(input, signal),
                    false => input.skip(),
                })
            }
        }
    }
}

fn json<'a, S: Sink>(message: &'a [u8], walk: &mut Walk<'_, 'a, S>) -> Result<()> {
    let mut input = Json::new(message)?;
    object(&mut input, walk)?;
    input.end()?;
    if walk.counts == Counts::default() {
        return input.fail(
            "none of resourceSpans, resourceMetrics and resourceLogs is in it, nor a trace of Jaeger",
        );
    }
    Ok(())
}

fn object<'a, S: Sink>(input: &mut Json<'a>, walk: &mut Walk<'_, 'a, S>) -> Result<()> {
    let mut again = input.clone();
    let mut is_jaegers = false;
    let mut of_one_resource = None;
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
            "result" | "trace" => object(input, walk),
            "batches" => {
                walk.counts.message(Signal::Traces);
                walk.resources(input, Signal::Traces)
            }
            "data" => input.array(|input, null| match null {
                true => Ok(()),
                false => jaeger::trace(input, walk),
            }),
            "spans" => {
                is_jaegers = true;
                input.skip()
            }
            _ => input.skip(),
        }
    })?;
    // The logging exporters of Java write each resource by itself.
    if let Some(signal) = of_one_resource {
        walk.counts.message(signal);
        return walk.resource(&mut again, signal);
    }
    match is_jaegers {
        true => jaeger::trace(&mut again, walk),
        false => Ok(()),
    }
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

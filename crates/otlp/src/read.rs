//! A message of any signal, as JSON or as protobuf.

use crate::input::Input;
use crate::jaeger;
use crate::json::cursor::Json;
use crate::problem::{Problem, Result};
use crate::sink::{Counts, Origin, Owner, Signal, Sink};
use crate::view::{LogRecord, Metric, Point};
use crate::walk::Walk;
use crate::wire::Wire;

const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

/// Reads a message of OTLP/JSON, or of Jaeger's JSON: an answer of its query API, or one trace.
///
/// Which it is, and of which signal, its content says. [`Sink::begin`] is left to the caller.
///
/// # Errors
/// What is wrong, and where. [`Sink::undo`] has been called then.
pub fn read_json(message: &[u8], sink: &mut impl Sink) -> std::result::Result<Counts, Problem> {
    let check = |wants: &dyn Fn(Owner, &str) -> bool| {
        let all_is_well = |_: &dyn Fn(Owner, &str) -> bool| Ok(());
        json(
            message,
            &mut Walk::new(&mut Nobody::new(wants), &all_is_well),
        )
    };
    finish(sink, |sink| {
        let mut walk = Walk::new(sink, &check);
        json(message, &mut walk)?;
        Ok(walk.counts)
    })
}

/// Reads a message of OTLP as protobuf.
///
/// The messages of the three signals begin alike; which it is shows in its items. One without items
/// is taken for traces. [`Sink::begin`] is left to the caller.
///
/// # Errors
/// What is wrong, and where. [`Sink::undo`] has been called then.
pub fn read_protobuf(message: &[u8], sink: &mut impl Sink) -> std::result::Result<Counts, Problem> {
    let all_is_well = |_: &dyn Fn(Owner, &str) -> bool| Ok(());
    let mut signal = Signal::Traces;
    let mut without_items = None;
    // Names of metrics are text, ids of spans are not, and a log record begins with a number. So
    // what is of another signal mostly shows at the first item.
    for other in [Signal::Metrics, Signal::Logs] {
        let wants = |owner: Owner, key: &str| sink.wants(owner, key);
        let mut nobody = Nobody::new(&wants);
        if protobuf(message, other, &mut Walk::new(&mut nobody, &all_is_well)).is_ok() {
            if nobody.has_seen {
                signal = other;
                break;
            }
            without_items.get_or_insert(other);
        }
    }
    let check = |wants: &dyn Fn(Owner, &str) -> bool| {
        let mut nobody = Nobody::new(wants);
        protobuf(message, signal, &mut Walk::new(&mut nobody, &all_is_well))
    };
    let read = finish(sink, |sink| {
        let mut walk = Walk::new(sink, &check);
        protobuf(message, signal, &mut walk)?;
        Ok(walk.counts)
    });
    match (read, without_items) {
        (Err(_), Some(other)) => {
            let mut counts = Counts::default();
            counts.message(other);
            Ok(counts)
        }
        (read, _) => read,
    }
}

/// Hands nothing on, and reads the same as the sink that it stands for.
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

    fn point(&mut self, _: Origin<'_, '_>, _: &Metric<'_>, _: Point<'_, '_>) {
        self.has_seen = true;
    }

    fn log_record(&mut self, _: Origin<'_, '_>, record: &LogRecord<'_>) {
        self.has_seen |= *record != LogRecord::default();
    }
}

fn finish<S: Sink>(
    sink: &mut S,
    read: impl FnOnce(&mut S) -> Result<Counts>,
) -> std::result::Result<Counts, Problem> {
    read(sink).map_err(|problem| {
        sink.undo();
        *problem
    })
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
    let mut start = input.clone();
    let mut is_jaegers = false;
    input.object(|input, key| {
        for signal in SIGNALS {
            if Json::is(key, signal.message_field()) {
                walk.counts.message(signal);
                return walk.resources(input, signal);
            }
        }
        match &**key {
            // Jaeger's newer query API wraps OTLP.
            "result" => object(input, walk),
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
    if is_jaegers {
        jaeger::trace(&mut start, walk)?;
    }
    Ok(())
}

fn protobuf<'a, S: Sink>(
    message: &'a [u8],
    signal: Signal,
    walk: &mut Walk<'_, 'a, S>,
) -> Result<()> {
    walk.counts.message(signal);
    Wire::new(message).whole(|input, key| match Wire::is(key, signal.message_field()) {
        true => walk.resources(input, signal),
        false => input.skip(),
    })
}

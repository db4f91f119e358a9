//! OTLP/JSON from and to the protobuf types of `opentelemetry-proto`: every field is kept.
//!
//! ```
//! use loadgen_otlp::json;
//! use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
//!
//! // Names in either case, numbers as numbers, `null` as absence.
//! let text = br#"{"resource_spans":[{"resource":null,"scopeSpans":[{"spans":[{"kind":2.0}]}]}]}"#;
//! let request: ExportTraceServiceRequest = json::read(text)?;
//!
//! // One form.
//! let mut line = Vec::new();
//! json::write(&request, &mut line);
//! assert_eq!(
//!     line,
//!     br#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"kind":2,"status":{}}]}]}]}"#
//! );
//! # Ok::<(), loadgen_otlp::Problem>(())
//! ```
//!
//! The form that is written is that of the Collector's file exporter, byte for byte: 64-bit
//! integers are strings, ids are lower-case hex, enums are numbers, zero values and empty lists are
//! left out, bytes are base64, NaN and the infinities are strings. Some messages are written even
//! when they are empty (`resource`, `scope`, a span's `status`, a log record's `body`, an
//! attribute's `value`, the buckets of an exponential histogram).

pub(crate) mod cursor;
pub(crate) mod kinds;
mod messages;
pub(crate) mod names;
#[cfg(test)]
mod round_trip;
mod text;
mod values;
mod whole;

use crate::problem::Problem;
use cursor::Json;
use kinds::{Fields, Kind};
pub(crate) use messages::AnySignals;

/// A protobuf type that has a form in JSON: the three export requests and what is in them.
#[expect(private_bounds, reason = "implemented here alone")]
pub trait Message: Fields {}

impl<T: Fields> Message for T {}

/// Reads a message.
///
/// # Errors
/// What is wrong, and where.
pub fn read<T: Message>(text: &[u8]) -> Result<T, Problem> {
    read_noting(text).map(|(message, _)| message)
}

/// Reads a message; whether there is something in it that its type has no place for.
pub(crate) fn read_noting<T: Message>(text: &[u8]) -> Result<(T, bool), Problem> {
    let read = || {
        let mut json = Json::new(text)?;
        let mut message = T::default();
        <kinds::Message<T>>::read(&mut message, &mut json)?;
        json.end()?;
        Ok((message, json.has_unread()))
    };
    read().map_err(|problem: Box<Problem>| *problem)
}

/// Writes a message at the end of `out`, without a newline.
pub fn write<T: Message>(message: &T, out: &mut Vec<u8>) {
    <kinds::Message<T>>::write(message, out);
}

//! OTLP as JSON and as protobuf, and Jaeger's JSON: read as leniently as people write them, written
//! in the one form of the OpenTelemetry Collector's file exporter.
//!
//! There are two ways to read. Who has to pass on what was sent, as the collector does, reads
//! into the protobuf types of `opentelemetry-proto` and writes these: [`json`]; of a file they are
//! the [`SignalRequest`]s that [`requests`](source::requests) hands on. Who looks at what
//! was sent, as the extractor does, is handed one span, data point or log record at a time,
//! borrowed from the message, and holds nothing else: [`Sink`], [`view`]. Both rest on one cursor
//! over JSON, which is where all leniency is, and on one rule for the names of fields.
//!
//! # A file
//!
//! A [`Source`](source::Source) is a file of any form (lines, messages with their length before
//! them, documents over many lines, Jaeger's answers; each also compressed). It is cut into
//! [units](source::Unit) that threads decode apart from each other.
//!
//! ```
//! use loadgen_otlp::source::{Source, Unit, decode};
//! use loadgen_otlp::view::{Resource, Span};
//! use loadgen_otlp::{Origin, Owner, Sink};
//!
//! /// Durations of spans in nanoseconds, by service.
//! #[derive(Default)]
//! struct Durations {
//!     service: String,
//!     rows: Vec<(String, i64)>,
//!     begun: usize,
//! }
//!
//! impl Sink for Durations {
//!     fn wants(&self, owner: Owner, key: &str) -> bool {
//!         owner == Owner::Resource && key == "service.name"
//!     }
//!
//!     fn begin(&mut self, _message: u64) {
//!         self.begun = self.rows.len();
//!     }
//!
//!     fn undo(&mut self) {
//!         self.rows.truncate(self.begun);
//!     }
//!
//!     fn resource(&mut self, resource: &Resource<'_>) {
//!         let name = resource.attributes.first().and_then(|name| name.value.as_text());
//!         self.service = name.unwrap_or("unknown_service").to_owned();
//!     }
//!
//!     fn span(&mut self, _: Origin<'_, '_>, span: &Span<'_>) {
//!         let times = [span.start_time_unix_nano, span.end_time_unix_nano];
//!         if let [Some(start), Some(end)] = times.map(|time| time.get()) {
//!             self.rows.push((self.service.clone(), end - start));
//!         }
//!     }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("traces.jsonl");
//! # std::fs::write(&path, concat!(
//! #     r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},
//! #     "scopeSpans":[{"spans":[{"startTimeUnixNano":"1770000000000000000","end_time_unix_nano":1770000000000000007}]}]}]}"#,
//! # ).replace('\n', " ") + "\n{\"resourceSpans\":[{\"res")?;
//! let mut source = Source::open(&path)?;
//! let mut unit = Unit::default();
//! let mut sink = Durations::default();
//! while source.next_unit(&mut unit)? {
//!     let summary = decode(&unit, &mut sink);
//!     for skipped in summary.skipped {
//!         assert!(skipped.torn && skipped.message == 1);
//!     }
//! }
//! assert_eq!(sink.rows, [("web".to_owned(), 7)]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is lenient
//!
//! - Names of fields in camelCase or snake_case, everywhere; those of before OTLP 0.15
//!   (`instrumentationLibrarySpans`, …), also beside those of today.
//! - Unknown fields are passed over. Where items may be in them, [`decode`](source::decode) names
//!   them.
//! - A message that is JSON and has something odd, such as a negative time, is read a second time:
//!   then what is odd costs itself and is named.
//! - `null` is absence, of a field or of a message in a list. Among numbers or values it keeps its
//!   place, as 0 or as the empty value.
//! - Integers as numbers or strings, also as `7.0` or `1.5e3`, and exactly. Doubles as numbers,
//!   strings or words (`NaN`, `Infinity`, `-Infinity`). Enums as numbers or names.
//! - Ids as hex of either case or as base64; empty is none. A trace id of 16 hex digits is an error:
//!   which half it is, nobody knows. (Jaeger's ids leave out zeros at the front, and have a rule for
//!   that.) Bytes as base64 of either alphabet.
//! - A byte order mark at the start of a message.
//!
//! # What is bounded
//!
//! A message has at most 64 MiB; the views hold one item of it and at most 65,536 elements of lists
//! in that; a sink never has to take back more than [`UNDO_ITEMS`] items; nesting ends at 256
//! objects and lists of JSON and 100 messages of protobuf. What has more costs itself.

mod fields;
mod input;
mod jaeger;
pub mod json;
mod metrics;
mod problem;
mod protocol;
mod read;
mod request;
mod sink;
pub mod source;
mod unread;
pub mod view;
mod walk;
mod wire;

pub use problem::Problem;
pub use protocol::OtlpProtocol;
pub use read::{read_json, read_protobuf};
pub use request::{ExportRequest, SignalRequest};
pub use sink::{Counts, Origin, Owner, Signal, Sink, UNDO_ITEMS};

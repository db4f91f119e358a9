//! Finds the spans of a few traces in stored telemetry, for those who sent these traces and want to
//! know what became of them.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::path::PathBuf;

use loadgen_otlp::source::decode;
use loadgen_otlp::view::{PlainObject, Resource, Span};
use loadgen_otlp::{Origin, Owner, Sink};

use crate::error::ExtractError;
use crate::label::clocks::{Exchange, Exchanges, GENERATOR};
use crate::scan::inputs::{Inputs, read_error};
use crate::scan::pipeline::{PipelineError, Placed, Results, for_each_unit};
use crate::scan::resource::ResourceAttributes;

/// A span that was found. Times are Unix nanoseconds, 0 where they are not known.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSpan {
    /// Its trace.
    pub trace_id: u128,
    /// Its id.
    pub span_id: u64,
    /// Its parent's id; 0: it has none.
    pub parent_span_id: u64,
    /// `service.name` of its resource.
    pub service: String,
    /// OTLP's number of its kind: 2 server, 3 client.
    pub kind: i32,
    /// Its start.
    pub start_ns: i64,
    /// Its end.
    pub end_ns: i64,
    /// Its attributes as plain JSON.
    pub attributes: serde_json::Value,
}

/// A request as its sender saw it. Times are Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct SentSpan {
    /// Its trace.
    pub trace_id: u128,
    /// Id of the sender's span: the parent of the target's first.
    pub span_id: u64,
    /// When it was sent.
    pub sent_ns: i64,
    /// When its answer was complete.
    pub finished_ns: i64,
}

/// The spans of some traces in files of any form that [`extract`](crate::extract()) reads, in the
/// order of their starts. Lines that can't be read are passed over.
///
/// # Errors
///
/// A file that can't be opened or read.
pub fn find_spans(
    paths: &[PathBuf],
    traces: &HashSet<u128>,
) -> Result<Vec<FoundSpan>, ExtractError> {
    let mut inputs = Inputs::open(paths.iter())?;
    let mut found = Vec::new();
    let work = |placed: &Placed, results: &Results<'_, Vec<FoundSpan>>| {
        let mut wanted = Wanted {
            traces,
            service: String::new(),
            spans: Vec::new(),
            message: 0,
        };
        decode(&placed.unit, &mut wanted);
        results.send(wanted.spans);
    };
    let outcome = for_each_unit(&mut inputs.sources, 1, work, |_, spans| {
        found.extend(spans);
        Ok::<(), Infallible>(())
    });
    match outcome {
        Ok(()) => {
            found.sort_by_key(|span| (span.start_ns, span.trace_id, span.span_id));
            Ok(found)
        }
        Err(PipelineError::Read(file, source)) => Err(read_error(&inputs.paths[file], source)),
        Err(PipelineError::Consumer(never)) => match never {},
    }
}

/// Collects the spans of some traces.
struct Wanted<'t> {
    traces: &'t HashSet<u128>,
    service: String,
    spans: Vec<FoundSpan>,
    /// Spans before the message that is being read.
    message: usize,
}

impl Sink for Wanted<'_> {
    fn wants(&self, owner: Owner, key: &str) -> bool {
        match owner {
            Owner::Resource => key == "service.name",
            owner => owner == Owner::Span,
        }
    }

    fn begin(&mut self, _: u64) {
        self.message = self.spans.len();
    }

    fn undo(&mut self) {
        self.spans.truncate(self.message);
    }

    fn resource(&mut self, resource: &Resource<'_>) {
        self.service = ResourceAttributes::of(resource).service_name().to_owned();
    }

    fn span(&mut self, _: Origin<'_, '_>, span: &Span<'_>) {
        if !self.traces.contains(&span.trace_id.0) {
            return;
        }
        let attributes = serde_json::to_value(PlainObject(&span.attributes));
        self.spans.push(FoundSpan {
            trace_id: span.trace_id.0,
            span_id: span.span_id.0,
            parent_span_id: span.parent_span_id.0,
            service: self.service.clone(),
            kind: span.kind.0,
            start_ns: span.start_time_unix_nano.get().unwrap_or(0),
            end_ns: span.end_time_unix_nano.get().unwrap_or(0),
            attributes: attributes.unwrap_or_default(),
        });
    }
}

/// How far each service's clock is ahead of the sender's, and the bound of that, in nanoseconds;
/// services that no exchange leads to are not in it. The method is in `docs/design/0053-clocks.md`.
pub fn clock_offsets(spans: &[FoundSpan], sent: &[SentSpan]) -> BTreeMap<String, (i64, i64)> {
    const GRAIN_NS: i64 = 2_000_000;
    const SERVER: i32 = 2;
    let mut services: Vec<&str> = spans.iter().map(|s| s.service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    let number = |service: &str| services.binary_search(&service).unwrap_or(0) as u32;
    let mut exchanges = Exchanges::default();
    for span in spans.iter().filter(|s| s.kind == SERVER && s.start_ns != 0) {
        let mut observe = |client, (client_start, client_end)| {
            let exchange = Exchange {
                client_start,
                server_start: span.start_ns,
                server_end: span.end_ns,
                client_end,
            };
            exchanges.observe(client, number(&span.service), exchange, GRAIN_NS);
        };
        let parent = |trace, id| trace == span.trace_id && id == span.parent_span_id;
        if let Some(sent) = sent.iter().find(|s| parent(s.trace_id, s.span_id)) {
            observe(GENERATOR, (sent.sent_ns, sent.finished_ns));
        }
        if let Some(client) = spans
            .iter()
            .find(|s| parent(s.trace_id, s.span_id) && s.service != span.service)
        {
            observe(number(&client.service), (client.start_ns, client.end_ns));
        }
    }
    let offsets = exchanges.offsets(GENERATOR, |_| GRAIN_NS);
    let named = offsets.into_iter().filter_map(|(number, offset)| {
        let service = services.get(number as usize)?;
        Some((service.to_string(), (offset.ahead_ns, offset.bound_ns)))
    });
    named.collect()
}

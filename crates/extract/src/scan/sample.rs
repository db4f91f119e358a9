//! A sample of spans with all their attributes, the same whatever the order of the input: those
//! with the smallest hashes of trace and span id.

use std::collections::{BinaryHeap, HashMap};

use serde_json::Value;

use crate::scan::spool::hash;
use crate::telemetry::attribute::Pick;
use crate::telemetry::attribute::{AsObject, KeyValue};
use crate::telemetry::http::HttpAttributes;
use crate::telemetry::line::parse_traces;
use crate::telemetry::trace::ResourceSpans;

/// Spans in the sample.
pub(crate) const SAMPLE_SPANS: usize = 4096;

/// Values longer than this are cut: a sample of stack traces would need a lot of memory.
const MAX_VALUE_CHARS: usize = 200;

/// A trace and a span in it.
pub(crate) type SpanKey = ([u64; 2], u64);

/// A span and what a detector could learn from. Ordered by its hash.
#[derive(Debug, Clone)]
pub(crate) struct SampledSpan {
    pub(crate) hash: u64,
    /// Its trace and its id.
    pub(crate) key: SpanKey,
    /// Columns, and attributes as `attributes.<key>`, with their values as text.
    pub(crate) features: Vec<(String, String)>,
}

impl PartialEq for SampledSpan {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SampledSpan {}

impl PartialOrd for SampledSpan {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SampledSpan {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.hash, self.key, &self.features).cmp(&(other.hash, other.key, &other.features))
    }
}

/// Collects the sample.
#[derive(Debug)]
pub(crate) struct Sample(BinaryHeap<SampledSpan>);

impl Sample {
    pub(crate) fn new() -> Self {
        Self(BinaryHeap::new())
    }

    /// Adds spans and says up to which hash they are still wanted.
    pub(crate) fn add(&mut self, spans: Vec<SampledSpan>) -> u64 {
        for span in spans {
            self.0.push(span);
            if self.0.len() > SAMPLE_SPANS {
                self.0.pop();
            }
        }
        match self.0.peek() {
            Some(last) if self.0.len() == SAMPLE_SPANS => last.hash,
            _ => u64::MAX,
        }
    }

    pub(crate) fn into_spans(self) -> Vec<SampledSpan> {
        self.0.into_sorted_vec()
    }
}

/// Where spans stand in the sample.
#[derive(Debug, Default)]
pub(crate) struct SampleIndex {
    /// The largest hash in it.
    limit: u64,
    places: HashMap<SpanKey, usize>,
}

impl SampleIndex {
    pub(crate) fn new(sample: &[SampledSpan]) -> Self {
        let places = sample.iter().enumerate();
        Self {
            limit: sample.iter().map(|span| span.hash).max().unwrap_or(0),
            places: places.map(|(place, span)| (span.key, place)).collect(),
        }
    }

    /// The place of a span; none: it is not in the sample.
    pub(crate) fn find(&self, key: SpanKey) -> Option<usize> {
        // Most are told by a number.
        if span_hash(key) > self.limit {
            return None;
        }
        self.places.get(&key).copied()
    }
}

/// What decides whether a span is in the sample.
pub(crate) fn span_hash((trace, span): SpanKey) -> u64 {
    hash([hash(trace), span])
}

/// Reads the wanted spans of a line once more, with everything: their number in it, hash and key.
pub(crate) fn read(line: &[u8], wanted: &[(usize, u64, SpanKey)]) -> Vec<SampledSpan> {
    let mut sampled = Vec::with_capacity(wanted.len());
    let Some(data) = parse_traces::<Vec<ResourceSpans<'_, Vec<KeyValue<'_>>>>>(line) else {
        return sampled;
    };
    let mut wanted = wanted.iter().peekable();
    let mut index = 0;
    for resource in data {
        let service = resource.resource.attributes().service_name().to_owned();
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            if let Some((_, hash, key)) = wanted.next_if(|(at, ..)| *at == index) {
                let mut features = vec![
                    ("service_name".to_owned(), service.clone()),
                    ("span_name".to_owned(), span.name.to_string()),
                    ("span_kind".to_owned(), span.kind.0.to_string()),
                    ("span_status".to_owned(), span.status.code.0.to_string()),
                ];
                let Ok(Value::Object(object)) = serde_json::to_value(AsObject(&span.attributes))
                else {
                    continue;
                };
                features.extend(object.into_iter().map(|(name, value)| {
                    let value = match value {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    (format!("attributes.{name}"), value)
                }));
                let mut http = HttpAttributes::default();
                let kind = span.kind.0;
                for pair in span.attributes {
                    if HttpAttributes::wants(&pair.key) {
                        http.take(&pair.key, pair.value);
                    }
                }
                let columns = [
                    ("http_method", http.method().map(str::to_owned)),
                    (
                        "http_status_code",
                        http.status_code().map(|code| code.to_string()),
                    ),
                    (
                        "http_target",
                        http.target().map(|target| target.into_owned()),
                    ),
                    (
                        "server_address",
                        http.server_address(kind).map(str::to_owned),
                    ),
                    (
                        "server_port",
                        http.server_port(kind).map(|port| port.to_string()),
                    ),
                    (
                        "client_address",
                        http.client_address(kind).map(str::to_owned),
                    ),
                    (
                        "network_protocol_version",
                        http.protocol_version().map(str::to_owned),
                    ),
                ];
                let known = columns
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)));
                features.extend(known);
                for (_, value) in &mut features {
                    if let Some((end, _)) = value.char_indices().nth(MAX_VALUE_CHARS) {
                        value.truncate(end);
                    }
                }
                sampled.push(SampledSpan {
                    hash: *hash,
                    key: *key,
                    features,
                });
            }
            index += 1;
        }
    }
    sampled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(hash: u64) -> SampledSpan {
        SampledSpan {
            hash,
            key: SpanKey::default(),
            features: Vec::new(),
        }
    }

    #[test]
    fn the_sample_does_not_depend_on_the_order() {
        let n = 3 * SAMPLE_SPANS as u64;
        let (mut up, mut down) = (Sample::new(), Sample::new());
        let mut limit = 0;
        for at in 0..n {
            up.add(vec![span(at)]);
            limit = down.add(vec![span(n - 1 - at)]);
        }
        assert_eq!(limit, SAMPLE_SPANS as u64 - 1);
        assert_eq!(up.into_spans(), down.into_spans());
    }

    #[test]
    fn a_wanted_span_comes_with_columns_and_attributes() {
        let line = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[{},{"name":"GET /","kind":2,"attributes":[{"key":"url.path","value":{"stringValue":"/x"}},{"key":"n","value":{"intValue":"5"}}]}]}]}]}"#;
        let read = read(line, &[(1, 7, SpanKey::default())]);
        let has = |name: &str, value: &str| read[0].features.contains(&(name.into(), value.into()));
        assert!(
            has("service_name", "web") && has("span_name", "GET /") && has("http_target", "/x")
        );
        assert!(has("attributes.n", "5"));
    }
}

//! A sample of spans with all their attributes, the same whatever the order of the input: those
//! with the smallest hashes of trace and span id.

use std::borrow::Cow;
use std::collections::{BinaryHeap, HashMap};

use loadgen_otlp::view::{AnyValue, KeyValue, Resource, Span};
use serde::{Deserialize, Serialize};

use super::http::HttpAttributes;
use super::resource::ResourceAttributes;
use super::spool::hash;

/// Spans in the sample.
pub(crate) const SAMPLE_SPANS: usize = 4096;

/// Values longer than this are cut: a sample of stack traces would need a lot of memory.
const MAX_VALUE_CHARS: usize = 200;

/// A span has so many attributes at most in the sample, and its resource likewise.
const MAX_ATTRIBUTES: usize = 256;

/// A trace and a span in it.
pub(crate) type SpanKey = ([u64; 2], u64);

/// A span and what a detector could learn from. Ordered by its hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SampledSpan {
    pub(crate) hash: u64,
    /// Its trace and its id.
    pub(crate) key: SpanKey,
    /// Columns, attributes as `attributes.<key>` and those of the resource as `resource.<key>`, with
    /// their values as text.
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
        if span_hash(hash(key.0), key.1) > self.limit {
            return None;
        }
        self.places.get(&key).copied()
    }
}

/// What decides whether a span is in the sample, by the hash of its trace and its id.
pub(super) fn span_hash(of_trace: u64, span: u64) -> u64 {
    hash([of_trace, span])
}

impl SampledSpan {
    /// With what a detector could see of the span.
    pub(super) fn new(
        hash: u64,
        key: SpanKey,
        known: &ResourceAttributes,
        of_resource: &[(String, String)],
        span: &Span<'_>,
    ) -> Self {
        let mut http = HttpAttributes::default();
        for pair in &span.attributes {
            http.take(&pair.key, &pair.value);
        }
        let kind = span.kind;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let number = |number: Option<i32>| number.map(|number| number.to_string());
        let columns = [
            ("service_name", Some(known.service_name().to_owned())),
            ("service_instance_id", known.service_instance_id.clone()),
            ("span_name", Some(span.name.to_string())),
            ("span_kind", Some(kind.0.to_string())),
            ("span_status", Some(span.status.code.0.to_string())),
            ("http_method", owned(http.method())),
            ("http_status_code", number(http.status_code())),
            ("http_target", http.target().map(Cow::into_owned)),
            ("server_address", owned(http.server_address(kind))),
            ("server_port", number(http.server_port(kind))),
            ("client_address", owned(http.client_address(kind))),
            ("network_protocol_version", owned(http.protocol_version())),
        ];
        let columns = columns
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let mut features: Vec<(String, String)> = columns.collect();
        features.iter_mut().for_each(|(_, value)| cut(value));
        features.extend(named("attributes.", &span.attributes));
        features.extend_from_slice(of_resource);
        Self {
            hash,
            key,
            features,
        }
    }
}

/// What spans of a resource have in common.
pub(super) fn of_resource(resource: &Resource<'_>) -> Vec<(String, String)> {
    named("resource.", &resource.attributes)
}

fn named(namespace: &'static str, pairs: &[KeyValue<'_>]) -> Vec<(String, String)> {
    let mut pairs: Vec<&KeyValue<'_>> = pairs.iter().collect();
    // The first of a key that comes twice.
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    pairs.dedup_by(|b, a| a.key == b.key);
    pairs.truncate(MAX_ATTRIBUTES);
    let named = pairs.into_iter().map(|pair| {
        let mut value = plain(&pair.value);
        cut(&mut value);
        ([namespace, &pair.key].concat(), value)
    });
    named.collect()
}

fn cut(value: &mut String) {
    // What has so few bytes has not more characters.
    if value.len() > MAX_VALUE_CHARS
        && let Some((end, _)) = value.char_indices().nth(MAX_VALUE_CHARS)
    {
        value.truncate(end);
    }
}

fn plain(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Text(text) => text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
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
    fn a_span_comes_with_columns_and_attributes() {
        let pair = |key: &'static str, value| KeyValue {
            key: key.into(),
            value,
        };
        let resource = Resource {
            attributes: vec![pair("service.name", AnyValue::Text("web".into()))],
        };
        let span = Span {
            name: "GET /".into(),
            attributes: vec![
                pair("url.path", AnyValue::Text("/x".into())),
                pair("n", AnyValue::Int(5)),
                pair("n", AnyValue::Int(6)),
            ],
            ..Span::default()
        };
        let known = ResourceAttributes::of(&resource);
        let of_resource = of_resource(&resource);
        let sampled = SampledSpan::new(0, SpanKey::default(), &known, &of_resource, &span);
        for (name, value) in [
            ("service_name", "web"),
            ("span_name", "GET /"),
            ("http_target", "/x"),
            ("attributes.n", "5"),
            ("resource.service.name", "web"),
        ] {
            assert!(
                sampled.features.contains(&(name.into(), value.into())),
                "{name}"
            );
        }
    }
}

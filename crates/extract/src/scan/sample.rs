//! A sample of spans with all their attributes, the same whatever the order of the input: those
//! with the smallest hashes of trace and span id.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

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

/// Room for the columns of a span in the sample, and for a value that is no text.
const COLUMNS_BYTES: usize = 320;
const NUMBER_BYTES: usize = 8;

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
    pub(crate) features: Features,
}

/// Names with their values, in the order of their coming. All texts are in one buffer: most sampled
/// spans are dropped soon, and with a buffer for each text the allocator took most of the time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub(crate) struct Features {
    texts: String,
    /// Where each name ends in `texts`, and where its value does, which follows it.
    ends: Vec<(u32, u32)>,
    /// Those behind them, which other spans have, too.
    shared: Option<Arc<Features>>,
}

/// [`Features`] that share nothing.
#[derive(Serialize, Deserialize)]
struct Flat {
    texts: String,
    ends: Vec<(u32, u32)>,
}

impl From<Flat> for Features {
    fn from(Flat { texts, ends }: Flat) -> Self {
        Self {
            texts,
            ends,
            shared: None,
        }
    }
}

impl From<Features> for Flat {
    fn from(features: Features) -> Self {
        let mut flat = Features::default();
        for (name, value) in features.iter() {
            flat.push("", name, value);
        }
        let Features { texts, ends, .. } = flat;
        Self { texts, ends }
    }
}

impl Features {
    /// Empty, with room for so many values and for so many bytes of text. Texts that grow while
    /// they are put down are copied again and again.
    fn with_room(values: usize, bytes: usize) -> Self {
        Self {
            texts: String::with_capacity(bytes),
            ends: Vec::with_capacity(values),
            shared: None,
        }
    }

    /// Adds a value, cut where it is too long; the name comes in two parts.
    fn push(&mut self, namespace: &str, name: &str, value: &str) {
        self.texts.push_str(namespace);
        self.texts.push_str(name);
        let name = self.texts.len() as u32;
        self.texts.push_str(cut(value));
        self.ends.push((name, self.texts.len() as u32));
    }

    /// Adds the attributes of a namespace in the order of their keys, the first of a key that comes
    /// twice.
    fn push_attributes(&mut self, namespace: &str, pairs: &[KeyValue<'_>]) {
        let mut pairs: Vec<&KeyValue<'_>> = pairs.iter().collect();
        pairs.sort_by(|a, b| a.key.cmp(&b.key));
        pairs.dedup_by(|b, a| a.key == b.key);
        pairs.truncate(MAX_ATTRIBUTES);
        for pair in pairs {
            match &pair.value {
                AnyValue::Text(text) => self.push(namespace, &pair.key, text),
                other => {
                    let json = serde_json::to_string(other).unwrap_or_default();
                    self.push(namespace, &pair.key, &json);
                }
            }
        }
    }

    /// All names with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let shared = self.shared.as_deref().into_iter();
        self.own().chain(shared.flat_map(Self::own))
    }

    fn own(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |&(name, value)| {
            let from = std::mem::replace(&mut begin, value as usize);
            let name = name as usize;
            (&self.texts[from..name], &self.texts[name..value as usize])
        })
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value)
    }
}

impl<'f> FromIterator<(&'f str, &'f str)> for Features {
    fn from_iter<I: IntoIterator<Item = (&'f str, &'f str)>>(pairs: I) -> Self {
        let mut features = Self::default();
        for (name, value) in pairs {
            features.push("", name, value);
        }
        features
    }
}

impl PartialEq for SampledSpan {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SampledSpan {}

impl PartialOrd for SampledSpan {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SampledSpan {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_span = (self.hash, self.key).cmp(&(other.hash, other.key));
        by_span.then_with(|| self.features.iter().cmp(other.features.iter()))
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
    pub(crate) fn add(&mut self, spans: impl IntoIterator<Item = SampledSpan>) -> u64 {
        for span in spans {
            if self.0.len() < SAMPLE_SPANS {
                self.0.push(span);
            } else if let Some(mut last) = self.0.peek_mut()
                && span < *last
            {
                *last = span;
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
        of_resource: &Arc<Features>,
        span: &Span<'_>,
        http: &HttpAttributes<'_>,
    ) -> Self {
        let kind = span.kind;
        let number = |number: i32| number.to_string();
        let (span_kind, status) = (number(kind.0), number(span.status.code.0));
        let status_code = http.status_code().map(number);
        let target = http.target();
        let port = http.server_port(kind).map(number);
        let columns = [
            ("service_name", Some(known.service_name())),
            ("service_instance_id", known.service_instance_id.as_deref()),
            ("span_name", Some(&*span.name)),
            ("span_kind", Some(&*span_kind)),
            ("span_status", Some(&*status)),
            ("http_method", http.method()),
            ("http_status_code", status_code.as_deref()),
            ("http_target", target.as_deref()),
            ("server_address", http.server_address(kind)),
            ("server_port", port.as_deref()),
            ("client_address", http.client_address(kind)),
            ("network_protocol_version", http.protocol_version()),
        ];
        let bytes = COLUMNS_BYTES + bytes_of("attributes.", &span.attributes);
        let mut features = Features::with_room(columns.len() + span.attributes.len(), bytes);
        for (name, value) in columns {
            if let Some(value) = value {
                features.push("", name, value);
            }
        }
        features.push_attributes("attributes.", &span.attributes);
        features.shared = Some(of_resource.clone());
        Self {
            hash,
            key,
            features,
        }
    }
}

/// What spans of a resource have in common.
pub(super) fn of_resource(resource: &Resource<'_>) -> Arc<Features> {
    let namespace = "resource.";
    let bytes = bytes_of(namespace, &resource.attributes);
    let mut features = Features::with_room(resource.attributes.len(), bytes);
    features.push_attributes(namespace, &resource.attributes);
    Arc::new(features)
}

/// About how many bytes attributes of a namespace take up.
fn bytes_of(namespace: &str, pairs: &[KeyValue<'_>]) -> usize {
    let bytes = |pair: &KeyValue<'_>| {
        let value = match &pair.value {
            AnyValue::Text(text) => text.len().min(MAX_VALUE_CHARS),
            _ => NUMBER_BYTES,
        };
        namespace.len() + pair.key.len() + value
    };
    pairs.iter().map(bytes).sum()
}

/// The beginning of a value that is too long.
fn cut(value: &str) -> &str {
    // What has so few bytes has not more characters.
    if value.len() <= MAX_VALUE_CHARS {
        return value;
    }
    let end = value.char_indices().nth(MAX_VALUE_CHARS);
    end.map_or(value, |(end, _)| &value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(hash: u64) -> SampledSpan {
        SampledSpan {
            hash,
            key: SpanKey::default(),
            features: Features::default(),
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
        let http = HttpAttributes::of(&span);
        let sampled = SampledSpan::new(0, SpanKey::default(), &known, &of_resource, &span, &http);
        for (name, value) in [
            ("service_name", "web"),
            ("span_name", "GET /"),
            ("http_target", "/x"),
            ("attributes.n", "5"),
            ("resource.service.name", "web"),
        ] {
            assert_eq!(sampled.features.get(name), Some(value), "{name}");
        }
        // What goes to another process shares nothing, and is the same.
        let flat = Features::from(Flat::from(sampled.features.clone()));
        assert!(flat.shared.is_none() && flat.iter().eq(sampled.features.iter()));
    }
}

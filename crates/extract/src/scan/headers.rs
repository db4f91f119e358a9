//! What a span's attributes say of the anomaly headers, in every spelling that SDKs produce.

use loadgen_otlp::view::AnyValue;

/// The values as they stand on a span.
#[derive(Debug, Default)]
pub(crate) struct HeaderAttributes<'a> {
    /// `http.request.header.x-anomaly-*`: the SDK saw the header.
    captured: Fields<'a>,
    /// `anomaly.*`: mapped by a Collector or copied from baggage; may be a default.
    mapped: Fields<'a>,
    /// The run that the span itself names.
    run_id: Option<&'a str>,
}

/// Keys under which a span says which run it belongs to: copied from baggage by a service. No
/// Collector fills them in.
const RUN_ID: [&str; 2] = ["loadgen.run_id", "baggage.loadgen.run_id"];

#[derive(Debug, Default)]
struct Fields<'a>([Option<&'a str>; 3]);

/// Names of the values, with underscores.
const FIELDS: [&str; 3] = ["type", "root_cause", "msg"];

/// What a header said, or what stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) anomaly_type: &'a str,
    pub(crate) root_cause: Option<&'a str>,
    pub(crate) msg: Option<&'a str>,
    /// Only a default of the kind that Collectors fill in: it says nothing.
    pub(crate) is_default: bool,
}

impl<'a> HeaderAttributes<'a> {
    /// Looks at one attribute; the first of a key that comes twice wins.
    pub(crate) fn take(&mut self, key: &str, value: &'a AnyValue<'_>) {
        if RUN_ID.contains(&key) {
            self.run_id = self.run_id.or(value.as_text());
            return;
        }
        let (fields, name) = if let Some(header) = key.strip_prefix("http.request.header.") {
            let dashes = header.strip_prefix("x-anomaly-");
            let Some(name) = dashes.or_else(|| header.strip_prefix("x_anomaly_")) else {
                return;
            };
            (&mut self.captured, name)
        } else {
            let name = key.strip_prefix("baggage.").unwrap_or(key);
            let Some(name) = name.strip_prefix("anomaly.") else {
                return;
            };
            (&mut self.mapped, name)
        };
        let underscored = || name.bytes().map(|b| if b == b'-' { b'_' } else { b });
        let same = |field: &&str| field.bytes().eq(underscored());
        if let Some(slot) = FIELDS.iter().position(same)
            && fields.0[slot].is_none()
        {
            fields.0[slot] = value.as_text();
        }
    }

    /// The run that the span names: its baggage was copied.
    pub(crate) fn run_id(&self) -> Option<&'a str> {
        self.run_id
    }

    /// What they say; none where they say nothing. The values are of one source: a default never
    /// mixes with what was captured.
    pub(crate) fn header(&self) -> Option<Header<'a>> {
        let (captured, mapped) = (self.captured.0[0], self.mapped.0[0]);
        let (fields, anomaly_type) = match (captured, mapped) {
            (Some(kind), _) => (&self.captured.0, kind),
            (None, Some(kind)) => (&self.mapped.0, kind),
            (None, None) => return None,
        };
        Some(Header {
            anomaly_type,
            root_cause: fields[1],
            msg: fields[2],
            // `none` in a captured header was sent by somebody, and so it was in baggage, which
            // the run's id came with; elsewhere it is what is filled in where a header is missing.
            is_default: captured.is_none()
                && self.run_id.is_none()
                && ["none", "normal"].contains(&anomaly_type),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)], check: impl FnOnce(Option<Header<'_>>)) {
        let values: Vec<AnyValue<'_>> = pairs
            .iter()
            .map(|(_, value)| AnyValue::Text((*value).into()))
            .collect();
        let mut attributes = HeaderAttributes::default();
        for ((key, _), value) in pairs.iter().zip(&values) {
            attributes.take(key, value);
        }
        check(attributes.header());
    }

    #[test]
    fn every_spelling_is_read() {
        for key in [
            "http.request.header.x-anomaly-type",
            "http.request.header.x_anomaly_type",
            "anomaly.type",
            "baggage.anomaly.type",
        ] {
            with(&[(key, "timeout")], |header| {
                let said = header.map(|h| (h.anomaly_type, h.is_default));
                assert_eq!(said, Some(("timeout", false)), "{key}");
            });
        }
        with(&[("my.anomaly.type", "t")], |header| {
            assert_eq!(header, None)
        });
    }

    #[test]
    fn values_of_two_sources_never_mix() {
        let pairs = [
            ("anomaly.type", "none"),
            ("anomaly.root_cause", "none"),
            ("http.request.header.x-anomaly-type", "timeout"),
        ];
        with(&pairs, |header| {
            let said = header.map(|h| (h.anomaly_type, h.root_cause));
            assert_eq!(said, Some(("timeout", None)));
        });
    }

    #[test]
    fn a_default_is_absence_but_a_captured_none_was_sent() {
        let is_default = |pairs: &[(&str, &str)], expected: bool| {
            with(pairs, |header| {
                assert_eq!(header.map(|h| h.is_default), Some(expected), "{pairs:?}");
            });
        };
        is_default(&[("anomaly.type", "none")], true);
        is_default(&[("anomaly.type", "normal")], true);
        let sent = ("http.request.header.x-anomaly-type", "none");
        is_default(&[("anomaly.type", "none"), sent], false);
        for run in ["loadgen.run_id", "baggage.loadgen.run_id"] {
            is_default(&[("anomaly.type", "none"), (run, "0123")], false);
        }
        // A run's id alone is no label.
        with(&[("loadgen.run_id", "0123")], |header| {
            assert_eq!(header, None)
        });
    }

    #[test]
    fn an_array_of_one_string_is_the_string() {
        let array = AnyValue::Array(vec![AnyValue::Text("timeout".into())]);
        let mut attributes = HeaderAttributes::default();
        attributes.take("http.request.header.x-anomaly-type", &array);
        assert_eq!(attributes.header().map(|h| h.anomaly_type), Some("timeout"));
    }
}

//! What a span's attributes say of the anomaly headers, in every spelling that SDKs produce.

use super::attribute::{AnyValue, Pick};
use super::scalar::Text;

/// The four values as they stand on a span.
#[derive(Debug, Default)]
pub(crate) struct EvidenceAttributes<'a> {
    /// `http.request.header.x-anomaly-*`: the SDK saw the header.
    captured: Fields<'a>,
    /// `anomaly.*`: mapped by a Collector or copied from baggage; may be a default.
    mapped: Fields<'a>,
}

#[derive(Debug, Default)]
struct Fields<'a>([Option<Text<'a>>; 4]);

/// Names of the four values, with underscores.
const FIELDS: [&str; 4] = ["type", "label", "root_cause", "msg"];

/// What a header said, or what stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Evidence {
    pub(crate) anomaly_type: String,
    pub(crate) label: String,
    pub(crate) root_cause: String,
    pub(crate) msg: String,
    /// Only a default of the kind that Collectors fill in: no evidence of anything.
    pub(crate) is_default: bool,
}

impl<'de: 'a, 'a> Pick<'de> for EvidenceAttributes<'a> {
    fn wants(key: &str) -> bool {
        key.contains("anomaly")
    }

    fn take(&mut self, key: &str, value: AnyValue<'de>) {
        let (fields, name) = if let Some(header) = key.strip_prefix("http.request.header.") {
            let Some(name) = header
                .strip_prefix("x-anomaly-")
                .or_else(|| header.strip_prefix("x_anomaly_"))
            else {
                return;
            };
            (&mut self.captured, name)
        } else if let Some(name) = key
            .strip_prefix("baggage.")
            .unwrap_or(key)
            .strip_prefix("anomaly.")
        {
            (&mut self.mapped, name)
        } else {
            return;
        };
        let same = |field: &&str| {
            field
                .bytes()
                .eq(name.bytes().map(|b| if b == b'-' { b'_' } else { b }))
        };
        if let Some(slot) = FIELDS.iter().position(same)
            && fields.0[slot].is_none()
        {
            fields.0[slot] = value.into_text();
        }
    }
}

impl Evidence {
    /// What the attributes of a span say; none where they say nothing.
    pub(crate) fn of(attributes: &EvidenceAttributes<'_>) -> Option<Self> {
        let (fields, captured) = match (&attributes.captured.0[0], &attributes.mapped.0[0]) {
            (Some(_), _) => (&attributes.captured.0, true),
            (None, Some(_)) => (&attributes.mapped.0, false),
            (None, None) => return None,
        };
        let text = |slot: usize| fields[slot].as_deref().unwrap_or_default().to_owned();
        let anomaly_type = text(0);
        // `none` in a captured header was sent by somebody; elsewhere it is what is filled in
        // where a header is missing.
        let is_default = !captured && is_default(&anomaly_type);
        Some(Self {
            label: text(1),
            root_cause: text(2),
            msg: text(3),
            anomaly_type,
            is_default,
        })
    }

    /// Whether it names an anomaly.
    pub(crate) fn is_anomaly(&self) -> bool {
        !is_default(&self.anomaly_type)
    }
}

fn is_default(anomaly_type: &str) -> bool {
    ["", "none", "normal"].contains(&anomaly_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn evidence(pairs: &[(&'static str, &'static str)]) -> Option<Evidence> {
        let mut attributes = EvidenceAttributes::default();
        for (key, value) in pairs {
            assert!(EvidenceAttributes::wants(key));
            attributes.take(key, AnyValue::Text(Text(Cow::Borrowed(value))));
        }
        Evidence::of(&attributes)
    }

    #[test]
    fn every_spelling_is_read() {
        for key in [
            "http.request.header.x-anomaly-type",
            "http.request.header.x_anomaly_type",
            "anomaly.type",
            "baggage.anomaly.type",
        ] {
            let found = evidence(&[(key, "timeout")]).expect("evidence");
            assert_eq!(
                (&*found.anomaly_type, found.is_default),
                ("timeout", false),
                "{key}"
            );
        }
        let cause = evidence(&[
            ("anomaly.type", "t"),
            ("http.request.header.x-anomaly-root-cause", "c"),
        ]);
        assert_eq!(cause.map(|e| e.anomaly_type), Some("t".into()));
        assert_eq!(evidence(&[("my.anomaly.type", "t")]), None);
    }

    #[test]
    fn a_default_is_absence_but_a_captured_none_was_sent() {
        assert!(evidence(&[("anomaly.type", "none")]).is_some_and(|e| e.is_default));
        assert!(evidence(&[("anomaly.type", "normal")]).is_some_and(|e| e.is_default));
        let sent = evidence(&[
            ("anomaly.type", "none"),
            ("http.request.header.x-anomaly-type", "none"),
        ]);
        assert!(sent.is_some_and(|e| !e.is_default && !e.is_anomaly()));
    }

    #[test]
    fn an_array_of_one_string_is_the_string() {
        let mut attributes = EvidenceAttributes::default();
        let array = AnyValue::Array(vec![AnyValue::Text(Text(Cow::Borrowed("timeout")))]);
        attributes.take("http.request.header.x-anomaly-type", array);
        assert_eq!(
            Evidence::of(&attributes).map(|e| e.anomaly_type),
            Some("timeout".into())
        );
    }
}

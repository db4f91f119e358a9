//! Captured `x-anomaly-*` request headers become `anomaly.*` attributes of the span.
//!
//! The same as the transform processor of a deployed Collector does, whose configuration is in
//! `docs/collector.md`. An `anomaly.*` attribute that is already there (from baggage) stays. A
//! default (`none`, `normal`) says only that this span carried no label: it is no evidence that
//! nothing was wrong, and readers must not take it for such.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// One attribute to fill: its name, the captured header in the two spellings that SDKs use (dashes
/// first), and what it is without a header.
struct Mapping {
    attribute: &'static str,
    captured: [&'static str; 2],
    default: &'static str,
}

/// In the order in which missing attributes are added.
const MAPPINGS: [Mapping; 4] = [
    Mapping {
        attribute: "anomaly.type",
        captured: [
            "http.request.header.x-anomaly-type",
            "http.request.header.x_anomaly_type",
        ],
        default: "none",
    },
    Mapping {
        attribute: "anomaly.label",
        captured: [
            "http.request.header.x-anomaly-label",
            "http.request.header.x_anomaly_label",
        ],
        default: "normal",
    },
    Mapping {
        attribute: "anomaly.root_cause",
        captured: [
            "http.request.header.x-anomaly-root-cause",
            "http.request.header.x_anomaly_root_cause",
        ],
        default: "none",
    },
    Mapping {
        attribute: "anomaly.msg",
        captured: [
            "http.request.header.x-anomaly-msg",
            "http.request.header.x_anomaly_msg",
        ],
        default: "none",
    },
];

/// Fills the four attributes of every span of `request`.
pub(crate) fn map_request(request: &mut ExportTraceServiceRequest) {
    for resource in &mut request.resource_spans {
        for scope in &mut resource.scope_spans {
            for span in &mut scope.spans {
                map_attributes(&mut span.attributes);
            }
        }
    }
}

fn map_attributes(attributes: &mut Vec<KeyValue>) {
    let places = places(attributes);
    for (mapping, places) in MAPPINGS.iter().zip(places) {
        let [present, captured @ ..] = places;
        if present.is_some_and(|at| content(&attributes[at]).is_some()) {
            continue;
        }
        let text = captured
            .into_iter()
            .find_map(|at| captured_header(&attributes[at?]))
            .unwrap_or(mapping.default)
            .to_owned();
        let value = Some(AnyValue {
            value: Some(Value::StringValue(text)),
        });
        match present {
            // The attribute is there with an empty value.
            Some(at) => attributes[at].value = value,
            None => attributes.push(KeyValue {
                key: mapping.attribute.to_owned(),
                value,
                key_strindex: 0,
            }),
        }
    }
}

/// Where the attribute of each mapping is, and its captured headers: the first of each name.
fn places(attributes: &[KeyValue]) -> [[Option<usize>; 3]; MAPPINGS.len()] {
    let mut places = [[None; 3]; MAPPINGS.len()];
    for (at, attribute) in attributes.iter().enumerate() {
        // All names have it, and few others.
        if !attribute.key.contains("anomaly") {
            continue;
        }
        for (mapping, places) in MAPPINGS.iter().zip(&mut places) {
            let [dashes, underscores] = mapping.captured;
            let names = [mapping.attribute, dashes, underscores];
            if let Some(which) = names.iter().position(|name| attribute.key == *name) {
                places[which].get_or_insert(at);
            }
        }
    }
    places
}

/// The text of a captured header: the first element of an array of strings (the semantic
/// convention), or a plain string (nginx). nginx writes an empty string for a header that the
/// request didn't have, so an empty one counts as absent.
fn captured_header(attribute: &KeyValue) -> Option<&str> {
    let value = match content(attribute)? {
        Value::ArrayValue(array) => array.values.first()?.value.as_ref()?,
        value => value,
    };
    match value {
        Value::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn content(attribute: &KeyValue) -> Option<&Value> {
    attribute.value.as_ref()?.value.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::ArrayValue;

    fn text(value: &str) -> AnyValue {
        AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }
    }

    fn array(values: &[&str]) -> AnyValue {
        let values = values.iter().map(|value| text(value)).collect();
        AnyValue {
            value: Some(Value::ArrayValue(ArrayValue { values })),
        }
    }

    fn mapped(attributes: Vec<(&str, AnyValue)>) -> Vec<(String, String)> {
        let mut attributes = attributes
            .into_iter()
            .map(|(key, value)| KeyValue {
                key: key.to_owned(),
                value: Some(value),
                key_strindex: 0,
            })
            .collect();
        map_attributes(&mut attributes);
        attributes
            .iter()
            .filter(|attribute| attribute.key.starts_with("anomaly."))
            .map(|attribute| match content(attribute) {
                Some(Value::StringValue(text)) => (attribute.key.clone(), text.clone()),
                other => (attribute.key.clone(), format!("{other:?}")),
            })
            .collect()
    }

    fn four(kind: &str, label: &str, cause: &str, msg: &str) -> Vec<(String, String)> {
        [
            ("type", kind),
            ("label", label),
            ("root_cause", cause),
            ("msg", msg),
        ]
        .map(|(key, value)| (format!("anomaly.{key}"), value.to_owned()))
        .to_vec()
    }

    #[test]
    fn a_span_without_headers_gets_the_defaults() {
        assert_eq!(mapped(vec![]), four("none", "normal", "none", "none"));
    }

    #[test]
    fn arrays_with_dashes_and_with_underscores_and_plain_strings_are_read() {
        assert_eq!(
            mapped(vec![
                (
                    "http.request.header.x-anomaly-type",
                    array(&["timeout", "second"])
                ),
                ("http.request.header.x_anomaly_label", array(&["anomalous"])),
                (
                    "http.request.header.x-anomaly-root-cause",
                    text("downstream_service_timeout")
                ),
                ("http.request.header.x_anomaly_msg", text("hangs")),
            ]),
            four(
                "timeout",
                "anomalous",
                "downstream_service_timeout",
                "hangs"
            )
        );
    }

    #[test]
    fn dashes_win_over_underscores_unless_they_are_empty() {
        assert_eq!(
            mapped(vec![
                (
                    "http.request.header.x_anomaly_type",
                    array(&["underscores"])
                ),
                ("http.request.header.x-anomaly-type", array(&["dashes"])),
                (
                    "http.request.header.x_anomaly_label",
                    array(&["underscores"])
                ),
                ("http.request.header.x-anomaly-label", text("")),
                ("http.request.header.x-anomaly-root-cause", array(&[])),
            ]),
            four("dashes", "underscores", "none", "none")
        );
    }

    #[test]
    fn an_attribute_from_baggage_stays() {
        let attributes = mapped(vec![
            ("anomaly.type", text("from_baggage")),
            (
                "http.request.header.x-anomaly-type",
                array(&["from_header"]),
            ),
        ]);
        assert_eq!(
            attributes[0],
            ("anomaly.type".to_owned(), "from_baggage".to_owned())
        );
        assert_eq!(attributes.len(), 4);
    }

    #[test]
    fn an_attribute_with_no_value_is_filled_in_place() {
        let attributes = mapped(vec![
            ("anomaly.msg", AnyValue { value: None }),
            ("http.request.header.x-anomaly-msg", array(&["m"])),
        ]);
        assert_eq!(attributes[0], ("anomaly.msg".to_owned(), "m".to_owned()));
        assert_eq!(attributes.len(), 4);
    }

    #[test]
    fn a_header_that_is_no_text_is_not_a_label() {
        let number = AnyValue {
            value: Some(Value::IntValue(7)),
        };
        assert_eq!(
            mapped(vec![("http.request.header.x-anomaly-type", number)]),
            four("none", "normal", "none", "none")
        );
    }
}

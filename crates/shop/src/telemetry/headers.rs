//! Which service puts which request headers on its spans, and in which spelling. The services
//! differ on purpose, as the SDKs of different languages do.

use axum::http::{HeaderMap, HeaderName};
use opentelemetry::{Array, KeyValue, StringValue, Value};

use loadgen_shop_api::Service;

/// The headers that are captured where capture is on.
pub(crate) const CAPTURED: [&str; 4] = [
    "x-anomaly-type",
    "x-anomaly-label",
    "x-anomaly-root-cause",
    "x-anomaly-msg",
];

/// How captured headers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capture {
    /// Not at all: Go's and PHP's instrumentations have no switch for it.
    Nothing,
    /// Name with dashes, array of strings: the convention, and Node's and Java's way.
    Dashes,
    /// Name with underscores, array of strings: Python's way.
    Underscores,
    /// Name with dashes, one string: nginx's way.
    Text,
}

fn capture_of(service: Service) -> Capture {
    match service {
        Service::Web => Capture::Text,
        Service::Catalogue | Service::Cart | Service::User | Service::Shipping => Capture::Dashes,
        Service::Payment => Capture::Underscores,
        Service::Ratings | Service::Dispatch | Service::Gateway => Capture::Nothing,
    }
}

/// The attributes that a service makes of a request's headers.
pub(crate) fn captured(service: Service, headers: &HeaderMap) -> Vec<KeyValue> {
    let capture = capture_of(service);
    if capture == Capture::Nothing {
        return Vec::new();
    }
    CAPTURED
        .into_iter()
        .filter_map(|name| {
            let values: Vec<StringValue> = headers
                .get_all(HeaderName::from_static(name))
                .iter()
                .filter_map(|value| value.to_str().ok())
                .map(|value| StringValue::from(value.to_owned()))
                .collect();
            let first = values.first()?.clone();
            Some(match capture {
                Capture::Text => KeyValue::new(format!("http.request.header.{name}"), first),
                Capture::Underscores => KeyValue::new(
                    format!("http.request.header.{}", name.replace('-', "_")),
                    Value::Array(Array::String(values)),
                ),
                Capture::Dashes | Capture::Nothing => KeyValue::new(
                    format!("http.request.header.{name}"),
                    Value::Array(Array::String(values)),
                ),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn capture(service: Service) -> Vec<(String, Value)> {
        let mut headers = HeaderMap::new();
        headers.insert("x-anomaly-root-cause", HeaderValue::from_static("none"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        captured(service, &headers)
            .into_iter()
            .map(|kv| (kv.key.to_string(), kv.value))
            .collect()
    }

    #[test]
    fn each_language_has_its_spelling() {
        let list = || Value::Array(Array::String(vec!["none".into()]));
        let dashes = "http.request.header.x-anomaly-root-cause".to_owned();
        let underscores = "http.request.header.x_anomaly_root_cause".to_owned();
        for service in [
            Service::Catalogue,
            Service::Cart,
            Service::User,
            Service::Shipping,
        ] {
            assert_eq!(capture(service), [(dashes.clone(), list())]);
        }
        assert_eq!(capture(Service::Payment), [(underscores, list())]);
        assert_eq!(capture(Service::Web), [(dashes, Value::from("none"))]);
        assert!(capture(Service::Ratings).is_empty());
        assert!(capture(Service::Dispatch).is_empty());
    }
}

//! From a step's request to one that the HTTP client sends.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use loadgen_scenario::{Request, Step};
use reqwest::Url;

use crate::headers::{BAGGAGE, TRACEPARENT, header_value, with_members};

/// The request of a step to the target at `base_url`. `headers` are those that all requests of
/// the scenario have, `traceparent` is that of this one.
///
/// `body` is the request's, apart from it.
///
/// `None`: what the step asks for can't be sent as it stands, as when a value such as `..` would
/// make it another path.
pub(crate) fn build(
    base_url: &str,
    headers: &HeaderMap,
    traceparent: HeaderValue,
    step: &Step,
    request: &Request<'_>,
    body: Option<Bytes>,
) -> Option<reqwest::Request> {
    let mut address = String::with_capacity(base_url.len() + request.path.len());
    address.push_str(base_url);
    address.push_str(&request.path);
    let method = Method::from_bytes(request.method.as_bytes()).ok()?;
    let url = Url::parse(&address).ok()?;
    if has_dots(&request.path) {
        return None;
    }
    let mut out = reqwest::Request::new(method, url);
    *out.timeout_mut() = Some(Duration::from_nanos(step.timeout_ns));
    let of_request = out.headers_mut();
    of_request.clone_from(headers);
    of_request.insert(TRACEPARENT, traceparent);
    if body.is_some() {
        of_request.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if ["POST", "PUT", "PATCH"].contains(&request.method) {
        // Methods that are expected to have a body say so when they have none (RFC 9110, section
        // 8.6), and some servers answer 411 otherwise.
        of_request.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, value) in &request.headers {
        of_request.insert(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            header_value(value),
        );
    }
    if !request.baggage.is_empty()
        && let Some(ours) = of_request.get(BAGGAGE)
    {
        let all = with_members(ours, &request.baggage);
        of_request.insert(BAGGAGE, all);
    }
    if let Some(body) = body {
        *out.body_mut() = Some(body.into());
    }
    Some(out)
}

/// Whether a segment of the path is `.` or `..`, also written `%2e`: whoever handles a URL takes
/// those out.
fn has_dots(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // Nearly always that is all there is to it.
    if !path.contains("/.") && !path.contains("/%2") {
        return false;
    }
    path.split('/').any(|segment| {
        let dots = segment.replace("%2e", ".").replace("%2E", ".");
        matches!(dots.as_str(), "." | "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_would_be_taken_out_are_found() {
        for path in ["/.", "/..", "/a/./b", "/a/%2e%2E", "/a/.%2e?q", "/./"] {
            assert!(has_dots(path), "{path}");
        }
        for path in ["/", "/a.b", "/...", "/.a", "/%2ea", "/a?q=/../", "/%20/%2F"] {
            assert!(!has_dots(path), "{path}");
        }
    }
}

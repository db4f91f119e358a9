//! From a step's request to one that the HTTP client sends.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use loadgen_scenario::{Request, Step};
use reqwest::Url;

use crate::headers::{TRACEPARENT, header_value};

/// The request of a step to the target at `base_url`. `headers` are those that all requests of
/// the scenario have, `traceparent` is that of this one.
///
/// `None`: what the step asks for can't be sent as it stands, as when a value such as `..` would
/// make it another path.
pub fn build(
    base_url: &str,
    headers: &HeaderMap,
    traceparent: HeaderValue,
    step: &Step,
    request: Request<'_>,
) -> Option<reqwest::Request> {
    let mut address = String::with_capacity(base_url.len() + request.path.len());
    address.push_str(base_url);
    address.push_str(&request.path);
    let method = Method::from_bytes(request.method.as_bytes()).ok()?;
    let url = Url::parse(&address).ok()?;
    let path = address.split(['?', '#']).next().unwrap_or_default();
    // Dots are resolved by the parser; the scheme has two slashes that are not of the path.
    if slashes(url.path()) + 2 != slashes(path) {
        return None;
    }
    let mut out = reqwest::Request::new(method, url);
    *out.timeout_mut() = Some(Duration::from_nanos(step.timeout_ns));
    let of_request = out.headers_mut();
    of_request.clone_from(headers);
    of_request.insert(TRACEPARENT, traceparent);
    if request.body.is_some() {
        of_request.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &request.headers {
        of_request.insert(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            header_value(value),
        );
    }
    if let Some(body) = request.body {
        *out.body_mut() = Some(body.into());
    }
    Some(out)
}

fn slashes(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'/').count()
}

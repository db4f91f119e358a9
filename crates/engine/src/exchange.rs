//! One exchange: a step's request with the cookies of its iteration, the redirects that follow, and
//! the answer, checked by what the step expects. The engine, the preflight and the doctor send by
//! this, so that what one of them sees is what the others see.
//!
//! Redirects are followed as k6 follows them: ten at most; 301, 302 and 303 go on as GET without a
//! body, 307 and 308 as they are; cookies that are set on the way are sent on the way. To other
//! hosts only where the plan lists them: requests carry headers that are nobody else's business.

use std::borrow::Cow;
use std::io::Read;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use http::{Method, StatusCode};
use loadgen_scenario::{Plan, Request, Step};
use loadgen_timeline::Failure;
use reqwest::{Client, Response, Url};

use crate::client;
use crate::cookies::Cookies;
use crate::request;

/// Headers of a step that also go to another scheme, host or port than the target's. Any other may be a
/// secret of the target.
const GO_ALONG: [&str; 4] = ["accept", "accept-language", "content-type", "user-agent"];

/// k6's default of `redirects`.
const REDIRECTS: usize = 10;
/// Bytes of an answer that are kept for captures; a longer one is a failure.
const CAPTURED_BODY: usize = 16 << 20;

/// What is sent.
pub struct Outgoing<'o> {
    /// The run's plan: it says which hosts redirects may lead to.
    pub plan: &'o Plan,
    /// The target's address, without a trailing slash.
    pub base_url: &'o str,
    /// Headers that all requests of the scenario have.
    pub headers: &'o HeaderMap,
    /// The request's own.
    pub traceparent: HeaderValue,
    /// The step: its timeout holds for the whole exchange.
    pub step: &'o Step,
    /// Its request.
    pub request: Request<'o>,
}

/// How an exchange ended.
#[derive(Debug, Default)]
pub struct Answered {
    /// The status of the last answer; none: there was none.
    pub status: Option<u16>,
    /// The last answer's media type with its parameters; none: it said none.
    pub content_type: Option<HeaderValue>,
    /// What is wrong; none: it is as the step expects. Captures are not looked at.
    pub failure: Option<Failure>,
    /// What the HTTP client said, where there is no answer.
    pub error: Option<reqwest::Error>,
    /// The body, decoded; empty where nothing is captured or something is wrong.
    pub body: Vec<u8>,
}

/// Sends a step's request, and what its redirects ask for, and reads the answer to its end.
pub async fn exchange(client: &Client, cookies: &mut Cookies, mut out: Outgoing<'_>) -> Answered {
    let mut answered = Answered::default();
    let step = out.step;
    // Shared by all that a redirect repeats.
    let body = out.request.body.take().map(Bytes::from);
    let Some(mut request) = out.build(body.clone()) else {
        answered.failure = Some(Failure::Request);
        return answered;
    };
    let until = Instant::now() + Duration::from_nanos(step.timeout_ns);
    for hop in 0.. {
        cookies.put(&mut request);
        let answer = match client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => return answered.without(error),
        };
        cookies.take(answer.url(), answer.headers());
        match next(&out, &answer, body.clone()) {
            Some(_) if hop == REDIRECTS => {
                answered.failure = Some(Failure::Io);
                return answered;
            }
            Some(mut following) => {
                let left = until.saturating_duration_since(Instant::now());
                *following.timeout_mut() = Some(left);
                request = following;
            }
            None => return read(step, answer, answered).await,
        }
    }
    answered
}

impl Outgoing<'_> {
    fn build(&self, body: Option<Bytes>) -> Option<reqwest::Request> {
        let traceparent = self.traceparent.clone();
        let (base, headers) = (self.base_url, self.headers);
        request::build(base, headers, traceparent, self.step, &self.request, body)
    }
}

impl Answered {
    /// Of an exchange that broke off.
    fn without(mut self, error: reqwest::Error) -> Self {
        self.failure = Some(client::failure(&error));
        self.error = Some(error);
        self
    }
}

/// The request that a redirect asks for; none: the answer is none, or leads elsewhere.
fn next(out: &Outgoing<'_>, answer: &Response, body: Option<Bytes>) -> Option<reqwest::Request> {
    let status = answer.status();
    let becomes_get = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => true,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
        _ => return None,
    };
    // One that is empty is none, as in Go.
    let location = answer
        .headers()
        .get(LOCATION)
        .filter(|location| !location.is_empty())?;
    let location = String::from_utf8_lossy(location.as_bytes());
    let url = answer.url().join(&location).ok()?;
    if !["http", "https"].contains(&url.scheme()) {
        return None;
    }
    let base = Url::parse(out.base_url).ok()?;
    let is_own = url.host_str() == base.host_str();
    let is_listed = |host: &str| out.plan.redirect_hosts.iter().any(|listed| listed == host);
    if !is_own && !url.host_str().is_some_and(is_listed) {
        return None;
    }
    // Another port or scheme may be another program, or a wire that others read.
    let is_elsewhere = url.origin() != base.origin();
    let mut request = out.build(body.filter(|_| !becomes_get))?;
    *request.url_mut() = url;
    if becomes_get {
        if request.method() != Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        // What a step says of its own body, and what says that there is none.
        request.headers_mut().remove(CONTENT_TYPE);
        request.headers_mut().remove(CONTENT_LENGTH);
    }
    if is_elsewhere {
        let headers = request.headers_mut();
        headers.remove(AUTHORIZATION);
        for (name, _) in &out.request.headers {
            if !GO_ALONG.contains(name) {
                headers.remove(*name);
            }
        }
    }
    Some(request)
}

/// Checks an answer and reads its body.
async fn read(step: &Step, mut answer: Response, mut answered: Answered) -> Answered {
    let status = answer.status().as_u16();
    answered.status = Some(status);
    let header = |name| {
        answer
            .headers()
            .get(name)
            .map_or(&b""[..], HeaderValue::as_bytes)
    };
    let content_type = String::from_utf8_lossy(header(CONTENT_TYPE));
    answered.content_type = answer.headers().get(CONTENT_TYPE).cloned();
    if !step.expect.matches_status(status) {
        answered.failure = Some(Failure::Status);
    } else if !step.expect.matches_content_type(&content_type) {
        answered.failure = Some(Failure::ContentType);
    }
    let encoding = header(CONTENT_ENCODING).to_ascii_lowercase();
    let keep = answered.failure.is_none() && !step.captures.is_empty();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if keep => {
                if answered.body.len() + chunk.len() > CAPTURED_BODY {
                    answered.failure = Some(Failure::Capture);
                    answered.body = Vec::new();
                    return answered;
                }
                answered.body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                answered.body = Vec::new();
                return answered.without(error);
            }
        }
    }
    match decoded(&encoding, &answered.body) {
        Some(Cow::Owned(body)) => answered.body = body,
        Some(Cow::Borrowed(_)) => {}
        None => {
            answered.failure = Some(Failure::Capture);
            answered.body = Vec::new();
        }
    }
    answered
}

/// A body without its content encoding. Requests ask for none, but some targets send one all the
/// same, and k6 decodes these. None: it can't be decoded, or is too long.
fn decoded<'b>(encoding: &[u8], body: &'b [u8]) -> Option<Cow<'b, [u8]>> {
    if body.is_empty() {
        return Some(Cow::Borrowed(body));
    }
    let decoder: Box<dyn Read> = match encoding {
        b"" | b"identity" => return Some(Cow::Borrowed(body)),
        b"gzip" | b"x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
        b"deflate" => Box::new(flate2::read::ZlibDecoder::new(body)),
        b"zstd" => Box::new(zstd::Decoder::new(body).ok()?),
        _ => return None,
    };
    let mut text = Vec::new();
    // One more, so that a body that is too long is seen.
    let length = decoder
        .take(CAPTURED_BODY as u64 + 1)
        .read_to_end(&mut text)
        .ok()?;
    (length <= CAPTURED_BODY).then_some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn encodings_are_taken_off() {
        let text = br#"{"id": 7}"#;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(text).unwrap();
        let zlib = zlib.finish().unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        for (encoding, body) in [
            ("", &text[..]),
            ("identity", text),
            ("gzip", &gzip),
            ("deflate", &zlib),
            ("zstd", &zstd),
        ] {
            let body = decoded(encoding.as_bytes(), body).unwrap();
            assert_eq!(&*body, text, "{encoding}");
        }
        assert_eq!(decoded(b"gzip", &gzip[..12]), None);
        assert_eq!(decoded(b"br", text), None);
    }

    #[test]
    fn a_body_that_decodes_to_too_much_is_none() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b' '; CAPTURED_BODY + 1]).unwrap();
        assert_eq!(decoded(b"gzip", &gzip.finish().unwrap()), None);
    }
}

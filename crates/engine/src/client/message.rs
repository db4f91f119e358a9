//! Heads of HTTP/1.1 messages (RFC 9112): that of a request as bytes, that of an answer from bytes.

use std::io::Write;

use http::header::{
    ACCEPT, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, SET_COOKIE,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Request, Url};

use super::SendError;
use super::body::Framing;

/// Header fields of an answer at most.
const FIELDS: usize = 100;
/// Bytes of an answer's head at most.
const LONGEST: usize = 256 << 10;

/// What of an answer's head is looked at; the rest is not kept.
const LOOKED_AT: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_ENCODING, LOCATION, SET_COOKIE];

/// A request as it goes out.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    /// It says that its connection ends with it.
    pub(super) is_last: bool,
}

impl Message {
    /// A request, with its body if that is in memory, which all are.
    pub(super) fn of(request: &Request) -> Self {
        let (url, headers) = (request.url(), request.headers());
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let mut bytes = Vec::with_capacity(1024 + body.map_or(0, <[u8]>::len));
        for part in [request.method().as_str(), " ", url.path()] {
            bytes.extend_from_slice(part.as_bytes());
        }
        if let Some(query) = url.query() {
            bytes.push(b'?');
            bytes.extend_from_slice(query.as_bytes());
        }
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        if !headers.contains_key(HOST) {
            host(&mut bytes, url);
        }
        if !headers.contains_key(ACCEPT) {
            field(&mut bytes, "accept", b"*/*");
        }
        for (name, value) in headers {
            // How long the body is, is known better here.
            let is_length = *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
            if !(body.is_some() && is_length) {
                field(&mut bytes, name.as_str(), value.as_bytes());
            }
        }
        if let Some(body) = body {
            // Writing to memory does not fail.
            let _ = write!(bytes, "content-length: {}\r\n", body.len());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.unwrap_or_default());
        let is_last = values(headers, &CONNECTION).any(|option| option == "close");
        Self { bytes, is_last }
    }
}

fn host(bytes: &mut Vec<u8>, url: &Url) {
    bytes.extend_from_slice(b"host: ");
    bytes.extend_from_slice(url.host_str().unwrap_or_default().as_bytes());
    if let Some(port) = url.port() {
        let _ = write!(bytes, ":{port}");
    }
    bytes.extend_from_slice(b"\r\n");
}

fn field(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

/// The members of a field that is a list, in lower case.
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> + use<'h> {
    let texts = headers.get_all(name).into_iter();
    let texts = texts.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(|member| member.trim().to_ascii_lowercase())
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Of its fields those that are looked at.
    pub(super) headers: HeaderMap,
    /// Where its body ends.
    pub(super) framing: Framing,
    /// The connection stays after it.
    pub(super) keeps_connection: bool,
}

impl Head {
    /// The head that bytes begin with, and its length; none: it has not come to its end. Interim
    /// answers (1xx) are passed over. `method` is that of the request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(bytes: &[u8], method: &Method) -> Result<Option<(Self, usize)>, SendError> {
        let mut from = 0;
        loop {
            let Some((head, length)) = Self::first(&bytes[from..], method)? else {
                return match bytes.len() > LONGEST {
                    true => Err(SendError::Malformed("the head of the answer is too long")),
                    false => Ok(None),
                };
            };
            from += length;
            match head.status.as_u16() {
                // Nobody asked for another protocol.
                101 => return Err(SendError::Malformed("it changes the protocol")),
                100..=199 => {}
                _ => return Ok(Some((head, from))),
            }
        }
    }

    fn first(bytes: &[u8], method: &Method) -> Result<Option<(Self, usize)>, SendError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        let length = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(SendError::Malformed(
                    "the answer has too many header fields",
                ));
            }
            Err(_) => return Err(SendError::Malformed("the head of the answer")),
        };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(SendError::Malformed("the status"))?;
        let mut headers = HeaderMap::new();
        let mut lengths = Lengths::default();
        let mut keeps_connection = parsed.version == Some(1);
        for field in parsed.headers.iter() {
            let is = |name: &HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
            if is(&CONTENT_LENGTH) {
                lengths.says(field.value)?;
            } else if is(&TRANSFER_ENCODING) {
                lengths.is_encoded(field.value)?;
            } else if is(&CONNECTION) {
                for option in field.value.split(|byte| *byte == b',') {
                    let option = option.trim_ascii();
                    keeps_connection |= option.eq_ignore_ascii_case(b"keep-alive");
                    if option.eq_ignore_ascii_case(b"close") {
                        keeps_connection = false;
                        break;
                    }
                }
            } else if let Some(name) = LOOKED_AT.iter().find(|name| is(name))
                && let Ok(value) = HeaderValue::from_bytes(field.value)
            {
                headers.append(name, value);
            }
        }
        let framing = lengths.framing(status, method);
        let head = Self {
            status,
            headers,
            // What comes after a body that has no end of its own is not known.
            keeps_connection: keeps_connection && framing != Framing::UntilClose && !lengths.both(),
            framing,
        };
        Ok(Some((head, length)))
    }
}

/// What a head says of its body's length (RFC 9112, section 6.3).
#[derive(Debug, Default)]
struct Lengths {
    length: Option<u64>,
    /// The last coding is `chunked`, or not.
    chunked: Option<bool>,
}

impl Lengths {
    fn says(&mut self, value: &[u8]) -> Result<(), SendError> {
        const WRONG: SendError = SendError::Malformed("its content-length");
        // The same number may be there more than once.
        for number in value.split(|byte| *byte == b',') {
            let number = number.trim_ascii();
            if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
                return Err(WRONG);
            }
            let number = std::str::from_utf8(number).ok();
            let number = number.and_then(|number| number.parse().ok()).ok_or(WRONG)?;
            if self.length.is_some_and(|other| other != number) {
                return Err(WRONG);
            }
            self.length = Some(number);
        }
        Ok(())
    }

    fn is_encoded(&mut self, value: &[u8]) -> Result<(), SendError> {
        let last = value.rsplit(|byte| *byte == b',').next();
        let last = last.unwrap_or_default().trim_ascii();
        if self.chunked == Some(true) {
            return Err(SendError::Malformed("its transfer-encoding"));
        }
        self.chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
        Ok(())
    }

    fn both(&self) -> bool {
        self.length.is_some() && self.chunked.is_some()
    }

    fn framing(&self, status: StatusCode, method: &Method) -> Framing {
        let has_none = *method == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        match (self.chunked, self.length) {
            _ if has_none => Framing::Length(0),
            (Some(true), _) => Framing::Chunked,
            (Some(false), _) | (None, None) => Framing::UntilClose,
            (None, Some(length)) => Framing::Length(length),
        }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;

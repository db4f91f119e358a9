//! What the tests send: OTLP requests with every field, every kind of value and the corner cases
//! of the JSON form; and a bare HTTP client to send them.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod logs;
mod metrics;
mod traces;
mod values;

use prost::Message as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

pub(crate) use traces::spans;
pub(crate) use values::{span_id, trace_id};

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

/// One request as it goes over the wire.
pub(crate) struct Sent {
    pub(crate) path: &'static str,
    pub(crate) mime: &'static str,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// In lower case.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

/// Sends one HTTP/1.1 request on a connection of its own.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .unwrap();
    // A server that refuses a body early may close before all of it is sent.
    let _ = stream.write_all(body);
    answer(&mut stream)
}

/// Reads an answer up to the end of the connection.
pub(crate) fn answer(stream: &mut TcpStream) -> Answer {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    let end = text
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("no HTTP answer");
    let headers = String::from_utf8(text[..end].to_vec())
        .unwrap()
        .to_lowercase();
    let code = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        code,
        headers,
        body: text[end + 4..].to_vec(),
    }
}

/// POSTs a body of a content type.
pub(crate) fn post(to: SocketAddr, path: &str, mime: &str, body: &[u8]) -> Answer {
    request(to, "POST", path, &format!("Content-Type: {mime}\r\n"), body)
}

/// Every request of the comparison, in the order of sending.
pub(crate) fn requests() -> Vec<Sent> {
    let protobuf = |path, body| Sent {
        path,
        mime: PROTOBUF,
        body,
    };
    let json = |path, body: &str| Sent {
        path,
        mime: JSON,
        body: body.as_bytes().to_vec(),
    };
    vec![
        protobuf("/v1/traces", traces::every_span().encode_to_vec()),
        protobuf("/v1/traces", traces::captured_headers().encode_to_vec()),
        // Without a span, data point or record there is no line.
        protobuf("/v1/traces", spans(vec![]).encode_to_vec()),
        protobuf("/v1/traces", Vec::new()),
        protobuf("/v1/metrics", metrics::every_metric().encode_to_vec()),
        protobuf("/v1/metrics", Vec::new()),
        protobuf("/v1/logs", logs::every_log_record().encode_to_vec()),
        protobuf("/v1/logs", Vec::new()),
        json("/v1/traces", include_str!("traces.json")),
        json("/v1/metrics", include_str!("metrics.json")),
        json("/v1/logs", include_str!("logs.json")),
        json("/v1/traces", "{}"),
    ]
}

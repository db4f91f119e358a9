//! Messages with their length before them: 4 bytes, big-endian. Each is protobuf or JSON, and may
//! be a zstd frame of its own.

use std::io::{self, Read, Write};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::Lost;
use crate::telemetry::input::MAX_LINE_BYTES;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(super) fn convert(
    mut source: impl Read,
    lines: &mut impl Write,
    lost: &mut Vec<Lost>,
) -> io::Result<()> {
    let mut message = 0;
    let mut byte = 0;
    let mut line = Vec::new();
    loop {
        let mut length = [0; 4];
        let read = super::read_up_to(&mut source, &mut length)?;
        let announced = u64::from(u32::from_be_bytes(length));
        let mut payload = Vec::new();
        let mut lose = |reason: String, torn: bool| {
            lost.push(Lost {
                message,
                byte,
                reason,
                torn,
            });
        };
        match read {
            0 => return Ok(()),
            4 => {}
            _ => {
                lose("the file ends in the length of a message".to_owned(), true);
                return Ok(());
            }
        }
        if announced > MAX_LINE_BYTES as u64 {
            // After a length that can't be, nothing that follows can be found.
            lose(
                format!(
                    "a message of {announced} bytes is announced; the longest that is read has {MAX_LINE_BYTES}. The rest of the file is passed over"
                ),
                false,
            );
            return Ok(());
        }
        source.by_ref().take(announced).read_to_end(&mut payload)?;
        if (payload.len() as u64) < announced {
            lose(
                format!(
                    "the file ends in a message: {} of {announced} bytes are there",
                    payload.len()
                ),
                true,
            );
            return Ok(());
        }
        line.clear();
        match to_json(payload, &mut line) {
            // An empty line keeps the numbers of those that follow.
            Ok(()) => {}
            Err(reason) => {
                line.clear();
                lose(reason, false);
            }
        }
        line.push(b'\n');
        lines.write_all(&line)?;
        message += 1;
        byte += 4 + announced;
    }
}

/// Writes a message as a line of JSON, without the newline.
fn to_json(payload: Vec<u8>, line: &mut Vec<u8>) -> Result<(), String> {
    let payload = if payload.starts_with(&ZSTD_MAGIC) {
        decompress(&payload)?
    } else {
        payload
    };
    if payload.starts_with(b"{") {
        // Raw newlines are only between JSON's tokens.
        line.extend(
            payload
                .iter()
                .map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b }),
        );
        return Ok(());
    }
    // All three begin alike; what follows mostly does not decode as another signal. Names of
    // metrics are text, ids of spans are not, and a log record begins with a number.
    if let Ok(metrics) = ExportMetricsServiceRequest::decode(&payload[..])
        && is_metrics(&metrics)
    {
        loadgen_otlp::json::write(&metrics, line);
    } else if let Ok(logs) = ExportLogsServiceRequest::decode(&payload[..])
        && is_logs(&logs)
    {
        loadgen_otlp::json::write(&logs, line);
    } else if let Ok(traces) = ExportTraceServiceRequest::decode(&payload[..])
        && is_traces(&traces)
    {
        loadgen_otlp::json::write(&traces, line);
    } else {
        return Err("the message is neither JSON nor OTLP's protobuf of any signal".to_owned());
    }
    Ok(())
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("the zstd frame can't be decompressed: {error}");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(cannot)?;
    decoder
        .window_log_max(super::MAX_ZSTD_WINDOW_LOG)
        .map_err(cannot)?;
    let mut out = Vec::new();
    let limit = MAX_LINE_BYTES as u64;
    decoder
        .take(limit + 1)
        .read_to_end(&mut out)
        .map_err(cannot)?;
    if out.len() as u64 > limit {
        return Err(format!(
            "the message decompresses to more than {limit} bytes"
        ));
    }
    Ok(out)
}

fn is_traces(request: &ExportTraceServiceRequest) -> bool {
    let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
    let is_span =
        |s: &Span| [0, 16].contains(&s.trace_id.len()) && [0, 8].contains(&s.span_id.len());
    scopes.flat_map(|s| &s.spans).all(is_span)
}

fn is_logs(request: &ExportLogsServiceRequest) -> bool {
    let scopes = request.resource_logs.iter().flat_map(|r| &r.scope_logs);
    let mut records = scopes.flat_map(|s| &s.log_records).peekable();
    let is_record =
        |r: &LogRecord| [0, 16].contains(&r.trace_id.len()) && [0, 8].contains(&r.span_id.len());
    records.peek().is_some() && records.all(is_record)
}

fn is_metrics(request: &ExportMetricsServiceRequest) -> bool {
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|r| &r.scope_metrics);
    scopes.flat_map(|s| &s.metrics).any(|m| m.data.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let frame = |m: &&[u8]| [&(m.len() as u32).to_be_bytes(), *m].concat();
        messages.iter().flat_map(frame).collect()
    }

    fn converted(bytes: &[u8]) -> (String, Vec<Lost>) {
        let (mut lines, mut lost) = (Vec::new(), Vec::new());
        convert(bytes, &mut lines, &mut lost).expect("memory can be read");
        (String::from_utf8(lines).expect("UTF-8"), lost)
    }

    #[test]
    fn a_bad_message_costs_itself_and_a_cut_one_is_torn() {
        let json = b"{\"resourceSpans\":\n[]}";
        let zstd = zstd::encode_all(&json[..], 1).expect("compressed");
        let mut bytes = framed(&[json, b"\x0anonsense", &zstd, &ZSTD_MAGIC, json]);
        bytes.truncate(bytes.len() - 3);
        let (lines, lost) = converted(&bytes);
        assert_eq!(
            lines,
            "{\"resourceSpans\": []}\n\n{\"resourceSpans\": []}\n\n"
        );
        let places: Vec<_> = lost.iter().map(|l| (l.message, l.torn)).collect();
        assert_eq!(places, [(1, false), (3, false), (4, true)]);
        assert_eq!(lost[0].byte, 4 + json.len() as u64);
    }

    #[test]
    fn a_bomb_is_a_bad_message() {
        let zeros = vec![b' '; MAX_LINE_BYTES + 10];
        let bomb = zstd::encode_all(&zeros[..], 1).expect("compressed");
        let (_, lost) = converted(&framed(&[&bomb]));
        assert!(lost[0].reason.contains("more than"), "{lost:?}");
        let (_, lost) = converted(b"\x7f\xff\xff\xff\x0a");
        assert!(lost[0].reason.contains("announced"), "{lost:?}");
    }
}

//! Writes telemetry of any form as protobuf, each message with its length before it, as the
//! Collector's file exporter does with `format: proto`.
//!
//! `cargo run --release -p loadgen-otlp --example to_protobuf -- FROM TO`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use loadgen_otlp::SignalRequest;
use loadgen_otlp::source::{Source, Unit, requests};
use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1);
    let (Some(from), Some(to)) = (paths.next(), paths.next()) else {
        return Err("usage: to_protobuf FROM TO".into());
    };
    let mut source = Source::open(Path::new(&from))?;
    let mut out = BufWriter::new(File::create(to)?);
    let mut unit = Unit::default();
    while source.next_unit(&mut unit)? {
        let mut encoded = Vec::new();
        let skipped = requests(&unit, |request| {
            encoded.push(match request {
                SignalRequest::Traces(request) => request.encode_to_vec(),
                SignalRequest::Metrics(request) => request.encode_to_vec(),
                SignalRequest::Logs(request) => request.encode_to_vec(),
            });
        });
        if let Some(first) = skipped.first() {
            return Err(format!("message {}: {}", first.message, first.reason).into());
        }
        for message in encoded {
            out.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
            out.write_all(&message)?;
        }
    }
    out.flush()?;
    Ok(())
}

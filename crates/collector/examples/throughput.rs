//! Sends spans by OTLP/gRPC to a collector and says what they cost it:
//! `throughput ADDRESS PROCESS_ID [REQUESTS [SPANS [CONNECTIONS]]]`.
//!
//! The processor time of the receiving process (user and system, from /proc) divides the spans, so
//! the result holds for one core, whatever else runs, and any collector can be measured the same
//! way. By default 2000 requests are sent over 4 connections, each of 512 spans with 12 attributes,
//! about what an SDK sends as one batch.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

const USAGE: &str = "usage: throughput ADDRESS PROCESS_ID [REQUESTS [SPANS [CONNECTIONS]]]";
/// The unit of /proc/*/stat, which Linux fixes at 100 a second for user programs.
const TICKS_PER_SECOND: f64 = 100.0;

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue {
        key: key.to_owned(),
        value,
        key_strindex: 0,
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn header(name: &str, value: &str) -> KeyValue {
    let values = vec![AnyValue {
        value: Some(Value::StringValue(value.to_owned())),
    }];
    let key = format!("http.request.header.{name}");
    attribute(&key, Value::ArrayValue(ArrayValue { values }))
}

fn span(n: u64) -> Span {
    let mut trace_id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
    trace_id.extend(n.to_be_bytes());
    let start = 1_767_960_000_000_000_000 + n * 1_000_003;
    Span {
        trace_id,
        span_id: (n + 1).to_be_bytes().to_vec(),
        parent_span_id: (n + 2).to_be_bytes().to_vec(),
        flags: 0x101,
        name: "GET /api/catalogue/product/:sku".to_owned(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 4_567_891,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.path", "/api/catalogue/product/Watson"),
            text("url.scheme", "http"),
            text("server.address", "127.0.0.1"),
            attribute("server.port", Value::IntValue(8080)),
            text("client.address", "127.0.0.1"),
            text("network.protocol.version", "1.1"),
            attribute("http.response.status_code", Value::IntValue(200)),
            header("x-anomaly-type", "latency_spike"),
            header("x-anomaly-label", "anomalous"),
            header("x-anomaly-root-cause", "slow_database_query"),
            header("x-anomaly-msg", "product queries are slow"),
        ],
        status: Some(Status::default()),
        ..Span::default()
    }
}

fn request(n: u64, spans: u64) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "http".to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans {
        scope: Some(scope),
        spans: (n * spans..(n + 1) * spans).map(span).collect(),
        schema_url: String::new(),
    }];
    let resource = Resource {
        attributes: vec![
            text("service.name", "catalogue"),
            text("service.version", "1.0.0"),
        ],
        ..Resource::default()
    };
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource),
        scope_spans,
        schema_url: String::new(),
    }];
    ExportTraceServiceRequest { resource_spans }
}

/// Processor seconds that process `id` has used.
fn processor_seconds(id: &str) -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name in parentheses may hold spaces; user and system time are fields 14 and 15.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<&str> = after_name.split_whitespace().skip(11).take(2).collect();
    let mut sum = 0.0;
    for field in ticks {
        sum += field.parse::<f64>()?;
    }
    Ok(sum / TICKS_PER_SECOND)
}

/// Peak resident memory of process `id` in MiB.
fn peak_memory(id: &str) -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .unwrap_or("0")
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()?;
    Ok(kib / 1024.0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or(USAGE)?;
    let id = arguments.next().ok_or(USAGE)?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (requests, spans, connections) = (number(2000)?, number(512)?, number(4)?.max(1));

    let bytes = request(1, spans).encoded_len();
    let (before, started) = (processor_seconds(&id)?, Instant::now());
    let mut senders = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let mut client = TraceServiceClient::connect(format!("http://{address}")).await?;
        senders.spawn(async move {
            for n in (connection..requests).step_by(connections as usize) {
                client.export(request(n, spans)).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    let (seconds, processor) = (
        started.elapsed().as_secs_f64(),
        processor_seconds(&id)? - before,
    );
    let sent = (requests * spans) as f64;
    writeln!(
        std::io::stdout(),
        "{requests} requests of {spans} spans and {bytes} bytes: {seconds:.2} s, of the receiver \
         {processor:.2} processor seconds = {:.0} spans and {:.0} MB of OTLP a second on one core; \
         peak memory {:.0} MiB",
        sent / processor,
        (requests * bytes as u64) as f64 / processor / 1e6,
        peak_memory(&id)?
    )?;
    Ok(())
}

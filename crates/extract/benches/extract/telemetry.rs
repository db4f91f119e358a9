//! Makes telemetry of the kind that a Collector stores from a small shop: batches of several
//! resources and scopes, both HTTP vocabularies, SDK and process attributes on every resource.

use std::fmt::Write as _;
use std::io::{self, Write};

const SERVICES: [&str; 8] = [
    "web",
    "catalogue",
    "user",
    "cart",
    "shipping",
    "ratings",
    "payment",
    "dispatch",
];

/// Start of the first window, in Unix nanoseconds.
const RUN_START_NS: u64 = 1_770_000_000_000_000_000;
const WINDOW_NS: u64 = 60_000_000_000;
const WINDOWS: u64 = 8;

/// A small generator of pseudorandom numbers (SplitMix64): the bytes are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Writes about `bytes` of traces; returns the number of spans.
pub(crate) fn write_traces(out: &mut impl Write, bytes: u64) -> io::Result<u64> {
    let mut random = Random(42);
    let (mut written, mut spans, mut batch) = (0, 0, 0u64);
    let mut line = String::new();
    let batches = (bytes / 90_000).max(1);
    while written < bytes {
        line.clear();
        // Batches run through the windows in order, as in a file.
        let at =
            RUN_START_NS + (WINDOW_NS * WINDOWS).saturating_mul(batch.min(batches)) / (batches + 1);
        spans += push_batch(&mut line, &mut random, at);
        line.push('\n');
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        batch += 1;
    }
    Ok(spans)
}

fn push_batch(line: &mut String, random: &mut Random, at_ns: u64) -> u64 {
    let traces: Vec<(u64, u64)> = (0..14).map(|_| (random.next(), random.next())).collect();
    let mut spans = 0;
    line.push_str(r#"{"resourceSpans":["#);
    for (index, service) in SERVICES.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        push_resource(line, service, index);
        line.push_str(r#","scopeSpans":[{"scope":{"name":"@opentelemetry/instrumentation-http","version":"0.200.0"},"spans":["#);
        for (position, trace) in traces.iter().enumerate() {
            if position > 0 {
                line.push(',');
            }
            push_server_span(line, random, *trace, at_ns, index);
            spans += 1;
        }
        line.push_str(r#"],"schemaUrl":"https://opentelemetry.io/schemas/1.37.0"}"#);
        line.push_str(r#",{"scope":{"name":"opentelemetry.instrumentation.sqlite3","version":"0.58b0"},"spans":["#);
        push_database_span(line, random, traces[index], at_ns);
        spans += 1;
        line.push_str("]}]}");
    }
    line.push_str("]}");
    spans
}

fn push_resource(line: &mut String, service: &str, index: usize) {
    let _ = write!(
        line,
        r#"{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}},{{"key":"service.namespace","value":{{"stringValue":"robot-shop"}}}},{{"key":"service.instance.id","value":{{"stringValue":"{service}-7d9f8b6c5-{index}x2k{index}"}}}},{{"key":"telemetry.sdk.language","value":{{"stringValue":"nodejs"}}}},{{"key":"telemetry.sdk.name","value":{{"stringValue":"opentelemetry"}}}},{{"key":"telemetry.sdk.version","value":{{"stringValue":"2.0.1"}}}},{{"key":"host.name","value":{{"stringValue":"node-{index}"}}}},{{"key":"process.pid","value":{{"intValue":"{index}17"}}}},{{"key":"process.command_args","value":{{"arrayValue":{{"values":[{{"stringValue":"node"}},{{"stringValue":"server.js"}}]}}}}}}]}}"#
    );
}

fn push_server_span(
    line: &mut String,
    random: &mut Random,
    (high, low): (u64, u64),
    at_ns: u64,
    depth: usize,
) {
    let start = at_ns + random.below(200_000_000);
    let end = start + 1_000_000 + random.below(80_000_000);
    let span = random.next();
    let _ = write!(
        line,
        r#"{{"traceId":"{high:016x}{low:016x}","spanId":"{span:016x}","#
    );
    if depth > 0 {
        let _ = write!(line, r#""parentSpanId":"{:016x}","#, random.next());
    }
    let sku = ["Watson", "HPTD", "UHJ", "EPE", "STAN-1"][random.below(5) as usize];
    let status = if random.below(50) == 0 { 500 } else { 200 };
    let _ = write!(
        line,
        r#""flags":257,"name":"GET /api/catalogue/product/{{sku}}","kind":2,"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}","attributes":["#
    );
    let port = 30_000 + random.below(30_000);
    if depth.is_multiple_of(2) {
        let _ = write!(
            line,
            r#"{{"key":"http.request.method","value":{{"stringValue":"GET"}}}},{{"key":"url.scheme","value":{{"stringValue":"http"}}}},{{"key":"url.path","value":{{"stringValue":"/api/catalogue/product/{sku}"}}}},{{"key":"server.address","value":{{"stringValue":"catalogue"}}}},{{"key":"server.port","value":{{"intValue":"8080"}}}},{{"key":"client.address","value":{{"stringValue":"10.1.0.{depth}"}}}},{{"key":"network.peer.port","value":{{"intValue":"{port}"}}}},{{"key":"network.protocol.version","value":{{"stringValue":"1.1"}}}},{{"key":"user_agent.original","value":{{"stringValue":"loadgen/0.1.0"}}}},{{"key":"http.response.status_code","value":{{"intValue":"{status}"}}}},{{"key":"http.request.header.x-anomaly-type","value":{{"arrayValue":{{"values":[{{"stringValue":"latency_spike"}}]}}}}}},{{"key":"http.route","value":{{"stringValue":"/product/:sku"}}}}"#
        );
    } else {
        let _ = write!(
            line,
            r#"{{"key":"http.method","value":{{"stringValue":"GET"}}}},{{"key":"http.scheme","value":{{"stringValue":"http"}}}},{{"key":"http.target","value":{{"stringValue":"/api/catalogue/product/{sku}?full=1"}}}},{{"key":"http.host","value":{{"stringValue":"catalogue:8080"}}}},{{"key":"net.host.name","value":{{"stringValue":"catalogue"}}}},{{"key":"net.host.port","value":{{"intValue":"8080"}}}},{{"key":"net.peer.ip","value":{{"stringValue":"10.1.0.{depth}"}}}},{{"key":"net.peer.port","value":{{"intValue":"{port}"}}}},{{"key":"http.flavor","value":{{"stringValue":"1.1"}}}},{{"key":"http.status_code","value":{{"intValue":"{status}"}}}},{{"key":"http.user_agent","value":{{"stringValue":"loadgen/0.1.0"}}}}"#
        );
    }
    line.push_str(if status == 500 {
        r#"],"status":{"code":2}}"#
    } else {
        r#"],"status":{}}"#
    });
}

fn push_database_span(line: &mut String, random: &mut Random, (high, low): (u64, u64), at_ns: u64) {
    let start = at_ns + random.below(200_000_000);
    let end = start + random.below(9_000_000);
    let _ = write!(
        line,
        r#"{{"traceId":"{high:016x}{low:016x}","spanId":"{:016x}","parentSpanId":"{:016x}","name":"SELECT products","kind":3,"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}","attributes":[{{"key":"db.system.name","value":{{"stringValue":"sqlite"}}}},{{"key":"db.query.text","value":{{"stringValue":"SELECT sku, name, description, price FROM products WHERE sku = ? AND \"instock\" > ?"}}}},{{"key":"db.namespace","value":{{"stringValue":"catalogue"}}}},{{"key":"db.response.returned_rows","value":{{"intValue":"1"}}}}],"status":{{}}}}"#,
        random.next(),
        random.next()
    );
}

/// A timeline whose eight windows cover the traces.
pub(crate) fn write_timeline(out: &mut impl Write) -> io::Result<()> {
    let kinds = [
        "none",
        "latency_spike",
        "db_exhaustion",
        "cpu_saturation",
        "cache_miss",
        "dependency_bottleneck",
        "timeout",
        "error_spike",
    ];
    for (index, kind) in (0..WINDOWS).zip(kinds) {
        let opened = RUN_START_NS + index * WINDOW_NS;
        let closed = opened + WINDOW_NS;
        writeln!(
            out,
            r#"{{"event":"window_opened","scenario":"{kind}","anomaly":{{"type":"{kind}","label":"{kind}","root_cause":"slow_database_query","msg":"Queries of the catalogue do extra work","root_cause_service":"catalogue"}},"planned_start_ns":{opened},"planned_end_ns":{closed},"at_ns":{opened}}}"#
        )?;
        writeln!(
            out,
            r#"{{"event":"window_closed","scenario":"{kind}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}"#
        )?;
    }
    Ok(())
}

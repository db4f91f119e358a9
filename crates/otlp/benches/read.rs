//! How fast messages are read, in MB (10^6 bytes) a CPU second of one core: by `read_json` into a
//! sink that counts, beside `serde_json` into types that borrow; and the same for protobuf.
//!
//! `cargo bench -p loadgen-otlp --bench read -- [MB] [what to measure]` (default 5, all).

#[path = "../../extract/benches/extract/telemetry.rs"]
#[allow(dead_code, reason = "the extractor's benchmark needs more of it")]
mod telemetry;

mod typed;

use loadgen_otlp::view::{KeyValue, Metric, Point, Span};
use loadgen_otlp::{Origin, Owner, Signal, Sink, json, read_json, read_protobuf};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use serde::de::IgnoredAny;

/// Counts what it gets.
#[derive(Default)]
struct Count {
    wants: Wants,
    items: usize,
    attributes: usize,
    durations: i64,
}

#[derive(Default)]
enum Wants {
    #[default]
    All,
    Http,
    None,
}

impl Sink for Count {
    fn wants(&self, _: Owner, key: &str) -> bool {
        match self.wants {
            Wants::All => true,
            Wants::Http => ["http.", "url.", "net.", "network.", "server.", "client."]
                .iter()
                .any(|namespace| key.starts_with(namespace)),
            Wants::None => false,
        }
    }

    fn span(&mut self, _: Origin<'_, '_>, span: &Span<'_>) {
        let [start, end] = [span.start_time_unix_nano, span.end_time_unix_nano];
        self.durations += end.get().unwrap_or(0) - start.get().unwrap_or(0);
        self.take(&span.attributes);
    }

    fn point(&mut self, _: Origin<'_, '_>, _: &Metric<'_>, point: &Point<'_>) {
        self.take(&point.attributes);
    }
}

impl Count {
    fn new(wants: Wants) -> Self {
        Self {
            wants,
            ..Self::default()
        }
    }

    fn take(&mut self, attributes: &[KeyValue<'_>]) {
        self.items += 1;
        self.attributes += attributes.len();
    }
}

/// Short tries, of which on a busy machine the best was alone on its core.
const TRIES: usize = 40;

/// The best of several tries.
fn measure(what: &str, messages: &[Vec<u8>], read: impl Fn(&[u8])) {
    let wanted = std::env::args().nth(2).filter(|wanted| wanted != "--bench");
    if wanted.is_some_and(|wanted| !what.contains(&wanted)) {
        return;
    }
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let tries = (0..TRIES).map(|_| {
        let began = cpu();
        messages.iter().for_each(|message| read(message));
        cpu() - began
    });
    let seconds = tries.fold(f64::INFINITY, f64::min);
    println!("{what:52} {:6.0} MB/s", bytes as f64 / 1e6 / seconds);
}

/// The most memory that this program has had.
fn peak_bytes() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no figure")?.parse::<u64>()? * 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = std::env::args().nth(1).and_then(|size| size.parse().ok());
    let megabytes = size.unwrap_or(5);
    let mut text = Vec::new();
    let spans = telemetry::write_traces(&mut text, megabytes * 1_000_000)?;
    let lines: Vec<Vec<u8>> = text
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    println!("{} bytes a span", text.len() as u64 / spans);
    let into = |wants: fn() -> Wants| {
        move |line: &[u8]| {
            let mut sink = Count::new(wants());
            read_json(line, &mut sink).expect("readable");
            std::hint::black_box((sink.items, sink.attributes, sink.durations));
        }
    };
    measure("read_json, all attributes", &lines, into(|| Wants::All));
    measure("read_json, those of HTTP", &lines, into(|| Wants::Http));
    measure("read_json, none", &lines, into(|| Wants::None));
    measure("read_json twice, to check before", &lines, |line| {
        into(|| Wants::All)(line);
        into(|| Wants::All)(line);
    });
    measure(
        "serde_json, types that borrow, all attributes",
        &lines,
        |line| {
            std::hint::black_box(typed::parse(line));
        },
    );
    measure("serde_json, passing over everything", &lines, |line| {
        let text = std::str::from_utf8(line).expect("UTF-8");
        serde_json::from_str::<IgnoredAny>(text).expect("JSON");
    });
    measure("serde_json, trees", &lines, |line| {
        std::hint::black_box(serde_json::from_slice::<serde_json::Value>(line).expect("JSON"));
    });
    measure("json::read, into protobuf types", &lines, |line| {
        let request: ExportTraceServiceRequest = json::read(line).expect("spans");
        std::hint::black_box(request);
    });

    let requests = lines.iter().map(|line| json::read(line));
    let requests: Vec<ExportTraceServiceRequest> = requests.collect::<Result<_, _>>()?;
    let encoded: Vec<Vec<u8>> = requests.iter().map(|r| r.encode_to_vec()).collect();
    println!(
        "as protobuf, {} bytes a span",
        encoded.iter().map(Vec::len).sum::<usize>() as u64 / spans
    );
    measure("read_protobuf, all attributes", &encoded, |message| {
        let mut sink = Count::default();
        read_protobuf(message, &mut sink).expect("readable");
        std::hint::black_box(sink.items);
    });
    measure("prost", &encoded, |message| {
        std::hint::black_box(ExportTraceServiceRequest::decode(message).expect("spans"));
    });

    // Made in place: a copy would be the peak.
    let many = 22_000_000;
    let mut line = String::with_capacity(3 * many + 100);
    line.push_str(r#"{"resourceSpans":[{"scopeSpans":[{"scope":{},"spans":["#);
    line.extend(std::iter::repeat_n("{},", many - 1));
    line.push_str("{}]}]}]}");
    let before = peak_bytes()?;
    let counts = read_json(line.as_bytes(), &mut Count::default())?;
    println!(
        "a line of {} spans in {:.0} MB needs {:.1} MB more",
        counts.items(Signal::Traces),
        line.len() as f64 / 1e6,
        (peak_bytes()? - before) as f64 / 1e6
    );

    // Points, as a Collector writes them.
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../extract/tests/forms/json-none/metrics.out"
    );
    let metrics: Vec<Vec<u8>> = std::fs::read(fixture)?
        .repeat(300)
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    measure("read_json, metrics", &metrics, into(|| Wants::All));
    measure("serde_json, passing over metrics", &metrics, |line| {
        let text = std::str::from_utf8(line).expect("UTF-8");
        serde_json::from_str::<IgnoredAny>(text).expect("JSON");
    });
    measure(
        "json::read, metrics into protobuf types",
        &metrics,
        |line| {
            let request: ExportMetricsServiceRequest = json::read(line).expect("points");
            std::hint::black_box(request);
        },
    );
    Ok(())
}

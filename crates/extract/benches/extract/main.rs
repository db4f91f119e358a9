//! How fast an extraction is, in MB (10^6 bytes) of traces a second, beside the plain way of
//! doing it: one thread, each line as a tree of `serde_json::Value`.
//!
//! `cargo bench -p loadgen-extract -- [MB]` (default 200).

mod telemetry;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use loadgen_extract::{ExtractOptions, extract};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let megabytes = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(200);
    let dir = tempfile::tempdir()?;
    let traces = dir.path().join("traces.jsonl");
    let timeline = dir.path().join("timeline.jsonl");
    let mut out = BufWriter::new(File::create(&traces)?);
    let spans = telemetry::write_traces(&mut out, megabytes * 1_000_000)?;
    out.flush()?;
    telemetry::write_timeline(&mut File::create(&timeline)?)?;
    let bytes = std::fs::metadata(&traces)?.len();
    println!(
        "{:.0} MB of traces, {spans} spans, {} bytes a span",
        mb(bytes),
        bytes / spans
    );

    let mut best = Cost {
        wall: f64::INFINITY,
        cpu: f64::INFINITY,
    };
    for _ in 0..5 {
        let output = dir.path().join("dataset");
        let options = ExtractOptions {
            traces: vec![traces.clone()],
            timeline: Some(timeline.clone()),
            output: output.clone(),
            ..ExtractOptions::default()
        };
        let (report, cost) = timed(|| extract(&options));
        let report = report?;
        assert!(report.reconciles() && report.figures.spans.read == spans);
        assert_eq!(report.figures.spans_by_type.get("unknown"), None);
        let written: u64 = report.files.iter().map(|file| file.bytes).sum();
        println!(
            "extract, {:.0} MB written: {}",
            mb(written),
            cost.rates(bytes)
        );
        best = Cost {
            wall: best.wall.min(cost.wall),
            cpu: best.cpu.min(cost.cpu),
        };
        std::fs::remove_dir_all(output)?;
    }

    let (outcome, cost) = timed(|| plain(&traces));
    let (read, rows) = outcome?;
    assert_eq!(read, spans);
    println!(
        "trees, one pass, {:.0} MB of rows: {}",
        mb(rows),
        cost.rates(bytes)
    );
    println!(
        "ratio: {:.1} by time, {:.1} by CPU time",
        cost.wall / best.wall,
        cost.cpu / best.cpu
    );
    Ok(())
}

/// What a piece of work took, in seconds. On a machine that does other things as well, only the
/// CPU time means anything.
struct Cost {
    wall: f64,
    cpu: f64,
}

impl Cost {
    fn rates(&self, bytes: u64) -> String {
        let rate = |seconds: f64| mb(bytes) / seconds;
        format!(
            "{:.0} MB/s, {:.0} MB per CPU second",
            rate(self.wall),
            rate(self.cpu)
        )
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (began, cpu_began) = (Instant::now(), cpu());
    let outcome = work();
    (
        outcome,
        Cost {
            wall: began.elapsed().as_secs_f64(),
            cpu: cpu() - cpu_began,
        },
    )
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What a script would do, without even joining: read, walk, and write one CSV of nine columns.
/// Returns the number of spans and of bytes written.
fn plain(traces: &Path) -> io::Result<(u64, u64)> {
    let (mut spans, mut bytes) = (0, 0);
    for line in BufReader::new(File::open(traces)?).lines() {
        let message: Value = serde_json::from_str(&line?)?;
        for resource in items(&message["resourceSpans"]) {
            let service = attribute(&resource["resource"]["attributes"], &["service.name"]);
            for span in items(&resource["scopeSpans"]).flat_map(|scope| items(&scope["spans"])) {
                spans += 1;
                let attributes = &span["attributes"];
                let method = attribute(attributes, &["http.request.method", "http.method"]);
                let status = attribute(
                    attributes,
                    &["http.response.status_code", "http.status_code"],
                );
                let row = format!(
                    "{},{},{},{},{},{},{},{method},{status}\n",
                    span["startTimeUnixNano"].as_str().unwrap_or_default(),
                    span["endTimeUnixNano"].as_str().unwrap_or_default(),
                    service,
                    span["traceId"].as_str().unwrap_or_default(),
                    span["spanId"].as_str().unwrap_or_default(),
                    span["parentSpanId"].as_str().unwrap_or_default(),
                    span["name"].as_str().unwrap_or_default(),
                );
                bytes += std::hint::black_box(row).len() as u64;
            }
        }
    }
    Ok((spans, bytes))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn attribute<'a>(attributes: &'a Value, names: &[&str]) -> &'a str {
    let of = |name: &&str| items(attributes).find(|a| a["key"] == **name);
    let value = names.iter().find_map(of).map(|a| &a["value"]);
    value
        .and_then(|v| v["stringValue"].as_str().or(v["intValue"].as_str()))
        .unwrap_or_default()
}

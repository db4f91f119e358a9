//! Peak memory of an extraction, and of one with ten times the input.
//!
//! `cargo bench -p loadgen-extract --bench memory -- [MB]` (default 300; needs 20 times that on the disk).

#[path = "../extract/telemetry.rs"]
mod telemetry;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use loadgen_extract::{ExtractOptions, extract};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder] = &arguments[..]
        && flag == "--child"
    {
        return child(Path::new(folder));
    }
    let megabytes: u64 = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(300);
    let mut peaks = Vec::new();
    for factor in [1, 10] {
        let dir = tempfile::tempdir()?;
        let mut out = BufWriter::new(File::create(dir.path().join("traces.jsonl"))?);
        let spans = telemetry::write_traces(&mut out, factor * megabytes * 1_000_000)?;
        out.flush()?;
        telemetry::write_timeline(&mut File::create(dir.path().join("timeline.jsonl"))?)?;
        let measured = Command::new(std::env::current_exe()?)
            .arg("--child")
            .arg(dir.path())
            .output()?;
        let text = String::from_utf8(measured.stdout)?;
        let kib: u64 = text.trim().parse()?;
        println!(
            "{} MB, {spans} spans: {:.1} MB at the peak",
            factor * megabytes,
            kib as f64 / 1e3
        );
        peaks.push(kib as f64);
    }
    println!(
        "ten times the input: {:.2} times the memory",
        peaks[1] / peaks[0]
    );
    Ok(())
}

/// Extracts and prints the process's peak of resident memory in KiB.
fn child(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    extract(&ExtractOptions {
        inputs: vec![folder.join("traces.jsonl")],
        timeline: Some(folder.join("timeline.jsonl")),
        output: folder.join("dataset"),
        ..ExtractOptions::default()
    })?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    println!("{}", line.trim().trim_end_matches(" kB"));
    Ok(())
}

//! The lines must be, byte for byte, those that a real OpenTelemetry Collector writes from the same
//! requests.
//!
//! The files under `tests/golden/` were written by a real one (`tests/otelcol/`). Where
//! `LOADGEN_REAL_COLLECTOR` names its binary, it is run again and compared; with
//! `LOADGEN_WRITE_GOLDEN=1` its output becomes the golden files.

use crate::otlp;
use loadgen_collector::{CollectOptions, Collector};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const FILES: [&str; 3] = ["traces.jsonl", "metrics.jsonl", "logs.jsonl"];
/// The name of the Collector's configuration, and whether headers are mapped in it.
const VARIANTS: [(&str, bool); 2] = [("raw", false), ("mapped", true)];

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// What our collector writes, in the order of [`FILES`].
async fn ours(map_anomaly_headers: bool) -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    let mut options = CollectOptions::new(folder.path());
    options.grpc.set_port(0);
    options.http.set_port(0);
    options.map_anomaly_headers = map_anomaly_headers;
    let collector = Collector::start(options).await.unwrap();
    let to = collector.http();
    tokio::task::spawn_blocking(move || send_all(to))
        .await
        .unwrap();
    collector.stop().await.unwrap();
    read_files(folder.path())
}

/// What the real Collector at `binary` writes.
fn theirs(binary: &str, variant: &str) -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut child = Command::new(binary)
        .arg("--config")
        .arg(here().join(format!("otelcol/{variant}.yaml")))
        .env("OUTPUT", folder.path())
        .env("HTTP_PORT", port.to_string())
        .env("GRPC_PORT", free_port().to_string())
        .spawn()
        .unwrap_or_else(|error| panic!("{binary} doesn't start: {error}"));
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(to).is_err() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the real Collector ended at its start with {status}");
        }
        assert!(
            Instant::now() < deadline,
            "the real Collector doesn't listen on {to}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    send_all(to);
    let stopped = Command::new("kill")
        .arg("-TERM")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(stopped.success());
    assert!(child.wait().unwrap().success());
    read_files(folder.path())
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn send_all(to: SocketAddr) {
    for sent in otlp::requests() {
        let answer = otlp::post(to, sent.path, sent.mime, &sent.body);
        assert_eq!(answer.code, 200, "{} {}: {answer:?}", sent.path, sent.mime);
    }
}

fn read_files(folder: &Path) -> [String; 3] {
    FILES.map(|name| fs::read_to_string(folder.join(name)).unwrap())
}

/// Points at the first byte that differs instead of printing two files.
fn assert_same(what: &str, ours: &str, theirs: &str) {
    for (number, (our, their)) in ours.lines().zip(theirs.lines()).enumerate() {
        if our != their {
            let at = our
                .bytes()
                .zip(their.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let around = |line: &str| {
                let bytes = &line.as_bytes()[at.saturating_sub(60)..(at + 60).min(line.len())];
                String::from_utf8_lossy(bytes).into_owned()
            };
            panic!(
                "{what}: line {} differs at byte {at}\n  ours:   …{}…\n  theirs: …{}…",
                number + 1,
                around(our),
                around(their)
            );
        }
    }
    assert!(
        ours == theirs,
        "{what}: {} lines against {}",
        ours.lines().count(),
        theirs.lines().count()
    );
}

#[tokio::test]
async fn lines_are_those_of_the_real_collector() {
    for (variant, map_anomaly_headers) in VARIANTS {
        let ours = ours(map_anomaly_headers).await;
        for (name, ours) in FILES.iter().zip(ours) {
            let golden =
                fs::read_to_string(here().join("golden").join(variant).join(name)).unwrap();
            assert!(!golden.is_empty());
            assert_same(&format!("{variant}/{name}"), &ours, &golden);
        }
    }
}

#[tokio::test]
async fn golden_files_are_still_what_the_real_collector_writes() {
    let Ok(binary) = std::env::var("LOADGEN_REAL_COLLECTOR") else {
        eprintln!("LOADGEN_REAL_COLLECTOR is not set: compared with the golden files only");
        return;
    };
    let write = std::env::var_os("LOADGEN_WRITE_GOLDEN").is_some();
    for (variant, _) in VARIANTS {
        let golden_folder = here().join("golden").join(variant);
        for (name, theirs) in FILES.iter().zip(theirs(&binary, variant)) {
            let path = golden_folder.join(name);
            if write {
                fs::create_dir_all(&golden_folder).unwrap();
                fs::write(&path, &theirs).unwrap();
            }
            let golden = fs::read_to_string(&path).unwrap();
            assert_same(&format!("golden {variant}/{name}"), &golden, &theirs);
        }
    }
}

#[test]
fn the_documented_mapping_is_the_one_that_was_compared() {
    let document = fs::read_to_string(here().join("../../../docs/collector.md")).unwrap();
    let start = document.find("processors:\n  transform/anomaly:").unwrap();
    let end = start + document[start..].find("```").unwrap();
    let configuration = fs::read_to_string(here().join("otelcol/mapped.yaml")).unwrap();
    assert!(configuration.contains(&document[start..end]));
}

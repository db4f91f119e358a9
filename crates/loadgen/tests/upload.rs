//! `loadgen upload` and `run --upload`, to a folder and to a real S3 server.

#![cfg(feature = "upload")]

#[path = "it/program/mod.rs"]
mod program;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use program::{Place, text, until};
use serde_json::Value;

/// Names the server's program.
const PROGRAM: &str = "LOADGEN_REAL_S3";

/// More than is sent in one piece, and different everywhere.
fn large() -> Vec<u8> {
    (0..20_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// A folder like that of a run.
fn run_folder(place: &Place) -> PathBuf {
    std::fs::create_dir_all(place.path("run/dataset")).unwrap();
    place.write("run/timeline.jsonl", "{}\n");
    place.write("run/empty", "");
    place.write("run/dataset/100% of (all) ä.csv", "a,b\n");
    std::fs::write(place.path("run/ledger.arrows"), large()).unwrap();
    // Stores keep whole seconds: what is younger than that would be sent again.
    let a_minute_ago = SystemTime::now() - Duration::from_secs(60);
    for name in FILES {
        written(&place.path("run").join(name), a_minute_ago);
    }
    place.path("run")
}

const FILES: [&str; 4] = [
    "timeline.jsonl",
    "empty",
    "dataset/100% of (all) ä.csv",
    "ledger.arrows",
];

/// A file was last written at a moment.
fn written(path: &Path, at: SystemTime) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(at).unwrap();
}

/// What an upload said of itself.
fn upload(place: &Place, url: &str, env: &[(&str, &str)]) -> Value {
    let out = place
        .command(["upload", "run", url, "--json"])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A refused upload: its exit code and what it said.
fn refused(place: &Place, run: &str, url: &str, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let out = place
        .command(["upload", run, url])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    (out.status.code(), text(&out.stderr))
}

/// Sends a run's folder three times: all of it, nothing, and the file that has changed.
fn three_times(place: &Place, url: &str, env: &[(&str, &str)], arrived: &Path) {
    let run = run_folder(place);
    let first = upload(place, url, env);
    assert_eq!((&first["files"], &first["skipped"]), (&4.into(), &0.into()));
    assert_eq!(first["bytes"], 20_000_000 + 3 + 4);
    let second = upload(place, url, env);
    assert_eq!(
        (&second["files"], &second["skipped"]),
        (&0.into(), &4.into())
    );
    // Of the same size.
    let changed = place.write("run/timeline.jsonl", "[]\n");
    written(&changed, SystemTime::now() + Duration::from_secs(5));
    let third = upload(place, url, env);
    assert_eq!((&third["files"], &third["skipped"]), (&1.into(), &3.into()));
    for name in FILES {
        let sent = std::fs::read(run.join(name)).unwrap();
        let there = std::fs::read(arrived.join(name)).unwrap();
        assert!(sent == there, "{name} arrived otherwise than it was sent");
    }
}

#[test]
fn a_folder_takes_what_is_new() {
    let place = Place::new();
    let target = place.path("archive/of runs");
    let url = format!("file://{}", target.display());
    three_times(&place, &url, &[], &target);
}

#[test]
fn what_can_not_be_is_said_before_anything_is_sent() {
    let place = Place::new();
    run_folder(&place);
    for (url, why) in [
        ("nonsense", "relative URL without a base"),
        ("ftp://somewhere/x", "`ftp` is no store"),
        ("file://somewhere/x", "a file URL has three slashes"),
    ] {
        let (code, said) = refused(&place, "run", url, &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("s3://BUCKET/PREFIX"), "{said}");
    }
    let url = format!("file://{}", place.path("archive").display());
    let (code, said) = refused(&place, "no-such-run", &url, &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("can't read no-such-run"), "{said}");
}

#[test]
fn a_run_is_uploaded_at_its_end() {
    let place = Place::new();
    place.write(
        "f.yaml",
        "version: 1\nflows: {default: {steps: [{path: /, think_time: 10ms}]}}\n\
         scenarios: {baseline: {executor: constant-vus, vus: 1, duration: 1s}}\n",
    );
    let target = place.path("archive");
    let url = format!("file://{}/first", target.display());
    let out = place.loadgen(["run", "f.yaml", "--quiet", "--out", "run", "--upload", &url]);
    let said = text(&out.stderr);
    assert!(said.contains("uploaded"), "{said}");
    for name in ["timeline.jsonl", "ledger.arrows", "summary.json"] {
        let there = std::fs::read(target.join("first").join(name)).unwrap();
        assert!(
            std::fs::read(place.path("run").join(name)).unwrap() == there,
            "{name}"
        );
    }
    let bad = place.loadgen(["run", "f.yaml", "--out", "another", "--upload", "ftp://x/y"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        !place.path("another").exists(),
        "it is said before the run begins"
    );
}

/// A server whose buckets are folders.
struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    /// None where no program is named.
    fn start(place: &Place) -> Option<Self> {
        let Some(program) = std::env::var_os(PROGRAM) else {
            println!("skipped: {PROGRAM} names no S3 server, see tests/versitygw/README.md");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        for folder in ["buckets/runs", "sidecar"] {
            std::fs::create_dir_all(place.path(folder)).unwrap();
        }
        let process = Command::new(program)
            .args([
                "--access",
                "somebody",
                "--secret",
                "of-the-test",
                "--port",
                &address,
            ])
            // Not every file system has extended attributes.
            .args(["posix", "--sidecar"])
            .args([place.path("sidecar"), place.path("buckets")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            process,
            endpoint: format!("http://{address}"),
        };
        until("the server listens", || {
            std::net::TcpStream::connect(&address).is_ok()
        });
        Some(server)
    }

    fn env<'a>(&'a self, secret: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "somebody"),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_bucket_takes_what_is_new() {
    let place = Place::new();
    let Some(server) = Server::start(&place) else {
        return;
    };
    let env = server.env("of-the-test");
    three_times(
        &place,
        "s3://runs/2026/first",
        &env,
        &place.path("buckets/runs/2026/first"),
    );

    let (code, said) = refused(&place, "run", "s3://no-such-bucket/x", &env);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("NoSuchBucket"), "{said}");
    let (code, said) = refused(&place, "run", "s3://runs/x", &server.env("wrong"));
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("variables AWS_*"), "{said}");
}

//! Planted credentials are in nothing that is written or printed, and arrive where they should.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::program::k6::{k6, k6_run, module};
use crate::program::target::{Arrived, Target};
use crate::program::{Place, text};

/// Begins each planted secret; nothing else is called so.
const PLANTED: &str = "PLANTED";

const FILE: &str = r#"
version: 1
# curl http://me:PLANTED-in-a-comment@127.0.0.1
base_url: BASE
defaults:
  headers: {X-Api-Key: PLANTED-key, accept: application/json}
flows:
  default:
    vars: {session: {pick: [drawn]}}
    steps:
      - path: /a
        headers:
          authorization: Bearer ${env:API_TOKEN}
          cookie: sid=${session}; deep=PLANTED-cookie
          proxy-authorization: Basic ${file:secret.txt}
        json: {user: me, password: '${file:secret.txt}', code: '${env:API_TOKEN}'}
      - path: /b
scenarios:
  first:
    executor: per-vu-iterations
    max_duration: 3s
    env: {API_SECRET: PLANTED-env}
    tags: {token: PLANTED-tag}
"#;

fn target() -> Target {
    Target::start(|_| (Duration::ZERO, "application/json", "{}".into()))
}

/// A run of [`FILE`]; what arrived, and all that was printed.
fn run(place: &Place, engine: &str) -> (Vec<Arrived>, Output) {
    let target = target();
    let base = target.url.replace("://", "://me:PLANTED-base@");
    place.write("file.yaml", &FILE.replace("BASE", &base));
    place.write("secret.txt", "PLANTED-file\n");
    let mut command = place.command(["run", "file.yaml", "--out", "run", "--engine", engine]);
    command
        .args(["--no-client-spans", "--no-preflight", "--json"])
        .env("API_TOKEN", "PLANTED-variable");
    if engine == "k6" {
        command.env("K6_BIN", k6());
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    (target.take(), out)
}

fn assert_clean(what: &str, text: &str) {
    if let Some(at) = text.find(PLANTED) {
        let around: String = text[at..].chars().take(60).collect();
        panic!("{what} has {around:?}");
    }
}

/// Looks through all files below, and at who may read them.
fn assert_folder_is_clean(folder: &Path) {
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            assert_clean(&path.display().to_string(), &text(&bytes));
        }
    }
    assert!(files >= 5, "{files} files");
    for name in [
        "plan.json",
        "scenario.yaml",
        "timeline.jsonl",
        "ledger.arrows",
    ] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

fn secrets_are_sent_and_not_kept(engine: &str) {
    let place = Place::new();
    let (arrived, out) = run(&place, engine);
    assert_clean("standard output", &text(&out.stdout));
    assert_clean("standard error", &text(&out.stderr));
    assert_folder_is_clean(&place.path("run"));

    let copy = std::fs::read_to_string(place.path("run/scenario.yaml")).unwrap();
    assert!(
        copy.contains("X-Api-Key: REDACTED, accept: application/json"),
        "{copy}"
    );
    assert!(copy.contains("Bearer ${env:API_TOKEN}"), "{copy}");

    let first = arrived.iter().find(|request| request.path == "/a");
    let first = first.expect("a request for /a");
    let header = |name: &str| {
        let found = first.headers.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    assert_eq!(header("authorization"), "Bearer PLANTED-variable");
    assert_eq!(header("proxy-authorization"), "Basic PLANTED-file");
    assert_eq!(header("x-api-key"), "PLANTED-key");
    assert_eq!(header("cookie"), "sid=drawn; deep=PLANTED-cookie");
    let body = r#"{"user":"me","password":"PLANTED-file","code":"PLANTED-variable"}"#;
    assert_eq!(first.body, body);
}

#[test]
fn the_engine_sends_secrets_and_keeps_none() {
    secrets_are_sent_and_not_kept("rust");
}

#[test]
fn k6_sends_secrets_and_keeps_none() {
    secrets_are_sent_and_not_kept("k6");
}

#[test]
fn k6_alone_reads_the_secrets_that_a_plan_names() {
    let target = target();
    let place = Place::new();
    place.write("file.yaml", &FILE.replace("BASE", "http://127.0.0.1:1"));
    place.write("secret.txt", "PLANTED-file\n");
    let plan = place.loadgen(["plan", "file.yaml", "--format", "json"]);
    place.write("plan.json", &text(&plan.stdout));
    let replay = || {
        let mut k6 = k6_run(&module("replay.js"));
        k6.current_dir(place.path(""))
            .env("PWD", place.path(""))
            .env("LOADGEN_PLAN", "plan.json")
            .env("BASE_URL", &target.url)
            .args(["--console-output", "events.log"]);
        k6
    };
    let out = replay().output().unwrap();
    assert!(!out.status.success());
    let said = text(&out.stderr);
    assert!(said.contains("API_TOKEN, which the plan names"), "{said}");
    assert_eq!(target.take().len(), 0);

    let out = replay()
        .env("API_TOKEN", "PLANTED-variable")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let log = std::fs::read_to_string(place.path("events.log")).unwrap();
    for what in [&text(&out.stdout), &text(&out.stderr), &log] {
        assert_clean("what k6 wrote", what);
    }
    let arrived = target.take();
    let first = arrived.iter().find(|request| request.path == "/a");
    let headers = &first.expect("a request for /a").headers;
    for (name, value) in [
        ("authorization", "Bearer PLANTED-variable"),
        ("proxy-authorization", "Basic PLANTED-file"),
    ] {
        let sent = headers.iter().find(|(own, _)| own == name);
        assert_eq!(sent.map(|(_, value)| value.as_str()), Some(value));
    }
}

#[test]
fn plans_and_errors_have_no_secrets() {
    let place = Place::new();
    let file = FILE.replace("BASE", "http://me:PLANTED-base@127.0.0.1:1");
    place.write("file.yaml", &file);
    place.write("secret.txt", "PLANTED-file");
    let url = "http://me:PLANTED-jaeger@127.0.0.1:1";
    for args in [
        vec!["plan", "file.yaml"],
        vec!["plan", "file.yaml", "--format", "json"],
        vec!["check", "file.yaml"],
        vec!["run", "file.yaml", "--out", "a"],
        vec![
            "run",
            "file.yaml",
            "--base-url",
            "HTTP://me:PLANTED@203.0.113.7",
            "--out",
            "b",
        ],
        vec!["doctor", "file.yaml", "--jaeger", url],
        vec!["upload", "a", "s3://me:PLANTED-store@bucket/x"],
        vec!["replay", "--telemetry", "a", "--otlp", url],
    ] {
        let mut command = place.command(&args);
        let out = command
            .env("API_TOKEN", "PLANTED-variable")
            .output()
            .unwrap();
        let shown = format!("{args:?}");
        assert_clean(&shown, &text(&out.stdout));
        assert_clean(&shown, &text(&out.stderr));
        assert!(!out.stdout.is_empty() || !out.stderr.is_empty(), "{shown}");
    }
}

#[test]
fn a_secret_that_is_not_there_ends_the_run_before_it_begins() {
    let place = Place::new();
    let target = target();
    place.write("file.yaml", &FILE.replace("BASE", &target.url));
    let mut command = place.command(["run", "file.yaml", "--out", "run"]);
    let out = command.env_remove("API_TOKEN").output().unwrap();
    assert_eq!(out.status.code(), Some(3));
    let said = text(&out.stderr);
    assert!(said.contains("environment variable API_TOKEN"), "{said}");
    assert!(!place.path("run").exists());
    assert_eq!(target.take(), []);
}

/// A public host ends a command with a code, and is named.
#[track_caller]
fn assert_refused(place: &Place, args: &[&str], variables: &[(&str, &str)], code: i32) {
    let mut command = place.command(args);
    let out = command.envs(variables.iter().copied()).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
    assert!(
        said.contains("--allow-target 203.0.113.7"),
        "{args:?}: {said}"
    );
}

#[test]
fn public_hosts_are_refused_however_they_are_written() {
    let place = Place::new();
    let file = FILE.replace("${env:API_TOKEN}", "x");
    let file = file.replace("${file:secret.txt}", "x");
    place.write("file.yaml", &file.replace("BASE", "http://127.0.0.1:1"));
    let public = "HTTP://203.0.113.7:4318";
    // What is not typed is an input.
    place.write("public.yaml", &file.replace("BASE", "http://203.0.113.7"));
    assert_refused(&place, &["run", "public.yaml"], &[], 3);
    for variable in ["BASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        assert_refused(&place, &["run", "file.yaml"], &[(variable, public)], 3);
    }
    for args in [
        vec!["run", "file.yaml", "--base-url", public],
        vec!["run", "file.yaml", "--admin-url", public],
        vec!["run", "file.yaml", "--otlp-endpoint", public],
        vec!["doctor", "file.yaml", "--jaeger", public],
        vec!["replay", "--telemetry", "file.yaml", "--otlp", public],
        vec!["shop", "--otlp-endpoint", public],
    ] {
        assert_refused(&place, &args, &[], 2);
    }
}

#[test]
fn a_prepared_folder_is_not_written_through_its_links() {
    for name in [
        "plan.json",
        "scenario.yaml",
        "summary.json",
        "k6.log",
        "telemetry",
    ] {
        let place = Place::new();
        let file = FILE.replace("${env:API_TOKEN}", "x");
        let file = file.replace("${file:secret.txt}", "x");
        let target = target();
        place.write("file.yaml", &file.replace("BASE", &target.url));
        std::fs::create_dir(place.path("run")).unwrap();
        symlink(place.path("elsewhere"), place.path("run").join(name)).unwrap();
        let out = place.loadgen(["run", "file.yaml", "--out", "run", "--no-client-spans"]);
        let said = text(&out.stderr);
        assert!(!out.status.success(), "{name}: {said}");
        assert!(said.contains(name), "{name}: {said}");
        assert!(!place.path("elsewhere").exists(), "{name}");
    }
}

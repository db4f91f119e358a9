//! `loadgen compare`, through the real program: two runs that are done, and repetitions of both
//! engines.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::program::k6::k6;
use crate::program::target::Target;
use crate::program::{Place, end, json_lines, text, until};
use serde_json::Value;

/// On the embedded shop, so that there is a dataset.
const SHORT: &str = "
version: 1
target: embedded
defaults: {timeout: 5s, graceful_stop: 1s}
flows:
  city: {steps: [{name: match, path: /api/shipping/match/de/feld}]}
  products: {steps: [{name: products, path: /api/catalogue/products, think_time: 20ms}]}
scenarios:
  steady: {executor: constant-arrival-rate, rate: 50, time_unit: 1s, duration: 2s, pre_allocated_vus: 20, exec: city}
  busy: {executor: constant-vus, vus: 3, duration: 1s, exec: products}
";

/// On anything that answers.
const FLAT: &str = "
version: 1
seed: 41
defaults: {graceful_stop: 1s}
flows:
  default: {vars: {n: {range: [1, 1000]}}, steps: [{path: '/${n}'}]}
scenarios:
  first: {executor: constant-arrival-rate, rate: 40, time_unit: 1s, duration: 1s, pre_allocated_vus: 9}
  second: {executor: constant-arrival-rate, rate: 40, time_unit: 1s, duration: 1s, pre_allocated_vus: 9}
";

fn target() -> Target {
    Target::start(|_| (Duration::ZERO, "application/json", "{}".into()))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn row<'c>(comparison: &'c Value, scenario: &str, id: &str) -> &'c Value {
    let scenarios = comparison["scenarios"].as_array().unwrap();
    let scenario = scenarios
        .iter()
        .find(|s| s["scenario"] == scenario)
        .unwrap();
    let rows = scenario["rows"].as_array().unwrap();
    rows.iter().find(|row| row["metric"]["id"] == id).unwrap()
}

fn run_once(place: &Place, out: &str) {
    let run = place.loadgen(["run", "short.yaml", "--seed", "1", "--quiet", "--out", out]);
    // A dataset of three seconds may well be called not usable.
    assert!(
        matches!(run.status.code(), Some(0 | 8)),
        "{}",
        text(&run.stderr)
    );
}

#[test]
fn two_runs_are_compared_with_what_the_target_says() {
    let place = Place::new();
    place.write("short.yaml", SHORT);
    run_once(&place, "a");
    run_once(&place, "b");
    let out = place.loadgen(["compare", "a", "b", "--out", "compared"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let table = text(&out.stdout);
    assert!(
        table.contains("B (rust) against A (rust), one pair of runs"),
        "{table}"
    );
    assert!(
        table.contains("(100.00 %) took the same flow and steps"),
        "{table}"
    );
    assert!(
        table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
    for name in ["comparison.json", "comparison.csv", "comparison.html"] {
        assert!(place.path("compared").join(name).is_file(), "{name}");
    }
    let comparison = read(&place.path("compared/comparison.json"));
    let requests = row(&comparison, "steady", "requests");
    assert_eq!(requests["a"], requests["b"]);
    for side in ["a", "b"] {
        let client = row(&comparison, "steady", "client.p50")[side][0]
            .as_f64()
            .unwrap();
        let server = row(&comparison, "steady", "server.p50")[side][0]
            .as_f64()
            .unwrap();
        assert!(0.0 < server && server < client, "{server} {client}");
        let coverage = row(&comparison, "busy", "label_coverage")[side][0]
            .as_f64()
            .unwrap();
        assert_eq!(coverage, 100.0);
    }
    let rows = std::fs::read_to_string(place.path("compared/comparison.csv")).unwrap();
    assert!(rows.starts_with("scenario,metric,unit,"), "{rows}");

    // The same again gives the same again; and a run is like itself.
    let again = |a: &str, b: &str| {
        let out = place.loadgen(["compare", a, b, "--json", "--out", "again"]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    assert_eq!(again("a", "b"), comparison);
    let itself = again("a", "a");
    assert!(
        itself["warnings"]
            .to_string()
            .contains("compared with itself")
    );
    for id in ["client.p50", "server.p50", "requests"] {
        assert_eq!(
            row(&itself, "steady", id)["difference"]["mean"],
            0.0,
            "{id}"
        );
    }
}

#[test]
fn what_can_t_be_compared_is_told() {
    let place = Place::new();
    place.write("flat.yaml", FLAT);
    std::fs::create_dir(place.path("folder")).unwrap();
    let told = |args: &[&str], code: i32, words: &str| {
        let out = place.loadgen(args);
        assert_eq!(out.status.code(), Some(code), "{args:?}");
        let message = text(&out.stderr);
        assert!(message.contains(words), "{args:?}: {message}");
    };
    told(&["compare", "folder"], 2, "give a second one");
    told(
        &["compare", "folder", "folder"],
        3,
        "it has no summary.json",
    );
    told(
        &["compare", "flat.yaml", "--scenarios", "frist"],
        2,
        "did you mean `first`?",
    );
    told(&["compare", "flat.yaml", "--tolerance", "0"], 2, "above 0");
    std::fs::create_dir_all(place.path("taken/rep-1-k6")).unwrap();
    let out = place
        .command(["compare", "flat.yaml", "--out", "taken"])
        .env("K6_BIN", broken_k6(&place))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("taken/rep-1-k6 is there already"));
    let out = place
        .command(["compare", "flat.yaml"])
        .env("K6_BIN", "/no/such/k6")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(4));
    assert!(!place.path("runs").exists(), "nothing was begun");
}

fn repeat(place: &Place, k6: &Path, args: &[&str]) -> Output {
    let all = [
        "compare",
        "flat.yaml",
        "--out",
        "compared",
        "--cool-down",
        "100ms",
        "--no-client-spans",
    ];
    place
        .command(all.iter().chain(args))
        .env("K6_BIN", k6)
        .output()
        .unwrap()
}

#[test]
fn repetitions_alternate_and_have_seeds_of_their_own() {
    let place = Place::new();
    place.write("flat.yaml", FLAT);
    let target = target();
    let args = ["--base-url", &*target.url, "--repetitions", "2"];
    let out = repeat(
        &place,
        k6(),
        &[&args[..], &["--scenarios", "second"]].concat(),
    );
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let comparison = read(&place.path("compared/comparison.json"));
    assert_eq!(comparison["sides"]["a"], "rust");
    assert_eq!(comparison["sides"]["b"], "k6");
    let pairs = comparison["pairs"].as_array().unwrap();
    let seen: Vec<(&str, u64, u64)> = pairs
        .iter()
        .map(|pair| {
            let seed = |side: &str| pair[side]["seed"].as_u64().unwrap();
            (pair["first"].as_str().unwrap(), seed("a"), seed("b"))
        })
        .collect();
    assert_eq!(seen, [("a", 41, 41), ("b", 42, 42)]);
    // The other scenario is not run, and nothing waits for it.
    assert_eq!(comparison["scenarios"].as_array().unwrap().len(), 1);
    let work = &comparison["scenarios"][0]["work"];
    assert!(work["iterations"].as_u64().unwrap() >= 80, "{work}");
    assert_eq!(work["same_iterations"], work["iterations"]);
    assert_eq!(work["same_paths"], work["requests"]);
    // The iteration that falls on the very end of the window may miss it on a busy machine.
    let requests = row(&comparison, "second", "requests");
    for count in ["a", "b"]
        .iter()
        .flat_map(|side| requests[side].as_array().unwrap())
    {
        assert!(
            (39.0..=41.0).contains(&count.as_f64().unwrap()),
            "{requests}"
        );
    }
    assert_eq!(
        row(&comparison, "second", "server.p50")["verdict"],
        "not_available"
    );
    assert_eq!(
        row(&comparison, "second", "cpu_per_1000")["a"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let windows = json_lines(&place.path("compared/rep-1-k6/timeline.jsonl"));
    let opened = windows
        .iter()
        .find(|e| e["event"] == "window_opened")
        .unwrap();
    assert_eq!(opened["scenario"], "second");
}

/// A k6 that says which version it is, and then fails.
fn broken_k6(place: &Place) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = place.write(
        "k6-that-fails",
        "#!/bin/sh\nif [ \"$1\" = version ]; then echo 'k6 v1.1.0 (broken)'; else exit 108; fi\n",
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_run_that_fails_is_named_and_kept_and_its_repetition_left_out() {
    let place = Place::new();
    place.write("flat.yaml", FLAT);
    let target = target();
    let broken = broken_k6(&place);
    let out = repeat(
        &place,
        &broken,
        &["--base-url", &target.url, "--repetitions", "1"],
    );
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("repetition 1 is left out: the run with k6"));
    let comparison = read(&place.path("compared/comparison.json"));
    assert_eq!(comparison["pairs"].as_array().unwrap().len(), 0);
    let left_out = &comparison["left_out"][0];
    assert_eq!(left_out["folder"], "compared/rep-1-k6");
    assert!(place.path("compared/rep-1-rust/summary.json").is_file());
    assert!(place.path("compared/rep-1-k6.log").is_file());
}

#[test]
fn a_signal_ends_it_in_good_order_and_what_is_complete_is_compared() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    place.write("flat.yaml", FLAT);
    let target = target();
    let mut command = place.command(["compare", "flat.yaml", "--out", "compared"]);
    command.args([
        "--no-client-spans",
        "--cool-down",
        "100ms",
        "--repetitions",
        "9",
        "--base-url",
        &target.url,
    ]);
    // A group of its own, as a shell gives it, so that the signal reaches the runs as well.
    let child = command
        .env("K6_BIN", k6())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let windows = |name: &str| json_lines(&place.path(name).join("timeline.jsonl")).len();
    until("the second repetition", || windows("compared/rep-2-k6") > 1);
    let group = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    let (code, errors) = end(child);
    assert_eq!(code, Some(5), "{errors}");
    let comparison = read(&place.path("compared/comparison.json"));
    assert_eq!(comparison["pairs"].as_array().unwrap().len(), 1);
    assert_eq!(comparison["left_out"][0]["repetition"], 2);
    assert!(!place.path("compared/rep-3-rust").exists());
}

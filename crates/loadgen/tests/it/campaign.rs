//! `loadgen campaign` as a program, on embedded shops: many runs, one dataset; after a kill it goes on.

use std::path::Path;
use std::process::Output;

use crate::program::{Place, end, json_lines, kill, processes_that_name, text, until};
use serde_json::Value;

/// A run of some seconds with an episode.
const FILE: &str = "
version: 1
name: small
seed: 5
target: embedded
guard: 300ms
anomalies:
  slow: {root_cause: slow_query}
flows:
  products:
    steps: [{name: products, path: /api/catalogue/products, think_time: 0}]
scenarios:
  calm: {executor: constant-arrival-rate, rate: 20, duration: 3s, pre_allocated_vus: 20, exec: products}
  slow:
    executor: constant-arrival-rate
    rate: 20
    duration: 3s
    start_time: 3s
    pre_allocated_vus: 40
    exec: products
    anomaly: slow
    fault: {fault: slow_query, service: catalogue, intensity: 0.8}
";

fn campaign(place: &Place, more: &[&str]) -> Output {
    let mut command = place.command(["campaign", "small.yaml", "--out", "camp"]);
    command.args(more).output().unwrap()
}

/// The ends of runs, as the journal has them.
fn ended(place: &Place) -> Vec<Value> {
    json_lines(&place.path("camp/campaign.jsonl"))
}

fn numbers(ended: &[Value], name: &str) -> Vec<i64> {
    ended
        .iter()
        .map(|run| run[name].as_i64().unwrap())
        .collect()
}

fn run_ids(dataset: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dataset.join("runs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_campaign_that_is_killed_goes_on_and_one_that_is_done_can_be_continued() {
    let place = Place::new();
    place.write("small.yaml", FILE);

    // Killed while its second run goes on.
    let killed = place.start(["campaign", "small.yaml", "--out", "camp", "--episodes", "2"]);
    let pid = killed.id();
    until("the second run has begun", || {
        place.path("camp/runs/0001/timeline.jsonl").exists()
    });
    kill("-KILL", pid);
    end(killed);
    let of_first = ended(&place);
    assert_eq!(numbers(&of_first, "run"), [0]);
    until("nothing is left of the killed run", || {
        processes_that_name(&place.path("camp")) == 0
    });

    // The verdicts of such short windows may be any.
    let gone_on = campaign(&place, &["--episodes", "2"]);
    let said = text(&gone_on.stderr);
    assert!(matches!(gone_on.status.code(), Some(0 | 8)), "{said}");
    let all = ended(&place);
    assert_eq!(all[0], of_first[0]);
    assert_eq!(numbers(&all, "run"), [0, 1]);
    assert_eq!(numbers(&all, "seed"), [5, 6]);
    assert_eq!(all[1]["folder"], "runs/0001-2");
    assert!(!place.path("camp/runs/0001").exists(), "{said}");
    assert!(!place.path("camp/runs/0000/telemetry").exists());
    let dataset = place.path("camp/dataset");
    // On a busy machine a run may be one that is not usable; it is counted.
    let counted = |figures: &Value| {
        let of = |name: &str| figures["figures"][name].as_u64().unwrap();
        assert_eq!(run_ids(&dataset).len() as u64, of("runs"), "{figures}");
        of("runs") + of("left_out")
    };
    let figures = || -> Value {
        let text = std::fs::read(place.path("camp/figures.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let of_two = run_ids(&dataset);
    assert_eq!(counted(&figures()), 2);
    assert_eq!(figures()["figures"]["failed_tries"], 0);
    let told = std::fs::read_to_string(place.path("camp/figures.md")).unwrap();
    assert!(text(&gone_on.stdout).ends_with(&told), "{told}");

    // Nothing is made twice; one more is made.
    let continued = campaign(&place, &["--runs", "3", "--keep-telemetry"]);
    assert!(
        matches!(continued.status.code(), Some(0 | 8)),
        "{}",
        text(&continued.stderr)
    );
    assert_eq!(numbers(&ended(&place), "seed"), [5, 6, 7]);
    let of_three = run_ids(&dataset);
    assert!(of_two.iter().all(|run| of_three.contains(run)));
    assert_eq!(counted(&figures()), 3);
    assert!(place.path("camp/runs/0002/telemetry/traces.jsonl").exists());

    let other = campaign(&place, &["--runs", "3", "--seed", "9"]);
    assert_eq!(other.status.code(), Some(3));
    let said = text(&other.stderr);
    assert!(
        said.contains("its first seed is 5, and 9 is asked for"),
        "{said}"
    );
}

#[test]
fn a_signal_stops_it_and_a_full_disk_begins_no_run() {
    let place = Place::new();
    place.write("small.yaml", FILE);
    let started = place.start([
        "campaign",
        "small.yaml",
        "--out",
        "camp",
        "--runs",
        "2",
        "--at-once",
        "2",
    ]);
    until("both runs have begun", || {
        ["0000", "0001"].iter().all(|run| {
            place
                .path(&format!("camp/runs/{run}/timeline.jsonl"))
                .exists()
        })
    });
    kill("-INT", started.id());
    let (code, said) = end(started);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    assert_eq!(processes_that_name(&place.path("camp")), 0);
    assert!(ended(&place).is_empty());

    let full = campaign(&place, &["--runs", "2", "--max-disk", "1B"]);
    assert_eq!(full.status.code(), Some(1));
    let said = text(&full.stderr);
    assert!(said.contains("Give more by --max-disk"), "{said}");
    assert!(ended(&place).is_empty());
}

#[test]
fn what_cannot_be_a_campaign_is_told_before_any_run() {
    let place = Place::new();
    place.write("small.yaml", FILE);
    place.write("calm.yaml", &FILE.replace("    anomaly: slow\n    fault: {fault: slow_query, service: catalogue, intensity: 0.8}\n", ""));
    for (arguments, code, why) in [
        (vec!["small.yaml"], 2, "--episodes <N>"),
        (vec!["small.yaml", "--runs", "0"], 2, "1..=100000"),
        (
            vec!["small.yaml", "--runs", "1", "--max-disk", "much"],
            2,
            "a size such as 20GB",
        ),
        (
            vec!["calm.yaml", "--episodes", "3"],
            3,
            "no window of the file declares an anomaly",
        ),
        (vec!["none.yaml", "--runs", "1"], 3, "none.yaml"),
        (
            vec![
                "small.yaml",
                "--runs",
                "1",
                "--target",
                "http://127.0.0.1:1",
                "--admin-url",
                "a",
                "--admin-url",
                "b",
            ],
            2,
            "--admin-url is given 2 times, and --target 1 times",
        ),
    ] {
        let done = place.loadgen(["campaign", "--out", "camp"].iter().chain(&arguments));
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(!place.path("camp").exists());
    }
    // A target that is not there: the first run says so, and no other is tried.
    let arguments = [
        "campaign",
        "small.yaml",
        "--out",
        "camp",
        "--runs",
        "3",
        "--target",
        "http://127.0.0.1:1",
    ];
    let done = place.loadgen(arguments);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("the target of run 0 is not there"), "{said}");
    assert_eq!(ended(&place).len(), 1);
}

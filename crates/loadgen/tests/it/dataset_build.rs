//! `loadgen dataset build` as a program: exit codes, what it prints, and what a kill leaves.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::program::{self, Place, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Two run folders with a dataset each, made of the telemetry that the extractor is tested with.
/// Each of their windows is over before there is enough to evaluate it by.
fn runs(place: &Place) -> [PathBuf; 2] {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../extract/tests/golden");
    let timeline = std::fs::read_to_string(golden.join("timeline.jsonl")).unwrap();
    ["a", "b"].map(|name| {
        let folder = place.path(name);
        std::fs::create_dir(&folder).unwrap();
        let own = timeline.replace(&format!("{:032}", 1), &name.repeat(32));
        std::fs::write(folder.join("timeline.jsonl"), own).unwrap();
        let mut command = place.command(["extract"]);
        for file in [
            "traces-1.jsonl",
            "traces-2.jsonl",
            "metrics.jsonl",
            "logs.jsonl",
        ] {
            command.arg(golden.join(file));
        }
        command.arg("--timeline").arg(folder.join("timeline.jsonl"));
        let done = command
            .arg("--out")
            .arg(folder.join("dataset"))
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(8), "{}", text(&done.stderr));
        folder
    })
}

fn build(place: &Place, runs: &[&Path], out: &str, more: &[&str]) -> Output {
    let mut command = place.command(["dataset", "build"]);
    command
        .args(runs)
        .args(["--out", out])
        .args(more)
        .output()
        .unwrap()
}

/// How many hidden folders of builds there are.
fn hidden(place: &Place) -> usize {
    let entries = std::fs::read_dir(place.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(".dataset-"))
        .count()
}

/// Times in milliseconds, ever longer, until a build comes to its end within one.
fn delays() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0), |delay| Some(delay * 5 / 4 + 3))
}

/// Whether a dataset is whole: each file as its checksum says.
fn is_whole(dataset: &Path) -> bool {
    let mut command = std::process::Command::new("sha256sum");
    command
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(dataset);
    command.status().unwrap().success()
}

#[test]
fn exit_codes_and_output_say_what_became_of_it() {
    let place = Place::new();
    let [a, b] = runs(&place);
    let refused = build(&place, &[&a, &b], "out", &[]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(
        text(&refused.stderr).contains("--unusable"),
        "{}",
        text(&refused.stderr)
    );

    // None of the windows is evaluated on enough, so that more than a tenth is unsupported.
    let made = build(&place, &[&a, &b], "out", &["--unusable", "keep", "--json"]);
    assert_eq!(made.status.code(), Some(8), "{}", text(&made.stderr));
    let report: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(report["standing"]["usable"], false);
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    let splits = report["splits"].as_object().unwrap().values();
    let split: u64 = splits.map(|of| of.as_u64().unwrap()).sum();
    assert_eq!(report["episodes"], split);
    assert!(is_whole(&place.path("out")));

    let shown = build(&place, &[&b, &a], "shown", &["--unusable", "keep"]);
    assert!(
        text(&shown.stdout).contains("Dataset: NOT USABLE"),
        "{}",
        text(&shown.stdout)
    );
    let sums = |out: &str| std::fs::read(place.path(out).join("SHA256SUMS")).unwrap();
    assert_eq!(sums("out"), sums("shown"));

    let other = [
        "--unusable",
        "keep",
        "--split-seed",
        "2",
        "--split-by",
        "run",
    ];
    let other_seed = build(&place, &[&a, &b], "other", &other);
    assert_eq!(other_seed.status.code(), Some(8));
    let lists = |out: &str| std::fs::read(place.path(out).join("splits.json")).unwrap();
    let said: Value = serde_json::from_slice(&lists("other")).unwrap();
    assert_eq!((&said["seed"], &said["by"]), (&2.into(), &"run".into()));
    assert_ne!(lists("out"), lists("other"));

    let weak = ["--unusable", "keep", "--weak-below", "2"];
    assert_eq!(build(&place, &[&a], "no", &weak).status.code(), Some(2));
    let negative = ["--unusable", "keep", "--embargo=-1"];
    assert_eq!(build(&place, &[&a], "no", &negative).status.code(), Some(2));
    let twice = build(
        &place,
        &[&a, &a.join("dataset")],
        "no",
        &["--unusable", "keep"],
    );
    assert_eq!(twice.status.code(), Some(3));
    assert!(
        text(&twice.stderr).contains("both of run"),
        "{}",
        text(&twice.stderr)
    );
    let taken = build(&place, &[&a], "out", &["--unusable", "keep"]);
    assert_eq!(taken.status.code(), Some(3));
    assert!(!place.path("no").exists() && hidden(&place) == 0);
}

#[test]
fn a_kill_at_any_moment_leaves_no_half_dataset() {
    let place = Place::new();
    let [a, b] = runs(&place);
    let out = place.path("out");
    let mut kills = 0;
    for delay in delays() {
        let mut command = place.command(["dataset", "build", "--unusable", "keep"]);
        let mut child = program::spawn({
            command.args([&a, &b]).arg("--out").arg(&out);
            command
        });
        std::thread::sleep(Duration::from_millis(delay));
        let _ = child.kill();
        child.wait().unwrap();
        if out.exists() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 0);
    assert!(is_whole(&out));
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let place = Place::new();
    let [a, b] = runs(&place);
    let mut codes = Vec::new();
    for delay in delays() {
        let out = place.path(&format!("out-{delay}"));
        let mut command = place.command(["dataset", "build", "--unusable", "keep"]);
        let mut child = program::spawn({
            command.args([&a, &b]).arg("--out").arg(&out);
            command
        });
        std::thread::sleep(Duration::from_millis(delay));
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        let code = child.wait().unwrap().code();
        codes.push(code);
        match code {
            // It had not begun to listen, and so neither to write.
            None => assert!(!out.exists()),
            Some(5) => assert!(!out.exists()),
            _ => {
                assert!(is_whole(&out), "{codes:?}");
                break;
            }
        }
        assert_eq!(hidden(&place), 0, "{codes:?}");
    }
}

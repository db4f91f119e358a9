//! Datasets of real extractions, put together: the same bytes in any order, each row once and in
//! one episode, labels that nothing backs in the index and in no class, and nothing half made.

mod requests;
mod splits;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loadgen_dataset::{About, BuildError, BuildOptions, BuildReport, Unusable, build};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use world::{Kind, World, all_rows, files, rows};

fn options(inputs: &[PathBuf], output: PathBuf) -> BuildOptions {
    BuildOptions {
        inputs: inputs.to_vec(),
        output,
        ..BuildOptions::default()
    }
}

fn built(inputs: &[PathBuf], output: &Path) -> BuildReport {
    build(&options(inputs, output.to_path_buf())).expect("a dataset")
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_any_order_and_place() {
    let world = World::new();
    let (a, b) = (
        world.run("a", 1, Kind::Supported),
        world.run("b", 2, Kind::Supported),
    );
    let one = world.path("one");
    built(&[a.clone(), b.clone()], &one);
    built(&[b.clone(), a.clone()], &world.path("other order"));
    // The same files under other names, given by the folder of the dataset.
    let elsewhere = world.path("elsewhere/z");
    fs::create_dir_all(elsewhere.parent().expect("a parent")).expect("made");
    fs::rename(&a, &elsewhere).expect("moved");
    built(&[elsewhere.join("dataset"), b], &world.path("other place"));
    let first = files(&one);
    assert!(first.len() > 20, "{:?}", first.keys());
    for other in ["other order", "other place"] {
        let other = files(&world.path(other));
        let names = |of: &BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&first), names(&other));
        for (name, content) in &first {
            assert!(content == &other[name], "{name}");
        }
    }
    // The checksums are those of all other files.
    let sums = String::from_utf8(first["SHA256SUMS"].clone()).expect("text");
    let stated: BTreeMap<&str, &str> = sums
        .lines()
        .map(|line| {
            line.split_once("  ")
                .map(|(sum, name)| (name, sum))
                .expect("a sum")
        })
        .collect();
    assert_eq!(stated.len() + 1, first.len());
    for (name, sum) in stated {
        let digest: String = Sha256::digest(&first[name])
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(sum, digest, "{name}");
    }
}

#[test]
fn each_row_is_there_once_and_no_trace_is_in_two_episodes() {
    let world = World::new();
    let (a, b) = (
        world.run("a", 1, Kind::Supported),
        world.run("b", 2, Kind::TwoWindows),
    );
    let out = world.path("out");
    let report = built(&[a.clone(), b.clone()], &out);
    assert_eq!(report.episodes, 3);
    // Requests are of the ledgers.
    for table in report.tables.iter().filter(|of| of.table != "requests") {
        let inputs = [&a, &b].map(|run| world::table(run, &table.table));
        let before: usize = inputs.iter().map(|path| rows(path).len()).sum();
        let after = all_rows(&out, &format!("tables/{}", table.table));
        assert_eq!(
            (before as u64, after.len()),
            (table.rows, before),
            "{}",
            table.table
        );
        // Cells are as they were, in the same order.
        let expected = inputs.iter().flat_map(|path| rows(path));
        for (expected, row) in expected.zip(&after) {
            for (column, value) in expected {
                assert_eq!(value, row[&column], "{}: {column}", table.table);
            }
            let run_id = row["run_id"].as_str().expect("an id");
            let episode = row["episode_id"].as_str().expect("each row has a time");
            assert!(episode.starts_with(&format!("{run_id}-e")), "{episode}");
        }
    }
    let mut of_trace: HashMap<String, Value> = HashMap::new();
    let tables = [
        "tables/trace_labels",
        "tables/traces_labeled",
        "tables/logs_labeled",
    ];
    let mut seen = [0; 3];
    for (table, seen) in tables.iter().zip(&mut seen) {
        for row in all_rows(&out, table) {
            let Some(trace) = row["trace_id"].as_str() else {
                continue;
            };
            let episode = of_trace
                .entry(trace.to_owned())
                .or_insert(row["episode_id"].clone());
            assert_eq!(*episode, row["episode_id"], "{table}: {trace}");
            *seen += 1;
        }
    }
    assert!(seen.iter().all(|rows| *rows > 100), "{seen:?}");
    // In each window of an anomaly there is its episode alone.
    let episodes: Vec<String> = rows(&out.join("cases.parquet"))
        .iter()
        .filter(|case| case["anomaly_label"] == "anomalous")
        .map(|case| case["episode_id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(episodes.len(), 3);
    for row in all_rows(&out, "tables/traces_labeled") {
        if row["anomaly_label"] == "anomalous" {
            assert!(episodes.iter().any(|of| row["episode_id"] == of.as_str()));
        }
    }
    let second = all_rows(&out, "tables/traces_labeled");
    let second: Vec<_> = second
        .iter()
        .filter(|row| row["scenario"] == "late")
        .collect();
    assert!(!second.is_empty());
    assert!(second.iter().all(|row| {
        row["episode_id"]
            .as_str()
            .is_some_and(|id| id.ends_with("e0001"))
    }));
}

#[test]
fn labels_that_nothing_backs_are_in_the_index_and_in_no_class() {
    let world = World::new();
    let supported = world.run("a", 1, Kind::Supported);
    let not_supported = world.run("b", 2, Kind::NotSupported);
    let out = world.path("out");
    let report = built(&[supported, not_supported.clone()], &out);
    assert!(!report.standing.usable);
    assert_eq!(
        (report.standing.counted, report.standing.unsupported.len()),
        (2, 1)
    );
    let cases = rows(&out.join("cases.parquet"));
    let anomalies: Vec<_> = cases
        .iter()
        .filter(|case| case["anomaly_label"] == "anomalous")
        .collect();
    let said =
        |case: &HashMap<String, Value>, name: &str| case[name].as_str().unwrap_or("-").to_owned();
    let standings: Vec<[String; 4]> = anomalies
        .iter()
        .map(|case| ["verdict", "standing", "driver", "fault_service"].map(|name| said(case, name)))
        .collect();
    let expected = [
        ["supported", "backed", "shop", "cart"],
        ["not_supported", "unsupported", "shop", "cart"],
    ];
    assert_eq!(standings, expected);
    let spans = |case: &HashMap<String, Value>| case["class_spans"].as_i64().expect("a number");
    assert!(spans(anomalies[0]) > 100 && spans(anomalies[1]) == 0);
    let class = all_rows(&out, "classes/latency_spike");
    assert_eq!(class.len() as i64, spans(anomalies[0]));
    assert!(
        class
            .iter()
            .all(|row| row["verdict"] == "supported" && row["phase"] == "steady")
    );
    let normal = all_rows(&out, "classes/normal");
    assert!(
        normal
            .iter()
            .all(|row| row["verdict"] == "clean" && row["anomaly_type"] == "none")
    );
    // All of its rows are in the table.
    let table = all_rows(&out, "tables/traces_labeled");
    assert!(table.iter().any(|row| row["verdict"] == "not_supported"));
    let card = fs::read_to_string(out.join("README.md")).expect("a card");
    assert!(card.contains("**Not usable as it is**"), "{card}");

    // Of an intensity that is weak on purpose nothing has to be seen.
    let mut weak = options(&[not_supported], world.path("weak"));
    weak.weak_below = 0.81;
    let standing = build(&weak).expect("a dataset").standing;
    assert!(
        standing.usable && standing.windows["weak_intensity"] == 1,
        "{standing:?}"
    );
}

#[test]
fn the_classes_are_those_of_the_extractions() {
    let world = World::new();
    let run = world.run("a", 1, Kind::TwoWindows);
    let out = world.path("out");
    let report = built(std::slice::from_ref(&run), &out);
    for class in &report.classes {
        let rows = world::class_rows(&run, &class.class);
        assert_eq!(class.rows, rows, "{}", class.class);
    }
    assert_eq!(report.classes.len(), 3, "{:?}", report.classes);
}

#[test]
fn two_inputs_of_one_run_are_refused_and_both_are_named() {
    let world = World::new();
    let (a, b) = (
        world.run("a", 7, Kind::NoAnomaly),
        world.run("b", 7, Kind::NoAnomaly),
    );
    let out = world.path("out");
    let error = build(&options(&[a.clone(), b.clone()], out.clone())).expect_err("of one run");
    let text = error.to_string();
    for path in [&a, &b] {
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
    assert!(error.is_bad_input() && !out.exists());
    assert_eq!(world.hidden(), 0);
}

#[test]
fn a_run_without_an_anomaly_is_one_episode() {
    let world = World::new();
    let run = world.run("a", 1, Kind::NoAnomaly);
    let report = built(&[run], &world.path("out"));
    assert_eq!((report.episodes, report.standing.usable), (1, true));
}

#[test]
fn what_stops_leaves_nothing_and_the_folder_is_not_there_before_it_is_whole() {
    let world = World::new();
    let run = world.run("a", 1, Kind::NoAnomaly);
    let out = world.path("out");
    let stopped = options(std::slice::from_ref(&run), out.clone());
    stopped.stop.store(true, Ordering::Relaxed);
    let error = build(&stopped).expect_err("stopped");
    assert!(matches!(error, BuildError::Stopped), "{error}");
    assert!(!out.exists() && world.hidden() == 0);

    let mut failing = options(std::slice::from_ref(&run), out.clone());
    let place = out.clone();
    failing.finish = Some(Arc::new(move |folder, datasets| {
        assert!(!place.exists() && datasets.len() == 1);
        assert!(folder.join("cases.parquet").exists());
        Err(std::io::Error::other("the disk is full"))
    }));
    let error = build(&failing).expect_err("it failed");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(!out.exists() && world.hidden() == 0);

    let mut finished = options(std::slice::from_ref(&run), out.clone());
    finished.finish = Some(Arc::new(|folder, _| {
        fs::write(folder.join("report.html"), "x")
    }));
    build(&finished).expect("a dataset");
    let sums = fs::read_to_string(out.join("SHA256SUMS")).expect("sums");
    assert!(sums.contains("  report.html\n"), "{sums}");
    let error = build(&options(&[run], out)).expect_err("there already");
    assert!(matches!(error, BuildError::Taken { .. }), "{error}");
}

#[test]
fn a_column_that_older_datasets_lack_is_null_and_told() {
    let world = World::new();
    let (a, b) = (
        world.run("a", 1, Kind::Supported),
        world.run("b", 2, Kind::Supported),
    );
    world::drop_column(&a, "traces_labeled", "late");
    let out = world.path("out");
    let report = built(&[a, b], &out);
    let notes = report.notes.join("\n");
    assert!(
        notes.contains("traces_labeled: not all of 2 runs"),
        "{notes}"
    );
    assert!(notes.contains("late in 1"), "{notes}");
    let (null, known): (Vec<_>, Vec<_>) = all_rows(&out, "tables/traces_labeled")
        .into_iter()
        .partition(|row| row["late"].is_null());
    assert!(!null.is_empty() && !known.is_empty());
    let readme = fs::read_to_string(out.join("README.md")).expect("a card");
    assert!(readme.contains("late in 1"), "{readme}");
}

#[test]
fn the_newest_whole_set_is_taken_or_the_one_that_is_named() {
    let world = World::new();
    let run = world.run("a", 1, Kind::NoAnomaly);
    let old = world::stamp(&run);
    let new = world.extract_again("a");
    assert!(new > old);
    let audit = |stamp: &str| run.join(format!("dataset/audit_{stamp}.json"));
    let taken = |input: PathBuf, out: &str| {
        let report = built(&[input], &world.path(out));
        let id = &report.runs[0];
        let notes = report.notes.into_iter();
        let notes: Vec<String> = notes.filter(|note| note.contains("set of files")).collect();
        let audit = world.path(out).join(format!("runs/{id}/audit.json"));
        let audit: Value = serde_json::from_slice(&fs::read(audit).expect("there")).expect("JSON");
        (audit["stamp"].as_str().expect("a stamp").to_owned(), notes)
    };
    assert_eq!(taken(run.clone(), "newest"), (new.clone(), vec![]));
    assert_eq!(taken(audit(&old), "named").0, old);
    // Of the newest a file is gone.
    fs::remove_file(run.join(format!("dataset/windows_{new}.parquet"))).expect("removed");
    let (stamp, notes) = taken(run.clone(), "whole");
    assert_eq!(stamp, old);
    assert!(
        notes[0].contains(&format!("windows_{new}.parquet is not there")),
        "{notes:?}"
    );
    let card = fs::read_to_string(world.path("whole/README.md")).expect("a card");
    assert!(card.contains("is not there") && !card.contains(&*world.path("").to_string_lossy()));
    fs::write(
        run.join(format!("dataset/traces_labeled_{old}.parquet")),
        "short",
    )
    .expect("written");
    let error = build(&options(&[run], world.path("none"))).expect_err("none is whole");
    assert!(error.to_string().contains("is whole"), "{error}");
}

#[test]
fn runs_that_their_audit_finds_unusable_are_refused_left_out_or_kept() {
    let world = World::new();
    let (good, bad) = (
        world.run("a", 1, Kind::Supported),
        world.run("b", 2, Kind::Supported),
    );
    world::edit_audit(&bad, |audit| {
        audit["audit"]["verdict"] = json!("not_usable");
        let check = json!({"id": "ledger", "level": "error", "figure": "3 differences", "limit": "none",
                           "advice": "", "details": []});
        audit["audit"]["checks"]
            .as_array_mut()
            .expect("checks")
            .push(check);
    });
    let with = |unusable: Unusable, out: &str, inputs: &[&PathBuf]| {
        let inputs: Vec<PathBuf> = inputs.iter().map(|path| (*path).clone()).collect();
        let mut options = options(&inputs, world.path(out));
        options.unusable = unusable;
        build(&options)
    };
    let error = with(Unusable::Refuse, "refused", &[&good, &bad]).expect_err("refused");
    assert!(
        error.to_string().contains("ledger: 3 differences"),
        "{error}"
    );
    let skipped = with(Unusable::Skip, "skipped", &[&good, &bad]).expect("a dataset");
    assert_eq!((skipped.runs.len(), skipped.left_out.len()), (1, 1));
    let kept = with(Unusable::Keep, "kept", &[&good, &bad]).expect("a dataset");
    assert_eq!(kept.runs.len(), 2);
    let card = fs::read_to_string(world.path("kept/README.md")).expect("a card");
    assert!(
        card.contains("not usable by its audit and was taken all the same"),
        "{card}"
    );
    let error = with(Unusable::Skip, "none", &[&bad]).expect_err("none is left");
    assert!(matches!(error, BuildError::NoneLeft { runs: 1 }), "{error}");
}

#[test]
fn card_and_croissant_say_what_is_known_and_no_more() {
    let world = World::new();
    let run = world.run("a", 1, Kind::Supported);
    let mut about = options(std::slice::from_ref(&run), world.path("about"));
    about.about = About {
        title: Some("A \"set\" | of <ours>".into()),
        licence: Some("cc-by-4.0".into()),
        authors: vec!["Ada".into(), "Bo".into()],
        url: None,
        hardware: Some("two cores".into()),
    };
    build(&about).expect("a dataset");
    built(&[run], &world.path("plain"));
    let card = |of: &str| fs::read_to_string(world.path(of).join("README.md")).expect("a card");
    let (with, without) = (card("about"), card("plain"));
    for said in [
        "license: \"cc-by-4.0\"",
        "author = {Ada and Bo}",
        "two cores",
        "&lt;ours>",
    ] {
        assert!(
            with.contains(said) && !without.contains(said),
            "{said}\n{with}"
        );
    }
    assert!(without.contains("None is stated") && without.contains("Not recorded."));
    let croissant = |of: &str| -> Value {
        let text = fs::read(world.path(of).join("croissant.json")).expect("there");
        serde_json::from_slice(&text).expect("JSON")
    };
    let (with, without) = (croissant("about"), croissant("plain"));
    assert_eq!(with["license"], "cc-by-4.0");
    assert!(without.get("license").is_none() && without.get("creator").is_none());
    let columns: Value =
        serde_json::from_slice(&fs::read(world.path("plain/columns.json")).expect("there"))
            .expect("JSON");
    let sets = without["recordSet"].as_array().expect("record sets");
    let tables = columns["tables"].as_object().expect("tables");
    assert_eq!(sets.len(), tables.len() + 1, "one for the classes");
    for (table, columns) in tables {
        for column in columns.as_array().expect("columns") {
            assert_ne!(column["meaning"], "", "{table}: {column}");
        }
    }
}

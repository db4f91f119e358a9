//! Folds and splits of datasets of real extractions: each fault is in each of them, no trace is in
//! two, and near the border between two nothing is in any.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::world::{Kind, World, all_rows, rows};
use loadgen_dataset::{BuildOptions, SplitBy, SplitOptions, Splits, build};
use serde_json::Value;

/// Nanoseconds of the embargo that is the default.
const EMBARGO_NS: i64 = 10_000_000_000;

type Row = HashMap<String, Value>;

/// Five runs with two faults each.
fn runs(world: &World) -> Vec<PathBuf> {
    let runs = (1..=5).map(|number| world.run(&number.to_string(), number, Kind::TwoWindows));
    runs.collect()
}

fn built(world: &World, runs: &[PathBuf], name: &str, splits: SplitOptions) -> PathBuf {
    let output = world.path(name);
    let options = BuildOptions {
        inputs: runs.to_vec(),
        output: output.clone(),
        splits,
        ..BuildOptions::default()
    };
    build(&options).expect("a dataset");
    output
}

fn lists(dataset: &Path) -> Splits {
    let text = fs::read(dataset.join("splits.json")).expect("there");
    serde_json::from_slice(&text).expect("of this form")
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_default()
}

/// The split that a fold is of.
fn of_fold(fold: &Value) -> &'static str {
    match fold.as_i64().expect("a fold") {
        0..=2 => "train",
        3 => "validation",
        _ => "test",
    }
}

/// When each episode begins and the splits of those that follow one of another split.
fn borders(cases: &[Row]) -> HashMap<&str, (i64, bool)> {
    let episodes: BTreeMap<&str, (i64, &str)> = cases
        .iter()
        .map(|case| {
            let begin = case["episode_begin_ns"].as_i64().expect("a time");
            (text(case, "episode_id"), (begin, of_fold(&case["fold"])))
        })
        .collect();
    let before = |id: &str| {
        let (run, number) = id.split_once("-e").expect("an id");
        let number: usize = number.parse().expect("a number");
        number
            .checked_sub(1)
            .map(|before| format!("{run}-e{before:04}"))
    };
    let border = |id: &str, split: &str| {
        let before = before(id).map(|before| episodes[before.as_str()].1);
        before.is_some_and(|before| before != split)
    };
    episodes
        .iter()
        .map(|(&id, &(begin, split))| (id, (begin, border(id, split))))
        .collect()
}

/// The tables of a dataset.
fn tables(dataset: &Path) -> Vec<String> {
    let entries = fs::read_dir(dataset.join("tables")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_fault_that_is_repeated_five_times_is_in_each_fold_and_in_each_split() {
    let world = World::new();
    let dataset = built(&world, &runs(&world), "out", SplitOptions::default());
    let cases = rows(&dataset.join("cases.parquet"));
    for kind in ["latency_spike", "timeout"] {
        let of_kind: Vec<&Row> = cases
            .iter()
            .filter(|case| case["anomaly_type"] == kind)
            .collect();
        let folds: BTreeSet<i64> = of_kind
            .iter()
            .flat_map(|case| case["fold"].as_i64())
            .collect();
        assert_eq!(folds, BTreeSet::from([0, 1, 2, 3, 4]), "{kind}");
        // Windows of anomalies are what is split, so that none is lost to an embargo.
        assert!(
            of_kind
                .iter()
                .all(|case| case["split"] == of_fold(&case["fold"]))
        );
        let lists = &lists(&dataset).leave_one_fault_out[kind];
        assert_eq!(lists.test.len(), 5, "{lists:?}");
        let card = fs::read_to_string(dataset.join("README.md")).expect("a card");
        let kind = kind.replace('_', "\\_");
        assert!(card.contains(&format!("| {kind} | 3 | 1 | 1 |")), "{card}");
    }
}

#[test]
fn the_lists_are_those_of_the_columns() {
    let world = World::new();
    let dataset = built(&world, &runs(&world), "out", SplitOptions::default());
    let lists = lists(&dataset);
    let cases = rows(&dataset.join("cases.parquet"));
    let mut folds: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); 5];
    for case in &cases {
        folds[case["fold"].as_u64().expect("a fold") as usize].insert(text(case, "episode_id"));
    }
    let listed: Vec<BTreeSet<&str>> = lists
        .folds
        .iter()
        .map(|ids| ids.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(folds, listed);
    assert_eq!(lists.default.test, lists.folds[4]);
    assert_eq!(lists.leave_one_service_out["cart"].test.len(), 10);
    assert!(lists.leave_one_service_out["cart"].train.is_empty());
}

#[test]
fn no_trace_is_in_two_splits_and_rows_within_the_embargo_are_in_none() {
    let world = World::new();
    let dataset = built(&world, &runs(&world), "out", SplitOptions::default());
    let cases = rows(&dataset.join("cases.parquet"));
    let borders = borders(&cases);
    assert!(borders.values().any(|(_, border)| *border), "{borders:?}");
    let mut of_trace: HashMap<String, Value> = HashMap::new();
    let (mut traces, mut within, mut after) = (0, 0, 0);
    for table in tables(&dataset) {
        for row in all_rows(&dataset, &format!("tables/{table}")) {
            let id = text(&row, "episode_id");
            let split = &row["split"];
            assert!(
                split.is_null() || *split == of_fold(&row["fold"]),
                "{table}: {row:?}"
            );
            if let Some(trace) = row.get("trace_id").and_then(Value::as_str) {
                let known = of_trace.entry(trace.to_owned()).or_insert(split.clone());
                assert_eq!(known, split, "{table}: {trace}");
                traces += 1;
            }
            // Spans and log records go by their trace.
            let moment = match table.as_str() {
                "trace_labels" | "windows_features_1s" => row["start_time_ns"].as_i64(),
                "requests" => row["sent_ns"].as_i64(),
                _ => continue,
            };
            let (begin, border) = borders[id];
            let is_within = border && moment.expect("a time") < begin + EMBARGO_NS;
            assert_eq!(split.is_null(), is_within, "{table}: {row:?}");
            within += usize::from(is_within);
            after += usize::from(border && !is_within);
        }
    }
    assert!(
        traces > 1000 && within > 100 && after > 100,
        "{traces} {within} {after}"
    );
}

#[test]
fn a_normal_window_that_lies_in_two_splits_is_in_none() {
    let world = World::new();
    let dataset = built(&world, &runs(&world), "out", SplitOptions::default());
    let cases = rows(&dataset.join("cases.parquet"));
    let borders = borders(&cases);
    // It begins when the window before it ends, and the recovery from that is of its episode.
    let calm = cases.iter().filter(|case| case["scenario"] == "calm");
    for case in calm {
        let (_, border) = borders[text(case, "episode_id")];
        assert_eq!(case["split"].is_null(), border, "{case:?}");
    }
    let base = cases.iter().filter(|case| case["scenario"] == "base");
    for case in base {
        assert_eq!(case["split"], of_fold(&case["fold"]));
    }
}

#[test]
fn runs_can_be_dealt_out_as_a_whole_and_the_seed_is_told() {
    let world = World::new();
    let runs = runs(&world);
    let by_run = SplitOptions {
        by: SplitBy::Run,
        seed: 7,
        ..SplitOptions::default()
    };
    let dataset = built(&world, &runs, "out", by_run);
    let mut folds: BTreeMap<String, Value> = BTreeMap::new();
    for row in all_rows(&dataset, "tables/traces_labeled") {
        let run = text(&row, "run_id").to_owned();
        let known = folds.entry(run).or_insert(row["fold"].clone());
        assert_eq!(*known, row["fold"]);
        assert_eq!(row["split"], of_fold(&row["fold"]));
    }
    let each: BTreeSet<i64> = folds.values().flat_map(Value::as_i64).collect();
    assert_eq!(each.len(), 5, "{folds:?}");
    let lists = lists(&dataset);
    assert_eq!((lists.by, lists.seed), (SplitBy::Run, 7));
}

#[test]
fn splits_that_stay_empty_are_told() {
    let world = World::new();
    let run = world.run("a", 1, Kind::TwoWindows);
    let options = BuildOptions {
        inputs: vec![run],
        output: world.path("out"),
        ..BuildOptions::default()
    };
    let notes = build(&options).expect("a dataset").notes.join("\n");
    assert!(notes.contains("too few episodes for validation"), "{notes}");
    let lists = lists(&options.output);
    assert_eq!(
        (lists.default.train.len(), lists.default.test.len()),
        (1, 1)
    );
}

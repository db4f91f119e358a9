//! Datasets beside a Collector that goes on for ever: a run waits for its own telemetry, and
//! continuous extraction loses and doubles nothing over rotations, a restart of the Collector, and a
//! kill of its own.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::program::collector::{Collector, free_ports};
use crate::program::shop::Shop;
use crate::program::target::Target;
use crate::program::{self, Place, events, ledger, scenario, text, until};
use serde_json::Value;

fn run_args(shop: &Shop, collector: &Collector, out: &Path, seed: &str) -> Vec<String> {
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    let out = out.to_string_lossy().into_owned();
    [
        "run",
        &file,
        "--time-scale",
        "0.1",
        "--quiet",
        "--seed",
        seed,
        "--out",
        &out,
        "--base-url",
        &shop.base_url,
        "--admin-url",
        &shop.admin_url,
        "--otlp-endpoint",
        &collector.endpoint(),
        "--otlp-protocol",
        "grpc",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The columns that tell the rows of a table apart.
const IDENTITY: [(&str, &[&str]); 3] = [
    (
        "traces",
        &["trace_id", "span_id", "start_time_ns", "service_name"],
    ),
    (
        "metrics",
        &[
            "time_ns",
            "service_name",
            "service_instance_id",
            "metric_name",
            "attributes",
            "value",
        ],
    ),
    (
        "logs",
        &["time_ns", "service_name", "trace_id", "span_id", "body"],
    ),
];

/// How often each row is in a table of a dataset.
fn rows(dataset: &Path, table: &str, columns: &[&str]) -> BTreeMap<Vec<String>, u64> {
    let prefix = format!("{table}_labeled_");
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(&prefix) && name.ends_with(".csv")
    };
    let entries = fs::read_dir(dataset).unwrap().map(|e| e.unwrap().path());
    let found: Vec<PathBuf> = entries.filter(is_it).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let mut reader = csv::Reader::from_path(&found[0]).unwrap();
    let headers = reader.headers().unwrap().clone();
    let at: HashMap<&str, usize> = headers.iter().zip(0..).collect();
    let mut rows = BTreeMap::new();
    for row in reader.records() {
        let row = row.unwrap();
        let key = columns.iter().map(|column| row[at[column]].to_owned());
        *rows.entry(key.collect()).or_default() += 1;
    }
    rows
}

fn state(place: &Place) -> Value {
    let text = fs::read_to_string(place.path("datasets/extraction-state.json"));
    serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
}

/// Folders of the runs that have a dataset.
fn extracted(place: &Place) -> Vec<String> {
    let state = state(place);
    let runs = state["runs"].as_array().cloned().unwrap_or_default();
    let done = runs.iter().filter(|run| run["state"] == "extracted");
    done.map(|run| run["folder"].as_str().unwrap().to_owned())
        .collect()
}

fn backups(place: &Place) -> usize {
    let names = fs::read_dir(place.path("telemetry")).unwrap().flatten();
    let is_backup = |name: &str| name.starts_with("traces-") || name.starts_with("metrics-");
    names
        .filter(|entry| is_backup(&entry.file_name().to_string_lossy()))
        .count()
}

const EXTRACT: [&str; 6] = [
    "extract",
    "telemetry",
    "--runs",
    "runs",
    "--out",
    "datasets",
];

#[test]
fn extraction_beside_collect_loses_and_doubles_no_row() {
    assert_no_row_is_lost_or_twice(None);
}

#[test]
fn extraction_beside_the_real_collector_loses_and_doubles_no_row() {
    match std::env::var("LOADGEN_REAL_COLLECTOR") {
        Ok(binary) => assert_no_row_is_lost_or_twice(Some(&binary)),
        Err(_) => eprintln!("LOADGEN_REAL_COLLECTOR is not set: not run with the real one"),
    }
}

fn assert_no_row_is_lost_or_twice(real: Option<&str>) {
    let place = Place::new();
    fs::create_dir(place.path("runs")).unwrap();
    let mut collector = Collector::start(&place, real, free_ports());
    let shop = start_shop(&place, &collector);
    let start = |name: &str, seed: &str| {
        let out = place.path("runs").join(name);
        place.start(run_args(&shop, &collector, &out, seed))
    };

    // Before there is a run.
    let out = place.loadgen(EXTRACT);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));

    let first = start("first", "1");
    let of_first = place.path("runs/first");
    until("load", || !events(&of_first, "heartbeat").is_empty());
    // While it goes on.
    let out = place.loadgen(EXTRACT);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(extracted(&place).is_empty());
    until("several windows", || {
        events(&of_first, "window_closed").len() >= 4
    });
    let ports = collector.ports;
    collector.kill();
    let mut collector = Collector::start(&place, real, ports);
    let (code, said) = program::end(first);
    assert!([Some(0), Some(6)].contains(&code), "{code:?} {said}");

    // Right after it, and again and again while the next goes on.
    let start = |name: &str, seed: &str| {
        let out = place.path("runs").join(name);
        place.start(run_args(&shop, &collector, &out, seed))
    };
    let second = start("second", "2");
    until("the first run has a dataset", || {
        place.loadgen(EXTRACT);
        extracted(&place) == ["first"]
    });
    let (code, said) = program::end(second);
    assert!([Some(0), Some(6)].contains(&code), "{code:?} {said}");

    // Killed in the middle of a dataset, as soon as it could be complete.
    let half = |place: &Place| {
        let names = fs::read_dir(place.path("datasets")).unwrap().flatten();
        names
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(".extract-"))
            .count()
    };
    let mut kills = 0;
    until("a call that is killed while it makes a dataset", || {
        let mut call = place
            .command(EXTRACT)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while call.try_wait().unwrap().is_none() {
            if half(&place) > 0 {
                call.kill().unwrap();
                kills += 1;
            }
        }
        kills > 0 || extracted(&place).len() == 2
    });
    // It may have been faster than the kill.
    assert!(kills > 0 || extracted(&place).len() == 2);
    collector.kill();
    let out = place.loadgen(EXTRACT);
    assert!(
        [Some(0), Some(8)].contains(&out.status.code()),
        "{}",
        text(&out.stderr)
    );
    assert_eq!(
        extracted(&place),
        ["first", "second"],
        "{:#}",
        state(&place)
    );
    assert_eq!(half(&place), 0);
    assert!(backups(&place) >= 2, "no rotation");

    // Against an extraction of everything.
    let state = state(&place);
    assert_eq!(state["gone"]["files"], 0, "{state:#}");
    let mut in_datasets = [0; 3];
    let mut first_run: Vec<BTreeMap<Vec<String>, u64>> = Vec::new();
    let mut read = Value::Null;
    for (name, run) in ["first", "second"]
        .iter()
        .zip(state["runs"].as_array().unwrap())
    {
        let timeline = place.path(&format!("runs/{name}/timeline.jsonl"));
        let whole = place.path(&format!("whole-{name}"));
        let mut command = place.command(["extract", "telemetry", "--json", "--timeline"]);
        let out = command
            .arg(timeline)
            .arg("--out")
            .arg(&whole)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        read = report["figures"].clone();
        let dataset = place.path("datasets").join(name);
        for (signal, (table, columns)) in IDENTITY.iter().enumerate() {
            let (ours, all) = (rows(&dataset, table, columns), rows(&whole, table, columns));
            let late = ["spans", "data_points", "log_records"][signal];
            let late = run["late"][late].as_u64().unwrap();
            let more: u64 = all.values().sum::<u64>() - ours.values().sum::<u64>();
            assert_eq!(
                more, late,
                "{name} {table}: what is missing is what came too late"
            );
            assert!(
                ours.iter().all(|(row, times)| all.get(row) >= Some(times)),
                "{name} {table}"
            );
            in_datasets[signal] += ours.values().sum::<u64>();
            if *name == "first" {
                first_run.push(ours);
            } else {
                let both = first_run[signal]
                    .keys()
                    .filter(|row| ours.contains_key(*row));
                assert_eq!(both.count(), 0, "{table}: rows in both datasets");
            }
        }
    }
    let totals = &state["totals"];
    for (signal, (name, figure)) in [
        ("spans", "spans"),
        ("data_points", "points"),
        ("log_records", "logs"),
    ]
    .iter()
    .enumerate()
    {
        let of = |group: &str| totals[group][name].as_u64().unwrap();
        assert_eq!(of("of_datasets"), in_datasets[signal], "{totals}");
        assert_eq!(Some(of("read")), read[figure]["read"].as_u64(), "{totals}");
        assert_eq!(
            of("read"),
            of("of_datasets") + of("late") + of("rest"),
            "{totals}"
        );
    }
    // Spans come of the runs alone, but metrics of the time between them, too.
    assert!(totals["rest"]["data_points"].as_u64() > Some(0), "{totals}");
}

fn start_shop(place: &Place, collector: &Collector) -> Shop {
    Shop::start_with(place, &["--otlp-endpoint", &collector.endpoint()])
}

#[test]
fn a_run_waits_until_its_own_telemetry_has_come() {
    let place = Place::new();
    let collector = Collector::start(&place, None, free_ports());
    let shop = start_shop(&place, &collector);
    let run = place.path("run");
    let mut args = run_args(&shop, &collector, &run, "3");
    args.extend(["--telemetry", "telemetry", "--json"].map(str::to_owned));
    let out = place.loadgen(args);
    let said = text(&out.stderr);
    assert!(!said.contains("after the run's end"), "{said}");
    let result: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{said}"));
    assert!(result["dataset"]["files"].is_array());
    // Each request has its own span and one of the shop.
    let columns = ["trace_id", "service_name"];
    let mut services: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows(&run.join("dataset"), "traces", &columns).into_keys() {
        let [trace, service] = <[String; 2]>::try_from(row).unwrap();
        services.entry(trace).or_default().push(service);
    }
    let ledger = ledger(&run);
    let missing = ledger.rows().filter(|request| {
        let spans = services.get(&program::hex(request.trace_id));
        spans.is_none_or(|spans| !spans.contains(&"loadgen".to_owned()) || spans.len() < 2)
    });
    // What the run itself gave up on may never have reached the shop.
    let missing: Vec<_> = missing
        .filter(|request| request.failure.is_none())
        .collect();
    assert_eq!(
        missing.len(),
        0,
        "of {} requests: {missing:?}",
        ledger.len()
    );
}

#[test]
fn telemetry_that_is_not_there_is_told_before_the_load_and_the_run_is_kept() {
    let target = Target::start(|_| (Duration::ZERO, "text/plain", "ok".into()));
    let place = Place::new();
    let file = "
version: 1
flows: {default: {steps: [{path: /}]}}
scenarios: {load: {executor: per-vu-iterations, max_duration: 2s}}
";
    place.write("file.yaml", file);
    let mut args = vec![
        "run",
        "file.yaml",
        "--out",
        "run",
        "--base-url",
        &target.url,
    ];
    args.extend(["--no-client-spans", "--wait", "0"]);
    args.extend(["--telemetry", "absent", "--telemetry", "absent-*.jsonl"]);
    let out = place.loadgen(args);
    assert_eq!(out.status.code(), Some(3));
    let said = text(&out.stderr);
    let told = said.find("absent is not there yet").expect("told");
    assert!(said.contains("absent-*.jsonl is not there yet"), "{said}");
    assert!(told < said.find("load opened").expect("load"), "{said}");
    assert!(
        said.contains("loadgen extract run absent absent-*.jsonl"),
        "{said}"
    );
    assert!(place.path("run/timeline.jsonl").exists());
}

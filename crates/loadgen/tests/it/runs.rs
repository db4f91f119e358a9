//! Whole runs of the real binary on the embedded shop.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::program::k6::k6;
use crate::program::{self, Place, end, events, json_lines, scenario, text, until};
use serde_json::Value;

/// `quick.yaml` in a few seconds; windows of over two seconds. That is too little for some of the
/// verdicts, so these tests ask nothing of them but that there is one.
const SCALE: &str = "0.3";

/// The first columns of the traces, the same for every engine.
const COLUMNS: &str = "timestamp,start_time_ns,end_time_ns,duration_ns,duration_ms,service_name,trace_id,span_id,\
parent_span_id,span_name,span_kind,http_method,http_status_code,http_target,anomaly_type,anomaly_label,\
anomaly_root_cause,anomaly_msg,span_status,scenario,root_cause_service,label_source,server_address,server_port,\
client_address,network_protocol_version";

fn run_args(place: &Place, extra: &[&str]) -> Vec<String> {
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    let out = place.path("run").to_string_lossy().into_owned();
    let mut args = vec!["run".to_owned(), file, "--time-scale".into(), SCALE.into()];
    args.extend(["--out".into(), out]);
    args.extend(extra.iter().map(|s| (*s).to_owned()));
    args
}

fn ns(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap()
}

/// Opened, closed, anomaly type, of all but warm-ups; a window that never closed ends at the latest
/// event.
fn windows(run: &Path) -> Vec<(i64, i64, String)> {
    let last = json_lines(&run.join("timeline.jsonl"))
        .iter()
        .filter_map(|e| e["at_ns"].as_i64())
        .max()
        .unwrap();
    let closed: HashMap<String, i64> = events(run, "window_closed")
        .iter()
        .map(|e| (e["scenario"].to_string(), ns(&e["at_ns"])))
        .collect();
    let opened = events(run, "window_opened");
    let window = |e: &Value| {
        let end = closed
            .get(&e["scenario"].to_string())
            .copied()
            .unwrap_or(last);
        (
            ns(&e["at_ns"]),
            end,
            e["anomaly"]["type"].as_str().unwrap().to_owned(),
        )
    };
    let shown = opened.iter().filter(|e| e["warm_up"] != true);
    shown.map(window).collect()
}

/// Rows of the labelled traces as (trace id, span id) → anomaly type.
fn labelled(dataset: &Path) -> HashMap<(String, String), String> {
    let mut reader = csv::Reader::from_path(only(dataset, "traces_labeled_", ".csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap();
    let [trace, span, label] = ["trace_id", "span_id", "anomaly_type"].map(column);
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        (
            (row[trace].to_owned(), row[span].to_owned()),
            row[label].to_owned(),
        )
    });
    rows.collect()
}

fn only(dataset: &Path, prefix: &str, suffix: &str) -> std::path::PathBuf {
    let names = std::fs::read_dir(dataset)
        .unwrap()
        .map(|e| e.unwrap().path());
    let is_it = |p: &std::path::PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(prefix) && name.ends_with(suffix)
    };
    let found: Vec<_> = names.filter(is_it).collect();
    assert_eq!(found.len(), 1, "{prefix}*{suffix}: {found:?}");
    found[0].clone()
}

/// Compares each span, log record and data point with an independent join by time: Python over what
/// the run left behind.
fn assert_labels_agree(run: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../extract/tests/independent_join.py");
    let out = std::process::Command::new("python3")
        .arg(script)
        .arg(run)
        .output();
    let out = out.expect("python3 compares the labels");
    let said = text(&out.stdout);
    assert!(out.status.success(), "{said}{}", text(&out.stderr));
    for table in ["spans: ", "log records: ", "data points: "] {
        let rows = said.lines().find_map(|line| line.strip_prefix(table));
        let rows = rows.and_then(|rows| rows.split(' ').next()?.parse::<u64>().ok());
        assert!(rows.is_some_and(|rows| rows > 0), "{said}");
    }
}

/// Computes the tables of services, traces and calls once more, in Python, from the raw telemetry.
fn assert_features_agree(run: &Path) {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../extract/tests/independent_features.py");
    let out = std::process::Command::new("python3")
        .arg(script)
        .arg(run)
        .output();
    let out = out.expect("python3 compares the tables");
    let said = text(&out.stdout);
    assert!(out.status.success(), "{said}{}", text(&out.stderr));
    assert_eq!(said.matches(" 0 different").count(), 6, "{said}");
}

#[test]
fn the_eight_scenarios_become_a_labelled_dataset() {
    assert_a_labelled_dataset("rust");
}

#[test]
fn with_k6_the_eight_scenarios_become_the_same_dataset() {
    assert_a_labelled_dataset("k6");
}

fn assert_a_labelled_dataset(engine: &str) {
    let place = Place::new();
    let run = place.path("run");
    let mut command = place.command(run_args(&place, &["--json", "--engine", engine]));
    let out = command.env("K6_BIN", k6()).output().unwrap();
    let result: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(result["summary"]["scenarios"].as_array().unwrap().len(), 9);
    assert_eq!(result["client_spans"]["lost"], 0);
    assert_eq!(events(&run, "run_started")[0]["engine"], engine);
    let checks = result["dataset"]["audit"]["checks"].as_array().unwrap();
    let errors: Vec<&str> = checks
        .iter()
        .filter(|check| check["level"] == "error")
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    let expected = match errors[..] {
        [] => 0,
        // On a machine that is busy with other things steady time runs short.
        ["evidence"] | ["evidence", "steady-share"] => 8,
        _ => panic!("{checks:?}"),
    };
    assert_eq!(out.status.code(), Some(expected), "{}", text(&out.stderr));
    assert_eq!(result["summary"]["generator"]["process"], engine);
    assert!(
        result["summary"]["generator"]["cpu_seconds"]
            .as_f64()
            .unwrap()
            > 0.0
    );

    let kinds: Vec<String> = windows(&run).into_iter().map(|(_, _, kind)| kind).collect();
    assert_eq!(
        kinds,
        [
            "none",
            "latency_spike",
            "db_exhaustion",
            "cpu_saturation",
            "cache_miss",
            "dependency_bottleneck",
            "timeout",
            "error_spike"
        ]
    );
    for pair in windows(&run).windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "windows meet");
    }
    assert_eq!(events(&run, "fault_injected").len(), 7);
    assert_eq!(events(&run, "fault_cleared").len(), 7);
    assert_eq!(events(&run, "fault_failed").len(), 0);
    assert_eq!(events(&run, "run_finished")[0]["status"], "completed");

    let dataset = run.join("dataset");
    assert_labels_agree(&run);
    assert_features_agree(&run);
    let classes = kinds
        .iter()
        .map(String::as_str)
        .filter(|kind| *kind != "none");
    for kind in classes.chain(["labeled", "normal", "anomalous"]) {
        only(&dataset, &format!("traces_{kind}_2"), ".csv");
    }
    let columns = std::fs::read_to_string(only(&dataset, "traces_labeled_", ".csv")).unwrap();
    assert!(
        columns.starts_with(COLUMNS),
        "{}",
        columns.lines().next().unwrap()
    );
    for table in [
        "traces_labeled_",
        "metrics_labeled_",
        "logs_labeled_",
        "trace_labels_",
        "windows_2",
        "windows_features_1s_",
        "windows_features_5s_",
        "trace_features_",
        "graph_edges_",
        "graph_nodes_",
        "metrics_wide_",
    ] {
        only(&dataset, table, ".csv");
        only(&dataset, table, ".parquet");
    }

    // Every request is in the ledger, has its trace, and the trace has the request as its root.
    let ledger = program::ledger(&run);
    let timeline = loadgen_timeline::read_timeline(&run.join("timeline.jsonl")).unwrap();
    let found = loadgen_timeline::consistency(&timeline, Some(&ledger.report));
    assert!(found.is_empty(), "{found:?}");
    let sent = ns(&events(&run, "heartbeat").last().unwrap()["sent"]);
    assert_eq!(ledger.len() as i64, sent);
    let spans = labelled(&dataset);
    for row in ledger.rows() {
        let span = format!("{:016x}", u64::from_be_bytes(row.span_id));
        assert!(spans.contains_key(&(program::hex(row.trace_id), span)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_killed_can_be_labelled_up_to_the_kill() {
    let place = Place::new();
    let run = place.path("run");
    let mut child = place.start(run_args(&place, &["--quiet"]));
    // By then what the window sent at first has been exported.
    until("the fifth anomaly and a heartbeat well inside it", || {
        let opened = events(&run, "window_opened");
        let beats = events(&run, "heartbeat");
        opened.len() == 7
            && beats
                .last()
                .is_some_and(|b| ns(&b["at_ns"]) > ns(&opened[6]["at_ns"]) + 700_000_000)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    until(
        "the shop and the collector to end by themselves, and the guard",
        || program::processes_that_name(&run) == 0,
    );
    assert_eq!(events(&run, "run_finished")[0]["status"], "failed");

    let file = |name: &str| run.join(name).to_string_lossy().into_owned();
    let args = [
        "extract",
        "--traces",
        &file("telemetry/traces.jsonl"),
        "--metrics",
        &file("telemetry/metrics.jsonl"),
        "--logs",
        &file("telemetry/logs.jsonl"),
        "--timeline",
        &file("timeline.jsonl"),
        "--output",
        &file("dataset"),
    ]
    .map(str::to_owned);
    let out = place.loadgen(args);
    // Nothing backs the label of the window that was cut short; that the run failed its guard has
    // written down.
    assert_eq!(out.status.code(), Some(8), "{}", text(&out.stderr));
    assert!(
        text(&out.stdout).contains("the run failed: it was killed"),
        "{}",
        text(&out.stdout)
    );

    assert_eq!(events(&run, "window_closed").len(), 6);
    assert_labels_agree(&run);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, label) in labelled(&run.join("dataset")) {
        *counts.entry(label).or_default() += 1;
    }
    for (_, _, kind) in windows(&run) {
        assert!(
            counts.get(&kind).is_some_and(|n| *n > 0),
            "{kind}: {counts:?}"
        );
    }
    let ledger = program::ledger(&run);
    assert!(ledger.report.torn && !ledger.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_a_run_in_good_order() {
    let place = Place::new();
    let run = place.path("run");
    let child = place.start(run_args(&place, &[]));
    until("the first anomaly", || {
        events(&run, "fault_injected").len() == 1
    });
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let (code, errors) = end(child);
    // The second window was cut short, so that nothing backs its label.
    assert_eq!(code, Some(8), "{errors}");
    assert_eq!(events(&run, "run_finished")[0]["status"], "interrupted");
    assert_eq!(events(&run, "window_closed").len(), 3);
    assert_eq!(events(&run, "fault_cleared").len(), 1);
    assert_labels_agree(&run);
    assert_eq!(program::processes_that_name(&run), 0);
}

#[test]
fn a_folder_that_holds_a_run_is_not_written_over() {
    let place = Place::new();
    std::fs::create_dir(place.path("run")).unwrap();
    place.write("run/timeline.jsonl", "precious\n");
    let out = place.loadgen(run_args(&place, &[]));
    assert_eq!(out.status.code(), Some(1));
    assert!(
        text(&out.stderr).contains("another folder"),
        "{}",
        text(&out.stderr)
    );
    assert_eq!(
        std::fs::read_to_string(place.path("run/timeline.jsonl")).unwrap(),
        "precious\n"
    );
}

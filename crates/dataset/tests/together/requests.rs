//! The table of requests against the ledgers that it is made of and the traces that they began.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use loadgen_dataset::{BuildOptions, BuildReport, build};
use loadgen_timeline::read_ledger;
use serde_json::{Value, json};

use crate::world::{Kind, World, all_rows};

type Row = HashMap<String, Value>;

fn built(inputs: &[&Path], output: &Path) -> BuildReport {
    let options = BuildOptions {
        inputs: inputs.iter().map(|path| path.to_path_buf()).collect(),
        output: output.to_path_buf(),
        ..BuildOptions::default()
    };
    build(&options).expect("a dataset")
}

fn requests(dataset: &Path) -> Vec<Row> {
    all_rows(dataset, "tables/requests")
}

#[test]
fn each_request_of_the_ledger_is_there_once_in_the_order_of_sending() {
    let world = World::new();
    let run = world.run("a", 1, Kind::TwoWindows);
    let out = world.path("out");
    built(&[&run], &out);
    let ledger = read_ledger(&run.join("ledger.arrows"), None).expect("a ledger");
    let mut sent: Vec<Row> = ledger
        .rows()
        .map(|row| {
            let cells = json!({
                "trace_id": u128_hex(row.trace_id), "span_id": "0000000000000001", "sent_by": row.scenario,
                "iteration": row.iteration, "flow": row.flow, "step": row.step,
                "step_index": row.step_index, "path": row.path, "intended_ns": row.intended_ns,
                "sent_ns": row.sent_ns, "finished_ns": row.finished_ns,
                "duration_ns": row.finished_ns - row.sent_ns, "status": row.status,
                "failure": row.failure,
            });
            serde_json::from_value(cells).expect("cells")
        })
        .collect();
    let in_order = |rows: &[Row]| rows.is_sorted_by_key(|row| row["sent_ns"].as_i64());
    assert!(!in_order(&sent), "it would be no test");
    sent.sort_by_key(|row| row["sent_ns"].as_i64());
    let found = requests(&out);
    assert_eq!(found.len(), sent.len());
    for (found, sent) in found.iter().zip(&sent) {
        for (column, value) in sent {
            assert_eq!(found[column], *value, "{column}");
        }
    }
}

fn u128_hex(id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

#[test]
fn a_request_has_the_label_and_the_place_of_its_trace() {
    let world = World::new();
    let run = world.run("a", 1, Kind::TwoWindows);
    let out = world.path("out");
    built(&[&run], &out);
    let traces = all_rows(&out, "tables/trace_labels");
    let of_trace: HashMap<&str, &Row> = traces
        .iter()
        .map(|row| (row["trace_id"].as_str().expect("an id"), row))
        .collect();
    let logs = all_rows(&out, "tables/logs_labeled");
    let of_log: HashMap<&str, &Row> = logs
        .iter()
        .map(|row| (row["trace_id"].as_str().expect("an id"), row))
        .collect();
    let place = ["run_id", "episode_id", "fold", "split"];
    let moment = [
        "anomaly_type",
        "anomaly_label",
        "root_cause_service",
        "scenario",
        "fault_state",
    ];
    let same = |one: &Row, other: &Row, columns: &[&str]| {
        for column in columns {
            assert_eq!(one[*column], other[*column], "{column}: {one:?} {other:?}");
        }
    };
    let (mut listed, mut unlisted, mut torn) = (0, 0, 0);
    for row in requests(&out) {
        let id = row["trace_id"].as_str().expect("an id");
        // Of some no log record arrived either.
        if let Some(log) = of_log.get(id) {
            same(&row, log, &place);
            same(&row, log, &moment);
        }
        let Some(trace) = of_trace.get(id) else {
            // Its own log record tells of another time, which is of no account.
            assert!(row["phase"].is_null() && row["verdict"].is_null());
            unlisted += 1;
            torn += usize::from(row["split"].is_null());
            continue;
        };
        same(&row, trace, &place);
        same(&row, trace, &moment);
        same(&row, trace, &["phase", "verdict", "sent_by"]);
        listed += 1;
    }
    assert_eq!(listed, traces.len());
    assert!(unlisted > 10 && torn > 0, "{unlisted} {torn}");
}

#[test]
fn a_run_without_a_ledger_has_no_requests_and_that_is_told() {
    let world = World::new();
    let (a, b, c) = (
        world.run("a", 1, Kind::NoAnomaly),
        world.run("b", 2, Kind::NoAnomaly),
        world.run("c", 3, Kind::NoAnomaly),
    );
    fs::remove_file(b.join("ledger.arrows")).expect("removed");
    // As a run leaves it that was killed before its first request.
    fs::write(c.join("ledger.arrows"), "").expect("written");
    let out = world.path("out");
    let report = built(&[&a, &b, &c], &out);
    let notes = report.notes.join("\n");
    assert!(
        notes.contains("requests: 2 of 3 runs have no ledger"),
        "{notes}"
    );
    let runs: BTreeSet<String> = requests(&out)
        .iter()
        .map(|row| row["run_id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(runs, BTreeSet::from([report.runs[0].clone()]));

    let none = world.path("none");
    let report = built(&[&b], &none);
    assert!(report.tables.iter().all(|of| of.table != "requests"));
    assert!(!none.join("tables/requests").exists());
}

#[test]
fn a_damaged_ledger_costs_its_damaged_rows_and_is_told() {
    let world = World::new();
    let run = world.run("a", 1, Kind::NoAnomaly);
    let ledger = run.join("ledger.arrows");
    let mut bytes = fs::read(&ledger).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x55);
    fs::write(&ledger, bytes).expect("written");
    let out = world.path("out");
    let notes = built(&[&run], &out).notes.join("\n");
    assert!(
        notes.contains("its ledger of requests is damaged"),
        "{notes}"
    );
    let (found, all) = (requests(&out).len(), 400);
    assert!((all / 2..all).contains(&found), "{found}");
}

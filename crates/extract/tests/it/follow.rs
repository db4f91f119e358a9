//! Continuous extraction beside a Collector that goes on: each row of a run is in one dataset,
//! whatever rotation, a kill or a lost state do, and what is in none is counted or named.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen_extract::ExtractOptions;
use loadgen_extract::follow::{
    Missing, PassOptions, PassReport, RowCounts, RunState, Standing, State, Watch, extract_new,
};
use loadgen_scenario::{PlanOptions, plan_str};
use loadgen_timeline::ledger::LedgerWriter;
use loadgen_timeline::{Event, RequestRecord, TimelineWriter};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;

/// What an ended run waits for in these tests, if it is not complete.
const WAIT: Duration = Duration::from_secs(3600);

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_nanos()).expect("before 2262")
}

/// A Collector's folder, a folder of runs and one of datasets. Seconds count from half an hour ago.
struct World {
    folder: TempDir,
    zero: i64,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().expect("a folder"),
            zero: now_ns() - 1800 * SECOND,
        };
        for name in ["telemetry", "runs"] {
            fs::create_dir(world.path(name)).expect("made");
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn at(&self, seconds: i64) -> i64 {
        self.zero + seconds * SECOND
    }

    /// A run from `begin` to `end` that sends a request each second; none: it goes on.
    fn run(&self, name: &str, number: u128, begin: i64, end: Option<i64>) {
        let run_id = format!("{number:032x}");
        let folder = self.path("runs").join(name);
        // In the place of the same run as it was earlier.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("made");
        let last = end.unwrap_or(begin + 5);
        let mut timeline = TimelineWriter::create(&folder.join("timeline.jsonl")).expect("made");
        let mut events = vec![
            json!({"event": "run_started", "schema_version": 2, "run_id": run_id, "at_ns": self.at(begin),
                "scenario_file": "made.yaml", "scenario_sha256": "", "seed": 1, "time_scale": 1.0,
                "engine": "rust", "target": "http://127.0.0.1:1", "loadgen_version": "0.1.0"}),
            json!({"event": "window_opened", "scenario": "normal", "at_ns": self.at(begin),
                "planned_start_ns": self.at(begin), "planned_end_ns": self.at(last), "guard_ns": 0,
                "anomaly": {"type": "none", "label": "normal", "root_cause": "none", "msg": "m",
                            "root_cause_service": null}}),
        ];
        if let Some(end) = end {
            let sent = end - begin;
            let totals = json!({"scenario": "normal", "at_ns": self.at(end), "last_completed_ns": null,
                "sent": sent, "completed": sent, "failed": 0, "dropped": 0, "iterations": sent,
                "interrupted_iterations": 0, "unsent_steps": 0});
            for event in ["window_closed", "window_drained"] {
                let mut line = totals.clone();
                line["event"] = event.into();
                events.push(line);
            }
            events.push(
                json!({"event": "run_finished", "at_ns": self.at(end), "status": "completed"}),
            );
        }
        if end.is_none() {
            events.push(
                json!({"event": "heartbeat", "at_ns": now_ns(), "sent": 0, "completed": 0,
                "failed": 0, "dropped": 0}),
            );
        }
        for event in events {
            let event: Event = serde_json::from_value(event).expect("an event");
            timeline.append(&event).expect("written");
        }
        let file = "version: 1\nflows: {default: {steps: [{path: /}]}}\nscenarios:\n  normal: \
                    {executor: constant-vus, vus: 1, duration: 1s}\n";
        let plan = plan_str("made.yaml", file, &PlanOptions::default()).expect("a plan");
        let records: Vec<RequestRecord> = (begin..last)
            .map(|second| RequestRecord {
                trace_id: trace(number, second).to_be_bytes(),
                span_id: 1u64.to_be_bytes(),
                scenario: 0,
                flow: 0,
                step: 0,
                iteration: (second - begin) as u64,
                intended_ns: self.at(second),
                sent_ns: self.at(second),
                finished_ns: self.at(second) + SECOND / 2,
                status: Some(200),
                failure: None,
                path: "/".into(),
            })
            .collect();
        let ledger = folder.join("ledger.arrows");
        let mut ledger = LedgerWriter::create(&ledger, &plan, &run_id).expect("made");
        ledger.append(&records).expect("written");
        ledger.finish().expect("written");
    }

    /// A request of a run: the generator's span, one of `cart`, and a log record.
    fn request(&self, run: u128, second: i64) -> String {
        let trace = format!("{:032x}", trace(run, second));
        let span = |service: &str, id: u64, parent: &str| {
            let (from, to) = (self.at(second), self.at(second) + SECOND / 2);
            json!({"resource": service_name(service), "scopeSpans": [{"spans": [{
                "traceId": trace, "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": "GET /",
                "kind": 2, "startTimeUnixNano": from.to_string(), "endTimeUnixNano": to.to_string()}]}]})
        };
        let spans = [span("loadgen", 1, ""), span("cart", 2, "0000000000000001")];
        let log = json!({"resource": service_name("cart"), "scopeLogs": [{"logRecords": [{
            "timeUnixNano": self.at(second).to_string(), "traceId": trace, "body": {"stringValue": "x"}}]}]});
        format!(
            "{}\n{}\n",
            json!({"resourceSpans": spans}),
            json!({"resourceLogs": [log]})
        )
    }

    /// A data point of `cart`, as there is one each second.
    fn point(&self, second: i64) -> String {
        let point = json!({"timeUnixNano": self.at(second).to_string(), "asInt": "7"});
        let metric = json!({"name": "depth", "gauge": {"dataPoints": [point]}});
        let metrics =
            json!({"resource": service_name("cart"), "scopeMetrics": [{"metrics": [metric]}]});
        format!("{}\n", json!({"resourceMetrics": [metrics]}))
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path("telemetry").join(name);
        let mut all = fs::read_to_string(&path).unwrap_or_default();
        all.push_str(text);
        fs::write(path, all).expect("written");
    }

    fn rotate(&self, second: i64) {
        let folder = self.path("telemetry");
        let stamp = format!(
            "2026-01-09T12-{:02}-{:02}.000",
            second / 60 % 60,
            second % 60
        );
        let backup = folder.join(format!("all-{stamp}.jsonl"));
        fs::rename(folder.join("all.jsonl"), backup).expect("renamed");
    }

    fn options(&self) -> PassOptions {
        PassOptions {
            telemetry: vec![self.path("telemetry")],
            runs: self.path("runs"),
            output: self.path("datasets"),
            wait: WAIT,
            rows: ExtractOptions::default(),
        }
    }

    fn extract(&self) -> PassReport {
        extract_new(&self.options()).expect("a call")
    }

    /// Trace and span ids of the spans of a dataset.
    fn spans(&self, dataset: &str) -> Vec<String> {
        let mut lines = self.rows(dataset, "traces_labeled_", &["trace_id", "span_id"]);
        lines.sort();
        lines
    }

    fn rows(&self, dataset: &str, table: &str, columns: &[&str]) -> Vec<String> {
        let folder = self.path("datasets").join(dataset);
        let names = fs::read_dir(folder).expect("a dataset").flatten();
        let is_it = |path: &PathBuf| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            name.starts_with(table) && name.ends_with(".csv")
        };
        let path = names.map(|entry| entry.path()).find(is_it);
        let mut reader = csv::Reader::from_path(path.expect("the table")).expect("readable");
        let headers = reader.headers().expect("a header").clone();
        let at: HashMap<&str, usize> = headers.iter().zip(0..).collect();
        let row = |row: csv::Result<csv::StringRecord>| {
            let row = row.expect("a row");
            let cells: Vec<&str> = columns.iter().map(|column| &row[at[column]]).collect();
            cells.join(" ")
        };
        reader.records().map(row).collect()
    }
}

fn trace(run: u128, second: i64) -> u128 {
    (run << 64) | (second as u128 + 1)
}

fn service_name(service: &str) -> Value {
    json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]})
}

fn rows(spans: u64, data_points: u64, log_records: u64) -> RowCounts {
    RowCounts {
        spans,
        data_points,
        log_records,
    }
}

fn run<'s>(state: &'s State, folder: &str) -> &'s RunState {
    let found = state.runs.iter().find(|run| run.folder == folder);
    found.expect("the run is in the state")
}

fn missing(run: &RunState) -> &[String] {
    match &run.standing {
        Standing::Waiting { missing } => missing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_row_is_in_one_dataset_over_a_rotation() {
    let world = World::new();
    world.run("a", 1, 100, Some(160));
    world.run("b", 2, 300, None);
    // Nothing has been stored yet.
    let report = world.extract();
    assert_eq!(missing(run(&report.state, "a")), ["no span of it has come"]);
    assert_eq!(missing(run(&report.state, "b")), ["the run has not ended"]);

    for second in 90..140 {
        world.write("all.jsonl", &world.point(second));
        if second >= 100 {
            world.write("all.jsonl", &world.request(1, second));
        }
    }
    quiet(&world);
    let report = world.extract();
    let waits = missing(run(&report.state, "a")).join("; ");
    assert!(
        waits.contains("its last client span has not come"),
        "{waits}"
    );
    assert!(
        waits.contains("metrics up to its end have not come from cart"),
        "{waits}"
    );
    assert!(report.made.is_empty() && report.spoilt.is_empty());

    // The rest of it comes into the same file, which is then rotated, and into the next.
    for second in 140..150 {
        world.write(
            "all.jsonl",
            &(world.point(second) + &world.request(1, second)),
        );
    }
    world.rotate(150);
    for second in 150..200 {
        world.write("all.jsonl", &world.point(second));
        if second < 160 {
            world.write("all.jsonl", &world.request(1, second));
        }
    }
    quiet(&world);
    let report = world.extract();
    assert_eq!(report.made.len(), 1, "{:?}", report.state.runs);
    let a = run(&report.state, "a");
    let extracted = a.extracted().expect("a dataset");
    // 60 requests; points from second 100 to the end of second 160.
    assert_eq!(extracted.rows, rows(120, 61, 60));
    assert_eq!(extracted.missing, Vec::<String>::new());
    assert_eq!(a.marks, None);

    // The second run ends; the file with the first is still there.
    world.run("b", 2, 300, Some(360));
    for second in 290..400 {
        world.write("all.jsonl", &world.point(second));
        if (300..360).contains(&second) {
            world.write("all.jsonl", &world.request(2, second));
        }
    }
    quiet(&world);
    let report = world.extract();
    assert_eq!(report.made.len(), 1, "{:?}", report.state.runs);
    let totals = report.state.totals;
    assert_eq!(totals.read, rows(240, 220, 120));
    assert_eq!(totals.of_datasets, rows(240, 122, 120));
    assert_eq!((totals.late, totals.rest), (rows(0, 0, 0), rows(0, 98, 0)));
    let (a, b) = (world.spans("a"), world.spans("b"));
    assert_eq!((a.len(), b.len()), (120, 120));
    assert!(a.iter().all(|span| !b.contains(span)));

    // Nothing is done twice.
    let report = world.extract();
    assert!(report.made.is_empty());
    assert_eq!(report.state.totals, totals);
}

/// Makes all files as old as an hour of silence would.
fn quiet(world: &World) {
    let before = SystemTime::now() - Duration::from_secs(60);
    for entry in fs::read_dir(world.path("telemetry")).expect("a folder") {
        let file = fs::File::options()
            .append(true)
            .open(entry.expect("an entry").path());
        file.expect("a file").set_modified(before).expect("set");
    }
}

/// A world with a run whose data is complete.
fn complete() -> World {
    let world = World::new();
    world.run("a", 1, 100, Some(160));
    for second in 90..200 {
        world.write("all.jsonl", &world.point(second));
        if (100..160).contains(&second) {
            world.write("all.jsonl", &world.request(1, second));
        }
    }
    quiet(&world);
    world
}

#[test]
fn what_comes_after_the_dataset_is_counted_and_is_no_other_runs() {
    let world = complete();
    assert_eq!(world.extract().made.len(), 1);
    // A heartbeat in the context of a request of the first run, while another run goes on.
    let late = json!({"resourceSpans": [{"resource": service_name("cart"), "scopeSpans": [{"spans": [{
        "traceId": format!("{:032x}", trace(1, 120)), "spanId": "00000000000000ff", "name": "isMaster",
        "startTimeUnixNano": world.at(310).to_string(), "endTimeUnixNano": world.at(310).to_string()}]}]}]});
    world.write("all.jsonl", &format!("{late}\n"));
    world.run("b", 2, 300, Some(360));
    for second in 300..400 {
        world.write("all.jsonl", &world.point(second));
        if second < 360 {
            world.write("all.jsonl", &world.request(2, second));
        }
    }
    quiet(&world);
    let report = world.extract();
    assert_eq!(report.made.len(), 1);
    assert_eq!(run(&report.state, "a").late, rows(1, 0, 0));
    assert_eq!(world.spans("b").len(), 120);
    assert_eq!(report.state.totals.late, rows(1, 0, 0));
    let other_run = report.made[0].figures.foreign.iter();
    let other_run: Vec<_> = other_run.filter(|of| of.kind == "other_run").collect();
    // All of the first run's traces are in the same file.
    assert_eq!((other_run.len(), other_run[0].spans), (1, 121));
}

#[test]
fn files_that_are_gone_before_their_run_is_extracted_are_named() {
    let world = World::new();
    world.run("a", 1, 100, None);
    for second in 100..120 {
        world.write("all.jsonl", &world.request(1, second));
    }
    quiet(&world);
    world.extract();
    world.rotate(120);
    for second in 130..160 {
        world.write("all.jsonl", &world.request(1, second));
    }
    let backups = world.path("telemetry");
    let backup = fs::read_dir(&backups)
        .expect("a folder")
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("all-"));
    fs::remove_file(backup.expect("a backup").path()).expect("removed");
    world.run("a", 1, 100, Some(160));
    quiet(&world);
    let report = world.extract();
    let a = run(&report.state, "a");
    assert_eq!(report.spoilt, std::slice::from_ref(&a.run_id));
    assert_eq!(a.lost.len(), 1);
    // It was the file that was being written when it was last seen.
    assert_eq!(a.lost[0].path, backups.join("all.jsonl"));
    assert_eq!(
        (a.lost[0].rows, a.lost[0].was_open),
        (rows(40, 0, 20), true)
    );
    let extracted = a.extracted().expect("a dataset of what is left");
    assert_eq!(extracted.rows, rows(60, 0, 30));
    assert!(
        extracted.missing[0].contains("29 s younger"),
        "{:?}",
        extracted.missing
    );
    assert_eq!(report.state.totals.rest, rows(40, 0, 20));
    assert_eq!(
        (report.state.gone.files, report.state.gone.rows),
        (1, rows(40, 0, 20))
    );
}

#[test]
fn a_kill_between_the_dataset_and_the_state_costs_nothing() {
    let world = complete();
    let state_file = world.path("datasets/extraction-state.json");
    fs::create_dir(world.path("hidden")).expect("made");
    // As before the run was extracted.
    fs::rename(world.path("runs/a"), world.path("hidden/a")).expect("moved");
    world.extract();
    let before = fs::read(&state_file).expect("a state");
    fs::rename(world.path("hidden/a"), world.path("runs/a")).expect("moved");
    let whole = world.extract();
    assert_eq!(whole.made.len(), 1);
    let spans = world.spans("a");
    // Killed before it could write that down, and in the middle of another dataset.
    fs::write(&state_file, before).expect("written");
    fs::create_dir(world.path("datasets/.extract-half")).expect("made");
    fs::write(world.path("datasets/.extract-half/traces.csv"), "x").expect("written");
    let again = world.extract();
    assert!(again.made.is_empty(), "{:?}", again.state.runs);
    assert_eq!(again.state.totals, whole.state.totals);
    assert_eq!(world.spans("a"), spans);
    assert!(!world.path("datasets/.extract-half").exists());

    // Without any state the datasets themselves say what has been done.
    fs::remove_file(&state_file).expect("removed");
    let anew = world.extract();
    assert!(anew.made.is_empty());
    assert_eq!(anew.state.totals, whole.state.totals);
}

#[test]
fn what_is_not_plain_lines_is_gone_through_once_too() {
    let world = complete();
    // Messages with their length before them, as the Collector writes them compressed.
    let plain = fs::read_to_string(world.path("telemetry/all.jsonl")).expect("readable");
    let frames = |text: &str| -> Vec<u8> {
        let frame = |line: &str| {
            let packed = zstd::bulk::compress(line.as_bytes(), 1).expect("compressed");
            let length = u32::try_from(packed.len()).expect("short").to_be_bytes();
            [length.to_vec(), packed].concat()
        };
        text.lines().flat_map(frame).collect()
    };
    fs::remove_file(world.path("telemetry/all.jsonl")).expect("removed");
    let path = world.path("telemetry/all.jsonl.zst");
    let mut bytes = frames(&plain);
    let half = bytes.len() / 2;
    // The writer is in the middle of a message.
    fs::write(&path, &bytes[..half]).expect("written");
    quiet(&world);
    let first = world.extract().state.totals.read;
    assert!(first.spans > 0 && first.spans < 120, "{first:?}");
    fs::write(&path, &bytes).expect("written");
    quiet(&world);
    let report = world.extract();
    assert_eq!(report.state.totals.read, rows(120, 110, 60));
    let extracted = run(&report.state, "a").extracted().expect("a dataset");
    assert_eq!(extracted.rows, rows(120, 61, 60));
    bytes.extend(frames(&world.point(150)));
    fs::write(&path, &bytes).expect("written");
    let late = world.extract().state.totals;
    assert_eq!((late.late, late.read), (rows(0, 1, 0), rows(120, 111, 60)));
}

#[test]
fn one_call_at_a_time() {
    let world = complete();
    world.extract();
    let lock = fs::File::open(world.path("datasets/.extraction.lock")).expect("a lock");
    lock.try_lock().expect("nobody holds it");
    let error = extract_new(&world.options()).expect_err("it is held");
    assert!(error.to_string().contains("in use"), "{error}");
    drop(lock);
    world.extract();
}

#[test]
fn a_run_that_can_not_be_extracted_is_told_once_and_holds_nothing_up() {
    let world = complete();
    // Of its time there is nothing.
    world.run("early", 7, -90_000, Some(-89_000));
    fs::create_dir(world.path("runs/broken")).expect("made");
    fs::write(world.path("runs/broken/timeline.jsonl"), "no\n").expect("written");
    let report = world.extract();
    assert_eq!(report.made.len(), 1);
    assert_eq!(report.unreadable.len(), 1);
    let early = run(&report.state, "early");
    assert_eq!(report.spoilt, std::slice::from_ref(&early.run_id));
    let Standing::Failed { reason } = &early.standing else {
        panic!("{early:?}");
    };
    assert!(
        reason.contains("no file has telemetry of its time"),
        "{reason}"
    );
    assert!(world.extract().spoilt.is_empty());
}

#[test]
fn overlapping_runs_share_no_row() {
    let world = complete();
    world.run("b", 2, 130, Some(180));
    for second in 130..180 {
        world.write("all.jsonl", &world.request(2, second));
    }
    quiet(&world);
    let report = world.extract();
    assert_eq!(report.made.len(), 2);
    let of = |folder: &str| run(&report.state, folder).extracted().expect("a dataset");
    assert_eq!(of("a").rows, rows(120, 61, 60));
    assert_eq!(of("b").rows, rows(100, 20, 50));
    assert_eq!(of("b").overlaps, [run(&report.state, "a").run_id.clone()]);
    assert_eq!(report.state.totals.rest, rows(0, 29, 0));
}

#[test]
fn a_watch_sees_when_a_run_is_complete() {
    let world = World::new();
    world.run("a", 1, 100, None);
    let options = ExtractOptions {
        inputs: vec![world.path("telemetry")],
        timeline: Some(world.path("runs/a/timeline.jsonl")),
        ..ExtractOptions::default()
    };
    let mut watch = Watch::new(&options);
    let mut look = |seconds: i64| watch.look(world.at(seconds)).expect("a look");
    assert_eq!(look(104), [Missing::End]);
    world.run("a", 1, 100, Some(160));
    assert!(matches!(look(161)[..], [Missing::Telemetry(_)]));
    world.write("all.jsonl", &world.request(1, 100));
    let first = look(162);
    assert!(
        first.contains(&Missing::LastClientSpan) && first.contains(&Missing::Flush),
        "{first:?}"
    );
    for second in 101..160 {
        world.write("all.jsonl", &world.request(1, second));
    }
    let second = look(163);
    assert!(
        second
            .iter()
            .any(|missing| matches!(missing, Missing::Spans(_))),
        "{second:?}"
    );
    assert_eq!(look(172).len(), 1);
    assert_eq!(look(174), []);
}

#[test]
fn a_wrong_folder_is_told() {
    let world = complete();
    let options = PassOptions {
        runs: world.path("runs/a"),
        ..world.options()
    };
    let error = extract_new(&options).expect_err("one run");
    assert!(
        error.is_bad_input() && error.to_string().contains("one run"),
        "{error}"
    );
    let options = PassOptions {
        telemetry: vec![world.path("nowhere")],
        ..world.options()
    };
    let error = extract_new(&options).expect_err("no telemetry");
    assert!(
        error.is_bad_input() && error.to_string().contains("nowhere"),
        "{error}"
    );
    assert!(Path::new(&world.path("datasets")).exists());
}

#[test]
fn a_run_folder_that_comes_later_than_its_telemetry_is_found_in_what_was_read() {
    let world = complete();
    fs::rename(world.path("runs/a"), world.path("a")).expect("moved");
    world.write("other.jsonl", &world.point(400));
    let before = world.extract();
    assert_eq!(before.state.totals.rest, rows(120, 111, 60));
    // One file of its time is gone by then, and nobody noted what was in it.
    world.write("lost.jsonl", &world.point(150));
    quiet(&world);
    world.extract();
    fs::remove_file(world.path("telemetry/lost.jsonl")).expect("removed");
    fs::rename(world.path("a"), world.path("runs/a")).expect("moved");
    let report = world.extract();
    let a = run(&report.state, "a");
    assert_eq!(a.extracted().expect("a dataset").rows, rows(120, 61, 60));
    assert_eq!((a.lost.len(), a.late), (1, rows(0, 0, 0)));
    assert_eq!(a.lost[0].path, world.path("telemetry/lost.jsonl"));
    assert_eq!(report.state.totals.read, rows(120, 112, 60));
    assert_eq!(report.state.totals.rest, rows(0, 51, 0));
}

#[test]
fn the_last_client_span_is_that_of_the_whole_ledger() {
    let world = World::new();
    // Its ledger has five requests so far, and the spans of all of them have come.
    world.run("a", 1, 100, None);
    for second in 100..105 {
        world.write("all.jsonl", &world.request(1, second));
    }
    quiet(&world);
    world.extract();
    world.run("a", 1, 100, Some(160));
    let report = world.extract();
    assert_eq!(
        missing(run(&report.state, "a")),
        ["its last client span has not come"]
    );
    for second in 105..160 {
        world.write("all.jsonl", &world.request(1, second));
    }
    quiet(&world);
    let report = world.extract();
    let extracted = run(&report.state, "a").extracted().expect("a dataset");
    assert_eq!(extracted.rows, rows(120, 0, 60));
}

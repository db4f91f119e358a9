//! The form of `timeline.jsonl`, as other programs read it.

use std::path::Path;

use loadgen_scenario::plan::{Anomaly, Parameters};
use loadgen_timeline::event::*;
use loadgen_timeline::{TimelineWriter, read_timeline};

const GOLDEN: &str = include_str!("../golden/timeline.jsonl");

fn events() -> Vec<Event> {
    let anomaly = Anomaly {
        kind: "latency_spike".into(),
        label: "latency_spike".into(),
        symptom: None,
        root_cause: "slow_database_query".into(),
        msg: "slow \"queries\"\nin catalogue".into(),
        root_cause_service: Some("catalogue".into()),
    };
    let fault = FaultChanged {
        scenario: "spike".into(),
        driver: "shop".into(),
        fault: "slow_query".into(),
        service: "catalogue".into(),
        intensity: 0.5,
        sham: false,
        harmless: false,
        clients: None,
        parameters: Parameters::new(),
        driver_version: String::new(),
        confirmed_by: String::new(),
        read_back: serde_json::Value::Null,
        requested_ns: 1_700_000_000_000_000_002,
        at_ns: 1_700_000_000_000_000_003,
    };
    let closed = WindowClosed {
        scenario: "spike".into(),
        at_ns: 1_700_000_000_000_000_005,
        last_completed_ns: None,
        sent: 3,
        completed: 2,
        failed: 1,
        dropped: 4,
        iterations: 2,
        interrupted_iterations: 1,
        unsent_steps: 2,
    };
    vec![
        Event::RunStarted(RunStarted {
            schema_version: TIMELINE_SCHEMA_VERSION,
            run_id: "0123456789abcdef0123456789abcdef".into(),
            at_ns: 1_700_000_000_000_000_000,
            scenario_file: "scenarios/default.yaml".into(),
            scenario_sha256: "ab".repeat(32),
            seed: 42,
            time_scale: 0.1,
            engine: Engine::Rust,
            engine_version: None,
            target: "http://127.0.0.1:8080".into(),
            loadgen_version: "0.1.0".into(),
            shard: None,
            shards: Vec::new(),
        }),
        Event::WindowOpened(WindowOpened {
            scenario: "spike".into(),
            anomaly,
            declared: None,
            warm_up: false,
            may_end_early: false,
            planned_start_ns: 1_700_000_000_000_000_000,
            planned_end_ns: 1_700_000_000_000_000_005,
            at_ns: 1_700_000_000_000_000_001,
            guard_ns: 7,
        }),
        Event::FaultInjected(fault.clone()),
        Event::Heartbeat(Heartbeat {
            at_ns: 1_700_000_000_000_000_004,
            sent: 3,
            completed: 2,
            failed: 1,
            dropped: 4,
        }),
        Event::WindowClosed(closed.clone()),
        Event::FaultCleared(fault),
        Event::FaultFailed(FaultFailed {
            scenario: "spike".into(),
            driver: "shop".into(),
            fault: "hang".into(),
            service: "catalogue".into(),
            change: "inject".into(),
            reason: "nobody there".into(),
            requested_ns: 1_700_000_000_000_000_006,
            at_ns: 1_700_000_000_000_000_007,
        }),
        Event::ClockStepped(ClockStepped {
            at_ns: 1_700_000_000_000_000_008,
            offset_ns: -5,
            shard: None,
        }),
        Event::WindowDrained(WindowClosed {
            last_completed_ns: Some(1_700_000_000_000_000_009),
            ..closed
        }),
        Event::RunFinished(RunFinished {
            at_ns: 1_700_000_000_000_000_010,
            status: RunStatus::Completed,
            sha256: None,
        }),
    ]
}

#[test]
fn a_timeline_is_written_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.jsonl");
    let mut timeline = TimelineWriter::create(&path).unwrap();
    for event in events() {
        timeline.append(&event).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/timeline.jsonl");
        std::fs::write(golden, &written).unwrap();
    }
    assert_eq!(written, GOLDEN, "UPDATE_GOLDEN=1 writes it anew");
    assert!(
        TimelineWriter::create(&path).is_err(),
        "ground truth is never written over"
    );
}

#[test]
fn an_event_that_is_shifted_has_its_moments_moved_and_nothing_else() {
    const MOMENT: i64 = 1_700_000_000_000_000_000;
    const BY: i64 = 1_000_000_000_000;
    fn moved(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => fields.values_mut().for_each(moved),
            serde_json::Value::Number(number) => {
                if let Some(at) = number.as_i64().filter(|number| *number >= MOMENT) {
                    *value = (at + BY).into();
                }
            }
            _ => {}
        }
    }
    let others = [
        Event::FaultNoticed(FaultNoticed {
            driver: "shop".into(),
            fault: "hang".into(),
            service: "catalogue".into(),
            intensity: 0.5,
            owner: String::new(),
            change: NoticedChange::Lost,
            since_ns: MOMENT + 1,
            at_ns: MOMENT + 2,
        }),
        Event::FlagChanged(FlagChanged {
            flag: "users".into(),
            value: 7,
            at_ns: MOMENT,
        }),
        Event::FlagLost(FlagLost {
            flag: "users".into(),
            reason: "nobody there".into(),
            at_ns: MOMENT,
        }),
        Event::VusChanged(VusChanged {
            scenario: "spike".into(),
            vus: 7,
            at_ns: MOMENT,
        }),
        Event::GeneratorStalled(GeneratorStalled {
            at_ns: MOMENT,
            for_ns: 5,
            shard: None,
        }),
    ];
    for mut event in events().into_iter().chain(others) {
        let mut expected = serde_json::to_value(&event).unwrap();
        moved(&mut expected);
        event.shift(BY);
        assert_eq!(serde_json::to_value(&event).unwrap(), expected);
    }
}

#[test]
fn a_timeline_cut_anywhere_is_readable_up_to_the_cut() {
    let whole = loadgen_timeline::read::parse(GOLDEN.as_bytes());
    assert_eq!(whole.windows.len(), 1);
    assert!(whole.finished.is_some() && whole.skipped.is_empty());
    assert_eq!(
        whole.unknown_events, 0,
        "the reader knows every kind of event"
    );
    for cut in 0..GOLDEN.len() {
        let timeline = loadgen_timeline::read::parse(&GOLDEN.as_bytes()[..cut]);
        assert!(timeline.skipped.is_empty(), "cut at {cut}");
        assert!(timeline.windows.len() <= 1);
    }
}

#[test]
fn a_changed_byte_or_line_is_found_by_the_checksum_at_the_end() {
    use loadgen_timeline::{Integrity, read::parse};
    assert_eq!(parse(GOLDEN.as_bytes()).integrity, Integrity::Verified);
    let end = GOLDEN.rfind("{\"event\":\"run_finished\"").unwrap();
    for at in 0..end {
        let mut bytes = GOLDEN.as_bytes().to_vec();
        bytes[at] ^= 1;
        let timeline = parse(&bytes);
        // The last line is not read where it lost its beginning to the one before it.
        let is_told = timeline.integrity == Integrity::Mismatch
            || timeline.finished.is_none() && !timeline.skipped.is_empty();
        assert!(is_told, "byte {at}");
    }
    let lines: Vec<&str> = GOLDEN.split_inclusive('\n').collect();
    for left_out in 1..lines.len() - 1 {
        let mut rest = lines.clone();
        rest.remove(left_out);
        assert_eq!(
            parse(rest.concat().as_bytes()).integrity,
            Integrity::Mismatch,
            "line {left_out}"
        );
    }
    let longer = GOLDEN.to_owned() + lines[3];
    assert_eq!(parse(longer.as_bytes()).integrity, Integrity::Mismatch);
    let older = GOLDEN.replacen("\"schema_version\":2", "\"schema_version\":1", 1);
    let sum = older.find(",\"sha256\"").unwrap();
    let older = older[..sum].to_owned() + "}\n";
    assert_eq!(parse(older.as_bytes()).integrity, Integrity::NotStated);
}

#[test]
fn a_timeline_of_a_newer_form_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.jsonl");
    let newer = GOLDEN.replacen("\"schema_version\":2", "\"schema_version\":3", 1);
    std::fs::write(&path, newer).unwrap();
    let error = read_timeline(&path).unwrap_err().to_string();
    assert!(
        error.contains("schema version 3") && error.contains("newer"),
        "{error}"
    );
}

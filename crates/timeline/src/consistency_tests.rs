//! Each finding, from a run in which all is well and one thing that is not.

use super::*;
use crate::event::{
    Event, GeneratorStalled, Heartbeat, RunFinished, RunStarted, TIMELINE_SCHEMA_VERSION,
    WindowClosed, WindowOpened,
};
use crate::ledger::LedgerDamage;
use crate::read::parse;
use crate::writer::TimelineWriter;
use loadgen_scenario::plan::Anomaly;

const S: i64 = 1_000_000_000;
const START: i64 = 1_700_000_000 * S;

fn started(engine: Engine) -> Event {
    Event::RunStarted(RunStarted {
        schema_version: TIMELINE_SCHEMA_VERSION,
        run_id: "a".repeat(32),
        at_ns: START,
        scenario_file: "f".into(),
        scenario_sha256: String::new(),
        seed: 1,
        time_scale: 1.0,
        engine,
        engine_version: None,
        target: "t".into(),
        loadgen_version: "0".into(),
        shard: None,
        shards: Vec::new(),
    })
}

/// A window of ten seconds by the plan, from and to a second of the run.
fn opened(scenario: &str, planned_s: i64, at_ns: i64) -> Event {
    Event::WindowOpened(WindowOpened {
        scenario: scenario.into(),
        anomaly: Anomaly {
            kind: "none".into(),
            label: "normal".into(),
            symptom: None,
            root_cause: "none".into(),
            msg: String::new(),
            root_cause_service: None,
        },
        declared: None,
        warm_up: false,
        may_end_early: false,
        planned_start_ns: START + planned_s * S,
        planned_end_ns: START + (planned_s + 10) * S,
        at_ns: START + at_ns,
        guard_ns: 0,
    })
}

fn totals(scenario: &str, at_ns: i64, sent: u64, completed: u64) -> WindowClosed {
    WindowClosed {
        scenario: scenario.into(),
        at_ns: START + at_ns,
        last_completed_ns: None,
        sent,
        completed,
        failed: 0,
        dropped: 0,
        iterations: sent,
        interrupted_iterations: 0,
        unsent_steps: 0,
    }
}

fn beat(at_ns: i64, completed: u64) -> Event {
    Event::Heartbeat(Heartbeat {
        at_ns: START + at_ns,
        sent: completed,
        completed,
        failed: 0,
        dropped: 0,
    })
}

fn finished(at_ns: i64, status: RunStatus) -> Event {
    Event::RunFinished(RunFinished {
        at_ns: START + at_ns,
        status,
        sha256: None,
    })
}

/// Two windows, `a` and `b`, in which all is well.
fn well() -> Vec<Event> {
    vec![
        started(Engine::Rust),
        opened("a", 0, 1_000),
        beat(9 * S, 95),
        Event::WindowClosed(totals("a", 10 * S, 100, 98)),
        opened("b", 10, 10 * S),
        Event::WindowDrained(totals("a", 11 * S, 100, 100)),
        Event::WindowClosed(totals("b", 20 * S + 3_000, 50, 49)),
        Event::WindowDrained(totals("b", 21 * S, 50, 50)),
        beat(21 * S, 150),
        finished(21 * S, RunStatus::Completed),
    ]
}

fn text(events: &[Event]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.jsonl");
    let mut writer = TimelineWriter::create(&path).unwrap();
    for event in events {
        writer.append(event).unwrap();
    }
    std::fs::read(path).unwrap()
}

fn records(records: u64, first_sent_ns: i64, last_sent_ns: i64) -> ScenarioRecords {
    ScenarioRecords {
        records,
        unsent: 0,
        first_sent_ns: START + first_sent_ns,
        last_sent_ns: START + last_sent_ns,
    }
}

fn whole() -> LedgerReport {
    LedgerReport {
        schema_version: 2,
        run_id: Some("a".repeat(32)),
        batches: 10,
        rows: 150,
        bytes: 15_000,
        records: [
            ("a".to_owned(), records(100, 2_000, 11 * S)),
            ("b".to_owned(), records(50, 10 * S, 20 * S)),
        ]
        .into(),
        damage: LedgerDamage::default(),
        torn: false,
        torn_bytes: 0,
    }
}

/// Kind, severity and scenario of all that is found.
fn found(
    events: &[Event],
    ledger: &LedgerReport,
) -> Vec<(InconsistencyKind, Severity, Option<String>)> {
    found_in(&text(events), ledger)
}

fn found_in(
    timeline: &[u8],
    ledger: &LedgerReport,
) -> Vec<(InconsistencyKind, Severity, Option<String>)> {
    consistency(&parse(timeline), Some(ledger))
        .into_iter()
        .map(|found| (found.kind, found.severity, found.scenario))
        .collect()
}

fn of(
    kind: InconsistencyKind,
    severity: Severity,
    scenario: &str,
) -> Vec<(InconsistencyKind, Severity, Option<String>)> {
    let scenario = Some(scenario.to_owned()).filter(|name| !name.is_empty());
    vec![(kind, severity, scenario)]
}

use InconsistencyKind::*;

#[test]
fn where_all_is_well_nothing_is_found() {
    assert_eq!(found(&well(), &whole()), []);
}

#[test]
fn a_timeline_that_was_changed_and_one_that_cannot_say() {
    let line = String::from_utf8(text(&well())).unwrap();
    let changed = line.replacen("\"completed\":95", "\"completed\":96", 1);
    let expected = of(TimelineChanged, Severity::Error, "");
    assert_eq!(found_in(changed.as_bytes(), &whole()), expected);
    let mut killed = well();
    killed.pop();
    let expected = of(Unproven, Severity::Info, "");
    assert_eq!(found(&killed, &whole()), expected);
}

#[test]
fn a_ledger_of_another_run_is_named_and_its_figures_are_not_compared() {
    let mut ledger = whole();
    ledger.run_id = Some("b".repeat(32));
    ledger.records.clear();
    let timeline = parse(&text(&well()));
    let found = consistency(&timeline, Some(&ledger));
    assert_eq!((found.len(), found[0].kind), (1, OtherRun));
    assert!(found[0].message.contains(&"b".repeat(32)));
}

#[test]
fn a_ledger_that_is_damaged_torn_or_old() {
    let mut ledger = whole();
    ledger.damage.batches = 2;
    ledger.damage.bytes = 3_000;
    let found_here = consistency(&parse(&text(&well())), Some(&ledger));
    assert_eq!(found_here[0].kind, LedgerDamaged);
    assert_eq!(
        found_here[0].message,
        "the ledger is damaged: 2 batches are lost; 150 requests of it can be \
         relied on, and about 30 are lost"
    );
    let mut ledger = whole();
    ledger.torn = true;
    assert_eq!(found(&well(), &ledger), of(LedgerTorn, Severity::Error, ""));
    let mut killed = well();
    killed.pop();
    killed.push(finished(21 * S, RunStatus::Failed));
    assert_eq!(found(&killed, &ledger), []);
    ledger = LedgerReport {
        schema_version: 1,
        run_id: None,
        ..whole()
    };
    assert_eq!(found(&well(), &ledger), of(Unproven, Severity::Info, ""));
}

#[test]
fn requests_that_are_missing_or_too_many() {
    let mut ledger = whole();
    ledger.records.get_mut("a").unwrap().records = 97;
    let expected = of(RecordsMissing, Severity::Error, "a");
    assert_eq!(found(&well(), &ledger), expected);
    ledger.records.get_mut("a").unwrap().records = 101;
    let expected = of(TooManyRecords, Severity::Error, "a");
    assert_eq!(found(&well(), &ledger), expected);
    ledger = whole();
    ledger.records.remove("b");
    let expected = of(RecordsMissing, Severity::Error, "b");
    assert_eq!(found(&well(), &ledger), expected);
    ledger = whole();
    ledger.records.insert("c".into(), records(1, 0, 0));
    let expected = of(OutsideWindow, Severity::Error, "c");
    assert_eq!(found(&well(), &ledger), expected);
    // A kill in the second window: its last requests had not been handed over.
    let mut killed = well();
    killed.drain(6..);
    killed.push(beat(14 * S, 130));
    killed.push(finished(15 * S, RunStatus::Failed));
    ledger = whole();
    ledger
        .records
        .insert("b".into(), records(25, 10 * S, 14 * S));
    (ledger.rows, ledger.torn) = (125, true);
    let expected = of(RecordsMissing, Severity::Info, "");
    assert_eq!(found(&killed, &ledger), expected);
}

#[test]
fn requests_that_were_sent_outside_of_their_window() {
    let mut ledger = whole();
    ledger.records.get_mut("b").unwrap().first_sent_ns = START + 10 * S - 500_000;
    let expected = of(OutsideWindow, Severity::Error, "b");
    assert_eq!(found(&well(), &ledger), expected);
    // k6 knows no times finer than a millisecond.
    let mut k6 = well();
    k6[0] = started(Engine::K6);
    assert_eq!(found(&k6, &ledger), []);
    ledger.records.get_mut("b").unwrap().first_sent_ns = START + 8 * S;
    assert_eq!(found(&k6, &ledger), expected);
    ledger = whole();
    ledger.records.get_mut("a").unwrap().last_sent_ns = START + 12 * S;
    let expected = of(OutsideWindow, Severity::Error, "a");
    assert_eq!(found(&well(), &ledger), expected);
}

#[test]
fn windows_that_are_not_where_the_plan_has_them() {
    // A generator that was stopped over the whole of a window.
    let mut events = well();
    events[4] = opened("b", 10, 20 * S - 7_000);
    events.insert(
        4,
        Event::GeneratorStalled(GeneratorStalled {
            at_ns: START + 20 * S - 8_000,
            for_ns: 9_500_000_000,
            shard: None,
        }),
    );
    let mut ledger = whole();
    ledger.records.get_mut("b").unwrap().first_sent_ns = START + 20 * S;
    let timeline = parse(&text(&events));
    let messages: Vec<String> = consistency(&timeline, Some(&ledger))
        .into_iter()
        .map(|found| format!("{:?} {:?}: {}", found.severity, found.kind, found.message))
        .collect();
    assert_eq!(
        messages,
        [
            "Error WindowOffPlan: the window of `b` opened 10.0 s later than planned, and lasted \
             10 µs of 10.0 s",
            "Warning Stalled: 10.5 s into the run and in `b` the generator did not run for 9.5 s: it \
             was suspended, or had no processor",
        ]
    );
    // 5 % of ten seconds are within what is normal.
    let mut events = well();
    events[6] = Event::WindowClosed(totals("b", 20 * S + 490_000_000, 50, 49));
    assert_eq!(found(&events, &whole()), []);
    events[6] = Event::WindowClosed(totals("b", 20 * S + 510_000_000, 50, 49));
    let expected = of(WindowOffPlan, Severity::Warning, "b");
    assert_eq!(found(&events, &whole()), expected);
    events[6] = Event::WindowClosed(totals("b", 19 * S, 50, 49));
    assert_eq!(found(&events, &whole()), expected);
    // It may have been done.
    if let Event::WindowOpened(opened) = &mut events[4] {
        opened.may_end_early = true;
    }
    assert_eq!(found(&events, &whole()), []);
    // A signal ended the run in it.
    let mut events = well();
    events[6] = Event::WindowClosed(totals("b", 12 * S, 50, 49));
    events.drain(7..);
    events.push(Event::WindowDrained(totals("b", 13 * S, 50, 50)));
    events.push(finished(13 * S, RunStatus::Interrupted));
    let mut ledger = whole();
    ledger.records.get_mut("b").unwrap().last_sent_ns = START + 12 * S;
    assert_eq!(found(&events, &ledger), []);
}

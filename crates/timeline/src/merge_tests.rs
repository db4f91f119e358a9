use super::*;
use crate::event::{ClockStepped, Engine, FaultChanged, GeneratorStalled, TIMELINE_SCHEMA_VERSION};
use loadgen_scenario::plan::{Anomaly, Parameters};

const S: i64 = 1_000_000_000;
const MS: i64 = 1_000_000;
const ZERO: i64 = 1_700_000_000 * S;

fn started(index: u32, count: u32) -> RunStarted {
    RunStarted {
        schema_version: TIMELINE_SCHEMA_VERSION,
        run_id: "a".repeat(32),
        at_ns: ZERO,
        scenario_file: "f".into(),
        scenario_sha256: "ab".into(),
        seed: 1,
        time_scale: 1.0,
        engine: Engine::Rust,
        engine_version: None,
        target: "http://t".into(),
        loadgen_version: "0".into(),
        shard: Some(RunShard {
            index,
            count,
            drives_faults: index == 0,
            clock_ahead_ns: None,
        }),
        shards: Vec::new(),
    }
}

fn opened(scenario: &str, at_ns: i64, planned_s: [i64; 2]) -> Event {
    Event::WindowOpened(WindowOpened {
        scenario: scenario.into(),
        anomaly: Anomaly {
            kind: "none".into(),
            label: "normal".into(),
            symptom: None,
            root_cause: String::new(),
            msg: String::new(),
            root_cause_service: None,
        },
        declared: None,
        warm_up: false,
        may_end_early: false,
        planned_start_ns: ZERO + planned_s[0] * S,
        planned_end_ns: ZERO + planned_s[1] * S,
        at_ns,
        guard_ns: 0,
    })
}

fn totals(scenario: &str, at_ns: i64, sent: u64) -> WindowClosed {
    WindowClosed {
        scenario: scenario.into(),
        at_ns,
        last_completed_ns: Some(at_ns - MS),
        sent,
        completed: sent,
        failed: 1,
        dropped: 2,
        iterations: sent,
        interrupted_iterations: 0,
        unsent_steps: 0,
    }
}

fn beat(at_ns: i64, sent: u64) -> Event {
    Event::Heartbeat(Heartbeat {
        at_ns,
        sent,
        completed: sent,
        failed: 0,
        dropped: 0,
    })
}

fn fault(at_ns: i64) -> Event {
    Event::FaultInjected(FaultChanged {
        scenario: "b".into(),
        driver: "d".into(),
        fault: "f".into(),
        service: "s".into(),
        intensity: 1.0,
        sham: false,
        harmless: false,
        clients: None,
        parameters: Parameters::new(),
        driver_version: String::new(),
        confirmed_by: String::new(),
        read_back: serde_json::Value::Null,
        requested_ns: at_ns,
        at_ns,
    })
}

/// A shard that came to each edge so many milliseconds late, and had sent so many requests.
fn shard(index: u32, late_ms: i64, sent: u64) -> ShardTimeline {
    let late = |s: i64| ZERO + s * S + late_ms * MS;
    let events = vec![
        Event::RunStarted(started(index, 2)),
        opened("a", late(0), [0, 2]),
        beat(late(1), sent / 2),
        Event::WindowClosed(totals("a", late(2), sent)),
        opened("b", late(2), [2, 4]),
        fault(late(2) + MS),
        Event::GeneratorStalled(GeneratorStalled {
            at_ns: late(3),
            for_ns: 7,
            shard: None,
        }),
        Event::ClockStepped(ClockStepped {
            at_ns: late(3),
            offset_ns: 5,
            shard: None,
        }),
        Event::WindowDrained(totals("a", late(3), sent + 1)),
        Event::WindowClosed(totals("b", late(4), sent)),
        Event::WindowDrained(totals("b", late(5), sent)),
        beat(late(5), 2 * sent + 1),
        Event::RunFinished(RunFinished {
            at_ns: late(5),
            status: RunStatus::Completed,
            sha256: None,
        }),
    ];
    ShardTimeline {
        name: format!("shard-{index}"),
        events,
    }
}

/// Kind and milliseconds of each event, with what counts.
fn story(events: &[Event]) -> Vec<String> {
    let ms = |at_ns: i64| (at_ns - ZERO) / MS;
    let told = |event: &Event| match event {
        Event::RunStarted(run) => format!("{} started {}", ms(run.at_ns), run.shards.len()),
        Event::WindowOpened(w) => format!("{} opened {}", ms(w.at_ns), w.scenario),
        Event::WindowClosed(w) => format!("{} closed {} {}", ms(w.at_ns), w.scenario, w.sent),
        Event::WindowDrained(w) => format!("{} drained {} {}", ms(w.at_ns), w.scenario, w.sent),
        Event::Heartbeat(b) => format!("{} beat {}", ms(b.at_ns), b.sent),
        Event::FaultInjected(f) => format!("{} injected", ms(f.at_ns)),
        Event::GeneratorStalled(s) => format!("{} stalled {:?}", ms(s.at_ns), s.shard),
        Event::ClockStepped(s) => format!("{} stepped {:?}", ms(s.at_ns), s.shard),
        Event::RunFinished(end) => format!("{} {:?}", ms(end.at_ns), end.status),
        other => format!("{other:?}"),
    };
    events.iter().map(told).collect()
}

#[test]
fn two_shards_are_one_run() {
    let events = merge(&[shard(1, 3, 20), shard(0, 5, 10)]).unwrap();
    assert_eq!(
        story(&events),
        [
            "0 started 2",
            "3 opened a",
            "1005 beat 15",
            "2003 closed a 30",
            "2003 opened b",
            "2006 injected",
            "3003 stalled Some(1)",
            "3003 stepped Some(1)",
            "3005 stalled Some(0)",
            "3005 stepped Some(0)",
            "3005 drained a 32",
            "4003 closed b 30",
            "5005 beat 62",
            "5005 drained b 30",
            "5005 Completed",
        ]
    );
    let Event::RunStarted(run) = &events[0] else {
        unreachable!()
    };
    assert_eq!((run.shard.clone(), missing(run)), (None, None));
    let indices: Vec<u32> = run.shards.iter().map(|shard| shard.index).collect();
    assert_eq!(indices, [0, 1]);
    let Event::WindowDrained(b) = &events[13] else {
        unreachable!()
    };
    assert_eq!((b.failed, b.dropped, b.iterations), (2, 4, 30));
    assert_eq!(b.last_completed_ns, Some(ZERO + 5 * S + 4 * MS));
}

#[test]
fn a_window_that_all_left_early_ends_with_the_last() {
    let early = |index: u32, at_ms: i64| {
        let mut shard = shard(index, 0, 1);
        for event in &mut shard.events {
            if let Event::WindowClosed(w) = event
                && w.scenario == "b"
            {
                w.at_ns = ZERO + at_ms * MS;
            }
        }
        shard
    };
    let closed = |shards: &[ShardTimeline]| {
        let events = merge(shards).unwrap();
        let lines = story(&events);
        lines.into_iter().find(|line| line.contains("closed b"))
    };
    let both = [early(0, 2500), early(1, 3100)];
    assert_eq!(closed(&both).as_deref(), Some("3100 closed b 2"));
    // One of them went on to the end.
    let one = [early(0, 2500), early(1, 4002)];
    assert_eq!(closed(&one).as_deref(), Some("4002 closed b 2"));
}

#[test]
fn a_shard_that_was_killed_fails_the_run_and_leaves_its_windows_open() {
    let mut killed = shard(1, 3, 20);
    killed.events.truncate(5);
    let lines = story(&merge(&[shard(0, 5, 10), killed]).unwrap());
    assert!(lines.contains(&"4005 closed b 10".to_owned()), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.contains("drained")),
        "{lines:?}"
    );
    // What it had told is not lost.
    assert_eq!(lines[lines.len() - 2..], ["5005 beat 31", "5005 Failed"]);
}

#[test]
fn what_does_not_belong_together_is_told_all_at_once() {
    let mut other = shard(1, 0, 1);
    let mut whole = shard(1, 0, 1);
    let mut late = shard(1, 0, 1);
    if let Event::RunStarted(run) = &mut other.events[0] {
        run.run_id = "b".repeat(32);
        run.seed = 2;
    }
    if let Event::RunStarted(run) = &mut whole.events[0] {
        run.shard = None;
    }
    if let Event::RunStarted(run) = &mut late.events[0] {
        run.at_ns += 5 * S;
    }
    let told = |shards: &[ShardTimeline]| -> Vec<String> {
        let errors = merge(shards).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    };
    let first = || shard(0, 0, 1);
    let run_id = |letter: &str| letter.repeat(32);
    assert_eq!(
        told(&[first(), other]),
        [
            format!(
                "shard-1 is not of the same run as shard-0: the run's id is {} and not {}",
                run_id("b"),
                run_id("a")
            ),
            "shard-1 is not of the same run as shard-0: the seed is 2 and not 1".to_owned(),
        ]
    );
    assert_eq!(
        told(&[first(), whole]),
        ["shard-1 is a whole run and no shard of one: only shards can be merged"]
    );
    assert_eq!(
        told(&[first(), late]),
        ["shard-1 began 5.0 s after shard-0: shards of a run begin together"]
    );
    assert_eq!(
        told(&[first(), first()]),
        [
            "shard 0 is there twice: shard-0 and shard-0",
            "both shard-0 and shard-0 drove the faults of the run"
        ]
    );
    let nothing = ShardTimeline {
        name: "x".into(),
        events: vec![],
    };
    assert_eq!(
        told(&[nothing]),
        ["x: its timeline does not say which run it is of"]
    );
}

#[test]
fn a_shard_that_is_missing_is_named() {
    let events = merge(&[shard(1, 0, 1)]).unwrap();
    let Event::RunStarted(run) = &events[0] else {
        unreachable!()
    };
    let said = missing(run).unwrap().to_string();
    assert_eq!(said, "of 2 shards 1 is missing: 0");
    // It drove the faults, and they are not on the timeline.
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::FaultInjected(_)))
    );
}

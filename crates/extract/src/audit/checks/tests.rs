//! Each check on figures made by hand: a dataset in which all is well, and one thing that is not.

use loadgen_timeline::Integrity;
use loadgen_timeline::audit::{
    ClockFigures, CountingPath, DatasetVerdict, Effect, ForeignRows, Gap, IdLeak, IdOfWindow,
    LateSpans, Leak, LedgerFigures, OffPlan, Predictor, Rows, ServiceFigures, SpanNormals,
    TimeOffset, TimelineFigures, ToldBlocks, WideOperation, WindowFigures,
};
use loadgen_timeline::event::RunStatus;

use super::*;
use crate::audit::audit;

/// A dataset in which all is well.
fn good() -> Figures {
    let rows = Rows {
        read: 1000,
        written: 1000,
        ..Rows::default()
    };
    let window = |scenario: &str, kind: &str, verdict: &str| WindowFigures {
        scenario: scenario.into(),
        anomaly_type: kind.into(),
        spans: 250,
        steady_spans: 200,
        traces: 50,
        requests: 50,
        verdict: Some(verdict.into()),
        fault_state: if kind == "none" { "none" } else { "confirmed" }.into(),
        effect: Some(Effect {
            signal: "duration".into(),
            value: 0.1,
            low: 0.0,
            high: 0.2,
        }),
        ..WindowFigures::default()
    };
    let service = ServiceFigures {
        spans: 1000,
        server_spans: 500,
        header_spans: 400,
        agreeing: 400,
        roots: 200,
        ..ServiceFigures::default()
    };
    Figures {
        timeline: Some(TimelineFigures {
            finished: true,
            integrity: Integrity::Verified,
            ..TimelineFigures::default()
        }),
        ledger: Some(LedgerFigures {
            schema_version: 2,
            requests: 200,
            ..LedgerFigures::default()
        }),
        spans: rows,
        traces: 200,
        spans_by_source: [("ledger".to_owned(), 1000)].into(),
        spans_by_type: [("none".to_owned(), 500), ("timeout".to_owned(), 500)].into(),
        windows: vec![
            window("calm", "none", "clean"),
            window("slow", "timeout", "supported"),
            window("calm2", "none", "clean"),
            window("slow2", "timeout", "supported"),
        ],
        services: [("web".to_owned(), service)].into(),
        expected_services: vec!["web".into()],
        clocks: vec![ClockFigures {
            service: "web".into(),
            ahead_ns: 2_000_000,
            bound_ns: 1_000_000,
            ..ClockFigures::default()
        }],
        mix: Some(predictor(0.52)),
        rate: Some(predictor(0.6)),
        ..Figures::default()
    }
}

fn predictor(balanced_accuracy: f64) -> Predictor {
    Predictor {
        balanced_accuracy,
        chance: 0.5,
        chance_error: 0.03,
        block_s: 1.0,
        types: [(
            "timeout".to_owned(),
            ToldBlocks {
                blocks: 60,
                told: 31,
            },
        )]
        .into(),
    }
}

fn found(figures: &Figures, id: &str) -> Check {
    let found = audit(figures).checks.into_iter().find(|c| c.id == id);
    found.expect("a check of that name")
}

fn level(figures: &Figures, id: &str) -> Level {
    found(figures, id).level
}

fn timeline(figures: &mut Figures) -> &mut TimelineFigures {
    figures.timeline.as_mut().expect("a timeline")
}

fn ledger(figures: &mut Figures) -> &mut LedgerFigures {
    figures.ledger.as_mut().expect("a ledger")
}

fn web(figures: &mut Figures) -> &mut ServiceFigures {
    figures.services.get_mut("web").expect("web")
}

#[test]
fn a_good_dataset_is_usable() {
    let audit = audit(&good());
    let bad: Vec<_> = audit
        .checks
        .iter()
        .filter(|c| c.level > Level::Info)
        .collect();
    assert_eq!((audit.verdict, &bad[..]), (DatasetVerdict::Usable, &[][..]));
}

/// A check, its level, and what spoils the good figures.
type Case<'c> = (&'c str, Level, fn(&mut Figures));

/// Spoils the good figures and looks at one check. What is not in order is told what to do about.
fn expect(cases: &[Case]) {
    for (number, (id, expected, spoil)) in cases.iter().enumerate() {
        let mut figures = good();
        spoil(&mut figures);
        let found = found(&figures, id);
        assert_eq!(found.level, *expected, "case {number} of {id}: {found:?}");
        assert_eq!(found.advice.is_empty(), *expected == Level::Ok, "{id}");
    }
}

#[test]
fn what_the_run_says_of_itself() {
    expect(&[
        ("timeline", Level::Error, |f| f.timeline = None),
        ("timeline", Level::Warning, |f| timeline(f).finished = false),
        ("timeline", Level::Warning, |f| {
            timeline(f).status = Some(RunStatus::Failed)
        }),
        ("timeline", Level::Warning, |f| {
            timeline(f).skipped_lines = 1
        }),
        ("timeline", Level::Error, |f| {
            timeline(f).integrity = Integrity::Mismatch
        }),
        ("timeline", Level::Info, |f| {
            timeline(f).integrity = Integrity::NotStated
        }),
        ("timeline", Level::Warning, |f| {
            timeline(f).shard = Some("2/8".into())
        }),
        ("timeline", Level::Warning, |f| {
            timeline(f).shards = 8;
            timeline(f).missing_shards = vec![3, 5];
        }),
        ("timeline", Level::Info, |f| {
            timeline(f).shards = 2;
            timeline(f).shard_clocks.push("it may be off".into());
        }),
        ("timetable", Level::Warning, |f| {
            timeline(f).stalls.push("it stood".into())
        }),
        ("timetable", Level::Warning, |f| off_plan(f, Level::Warning)),
        ("timetable", Level::Error, |f| off_plan(f, Level::Error)),
        ("ledger", Level::Info, |f| f.ledger = None),
        ("ledger", Level::Info, |f| ledger(f).torn = true),
        ("ledger", Level::Info, |f| ledger(f).schema_version = 1),
        ("ledger", Level::Info, |f| {
            ledger(f).missing_at_the_end.push("3 of 9".into())
        }),
        ("ledger", Level::Error, |f| {
            ledger(f).damage = Some("1 batch is lost".into())
        }),
        ("ledger", Level::Error, |f| {
            ledger(f).differences.push("3 of 9 are missing".into())
        }),
        ("faults", Level::Warning, |f| {
            timeline(f).fault_failures.push("x".into())
        }),
        ("faults", Level::Info, |f| {
            timeline(f).without_fault.push("x".into())
        }),
    ]);
}

#[test]
fn where_single_spans_can_not_be_told_is_named() {
    let mut figures = good();
    figures.span_normals = Some(SpanNormals::default());
    assert_eq!(level(&figures, "span-normals"), Level::Ok);
    figures.span_normals = Some(SpanNormals {
        untold: 25,
        wide: vec![WideOperation {
            service: "web".into(),
            name: "GET /a".into(),
            spans: 40,
            median_ms: 4.0,
            slow_from_ms: 310.5,
        }],
    });
    let told = found(&figures, "span-normals");
    assert_eq!(told.level, Level::Info);
    assert_eq!(
        told.figure,
        "25 spans without `span_anomaly` (2.50 %), 1 operation with a long tail"
    );
    assert_eq!(
        told.details,
        ["web GET /a: 40 spans; normal median 4.0 ms, `latency` from 310.5 ms on"]
    );
    // Without a timeline there is no normal time, and the check of the timeline says that.
    figures.timeline = None;
    assert_eq!(level(&figures, "span-normals"), Level::Ok);
}

#[test]
fn a_warm_up_is_counted_apart_from_what_is_evaluated() {
    let mut figures = good();
    figures.windows[0].warm_up = true;
    let told = |id| found(&figures, id).figure;
    assert_eq!(
        told("evidence"),
        "3 windows backed; 1 warm-up not evaluated"
    );
    let windows = told("windows");
    assert!(
        windows.starts_with("3 windows and 1 warm-up, 0"),
        "{windows}"
    );
}

#[test]
fn shards_that_are_missing_are_named() {
    let mut figures = good();
    timeline(&mut figures).shards = 8;
    timeline(&mut figures).missing_shards = vec![3, 5];
    let found = found(&figures, "timeline");
    assert_eq!(found.figure, "of 8 shards these are missing: 3, 5");
    assert!(found.advice.contains("loadgen merge"), "{}", found.advice);
}

fn off_plan(figures: &mut Figures, level: Level) {
    timeline(figures).off_plan.push(OffPlan {
        scenario: "slow".into(),
        level,
        message: "the window of `slow` opened 3 s later than planned".into(),
    });
}

#[test]
fn a_ledger_says_how_much_of_it_is_left() {
    let mut figures = good();
    ledger(&mut figures).damage = Some("2 batches are lost".into());
    ledger(&mut figures).lost_requests = 30;
    let found = found(&figures, "ledger");
    assert_eq!(found.figure, "200 requests, about 30 lost to damage");
    assert_eq!(found.details, ["damaged: 2 batches are lost"]);
}

fn set_verdict(figures: &mut Figures, verdict: &str) {
    figures.windows[1].verdict = Some(verdict.into());
    figures.windows[1].reasons = vec!["nothing differs".into()];
}

#[test]
fn windows_stand_or_fall_by_their_evidence() {
    expect(&[
        ("evidence", Level::Error, |f| {
            set_verdict(f, "not_supported")
        }),
        ("evidence", Level::Error, |f| {
            set_verdict(f, "not_enough_data")
        }),
        ("evidence", Level::Warning, |f| set_verdict(f, "weak")),
        ("evidence", Level::Warning, |f| set_verdict(f, "disturbed")),
        ("evidence", Level::Ok, |f| set_verdict(f, "clean")),
        // Nothing was there to compare it with.
        ("evidence", Level::Warning, |f| f.windows[0].effect = None),
        // What a failed fault leaves is unknown, and no label that could be wrong.
        ("evidence", Level::Warning, |f| {
            set_verdict(f, "not_enough_data");
            f.windows[1].fault_state = "failed".into();
        }),
        ("evidence", Level::Ok, |f| {
            set_verdict(f, "not_supported");
            f.windows[1].sham = true;
        }),
        ("evidence", Level::Warning, |f| f.windows[1].sham = true),
        ("evidence", Level::Warning, |f| f.windows[1].harmless = true),
        ("evidence", Level::Ok, |f| f.windows[1].warm_up = true),
        // A run without any anomaly.
        ("evidence", Level::Ok, |f| {
            f.windows.retain(|w| w.anomaly_type == "none")
        }),
        ("evidence", Level::Info, |f| {
            f.windows.iter_mut().for_each(|w| w.verdict = None)
        }),
    ]);
    let mut figures = good();
    set_verdict(&mut figures, "not_supported");
    let found = found(&figures, "evidence");
    assert_eq!(
        found.details[0],
        "slow (timeout): not_supported: nothing differs"
    );
    assert_eq!(found.figure, "1 of 4 windows not backed, 0 doubtful");
    // No fault on the timeline is no fault of the dataset where the evidence is there.
    let mut by_hand = good();
    timeline(&mut by_hand).without_fault = vec!["slow".into()];
    by_hand.windows[1].fault_state = "declared".into();
    assert_eq!(audit(&by_hand).verdict, DatasetVerdict::Usable);
}

#[test]
fn rows_and_labels() {
    expect(&[
        ("rows", Level::Error, |f| f.logs.read = 1),
        ("rows", Level::Error, |f| {
            f.spans.written -= 1;
            f.spans.too_large += 1;
        }),
        ("rows", Level::Error, |f| f.spans = Rows::default()),
        ("known-labels", Level::Warning, |f| {
            _ = f.spans_by_type.insert("unknown".into(), 100)
        }),
        ("known-labels", Level::Error, |f| {
            _ = f.spans_by_type.insert("unknown".into(), 2000)
        }),
        // Foreign rows that were kept on request.
        ("known-labels", Level::Ok, |f| {
            _ = f.spans_by_type.insert("unknown".into(), 2000);
            f.foreign.push(ForeignRows {
                kind: "outside".into(),
                traces: 1,
                spans: 2000,
                log_records: 0,
                data_points: 0,
            });
        }),
        ("label-sources", Level::Warning, |f| {
            _ = f.spans_by_source.insert("header".into(), 1)
        }),
        ("label-sources", Level::Ok, |f| {
            _ = f.spans_by_source.insert("window".into(), 1)
        }),
        ("windows", Level::Warning, |f| f.windows[0].traces = 3),
        ("windows", Level::Error, |f| f.windows[0].spans = 0),
        ("windows", Level::Error, |f| f.windows.clear()),
        ("windows", Level::Error, |f| {
            f.windows[0].scenario = f.windows[1].scenario.clone()
        }),
        ("steady-share", Level::Warning, |f| {
            f.windows[0].steady_spans = 124
        }),
        ("steady-share", Level::Ok, |f| {
            f.windows[0].steady_spans = 125
        }),
        ("steady-share", Level::Error, |f| {
            f.windows[0].steady_spans = 0
        }),
        ("steady-share", Level::Ok, |f| {
            (f.windows[0].steady_spans, f.windows[0].verdict) = (0, None);
        }),
    ]);
}

#[test]
fn normal_and_none_are_one() {
    let mut figures = good();
    figures.spans_by_type = [("normal".to_owned(), 300), ("none".to_owned(), 200)].into();
    let found = found(&figures, "class-balance");
    assert_eq!(found.figure, "100.00 % of the spans are normal");
}

#[test]
fn what_is_lost_and_what_is_foreign() {
    expect(&[
        ("lost-traces", Level::Warning, |f| {
            f.windows[0].lost_traces = 1
        }),
        ("lost-traces", Level::Error, |f| {
            f.windows[0].lost_traces = 30
        }),
        ("gaps", Level::Warning, |f| silence(f, 2)),
        ("gaps", Level::Error, |f| silence(f, 3)),
        ("silent-steps", Level::Info, |f| {
            _ = f.silent_steps.insert("home".into(), 20)
        }),
        ("foreign", Level::Info, |f| f.foreign.push(foreign())),
        ("trace-ids", Level::Warning, |f| f.short_trace_ids = 1),
        ("trace-ids", Level::Info, |f| {
            (f.short_trace_ids, f.ledger) = (1, None)
        }),
        ("late-spans", Level::Info, |f| f.late_spans.push(late())),
    ]);
    let mut figures = good();
    silence(&mut figures, 3);
    let found = found(&figures, "gaps");
    assert_eq!(
        found.figure,
        "1 gap of 2.0 s together, at most 6.00 % of a window's requests"
    );
    let detail = "from 4.0 s to 6.0 s of the run, in slow: 3 requests and no span of the target";
    assert_eq!(found.details, [detail]);
}

fn silence(figures: &mut Figures, requests: u64) {
    figures.windows[1].gap_requests = requests;
    figures.gaps.push(Gap {
        from_ns: 4_000_000_000,
        to_ns: 6_000_000_000,
        requests,
        scenarios: vec!["slow".into()],
    });
}

fn foreign() -> ForeignRows {
    ForeignRows {
        kind: "other_run".into(),
        traces: 900,
        spans: 5000,
        log_records: 1,
        data_points: 1,
    }
}

fn late() -> LateSpans {
    LateSpans {
        service: "user".into(),
        name: "heartbeat".into(),
        spans: 5,
    }
}

#[test]
fn telemetry_that_misses_the_run_says_by_how_much() {
    let advice = |offset: TimeOffset| {
        let mut figures = good();
        figures.foreign = vec![ForeignRows {
            kind: "outside".into(),
            traces: 200,
            spans: 1000,
            log_records: 0,
            data_points: 0,
        }];
        figures.time_offset = Some(offset);
        let found = found(&figures, "foreign");
        assert_eq!(found.level, Level::Error);
        found.advice
    };
    let hours = |shift_ns| TimeOffset {
        first_span_ns: 7_203_500_000_000,
        shift_ns,
        unit: None,
    };
    let told = advice(hours(Some(-7_200_000_000_000)));
    assert!(told.contains("begins 2h3s after it"), "{told}");
    assert!(told.contains("--shift -2h puts it right"), "{told}");
    let told = advice(hours(None));
    assert!(told.contains("or --shift where clocks differ"), "{told}");
    let told = advice(TimeOffset {
        unit: Some("milliseconds".into()),
        ..hours(None)
    });
    assert!(told.contains("seem to be milliseconds"), "{told}");
}

#[test]
fn what_gives_the_label_away() {
    expect(&[
        ("leakage", Level::Warning, |f| {
            f.leaks = vec![leak("http_target")]
        }),
        ("leakage", Level::Info, |f| {
            f.leaks = vec![leak("resource.host.id")]
        }),
        ("id-leak", Level::Warning, |f| {
            f.id_leaks = vec![id_leak("service_instance_id")]
        }),
        ("id-leak", Level::Info, |f| {
            f.id_leaks = vec![id_leak("attributes.process.pid")]
        }),
        ("path-leak", Level::Warning, |f| {
            f.counting_paths = vec![counting(-0.96)]
        }),
        ("path-leak", Level::Ok, |f| {
            f.counting_paths = vec![counting(0.94)]
        }),
        // A quarter of the way from 0.5 to 1.
        ("mix-leak", Level::Warning, |f| {
            f.mix = Some(predictor(0.63))
        }),
        ("mix-leak", Level::Ok, |f| f.mix = Some(predictor(0.62))),
        ("mix-leak", Level::Info, |f| f.mix = None),
        ("rate-leak", Level::Warning, |f| {
            f.rate = Some(predictor(0.9))
        }),
        // Few blocks: guessing reaches that, too.
        ("rate-leak", Level::Ok, |f| {
            f.rate = Some(Predictor {
                chance_error: 0.2,
                ..predictor(0.9)
            });
        }),
        ("time-position", Level::Info, |f| f.windows.truncate(3)),
    ]);
    let mut figures = good();
    figures.windows.truncate(3);
    let found = found(&figures, "time-position");
    assert_eq!(found.figure, "1 of 1 anomaly type with one window only");
}

fn leak(column: &str) -> Leak {
    Leak {
        column: column.into(),
        share: 1.0,
        perfect: true,
        values: vec![],
    }
}

fn id_leak(column: &str) -> IdLeak {
    IdLeak {
        column: column.into(),
        service: "web".into(),
        values: vec![IdOfWindow {
            value: "web-2".into(),
            scenario: "slow".into(),
            spans: 40,
        }],
    }
}

fn counting(rho: f64) -> CountingPath {
    CountingPath {
        path: "/order/{n}".into(),
        number: 1,
        rho,
        requests: 40,
    }
}

#[test]
fn leaks_that_were_dropped_are_not_told_again() {
    let mut figures = good();
    figures.leaks = vec![leak("http_target")];
    figures.counting_paths = vec![counting(1.0)];
    figures.id_leaks = vec![id_leak("service_instance_id")];
    figures.dropped_columns = vec!["http_target".into(), "service_instance_id".into()];
    for id in ["leakage", "path-leak", "id-leak"] {
        assert_eq!(level(&figures, id), Level::Ok, "{id}");
    }
}

#[test]
fn the_telemetry_by_itself() {
    expect(&[
        ("header-coverage", Level::Warning, |f| {
            web(f).header_spans = 0
        }),
        ("header-contradictions", Level::Warning, |f| {
            web(f).contradicting = 1
        }),
        ("expected-services", Level::Warning, |f| {
            f.expected_services.push("cart".into())
        }),
        ("clock-skew", Level::Warning, |f| {
            f.clocks[0].ahead_ns = -3_000_000_000
        }),
        ("roots", Level::Warning, |f| f.traces_without_root = 11),
        ("roots", Level::Ok, |f| f.traces_without_root = 10),
        ("orphans", Level::Warning, |f| web(f).orphans = 20),
        ("single-span-traces", Level::Warning, |f| {
            web(f).single_span_traces = 195
        }),
        ("cut-traces", Level::Warning, |f| f.traces_cut = 3),
        ("duplicate-spans", Level::Warning, |f| {
            f.duplicate_spans = 20
        }),
        ("lines", Level::Warning, |f| f.skipped_lines = 1),
        ("lines", Level::Warning, |f| f.unread_parts = 1),
        ("lines", Level::Info, |f| f.torn_lines = 1),
    ]);
}

#[test]
fn zero_header_coverage_names_the_services() {
    let mut figures = good();
    (
        web(&mut figures).header_spans,
        web(&mut figures).default_spans,
    ) = (0, 1000);
    let found = found(&figures, "header-coverage");
    assert!(
        found.figure.contains("0.00 %") && found.figure.contains("1000 only a default"),
        "{}",
        found.figure
    );
    assert!(
        found.details[0].starts_with("web: 0.00 %"),
        "{:?}",
        found.details
    );
}

#[test]
fn a_skew_that_was_corrected_is_no_warning() {
    let mut figures = good();
    figures.clocks[0].ahead_ns = 3_000_000_000;
    figures.skew_corrected = true;
    assert_eq!(level(&figures, "clock-skew"), Level::Info);
}

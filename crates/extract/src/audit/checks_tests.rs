use loadgen_timeline::event::RunStatus;

use super::*;
use crate::audit::{Verdict, audit};
use crate::figures::{
    ClockFigures, LedgerFigures, Rows, ServiceFigures, TimelineFigures, WindowFigures,
};

/// A dataset in which all is well.
fn good() -> Figures {
    let rows = Rows {
        read: 1000,
        written: 1000,
        filtered: 0,
    };
    let window = |kind: &str| WindowFigures {
        scenario: kind.into(),
        anomaly_type: kind.into(),
        spans: 500,
        traces: 100,
        requests: 100,
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
            ..TimelineFigures::default()
        }),
        ledger: Some(LedgerFigures {
            requests: 200,
            torn: false,
        }),
        spans: rows,
        traces: 200,
        spans_by_source: [("ledger".to_owned(), 1000)].into(),
        spans_by_type: [("none".to_owned(), 500), ("timeout".to_owned(), 500)].into(),
        windows: vec![window("none"), window("timeout")],
        services: [("web".to_owned(), service)].into(),
        expected_services: vec!["web".into()],
        clocks: vec![ClockFigures {
            service: "web".into(),
            ahead_ns: 2_000_000,
            bound_ns: 1_000_000,
            ..ClockFigures::default()
        }],
        ..Figures::default()
    }
}

fn level(figures: &Figures, id: &str) -> Level {
    let found = audit(figures).checks.into_iter().find(|c| c.id == id);
    found.expect("a check of that name").level
}

#[test]
fn a_good_dataset_is_usable() {
    assert_eq!(audit(&good()).verdict, Verdict::Usable);
}

#[test]
fn each_fault_of_a_dataset_is_found_by_its_check() {
    type Spoil = fn(&mut Figures);
    let cases: [(&str, Level, Spoil); 24] = [
        ("rows", Level::Error, |f| f.logs.read = 1),
        ("rows", Level::Error, |f| f.spans = Rows::default()),
        ("timeline", Level::Error, |f| f.timeline = None),
        ("timeline", Level::Warning, |f| {
            f.timeline.as_mut().unwrap().finished = false
        }),
        ("timeline", Level::Warning, |f| {
            f.timeline.as_mut().unwrap().status = Some(RunStatus::Failed)
        }),
        ("ledger", Level::Info, |f| f.ledger = None),
        ("faults", Level::Warning, |f| {
            f.timeline.as_mut().unwrap().fault_failures.push("x".into())
        }),
        ("faults", Level::Warning, |f| {
            f.timeline.as_mut().unwrap().without_fault.push("x".into())
        }),
        ("known-labels", Level::Warning, |f| {
            _ = f.spans_by_type.insert("unknown".into(), 100)
        }),
        ("known-labels", Level::Error, |f| {
            _ = f.spans_by_type.insert("unknown".into(), 2000)
        }),
        ("label-sources", Level::Warning, |f| {
            _ = f.spans_by_source.insert("ambiguous".into(), 1)
        }),
        ("windows", Level::Warning, |f| f.windows[0].traces = 3),
        ("windows", Level::Error, |f| f.windows[0].spans = 0),
        ("lost-traces", Level::Warning, |f| {
            f.windows[0].lost_traces = 2
        }),
        ("lost-traces", Level::Error, |f| {
            f.windows[0].lost_traces = 60
        }),
        ("header-coverage", Level::Warning, |f| {
            f.services.get_mut("web").unwrap().header_spans = 0
        }),
        ("header-contradictions", Level::Warning, |f| {
            f.services.get_mut("web").unwrap().contradicting = 1
        }),
        ("expected-services", Level::Warning, |f| {
            f.expected_services.push("cart".into())
        }),
        ("clock-skew", Level::Warning, |f| {
            f.clocks[0].ahead_ns = -3_000_000_000
        }),
        ("roots", Level::Warning, |f| {
            f.services.get_mut("web").unwrap().roots = 0
        }),
        ("orphans", Level::Warning, |f| {
            f.services.get_mut("web").unwrap().orphans = 20
        }),
        ("single-span-traces", Level::Warning, |f| {
            f.services.get_mut("web").unwrap().single_span_traces = 195
        }),
        ("duplicate-spans", Level::Warning, |f| {
            f.duplicate_spans = 20
        }),
        ("lines", Level::Warning, |f| f.skipped_lines = 1),
    ];
    for (id, expected, spoil) in cases {
        let mut figures = good();
        spoil(&mut figures);
        assert_eq!(level(&figures, id), expected, "{id}");
        let found = audit(&figures)
            .checks
            .into_iter()
            .find(|c| c.id == id)
            .expect("found");
        assert!(!found.advice.is_empty(), "{id} gives no advice");
    }
}

#[test]
fn zero_header_coverage_names_the_services() {
    let mut figures = good();
    let web = figures.services.get_mut("web").expect("web");
    (web.header_spans, web.default_spans) = (0, 1000);
    let found = audit(&figures)
        .checks
        .into_iter()
        .find(|c| c.id == "header-coverage")
        .expect("found");
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

#[test]
fn leaks_that_were_dropped_are_not_told_again() {
    let mut figures = good();
    figures.leaks = vec![crate::figures::Leak {
        column: "http_target".into(),
        share: 1.0,
        perfect: true,
        values: vec![],
    }];
    assert_eq!(level(&figures, "leakage"), Level::Warning);
    figures.dropped_columns = vec!["http_target".into()];
    assert_eq!(level(&figures, "leakage"), Level::Ok);
}

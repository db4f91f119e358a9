//! What people and programs see, as they see it.

use crate::made::{K6, Like, RUST, pair};
use loadgen_compare::statistics::FigureVerdict;
use loadgen_compare::{Comparison, LeftOut, Options, Pair, Row, compare, report};
use loadgen_timeline::event::Engine;

const JITTER: [f64; 3] = [1.0, 1.02, 0.99];

fn three(a: Like, b: Like) -> Vec<Pair> {
    JITTER
        .iter()
        .zip(1..)
        .map(|(jitter, repetition)| pair(repetition, a, b, *jitter))
        .collect()
}

fn compared(pairs: &[Pair]) -> Comparison {
    compare(pairs, Vec::new(), &Options::default())
}

fn row<'c>(comparison: &'c Comparison, scenario: &str, id: &str) -> &'c Row {
    let of = |s: &&loadgen_compare::ScenarioComparison| s.scenario == scenario;
    let scenario = comparison.scenarios.iter().find(of).unwrap();
    scenario
        .rows
        .iter()
        .find(|row| row.metric.id == id)
        .unwrap()
}

#[test]
fn the_table() {
    let shown = report::table(&compared(&three(RUST, K6)));
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
    insta::assert_snapshot!(shown);
}

#[test]
fn the_csv() {
    insta::assert_snapshot!(report::csv(&compared(&three(RUST, K6))).unwrap());
}

#[test]
fn overhead_of_the_generator_is_named_where_the_target_answered_alike() {
    let comparison = compared(&three(RUST, K6));
    let p50 = row(&comparison, "rate", "client.p50");
    assert_eq!(p50.verdict, FigureVerdict::Different);
    assert!(
        p50.note.contains("generators' own overhead"),
        "{}",
        p50.note
    );
    assert!(
        p50.note
            .contains("0.30 ms with rust and 2.30 ms with k6, +2.00 ms"),
        "{}",
        p50.note
    );
    assert_eq!(
        row(&comparison, "rate", "server.p50").verdict,
        FigureVerdict::Same
    );
}

#[test]
fn a_target_that_answered_differently_is_named() {
    let slower = Like {
        target_ms: 8.0,
        ..K6
    };
    let comparison = compared(&three(RUST, slower));
    let p95 = row(&comparison, "rate", "client.p95");
    assert_eq!(p95.verdict, FigureVerdict::Different);
    assert!(
        p95.note.contains("The target itself answered differently"),
        "{}",
        p95.note
    );
    assert!(
        p95.note.contains("slower one in 2 of 3 pairs"),
        "{}",
        p95.note
    );
}

#[test]
fn a_generator_that_sends_late_is_named() {
    let late = Like {
        engine: Engine::K6,
        late_ms: 5.0,
        ..RUST
    };
    let comparison = compared(&three(RUST, late));
    assert_eq!(
        row(&comparison, "rate", "client.p50").verdict,
        FigureVerdict::Same
    );
    let intended = row(&comparison, "rate", "intended.p50");
    assert_eq!(intended.verdict, FigureVerdict::Different);
    assert!(
        intended
            .note
            .contains("0.05 ms with rust and by 5.00 ms with k6"),
        "{}",
        intended.note
    );
}

#[test]
fn without_a_dataset_the_rest_is_still_there() {
    let blind = |like: Like| Like {
        has_dataset: false,
        ..like
    };
    let comparison = compared(&three(blind(RUST), blind(K6)));
    assert_eq!(
        row(&comparison, "rate", "server.p50").verdict,
        FigureVerdict::NotAvailable
    );
    let p50 = row(&comparison, "rate", "client.p50");
    assert_eq!(p50.verdict, FigureVerdict::Different);
    assert!(p50.note.contains("is not available"), "{}", p50.note);
    assert!(
        comparison
            .warnings
            .iter()
            .any(|w| w.contains("without a dataset"))
    );
    assert!(!report::table(&comparison).contains("target\n"));
}

#[test]
fn what_nobody_did_is_the_same_and_what_only_one_did_is_not() {
    let failing = Like { timeouts: 30, ..K6 };
    let comparison = compared(&three(RUST, failing));
    assert_eq!(
        row(&comparison, "rate", "dropped").verdict,
        FigureVerdict::Same
    );
    assert_eq!(
        row(&comparison, "rate", "iterations").verdict,
        FigureVerdict::Same
    );
    // Three points are a lot more than one.
    for id in ["failed", "failed.timeout"] {
        let failed = row(&comparison, "rate", id);
        assert_eq!(failed.verdict, FigureVerdict::Different, "{id}");
        let difference = failed.difference.as_ref().unwrap();
        assert!((difference.mean - 3.0).abs() < 1e-9);
    }
}

#[test]
fn one_pair_has_intervals_of_latencies_only() {
    let comparison = compared(&[pair(1, RUST, K6, 1.0)]);
    assert_eq!(
        row(&comparison, "rate", "iterations").verdict,
        FigureVerdict::NotEnoughData
    );
    assert_eq!(
        row(&comparison, "rate", "client.p50").verdict,
        FigureVerdict::Different
    );
    assert!(
        comparison
            .warnings
            .iter()
            .any(|w| w.contains("one pair of runs"))
    );
}

#[test]
fn runs_that_were_not_asked_for_the_same_say_so_loudly() {
    let mut other = pair(1, RUST, K6, 1.0);
    other.b.started.seed = 99;
    other.b.started.time_scale = 0.5;
    let warnings = compared(&[other]).warnings.join("\n");
    assert!(
        warnings.contains("NOT ASKED FOR THE SAME: seed 1 in rep-1-a, 99 in rep-1-b"),
        "{warnings}"
    );
    assert!(
        warnings.contains("NOT ASKED FOR THE SAME: time scale 1 in rep-1-a, 0.5 in rep-1-b"),
        "{warnings}"
    );

    let mut fewer = pair(1, RUST, K6, 1.0);
    fewer.b.plan.scenarios.pop();
    fewer.b.scenarios.pop();
    let comparison = compared(&[fewer]);
    assert!(
        comparison
            .warnings
            .iter()
            .any(|w| w.contains("scenarios vus,rate"))
    );
    assert_eq!(comparison.scenarios.len(), 1);
}

#[test]
fn two_runs_of_one_engine_are_told_apart() {
    let comparison = compared(&[pair(1, RUST, RUST, 1.0)]);
    assert_eq!(comparison.sides.a, "A (rust)");
    assert_eq!(comparison.sides.b, "B (rust)");
}

#[test]
fn a_run_that_failed_is_named_and_everything_is_written() {
    let left_out = LeftOut {
        repetition: 3,
        folder: "rep-3-k6".into(),
        reason: "ended with exit code 1".into(),
    };
    let pairs = three(RUST, K6);
    let comparison = compare(&pairs[..2], vec![left_out.clone()], &Options::default());
    assert!(report::table(&comparison).contains("repetition 3 is left out: rep-3-k6: ended"));

    let folder = tempfile::tempdir().unwrap();
    for comparison in [
        &comparison,
        &compare(&[], vec![left_out], &Options::default()),
    ] {
        let pairs = &pairs[..comparison.pairs.len()];
        let written = report::write(folder.path(), comparison, pairs).unwrap();
        let names: Vec<_> = written
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy())
            .collect();
        assert_eq!(
            names,
            ["comparison.json", "comparison.csv", "comparison.html"]
        );
        let json = std::fs::read_to_string(&written[0]).unwrap();
        let read: Comparison = serde_json::from_str(&json).unwrap();
        assert_eq!(&read, comparison, "numbers come back as they were");
        assert!(
            std::fs::read_to_string(&written[2])
                .unwrap()
                .contains("rep-3-k6")
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_runs_nothing_of_the_runs() {
    let mut pairs = three(RUST, K6);
    pairs[0].a.started.scenario_file = "</script><script>alert(1)</script>".into();
    let page = report::html(&compared(&pairs), &pairs).unwrap();
    assert!(!page.contains("<script>alert"));
    for forbidden in ["<link", "<img", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let data = page.split_once("id=\"figures\">").unwrap().1;
    let data = data.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let read: Comparison = serde_json::from_value(data["comparison"].clone()).unwrap();
    assert_eq!(read, compared(&pairs), "all figures are in the page");
    let curves = data["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 2);
    for of_scenario in curves {
        // Client and target of two sides in three pairs.
        assert_eq!(of_scenario["latencies"].as_array().unwrap().len(), 12);
        assert_eq!(of_scenario["rates"].as_array().unwrap().len(), 6);
    }
}

#[test]
fn what_is_undecided_says_how_many_repetitions_would_settle_it() {
    let mut pairs = three(RUST, RUST);
    // The three pairs differ by more than the tolerance.
    for (pair, jitter) in pairs.iter_mut().zip([1.2, 0.85, 1.0]) {
        let summary = &mut pair.b.summary.scenarios[0];
        summary.requests_per_s *= jitter;
    }
    let comparison = compared(&pairs);
    let name = comparison.scenarios[0].scenario.clone();
    let of = row(&comparison, &name, "requests_per_s");
    assert_eq!(of.verdict, FigureVerdict::NotEnoughData);
    let needed = of.repetitions_to_settle.expect("a number");
    assert!((6..200).contains(&needed), "{needed}");
    let settled = comparison
        .scenarios
        .iter()
        .flat_map(|scenario| &scenario.rows);
    for row in settled.filter(|row| row.verdict != FigureVerdict::NotEnoughData) {
        assert_eq!(row.repetitions_to_settle, None, "{}", row.metric.id);
    }
}

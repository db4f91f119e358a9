//! Hostile and realistic telemetry with known truth: each row gets the right label, source and
//! phase, whatever happened to headers, files and clocks.

mod conditions;
mod foreign;
mod robot_shop;
mod signals;
mod world;

use loadgen_extract::{ExtractReport, audit};
use loadgen_timeline::audit::{DatasetVerdict as Verdict, Level};
use serde_json::json;
use world::{END, MS, SECOND, START, Span, World};

fn level(report: &ExtractReport, id: &str) -> Level {
    let found = report.audit.checks.iter().find(|check| check.id == id);
    found.expect("a check of that name").level
}

fn details(report: &ExtractReport, id: &str) -> String {
    let found = report.audit.checks.iter().find(|check| check.id == id);
    found.expect("a check of that name").details.join("\n")
}

#[test]
fn a_clean_run_is_labelled_by_time_whoever_sent_the_request() {
    let report = World::new().check(|_| ());
    let figures = &report.figures;
    assert_eq!(figures.services["web"].contradicting, 0);
    assert!(figures.services["web"].agreeing > 300);
    assert_eq!(
        figures.windows.iter().map(|w| w.lost_traces).sum::<u64>(),
        0
    );
    assert_eq!(figures.clocks.len(), 3, "{:?}", figures.clocks);
    // Of others, five seconds before and five after the run, four spans each.
    assert_eq!(figures.spans.foreign, 2 * 5 * 4);
}

#[test]
fn headers_that_are_lost_everywhere_cost_no_label() {
    let mut world = World::new();
    world
        .spans
        .iter_mut()
        .for_each(|span| span.attributes.clear());
    let report = world.check(|_| ());
    assert_eq!(level(&report, "header-coverage"), Level::Warning);
}

/// Defaults of the kind that a Collector fills in where there is no header.
fn with_defaults(world: &mut World) {
    for span in &mut world.spans {
        span.attributes = vec![
            ("anomaly.type", json!("none")),
            ("anomaly.label", json!("normal")),
        ];
    }
}

#[test]
fn when_every_service_says_normal_by_default_labels_are_right_and_coverage_is_named() {
    let mut world = World::new();
    with_defaults(&mut world);
    let report = world.check(|_| ());
    assert_eq!(level(&report, "header-coverage"), Level::Warning);
    for service in ["web", "catalogue"] {
        assert!(details(&report, "header-coverage").contains(&format!("{service}: 0.00 %")));
    }
    assert_eq!(report.figures.services["web"].contradicting, 0);

    // With neither timeline nor ledger nothing is known, and nobody is told that all is normal.
    without_timeline(&mut world);
    let report = world.check(|_| ());
    assert_eq!(report.audit.verdict, Verdict::NotUsable);
}

/// Neither timeline nor ledger: nothing is known, and nothing is foreign.
fn without_timeline(world: &mut World) {
    (world.timeline, world.ledger) = (None, None);
    world.expect(|truth| {
        (truth.source, truth.sent_by, truth.foreign) = ("none", "", "");
    });
}

#[test]
fn a_default_never_mixes_with_what_another_span_says() {
    let mut world = World::new();
    with_defaults(&mut world);
    // The catalogue alone captured the header, of what one scenario sent.
    let requests = world.ledger.clone().expect("a ledger");
    let slow: Vec<u128> = requests
        .iter()
        .filter(|r| r.scenario == "slow")
        .map(|r| r.trace)
        .collect();
    for span in world.spans.iter_mut().filter(|s| slow.contains(&s.trace)) {
        if span.service == "catalogue" {
            span.attributes = vec![
                (
                    "http.request.header.x-anomaly-type",
                    json!(["latency_spike"]),
                ),
                (
                    "http.request.header.x-anomaly-root-cause",
                    json!(["slow_query"]),
                ),
            ];
        }
    }
    without_timeline(&mut world);
    for &trace in &slow {
        world.expect_of(trace, |truth| {
            (truth.source, truth.header) = ("header", Some("latency_spike"))
        });
    }
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let (_, rows) = world.extract(folder.path(), inputs, |_| ());
    world.compare(&rows, &order, false);
    let causes = rows.iter().map(|row| &*row["anomaly_root_cause"]);
    assert!(
        causes
            .clone()
            .filter(|cause| *cause == "slow_query")
            .count()
            > 400
    );
    assert!(
        causes
            .clone()
            .all(|cause| ["slow_query", "unknown"].contains(&cause))
    );
}

#[test]
fn headers_that_contradict_change_no_label_and_are_counted() {
    let mut world = World::new();
    let requests = world.ledger.clone().expect("a ledger");
    let own = |trace: u128| requests.iter().any(|r| r.trace == trace);
    for span in world
        .spans
        .iter_mut()
        .filter(|s| s.service == "catalogue" && own(s.trace))
    {
        span.attributes = vec![("http.request.header.x_anomaly_type", json!("error_spike"))];
    }
    let report = world.check(|_| ());
    assert_eq!(level(&report, "header-contradictions"), Level::Warning);
    assert!(report.figures.services["catalogue"].contradicting > 300);
}

#[test]
fn without_a_timeline_a_header_that_names_an_anomaly_is_all_there_is() {
    let mut world = World::new();
    let requests = world.ledger.clone().expect("a ledger");
    without_timeline(&mut world);
    for request in requests {
        // What says `none` may be anything: a header says what a scenario is for, not what was.
        let kind = match request.scenario {
            "slow" => "latency_spike",
            "hung" => "timeout",
            _ => continue,
        };
        world.expect_of(request.trace, |truth| {
            (truth.source, truth.header) = ("header", Some(kind))
        });
    }
    let report = world.check(|_| ());
    assert_eq!(level(&report, "timeline"), Level::Error);
}

#[test]
fn orphans_take_the_label_of_their_trace() {
    let mut world = World::new();
    // The edge exports nothing: neither root nor parent of what is behind it.
    world.spans.retain(|span| span.service != "web");
    // Somebody else's trace begins with its earliest span then, three milliseconds later.
    let report = world.check(|_| ());
    assert_eq!(level(&report, "orphans"), Level::Warning);
    assert!(details(&report, "orphans").contains("catalogue"));
}

#[test]
fn traces_torn_over_files_and_duplicate_spans_stay_together() {
    let mut world = World::new();
    let is_kept = |world: &World, s: &Span| world.truth[&(s.trace, s.id)].foreign.is_empty();
    let copies: Vec<Span> = world.spans.iter().step_by(10).cloned().collect();
    let copied = copies.iter().filter(|s| is_kept(&world, s)).count() as u64;
    world.spans.extend(copies);
    let backwards: Vec<usize> = (0..world.spans.len()).rev().collect();
    let report = world.check_order(1, 5, &backwards, |_| ());
    assert_eq!(report.figures.duplicate_spans, copied);
    assert_eq!(report.figures.traces, {
        let own = world.spans.iter().filter(|s| is_kept(&world, s));
        let traces: std::collections::HashSet<u128> = own.map(|s| s.trace).collect();
        traces.len() as u64
    });
}

pub(crate) fn skewed(by: i64) -> World {
    let mut world = World::new();
    for span in world.spans.iter_mut().filter(|s| s.service == "web") {
        (span.start, span.end) = (span.start + by, span.end + by);
    }
    world
}

#[test]
fn a_clock_of_another_zone_is_told_and_put_right() {
    const ZONE: i64 = 2 * 3600 * SECOND;
    let mut world = World::new();
    for span in &mut world.spans {
        (span.start, span.end) = (span.start + ZONE, span.end + ZONE);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 20, 2, &order);
    let (report, _) = world.extract(folder.path(), inputs.clone(), |_| ());
    let offset = report.figures.time_offset.expect("an offset");
    assert_eq!(offset.shift_ns, Some(-ZONE));
    let (report, found) = world.extract(folder.path(), inputs, |options| {
        options.shift_ns = -ZONE;
        options.output = folder.path().join("shifted");
    });
    world.compare(&found, &order, false);
    assert_eq!(report.figures.time_offset, None);
    assert_eq!(report.figures.shifted_ns, Some(-ZONE));
}

#[test]
fn clocks_that_are_seconds_off_are_found_and_edges_assigned_right_when_corrected() {
    for by in [-3 * SECOND, 3 * SECOND] {
        let world = skewed(by);
        let report = world.check(|options| options.correct_skew = true);
        let web = report
            .figures
            .clocks
            .iter()
            .find(|c| c.service == "web")
            .expect("web's clock");
        assert!(
            (web.ahead_ns - by).abs() <= web.bound_ns && web.bound_ns < 5 * MS,
            "{web:?}"
        );
        for other in report.figures.clocks.iter().filter(|c| c.service != "web") {
            assert!(other.ahead_ns.abs() <= other.bound_ns, "{other:?}");
        }
        assert_eq!(level(&report, "clock-skew"), Level::Info);
    }
}

#[test]
fn without_correction_what_the_ledger_knows_is_right_all_the_same() {
    let mut world = skewed(3 * SECOND);
    // What others sent is looked up by the edge's wrong clock.
    let roots: Vec<(u128, i64)> = world
        .spans
        .iter()
        .filter(|s| s.service == "web" && s.parent == 0)
        .map(|s| (s.trace, s.start))
        .collect();
    for (trace, start) in roots {
        let is_within = (START..=START + END * SECOND).contains(&start);
        world.expect_of(trace, |truth| {
            truth.moment = Some(start);
            truth.foreign = if is_within { "" } else { "outside" };
        });
    }
    let report = world.check(|_| ());
    assert_eq!(level(&report, "clock-skew"), Level::Warning);
    assert!(
        details(&report, "clock-skew").contains("web: +3000."),
        "{}",
        details(&report, "clock-skew")
    );
}

#[test]
fn a_missing_ledger_leaves_the_times_of_the_spans() {
    let mut world = World::new();
    world.ledger = None;
    world.expect(|truth| (truth.source, truth.sent_by) = ("window", ""));
    let report = world.check(|_| ());
    assert_eq!(level(&report, "ledger"), Level::Info);
}

#[test]
fn an_unfinished_timeline_labels_up_to_its_last_event() {
    let mut world = World::new();
    let killed = START + 150 * SECOND;
    let events = world.timeline.as_mut().expect("a timeline");
    events.retain(|event| event["at_ns"].as_i64().is_some_and(|at| at <= killed));
    events.push(json!({"event": "heartbeat", "at_ns": killed, "sent": 0, "completed": 0, "failed": 0, "dropped": 0}));
    world.run.1 = killed;
    let requests = world.ledger.as_mut().expect("a ledger");
    requests.retain(|request| request.sent < killed - SECOND);
    // What was sent after the ledger's last batch says which run it is of.
    let unflushed: Vec<u128> = world
        .spans
        .iter()
        .filter(|s| s.service == "loadgen" && s.start >= killed - SECOND)
        .map(|s| s.trace)
        .collect();
    for trace in unflushed {
        world.expect_of(trace, |truth| {
            (truth.source, truth.sent_by) = ("window", "")
        });
    }
    let others: Vec<(u128, i64)> = world
        .spans
        .iter()
        .filter(|s| s.parent == 0 && s.start > killed && s.service == "web")
        .map(|s| (s.trace, s.start))
        .collect();
    for (trace, _) in others {
        world.expect_of(trace, |truth| truth.foreign = "outside");
    }
    let report = world.check(|_| ());
    assert_eq!(level(&report, "timeline"), Level::Warning);
}

#[test]
fn requests_whose_traces_never_arrived_are_counted_by_window() {
    let mut world = World::new();
    let requests = world.ledger.clone().expect("a ledger");
    let lost: Vec<u128> = requests
        .iter()
        .filter(|r| r.scenario == "hung")
        .step_by(4)
        .map(|r| r.trace)
        .collect();
    world
        .spans
        .retain(|span| !lost.contains(&span.trace) || span.service == "loadgen");
    let report = world.check(|_| ());
    let hung = report
        .figures
        .windows
        .iter()
        .find(|w| w.scenario == "hung")
        .expect("there");
    assert_eq!((hung.lost_traces, hung.requests), (lost.len() as u64, 121));
    assert_eq!(level(&report, "lost-traces"), Level::Warning);
}

#[test]
fn a_header_is_named_as_a_leak() {
    let report = World::new().check(|_| ());
    let leak = |l: &&loadgen_timeline::audit::Leak| {
        l.column == "attributes.http.request.header.x-anomaly-type"
    };
    let found = report.figures.leaks.iter().find(leak).expect("named");
    // It says what a scenario is for, and around each edge that is not what the system was in.
    assert_eq!(
        found.values,
        [(r#"["none"]"#.to_owned(), "none".to_owned())]
    );
    assert!(!found.perfect);
    assert_eq!(report.audit, audit::audit(&report.figures));
}

#[test]
fn only_steady_rows_are_written_on_request_and_the_rest_is_accounted_for() {
    let world = World::new();
    let truths = || world.spans.iter().map(|s| &world.truth[&(s.trace, s.id)]);
    let steady = truths().filter(|t| world.is_steady(t)).count() as u64;
    let foreign = truths().filter(|t| !t.foreign.is_empty()).count() as u64;
    let all = world.spans.len() as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let (report, found) =
        world.extract(folder.path(), inputs, |options| options.steady_only = true);
    let rows = report.figures.spans;
    assert_eq!(
        (rows.read, rows.written, rows.foreign, rows.filtered),
        (all, steady, foreign, all - steady - foreign)
    );
    assert_eq!(found.len() as u64, steady);
    assert!(found.iter().all(|row| row["phase"] == "steady"));
}

#[test]
fn the_truth_of_the_generator_is_not_empty() {
    let world = World::new();
    let count = |of: &dyn Fn(&&World, &world::Truth) -> bool| {
        world.truth.values().filter(|t| of(&&world, t)).count()
    };
    assert!(count(&|w, t| !w.is_steady(t) && t.foreign.is_empty()) > 50);
    assert!(count(&|w, t| w.is_steady(t)) > 500);
    assert!(count(&|_, t| t.foreign == "outside") > 30);
    assert_eq!(world.windows.len(), world::WINDOWS.len());
}

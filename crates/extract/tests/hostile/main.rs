//! Hostile and realistic telemetry with known truth: each span gets the right label, source and
//! phase, whatever happened to headers, files and clocks.

mod world;

use loadgen_extract::{ExtractReport, audit};
use loadgen_timeline::audit::{DatasetVerdict as Verdict, Level};
use proptest::prelude::*;
use serde_json::{Value, json};
use world::{MS, SECOND, START, Span, Truth, WINDOWS, World, phase};

fn level(report: &ExtractReport, id: &str) -> Level {
    let found = report.audit.checks.iter().find(|check| check.id == id);
    found.expect("a check of that name").level
}

fn details(report: &ExtractReport, id: &str) -> String {
    let found = report.audit.checks.iter().find(|check| check.id == id);
    found.expect("a check of that name").details.join("\n")
}

#[test]
fn a_clean_run_is_labelled_by_the_ledger_and_what_others_sent_by_the_window() {
    let report = World::new().check(|_| ());
    let figures = &report.figures;
    assert_eq!(figures.services["web"].contradicting, 0);
    assert!(figures.services["web"].agreeing > 300);
    assert_eq!(
        figures.windows.iter().map(|w| w.lost_traces).sum::<u64>(),
        0
    );
    assert_eq!(figures.clocks.len(), 3, "{:?}", figures.clocks);
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

#[test]
fn when_every_service_says_normal_by_default_labels_are_right_and_coverage_is_named() {
    let mut world = World::new();
    for span in &mut world.spans {
        span.attributes = vec![
            ("anomaly.type", json!("none")),
            ("anomaly.label", json!("normal")),
        ];
    }
    let report = world.check(|_| ());
    assert_eq!(level(&report, "header-coverage"), Level::Warning);
    for service in ["web", "catalogue"] {
        assert!(details(&report, "header-coverage").contains(&format!("{service}: 0.00 %")));
    }
    assert_eq!(report.figures.services["web"].contradicting, 0);
    assert_eq!(report.audit.verdict, Verdict::UsableWithWarnings);

    // With neither timeline nor ledger nothing is known, and nobody is told that all is normal.
    (world.timeline, world.ledger) = (None, None);
    world.expect(|_| true, |_| Truth::unknown("none"));
    let report = world.check(|_| ());
    assert_eq!(report.audit.verdict, Verdict::NotUsable);
}

#[test]
fn headers_that_contradict_change_no_label_and_are_counted() {
    let mut world = World::new();
    for span in world.spans.iter_mut().filter(|s| s.service == "catalogue") {
        span.attributes = vec![("http.request.header.x_anomaly_type", json!("error_spike"))];
    }
    // Where nothing else covers the time a header is believed, and the label says where it is from.
    world.expect(
        |truth| truth.source == "none",
        |_| Truth {
            anomaly_type: "error_spike".into(),
            source: "header",
            phase: "",
        },
    );
    let report = world.check(|_| ());
    assert_eq!(level(&report, "header-contradictions"), Level::Warning);
    assert!(report.figures.services["catalogue"].contradicting > 300);
}

#[test]
fn without_a_timeline_a_header_that_names_an_anomaly_is_all_there_is() {
    let mut world = World::new();
    (world.timeline, world.ledger) = (None, None);
    world.expect(
        |_| true,
        |truth| match (&*truth.anomaly_type, truth.source) {
            ("unknown" | "none", _) | (_, "window") => Truth::unknown("none"),
            (kind, _) => Truth {
                anomaly_type: kind.to_owned(),
                source: "header",
                phase: "",
            },
        },
    );
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
fn traces_torn_over_files_and_late_and_duplicate_spans_stay_together() {
    let mut world = World::new();
    let copies: Vec<Span> = world.spans.iter().step_by(10).cloned().collect();
    let copied = copies.len() as u64;
    world.spans.extend(copies);
    let backwards: Vec<usize> = (0..world.spans.len()).rev().collect();
    let report = world.check_order(1, 5, &backwards, |_| ());
    assert_eq!(report.figures.duplicate_spans, copied);
    assert_eq!(report.figures.traces, {
        let traces: std::collections::HashSet<u128> = world.spans.iter().map(|s| s.trace).collect();
        traces.len() as u64
    });
}

fn skewed(by: i64) -> World {
    let mut world = World::new();
    for span in world.spans.iter_mut().filter(|s| s.service == "web") {
        (span.start, span.end) = (span.start + by, span.end + by);
    }
    world
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
    let by = 3 * SECOND;
    let mut world = skewed(by);
    // What others sent is looked up by the edge's wrong clock.
    let wrong: Vec<(u128, i64)> = world
        .spans
        .iter()
        .filter(|s| s.service == "web" && s.parent == 0)
        .map(|s| (s.trace, s.start))
        .collect();
    for (trace, start) in wrong {
        let window = WINDOWS
            .iter()
            .find(|w| (START + w.3 * SECOND..START + w.4 * SECOND).contains(&start));
        let truth = window.map_or(Truth::unknown("none"), |w| Truth {
            anomaly_type: w.1.into(),
            source: "window",
            phase: phase(start),
        });
        for (_, held) in world.truth.iter_mut().filter(|((t, _), _)| *t == trace) {
            *held = truth.clone();
        }
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
fn where_windows_overlap_the_ledger_decides_and_the_rest_is_ambiguous() {
    let mut world = World::new();
    let events = world.timeline.as_mut().expect("a timeline");
    // Another scenario runs beside all of them.
    let (begin, end) = (START - 100 * SECOND, START + 500 * SECOND);
    events.insert(1, json!({"event": "window_opened", "scenario": "beside", "at_ns": begin, "planned_start_ns": begin, "planned_end_ns": end,
        "anomaly": {"type": "error_spike", "label": "e", "root_cause": "r", "msg": "m", "root_cause_service": null}}));
    events.push(json!({"event": "window_closed", "scenario": "beside", "at_ns": end, "last_completed_ns": null, "sent": 0, "completed": 0, "failed": 0, "dropped": 0}));
    world.expect(
        |truth| truth.source == "window",
        |_| Truth::unknown("ambiguous"),
    );
    let starts: std::collections::HashMap<u128, i64> = world
        .spans
        .iter()
        .filter(|s| s.parent == 0)
        .map(|s| (s.trace, s.start))
        .collect();
    for ((trace, _), truth) in &mut world.truth {
        if truth.source == "none" {
            *truth = Truth {
                anomaly_type: "error_spike".into(),
                source: "window",
                phase: phase(starts[trace]),
            };
        }
    }
    let report = world.check(|_| ());
    assert_eq!(level(&report, "label-sources"), Level::Warning);
    // The window beside has no request of its own in the ledger, but traces by time.
    assert!(
        report
            .figures
            .windows
            .iter()
            .any(|w| w.scenario == "beside" && w.traces > 0)
    );
}

#[test]
fn a_missing_ledger_leaves_the_windows() {
    let mut world = World::new();
    world.ledger = None;
    world.expect(
        |truth| truth.source == "ledger",
        |truth| Truth {
            source: "window",
            ..truth.clone()
        },
    );
    // The requests that were sent after their window had closed are those of the next, or of none.
    for (scenario, last) in [("slow", 60), ("none", 120), ("none", 185)] {
        let sent = START + last * SECOND + 7 * MS;
        let traces: Vec<u128> = world
            .spans
            .iter()
            .filter(|s| s.parent == 0 && s.start == sent)
            .map(|s| s.trace)
            .collect();
        for ((trace, _), truth) in &mut world.truth {
            if traces.contains(trace) {
                *truth = match scenario {
                    "slow" => Truth {
                        anomaly_type: "latency_spike".into(),
                        source: "window",
                        phase: phase(sent),
                    },
                    _ => Truth::unknown("none"),
                };
            }
        }
    }
    // At an edge headers of the window before contradict: that is what they are for.
    world
        .spans
        .iter_mut()
        .for_each(|span| span.attributes.clear());
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
    let killed_requests = world.ledger.as_mut().expect("a ledger");
    killed_requests.retain(|request| request.sent < killed);
    world.spans.retain(|span| span.start < killed);
    let gone = |trace: &u128, spans: &[Span]| !spans.iter().any(|s| s.trace == *trace);
    let spans = world.spans.clone();
    world.truth.retain(|(trace, _), _| !gone(trace, &spans));
    let report = world.check(|_| ());
    assert_eq!(level(&report, "timeline"), Level::Warning);
}

#[test]
fn a_trace_that_a_message_started_follows_its_producer_also_over_several_links() {
    let mut world = World::new();
    // The trace that is sent in the last second of a window, and consumers long after it.
    let sent = START + 110 * SECOND + 7 * MS;
    let producer = world
        .spans
        .iter()
        .find(|s| s.parent == 0 && s.start == sent)
        .expect("a root")
        .clone();
    let truth = world.truth[&(producer.trace, producer.id)].clone();
    for (n, cause) in [(1u128, producer.trace), (2, 1)] {
        let span = Span {
            trace: n,
            id: 77 + n as u64,
            parent: 0,
            start: START + 130 * SECOND,
            end: START + 131 * SECOND,
            link: Some(cause),
            ..producer.clone()
        };
        world.truth.insert((span.trace, span.id), truth.clone());
        world.spans.push(span);
    }
    world.check(|_| ());
}

#[test]
fn links_in_a_circle_end() {
    let mut world = World::new();
    let at = START + 30 * SECOND;
    for (trace, link) in [(1, 2), (2, 1)] {
        let span = Span {
            trace,
            id: 5,
            parent: 0,
            service: "queue",
            kind: 5,
            start: at,
            end: at + MS,
            attributes: Vec::new(),
            link: Some(link),
        };
        let truth = Truth {
            anomaly_type: "none".into(),
            source: "window",
            phase: "steady",
        };
        world.truth.insert((trace, 5), truth);
        world.spans.push(span);
    }
    world.check(|_| ());
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
    assert!(found.perfect);
    assert_eq!(report.audit, audit::audit(&report.figures));
}

#[test]
fn only_steady_rows_are_written_on_request_and_the_rest_is_accounted_for() {
    let mut world = World::new();
    let steady = world
        .spans
        .iter()
        .filter(|s| world.truth[&(s.trace, s.id)].phase == "steady")
        .count() as u64;
    let all = world.spans.len() as u64;
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let report = loadgen_extract::extract(&loadgen_extract::ExtractOptions {
        inputs,
        timeline: Some(folder.path().join("timeline.jsonl")),
        output: folder.path().join("dataset"),
        steady_only: true,
        ..Default::default()
    })
    .expect("extracted");
    let rows = report.figures.spans;
    assert_eq!(
        (rows.read, rows.written, rows.filtered),
        (all, steady, all - steady)
    );
    world.spans.clear();
}

/// Data points of a counter that is reset, and log records of the traces, a line each.
fn points_and_logs(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for second in 0..190i64 {
        let at = START + second * SECOND;
        let start = if second < 100 {
            START
        } else {
            START + 100 * SECOND
        };
        let point = json!({"startTimeUnixNano": start.to_string(), "timeUnixNano": at.to_string(), "asInt": (at - start) / SECOND});
        let sum = json!({"name": "requests", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point]}});
        lines
            .push(json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [sum]}]}]}).to_string());
    }
    for span in world.spans.iter().step_by(5) {
        let record = json!({"timeUnixNano": span.end.to_string(), "traceId": format!("{:032x}", span.trace), "body": {"stringValue": "said"}});
        lines
            .push(json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string());
    }
    lines
}

/// All files of a dataset that have rows, as sorted lines.
fn rows_of(world: &World, spans_a_line: usize, files: usize, order: &[usize]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut inputs = world.write(folder.path(), spans_a_line, files, order);
    // The others in the order that the spans have, dealt to the same number of files.
    let others = points_and_logs(world);
    let mut texts = vec![String::new(); files];
    for (n, at) in order.iter().filter(|&&at| at < others.len()).enumerate() {
        texts[n % files] += &(others[*at].clone() + "\n");
    }
    for (n, text) in texts.iter().enumerate() {
        let path = folder.path().join(format!("others-{n}.jsonl"));
        std::fs::write(&path, text).expect("written");
        inputs.push(path);
    }
    let report = loadgen_extract::extract(&loadgen_extract::ExtractOptions {
        inputs,
        timeline: Some(folder.path().join("timeline.jsonl")),
        output: folder.path().join("dataset"),
        correct_skew: true,
        ..Default::default()
    })
    .expect("extracted");
    let mut rows = Vec::new();
    for file in report
        .files
        .iter()
        .filter(|f| f.path.extension().is_some_and(|e| e == "csv"))
    {
        let text = std::fs::read_to_string(&file.path).expect("UTF-8");
        rows.extend(text.lines().map(str::to_owned));
    }
    rows.sort();
    rows.push(serde_json::to_string(&report.figures.clocks).expect("JSON"));
    rows.push(serde_json::to_string(&report.figures.leaks).expect("JSON"));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_rows_do_not_depend_on_the_order_of_the_input_or_on_how_it_is_split(
        seed: u64,
        spans_a_line in 1usize..40,
        files in 1usize..6,
    ) {
        let world = skewed(-2 * SECOND);
        let order: Vec<usize> = (0..world.spans.len()).collect();
        let mut shuffled = order.clone();
        shuffled.sort_by_cached_key(|&i| (i as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        let expected: Vec<String> = rows_of(&world, 7, 1, &order);
        prop_assert_eq!(rows_of(&world, spans_a_line, files, &shuffled), expected);
    }
}

#[test]
fn the_truth_of_the_generator_is_not_empty() {
    let world = World::new();
    let count = |test: fn(&Truth) -> bool| world.truth.values().filter(|t| test(t)).count();
    assert!(count(|t| t.phase == "transition") > 50);
    assert!(count(|t| t.phase == "steady") > 500);
    assert!(count(|t| t.source == "none") > 30);
    let kinds: Vec<Value> = world::timeline();
    assert_eq!(
        kinds
            .iter()
            .filter(|e| e["event"] == "window_opened")
            .count(),
        WINDOWS.len()
    );
}

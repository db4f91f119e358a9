//! What is not the run's, and what is the run's but comes late: other runs, `loadgen doctor`,
//! heartbeats of drivers, ledgers that are damaged.

use std::collections::HashSet;

use loadgen_timeline::read_ledger;
use serde_json::json;

use super::world::{END, MS, RUN, SECOND, Span, Truth, World, at, join};

/// Adds a trace of somebody else at a time, with an attribute on its edge's span.
fn stranger(world: &mut World, seconds: f64, attribute: (&'static str, serde_json::Value)) -> u128 {
    let trace = world.trace(at(seconds), None);
    let mut spans = world.spans.iter_mut();
    let edge = spans
        .find(|s| s.trace == trace && s.parent == 0)
        .expect("a root");
    edge.attributes.push(attribute);
    trace
}

/// A run within whose time another run and a doctor sent, too.
fn with_strangers() -> (World, u64) {
    let mut world = World::new();
    for n in 0..20 {
        let seconds = 10.4 + 8.0 * f64::from(n);
        let of = stranger(
            &mut world,
            seconds,
            ("baggage.loadgen.run_id", json!("another")),
        );
        world.expect_of(of, |truth| truth.foreign = "other_run");
        // Of a run before runs had names in baggage: its headers tell, as the ledger is whole.
        let header = ("http.request.header.x-anomaly-type", json!(["none"]));
        let of = stranger(&mut world, seconds + 0.1, header);
        world.expect_of(of, |truth| truth.foreign = "other_run");
        let header = (
            "http.request.header.x-anomaly-type",
            json!(["loadgen_doctor"]),
        );
        let of = stranger(&mut world, seconds + 0.2, header);
        world.expect_of(of, |truth| truth.foreign = "doctor");
        // A default is nobody's header: this is background traffic.
        stranger(&mut world, seconds + 0.3, ("anomaly.type", json!("none")));
    }
    // In the run's baggage, but after its end: its own all the same, and labelled by nothing.
    let own = stranger(&mut world, END as f64 + 2.0, ("loadgen.run_id", json!(RUN)));
    world.expect_of(own, |truth| truth.foreign = "");
    (world, 3 * 20 * 4)
}

#[test]
fn rows_of_other_runs_and_of_the_doctor_are_left_out_and_counted_by_kind() {
    let (world, strangers) = with_strangers();
    let report = world.check(|_| ());
    let figures = &report.figures;
    assert_eq!(figures.spans.foreign, strangers + 2 * 5 * 4);
    let of = |kind: &str| {
        figures
            .foreign
            .iter()
            .find(|f| f.kind == kind)
            .expect("a kind")
            .spans
    };
    assert_eq!(
        [of("other_run"), of("doctor"), of("outside")],
        [160, 80, 40]
    );
    assert!(
        report
            .labels
            .iter()
            .all(|label| label.anomaly_type != "loadgen_doctor")
    );
    assert!(
        figures
            .spans_by_type
            .keys()
            .all(|kind| kind != "loadgen_doctor")
    );
}

#[test]
fn foreign_rows_are_kept_as_unknown_on_request() {
    let (world, _) = with_strangers();
    let report = world.check(|options| options.include_foreign = true);
    assert_eq!(report.figures.spans.foreign, 0);
}

#[test]
fn a_timeline_of_schema_1_proves_less_and_labels_as_well() {
    let mut world = World::new();
    let events = world.timeline.as_mut().expect("a timeline");
    events[0]["schema_version"] = json!(1);
    for event in events.iter_mut().filter(|e| e["event"] == "window_opened") {
        // The symptom stood in the place of the label.
        let anomaly = event["anomaly"].as_object_mut().expect("an anomaly");
        anomaly.remove("symptom");
        let symptom = if anomaly["type"] == "none" {
            "normal"
        } else {
            "slow answers"
        };
        anomaly.insert("label".to_owned(), json!(symptom));
    }
    for span in &mut world.spans {
        span.attributes.retain(|(key, _)| *key != "loadgen.run_id");
    }
    let header = ("http.request.header.x-anomaly-type", json!(["timeout"]));
    let other = stranger(&mut world, 30.4, header);
    world.expect_of(other, |truth| truth.foreign = "other_run");
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let (_, rows) = world.extract(folder.path(), inputs, |_| ());
    world.compare(&rows, &order, false);
    join(folder.path());
    for row in rows {
        let symptom = match &*row["anomaly_type"] {
            "latency_spike" | "timeout" => "slow answers",
            _ => "",
        };
        assert_eq!(row["anomaly_symptom"], symptom, "{row:?}");
    }
}

/// A driver's heartbeats, sent in the context of a request long after it, as some drivers do.
fn heartbeats(world: &mut World, trace: u128, count: i64) {
    let of = |s: &&Span| s.trace == trace && s.service == "catalogue";
    let parent = world.spans.iter().find(of).expect("a span").clone();
    let truth = world.truth[&(trace, parent.id)].clone();
    for n in 1..=count {
        let start = parent.end + n * 10 * SECOND;
        let span = Span {
            id: 0xbea7_0000 + n as u64 + parent.id * 1000,
            parent: parent.id,
            kind: 3,
            start,
            end: start + MS,
            attributes: Vec::new(),
            ..parent.clone()
        };
        let late = Truth {
            moment: Some(start),
            source: "window",
            late: true,
            ..truth.clone()
        };
        world.truth.insert((trace, span.id), late);
        world.spans.push(span);
    }
}

#[test]
fn late_spans_are_labelled_by_their_own_time_and_kept_out_of_their_trace() {
    let mut world = World::new();
    let requests = world.ledger.clone().expect("a ledger");
    let own = requests
        .iter()
        .find(|r| r.sent == at(30.007))
        .expect("sent")
        .trace;
    // Beyond the end of the run: of its own trace, so never dropped, and known by nothing.
    heartbeats(&mut world, own, 17);
    let others = world
        .spans
        .iter()
        .find(|s| s.service == "web" && s.start == at(50.25));
    let others = others.expect("sent").trace;
    heartbeats(&mut world, others, 8);
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let (report, rows) = world.extract(folder.path(), inputs, |_| ());
    world.compare(&rows, &order, false);
    join(folder.path());
    let [late] = &report.figures.late_spans[..] else {
        panic!("{:?}", report.figures.late_spans)
    };
    assert_eq!(
        (&*late.service, &*late.name, late.spans),
        ("catalogue", "work", 25)
    );
    let traces = super::world::rows(&report, "trace_labels");
    let trace = |id: u128| {
        let id = format!("{id:032x}");
        traces
            .iter()
            .find(|row| row["trace_id"] == id)
            .expect("a row")
    };
    for (id, late) in [(own, "17"), (others, "8")] {
        let row = trace(id);
        assert_eq!((&*row["late_spans"], &*row["anomaly_type"]), (late, "none"));
        // To the end of the consumer, which is not late: it got a message.
        let duration: i64 = row["duration_ns"].parse().expect("a number");
        assert!((6 * SECOND..7 * SECOND).contains(&duration), "{row:?}");
    }
}

#[test]
fn a_link_excuses_a_late_span_and_moves_no_label() {
    let mut world = World::new();
    let sent = at(110.007);
    let producer = world
        .spans
        .iter()
        .find(|s| s.parent == 0 && s.start == sent)
        .expect("a root")
        .clone();
    let truth = world.truth[&(producer.trace, producer.id)].clone();
    // In a trace of its own it goes by its own time, whatever it is linked to.
    let own_trace = Span {
        trace: 1,
        id: 78,
        parent: 0,
        service: "dispatch",
        start: at(130.0),
        end: at(131.0),
        attributes: Vec::new(),
        link: Some(producer.trace),
        ..producer.clone()
    };
    let by_itself = Truth {
        moment: Some(at(130.0)),
        source: "window",
        sent_by: "",
        ..truth.clone()
    };
    world.truth.insert((1, 78), by_itself);
    // In the trace that it comes from it goes with that, and is no heartbeat.
    let same_trace = Span {
        trace: producer.trace,
        id: 79,
        parent: producer.id,
        ..own_trace.clone()
    };
    world.truth.insert((producer.trace, 79), truth);
    world.spans.extend([own_trace, same_trace]);
    world.check(|_| ());
}

#[test]
fn links_in_a_circle_end() {
    let mut world = World::new();
    for (trace, link) in [(1, 2), (2, 1)] {
        let span = Span {
            trace,
            id: 5,
            parent: 0,
            service: "queue",
            kind: 5,
            start: at(30.0),
            end: at(30.0) + MS,
            attributes: Vec::new(),
            link: Some(link),
        };
        let truth = Truth {
            moment: Some(span.start),
            source: "window",
            sent_by: "",
            late: false,
            foreign: "",
            header: None,
        };
        world.truth.insert((trace, 5), truth);
        world.spans.push(span);
    }
    world.check(|_| ());
}

/// Extracts with a ledger whose bytes were changed after it was written. What it still knows is
/// labelled by it, and the rest by time.
fn with_damaged_ledger(change: impl Fn(&mut Vec<u8>)) -> (usize, loadgen_extract::ExtractReport) {
    let mut world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let path = folder.path().join("ledger.arrows");
    let mut bytes = std::fs::read(&path).expect("there");
    change(&mut bytes);
    std::fs::write(&path, bytes).expect("written");
    let ledger = read_ledger(&path, Some(RUN)).expect("some of it");
    let known: HashSet<u128> = ledger
        .rows()
        .map(|row| u128::from_be_bytes(row.trace_id))
        .collect();
    let requests = world.ledger.clone().expect("a ledger");
    let lost: Vec<u128> = requests
        .iter()
        .map(|r| r.trace)
        .filter(|t| !known.contains(t))
        .collect();
    for &trace in &lost {
        world.expect_of(trace, |truth| {
            (truth.source, truth.sent_by) = ("window", "")
        });
    }
    let (report, rows) = world.extract(folder.path(), inputs, |_| ());
    world.compare(&rows, &order, false);
    assert!(known.len() + lost.len() == requests.len() && !lost.is_empty());
    (lost.len(), report)
}

#[test]
fn damage_in_a_ledger_costs_a_batch_and_no_label() {
    let (lost, report) = with_damaged_ledger(|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    assert_eq!(lost, 50, "a batch");
    let ledger = report.figures.ledger.expect("a ledger");
    assert!(ledger.damage.is_some(), "{ledger:?}");
}

#[test]
fn a_ledger_that_breaks_off_costs_what_was_not_written() {
    let (lost, report) = with_damaged_ledger(|bytes| bytes.truncate(bytes.len() * 2 / 3));
    assert!(lost > 50);
    let ledger = report.figures.ledger.expect("a ledger");
    assert!(ledger.torn, "{ledger:?}");
}

//! What a Collector holds that was there before the run and stays after it, as that of a shop of
//! polyglot services does: an earlier run and one beside it, an edge that exports nothing, probes of
//! the doctor, drivers that send heartbeats in the context of a request.

use serde_json::json;

use super::world::{MS, RUN, SECOND, Span, Truth, World, at, join, rows};

/// Appends all traces of another world, moved in time, as another run's.
fn add_run(world: &mut World, run: &'static str, kind: &'static str, by: i64, number: u128) {
    let other = World::new();
    let (begin, end) = world.run;
    for span in &other.spans {
        let mut span = span.clone();
        span.trace += number << 100;
        span.start += by;
        span.end += by;
        let is_sent = other.truth[&(span.trace - (number << 100), span.id)].source == "ledger";
        for (key, value) in &mut span.attributes {
            match *key {
                "loadgen.run_id" => *value = json!(run),
                _ => *value = json!([kind]),
            }
        }
        let moment = other.truth[&(span.trace - (number << 100), span.id)]
            .moment
            .map(|at| at + by);
        let is_within = moment.is_some_and(|at| (begin..=end).contains(&at));
        let foreign = match (is_sent, is_within) {
            (true, _) => "other_run",
            (false, true) => "",
            (false, false) => "outside",
        };
        let truth = Truth {
            moment,
            source: "window",
            sent_by: "",
            late: false,
            foreign,
            header: None,
        };
        world.truth.insert((span.trace, span.id), truth);
        world.spans.push(span);
    }
}

/// Every ten seconds for minutes, each a child of the span in which its connection was opened.
fn add_heartbeats(world: &mut World, trace: u128) -> u64 {
    let opened = world
        .spans
        .iter()
        .find(|s| s.trace == trace && s.service == "catalogue");
    let opened = opened.expect("a span").clone();
    let sent = world.truth[&(trace, opened.id)].clone();
    for n in 1..=30 {
        let start = opened.start + n * 10 * SECOND;
        let span = Span {
            id: 0x000f_0000_0000_0000 + n as u64,
            parent: opened.id,
            kind: 3,
            start,
            end: start + MS,
            attributes: Vec::new(),
            ..opened.clone()
        };
        let truth = Truth {
            moment: Some(start),
            source: "window",
            late: true,
            ..sent.clone()
        };
        world.truth.insert((trace, span.id), truth);
        world.spans.push(span);
    }
    30
}

#[test]
fn of_a_collector_that_lives_on_a_dataset_has_its_own_run_and_no_other() {
    let mut world = World::new();
    let own = world
        .spans
        .iter()
        .filter(|s| world.truth[&(s.trace, s.id)].source == "ledger")
        .count();
    add_run(&mut world, "earlier", "error_spike", -3600 * SECOND, 1);
    add_run(&mut world, "beside", "slow_payment", 20 * SECOND, 2);
    let requests = world.ledger.clone().expect("a ledger");
    let early = requests
        .iter()
        .find(|r| r.sent == at(5.007))
        .expect("sent")
        .trace;
    let beats = add_heartbeats(&mut world, early);
    // The edge exports nothing: what is behind it has a parent that nobody ever sees.
    let edge: Vec<(u128, u64)> = world
        .spans
        .iter()
        .filter(|s| s.service == "web")
        .map(|s| (s.trace, s.id))
        .collect();
    world.spans.retain(|s| s.service != "web");

    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 20, 2, &order);
    let (report, found) = world.extract(folder.path(), inputs, |_| ());
    world.compare(&found, &order, false);
    join(folder.path());

    let of_ledger = found
        .iter()
        .filter(|row| !row["sent_by"].is_empty())
        .count();
    let of_edge = edge
        .iter()
        .filter(|key| world.truth[key].source == "ledger")
        .count();
    assert_eq!(of_ledger as u64, (own - of_edge) as u64 + beats);
    let late = &report.figures.late_spans;
    assert_eq!(late.iter().map(|l| l.spans).sum::<u64>(), beats);
    // No class of another run, neither as a row nor as a file.
    let kinds = ["error_spike", "slow_payment"];
    assert!(
        found
            .iter()
            .all(|row| !kinds.contains(&&*row["anomaly_type"]))
    );
    for file in &report.files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        assert!(kinds.iter().all(|kind| !name.contains(kind)), "{name}");
    }
    let traces = rows(&report, "trace_labels");
    let id = format!("{early:032x}");
    let trace = traces
        .iter()
        .find(|row| row["trace_id"] == id)
        .expect("a row");
    assert_eq!(trace["late_spans"], beats.to_string());
    assert!(trace["duration_ns"].parse::<i64>().expect("a number") < 7 * SECOND);
    assert_eq!(
        world.timeline.as_ref().expect("a timeline")[0]["run_id"],
        RUN
    );
}

//! A made-up run with known truth: a generator, an edge, two services and a consumer, three windows
//! and two faults. What held at each time is written down as tables, and when each trace was sent
//! as it is made; nothing of it is worked out by what is tested.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen_extract::{ExtractOptions, ExtractReport, extract};
use loadgen_scenario::{PlanOptions, plan_str};
use loadgen_timeline::ledger::LedgerWriter;
use loadgen_timeline::{Event, RequestRecord, TimelineWriter};
use serde_json::{Value, json};

pub(crate) const START: i64 = 1_770_000_000_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MS: i64 = 1_000_000;
pub(crate) const GUARD: i64 = 3 * SECOND;
pub(crate) const RUN: &str = "00112233445566778899aabbccddeeff";

/// Scenario, anomaly type, service of the fault, begin and end in seconds. Between the last two is a
/// gap, as timetables have them.
pub(crate) const WINDOWS: [(&str, &str, &str, i64, i64); 3] = [
    ("calm", "none", "", 0, 60),
    ("slow", "latency_spike", "catalogue", 60, 120),
    ("hung", "timeout", "user", 125, 185),
];

/// The run ends then, in seconds.
pub(crate) const END: i64 = 190;

/// A fault is asked for when its window opens and confirmed half a second later; its clearing is
/// asked for half a second before the window closes and confirmed when it does.
const HALF: i64 = SECOND / 2;

/// Requests take this long: so long before a change is asked for nothing is steady any more.
const REQUEST: i64 = 41 * MS;

/// A time in nanoseconds.
pub(crate) fn at(seconds: f64) -> i64 {
    START + (seconds * 1e9).round() as i64
}

/// What a row should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    /// The moment by which it is labelled, in nanoseconds; none: nothing says one.
    pub(crate) moment: Option<i64>,
    pub(crate) source: &'static str,
    pub(crate) sent_by: &'static str,
    pub(crate) late: bool,
    /// Whose it is, if not the run's.
    pub(crate) foreign: &'static str,
    /// What a header says, where there is no timeline.
    pub(crate) header: Option<&'static str>,
}

/// One span as it goes into a file; times in Unix nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: u128,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) service: &'static str,
    pub(crate) kind: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) link: Option<u128>,
}

/// A request of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    pub(crate) scenario: &'static str,
    pub(crate) sent: i64,
    pub(crate) finished: i64,
}

/// What held from a time to the next entry: seconds, anomaly type, fault state.
pub(crate) type Held = (f64, &'static str, &'static str);

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) spans: Vec<Span>,
    pub(crate) ledger: Option<Vec<Request>>,
    /// Events of the timeline; none: there is no timeline.
    pub(crate) timeline: Option<Vec<Value>>,
    /// By trace and span id.
    pub(crate) truth: HashMap<(u128, u64), Truth>,
    /// In the order of time.
    pub(crate) conditions: Vec<Held>,
    /// Windows that were open, in the order of opening: scenario, from, to, in seconds.
    pub(crate) windows: Vec<(&'static str, f64, f64)>,
    /// Times that are transitions, in nanoseconds, half-open.
    pub(crate) transitions: Vec<(i64, i64)>,
    /// The first and the last moment of the run.
    pub(crate) run: (i64, i64),
}

pub(crate) fn opened(scenario: &str, kind: &str, service: &str, begin: i64, end: i64) -> Value {
    let service = (!service.is_empty()).then_some(service);
    let label = if kind == "none" {
        "normal"
    } else {
        "anomalous"
    };
    json!({"event": "window_opened", "scenario": scenario, "at_ns": begin, "planned_start_ns": begin,
        "planned_end_ns": end, "guard_ns": GUARD,
        "anomaly": {"type": kind, "label": label, "symptom": "seen", "root_cause": format!("of {kind}"),
            "msg": "m", "root_cause_service": service}})
}

pub(crate) fn closed(event: &str, scenario: &str, at_ns: i64) -> Value {
    json!({"event": event, "scenario": scenario, "at_ns": at_ns, "last_completed_ns": null,
        "sent": 0, "completed": 0, "failed": 0, "dropped": 0})
}

/// A change of a scenario's fault.
pub(crate) fn fault(event: &str, scenario: &str, requested: i64, at_ns: i64) -> Value {
    let window = WINDOWS.iter().find(|w| w.0 == scenario).expect("a window");
    json!({"event": event, "scenario": scenario, "driver": "shop", "fault": format!("of {scenario}"),
        "service": window.2, "intensity": 1.0, "requested_ns": requested, "at_ns": at_ns})
}

fn timeline() -> Vec<Value> {
    let mut events = vec![
        json!({"event": "run_started", "schema_version": 2, "run_id": RUN, "at_ns": START, "scenario_file": "f",
        "scenario_sha256": "", "seed": 1, "time_scale": 1.0, "engine": "rust", "target": "t", "loadgen_version": "0"}),
    ];
    for (scenario, kind, service, begin, end) in WINDOWS {
        let (begin, end) = (START + begin * SECOND, START + end * SECOND);
        events.push(opened(scenario, kind, service, begin, end));
        if !service.is_empty() {
            events.push(fault("fault_injected", scenario, begin, begin + HALF));
            events.push(fault("fault_cleared", scenario, end - HALF, end));
        }
        events.push(closed("window_closed", scenario, end));
        events.push(closed("window_drained", scenario, end + SECOND));
    }
    events.push(
        json!({"event": "run_finished", "at_ns": START + END * SECOND, "status": "completed"}),
    );
    events
}

impl World {
    /// Traces of the run, two a second, and one of somebody else each second; headers captured by
    /// the edge.
    pub(crate) fn new() -> Self {
        let mut world = World {
            spans: Vec::new(),
            ledger: Some(Vec::new()),
            timeline: Some(timeline()),
            truth: HashMap::new(),
            conditions: vec![
                (0.0, "none", "none"),
                (60.5, "latency_spike", "confirmed"),
                (120.0, "none", "none"),
                (125.5, "timeout", "confirmed"),
                (185.0, "none", "none"),
            ],
            windows: WINDOWS.map(|w| (w.0, w.3 as f64, w.4 as f64)).to_vec(),
            transitions: Vec::new(),
            run: (START, START + END * SECOND),
        };
        for (_, kind, _, begin, end) in WINDOWS {
            let (begin, end) = (START + begin * SECOND, START + end * SECOND);
            world
                .transitions
                .extend([(begin, begin + GUARD), (end, end + GUARD)]);
            if kind != "none" {
                world.transitions.extend([
                    (begin - REQUEST, begin + HALF + GUARD),
                    (end - HALF - REQUEST, end + 1),
                ]);
            }
        }
        for (scenario, kind, _, begin, end) in WINDOWS {
            // The last one is sent by an iteration that goes on after its window has closed.
            for half in begin * 2..=end * 2 {
                let sent = START + half * SECOND / 2 + 7 * MS;
                world.trace(sent, Some((scenario, kind)));
            }
        }
        for second in -5..END + 5 {
            world.trace(START + second * SECOND + 250 * MS, None);
        }
        world
    }

    /// A trace that begins at a time: client → web → catalogue → consumer, which comes seconds later.
    pub(crate) fn trace(&mut self, at: i64, sender: Option<(&'static str, &'static str)>) -> u128 {
        let trace = (self.spans.len() as u128 + 1) << 64 | 0x00c0_ffee;
        let id = |n: u64| (self.spans.len() as u64 + 1) * 16 + n;
        let ids = [id(1), id(2), id(3), id(4), id(5)];
        let header =
            |(_, kind): (&str, &'static str)| ("http.request.header.x-anomaly-type", json!([kind]));
        let span = |n: usize, parent: u64, service, kind, start: i64, end: i64| Span {
            trace,
            id: ids[n],
            parent,
            service,
            kind,
            start: at + start,
            end: at + end,
            attributes: Vec::new(),
            link: None,
        };
        let mut made = vec![
            span(1, ids[0], "web", 2, MS, 40 * MS),
            span(2, ids[1], "web", 3, 2 * MS, 38 * MS),
            span(3, ids[2], "catalogue", 2, 3 * MS, 37 * MS),
            span(4, ids[3], "dispatch", 5, 6 * SECOND, 6 * SECOND + 10 * MS),
        ];
        made[0].attributes.extend(sender.map(header));
        match sender {
            Some((scenario, _)) => {
                let mut client = span(0, 0, "loadgen", 3, 0, REQUEST);
                client.attributes.push(("loadgen.run_id", json!(RUN)));
                made.push(client);
                let request = Request {
                    trace,
                    span: ids[0],
                    scenario,
                    sent: at,
                    finished: at + REQUEST,
                };
                self.ledger.as_mut().expect("a ledger").push(request);
            }
            // Nobody exports the client of somebody else: the edge is the root.
            None => {
                made[0].parent = 0;
                made[0].start = at;
            }
        }
        let is_own = sender.is_some();
        let truth = Truth {
            moment: Some(at),
            source: if is_own { "ledger" } else { "window" },
            sent_by: sender.map_or("", |s| s.0),
            late: false,
            foreign: if is_own || self.is_within(at) {
                ""
            } else {
                "outside"
            },
            header: None,
        };
        for span in made {
            self.truth.insert((span.trace, span.id), truth.clone());
            self.spans.push(span);
        }
        trace
    }

    fn is_within(&self, at: i64) -> bool {
        (self.run.0..=self.run.1).contains(&at)
    }

    /// Moves the truth of all spans of a trace.
    pub(crate) fn expect(&mut self, change: impl Fn(&mut Truth)) {
        self.truth.values_mut().for_each(change);
    }

    /// The truth of all spans of a trace.
    pub(crate) fn expect_of(&mut self, trace: u128, change: impl Fn(&mut Truth)) {
        let of = self.truth.iter_mut().filter(|((id, _), _)| *id == trace);
        of.for_each(|(_, truth)| change(truth));
    }

    /// The event of a kind and a scenario.
    pub(crate) fn event(&mut self, kind: &str, scenario: &str) -> &mut Value {
        let events = self.timeline.as_mut().expect("a timeline").iter_mut();
        let mut of = events.filter(|e| e["event"] == kind && e["scenario"] == scenario);
        of.next().expect("an event")
    }

    /// Puts an event before the end of the run.
    pub(crate) fn add_event(&mut self, event: Value) {
        let events = self.timeline.as_mut().expect("a timeline");
        let time = event["at_ns"].as_i64();
        let later = events.iter().position(|e| e["at_ns"].as_i64() > time);
        events.insert(later.unwrap_or(events.len()), event);
    }

    /// Takes an event away.
    pub(crate) fn remove_event(&mut self, kind: &str, scenario: &str) {
        let events = self.timeline.as_mut().expect("a timeline");
        events.retain(|e| !(e["event"] == kind && e["scenario"] == scenario));
    }

    /// The cells that a row of this truth should have: anomaly_type, anomaly_label, label_source,
    /// phase, fault_state, scenario, sent_by, late, foreign.
    fn cells(&self, truth: &Truth) -> [String; 9] {
        let moment = truth
            .moment
            .filter(|&at| truth.foreign.is_empty() && self.is_within(at));
        let moment = moment.filter(|_| self.timeline.is_some());
        let seconds = moment.map(|at| (at - START) as f64 / 1e9);
        let held = seconds.and_then(|s| self.conditions.iter().rev().find(|held| held.0 <= s));
        let (kind, state) = match (truth.header, held) {
            (Some(kind), _) => (kind, "none"),
            (_, Some(&(_, kind, state))) => (kind, state),
            _ => ("unknown", "none"),
        };
        let label = match kind {
            "none" => "normal",
            "unknown" => "unknown",
            _ => "anomalous",
        };
        let phase = match moment {
            None => "",
            Some(at) if self.transitions.iter().any(|t| (t.0..t.1).contains(&at)) => "transition",
            Some(_) => "steady",
        };
        let open = seconds.map_or_else(Vec::new, |s| {
            let of = self.windows.iter().filter(|w| w.1 <= s && s < w.2);
            of.map(|w| w.0).collect()
        });
        [
            kind,
            label,
            truth.source,
            phase,
            state,
            &open.join("+"),
            truth.sent_by,
            if truth.late { "true" } else { "false" },
            truth.foreign,
        ]
        .map(str::to_owned)
    }

    /// Whether a row of this truth should be `steady`.
    pub(crate) fn is_steady(&self, truth: &Truth) -> bool {
        self.cells(truth)[3] == "steady"
    }

    /// Says in the events what the ledger has.
    fn count(&self, events: &mut [Value]) {
        for event in events {
            let requests = self.ledger.iter().flatten();
            let sent = requests.filter(|r| event["scenario"] == r.scenario).count();
            if event["event"] == "window_closed" || event["event"] == "window_drained" {
                event["sent"] = sent.into();
                event["completed"] = sent.into();
            }
        }
    }

    /// Writes the spans, so many a line, dealt to so many files, in the order of `order`.
    pub(crate) fn write(
        &self,
        folder: &Path,
        spans_a_line: usize,
        files: usize,
        order: &[usize],
    ) -> Vec<PathBuf> {
        let mut texts = vec![String::new(); files];
        for (n, part) in order.chunks(spans_a_line).enumerate() {
            let resources: Vec<Value> = part.iter().map(|&i| resource(&self.spans[i])).collect();
            let _ = writeln!(texts[n % files], "{}", json!({"resourceSpans": resources}));
        }
        if let Some(events) = &self.timeline {
            let mut events = events.clone();
            self.count(&mut events);
            write_timeline(&folder.join("timeline.jsonl"), &events);
        }
        if let Some(requests) = &self.ledger {
            write_ledger(&folder.join("ledger.arrows"), requests);
        }
        let write = |(n, text): (usize, &String)| {
            let path = folder.join(format!("traces-{n}.jsonl"));
            fs::write(&path, text).expect("written");
            path
        };
        texts.iter().enumerate().map(write).collect()
    }

    /// Extracts and compares each row with the truth.
    pub(crate) fn check(&self, change: impl Fn(&mut ExtractOptions)) -> ExtractReport {
        let order: Vec<usize> = (0..self.spans.len()).collect();
        self.check_order(3, 1, &order, change)
    }

    pub(crate) fn check_order(
        &self,
        spans_a_line: usize,
        files: usize,
        order: &[usize],
        change: impl Fn(&mut ExtractOptions),
    ) -> ExtractReport {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs = self.write(folder.path(), spans_a_line, files, order);
        let (report, rows) = self.extract(folder.path(), inputs, &change);
        let mut options = ExtractOptions::default();
        change(&mut options);
        self.compare(&rows, order, options.include_foreign);
        // It knows neither headers nor the offsets of clocks.
        if self.timeline.is_some() && !options.correct_skew {
            join(folder.path());
        }
        report
    }

    /// Extracts from a folder. Gives the rows of the spans.
    pub(crate) fn extract(
        &self,
        folder: &Path,
        inputs: Vec<PathBuf>,
        change: impl Fn(&mut ExtractOptions),
    ) -> (ExtractReport, Vec<HashMap<String, String>>) {
        let timeline = folder.join("timeline.jsonl");
        let mut options = ExtractOptions {
            inputs,
            timeline: self.timeline.as_ref().map(|_| timeline),
            output: folder.join("dataset"),
            ..ExtractOptions::default()
        };
        change(&mut options);
        let report = extract(&options).expect("extracted");
        let rows = rows(&report, "traces_labeled");
        (report, rows)
    }

    /// Compares rows of spans with the truth.
    pub(crate) fn compare(
        &self,
        rows: &[HashMap<String, String>],
        order: &[usize],
        with_foreign: bool,
    ) {
        let columns = [
            "anomaly_type",
            "anomaly_label",
            "label_source",
            "phase",
            "fault_state",
            "scenario",
            "sent_by",
            "late",
            "foreign",
        ];
        for row in rows {
            let key = (
                u128::from_str_radix(&row["trace_id"], 16).expect("an id"),
                u64::from_str_radix(&row["span_id"], 16).expect("an id"),
            );
            let found = columns.map(|column| row[column].clone());
            assert_eq!(found, self.cells(&self.truth[&key]), "{key:x?}: {row:?}");
        }
        let is_kept = |&&i: &&usize| {
            let span = &self.spans[i];
            with_foreign || self.truth[&(span.trace, span.id)].foreign.is_empty()
        };
        assert_eq!(rows.len(), order.iter().filter(is_kept).count());
    }
}

/// Compares a dataset with an independent join by time, in Python, over the files beside it.
pub(crate) fn join(folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent_join.py");
    let path = |name: &str| folder.join(name);
    let mut command = std::process::Command::new("python3");
    command
        .arg(script)
        .arg("--timeline")
        .arg(path("timeline.jsonl"));
    command.arg("--dataset").arg(path("dataset"));
    if path("ledger.arrows").exists() {
        command.arg("--ledger").arg(path("ledger.arrows"));
    }
    if path("by-hand.jsonl").exists() {
        command.arg("--faults").arg(path("by-hand.jsonl"));
    }
    let files = fs::read_dir(folder).expect("a folder");
    let files = files.map(|file| file.expect("a file").path());
    let is_telemetry = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("traces-") || name.starts_with("others")
    };
    command.arg("--telemetry").args(files.filter(is_telemetry));
    let out = command.output().expect("python3");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        out.status.success(),
        "{}{}",
        text(&out.stdout),
        text(&out.stderr)
    );
}

/// The rows of a table, by column.
pub(crate) fn rows(report: &ExtractReport, table: &str) -> Vec<HashMap<String, String>> {
    let is_it = |f: &&loadgen_extract::WrittenFile| {
        let name = f.path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{table}_2")) && name.ends_with(".csv")
    };
    let file = report.files.iter().find(is_it).expect("such a table");
    let mut csv = csv::Reader::from_path(&file.path).expect("there");
    let rows = csv.deserialize().map(|row| row.expect("a row"));
    rows.collect()
}

fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Array(values) => {
            json!({"arrayValue": {"values": values.iter().map(|v| json!({"stringValue": v})).collect::<Vec<_>>()}})
        }
        text => json!({"stringValue": text}),
    };
    json!({"key": key, "value": value})
}

fn resource(span: &Span) -> Value {
    let attributes: Vec<Value> = span
        .attributes
        .iter()
        .map(|(key, value)| attribute(key, value))
        .collect();
    let mut made = json!({"traceId": format!("{:032x}", span.trace), "spanId": format!("{:016x}", span.id), "kind": span.kind,
        "name": "work", "startTimeUnixNano": span.start.to_string(), "endTimeUnixNano": span.end.to_string(), "attributes": attributes});
    if span.parent != 0 {
        made["parentSpanId"] = json!(format!("{:016x}", span.parent));
    }
    if let Some(link) = span.link {
        made["links"] = json!([{"traceId": format!("{link:032x}"), "spanId": "0000000000000001"}]);
    }
    json!({"resource": {"attributes": [attribute("service.name", &json!(span.service))]}, "scopeSpans": [{"spans": [made]}]})
}

/// As a run writes it: with a checksum at its end, where it has one.
fn write_timeline(path: &Path, events: &[Value]) {
    if events[0]["schema_version"] == 1 {
        let lines: Vec<String> = events.iter().map(Value::to_string).collect();
        fs::write(path, lines.join("\n") + "\n").expect("written");
        return;
    }
    let mut timeline = TimelineWriter::create(path).expect("made");
    for event in events {
        let event: Event = serde_json::from_value(event.clone()).expect("an event");
        timeline.append(&event).expect("written");
    }
}

fn write_ledger(path: &Path, requests: &[Request]) {
    let mut scenarios: Vec<&str> = WINDOWS.iter().map(|window| window.0).collect();
    scenarios.extend(requests.iter().map(|request| request.scenario));
    scenarios.sort_unstable();
    scenarios.dedup();
    let list = scenarios
        .iter()
        .map(|name| format!("  {name}: {{executor: constant-vus, vus: 1, duration: 1s}}\n"));
    let file = format!(
        "version: 1\nflows: {{default: {{steps: [{{path: /}}]}}}}\nscenarios:\n{}",
        list.collect::<String>()
    );
    let plan = plan_str("world.yaml", &file, &PlanOptions::default()).expect("a plan");
    let record = |request: &Request| RequestRecord {
        trace_id: request.trace.to_be_bytes(),
        span_id: request.span.to_be_bytes(),
        scenario: plan
            .scenarios
            .iter()
            .position(|scenario| scenario.name == request.scenario)
            .expect("planned") as u16,
        flow: 0,
        step: 0,
        iteration: 0,
        intended_ns: request.sent,
        sent_ns: request.sent,
        finished_ns: request.finished,
        status: Some(200),
        failure: None,
        path: "/".into(),
    };
    let records: Vec<RequestRecord> = requests.iter().map(record).collect();
    let mut ledger = LedgerWriter::create(path, &plan, RUN).expect("made");
    // As a run does it, not all at once.
    for batch in records.chunks(50) {
        ledger.append(batch).expect("written");
    }
    ledger.finish().expect("written");
}

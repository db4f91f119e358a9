//! A made-up run with known truth: a generator, an edge, two services and a consumer, three windows.
//! What each trace is labelled with is written down when it is made, not worked out afterwards.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen_extract::{ExtractOptions, ExtractReport, extract};
use loadgen_scenario::{PlanOptions, plan_str};
use loadgen_timeline::RequestRecord;
use loadgen_timeline::ledger::LedgerWriter;
use serde_json::{Value, json};

pub(crate) const START: i64 = 1_770_000_000_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MS: i64 = 1_000_000;
const GUARD: i64 = 3 * SECOND;

/// Scenario, anomaly type, service of the fault, begin and end in seconds.
pub(crate) const WINDOWS: [(&str, &str, &str, i64, i64); 3] = [
    ("calm", "none", "", 0, 60),
    ("slow", "latency_spike", "catalogue", 60, 120),
    ("hung", "timeout", "user", 125, 185),
];

/// What a span should be labelled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) anomaly_type: String,
    pub(crate) source: &'static str,
    pub(crate) phase: &'static str,
}

impl Truth {
    pub(crate) fn unknown(source: &'static str) -> Self {
        Self {
            anomaly_type: "unknown".into(),
            source,
            phase: "",
        }
    }
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

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) spans: Vec<Span>,
    pub(crate) ledger: Option<Vec<Request>>,
    /// Events of the timeline; none: there is no timeline.
    pub(crate) timeline: Option<Vec<Value>>,
    /// By trace and span id.
    pub(crate) truth: HashMap<(u128, u64), Truth>,
}

/// The phase of a moment, from how the windows were made: guards of three seconds after each edge, and
/// half a second of injecting.
pub(crate) fn phase(at: i64) -> &'static str {
    for (_, kind, _, begin, end) in WINDOWS {
        for edge in [begin, end].map(|s| START + s * SECOND) {
            if (edge..edge + GUARD).contains(&at) {
                return "transition";
            }
        }
        let clearing = START + end * SECOND - SECOND / 2;
        if kind != "none" && (clearing..=START + end * SECOND).contains(&at) {
            return "transition";
        }
    }
    "steady"
}

pub(crate) fn timeline() -> Vec<Value> {
    let mut events = vec![
        json!({"event": "run_started", "schema_version": 1, "run_id": "r", "at_ns": START, "scenario_file": "f",
        "scenario_sha256": "", "seed": 1, "time_scale": 1.0, "engine": "rust", "target": "t", "loadgen_version": "0"}),
    ];
    for (scenario, kind, service, begin, end) in WINDOWS {
        let (begin, end) = (START + begin * SECOND, START + end * SECOND);
        let service = (!service.is_empty()).then_some(service);
        let counts = json!({"last_completed_ns": null, "sent": 0, "completed": 0, "failed": 0, "dropped": 0});
        let mut event = |event: &str, at: i64, more: Value| {
            let mut line = json!({"event": event, "scenario": scenario, "at_ns": at});
            let fields = more.as_object().expect("fields").clone();
            line.as_object_mut().expect("an object").extend(fields);
            events.push(line);
        };
        event(
            "window_opened",
            begin,
            json!({"planned_start_ns": begin, "planned_end_ns": end, "guard_ns": GUARD,
            "anomaly": {"type": kind, "label": kind, "root_cause": "r", "msg": "m", "root_cause_service": service}}),
        );
        if service.is_some() {
            let fault = |requested: i64| json!({"driver": "shop", "fault": "hang", "service": service, "intensity": 1.0, "requested_ns": requested});
            event("fault_injected", begin + SECOND / 2, fault(begin));
            event("fault_cleared", end, fault(end - SECOND / 2));
        }
        event("window_closed", end, counts.clone());
        event("window_drained", end + SECOND, counts);
    }
    events.push(
        json!({"event": "run_finished", "at_ns": START + 190 * SECOND, "status": "completed"}),
    );
    events
}

impl World {
    /// Traces of the run, two a second, and one of somebody else each second; headers captured by
    /// the edge.
    pub(crate) fn new() -> Self {
        let mut world = World {
            ledger: Some(Vec::new()),
            timeline: Some(timeline()),
            ..World::default()
        };
        for (scenario, kind, _, begin, end) in WINDOWS {
            // The last one is sent by an iteration that goes on after its window has closed.
            for half in begin * 2..=end * 2 {
                let sent = START + half * SECOND / 2 + 7 * MS;
                let truth = Truth {
                    anomaly_type: kind.into(),
                    source: "ledger",
                    phase: phase(sent),
                };
                world.trace(sent, Some((scenario, kind)), truth);
            }
        }
        for second in -5..190 {
            let at = START + second * SECOND + 250 * MS;
            let window = WINDOWS.iter().find(|w| (w.3..w.4).contains(&second));
            let truth = match window {
                Some((_, kind, ..)) => Truth {
                    anomaly_type: (*kind).into(),
                    source: "window",
                    phase: phase(at),
                },
                None => Truth::unknown("none"),
            };
            world.trace(at, None, truth);
        }
        world
    }

    /// A trace that begins at a time: client → web → catalogue → consumer, which comes seconds later.
    fn trace(&mut self, at: i64, sender: Option<(&'static str, &'static str)>, truth: Truth) {
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
                made.push(span(0, 0, "loadgen", 3, 0, 41 * MS));
                let request = Request {
                    trace,
                    span: ids[0],
                    scenario,
                    sent: at,
                    finished: at + 41 * MS,
                };
                self.ledger.as_mut().expect("a ledger").push(request);
            }
            // Nobody exports the client of somebody else: the edge is the root.
            None => {
                made[0].parent = 0;
                made[0].start = at;
            }
        }
        for span in made {
            self.truth.insert((span.trace, span.id), truth.clone());
            self.spans.push(span);
        }
    }

    /// Sets the truth of all spans of the traces that a test holds for.
    pub(crate) fn expect(
        &mut self,
        test: impl Fn(&Truth) -> bool,
        truth: impl Fn(&Truth) -> Truth,
    ) {
        for held in self.truth.values_mut() {
            if test(held) {
                *held = truth(held);
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
            let lines: Vec<String> = events.iter().map(Value::to_string).collect();
            fs::write(folder.join("timeline.jsonl"), lines.join("\n") + "\n").expect("written");
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
        let mut options = ExtractOptions {
            inputs,
            timeline: self
                .timeline
                .as_ref()
                .map(|_| folder.path().join("timeline.jsonl")),
            output: folder.path().join("dataset"),
            ..ExtractOptions::default()
        };
        change(&mut options);
        let report = extract(&options).expect("extracted");
        let mut csv = csv::Reader::from_path(&report.files[0].path).expect("there");
        let header = csv.headers().expect("a header").clone();
        let column = |name: &str| header.iter().position(|h| h == name).expect("a column");
        let [trace, id, kind, source, phase] = [
            "trace_id",
            "span_id",
            "anomaly_type",
            "label_source",
            "phase",
        ]
        .map(column);
        let mut rows = 0;
        for record in csv.records() {
            let record = record.expect("a row");
            let key = (
                u128::from_str_radix(&record[trace], 16).expect("an id"),
                u64::from_str_radix(&record[id], 16).expect("an id"),
            );
            let truth = &self.truth[&key];
            let found = (&record[kind], &record[source], &record[phase]);
            assert_eq!(
                found,
                (&*truth.anomaly_type, truth.source, truth.phase),
                "{key:x?}: {record:?}"
            );
            rows += 1;
        }
        assert_eq!(rows, order.len());
        report
    }
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
    let mut ledger = LedgerWriter::create(path, &plan, "r").expect("made");
    ledger.append(&records).expect("written");
    ledger.finish().expect("written");
}

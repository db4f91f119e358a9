//! The requests of a run, by scenario: latencies, choices, and when they were sent.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt16Type, UInt64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use loadgen_scenario::Plan;
use loadgen_timeline::ledger::read_ledger;
use loadgen_timeline::{Failure, Timeline};

use super::LoadError;
use crate::statistics::Sample;

/// What one scenario sent.
#[derive(Debug, Clone, Default)]
pub struct ScenarioRequests {
    /// The scenario's name.
    pub scenario: String,
    /// Requests that were handed to the network.
    pub sent: u64,
    /// Of these, those that did not go as the flow expects, by kind.
    pub failures: BTreeMap<String, u64>,
    /// From the send to the end of the answer, in ms. Like all samples here without requests that
    /// the engine itself broke off: their length is that of the window.
    pub client_ms: Sample,
    /// From the intended send to the end of the answer, in ms.
    pub intended_ms: Sample,
    /// What the target measured, in ms: server spans whose parent is the request.
    pub server_ms: Sample,
    /// For each request with a server span: from the send to the end of the answer less what the
    /// target measured, in ms. The network, the client's and the server's queues, the generator.
    pub outside_ms: Sample,
    /// Requests with a span of the target in the dataset that bears the scenario's name; none
    /// without a dataset.
    pub labelled: Option<u64>,
    /// Length of the window, in seconds; none: it is not on the timeline.
    pub window_s: Option<f64>,
    /// When requests were sent, in seconds after the window opened.
    pub sent_at_s: Vec<f32>,
    /// What each request was, by iteration and step.
    pub choices: Vec<Choice>,
}

/// What a request was, apart from when it was sent and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// Number of the iteration within its scenario.
    pub iteration: u64,
    /// Position of the step in the flow.
    pub step: u16,
    /// Position of the flow in the plan.
    pub flow: u16,
    /// Hash of path and query as sent.
    pub path: u64,
}

/// The requests of a run on the way to [`ScenarioRequests`].
pub(super) struct Requests {
    pub(super) torn: bool,
    scenarios: Vec<ScenarioRequests>,
    requests: Vec<Request>,
    by_trace: HashMap<u128, u32>,
}

struct Request {
    span_id: u64,
    scenario: u16,
    broken_off: bool,
    labelled: bool,
    latency_ns: i64,
    late_ns: i64,
    /// -1: no server span was found.
    server_ns: i64,
}

pub(super) fn read(path: &Path, plan: &Plan, timeline: &Timeline) -> Result<Requests, LoadError> {
    let ledger = read_ledger(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut requests = Requests {
        torn: ledger.torn,
        scenarios: plan
            .scenarios
            .iter()
            .map(|s| empty(&s.name, timeline))
            .collect(),
        requests: Vec::new(),
        by_trace: HashMap::new(),
    };
    let opened_ns: Vec<Option<i64>> = plan
        .scenarios
        .iter()
        .map(|s| window(timeline, &s.name).map(|w| w.opened_ns))
        .collect();
    for batch in &ledger.batches {
        requests
            .take(batch, plan, &opened_ns)
            .ok_or_else(|| LoadError::Malformed {
                path: path.to_owned(),
                reason: "it has not the columns of a ledger".to_owned(),
            })?;
    }
    Ok(requests)
}

fn window<'t>(timeline: &'t Timeline, scenario: &str) -> Option<&'t loadgen_timeline::Window> {
    timeline.windows.iter().find(|w| w.scenario == scenario)
}

fn empty(scenario: &str, timeline: &Timeline) -> ScenarioRequests {
    ScenarioRequests {
        scenario: scenario.to_owned(),
        window_s: window(timeline, scenario).map(|w| (w.closed_ns - w.opened_ns) as f64 / 1e9),
        ..ScenarioRequests::default()
    }
}

impl Requests {
    /// None: a column is missing or of another type.
    fn take(&mut self, batch: &RecordBatch, plan: &Plan, opened_ns: &[Option<i64>]) -> Option<()> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let times = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let (traces, spans, paths) = (text("trace_id")?, text("span_id")?, text("path")?);
        let iterations = batch
            .column_by_name("iteration")?
            .as_primitive_opt::<UInt64Type>()?;
        let steps = batch
            .column_by_name("step_index")?
            .as_primitive_opt::<UInt16Type>()?;
        let (intended, sent) = (times("intended_ns")?, times("sent_ns")?);
        let finished = times("finished_ns")?;
        let scenarios = Names::of(batch, "scenario")?;
        let flows = Names::of(batch, "flow")?;
        let failures = Names::of(batch, "failure")?;
        let position = |names: &[&str], name: &str| names.iter().position(|n| *n == name);
        let scenario_names: Vec<&str> = plan.scenarios.iter().map(|s| &*s.name).collect();
        let flow_names: Vec<&str> = plan.flows.iter().map(|f| &*f.name).collect();
        for row in 0..batch.num_rows() {
            let Some(index) = scenarios.at(row).and_then(|n| position(&scenario_names, n)) else {
                continue;
            };
            let failure = failures.at(row);
            if failure == Some(Failure::Request.name()) {
                continue;
            }
            let scenario = &mut self.scenarios[index];
            scenario.sent += 1;
            if let Some(kind) = failure {
                *scenario.failures.entry(kind.to_owned()).or_default() += 1;
            }
            if let Some(opened_ns) = opened_ns[index] {
                let after_ns = sent.value(row) - opened_ns;
                scenario.sent_at_s.push((after_ns as f64 / 1e9) as f32);
            }
            let mut hasher = DefaultHasher::new();
            paths.value(row).hash(&mut hasher);
            scenario.choices.push(Choice {
                iteration: iterations.value(row),
                step: steps.value(row),
                flow: flows
                    .at(row)
                    .and_then(|name| position(&flow_names, name))
                    .map_or(u16::MAX, |flow| flow as u16),
                path: hasher.finish(),
            });
            if let Ok(trace) = u128::from_str_radix(traces.value(row), 16) {
                self.by_trace.insert(trace, self.requests.len() as u32);
            }
            self.requests.push(Request {
                span_id: u64::from_str_radix(spans.value(row), 16).unwrap_or(0),
                scenario: index as u16,
                broken_off: failure == Some(Failure::Interrupted.name()),
                labelled: false,
                latency_ns: finished.value(row) - sent.value(row),
                late_ns: sent.value(row) - intended.value(row),
                server_ns: -1,
            });
        }
        Some(())
    }

    /// A span of the target, as the dataset has it.
    pub(super) fn span(&mut self, span: &TargetSpan<'_>) {
        let Ok(trace) = u128::from_str_radix(span.trace_id, 16) else {
            return;
        };
        let Some(&index) = self.by_trace.get(&trace) else {
            return;
        };
        let request = &mut self.requests[index as usize];
        if span.span_id == Some(request.span_id) {
            // The generator's own.
            return;
        }
        let scenario = &self.scenarios[usize::from(request.scenario)].scenario;
        request.labelled |= span.scenario == Some(scenario);
        if span.server && span.parent_span_id == Some(request.span_id) {
            // Where there are several the longest, so that their order does not matter.
            request.server_ns = request.server_ns.max(span.duration_ns.unwrap_or(-1));
        }
    }

    pub(super) fn into_scenarios(self, has_dataset: bool) -> Vec<ScenarioRequests> {
        #[derive(Default)]
        struct Values {
            client: Vec<f64>,
            intended: Vec<f64>,
            server: Vec<f64>,
            outside: Vec<f64>,
            labelled: u64,
        }
        let mut values: Vec<Values> = Vec::new();
        values.resize_with(self.scenarios.len(), Values::default);
        let ms = |ns: i64| ns as f64 / 1e6;
        for request in &self.requests {
            let of = &mut values[usize::from(request.scenario)];
            of.labelled += u64::from(request.labelled);
            if request.broken_off {
                continue;
            }
            of.client.push(ms(request.latency_ns));
            of.intended.push(ms(request.latency_ns + request.late_ns));
            if request.server_ns >= 0 {
                of.server.push(ms(request.server_ns));
                of.outside.push(ms(request.latency_ns - request.server_ns));
            }
        }
        let fill = |(mut scenario, values): (ScenarioRequests, Values)| {
            scenario.client_ms = Sample::new(values.client);
            scenario.intended_ms = Sample::new(values.intended);
            scenario.server_ms = Sample::new(values.server);
            scenario.outside_ms = Sample::new(values.outside);
            scenario.labelled = has_dataset.then_some(values.labelled);
            scenario.choices.sort_unstable();
            scenario
        };
        self.scenarios.into_iter().zip(values).map(fill).collect()
    }
}

/// A row of `traces_labeled`.
pub(super) struct TargetSpan<'r> {
    pub(super) trace_id: &'r str,
    pub(super) span_id: Option<u64>,
    pub(super) parent_span_id: Option<u64>,
    pub(super) server: bool,
    pub(super) duration_ns: Option<i64>,
    pub(super) scenario: Option<&'r str>,
}

/// A dictionary column of names.
struct Names<'b> {
    keys: &'b arrow_array::PrimitiveArray<UInt16Type>,
    values: &'b StringArray,
}

impl<'b> Names<'b> {
    fn of(batch: &'b RecordBatch, column: &str) -> Option<Self> {
        let dictionary = batch
            .column_by_name(column)?
            .as_dictionary_opt::<UInt16Type>()?;
        Some(Self {
            keys: dictionary.keys(),
            values: dictionary.values().as_string_opt::<i32>()?,
        })
    }

    fn at(&self, row: usize) -> Option<&'b str> {
        let key = usize::from(self.keys.is_valid(row).then(|| self.keys.value(row))?);
        (key < self.values.len()).then(|| self.values.value(key))
    }
}

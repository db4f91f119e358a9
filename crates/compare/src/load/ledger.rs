//! The requests of a run, by scenario: latencies, choices, and when they were sent.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use loadgen_scenario::Plan;
use loadgen_timeline::{Failure, LedgerReader, LedgerReport, RequestRow, Timeline};

use super::LoadError;
use crate::statistics::SortedValues;

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
    pub client_ms: SortedValues,
    /// From the intended send to the end of the answer, in ms.
    pub intended_ms: SortedValues,
    /// What the target measured, in ms: server spans whose parent is the request.
    pub server_ms: SortedValues,
    /// For each request with a server span: from the send to the end of the answer less what the
    /// target measured, in ms. The network, the client's and the server's queues, the generator.
    pub outside_ms: SortedValues,
    /// Requests with a span of the target in the dataset that bears the scenario's name; none
    /// without a dataset.
    pub labelled: Option<u64>,
    /// Length of the window, in seconds; none: it is not on the timeline.
    pub window_s: Option<f64>,
    /// When requests were sent, in seconds after the window opened.
    pub sent_at_s: Vec<f32>,
    /// What each request was, by iteration and step.
    pub choices: Vec<RequestChoice>,
}

/// What a request was, apart from when it was sent and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestChoice {
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
    pub(super) report: LedgerReport,
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

pub(super) fn read(
    path: &Path,
    plan: &Plan,
    timeline: &Timeline,
    run_id: &str,
) -> Result<Requests, LoadError> {
    let mut ledger = LedgerReader::open(path, Some(run_id))?;
    let mut requests = Requests {
        report: LedgerReport::default(),
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
    let scenarios: Vec<&str> = plan.scenarios.iter().map(|s| &*s.name).collect();
    let flows: Vec<&str> = plan.flows.iter().map(|f| &*f.name).collect();
    let position = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
    while let Some(batch) = ledger.next_batch().map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })? {
        for row in batch.rows().filter(RequestRow::was_sent) {
            if let Some(scenario) = position(&scenarios, row.scenario) {
                let flow = position(&flows, row.flow);
                requests.take(&row, scenario, flow, opened_ns[scenario]);
            }
        }
    }
    requests.report = ledger.report().clone();
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
    fn take(
        &mut self,
        row: &RequestRow<'_>,
        index: usize,
        flow: Option<usize>,
        opened_ns: Option<i64>,
    ) {
        let scenario = &mut self.scenarios[index];
        scenario.sent += 1;
        if let Some(kind) = row.failure {
            *scenario.failures.entry(kind.to_owned()).or_default() += 1;
        }
        if let Some(opened_ns) = opened_ns {
            let after_ns = row.sent_ns - opened_ns;
            scenario.sent_at_s.push((after_ns as f64 / 1e9) as f32);
        }
        let mut hasher = DefaultHasher::new();
        row.path.hash(&mut hasher);
        scenario.choices.push(RequestChoice {
            iteration: row.iteration,
            step: row.step_index,
            flow: flow.map_or(u16::MAX, |flow| flow as u16),
            path: hasher.finish(),
        });
        let trace_id = u128::from_be_bytes(row.trace_id);
        self.by_trace.insert(trace_id, self.requests.len() as u32);
        self.requests.push(Request {
            span_id: u64::from_be_bytes(row.span_id),
            scenario: index as u16,
            broken_off: row.failure == Some(Failure::Interrupted.name()),
            labelled: false,
            latency_ns: row.finished_ns - row.sent_ns,
            late_ns: row.sent_ns - row.intended_ns,
            server_ns: -1,
        });
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
            scenario.client_ms = SortedValues::new(values.client);
            scenario.intended_ms = SortedValues::new(values.intended);
            scenario.server_ms = SortedValues::new(values.server);
            scenario.outside_ms = SortedValues::new(values.outside);
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

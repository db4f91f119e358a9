//! What is said of a request: where it is, and what was wrong when it was sent.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use loadgen_extract::order::trace_order;
use loadgen_timeline::condition::{Conditions, FaultState, Placed as At, UNKNOWN};
use loadgen_timeline::{RequestRow, Timeline, read_timeline};

use crate::cells::{int, text, texts};
use crate::error::BuildError;
use crate::input::Input;
use crate::place::{Places, TRACES, out_of_order};
use crate::read;
use crate::schema::Placed;

/// What is said of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub(super) place: Placed,
    pub(super) anomaly_type: String,
    pub(super) anomaly_label: String,
    pub(super) root_cause_service: Option<String>,
    pub(super) scenario: Option<String>,
    pub(super) phase: Option<String>,
    pub(super) fault_state: String,
    pub(super) verdict: Option<String>,
}

/// What is said of the requests of a run: by their traces, which were labelled by the moment at which
/// they were sent, or else by the timeline.
pub(super) struct Labels<'r> {
    places: Places<'r>,
    timeline: Timeline,
    conditions: Conditions,
    traces: TraceLabels,
}

/// What is said of each trace, in as little memory as that takes.
#[derive(Default)]
struct TraceLabels {
    /// In the order of traces.
    traces: Vec<u128>,
    /// By trace: the position in `all`.
    said: Vec<u32>,
    all: Vec<Arc<Said>>,
    known: HashMap<Arc<Said>, u32>,
}

impl<'r> Labels<'r> {
    /// Reads the traces and the timeline of a run whose folder is known.
    pub(super) fn read(input: &Input, places: Places<'r>) -> Result<Self, BuildError> {
        let timeline = timeline(input)?;
        let path = input.tables.get(TRACES);
        let traces = path.map(|path| TraceLabels::read(path, places)).transpose();
        Ok(Self {
            places,
            conditions: Conditions::new(&timeline),
            timeline,
            traces: traces?.unwrap_or_default(),
        })
    }

    /// What is said of a request by its trace; none: the table of traces does not have it.
    pub(super) fn by_trace(&self, trace: u128) -> Option<Arc<Said>> {
        let wanted = trace_order(trace);
        let traces = &self.traces;
        let found = traces
            .traces
            .binary_search_by_key(&wanted, |&of| trace_order(of));
        found
            .ok()
            .map(|at| traces.all[traces.said[at] as usize].clone())
    }

    /// Whether the client that sent a request is one that the faults in force are for; none: none of
    /// them is for some clients only.
    pub(super) fn client_exposed(&self, request: &RequestRow<'_>) -> Option<bool> {
        let RequestRow {
            scenario,
            iteration,
            sent_ns,
            ..
        } = *request;
        self.timeline.client_exposed(scenario, iteration, sent_ns)
    }

    /// What is said of a request by the moment at which it was sent, Unix nanoseconds. The phase needs
    /// the telemetry, and the verdict the evidence.
    pub(super) fn by_moment(&self, sent_ns: i64) -> Said {
        let mut said = Said {
            anomaly_type: UNKNOWN.to_owned(),
            anomaly_label: UNKNOWN.to_owned(),
            fault_state: FaultState::None.name().to_owned(),
            ..Said::default()
        };
        if let At::Within {
            condition, stretch, ..
        } = self.conditions.at(sent_ns)
        {
            let condition = &self.conditions.all()[condition];
            let stretch = &self.conditions.stretches()[stretch];
            let windows = stretch.windows.iter();
            let open: Vec<&str> = windows
                .map(|&window| self.timeline.windows[window].scenario.as_str())
                .collect();
            said.anomaly_type = condition.anomaly_type();
            said.anomaly_label = condition.label.name().to_owned();
            said.root_cause_service = condition.root_cause_service();
            said.scenario = (!open.is_empty()).then(|| open.join("+"));
            said.fault_state = stretch.fault_state.name().to_owned();
        }
        said.place = self.places.of_row(said.scenario.as_deref(), Some(sent_ns));
        said
    }
}

/// The timeline of a run, with the faults that were made by hand.
fn timeline(input: &Input) -> Result<Timeline, BuildError> {
    let read = |name: &str| input.run_files.get(name).map(|path| read_timeline(path));
    let mut timeline = read("timeline.jsonl").transpose()?.unwrap_or_default();
    if let Some(by_hand) = read("faults.jsonl").transpose()? {
        timeline.faults.extend(by_hand.faults);
        timeline.faults.sort_by_key(|fault| fault.injected.at_ns);
        timeline.fault_failures.extend(by_hand.fault_failures);
    }
    Ok(timeline)
}

impl TraceLabels {
    fn read(path: &Path, places: Places<'_>) -> Result<Self, BuildError> {
        let columns = [
            "trace_id",
            "start_time_ns",
            "anomaly_type",
            "anomaly_label",
            "root_cause_service",
            "scenario",
            "phase",
            "fault_state",
            "verdict",
        ];
        let mut reader = read::columns(path, &columns)?;
        let mut labels = Self::default();
        while let Some(batch) = read::next(&mut reader, path)? {
            let ids = texts(&batch, "trace_id");
            for row in 0..batch.num_rows() {
                let id = text(ids, row).and_then(|id| u128::from_str_radix(id, 16).ok());
                let Some(trace) = id else { continue };
                let cell = |name: &str| text(texts(&batch, name), row).map(str::to_owned);
                let scenario = cell("scenario");
                let start = int(&batch, "start_time_ns", row);
                let said = Said {
                    place: places.of_row(scenario.as_deref(), start),
                    anomaly_type: cell("anomaly_type").unwrap_or_default(),
                    anomaly_label: cell("anomaly_label").unwrap_or_default(),
                    root_cause_service: cell("root_cause_service"),
                    scenario,
                    phase: cell("phase"),
                    fault_state: cell("fault_state").unwrap_or_default(),
                    verdict: cell("verdict"),
                };
                let last = labels.traces.last().map(|&last| trace_order(last));
                if last.is_some_and(|last| last > trace_order(trace)) {
                    return Err(out_of_order(path));
                }
                labels.push(trace, said);
            }
        }
        Ok(labels)
    }

    fn push(&mut self, trace: u128, said: Said) {
        let number = match self.known.get(&said) {
            Some(&number) => number,
            None => {
                let (number, said) = (self.all.len() as u32, Arc::new(said));
                self.all.push(said.clone());
                self.known.insert(said, number);
                number
            }
        };
        self.traces.push(trace);
        self.said.push(number);
    }
}

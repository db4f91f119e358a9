//! The condition of the system as a function of time, read from the timeline.
//!
//! It changes where a fault's injection and its clearing were confirmed, not at the edges of
//! windows: between the request for a change and its confirmation the earlier condition holds.
//! Only where an anomalous window has no fault event at all do its edges bound what is declared.
//! Design: `docs/design/0054-condition.md`.

use std::collections::BTreeMap;

use loadgen_scenario::plan::Anomaly;

use crate::event::{FaultChanged, FaultFailed, NoticedChange};
pub use crate::label::{Label, NONE, UNKNOWN};
use crate::read::{FaultInterval, Timeline, Window};

/// Stands between the parts of a compound.
const AND: &str = "+";

/// A time span, half-open, in Unix nanoseconds.
pub type TimeSpan = (i64, i64);

/// Position of the condition that is not known in [`Conditions::all`].
pub const UNKNOWN_CONDITION: usize = 0;

/// What backs a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FaultState {
    /// No fault is said to be there.
    None = 0,
    /// A driver, or a person, confirmed the injection.
    Confirmed = 1,
    /// The window says so, and no fault event contradicts or confirms it.
    Declared = 2,
    /// All motions of a fault were gone through, and nothing was injected.
    Sham = 3,
    /// An injection or a clearing failed, or somebody else changed a fault.
    Failed = 4,
    /// A change was confirmed that breaks nothing, such as a new release without bugs.
    Harmless = 5,
}

impl FaultState {
    /// All of them, by number.
    pub const ALL: [FaultState; 6] = [
        FaultState::None,
        FaultState::Confirmed,
        FaultState::Declared,
        FaultState::Sham,
        FaultState::Failed,
        FaultState::Harmless,
    ];

    /// As in the dataset.
    pub fn name(self) -> &'static str {
        match self {
            FaultState::None => "none",
            FaultState::Confirmed => "confirmed",
            FaultState::Declared => "declared",
            FaultState::Sham => "sham",
            FaultState::Failed => "failed",
            FaultState::Harmless => "harmless",
        }
    }
}

/// What was wrong with the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Normal, anomalous, or not known.
    pub label: Label,
    /// Its anomalies by type, root cause and service, each once; empty unless it is anomalous.
    pub anomalies: Vec<Anomaly>,
    /// A sentence for people.
    pub msg: String,
}

impl Condition {
    /// `none`, `unknown`, or the types joined by `+`.
    pub fn anomaly_type(&self) -> String {
        let types = self.types();
        match types.is_empty() {
            true => self.without(NONE),
            false => types.join(AND),
        }
    }

    /// The types of its anomalies, sorted, each once.
    pub fn types(&self) -> Vec<&str> {
        let mut types: Vec<&str> = self.anomalies.iter().map(|a| a.kind.as_str()).collect();
        types.dedup();
        types
    }

    /// `none`, `unknown`, or the root causes joined by `+`, in the order of the types.
    pub fn root_cause(&self) -> String {
        self.joined(|a| Some(&a.root_cause))
            .unwrap_or_else(|| self.without(NONE))
    }

    /// The names of the symptoms joined by `+`; none where no anomaly names one.
    pub fn symptom(&self) -> Option<String> {
        self.joined(|a| a.symptom.as_deref())
    }

    /// The services that the faults are in, joined by `+`; none where no anomaly names one.
    pub fn root_cause_service(&self) -> Option<String> {
        self.joined(|a| a.root_cause_service.as_deref())
    }

    /// The services that the faults are in, in the order of the types.
    pub fn root_cause_services(&self) -> impl Iterator<Item = &str> {
        self.anomalies
            .iter()
            .filter_map(|a| a.root_cause_service.as_deref())
    }

    fn joined<'a>(&'a self, part: impl Fn(&'a Anomaly) -> Option<&'a str>) -> Option<String> {
        let parts: Vec<&str> = self.anomalies.iter().filter_map(part).collect();
        (!parts.is_empty()).then(|| parts.join(AND))
    }

    fn without(&self, anomaly: &str) -> String {
        match self.label {
            Label::Unknown => UNKNOWN.to_owned(),
            _ => anomaly.to_owned(),
        }
    }
}

/// A time during which nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// When it is, Unix nanoseconds.
    pub time: TimeSpan,
    /// Position in [`Conditions::all`].
    pub condition: usize,
    /// What backs it.
    pub fault_state: FaultState,
    /// The windows that are open, by their position in [`Timeline::windows`].
    pub windows: Vec<usize>,
}

/// What is said of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The run did not go on then.
    Outside,
    /// It did.
    Within {
        /// Position in [`Conditions::all`].
        condition: usize,
        /// Position in [`Conditions::stretches`].
        stretch: usize,
        /// Whether the condition is the same over the whole time.
        settled: bool,
    },
}

/// The conditions of a run.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    all: Vec<Condition>,
    stretches: Vec<Stretch>,
}

/// An anomaly, or a time that can't be labelled.
struct Span {
    time: TimeSpan,
    anomaly: Option<Anomaly>,
    state: FaultState,
}

impl Conditions {
    /// Of a timeline.
    pub fn new(timeline: &Timeline) -> Self {
        let Some(run) = run_time(timeline) else {
            return Self::default();
        };
        let normal_msg = timeline.windows.iter().find(|w| w.anomaly.kind == NONE);
        let mut conditions = Self {
            all: vec![
                Condition {
                    label: Label::Unknown,
                    anomalies: Vec::new(),
                    msg: String::new(),
                },
                Condition {
                    label: Label::Normal,
                    anomalies: Vec::new(),
                    msg: normal_msg.map_or_else(String::new, |w| w.anomaly.msg.clone()),
                },
            ],
            stretches: Vec::new(),
        };
        let spans = spans(timeline, run);
        let of_spans = spans.iter().flat_map(|s| [s.time.0, s.time.1]);
        let windows = timeline.windows.iter();
        let mut edges: Vec<i64> = windows
            .flat_map(|w| [w.opened_ns, w.closed_ns])
            .chain(of_spans)
            .filter(|at| (run.0..run.1).contains(at))
            .chain([run.0, run.1])
            .collect();
        edges.sort_unstable();
        edges.dedup();
        for pair in edges.windows(2) {
            conditions.push(timeline, &spans, (pair[0], pair[1]));
        }
        conditions
    }

    fn push(&mut self, timeline: &Timeline, spans: &[Span], time: TimeSpan) {
        let covers = |of: TimeSpan| of.0 <= time.0 && time.1 <= of.1;
        let active = || spans.iter().filter(|s| covers(s.time));
        let has = |state: FaultState| active().any(|s| s.state == state);
        let mut anomalies: BTreeMap<_, &Anomaly> = BTreeMap::new();
        for anomaly in active().filter_map(|s| s.anomaly.as_ref()) {
            let key = (
                &anomaly.kind,
                &anomaly.root_cause,
                &anomaly.root_cause_service,
            );
            anomalies.entry(key).or_insert(anomaly);
        }
        let (condition, fault_state) = if has(FaultState::Failed) {
            (UNKNOWN_CONDITION, FaultState::Failed)
        } else {
            let state = match (has(FaultState::Declared), anomalies.is_empty()) {
                (true, _) => FaultState::Declared,
                (false, false) => FaultState::Confirmed,
                (false, true) if has(FaultState::Harmless) => FaultState::Harmless,
                (false, true) if has(FaultState::Sham) => FaultState::Sham,
                (false, true) => FaultState::None,
            };
            let anomalies = anomalies.into_values().cloned().collect();
            (self.condition(anomalies), state)
        };
        let open = |w: &Window| w.opened_ns <= time.0 && time.1 <= w.closed_ns;
        let windows = timeline.windows.iter().enumerate();
        self.stretches.push(Stretch {
            time,
            condition,
            fault_state,
            windows: windows.filter(|(_, w)| open(w)).map(|(i, _)| i).collect(),
        });
    }

    fn condition(&mut self, anomalies: Vec<Anomaly>) -> usize {
        let same = |c: &Condition| c.label != Label::Unknown && c.anomalies == anomalies;
        self.all.iter().position(same).unwrap_or_else(|| {
            let msgs: Vec<&str> = anomalies.iter().map(|a| a.msg.as_str()).collect();
            self.all.push(Condition {
                label: Label::Anomalous,
                msg: msgs.join("; "),
                anomalies,
            });
            self.all.len() - 1
        })
    }

    /// All conditions that occur, after `unknown` and normal, which are always there.
    pub fn all(&self) -> &[Condition] {
        &self.all
    }

    /// The stretches of the run, one after the other without a gap.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The time of the run; none where the timeline says nothing of it.
    pub fn run(&self) -> Option<TimeSpan> {
        Some((
            self.stretches.first()?.time.0,
            self.stretches.last()?.time.1,
        ))
    }

    /// What is said of a moment, in Unix nanoseconds.
    pub fn at(&self, at_ns: i64) -> Placed {
        let after = self.stretches.partition_point(|s| s.time.0 <= at_ns);
        let Some(stretch) = after.checked_sub(1) else {
            return Placed::Outside;
        };
        let of = &self.stretches[stretch];
        // The run's last moment is still the run's.
        if at_ns >= of.time.1 && !(after == self.stretches.len() && at_ns == of.time.1) {
            return Placed::Outside;
        }
        Placed::Within {
            condition: of.condition,
            stretch,
            settled: true,
        }
    }

    /// What is said of the interval `(start, end]`: the condition with the longest share of it,
    /// the earlier one on a tie; `unknown` where none has half.
    pub fn over(&self, (start, end): TimeSpan) -> Placed {
        if start >= end {
            return self.at(end);
        }
        let first = self.stretches.partition_point(|s| s.time.1 <= start);
        let met = self.stretches.iter().enumerate().skip(first);
        let mut shares: Vec<(usize, i64)> = Vec::new();
        // The stretch with the most of the time, by condition.
        let mut longest: Vec<(usize, i64)> = Vec::new();
        for (index, stretch) in met.take_while(|(_, s)| s.time.0 < end) {
            let of = stretch.time.1.min(end) - stretch.time.0.max(start);
            match shares.iter().position(|(c, _)| *c == stretch.condition) {
                Some(at) => {
                    shares[at].1 += of;
                    if longest[at].1 < of {
                        longest[at] = (index, of);
                    }
                }
                None => {
                    shares.push((stretch.condition, of));
                    longest.push((index, of));
                }
            }
        }
        let within: i64 = shares.iter().map(|(_, of)| of).sum();
        let length = end - start;
        // Of several with the same share the first was met earlier.
        let best = (0..shares.len()).rev().max_by_key(|&at| shares[at].1);
        let Some(best) = best.filter(|_| within.saturating_mul(2) >= length) else {
            return Placed::Outside;
        };
        let (condition, share) = shares[best];
        Placed::Within {
            condition: if share.saturating_mul(2) >= length {
                condition
            } else {
                UNKNOWN_CONDITION
            },
            stretch: longest[best].0,
            settled: shares.len() == 1 && within == length,
        }
    }
}

/// From the start of the run to its end, or to its latest event.
fn run_time(timeline: &Timeline) -> Option<TimeSpan> {
    let opened = timeline.windows.iter().map(|w| w.opened_ns).min();
    let started = timeline.run.as_ref().map(|run| run.at_ns);
    let begin = started.into_iter().chain(opened).min()?;
    let end = timeline.finished.as_ref().map(|f| f.at_ns);
    let end = end.or(timeline.last_ns).unwrap_or(begin);
    Some((begin, end.max(begin + 1)))
}

fn spans(timeline: &Timeline, run: TimeSpan) -> Vec<Span> {
    let mut spans = Vec::new();
    for fault in &timeline.faults {
        let injected = &fault.injected;
        let until = in_force_until(timeline, fault, run);
        spans.push(Span {
            time: (injected.at_ns, until),
            anomaly: injected.breaks().then(|| anomaly_of(timeline, injected)),
            state: match (injected.sham, injected.harmless) {
                (true, _) => FaultState::Sham,
                (false, true) => FaultState::Harmless,
                (false, false) => FaultState::Confirmed,
            },
        });
        if fault.cleared.is_none() && until < run.1 {
            spans.push(failed((until, run.1)));
        }
    }
    for failure in timeline
        .fault_failures
        .iter()
        .filter(|f| f.change == "inject")
    {
        let window = window_of(timeline, &failure.scenario, failure.requested_ns);
        let begin = window.map_or(failure.requested_ns, |w| w.opened_ns);
        let closed = window.map_or(failure.at_ns, |w| w.closed_ns);
        // An injection that was not confirmed may have come into force all the same.
        let clear = timeline
            .stray_clears
            .iter()
            .find(|c| c.identity() == failure.identity() && c.at_ns >= failure.at_ns);
        let given_up = is_given_up(timeline, failure.identity());
        let end = match clear {
            Some(clear) => clear.at_ns,
            None if given_up.is_some() => run.1,
            None => closed,
        };
        spans.push(failed((begin, end.max(closed))));
    }
    spans.extend(noticed(timeline, run));
    for window in timeline.windows.iter().filter(|w| is_declared(timeline, w)) {
        spans.push(Span {
            time: (window.opened_ns, window.closed_ns),
            anomaly: Some(window.anomaly.clone()),
            state: FaultState::Declared,
        });
    }
    spans.retain(|span| span.time.0 < span.time.1);
    spans
}

fn failed(time: TimeSpan) -> Span {
    Span {
        time,
        anomaly: None,
        state: FaultState::Failed,
    }
}

/// The confirmation of the clearing; where that was given up, its request: what came after is not
/// known.
fn in_force_until(timeline: &Timeline, fault: &FaultInterval, run: TimeSpan) -> i64 {
    match (
        &fault.cleared,
        is_given_up(timeline, fault.injected.identity()),
    ) {
        (Some(cleared), _) => cleared.at_ns,
        (None, Some(requested_ns)) => requested_ns,
        (None, None) => run.1,
    }
}

/// When a clearing of a fault was asked for that was given up.
fn is_given_up(timeline: &Timeline, identity: [&str; 4]) -> Option<i64> {
    let mut failures = timeline.fault_failures.iter();
    let is_it = |f: &&FaultFailed| f.change == "clear" && f.identity() == identity;
    failures.find(is_it).map(|f| f.requested_ns)
}

/// Times at which somebody else had changed a fault.
fn noticed(timeline: &Timeline, run: TimeSpan) -> Vec<Span> {
    let mut spans = Vec::new();
    for (index, seen) in timeline.noticed.iter().enumerate() {
        let end = match seen.change {
            NoticedChange::Lost => {
                let of = |f: &&FaultInterval| {
                    let i = &f.injected;
                    i.driver == seen.driver
                        && i.fault == seen.fault
                        && i.service == seen.service
                        && i.at_ns <= seen.at_ns
                        && f.cleared.as_ref().is_none_or(|c| c.at_ns >= seen.since_ns)
                };
                let fault = timeline.faults.iter().rev().find(of);
                fault.map_or(run.1, |f| in_force_until(timeline, f, run))
            }
            NoticedChange::Appeared => {
                let later = timeline.noticed[index..].iter();
                let gone = later.filter(|n| {
                    n.change == NoticedChange::Gone
                        && n.driver == seen.driver
                        && n.fault == seen.fault
                        && n.service == seen.service
                });
                gone.map(|n| n.at_ns).next().unwrap_or(run.1)
            }
            NoticedChange::Gone => continue,
        };
        spans.push(failed((seen.since_ns, end)));
    }
    spans
}

/// Whether a window says that it is anomalous, and no fault event says anything.
fn is_declared(timeline: &Timeline, window: &Window) -> bool {
    let faults = timeline.faults.iter().map(|f| &f.injected.scenario);
    let failures = timeline.fault_failures.iter().map(|f| &f.scenario);
    window.anomaly.kind != NONE && !faults.chain(failures).any(|s| *s == window.scenario)
}

fn window_of<'t>(timeline: &'t Timeline, scenario: &str, at_ns: i64) -> Option<&'t Window> {
    let of = timeline.windows.iter().filter(|w| w.scenario == scenario);
    // Of windows of one name the last that had opened.
    of.max_by_key(|w| (w.opened_ns <= at_ns, w.opened_ns))
}

/// What a fault stands for: the anomaly of its scenario's window, or, where no window has it, one
/// by the fault's own name.
fn anomaly_of(timeline: &Timeline, injected: &FaultChanged) -> Anomaly {
    let window = window_of(timeline, &injected.scenario, injected.at_ns);
    match window.map(|w| &w.anomaly) {
        Some(anomaly) if anomaly.kind != NONE => anomaly.clone(),
        _ => Anomaly {
            kind: injected.fault.clone(),
            label: Label::Anomalous.name().to_owned(),
            symptom: None,
            root_cause: injected.fault.clone(),
            msg: format!("{} in {}", injected.fault, injected.service),
            root_cause_service: Some(injected.service.clone()).filter(|s| !s.is_empty()),
        },
    }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;

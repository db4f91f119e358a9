//! Whether timeline and ledger belong together and are whole: what each says of the run, held
//! against the other and against the plan.
//!
//! A label is as good as the two files that it comes from. Each finding here is one reason why
//! they are less than a full account of the run, with its figures.

use serde::Serialize;

use crate::event::{Engine, RunStatus};
use crate::ledger::{LedgerReport, ScenarioRecords};
use crate::read::{Integrity, Timeline, Window, WindowEnd};

/// A window may open or close this much off the plan, in nanoseconds, …
const WINDOW_OFF_NS: i64 = 250_000_000;
/// … or by this share of its planned length, whichever is more. Less than that is how long a
/// busy machine may take to come to it, and moves no label, since labels go by what happened.
const WINDOW_OFF_SHARE: f64 = 0.05;
/// A window that is shorter than this share of what was planned is hardly the one that was planned.
const WINDOW_SHORT_SHARE: f64 = 0.5;
/// Scripts of k6 see its clock in whole milliseconds.
const K6_CLOCK_NS: i64 = 1_000_000;

/// Something that timeline and ledger, or timeline and plan, do not agree about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inconsistency {
    /// What it is.
    pub kind: InconsistencyKind,
    /// How much it takes away.
    pub severity: Severity,
    /// The scenario that it is about; none: the whole run.
    pub scenario: Option<String>,
    /// A sentence for people, with figures and without a full stop.
    pub message: String,
}

/// What an inconsistency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InconsistencyKind {
    /// The timeline's lines do not have the checksum that its end states.
    TimelineChanged,
    /// Nothing proves that timeline or ledger are as they were written.
    Unproven,
    /// The ledger is of another run.
    OtherRun,
    /// Parts of the ledger are damaged.
    LedgerDamaged,
    /// The ledger breaks off although the run came to its end.
    LedgerTorn,
    /// The ledger has fewer requests than were sent.
    RecordsMissing,
    /// The ledger has more requests than were sent.
    TooManyRecords,
    /// The ledger has requests that were sent outside of their window.
    OutsideWindow,
    /// A window is not where the plan has it.
    WindowOffPlan,
    /// The generator did not run for a while.
    Stalled,
}

/// How much an inconsistency takes away from what labels rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something can't be proven.
    Info,
    /// The run is not quite the one that was planned, and its labels say what it was.
    Warning,
    /// Labels may be wrong, or rows without their request.
    Error,
}

/// Holds timeline, ledger and plan against each other. `ledger` is the report of a reader that has
/// read all of it.
pub fn consistency(timeline: &Timeline, ledger: Option<&LedgerReport>) -> Vec<Inconsistency> {
    let mut checks = Checks {
        timeline,
        found: Vec::new(),
    };
    checks.timeline();
    if let Some(ledger) = ledger {
        checks.ledger(ledger);
    }
    for window in &timeline.windows {
        checks.window(window);
    }
    checks.stalls();
    checks.found
}

struct Checks<'t> {
    timeline: &'t Timeline,
    found: Vec<Inconsistency>,
}

impl Checks<'_> {
    fn add(
        &mut self,
        kind: InconsistencyKind,
        severity: Severity,
        scenario: Option<&str>,
        message: String,
    ) {
        self.found.push(Inconsistency {
            kind,
            severity,
            scenario: scenario.map(str::to_owned),
            message,
        });
    }

    fn timeline(&mut self) {
        use InconsistencyKind::{TimelineChanged, Unproven};
        match self.timeline.integrity {
            Integrity::Verified => {}
            Integrity::Mismatch => self.add(
                TimelineChanged,
                Severity::Error,
                None,
                "the timeline was changed after it was written: its lines do not have the \
                 checksum that its end states"
                    .to_owned(),
            ),
            Integrity::NotStated => {
                let why = match self.timeline.finished {
                    Some(_) => "it is of version 1",
                    None => "it has no end",
                };
                let message = format!(
                    "nothing proves that the timeline is as it was written: it states no checksum, \
                     because {why}"
                );
                self.add(Unproven, Severity::Info, None, message);
            }
        }
    }

    /// Whether the run came to its own end, so that nothing should be missing.
    fn has_ended(&self) -> bool {
        self.timeline
            .finished
            .as_ref()
            .is_some_and(|end| end.status != RunStatus::Failed)
    }

    fn ledger(&mut self, ledger: &LedgerReport) {
        use InconsistencyKind::{LedgerDamaged, LedgerTorn, OtherRun, Unproven};
        let run = self.timeline.run.as_ref().map(|run| run.run_id.clone());
        if let (Some(run), Some(other)) = (&run, &ledger.run_id)
            && run != other
        {
            let message = format!(
                "the ledger is that of another run: it is of {other}, and the timeline of {run}"
            );
            self.add(OtherRun, Severity::Error, None, message);
            // Figures of another run say nothing of this one.
            return;
        }
        if !ledger.is_proven() {
            self.add(
                Unproven,
                Severity::Info,
                None,
                "nothing proves that the ledger is that of this run, and as it was written: it is \
                 of version 1, which has no checksums"
                    .to_owned(),
            );
        }
        if let Some(damage) = ledger.damage.describe() {
            let lost = ledger.lost_rows();
            let message = format!(
                "the ledger is damaged: {damage}; {} requests of it can be relied on, and about \
                 {lost} are lost",
                ledger.rows
            );
            self.add(LedgerDamaged, Severity::Error, None, message);
        }
        if ledger.torn && self.has_ended() {
            let message = format!(
                "the ledger breaks off, with {} bytes that are no whole batch, although the run \
                 came to its end",
                ledger.torn_bytes
            );
            self.add(LedgerTorn, Severity::Error, None, message);
        }
        self.counts(ledger);
        let windows = &self.timeline.windows;
        for window in windows {
            if let Some(records) = ledger.records.get(&window.scenario) {
                self.times(window, *records);
            }
        }
        for (scenario, records) in &ledger.records {
            if !windows.iter().any(|window| window.scenario == *scenario) {
                let message = format!(
                    "the ledger has {} requests of `{scenario}`, of which the timeline has no window",
                    records.records
                );
                self.add(
                    InconsistencyKind::OutsideWindow,
                    Severity::Error,
                    Some(scenario),
                    message,
                );
            }
        }
    }

    /// Numbers of requests, against those of windows and, where these lack, of the last heartbeat.
    fn counts(&mut self, ledger: &LedgerReport) {
        use InconsistencyKind::{RecordsMissing, TooManyRecords};
        // A kill loses what had not been handed over; everything else is there at the end.
        let missing = match self.has_ended() {
            true => Severity::Error,
            false => Severity::Info,
        };
        let windows = &self.timeline.windows;
        for window in windows {
            let found = ledger.records.get(&window.scenario);
            let found = found.map_or(0, |records| records.records);
            let scenario = Some(window.scenario.as_str());
            let Some(totals) = &window.totals else {
                continue;
            };
            let is_final = window.drained_ns.is_some();
            let least = match is_final {
                true => totals.sent,
                false => totals.completed,
            };
            if found < least {
                let message = format!(
                    "{} of {least} requests of `{}` are not in the ledger",
                    least - found,
                    window.scenario
                );
                self.add(RecordsMissing, missing, scenario, message);
            } else if is_final && found > totals.sent {
                let message = format!(
                    "the ledger has {found} requests of `{}`, and {} were sent",
                    window.scenario, totals.sent
                );
                self.add(TooManyRecords, Severity::Error, scenario, message);
            }
        }
        let all_drained = windows.iter().all(|window| window.drained_ns.is_some());
        if let (Some(beat), false) = (self.timeline.last_heartbeat, all_drained)
            && ledger.rows < beat.completed
        {
            let message = format!(
                "{} of {} requests that had ended by the last heartbeat are not in the ledger",
                beat.completed - ledger.rows,
                beat.completed
            );
            self.add(RecordsMissing, missing, None, message);
        }
    }

    /// Requests are sent between the opening of their window and the end of its last iteration.
    fn times(&mut self, window: &Window, records: ScenarioRecords) {
        let grain_ns = match self.timeline.run.as_ref().map(|run| run.engine) {
            Some(Engine::K6) => K6_CLOCK_NS,
            _ => 0,
        };
        let scenario = Some(window.scenario.as_str());
        let early_ns = window.opened_ns - records.first_sent_ns;
        if early_ns > grain_ns {
            let message = format!(
                "requests of `{}` were sent up to {} before its window opened",
                window.scenario,
                seconds(early_ns)
            );
            self.add(
                InconsistencyKind::OutsideWindow,
                Severity::Error,
                scenario,
                message,
            );
        }
        let late_ns = records.last_sent_ns - window.drained_ns.unwrap_or(i64::MAX);
        if window.drained_ns.is_some() && late_ns > grain_ns {
            let message = format!(
                "requests of `{}` were sent up to {} after the last of them had ended by the \
                 timeline",
                window.scenario,
                seconds(late_ns)
            );
            self.add(
                InconsistencyKind::OutsideWindow,
                Severity::Error,
                scenario,
                message,
            );
        }
    }

    /// The window as planned against the window as it was.
    fn window(&mut self, window: &Window) {
        let planned_ns = window.planned_end_ns - window.planned_start_ns;
        if planned_ns <= 0 {
            return;
        }
        let limit_ns = WINDOW_OFF_NS.max((planned_ns as f64 * WINDOW_OFF_SHARE) as i64);
        let mut what = Vec::new();
        let opened_ns = window.opened_ns - window.planned_start_ns;
        if opened_ns.abs() > limit_ns {
            what.push(format!("opened {}", late_or_early(opened_ns)));
        }
        // Cut off by the end of the run, which is told by itself; or done before its time.
        let run_ended_ns = self.timeline.last_ns.unwrap_or(i64::MAX);
        let is_cut = window.end == WindowEnd::LastEvent
            || !self.is_completed() && window.planned_end_ns > run_ended_ns;
        let closed_ns = window.closed_ns - window.planned_end_ns;
        let may_be_early = is_cut || window.may_end_early;
        if closed_ns > limit_ns || closed_ns < -limit_ns && !may_be_early {
            what.push(format!("closed {}", late_or_early(closed_ns)));
        }
        if what.is_empty() {
            return;
        }
        let length_ns = window.closed_ns - window.opened_ns;
        let is_short = (length_ns as f64) < planned_ns as f64 * WINDOW_SHORT_SHARE;
        let severity = match is_short && !may_be_early {
            true => Severity::Error,
            false => Severity::Warning,
        };
        let message = format!(
            "the window of `{}` {} than planned, and lasted {} of {}",
            window.scenario,
            what.join(" and "),
            seconds(length_ns),
            seconds(planned_ns)
        );
        self.add(
            InconsistencyKind::WindowOffPlan,
            severity,
            Some(&window.scenario),
            message,
        );
    }

    fn is_completed(&self) -> bool {
        let end = self.timeline.finished.as_ref();
        end.is_some_and(|end| end.status == RunStatus::Completed)
    }

    fn stalls(&mut self) {
        let zero_ns = self.timeline.run.as_ref().map_or(0, |run| run.at_ns);
        for stall in &self.timeline.stalls {
            let began_ns = stall.at_ns.saturating_sub_unsigned(stall.for_ns);
            // As it was, or as it should have been.
            let during = |window: &&Window| {
                let opened_ns = window.opened_ns.min(window.planned_start_ns);
                let closed_ns = window.closed_ns.max(window.planned_end_ns);
                opened_ns < stall.at_ns && began_ns < closed_ns
            };
            let windows = self.timeline.windows.iter().filter(during);
            let names: Vec<String> = windows.map(|w| format!("`{}`", w.scenario)).collect();
            let during = match names.is_empty() {
                true => String::new(),
                false => format!(" and in {}", names.join(", ")),
            };
            let into = seconds(began_ns - zero_ns);
            let message = format!("{into} into the run{during} {}", stall.describe());
            self.add(InconsistencyKind::Stalled, Severity::Warning, None, message);
        }
    }
}

fn late_or_early(off_ns: i64) -> String {
    match off_ns < 0 {
        true => format!("{} earlier", seconds(-off_ns)),
        false => format!("{} later", seconds(off_ns)),
    }
}

/// For people: `12.3 s`, `4.2 ms`, `7 µs`.
fn seconds(ns: i64) -> String {
    let ns = ns as f64;
    match ns.abs() {
        ..1e6 => format!("{:.0} µs", ns / 1e3),
        ..1e9 => format!("{:.1} ms", ns / 1e6),
        _ => format!("{:.1} s", ns / 1e9),
    }
}

#[cfg(test)]
#[path = "consistency_tests.rs"]
mod tests;

//! What is known of the run before any of its telemetry is looked at, and whose a trace is.

use loadgen_timeline::Timeline;
use loadgen_timeline::condition::{Conditions, Placed, TimeSpan};
use loadgen_timeline::event::Engine;

/// The run, as its timeline and ledger tell it.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) timeline: Timeline,
    pub(crate) conditions: Conditions,
    /// There is a timeline.
    pub(crate) has_timeline: bool,
    /// Every request of the run is in the ledger.
    pub(crate) ledger_is_whole: bool,
    /// Times of other runs: what nobody known sent then is theirs.
    taken: Vec<TimeSpan>,
}

/// Whose telemetry it is, if not the run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Foreign {
    /// Of another run.
    OtherRun = 1,
    /// Of `loadgen doctor`.
    Doctor = 2,
    /// Of nobody known, before or after the run.
    Outside = 3,
}

impl Foreign {
    pub(crate) const ALL: [Foreign; 3] = [Foreign::OtherRun, Foreign::Doctor, Foreign::Outside];

    /// As in the dataset.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Foreign::OtherRun => "other_run",
            Foreign::Doctor => "doctor",
            Foreign::Outside => "outside",
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|f| *f as u8 == number)
    }
}

/// The type that `loadgen doctor` puts into the headers of its requests.
const DOCTOR: &str = "loadgen_doctor";

/// What the spans of a trace say of who sent it.
#[derive(Debug, Default)]
pub(crate) struct Sender<'a> {
    /// The run that it belongs to, by the first span that says so.
    pub(crate) run_id: Option<&'a str>,
    /// A header that names an anomaly type, also `none`, and is no default.
    pub(crate) header: Option<&'a str>,
}

impl Truth {
    pub(crate) fn new(
        timeline: Option<Timeline>,
        ledger_is_whole: bool,
        taken: Vec<TimeSpan>,
    ) -> Self {
        let has_timeline = timeline.is_some();
        let timeline = timeline.unwrap_or_default();
        Self {
            conditions: Conditions::new(&timeline),
            timeline,
            has_timeline,
            ledger_is_whole,
            taken,
        }
    }

    /// Scripts of k6 see a clock of whole milliseconds.
    pub(crate) fn is_k6(&self) -> bool {
        let run = self.timeline.run.as_ref();
        run.is_some_and(|run| run.engine == Engine::K6)
    }

    /// Whose a trace is that the ledger does not have, by what it says and its moment.
    pub(crate) fn foreign(&self, sender: &Sender<'_>, moment_ns: Option<i64>) -> Option<Foreign> {
        if sender.header == Some(DOCTOR) {
            return Some(Foreign::Doctor);
        }
        if !self.has_timeline {
            return None;
        }
        let own = self.timeline.run.as_ref().map(|run| run.run_id.as_str());
        match (sender.run_id, own) {
            (Some(of), Some(own)) if of == own => return None,
            (Some(_), Some(_)) => return Some(Foreign::OtherRun),
            // Before runs had names in baggage only the ledger could tell.
            _ if sender.header.is_some() && self.ledger_is_whole => {
                return Some(Foreign::OtherRun);
            }
            _ => {}
        }
        self.foreign_at(moment_ns)
    }

    /// Whose something of nobody known is, by its moment.
    pub(crate) fn foreign_at(&self, moment_ns: Option<i64>) -> Option<Foreign> {
        if !self.has_timeline {
            return None;
        }
        match moment_ns.map(|at| (at, self.conditions.at(at))) {
            Some((_, Placed::Outside)) | None => Some(Foreign::Outside),
            Some((at, _)) => {
                let is_in = |(begin, end): &TimeSpan| (*begin..=*end).contains(&at);
                self.taken.iter().any(is_in).then_some(Foreign::OtherRun)
            }
        }
    }

    /// Whose a data point is, by the interval `(start, end]` that it speaks of; `end` 0: none.
    pub(crate) fn foreign_over(&self, (start, end): TimeSpan) -> Option<Foreign> {
        if !self.has_timeline {
            return None;
        }
        if end == 0 || self.conditions.over((start, end)) == Placed::Outside {
            return Some(Foreign::Outside);
        }
        if start >= end {
            return self.foreign_at(Some(end));
        }
        let share = |of: &TimeSpan| (of.1.min(end) - of.0.max(start)).max(0);
        let is_mostly_in = |of: &TimeSpan| share(of).saturating_mul(2) >= end - start;
        let is_taken = self.taken.iter().any(is_mostly_in);
        is_taken.then_some(Foreign::OtherRun)
    }
}

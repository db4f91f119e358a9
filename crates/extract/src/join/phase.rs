//! Whether the system was in a settled state at a time, or on its way from one to another.

use loadgen_timeline::Timeline;

/// How settled things were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Not said: the label is unknown.
    None = 0,
    /// The window's state had settled.
    Steady = 1,
    /// Within the guard after a window opened or closed, or while a fault was being injected or
    /// cleared.
    Transition = 2,
    /// A fault is cleared, but the system is not back at its baseline.
    Recovery = 3,
}

impl Phase {
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Phase::None => None,
            Phase::Steady => Some("steady"),
            Phase::Transition => Some("transition"),
            Phase::Recovery => Some("recovery"),
        }
    }

    /// The phase with this number; [`Phase::None`] for numbers of no phase.
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            1 => Phase::Steady,
            2 => Phase::Transition,
            3 => Phase::Recovery,
            _ => Phase::None,
        }
    }
}

/// A time span, half-open, in Unix nanoseconds.
pub(crate) type Interval = (i64, i64);

/// All phases of a run.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    transitions: Vec<Interval>,
    recoveries: Vec<Interval>,
}

impl Phases {
    /// The transitions of a timeline. Recoveries are found in the telemetry, later.
    pub(crate) fn new(timeline: &Timeline) -> Self {
        let mut transitions = Vec::new();
        for window in &timeline.windows {
            let guard = i64::try_from(window.guard_ns).unwrap_or(i64::MAX);
            let after = |edge: i64, guard: i64| (edge, edge.saturating_add(guard));
            transitions.push(after(window.opened_ns, guard));
            // What had begun before the close is in flight after it, at most until all is drained.
            let drained = window.drained_ns.map_or(0, |at| at - window.closed_ns);
            transitions.push(after(window.closed_ns, guard.max(drained)));
        }
        for fault in &timeline.faults {
            for change in [Some(&fault.injected), fault.cleared.as_ref()]
                .into_iter()
                .flatten()
            {
                transitions.push((change.requested_ns, change.at_ns.saturating_add(1)));
            }
        }
        transitions.retain(|(from, to)| from < to);
        Self {
            transitions,
            recoveries: Vec::new(),
        }
    }

    pub(crate) fn set_recoveries(&mut self, recoveries: Vec<Interval>) {
        self.recoveries = recoveries;
    }

    /// The phase at a time.
    pub(crate) fn at(&self, at_ns: i64) -> Phase {
        self.of((at_ns, at_ns.saturating_add(1)))
    }

    /// The phase of an interval: the least settled that it meets.
    pub(crate) fn of(&self, (from, to): Interval) -> Phase {
        let meets = |intervals: &[Interval]| intervals.iter().any(|&(a, b)| from < b && a < to);
        if meets(&self.transitions) {
            Phase::Transition
        } else if meets(&self.recoveries) {
            Phase::Recovery
        } else {
            Phase::Steady
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_timeline::read::parse;

    #[test]
    fn guards_follow_edges_and_a_fault_on_its_way_is_a_transition() {
        let timeline = parse(
            br#"{"event":"window_opened","scenario":"a","anomaly":{"type":"t","label":"l","root_cause":"r","msg":"m"},"planned_start_ns":0,"planned_end_ns":0,"at_ns":100,"guard_ns":5}
{"event":"fault_injected","scenario":"a","driver":"shop","fault":"hang","requested_ns":150,"at_ns":160}
{"event":"window_closed","scenario":"a","at_ns":200,"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}
{"event":"window_drained","scenario":"a","at_ns":220,"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}
"#,
        );
        let mut phases = Phases::new(&timeline);
        phases.set_recoveries(vec![(210, 240)]);
        let expected = [
            (99, Phase::Steady),
            (100, Phase::Transition),
            (104, Phase::Transition),
            (105, Phase::Steady),
            (150, Phase::Transition),
            (160, Phase::Transition),
            (161, Phase::Steady),
            (200, Phase::Transition),
            (219, Phase::Transition),
            (220, Phase::Recovery),
            (240, Phase::Steady),
        ];
        for (at, phase) in expected {
            assert_eq!(phases.at(at), phase, "at {at}");
        }
        assert_eq!(phases.of((110, 151)), Phase::Transition);
        assert_eq!(phases.of((225, 250)), Phase::Recovery);
        assert_eq!(phases.of((110, 150)), Phase::Steady);
    }
}

//! Whether the system was in a settled state at a time, or on its way from one to another.
//!
//! It depends on the time alone, so that slow requests are not the first to be left out.

use crate::condition::{NONE, TimeSpan};
use crate::event::FaultChanged;
use crate::read::{Timeline, Window};

/// How settled things were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Not said: nothing is known of that time.
    None = 0,
    /// The condition had settled, and what was sent then ended in it.
    Steady = 1,
    /// Near a change of the condition or of the load.
    Transition = 2,
    /// A fault is cleared, but the system is not back at its normal.
    Recovery = 3,
}

impl Phase {
    /// All of them, by number.
    pub const ALL: [Phase; 4] = [
        Phase::None,
        Phase::Steady,
        Phase::Transition,
        Phase::Recovery,
    ];

    /// As in the dataset.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Phase::None => None,
            Phase::Steady => Some("steady"),
            Phase::Transition => Some("transition"),
            Phase::Recovery => Some("recovery"),
        }
    }
}

/// All phases of a run.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// In the order of their beginning, without overlap.
    transitions: Vec<TimeSpan>,
    recoveries: Vec<TimeSpan>,
}

impl Phases {
    /// The transitions of a timeline. `p99_ns` is the 99th percentile of the durations of what was
    /// sent in a window, by its position, in nanoseconds: what is sent later than that before a
    /// change is asked for may end under it.
    pub fn new(timeline: &Timeline, p99_ns: impl Fn(usize) -> i64) -> Self {
        let mut transitions = Vec::new();
        let after = |edge: i64, guard: u64| {
            (
                edge,
                edge.saturating_add(i64::try_from(guard).unwrap_or(i64::MAX)),
            )
        };
        for window in &timeline.windows {
            transitions.push(after(window.opened_ns, window.guard_ns));
            transitions.push(after(window.closed_ns, window.guard_ns));
            if window.warm_up {
                transitions.push((window.opened_ns, window.closed_ns));
            }
        }
        // `sent_by` is when the latest of what might still be under way at a change was sent.
        let mut change = |change: &FaultChanged, sent_by: i64, guard: u64| {
            let (requested, at) = (change.requested_ns, change.at_ns.max(change.requested_ns));
            let open = |w: &Window| w.opened_ns < sent_by && sent_by <= w.closed_ns;
            let windows = timeline.windows.iter().enumerate();
            // Of several that are open, such as a fault's within that of the load, the slowest.
            let sent_in = windows
                .filter(|(_, w)| open(w))
                .map(|(index, _)| p99_ns(index));
            transitions.push((requested - sent_in.max().unwrap_or(0), at + 1));
            transitions.push(after(at, guard));
        };
        for fault in &timeline.faults {
            let scenario = &fault.injected.scenario;
            let window = timeline.windows.iter().find(|w| w.scenario == *scenario);
            let guard = window.map_or(0, |w| w.guard_ns);
            // Changes at the edges of a window are asked for a little later than these.
            let at_edge = |edge: i64, requested: i64| match (edge..=after(edge, guard).1)
                .contains(&requested)
            {
                true => edge,
                false => requested,
            };
            let requested = fault.injected.requested_ns;
            let opened = window.map_or(requested, |w| at_edge(w.opened_ns, requested));
            change(&fault.injected, opened, guard);
            if let Some(cleared) = &fault.cleared {
                let requested = cleared.requested_ns;
                let closed = window.map_or(requested, |w| at_edge(w.closed_ns, requested));
                change(cleared, closed, guard);
            }
        }
        Self {
            transitions: merged(transitions),
            recoveries: Vec::new(),
        }
    }

    /// Sets the times in which the system was on its way back, which are found in the telemetry.
    pub fn set_recoveries(&mut self, recoveries: Vec<TimeSpan>) {
        self.recoveries = merged(recoveries);
    }

    /// The phase at a time.
    pub fn at(&self, at_ns: i64) -> Phase {
        self.of((at_ns, at_ns.saturating_add(1)))
    }

    /// The phase of a half-open interval: the least settled that it meets.
    pub fn of(&self, time: TimeSpan) -> Phase {
        if meets(&self.transitions, time) {
            Phase::Transition
        } else if meets(&self.recoveries, time) {
            Phase::Recovery
        } else {
            Phase::Steady
        }
    }

    /// The steady parts of a time.
    pub fn steady_in(&self, time: TimeSpan) -> Vec<TimeSpan> {
        let unsettled = merged([&self.transitions[..], &self.recoveries[..]].concat());
        let mut parts = Vec::new();
        let mut from = time.0;
        for (begin, end) in unsettled.into_iter().chain([(time.1, time.1)]) {
            let until = begin.min(time.1);
            if from < until {
                parts.push((from, until));
            }
            from = from.max(end);
        }
        parts
    }
}

/// Whether the timeline's windows tell normal time from anomalous time at all.
pub fn has_normal(timeline: &Timeline) -> bool {
    let windows = timeline.windows.iter();
    windows
        .filter(|w| !w.warm_up)
        .any(|w| w.anomaly.kind == NONE)
}

fn meets(intervals: &[TimeSpan], (from, to): TimeSpan) -> bool {
    let next = intervals.partition_point(|&(_, end)| end <= from);
    intervals.get(next).is_some_and(|&(begin, _)| begin < to)
}

/// In order and without overlap.
fn merged(mut intervals: Vec<TimeSpan>) -> Vec<TimeSpan> {
    intervals.retain(|(from, to)| from < to);
    intervals.sort_unstable();
    let mut merged: Vec<TimeSpan> = Vec::with_capacity(intervals.len());
    for (from, to) in intervals {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::parse;
    use proptest::prelude::*;

    /// A window from 100 to 200 with a guard of 5, whose fault is confirmed at 110 and cleared at
    /// 203; nothing was asked for later than at 200.
    fn timeline() -> Timeline {
        parse(
            br#"{"event":"window_opened","scenario":"a","anomaly":{"type":"t","label":"anomalous","root_cause":"r","msg":"m"},"planned_start_ns":0,"planned_end_ns":0,"at_ns":100,"guard_ns":5}
{"event":"fault_injected","scenario":"a","driver":"shop","fault":"hang","requested_ns":100,"at_ns":110}
{"event":"window_closed","scenario":"a","at_ns":200,"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}
{"event":"fault_cleared","scenario":"a","driver":"shop","fault":"hang","requested_ns":200,"at_ns":203}
{"event":"window_drained","scenario":"a","at_ns":290,"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}
"#,
        )
    }

    #[test]
    fn a_fault_is_steady_from_its_guard_until_a_long_request_would_meet_its_end() {
        let mut phases = Phases::new(&timeline(), |_| 20);
        phases.set_recoveries(vec![(205, 240)]);
        let expected = [
            (99, Phase::Steady),
            (100, Phase::Transition),
            (110, Phase::Transition),
            (114, Phase::Transition),
            (115, Phase::Steady),
            (179, Phase::Steady),
            (180, Phase::Transition),
            (203, Phase::Transition),
            (207, Phase::Transition),
            // The slowest request of the window ends at 290, which moves nothing.
            (208, Phase::Recovery),
            (240, Phase::Steady),
        ];
        for (at, phase) in expected {
            assert_eq!(phases.at(at), phase, "at {at}");
        }
        assert_eq!(phases.of((150, 181)), Phase::Transition);
        assert_eq!(phases.of((225, 250)), Phase::Recovery);
        assert_eq!(
            phases.steady_in((90, 260)),
            [(90, 100), (115, 180), (240, 260)]
        );
    }

    #[test]
    fn what_is_under_way_at_an_edge_was_sent_before_it() {
        // As `timeline`, with a second window whose fault is asked for before the first is cleared.
        let mut timeline = timeline();
        timeline.faults[0]
            .cleared
            .as_mut()
            .expect("cleared")
            .requested_ns = 202;
        timeline.windows.push(Window {
            scenario: "b".into(),
            opened_ns: 200,
            closed_ns: 300,
            ..timeline.windows[0].clone()
        });
        let mut second = timeline.faults[0].clone();
        second.injected.scenario = "b".into();
        second.injected.requested_ns = 201;
        second.injected.at_ns = 204;
        second.cleared = None;
        timeline.faults.push(second);
        let p99_ns = |window| [20, 90][window];
        let phases = Phases::new(&timeline, p99_ns);
        assert_eq!(phases.steady_in((100, 300)), [(115, 181), (209, 300)]);
    }

    #[test]
    fn where_a_window_only_declares_its_edges_and_guard_count() {
        let mut timeline = timeline();
        timeline.faults.clear();
        let phases = Phases::new(&timeline, |_| 20);
        assert_eq!(
            phases.steady_in((90, 260)),
            [(90, 100), (105, 200), (205, 260)]
        );
    }

    #[test]
    fn a_warm_up_is_a_transition_as_a_whole() {
        let mut timeline = timeline();
        timeline.windows[0].warm_up = true;
        let phases = Phases::new(&timeline, |_| 0);
        assert_eq!(phases.at(150), Phase::Transition);
    }

    proptest! {
        #[test]
        fn steady_parts_are_those_whose_moments_are_steady(
            recoveries in prop::collection::vec((0i64..300, 0i64..50), 0..5),
            from in 0i64..300, length in 0i64..300,
        ) {
            let mut phases = Phases::new(&timeline(), |_| 7);
            phases.set_recoveries(recoveries.into_iter().map(|(at, of)| (at, at + of)).collect());
            let parts = phases.steady_in((from, from + length));
            for at in from..from + length {
                let within = parts.iter().any(|&(a, b)| a <= at && at < b);
                prop_assert_eq!(within, phases.at(at) == Phase::Steady, "at {}", at);
            }
        }
    }
}

//! The labels that there are, and which one a trace or a time gets.

use std::collections::HashMap;
use std::sync::Arc;

use loadgen_timeline::{Timeline, WindowAt};

use super::phase::Interval;
use crate::telemetry::evidence::Evidence;

/// Anomaly type, label and root cause of what is not known: never `normal`.
pub(crate) const UNKNOWN: &str = "unknown";

/// The anomaly type of a baseline.
pub(crate) const NONE: &str = "none";

/// Where a label comes from, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum LabelSource {
    /// The trace is in the request ledger: the scenario that sent it.
    Ledger = 0,
    /// The window that the trace's start, or a thing's own time, lies in.
    Window = 1,
    /// No window covers the time, but a header names an anomaly.
    Header = 2,
    /// Windows, or headers, disagree and nothing decides between them.
    Ambiguous = 3,
    /// Nothing says anything.
    None = 4,
}

impl LabelSource {
    /// All of them, by number.
    pub(crate) const ALL: [LabelSource; 5] = [
        LabelSource::Ledger,
        LabelSource::Window,
        LabelSource::Header,
        LabelSource::Ambiguous,
        LabelSource::None,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            LabelSource::Ledger => "ledger",
            LabelSource::Window => "window",
            LabelSource::Header => "header",
            LabelSource::Ambiguous => "ambiguous",
            LabelSource::None => "none",
        }
    }

    /// The source with this number; [`LabelSource::None`] for numbers of no source.
    pub(crate) fn from_number(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(LabelSource::None)
    }
}

/// What is written beside a span, a data point or a log record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Position in [`Labels::types`].
    pub(crate) kind: usize,
    pub(crate) anomaly_type: Arc<str>,
    pub(crate) anomaly_label: Arc<str>,
    pub(crate) anomaly_root_cause: Arc<str>,
    pub(crate) anomaly_msg: Arc<str>,
    pub(crate) scenario: Option<Arc<str>>,
    pub(crate) root_cause_service: Option<Arc<str>>,
}

/// A label by its position in the table, and where it comes from.
pub(crate) type Decision = (u32, LabelSource);

/// Position of the label of what is not known.
pub(crate) const UNKNOWN_LABEL: u32 = 0;

/// All labels of a run.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) timeline: Timeline,
    table: Vec<Label>,
    types: Vec<Arc<str>>,
    /// Labels that headers gave, by what they said.
    of_headers: HashMap<[String; 3], u32>,
}

impl Labels {
    pub(crate) fn new(timeline: Timeline) -> Self {
        let unknown = Label {
            kind: 0,
            anomaly_type: UNKNOWN.into(),
            anomaly_label: UNKNOWN.into(),
            anomaly_root_cause: UNKNOWN.into(),
            anomaly_msg: "".into(),
            scenario: None,
            root_cause_service: None,
        };
        let mut labels = Self {
            // `unknown` is always there, at position 0.
            table: vec![unknown],
            types: vec![UNKNOWN.into()],
            of_headers: HashMap::new(),
            timeline,
        };
        for index in 0..labels.timeline.windows.len() {
            let window = &labels.timeline.windows[index];
            let anomaly = window.anomaly.clone();
            let scenario: Arc<str> = window.scenario.as_str().into();
            let (kind, anomaly_type) = labels.kind(&anomaly.kind);
            let of_window = Label {
                kind,
                anomaly_type,
                anomaly_label: anomaly.label.as_str().into(),
                anomaly_root_cause: anomaly.root_cause.as_str().into(),
                anomaly_msg: anomaly.msg.as_str().into(),
                scenario: Some(scenario),
                root_cause_service: anomaly.root_cause_service.as_deref().map(Arc::from),
            };
            // Where windows that overlap agree, the label is not one scenario's any more.
            let agreed = Label {
                scenario: None,
                ..of_window.clone()
            };
            labels.table.extend([of_window, agreed]);
        }
        labels
    }

    fn kind(&mut self, anomaly_type: &str) -> (usize, Arc<str>) {
        let known = self.types.iter().position(|t| **t == *anomaly_type);
        let kind = known.unwrap_or_else(|| {
            self.types.push(anomaly_type.into());
            self.types.len() - 1
        });
        (kind, self.types[kind].clone())
    }

    /// The anomaly types that occur: `unknown`, then those of the windows as they opened, then
    /// those of headers.
    pub(crate) fn types(&self) -> &[Arc<str>] {
        &self.types
    }

    /// The label at a position; `unknown` for positions of none.
    pub(crate) fn get(&self, position: u32) -> &Label {
        self.table.get(position as usize).unwrap_or(&self.table[0])
    }

    /// The window that a label is of; none for labels of headers and of windows that agree.
    pub(crate) fn window_of(&self, position: u32) -> Option<usize> {
        let at = (position as usize).checked_sub(1)?;
        (at / 2 < self.timeline.windows.len() && at.is_multiple_of(2)).then_some(at / 2)
    }

    /// The position of a window's label.
    pub(crate) fn position_of(&self, window: usize) -> u32 {
        1 + 2 * window as u32
    }

    /// The label of a request that a scenario sent; none if the timeline lacks its window.
    pub(crate) fn of_scenario(&self, scenario: &str, sent_ns: i64) -> Option<u32> {
        let windows = self.timeline.windows.iter().enumerate();
        let of = windows.filter(|(_, w)| w.scenario == scenario);
        // Of windows of one name the last that had opened.
        let best = of.max_by_key(|(_, w)| (w.opened_ns <= sent_ns, w.opened_ns));
        best.map(|(index, _)| 1 + 2 * index as u32)
    }

    /// The label of a time in Unix nanoseconds; 0 is a time that is not known.
    pub(crate) fn at(&self, at_ns: i64) -> Decision {
        let of = |index: usize| 1 + 2 * index as u32;
        match self.timeline.window_at(at_ns) {
            _ if at_ns == 0 => (UNKNOWN_LABEL, LabelSource::None),
            WindowAt::None => (UNKNOWN_LABEL, LabelSource::None),
            WindowAt::One(index) => (of(index), LabelSource::Window),
            WindowAt::Several(indices) => {
                let anomaly = |index: usize| &self.timeline.windows[index].anomaly;
                match indices.split_first() {
                    Some((&first, others))
                        if others.iter().all(|&i| anomaly(i) == anomaly(first)) =>
                    {
                        (of(first) + 1, LabelSource::Window)
                    }
                    _ => (UNKNOWN_LABEL, LabelSource::Ambiguous),
                }
            }
        }
    }

    /// The label of an interval `(start, end]`: that of its end; and whether the interval lies
    /// in that window as a whole.
    pub(crate) fn of_interval(&self, (start, end): Interval) -> (Decision, bool) {
        // An interval ends in a window also where it ends with it.
        let decision = self.at(if start < end { end - 1 } else { end });
        let holds = |w: &loadgen_timeline::Window| w.opened_ns <= start && end <= w.closed_ns;
        let within = start == end || self.timeline.windows.iter().any(holds);
        (decision, within)
    }

    /// The label that headers give where no window covers the time. Headers that name different
    /// anomalies give none.
    pub(crate) fn of_headers<'e>(&mut self, said: impl Iterator<Item = &'e Evidence>) -> Decision {
        let mut named: Option<&Evidence> = None;
        for evidence in said.filter(|e| e.is_anomaly()) {
            match named {
                Some(held) if held.anomaly_type != evidence.anomaly_type => {
                    return (UNKNOWN_LABEL, LabelSource::Ambiguous);
                }
                // The fullest, whatever the order.
                Some(held) if key(held) >= key(evidence) => {}
                _ => named = Some(evidence),
            }
        }
        let Some(evidence) = named else {
            return (UNKNOWN_LABEL, LabelSource::None);
        };
        let known = self.of_headers.get(&key(evidence)).copied();
        let position = known.unwrap_or_else(|| {
            let (kind, anomaly_type) = self.kind(&evidence.anomaly_type);
            let or_unknown = |text: &str| Arc::from(if text.is_empty() { UNKNOWN } else { text });
            self.table.push(Label {
                kind,
                anomaly_type,
                anomaly_label: or_unknown(&evidence.label),
                anomaly_root_cause: or_unknown(&evidence.root_cause),
                anomaly_msg: evidence.msg.as_str().into(),
                scenario: None,
                root_cause_service: None,
            });
            let position = self.table.len() as u32 - 1;
            self.of_headers.insert(key(evidence), position);
            position
        });
        (position, LabelSource::Header)
    }
}

fn key(evidence: &Evidence) -> [String; 3] {
    [
        &evidence.anomaly_type,
        &evidence.label,
        &evidence.root_cause,
    ]
    .map(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen_timeline::read::parse;

    fn labels() -> Labels {
        labels_of(&[
            ("calm", "none", "s", 100, 200),
            ("slow", "latency_spike", "s", 200, 300),
            ("both", "timeout", "s", 290, 400),
        ])
    }

    /// Windows by scenario, type, root cause service, opening and closing.
    fn labels_of(windows: &[(&str, &str, &str, i64, i64)]) -> Labels {
        let mut text = String::new();
        for (scenario, kind, service, opened, closed) in windows {
            text += &format!(
                r#"{{"event":"window_opened","scenario":"{scenario}","anomaly":{{"type":"{kind}","label":"l","root_cause":"r","msg":"m","root_cause_service":"{service}"}},"planned_start_ns":0,"planned_end_ns":0,"at_ns":{opened}}}
{{"event":"window_closed","scenario":"{scenario}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}
"#
            );
        }
        Labels::new(parse(text.as_bytes()))
    }

    fn scenario(labels: &Labels, decision: Decision) -> Option<&str> {
        labels.get(decision.0).scenario.as_deref()
    }

    #[test]
    fn windows_are_half_open_and_what_is_outside_is_unknown() {
        let labels = labels();
        for (at, expected) in [(100, "calm"), (199, "calm"), (200, "slow")] {
            assert_eq!(scenario(&labels, labels.at(at)), Some(expected));
        }
        for at in [99, 400, 0] {
            assert_eq!(labels.at(at), (UNKNOWN_LABEL, LabelSource::None));
        }
    }

    #[test]
    fn overlapping_windows_that_disagree_are_ambiguous() {
        let of_other_service = labels_of(&[
            ("a", "timeout", "cart", 280, 310),
            ("b", "timeout", "cart", 280, 310),
            ("c", "timeout", "user", 280, 310),
        ]);
        for labels in [labels(), of_other_service] {
            assert_eq!(labels.at(295), (UNKNOWN_LABEL, LabelSource::Ambiguous));
        }
    }

    #[test]
    fn overlapping_windows_that_agree_give_their_label_without_a_scenario() {
        let labels = labels_of(&[
            ("browsing", "none", "s", 100, 200),
            ("buying", "none", "s", 150, 250),
        ]);
        let both = labels.at(150);
        assert_eq!(
            (&*labels.get(both.0).anomaly_type, both.1),
            (NONE, LabelSource::Window)
        );
        assert_eq!(scenario(&labels, both), None);
        assert_eq!(labels.window_of(both.0), None);
        assert_eq!(scenario(&labels, labels.at(149)), Some("browsing"));
        assert_eq!(labels.window_of(labels.at(201).0), Some(1));
    }

    #[test]
    fn the_sender_decides_between_windows_that_overlap() {
        let labels = labels();
        let sent = labels.of_scenario("slow", 295).expect("a window");
        assert_eq!(&*labels.get(sent).anomaly_type, "latency_spike");
        assert_eq!(labels.of_scenario("strange", 295), None);
    }

    #[test]
    fn an_interval_has_the_label_of_its_end_and_straddles_or_not() {
        let labels = labels_of(&[
            ("a", "none", "s", 100, 200),
            ("b", "timeout", "s", 200, 300),
        ]);
        let (decision, within) = labels.of_interval((150, 200));
        assert_eq!((scenario(&labels, decision), within), (Some("a"), true));
        let (decision, within) = labels.of_interval((150, 201));
        assert_eq!((scenario(&labels, decision), within), (Some("b"), false));
        assert_eq!(labels.of_interval((200, 200)).0, labels.at(200));
    }

    #[test]
    fn headers_label_what_no_window_covers_unless_they_disagree() {
        let mut labels = labels();
        let said = |anomaly_type: &str| Evidence {
            anomaly_type: anomaly_type.into(),
            label: String::new(),
            root_cause: "r".into(),
            msg: String::new(),
            is_default: false,
        };
        let (timeout, none, other) = (said("timeout"), said("none"), said("../etc"));
        let decision = labels.of_headers([&none, &timeout].into_iter());
        assert_eq!(decision.1, LabelSource::Header);
        assert_eq!(&*labels.get(decision.0).anomaly_type, "timeout");
        assert_eq!(&*labels.get(decision.0).anomaly_label, UNKNOWN);
        assert_eq!(labels.of_headers([&timeout].into_iter()), decision);
        assert_eq!(labels.of_headers([&none].into_iter()).1, LabelSource::None);
        let ambiguous = labels.of_headers([&other, &timeout].into_iter());
        assert_eq!(ambiguous, (UNKNOWN_LABEL, LabelSource::Ambiguous));
    }
}

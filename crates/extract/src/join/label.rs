//! The label of a time, by the windows of the timeline.

use std::sync::Arc;

use loadgen_timeline::{Timeline, WindowAt};

use super::trace_start::TraceStarts;
use crate::telemetry::scalar::TraceId;

/// Anomaly type, label and root cause of what lies in no window: never `normal`.
pub(crate) const UNKNOWN: &str = "unknown";

/// The anomaly type of a baseline.
pub(crate) const NONE: &str = "none";

/// Where a label comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LabelSource {
    /// The window that the time lies in: of a span its trace's start, of a metric or a log record
    /// without a known trace its own time.
    Window,
    /// Of a log record: the label of its trace.
    Trace,
    /// Windows overlap at the time and disagree; nothing decides between them.
    Ambiguous,
    /// No window.
    None,
}

impl LabelSource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            LabelSource::Window => "window",
            LabelSource::Trace => "trace",
            LabelSource::Ambiguous => "ambiguous",
            LabelSource::None => "none",
        }
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
    pub(crate) source: LabelSource,
}

/// The labels of the windows, found in one way.
#[derive(Debug)]
struct FoundLabels {
    /// Of each window alone.
    alone: Vec<Label>,
    /// Of each window where others that overlap agree with it: not one scenario's any more.
    agreed: Vec<Label>,
}

impl FoundLabels {
    fn new(of_windows: &[Label], source: LabelSource) -> Self {
        let found = |label: &Label| Label {
            source,
            ..label.clone()
        };
        let alone: Vec<Label> = of_windows.iter().map(found).collect();
        let agreed = alone.iter().map(|label| Label {
            scenario: None,
            ..label.clone()
        });
        Self {
            agreed: agreed.collect(),
            alone,
        }
    }
}

/// All labels of a run.
#[derive(Debug)]
pub(crate) struct Labels {
    timeline: Timeline,
    by_time: FoundLabels,
    by_trace: FoundLabels,
    ambiguous: Label,
    outside: Label,
    types: Vec<Arc<str>>,
}

impl Labels {
    pub(crate) fn new(timeline: Timeline) -> Self {
        // `unknown` is always there, at position 0.
        let mut types: Vec<Arc<str>> = vec![UNKNOWN.into()];
        let mut of_windows = Vec::with_capacity(timeline.windows.len());
        for window in &timeline.windows {
            let anomaly = &window.anomaly;
            let kind = types
                .iter()
                .position(|t| **t == *anomaly.kind)
                .unwrap_or_else(|| {
                    types.push(anomaly.kind.as_str().into());
                    types.len() - 1
                });
            of_windows.push(Label {
                kind,
                anomaly_type: types[kind].clone(),
                anomaly_label: anomaly.label.as_str().into(),
                anomaly_root_cause: anomaly.root_cause.as_str().into(),
                anomaly_msg: anomaly.msg.as_str().into(),
                scenario: Some(window.scenario.as_str().into()),
                root_cause_service: anomaly.root_cause_service.as_deref().map(Arc::from),
                source: LabelSource::Window,
            });
        }
        let unknown = |source| Label {
            kind: 0,
            anomaly_type: UNKNOWN.into(),
            anomaly_label: UNKNOWN.into(),
            anomaly_root_cause: UNKNOWN.into(),
            anomaly_msg: "".into(),
            scenario: None,
            root_cause_service: None,
            source,
        };
        Self {
            by_time: FoundLabels::new(&of_windows, LabelSource::Window),
            by_trace: FoundLabels::new(&of_windows, LabelSource::Trace),
            ambiguous: unknown(LabelSource::Ambiguous),
            outside: unknown(LabelSource::None),
            types,
            timeline,
        }
    }

    /// The anomaly types that can occur: `unknown`, then those of the windows as they opened.
    pub(crate) fn types(&self) -> &[Arc<str>] {
        &self.types
    }

    /// The label of a time in Unix nanoseconds; none is a time that is not known.
    pub(crate) fn at(&self, at_ns: Option<i64>) -> &Label {
        self.pick(at_ns, &self.by_time)
    }

    fn pick<'a>(&'a self, at_ns: Option<i64>, found: &'a FoundLabels) -> &'a Label {
        match at_ns.map_or(WindowAt::None, |at| self.timeline.window_at(at)) {
            WindowAt::None => &self.outside,
            WindowAt::One(index) => &found.alone[index],
            WindowAt::Several(indices) => {
                let anomaly = |index: usize| &self.timeline.windows[index].anomaly;
                match indices.split_first() {
                    Some((&first, others))
                        if others.iter().all(|&i| anomaly(i) == anomaly(first)) =>
                    {
                        &found.agreed[first]
                    }
                    _ => &self.ambiguous,
                }
            }
        }
    }

    /// The label of a span: that of its trace's start. A span without a trace id is a trace of
    /// its own.
    pub(crate) fn of_span(
        &self,
        starts: &TraceStarts,
        trace: TraceId,
        own_start_ns: Option<i64>,
    ) -> &Label {
        self.at(if trace == TraceId(0) {
            own_start_ns
        } else {
            starts.start_ns(trace)
        })
    }

    /// The label of a log record: that of its trace where the trace is known, else that of its
    /// time.
    pub(crate) fn of_log(
        &self,
        starts: &TraceStarts,
        trace: TraceId,
        own_time_ns: Option<i64>,
    ) -> &Label {
        match starts.start_ns(trace) {
            Some(start_ns) if trace != TraceId(0) => self.pick(Some(start_ns), &self.by_trace),
            _ => self.at(own_time_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::trace_start::StartVote;
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

    #[test]
    fn windows_are_half_open_and_what_is_outside_is_unknown() {
        let labels = labels();
        let scenario = |at| labels.at(Some(at)).scenario.clone();
        assert_eq!(scenario(100).as_deref(), Some("calm"));
        assert_eq!(scenario(199).as_deref(), Some("calm"));
        assert_eq!(scenario(200).as_deref(), Some("slow"));
        for at in [Some(99), Some(400), None] {
            let outside = labels.at(at);
            assert_eq!(
                (&*outside.anomaly_label, outside.source),
                (UNKNOWN, LabelSource::None)
            );
            assert_eq!(outside.scenario, None);
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
            let overlap = labels.at(Some(295));
            assert_eq!(
                (&*overlap.anomaly_type, overlap.source),
                (UNKNOWN, LabelSource::Ambiguous)
            );
        }
    }

    #[test]
    fn overlapping_windows_that_agree_give_their_label_without_a_scenario() {
        let labels = labels_of(&[
            ("browsing", "none", "s", 100, 200),
            ("buying", "none", "s", 150, 250),
        ]);
        let both = labels.at(Some(150));
        assert_eq!(
            (
                &*both.anomaly_type,
                &*both.anomaly_label,
                &*both.anomaly_msg
            ),
            (NONE, "l", "m")
        );
        assert_eq!(both.root_cause_service.as_deref(), Some("s"));
        assert_eq!((&both.scenario, both.source), (&None, LabelSource::Window));
        assert_eq!(labels.at(Some(149)).scenario.as_deref(), Some("browsing"));

        let mut starts = TraceStarts::default();
        starts.observe(TraceId(1), StartVote::new(true, 150));
        let log = labels.of_log(&starts, TraceId(1), None);
        assert_eq!((&*log.anomaly_type, log.source), (NONE, LabelSource::Trace));
    }

    #[test]
    fn a_span_takes_the_label_of_its_trace_even_when_it_starts_later() {
        let labels = labels();
        let mut starts = TraceStarts::default();
        starts.observe(TraceId(1), StartVote::new(true, 150));
        let late = labels.of_span(&starts, TraceId(1), Some(250));
        assert_eq!(late.scenario.as_deref(), Some("calm"));
        let lonely = labels.of_span(&starts, TraceId(0), Some(250));
        assert_eq!(lonely.scenario.as_deref(), Some("slow"));
    }

    #[test]
    fn a_log_record_takes_the_label_of_its_trace_or_else_of_its_time() {
        let labels = labels();
        let mut starts = TraceStarts::default();
        starts.observe(TraceId(1), StartVote::new(true, 150));
        let through = labels.of_log(&starts, TraceId(1), Some(250));
        assert_eq!(
            (through.scenario.as_deref(), through.source),
            (Some("calm"), LabelSource::Trace)
        );
        for unseen in [TraceId(0), TraceId(2)] {
            let by_time = labels.of_log(&starts, unseen, Some(250));
            assert_eq!(by_time.scenario.as_deref(), Some("slow"));
            assert_eq!(by_time.source, LabelSource::Window);
        }
    }
}

//! What is said of each condition and of each stretch of the run, written out once.

use loadgen_evidence::{EvaluatedAs, Evidence, Verdict, WindowEvidence};
use loadgen_timeline::Timeline;
use loadgen_timeline::condition::{Condition, Conditions, FaultState, Placed, UNKNOWN_CONDITION};
use loadgen_timeline::phase::{Phase, Phases};

use super::said::{LabelSource, LabelTexts, Said, StretchTexts};
use crate::label::truth::Foreign;

/// All that rows can say.
#[derive(Debug)]
pub(crate) struct Texts<'r> {
    conditions: &'r Conditions,
    phases: &'r Phases,
    labels: Vec<LabelTexts>,
    stretches: Vec<StretchTexts>,
    /// Of what is in no stretch.
    nowhere: StretchTexts,
}

impl<'r> Texts<'r> {
    pub(crate) fn new(
        timeline: &Timeline,
        conditions: &'r Conditions,
        phases: &'r Phases,
        evidence: &Evidence,
    ) -> Self {
        let verdict = |window: usize| evidence.window(window as u32).and_then(|w| w.verdict);
        // Of the windows that declare a type: those that are open, or else all.
        let of_type = |kind: &str, open: &[usize]| {
            let declares = |&w: &usize| timeline.windows[w].anomaly.kind == kind;
            let here = open.iter().copied().filter(declares);
            let anywhere = (0..timeline.windows.len()).filter(declares);
            worst(here.filter_map(verdict)).or_else(|| worst(anywhere.filter_map(verdict)))
        };
        let stretches = conditions.stretches().iter().map(|stretch| {
            let windows = &stretch.windows;
            let names: Vec<&str> = windows
                .iter()
                .map(|&w| timeline.windows[w].scenario.as_str())
                .collect();
            let types = conditions.all()[stretch.condition].types();
            let worst = match types.is_empty() {
                true => {
                    let windows = windows.iter().filter_map(|&w| evidence.window(w as u32));
                    worst(windows.filter_map(of_normal))
                }
                false => {
                    let of_types = types.iter().map(|kind| of_type(kind, windows));
                    // Where no window declares one of them, nothing was compared.
                    of_types.collect::<Option<Vec<_>>>().and_then(worst)
                }
            };
            // While a fault is in force, what its own windows show of it counts, and not what the
            // window of a load does that goes on all the time.
            let says =
                |w: usize| types.is_empty() || types.contains(&&*timeline.windows[w].anomaly.kind);
            let of = windows.iter().filter(|&&w| says(w));
            let of = of.filter_map(|&w| evidence.window(w as u32));
            let services = of.flat_map(|window| &window.services);
            let affected = services.filter(|s| s.affected).map(|s| s.service.clone());
            StretchTexts {
                scenario: (!names.is_empty()).then(|| names.join("+")),
                fault_state: stretch.fault_state.name(),
                verdict: worst.map(Verdict::as_str),
                affected: affected.collect(),
            }
        });
        let mut labels: Vec<LabelTexts> = conditions.all().iter().map(label).collect();
        if labels.is_empty() {
            labels.push(unknown());
        }
        Self {
            labels,
            stretches: stretches.collect(),
            nowhere: StretchTexts {
                fault_state: FaultState::None.name(),
                ..StretchTexts::default()
            },
            conditions,
            phases,
        }
    }

    /// What is said of a moment, in Unix nanoseconds, and its condition.
    pub(crate) fn at(
        &self,
        moment_ns: Option<i64>,
        source: LabelSource,
        foreign: Option<Foreign>,
    ) -> (Said<'_>, usize) {
        let placed = moment_ns.map_or(Placed::Outside, |at| self.conditions.at(at));
        let phase = moment_ns.map_or(Phase::None, |at| self.phases.at(at));
        self.said(placed, phase, source, foreign)
    }

    /// What is said of the interval `(start, end]`.
    pub(crate) fn over(&self, time: (i64, i64), foreign: Option<Foreign>) -> (Said<'_>, usize) {
        let placed = self.conditions.over(time);
        let settled = matches!(placed, Placed::Within { settled: true, .. });
        let phase = match time.0 < time.1 {
            true if settled => self.phases.of(time),
            true => Phase::Transition,
            false => self.phases.at(time.1),
        };
        self.said(placed, phase, LabelSource::Window, foreign)
    }

    /// What is said of what a header names, where there is no timeline.
    pub(crate) fn by_header<'t>(&'t self, label: &'t LabelTexts) -> Said<'t> {
        Said {
            label,
            stretch: &self.nowhere,
            source: LabelSource::Header,
            phase: Phase::None,
            foreign: None,
        }
    }

    fn said(
        &self,
        placed: Placed,
        phase: Phase,
        source: LabelSource,
        foreign: Option<Foreign>,
    ) -> (Said<'_>, usize) {
        let place = match placed {
            Placed::Within {
                condition, stretch, ..
            } if foreign.is_none() => Some((condition, stretch)),
            _ => None,
        };
        let (condition, stretch) = match place {
            Some((condition, stretch)) => (condition, &self.stretches[stretch]),
            None => (UNKNOWN_CONDITION, &self.nowhere),
        };
        let said = Said {
            label: &self.labels[condition],
            stretch,
            source,
            phase: if place.is_some() { phase } else { Phase::None },
            foreign: foreign.map(Foreign::name),
        };
        (said, condition)
    }
}

/// What the evidence of a window says of normal time. A sham or a harmless change is evaluated by an
/// anomaly that is not there: where that does not show, normal is what it looks like.
fn of_normal(window: &WindowEvidence) -> Option<Verdict> {
    let breaks_nothing = matches!(
        window.evaluated_as,
        EvaluatedAs::Sham | EvaluatedAs::Harmless
    );
    match window.verdict {
        Some(Verdict::NotSupported) if breaks_nothing => Some(Verdict::Clean),
        Some(Verdict::Supported) if breaks_nothing => Some(Verdict::Disturbed),
        verdict => verdict,
    }
}

/// Where several windows say something the worst counts.
fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.into_iter().max_by_key(|verdict| badness(*verdict))
}

fn badness(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Supported => 0,
        Verdict::Clean => 1,
        Verdict::Weak => 2,
        Verdict::Disturbed => 3,
        Verdict::NotEnoughData => 4,
        Verdict::NotSupported => 5,
    }
}

fn label(condition: &Condition) -> LabelTexts {
    let of = |part: fn(&loadgen_timeline::Anomaly) -> Option<&String>| {
        let parts = condition.anomalies.iter().filter_map(part);
        parts.cloned().collect()
    };
    LabelTexts {
        anomaly_type: condition.anomaly_type(),
        anomaly_label: condition.label.name(),
        anomaly_root_cause: condition.root_cause(),
        anomaly_msg: Some(condition.msg.clone()).filter(|msg| !msg.is_empty()),
        anomaly_symptom: condition.symptom(),
        root_cause_service: condition.root_cause_service(),
        types: condition.types().into_iter().map(str::to_owned).collect(),
        root_causes: of(|a| Some(&a.root_cause)),
        services: of(|a| a.root_cause_service.as_ref()),
    }
}

fn unknown() -> LabelTexts {
    let unknown = || loadgen_timeline::condition::UNKNOWN.to_owned();
    LabelTexts {
        anomaly_type: unknown(),
        anomaly_label: loadgen_timeline::condition::UNKNOWN,
        anomaly_root_cause: unknown(),
        anomaly_msg: None,
        anomaly_symptom: None,
        root_cause_service: None,
        types: Vec::new(),
        root_causes: Vec::new(),
        services: Vec::new(),
    }
}

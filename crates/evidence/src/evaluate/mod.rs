//! Evaluates the windows of a run.

mod blocks;
mod compare;
mod declared;
mod least;
mod metrics;
mod normal;
mod onset;
mod ranking;
mod signals;
mod strata;
mod words;

use blocks::At;
use least::Least;
use signals::Test;
use strata::Sides;

use crate::evidence::{
    Compared, EVIDENCE_SCHEMA_VERSION, EvaluatedAs, Evidence, Reference, Side, WindowEvidence,
};
use crate::run::{EvidenceWindow, Run, WindowKind};
use crate::sample::{Sample, name_hash};
use crate::statistics::arrangements::Arrangements;
use crate::thresholds::Thresholds;
use crate::time::{SECOND_NS, total_ns};

/// The evidence of all windows of a run.
///
/// Nothing else goes in: the same run and sample give the same evidence, to the last digit.
pub fn evaluate(run: &Run, sample: &Sample, thresholds: &Thresholds) -> Evidence {
    let evaluated = |window: &EvidenceWindow| match &window.kind {
        WindowKind::Anomalous(declared)
        | WindowKind::Sham(declared)
        | WindowKind::Harmless(declared) => {
            declared::evaluate(&Case::new(run, sample, thresholds, window), declared)
        }
        WindowKind::Normal => normal::evaluate(&Case::new(run, sample, thresholds, window)),
        WindowKind::WarmUp => Case::new(run, sample, thresholds, window).nothing(),
    };
    Evidence {
        schema_version: EVIDENCE_SCHEMA_VERSION,
        run_id: run.run_id.clone(),
        reference: Reference {
            intervals: run.reference.clone(),
            seconds: seconds(total_ns(&run.reference)),
        },
        windows: run.windows.iter().map(evaluated).collect(),
        spans_left_out: sample.spans_left_out(),
        thresholds: thresholds.clone(),
    }
}

/// A window that is evaluated.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    run: &'a Run,
    sample: &'a Sample,
    limits: &'a Thresholds,
    window: &'a EvidenceWindow,
}

impl<'a> Case<'a> {
    fn new(
        run: &'a Run,
        sample: &'a Sample,
        limits: &'a Thresholds,
        window: &'a EvidenceWindow,
    ) -> Self {
        Self {
            run,
            sample,
            limits,
            window,
        }
    }

    /// The evidence of a window of which nothing is known yet.
    fn nothing(&self) -> WindowEvidence {
        let declared = self.window.kind.declared();
        let service = declared.and_then(|declared| declared.root_cause_service.as_deref());
        WindowEvidence {
            window: self.window.index,
            scenario: self.window.scenario.clone(),
            evaluated_as: match self.window.kind {
                WindowKind::Anomalous(_) => EvaluatedAs::Anomalous,
                WindowKind::Sham(_) => EvaluatedAs::Sham,
                WindowKind::Harmless(_) => EvaluatedAs::Harmless,
                WindowKind::Normal => EvaluatedAs::Normal,
                WindowKind::WarmUp => EvaluatedAs::WarmUp,
            },
            declared: declared.cloned(),
            verdict: None,
            reasons: Vec::new(),
            traces_met: self.sample.traces_met(service, &self.window.own).round() as u64,
            compared: None,
            family: Vec::new(),
            strongest: None,
            onset_s: None,
            recovery_s: None,
            root_cause_rank: None,
            services: Vec::new(),
            edges: Vec::new(),
        }
    }

    /// Arrangements of the blocks of both sides, drawn from the run's name and the window's number.
    fn arrangements(&self, sides: &Sides<'_>) -> Arrangements {
        let seed = name_hash(&[&self.run.run_id, &self.window.index.to_string()]);
        let count = |side: At| sides.blocks.count(side);
        Arrangements::new(
            count(At::Window),
            count(At::Reference),
            self.limits.arrangements,
            seed,
        )
    }

    /// What is compared with what, with the traces of a service or of all.
    fn compared(
        &self,
        sides: &Sides<'_>,
        service: Option<&str>,
        arrangements: &Arrangements,
    ) -> Compared {
        let side = |side: At| {
            let intervals = sides.intervals(side);
            let (ns, traces) = (
                total_ns(intervals),
                self.sample.traces_met(service, intervals),
            );
            let requests: f64 = match service {
                Some(service) => intervals
                    .iter()
                    .map(|interval| self.sample.requests(service, *interval))
                    .sum(),
                None => traces,
            };
            Side {
                seconds: seconds(ns),
                blocks: sides.blocks.count(side),
                traces: traces.round() as u64,
                throughput: if ns > 0 { requests / seconds(ns) } else { 0.0 },
            }
        };
        Compared {
            window: side(At::Window),
            reference: side(At::Reference),
            block_s: sides.blocks.length_s(),
            arrangements: arrangements.len() as u64,
            exact: arrangements.exact,
            halves: false,
        }
    }

    fn test<'t>(
        &'t self,
        sides: &'t Sides<'t>,
        least: &'t Least,
        arrangements: &'t Arrangements,
    ) -> Test<'t> {
        Test {
            sides,
            least,
            limits: self.limits,
            arrangements,
        }
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / SECOND_NS as f64
}

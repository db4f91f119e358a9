//! Which files a span's row goes to, beside that of all: the files of classes hold what one trains
//! on, steady rows of windows whose verdict backs the label.

use loadgen_timeline::condition::{Conditions, Label, NONE, UNKNOWN_CONDITION};
use loadgen_timeline::phase::Phase;
use serde::{Deserialize, Serialize};

use super::said::Said;

/// Verdicts that back a label.
const BACKING: [&str; 3] = ["supported", "weak", "clean"];

/// Why a row is in no file of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum LeftOut {
    /// Its label is not known.
    Unknown,
    /// Its phase is not steady.
    Unsettled,
    /// No window was open, or none declares the anomaly that was in force.
    NoWindow,
    /// The evidence of its window does not back the label.
    Verdict,
    /// It began long after its request had ended: by its own time, it is not of its trace's condition.
    Late,
}

impl LeftOut {
    /// As the figures call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LeftOut::Unknown => "label unknown",
            LeftOut::Unsettled => "not steady",
            LeftOut::NoWindow => "no window of it",
            LeftOut::Verdict => "not backed by the evidence",
            LeftOut::Late => "late",
        }
    }
}

/// The classes of a run: one for each anomaly type that it has.
#[derive(Debug)]
pub(crate) struct Classes {
    /// By condition: the number of its class.
    of_condition: Vec<usize>,
    /// Anomaly types by class; `unknown` first, then `none`.
    types: Vec<String>,
    all_phases: bool,
}

/// The class of what is not known.
pub(crate) const UNKNOWN_CLASS: usize = 0;

/// The class of what is normal.
pub(crate) const NORMAL_CLASS: usize = 1;

impl Classes {
    /// Of all conditions of a run, and of types that its windows declare although they never came
    /// into force.
    pub(crate) fn new(conditions: &Conditions, declared: &[String], all_phases: bool) -> Self {
        let mut types = vec!["unknown".to_owned(), NONE.to_owned()];
        let mut number = |kind: &str| {
            let known = types.iter().position(|t| t == kind);
            known.unwrap_or_else(|| {
                types.push(kind.to_owned());
                types.len() - 1
            })
        };
        for kind in declared {
            number(kind);
        }
        let of = conditions.all().iter().map(|c| number(&c.anomaly_type()));
        Self {
            of_condition: of.collect(),
            types,
            all_phases,
        }
    }

    /// Anomaly types by class.
    pub(crate) fn types(&self) -> &[String] {
        &self.types
    }

    /// The class of a condition.
    pub(crate) fn of(&self, condition: usize) -> usize {
        self.of_condition
            .get(condition)
            .copied()
            .unwrap_or(UNKNOWN_CLASS)
    }

    /// Whether a row of a condition belongs into the file of its class.
    pub(crate) fn admits(&self, condition: usize, said: &Said<'_>) -> Result<(), LeftOut> {
        if said.label.anomaly_label == Label::Unknown.name() {
            return Err(LeftOut::Unknown);
        }
        // What only a header labels is in no file of a class.
        if condition == UNKNOWN_CONDITION {
            return Err(LeftOut::NoWindow);
        }
        if self.all_phases {
            return Ok(());
        }
        match said.stretch.verdict {
            _ if said.phase != Phase::Steady => Err(LeftOut::Unsettled),
            None => Err(LeftOut::NoWindow),
            Some(verdict) if !BACKING.contains(&verdict) => Err(LeftOut::Verdict),
            Some(_) => Ok(()),
        }
    }
}

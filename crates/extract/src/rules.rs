//! What rows are made by.

use loadgen_timeline::phase::Phase;

use crate::dataset::classes::Classes;
use crate::dataset::logs::Logs;
use crate::dataset::points::Points;
use crate::dataset::rows::Columns;
use crate::dataset::said::Said;
use crate::dataset::spans::Spans;
use crate::dataset::texts::Texts;
use crate::dataset::traces::Traces;
use crate::features::rules::FeatureRules;
use crate::label::truth::Truth;
use crate::measure::RunFacts;
use crate::measure::normal::Limits;
use crate::options::TableFormats;

/// Rows that are made at once.
pub(crate) const ROWS_AT_ONCE: u64 = 8192;

/// What rows are made by.
pub(crate) struct RowRules<'r> {
    pub(crate) truth: &'r Truth,
    pub(crate) run: &'r RunFacts,
    pub(crate) texts: Texts<'r>,
    pub(crate) classes: Classes,
    pub(crate) spans: Columns<Spans>,
    pub(crate) traces: Columns<Traces>,
    pub(crate) logs: Columns<Logs>,
    pub(crate) points: Columns<Points>,
    /// None: the tables that put a run together are left out.
    pub(crate) features: Option<FeatureRules>,
    pub(crate) formats: TableFormats,
    /// What of an operation is still normal.
    pub(crate) limits: Limits,
    /// Only rows whose phase is steady are written.
    pub(crate) steady_only: bool,
}

impl RowRules<'_> {
    /// Whether a row is written: rows of such a phase are asked for.
    pub(crate) fn keeps(&self, said: &Said<'_>) -> bool {
        !self.steady_only || said.phase == Phase::Steady
    }
}

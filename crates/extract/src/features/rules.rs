//! What all partitions are observed by.

use loadgen_timeline::condition::Conditions;

use super::grid::Grid;
use crate::dataset::rows::Columns;
use crate::dataset::trace_features::TraceFeatures;
use crate::options::TableFormats;

/// What all partitions are observed by.
pub(crate) struct FeatureRules {
    pub(super) grid: Grid,
    /// Slices of time into which events are dealt.
    pub(super) slices: usize,
    pub(super) traces: Columns<TraceFeatures>,
}

impl FeatureRules {
    /// For a run whose traces are in so many partitions: events are dealt into as many.
    pub(crate) fn new(conditions: &Conditions, partitions: usize, formats: TableFormats) -> Self {
        let grid = Grid::new(conditions.run());
        Self {
            slices: grid.slices(partitions),
            grid,
            traces: Columns::all(formats),
        }
    }
}

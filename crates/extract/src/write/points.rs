//! Rows of data points.

use std::io;

use arrow_array::Array;

use super::Written;
use crate::dataset::points::{Origin, PointRow};
use crate::dataset::rows::Rows;
use crate::dataset::said::LabelSource;
use crate::features::observe_points;
use crate::label::records::PointMarkBatch;
use crate::label::truth::Foreign;
use crate::rules::{ROWS_AT_ONCE, RowRules};
use crate::scan::batch::{number, text};
use crate::scan::records::PointBatch;

/// A partition of points: what was scanned of those that have marks, and what was said of them.
#[derive(Debug)]
pub(crate) struct PointPartition {
    pub(crate) points: PointBatch,
    pub(crate) marks: PointMarkBatch,
    /// Points that are not the run's have rows, too.
    pub(crate) has_foreign_rows: bool,
}

/// Makes the rows of a partition of points.
pub(crate) fn write_points(rules: &RowRules<'_>, of: &PointPartition) -> io::Result<Written> {
    let (points, marks) = (&of.points, &of.marks);
    let mut written = Written::default();
    if let Some(features) = &rules.features {
        written.observed = Some(observe_points(features, points, marks)?);
    }
    let mut rows = Rows::new(&rules.points);
    for at in 0..marks.row.len() {
        let foreign = Foreign::from_number(marks.foreign.value(at));
        if foreign.is_some() && !of.has_foreign_rows {
            continue;
        }
        let row = marks.row.value(at) as usize;
        let interval_start_ns = number(&marks.interval_start_ns, at);
        let time_ns = number(&points.time_ns, row);
        let said = match (rules.truth.has_timeline, interval_start_ns, time_ns) {
            (true, Some(start), Some(end)) => rules.texts.over((start, end), foreign).0,
            _ => rules.texts.at(None, LabelSource::None, foreign).0,
        };
        if !written.counts.points.take(rules.keeps(&said), &said) {
            continue;
        }
        let double =
            |column: &arrow_array::Float64Array| (!column.is_null(row)).then(|| column.value(row));
        let is_recorded = !points.total.is_null(row);
        rows.push(&PointRow {
            time_ns,
            start_ns: number(&points.start_ns, row),
            service_name: points.service_name.value(row),
            metric_name: points.metric_name.value(row),
            metric_type: points.metric_type.value(row),
            unit: points.unit.value(row),
            int_value: number(&points.int_value, row),
            double_value: double(&points.double_value),
            count: number(&points.count, row),
            sum: double(&points.sum),
            min: double(&points.min),
            max: double(&points.max),
            buckets: text(&points.buckets, row),
            temporality: text(&points.temporality, row),
            monotonic: (!points.monotonic.is_null(row)).then(|| points.monotonic.value(row)),
            attributes: points.attributes.value(row),
            scope_name: points.scope_name.value(row),
            origin: Origin {
                service_instance_id: text(&points.service_instance_id, row),
                host_name: text(&points.host_name, row),
                container_name: text(&points.container_name, row),
                k8s_pod_name: text(&points.k8s_pod_name, row),
            },
            said,
            interval_start_ns,
            increase: (is_recorded && !marks.increase.is_null(at))
                .then(|| marks.increase.value(at)),
        });
        if rows.len() == ROWS_AT_ONCE {
            written.points.push(rows.take()?);
        }
    }
    if rows.len() > 0 {
        written.points.push(rows.take()?);
    }
    Ok(written)
}

//! What the tables take from a partition of data points, series by series.

use arrow_array::Array;

use super::figures::figure_of;
use super::series::{Reading, Series, SeriesPoint};
use super::{FeatureRules, Observed};
use crate::label::groups::{number, text, value_or_zero};
use crate::label::interval::Meaning;
use crate::label::records::PointMarkBatch;
use crate::label::truth::Truth;
use crate::scan::records::PointBatch;

/// What a partition of points has to say; points that are not the run's don't count.
pub(crate) fn observe_points(
    rules: &FeatureRules,
    truth: &Truth,
    points: &PointBatch,
    marks: &PointMarkBatch,
) -> Observed {
    let mut observed = Observed::default();
    let series = |at: usize| points.series.value(marks.row.value(at) as usize);
    let mut from = 0;
    while from < marks.row.len() {
        let rest = from..marks.row.len();
        let to = rest.clone().find(|&at| series(at) != series(from));
        let to = to.unwrap_or(rest.end);
        observe_series(&mut observed, rules, truth, (points, marks), from..to);
        from = to;
    }
    observed
}

fn observe_series(
    observed: &mut Observed,
    rules: &FeatureRules,
    truth: &Truth,
    (points, marks): (&PointBatch, &PointMarkBatch),
    places: std::ops::Range<usize>,
) {
    let first = marks.row.value(places.start) as usize;
    let is_level = matches!(
        Meaning::from_number(points.meaning.value(first)),
        Meaning::Moment | Meaning::Cumulative
    );
    let said: Vec<SeriesPoint> = places
        .filter_map(|at| {
            let row = marks.row.value(at) as usize;
            let end = value_or_zero(&points.time_ns, row);
            let start = number(&marks.interval_start_ns, at)?;
            if truth.foreign_over((start, end)).is_some() || points.total.is_null(row) {
                return None;
            }
            let value = match is_level {
                true => points.total.value(row),
                false => (!marks.increase.is_null(at)).then(|| marks.increase.value(at))?,
            };
            Some(SeriesPoint { start, end, value })
        })
        .collect();
    let origin = [
        &points.service_instance_id,
        &points.host_name,
        &points.container_name,
        &points.k8s_pod_name,
    ]
    .map(|column| text(column, first).unwrap_or_default())
    .join(" ");
    let series = Series {
        metric: points.metric_name.value(first),
        unit: points.unit.value(first),
        attributes: points.attributes.value(first),
        origin: &origin,
        reading: if is_level {
            Reading::Level
        } else {
            Reading::Increase
        },
        is_distribution: !["gauge", "sum"].contains(&points.metric_type.value(first)),
        points: &said,
    };
    if let Some((figure, values)) = figure_of(&rules.grid, &series) {
        let service = observed.service(points.service_name.value(first));
        service.figures.put(figure, &values);
    }
}

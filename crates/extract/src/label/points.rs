//! Data points: series put together, and the time that each point speaks of.

use arrow_array::{Array, RecordBatch};
use arrow_schema::ArrowError;
use loadgen_evidence::{MetricPoint, Reading, Sampler, Series, is_relevant};

use super::interval::{Meaning, PointInterval, SeriesPoint, intervals};
use super::records::PointMarkBuilder;
use super::truth::Truth;
use crate::scan::batch::{text, value_or_zero};
use crate::scan::records::PointBatch;

/// Columns of points that labelling looks at. The others are null.
pub(crate) const POINT_COLUMNS: [&str; 13] = [
    "series",
    "time_ns",
    "start_ns",
    "meaning",
    "total",
    "service_name",
    "metric_name",
    "metric_type",
    "unit",
    "sum",
    "attributes",
    "service_instance_id",
    "host_name",
];

/// What is said of a partition of points.
#[derive(Debug)]
pub(crate) struct LabelledPoints {
    pub(crate) marks: RecordBatch,
    /// Points that are not the run's, by [`Foreign`](super::truth::Foreign).
    pub(crate) foreign: [u64; 3],
}

/// Labels a partition of data points, and shows them to `sampler`. Those that are not the run's are
/// counted; without `keep_foreign` only the first of a series has a mark, which tells the series.
pub(crate) fn label_points(
    points: &PointBatch,
    truth: &Truth,
    keep_foreign: bool,
    sampler: &mut Sampler,
) -> Result<LabelledPoints, ArrowError> {
    let mut order: Vec<u32> = (0..points.series.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| {
        let of = |row: u32| {
            let row = row as usize;
            (
                points.series.value(row),
                value_or_zero(&points.time_ns, row),
                value_or_zero(&points.start_ns, row),
            )
        };
        of(a)
            .cmp(&of(b))
            .then_with(|| {
                let [a, b] = [a, b].map(|row| total(points, row as usize));
                let by_value = || a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0));
                a.is_some().cmp(&b.is_some()).then_with(by_value)
            })
            .then(a.cmp(&b))
    });
    let mut marks = PointMarkBuilder::default();
    let mut foreign = [0; 3];
    let series_of = |row: &u32| points.series.value(*row as usize);
    for rows in order.chunk_by(|a, b| series_of(a) == series_of(b)) {
        let series: Vec<SeriesPoint> = rows.iter().map(|&r| point(points, r as usize)).collect();
        let first = rows[0] as usize;
        let shown = is_relevant(points.metric_name.value(first)).then(|| key(points, first));
        for (&row, interval) in rows.iter().zip(intervals(&series)) {
            let of_others = truth.foreign_over((interval.start, interval.end));
            if let Some(kind) = of_others {
                foreign[kind as usize - 1] += 1;
            }
            if of_others.is_none() || keep_foreign || row == rows[0] {
                marks.row.append_value(row);
                let known = interval.end != 0;
                marks
                    .interval_start_ns
                    .append_option(known.then_some(interval.start));
                marks.increase.append_option(interval.increase);
                marks.foreign.append_value(of_others.map_or(0, |f| f as u8));
            }
            if let Some(key) = &shown
                && let Some(observed) = observed(points, row as usize, &interval)
            {
                sampler.metric(key, &observed);
            }
        }
    }
    Ok(LabelledPoints {
        marks: marks.finish()?,
        foreign,
    })
}

fn total(points: &PointBatch, row: usize) -> Option<f64> {
    (!points.total.is_null(row)).then(|| points.total.value(row))
}

fn point(points: &PointBatch, row: usize) -> SeriesPoint {
    SeriesPoint {
        meaning: Meaning::from_number(points.meaning.value(row)),
        start: value_or_zero(&points.start_ns, row),
        time: value_or_zero(&points.time_ns, row),
        total: total(points, row),
        sum: (!points.sum.is_null(row)).then(|| points.sum.value(row)),
    }
}

fn key(points: &PointBatch, row: usize) -> Series {
    let instance = text(&points.service_instance_id, row).or(text(&points.host_name, row));
    let attributes = points.attributes.value(row);
    Series {
        service: points.service_name.value(row).to_owned(),
        metric: points.metric_name.value(row).to_owned(),
        unit: points.unit.value(row).to_owned(),
        attributes: format!(
            "{attributes} {:?} {:016x}",
            instance.unwrap_or_default(),
            points.series.value(row)
        ),
    }
}

fn observed(points: &PointBatch, row: usize, interval: &PointInterval) -> Option<MetricPoint> {
    let is_level = matches!(
        Meaning::from_number(points.meaning.value(row)),
        Meaning::Moment | Meaning::Cumulative
    );
    let is_distribution =
        ["histogram", "exponential_histogram", "summary"].contains(&points.metric_type.value(row));
    let reading = if is_distribution {
        Reading::Increase(interval.sum_increase?)
    } else if is_level {
        Reading::Level(total(points, row)?)
    } else {
        Reading::Increase(interval.increase?)
    };
    Some(MetricPoint {
        interval_start_ns: match is_level {
            true => interval.end,
            false => interval.start,
        },
        end_ns: interval.end,
        reading,
    })
}

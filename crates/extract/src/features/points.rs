//! What the tables take from a partition of data points, series by series.

use std::io;
use std::ops::Range;

use arrow_array::Array;

use super::Observed;
use super::distribution::Buckets;
use super::figures::figure_of;
use super::rules::FeatureRules;
use super::series::{Reading, Series, SeriesPoint};
use super::wide::{ColumnKey, Readings, Together, WidePoint};
use crate::label::interval::Meaning;
use crate::label::records::PointMarkBatch;
use crate::scan::batch::{number, text, value_or_zero};
use crate::scan::records::PointBatch;
use crate::scan::resource::NO_SERVICE;

/// What a partition of points has to say; points that are not the run's don't count.
pub(crate) fn observe_points(
    rules: &FeatureRules,
    points: &PointBatch,
    marks: &PointMarkBatch,
) -> io::Result<Observed> {
    let mut observed = Observed::default();
    let mut readings = Readings::new(&rules.grid, rules.slices);
    let series = |at: usize| points.series.value(marks.row.value(at) as usize);
    let mut from = 0;
    while from < marks.row.len() {
        let mut rest = from..marks.row.len();
        let to = rest.find(|&at| series(at) != series(from));
        let to = to.unwrap_or(marks.row.len());
        let of = OneSeries::new(points, marks, from..to);
        if let Some((figure, values)) = figure_of(&rules.grid, &of.series(&of.levels())) {
            let service = observed.service(points.service_name.value(of.first));
            service.figures.put(figure, &values);
        }
        of.read(&mut readings);
        from = to;
    }
    (observed.readings, observed.columns) = readings.finish()?;
    Ok(observed)
}

/// The points of one series that are the run's.
struct OneSeries<'p> {
    points: &'p PointBatch,
    /// The row of its first point, of whomever.
    first: usize,
    origin: String,
    said: Vec<WidePoint>,
    meaning: Meaning,
}

impl<'p> OneSeries<'p> {
    fn new(points: &'p PointBatch, marks: &PointMarkBatch, places: Range<usize>) -> Self {
        let first = marks.row.value(places.start) as usize;
        let meaning = Meaning::from_number(points.meaning.value(first));
        let is_level = matches!(meaning, Meaning::Moment | Meaning::Cumulative);
        let point = |at: usize| {
            let row = marks.row.value(at) as usize;
            let end = value_or_zero(&points.time_ns, row);
            let start = number(&marks.interval_start_ns, at)?;
            if marks.foreign.value(at) != 0 || points.total.is_null(row) {
                return None;
            }
            let total = points.total.value(row);
            let increase = || (!marks.increase.is_null(at)).then(|| marks.increase.value(at));
            Some(WidePoint {
                start,
                end,
                value: if is_level { Some(total) } else { increase() },
                total,
                buckets: text(&points.buckets, row).and_then(Buckets::parse),
            })
        };
        let origin = [
            &points.service_instance_id,
            &points.host_name,
            &points.container_name,
            &points.k8s_pod_name,
        ];
        let origin = origin.map(|column| text(column, first).unwrap_or_default());
        Self {
            points,
            first,
            origin: origin.join(" "),
            said: places.filter_map(point).collect(),
            meaning,
        }
    }

    fn is_level(&self) -> bool {
        matches!(self.meaning, Meaning::Moment | Meaning::Cumulative)
    }

    fn is_distribution(&self) -> bool {
        !["gauge", "sum"].contains(&self.points.metric_type.value(self.first))
    }

    fn levels(&self) -> Vec<SeriesPoint> {
        let point = |point: &WidePoint| {
            Some(SeriesPoint {
                start: point.start,
                end: point.end,
                value: point.value?,
            })
        };
        self.said.iter().filter_map(point).collect()
    }

    fn series<'s>(&'s self, points: &'s [SeriesPoint]) -> Series<'s> {
        Series {
            metric: self.points.metric_name.value(self.first),
            unit: self.points.unit.value(self.first),
            attributes: self.points.attributes.value(self.first),
            origin: &self.origin,
            reading: if self.is_level() {
                Reading::Level
            } else {
                Reading::Increase
            },
            is_distribution: self.is_distribution(),
            points,
        }
    }

    /// Adds its columns of the wide table.
    fn read(&self, readings: &mut Readings<'_>) {
        if self.said.is_empty() {
            return;
        }
        let series = self.points.series.value(self.first);
        if !self.is_distribution() {
            let together = match self.points.metric_type.value(self.first) {
                "gauge" => Together::Mean,
                _ => Together::Sum,
            };
            let key = self.key("", together, !self.is_level());
            readings.values(key, series, &self.said);
            return;
        }
        let count = self.key("_count", Together::Sum, true);
        readings.values(count, series, &self.said);
        let quantile = self.key("_p95", Together::Highest, false);
        let adds_up = self.meaning == Meaning::Monotonic;
        readings.quantiles(quantile, series, &self.said, adds_up);
    }

    fn key(&self, end: &str, together: Together, is_rate: bool) -> ColumnKey {
        let (points, row) = (self.points, self.first);
        ColumnKey {
            service: self.named().to_owned(),
            name: format!("{}{end}", points.metric_name.value(row)),
            attributes: points.attributes.value(row).to_owned(),
            metric_type: points.metric_type.value(row).to_owned(),
            unit: points.unit.value(row).to_owned(),
            scope: points.scope_name.value(row).to_owned(),
            together,
            is_rate,
        }
    }

    /// The service; where none is named the container, pod or host.
    fn named(&self) -> &str {
        let (points, row) = (self.points, self.first);
        match points.service_name.value(row) {
            NO_SERVICE => {
                let others = [
                    &points.container_name,
                    &points.k8s_pod_name,
                    &points.host_name,
                ];
                let named = others.into_iter().find_map(|column| text(column, row));
                named.unwrap_or(NO_SERVICE)
            }
            service => service,
        }
    }
}

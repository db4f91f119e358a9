//! Rates, errors, latencies and more of each service over the run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::known::Gaps;
use crate::number::{four, seconds_since};
use crate::sources::Sources;
use crate::table::{Batch, Numbers, Table, TableError};

/// Runs up to so many seconds are shown second by second.
const BY_SECOND_UP_TO_S: f64 = 300.0;

/// At most so many points on the axis of time.
const MOST_POINTS: usize = 720;

/// At most so many numbers in all, about 5 bytes each.
const MOST_NUMBERS: usize = 400_000;

/// Kinds of spans, as in the names of columns.
pub(crate) const KINDS: [&str; 5] = ["server", "client", "internal", "producer", "consumer"];

/// What there is beside spans: name of the column, or how columns add up.
const GAUGES: [&str; 4] = ["in_flight", "cpu", "saturation", "queue"];

/// Columns that are counted beside spans.
const COUNTS: [(&str, &[&str]); 4] = [
    (
        "log_records",
        &[
            "log_trace",
            "log_debug",
            "log_info",
            "log_warn",
            "log_error",
            "log_fatal",
            "log_unspecified",
        ],
    ),
    ("log_warnings", &["log_warn"]),
    ("log_errors", &["log_error", "log_fatal"]),
    ("new_log_templates", &["new_log_templates"]),
];

/// Series of all services on one axis of time.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// The table that they are of.
    pub table: String,
    /// Begin of the first step, seconds since the run began.
    pub from_s: f64,
    /// Length of a step, seconds.
    pub step_s: f64,
    /// How many.
    pub steps: usize,
    /// Rows of the table that are in one step. Above 1 counts are their sums, quantiles their means
    /// weighted by spans, saturation is the largest, and the other gauges are means.
    pub rows_per_step: usize,
    /// By service, in the order of their names.
    pub services: Vec<ServiceSeries>,
}

impl Series {
    /// End of the last step, seconds since the run began.
    pub(crate) fn end_s(&self) -> f64 {
        self.from_s + self.step_s * self.steps as f64
    }
}

/// Series of one service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceSeries {
    /// The service.
    pub service: String,
    /// Spans by kind; kinds without any are left out.
    pub kinds: BTreeMap<&'static str, KindSeries>,
    /// `in_flight`, `cpu`, `saturation`, `queue`; those that are never known are left out.
    pub gauges: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// Log records, of them warnings and errors, and templates that are new; those that never come
    /// are left out.
    pub counts: BTreeMap<&'static str, Vec<u64>>,
}

/// Series of spans of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct KindSeries {
    /// Spans that began in each step.
    pub count: Vec<u64>,
    /// Of these with an error.
    pub errors: Vec<u64>,
    /// Median of their durations, ms.
    pub p50: Vec<Option<f64>>,
    /// 95th percentile, ms.
    pub p95: Vec<Option<f64>>,
    /// 99th percentile, ms.
    pub p99: Vec<Option<f64>>,
}

/// The series of a dataset: of the table of seconds where the run is short, else of 5 s.
pub(crate) fn read(sources: &Sources, began_ns: i64, gaps: &mut Gaps) -> Option<Series> {
    const SHOWS: &str = "rates, errors, latencies and saturation of each service";
    let coarse = sources.file("windows_features_5s", "parquet")?;
    let table = gaps.note(
        "windows_features_5s",
        SHOWS,
        Rows::read(&coarse, 5_000_000_000),
    )?;
    let is_short = table.steps() as f64 * 5.0 <= BY_SECOND_UP_TO_S;
    if is_short && let Some(fine) = sources.file("windows_features_1s", "parquet") {
        let read = Rows::read(&fine, 1_000_000_000);
        if let Some(fine) = gaps.note("windows_features_1s", SHOWS, read) {
            return Some(fine.series("windows_features_1s", began_ns));
        }
    }
    Some(table.series("windows_features_5s", began_ns))
}

/// A table, as it is: by service and begin of the row.
pub(crate) struct Rows {
    step_ns: i64,
    from_ns: i64,
    to_ns: i64,
    services: BTreeMap<String, Vec<Row>>,
}

pub(crate) struct Row {
    start_ns: i64,
    kinds: [KindRow; KINDS.len()],
    gauges: [Option<f64>; GAUGES.len()],
    counts: [u64; COUNTS.len()],
}

/// Spans of one kind in a row; quantiles in ms.
#[derive(Clone, Copy, Default)]
pub(crate) struct KindRow {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) quantiles: [Option<f64>; 3],
}

impl Row {
    /// A row of client spans alone.
    pub(crate) fn of_client(start_ns: i64, calls: KindRow) -> Self {
        Self {
            start_ns,
            kinds: KINDS.map(|kind| match kind {
                "client" => calls,
                _ => KindRow::default(),
            }),
            gauges: Default::default(),
            counts: Default::default(),
        }
    }
}

/// Columns of a kind of spans.
struct KindColumns<'b> {
    count: Numbers<'b>,
    errors: Numbers<'b>,
    quantiles: [Numbers<'b>; 3],
}

impl<'b> KindColumns<'b> {
    fn of(batch: &Batch<'b>, kind: &str) -> Result<Self, String> {
        let column = |what: &str| batch.numbers(&format!("{kind}_{what}"));
        Ok(Self {
            count: column("count")?,
            errors: column("errors")?,
            quantiles: [column("p50_ms")?, column("p95_ms")?, column("p99_ms")?],
        })
    }

    fn row(&self, row: usize) -> KindRow {
        KindRow {
            count: self.count.count(row),
            errors: self.errors.count(row),
            quantiles: [0, 1, 2].map(|at: usize| self.quantiles[at].double(row)),
        }
    }
}

impl Rows {
    pub(crate) fn new(step_ns: i64) -> Self {
        Self {
            step_ns,
            from_ns: i64::MAX,
            to_ns: i64::MIN,
            services: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from_ns > self.to_ns
    }

    /// A service that may have no rows.
    pub(crate) fn name(&mut self, service: &str) {
        if !self.services.contains_key(service) {
            self.services.insert(service.to_owned(), Vec::new());
        }
    }

    pub(crate) fn push(&mut self, service: &str, row: Row) {
        self.from_ns = self.from_ns.min(row.start_ns);
        self.to_ns = self.to_ns.max(row.start_ns.saturating_add(self.step_ns));
        self.name(service);
        if let Some(rows) = self.services.get_mut(service) {
            rows.push(row);
        }
    }

    fn read(path: &std::path::Path, step_ns: i64) -> Result<Self, TableError> {
        let mut columns: Vec<String> = vec!["start_time_ns".into(), "service_name".into()];
        for kind in KINDS {
            let of_kind = ["count", "errors", "p50_ms", "p95_ms", "p99_ms"];
            columns.extend(of_kind.map(|what| format!("{kind}_{what}")));
        }
        columns.extend(GAUGES.map(str::to_owned));
        let logs = COUNTS.iter().flat_map(|(_, columns)| columns.iter());
        columns.extend(logs.map(|name| (*name).to_owned()));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut rows = Self::new(step_ns);
        Table::at(path).read(&columns, |batch| rows.take(batch))?;
        Ok(rows)
    }

    fn take(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let starts = batch.numbers("start_time_ns")?;
        let services = batch.text("service_name")?;
        let kinds: Result<Vec<KindColumns<'_>>, String> = KINDS
            .iter()
            .map(|kind| KindColumns::of(batch, kind))
            .collect();
        let kinds = kinds?;
        let gauges: Result<Vec<Numbers<'_>>, String> =
            GAUGES.iter().map(|name| batch.numbers(name)).collect();
        let gauges = gauges?;
        let mut counts = Vec::new();
        for (_, columns) in COUNTS {
            let columns: Result<Vec<Numbers<'_>>, String> =
                columns.iter().map(|name| batch.numbers(name)).collect();
            counts.push(columns?);
        }
        for row in 0..batch.rows() {
            let Some(start_ns) = starts.long(row) else {
                continue;
            };
            let row_of_service = Row {
                start_ns,
                kinds: std::array::from_fn(|at| kinds[at].row(row)),
                gauges: std::array::from_fn(|at| gauges[at].double(row)),
                counts: std::array::from_fn(|at| {
                    counts[at].iter().map(|column| column.count(row)).sum()
                }),
            };
            self.push(services.or_empty(row), row_of_service);
        }
        Ok(())
    }

    fn steps(&self) -> usize {
        let length = self.to_ns.saturating_sub(self.from_ns).max(0);
        usize::try_from(length / self.step_ns).unwrap_or(0)
    }

    /// The rows as series, of so few points that the page stays small.
    pub(crate) fn series(&self, table: &str, began_ns: i64) -> Series {
        let rows = self.steps();
        // A service has some three kinds of five figures, and some of the others.
        let most = (MOST_NUMBERS / (self.services.len().max(1) * 20)).clamp(60, MOST_POINTS);
        let rows_per_step = rows.div_ceil(most).max(1);
        let steps = rows.div_ceil(rows_per_step);
        let services = self.services.iter();
        Series {
            table: table.to_owned(),
            from_s: seconds_since(began_ns, self.from_ns),
            step_s: self.step_ns as f64 / 1e9 * rows_per_step as f64,
            steps,
            rows_per_step,
            services: services
                .map(|(name, rows)| self.service(name, rows, steps, rows_per_step))
                .collect(),
        }
    }

    fn service(
        &self,
        name: &str,
        rows: &[Row],
        steps: usize,
        rows_per_step: usize,
    ) -> ServiceSeries {
        let mut sums: Vec<Sums> = vec![Sums::default(); steps];
        for row in rows {
            let at = (row.start_ns - self.from_ns) / self.step_ns / rows_per_step as i64;
            if let Some(sum) = usize::try_from(at).ok().and_then(|at| sums.get_mut(at)) {
                sum.add(row);
            }
        }
        let mut kinds = BTreeMap::new();
        for (at, kind) in KINDS.into_iter().enumerate() {
            if sums.iter().any(|sum| sum.kinds[at].count > 0) {
                kinds.insert(kind, Sums::kind(&sums, at));
            }
        }
        let mut gauges = BTreeMap::new();
        for (at, name) in GAUGES.into_iter().enumerate() {
            let figure = |sum: &Sums| match name {
                "saturation" => sum.gauges[at].most.map(four),
                _ => sum.gauges[at].mean.mean().map(four),
            };
            let figures: Vec<Option<f64>> = sums.iter().map(figure).collect();
            if figures.iter().any(Option::is_some) {
                gauges.insert(name, figures);
            }
        }
        let mut counts = BTreeMap::new();
        for (at, (name, _)) in COUNTS.into_iter().enumerate() {
            if sums.iter().any(|sum| sum.counts[at] > 0) {
                counts.insert(name, sums.iter().map(|sum| sum.counts[at]).collect());
            }
        }
        ServiceSeries {
            service: name.to_owned(),
            kinds,
            gauges,
            counts,
        }
    }
}

/// A mean in the making.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    known: f64,
}

impl Mean {
    fn add(&mut self, value: Option<f64>, weight: f64) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.sum += value * weight;
            self.known += weight;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.known > 0.0).then(|| self.sum / self.known)
    }
}

/// What falls into one step.
#[derive(Clone, Default)]
struct Sums {
    kinds: [KindSums; KINDS.len()],
    gauges: [Gauge; GAUGES.len()],
    counts: [u64; COUNTS.len()],
}

/// Means, and the largest of a saturation.
#[derive(Clone, Copy, Default)]
struct Gauge {
    mean: Mean,
    most: Option<f64>,
}

#[derive(Clone, Copy, Default)]
struct KindSums {
    count: u64,
    errors: u64,
    quantiles: [Mean; 3],
}

impl Sums {
    fn add(&mut self, row: &Row) {
        for (sum, of) in self.kinds.iter_mut().zip(row.kinds) {
            sum.count += of.count;
            sum.errors += of.errors;
            for (mean, value) in sum.quantiles.iter_mut().zip(of.quantiles) {
                mean.add(value, of.count as f64);
            }
        }
        for (gauge, value) in self.gauges.iter_mut().zip(row.gauges) {
            gauge.mean.add(value, 1.0);
            gauge.most = [gauge.most, value].into_iter().flatten().reduce(f64::max);
        }
        for (sum, count) in self.counts.iter_mut().zip(row.counts) {
            *sum += count;
        }
    }

    fn kind(sums: &[Self], at: usize) -> KindSeries {
        let quantile = |which: usize| {
            let means = sums.iter().map(|sum| sum.kinds[at].quantiles[which].mean());
            means.map(|mean| mean.map(four)).collect()
        };
        KindSeries {
            count: sums.iter().map(|sum| sum.kinds[at].count).collect(),
            errors: sums.iter().map(|sum| sum.kinds[at].errors).collect(),
            p50: quantile(0),
            p95: quantile(1),
            p99: quantile(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many services with client spans in each row of 5 s.
    fn rows(services: usize, rows_of_each: i64) -> Rows {
        let mut rows = Rows::new(5_000_000_000);
        let calls = KindRow {
            count: 10,
            errors: 1,
            quantiles: [Some(12.345_678), Some(23.456_789), Some(34.567_89)],
        };
        for service in 0..services {
            for row in 0..rows_of_each {
                let start_ns = row * 5_000_000_000;
                rows.push(
                    &format!("service-{service}"),
                    Row::of_client(start_ns, calls),
                );
            }
        }
        rows
    }

    #[test]
    fn fifteen_minutes_of_many_services_stay_small() {
        let series = rows(200, 180).series("windows_features_5s", 0);
        assert_eq!(
            (series.rows_per_step, series.steps, series.step_s),
            (2, 90, 10.0)
        );
        let calls = &series.services[0].kinds["client"];
        assert_eq!((calls.count[0], calls.errors[0]), (20, 2));
        assert_eq!(calls.p95[0], Some(23.46));
        let size = serde_json::to_string(&series).expect("JSON").len();
        assert!(size < 1_000_000, "{size}");
    }

    #[test]
    fn a_day_has_no_more_points_than_an_hour() {
        let hour = rows(3, 720).series("windows_features_5s", 0);
        assert_eq!((hour.rows_per_step, hour.steps), (1, 720));
        let day = rows(3, 17_280).series("windows_features_5s", 0);
        assert_eq!((day.rows_per_step, day.steps, day.step_s), (24, 720, 120.0));
    }
}

//! The table of services over buckets of five seconds, while what it is made of comes in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use loadgen_otlp::source::{Skipped, Unit};

use super::events::{Event, kind_column, severity_column};
use super::figures::{Figures, Said as Figure, figure_of};
use super::grid::{Grid, LONGEST_S, SECOND_NS};
use super::in_flight::InFlight;
use super::series::{Reading, Series, SeriesPoint};
use super::templates::Templates;
use super::windows::Begun;
use crate::dataset::buckets::{Bucket, BucketRow, Buckets, LABELS};
use crate::dataset::said::{LabelSource, LabelTexts, Said, StretchTexts};
use crate::dataset::table::{Column, Kind, Table, Value};
use crate::label::interval::{Meaning, SeriesPoint as StatedPoint, intervals};
use crate::label::trace::{CONSUMER, ERROR, SERVER};
use crate::scan::UnitRecords;
use crate::scan::batch::{number, text, value_or_zero};
use crate::scan::records::{LogBatch, PointBatch, SpanBatch};
use arrow_array::Array;
use loadgen_timeline::phase::Phase;

/// Length of a bucket, in nanoseconds.
pub const BUCKET_NS: i64 = LONGEST_S * SECOND_NS;

/// Points of metrics that lie further back say nothing of a bucket: that much an increase may cover.
const POINTS_NS: i64 = 300 * SECOND_NS;

/// A span counts as open for so many buckets at the most, an hour; longer silences are passed over.
const MOST_BUCKETS: i64 = 720;

/// The columns that a bucket has for each service, by their names in `windows_features_5s`.
pub fn columns() -> Vec<&'static str> {
    feature_columns().iter().map(|column| column.name).collect()
}

fn feature_columns() -> Vec<Column<Buckets<5>>> {
    let not_features = [
        "timestamp",
        "start_time_ns",
        "end_time_ns",
        "service_name",
        "is_root_cause_service",
        "service_affected",
    ];
    let mut columns = Buckets::<5>::columns();
    columns.retain(|of| !not_features.contains(&of.name) && !LABELS.contains(&of.name));
    columns
}

/// A bucket that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveBucket {
    /// When it begins, Unix nanoseconds.
    pub start_ns: i64,
    /// By service: the values of [`columns`], in their order; none where the table has null.
    pub services: BTreeMap<String, Vec<Option<f64>>>,
}

/// What has come of a bucket that is not over.
#[derive(Debug)]
struct OpenBucket {
    grid: Grid,
    services: HashMap<String, OpenService>,
    /// Trace, span, start, and whose it is: each span counts once.
    seen: HashSet<([u64; 2], u64, i64, String)>,
}

#[derive(Debug, Default)]
struct OpenService {
    begun: Begun,
    in_flight: InFlight,
}

impl OpenBucket {
    fn new(start_ns: i64) -> Self {
        Self {
            grid: Grid::new(Some((start_ns, start_ns + BUCKET_NS))),
            services: HashMap::new(),
            seen: HashSet::new(),
        }
    }

    fn service(&mut self, name: &str) -> &mut OpenService {
        if !self.services.contains_key(name) {
            self.services
                .insert(name.to_owned(), OpenService::default());
        }
        self.services.entry(name.to_owned()).or_default()
    }
}

/// A series of a metric that may say something of a service.
#[derive(Debug)]
struct LiveSeries {
    service: String,
    metric: String,
    unit: String,
    attributes: String,
    origin: String,
    is_distribution: bool,
    meaning: Meaning,
    /// In the order of their times.
    points: Vec<StatedPoint>,
}

/// Gathers telemetry by bucket.
#[derive(Debug, Default)]
pub struct LiveBuckets {
    /// By start.
    open: BTreeMap<i64, OpenBucket>,
    series: HashMap<u64, LiveSeries>,
    /// Of each service that ever said something.
    templates: BTreeMap<String, Templates>,
    /// What spans and records of before say is not the run's.
    from_ns: Option<i64>,
    /// The start of the next bucket to be given away.
    next_ns: Option<i64>,
    latest_ns: Option<i64>,
    late: u64,
    units: u64,
}

impl LiveBuckets {
    /// Nothing yet. What begins before `from_ns`, in Unix nanoseconds, does not count, and the first
    /// bucket is that with this moment; or else that of the first span or log record.
    pub fn new(from_ns: Option<i64>) -> Self {
        Self {
            next_ns: from_ns.map(start_of),
            from_ns,
            ..Self::default()
        }
    }

    /// The latest moment that was named, Unix nanoseconds.
    pub fn latest_ns(&self) -> Option<i64> {
        self.latest_ns
    }

    /// Spans and log records whose bucket had been given away when they came.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Takes in what a unit of a file says; messages that can't be read.
    ///
    /// # Errors
    /// When records can't be made of it, which is a bug.
    pub fn read(&mut self, unit: &Unit) -> io::Result<Vec<Skipped>> {
        let records = UnitRecords::of(unit, self.units)?;
        self.units += 1;
        for spans in &records.spans {
            (0..spans.span_id.len()).for_each(|row| self.span(spans, row));
        }
        for points in &records.points {
            (0..points.series.len()).for_each(|row| self.point(points, row));
        }
        for logs in &records.logs {
            (0..logs.span_id.len()).for_each(|row| self.log(logs, row));
        }
        Ok(records.skipped)
    }

    /// Gives away the buckets that end at `until_ns` or before, each once and in order, also those in
    /// which nothing happened.
    pub fn close(&mut self, until_ns: i64) -> Vec<LiveBucket> {
        let mut closed = Vec::new();
        let first = self.open.keys().next().copied();
        let Some(mut next_ns) = self.next_ns.or(first) else {
            return closed;
        };
        let columns = feature_columns();
        while next_ns + BUCKET_NS <= until_ns {
            let of = self.open.remove(&next_ns);
            let of = of.unwrap_or_else(|| OpenBucket::new(next_ns));
            closed.push(self.bucket(next_ns, of, &columns));
            let following = next_ns + BUCKET_NS;
            let begun = self.open.keys().next().copied().unwrap_or(until_ns);
            let is_silent = begun - following > MOST_BUCKETS * BUCKET_NS;
            next_ns = if is_silent {
                start_of(begun)
            } else {
                following
            };
        }
        self.next_ns = Some(next_ns);
        self.forget(next_ns);
        closed
    }

    fn bucket(
        &self,
        start_ns: i64,
        mut of: OpenBucket,
        columns: &[Column<Buckets<5>>],
    ) -> LiveBucket {
        let mut figures = self.figures(start_ns);
        let mut row = |name: &String, templates: &Templates| {
            let service = of.services.remove(name).unwrap_or_default();
            let new = templates.first_seen();
            let new = new.filter(|at| start_of(*at) == start_ns).count() as u64;
            let open_ns = service
                .in_flight
                .open_ns()
                .iter()
                .take(LONGEST_S as usize)
                .sum();
            let said = figures.remove(name).unwrap_or_default();
            let bucket = service
                .begun
                .bucket(LONGEST_S as usize, open_ns, &said, new);
            (name.clone(), values(start_ns, bucket, columns))
        };
        LiveBucket {
            start_ns,
            services: self
                .templates
                .iter()
                .map(|(name, of)| row(name, of))
                .collect(),
        }
    }

    /// What metrics say of each service in each second of a bucket.
    fn figures(&self, start_ns: i64) -> HashMap<String, Vec<Figure>> {
        let from_ns = start_ns + BUCKET_NS - POINTS_NS;
        // A level that is first said a little later is that of before as well.
        let grid = Grid::new(Some((from_ns, start_ns + 2 * BUCKET_NS)));
        let mut figures: HashMap<&str, Figures> = HashMap::new();
        for series in self.series.values() {
            let points = series.points();
            if let Some((figure, values)) = figure_of(&grid, &series.of(&points)) {
                figures
                    .entry(&series.service)
                    .or_default()
                    .put(figure, &values);
            }
        }
        let first = grid.second(start_ns).unwrap_or_default();
        let of_bucket = |(service, of): (&str, Figures)| {
            let said = of.finish(&grid);
            let seconds = said.into_iter().skip(first).take(LONGEST_S as usize);
            (service.to_owned(), seconds.collect())
        };
        figures.into_iter().map(of_bucket).collect()
    }

    fn span(&mut self, spans: &SpanBatch, row: usize) {
        let service = spans.service_name.value(row);
        self.know(service);
        let Some(start) = number(&spans.start_ns, row).filter(|at| self.counts(*at)) else {
            return;
        };
        let end = number(&spans.end_ns, row).filter(|end| *end >= start);
        self.heard(end.unwrap_or(start));
        let kind = spans.kind.value(row);
        if let Some(bucket) = self.open(start) {
            let trace = [spans.trace_high.value(row), spans.trace_low.value(row)];
            let whose = format!("{service} {}", spans.instance(row).unwrap_or_default());
            if !bucket
                .seen
                .insert((trace, spans.span_id.value(row), start, whose))
            {
                return;
            }
            let event = Event::Span {
                kind: kind_column(kind),
                error: spans.status.value(row) == ERROR,
            };
            bucket
                .service(service)
                .begun
                .add(event, end.map(|end| end - start));
        } else {
            self.late += 1;
        }
        let Some(end) = end.filter(|_| [SERVER, CONSUMER].contains(&kind)) else {
            return;
        };
        let mut at = start_of(start).max(start_of(end) - MOST_BUCKETS * BUCKET_NS);
        at = at.max(self.next_ns.unwrap_or(at));
        while at < end {
            if let Some(bucket) = self.open(at) {
                let grid = bucket.grid;
                bucket.service(service).in_flight.add(&grid, start, end);
            }
            at += BUCKET_NS;
        }
    }

    fn log(&mut self, logs: &LogBatch, row: usize) {
        let service = logs.service_name.value(row);
        self.know(service);
        let Some(time) = number(&logs.time_ns, row).filter(|at| self.counts(*at)) else {
            return;
        };
        self.heard(time);
        let body = text(&logs.body, row).unwrap_or_default();
        if let Some(templates) = self.templates.get_mut(service) {
            templates.add(body, time);
        }
        let severity = severity_column(
            logs.severity_number.value(row),
            logs.severity_text.value(row),
        );
        match self.open(time) {
            Some(bucket) => bucket
                .service(service)
                .begun
                .add(Event::Log(severity), None),
            None => self.late += 1,
        }
    }

    fn point(&mut self, points: &PointBatch, row: usize) {
        let time = value_or_zero(&points.time_ns, row);
        self.heard(time);
        let stated = StatedPoint {
            meaning: Meaning::from_number(points.meaning.value(row)),
            start: value_or_zero(&points.start_ns, row),
            time,
            total: (!points.total.is_null(row)).then(|| points.total.value(row)),
            sum: None,
        };
        let number = points.series.value(row);
        if !self.series.contains_key(&number) {
            let series = LiveSeries::begun_by(points, row);
            // Whoever says something of itself has rows; metrics without a figure make no service.
            if figure_of(&Grid::new(None), &series.of(&[])).is_some() {
                self.know(&series.service);
            }
            self.series.insert(number, series);
        }
        if let Some(series) = self.series.get_mut(&number) {
            let at = series.points.partition_point(|point| point.time <= time);
            series.points.insert(at, stated);
        }
    }

    fn counts(&self, at_ns: i64) -> bool {
        self.from_ns.is_none_or(|from_ns| at_ns >= from_ns)
    }

    fn know(&mut self, service: &str) {
        if !self.templates.contains_key(service) {
            self.templates
                .insert(service.to_owned(), Templates::default());
        }
    }

    fn heard(&mut self, at_ns: i64) {
        self.latest_ns = self.latest_ns.max(Some(at_ns));
    }

    /// The bucket with a moment; none: it was given away.
    fn open(&mut self, at_ns: i64) -> Option<&mut OpenBucket> {
        let start_ns = start_of(at_ns);
        if self.next_ns.is_some_and(|next| start_ns < next) {
            return None;
        }
        let bucket = self.open.entry(start_ns);
        Some(bucket.or_insert_with(|| OpenBucket::new(start_ns)))
    }

    /// Leaves out points that say nothing of a bucket from `next_ns` on.
    fn forget(&mut self, next_ns: i64) {
        let from_ns = next_ns - POINTS_NS;
        for series in self.series.values_mut() {
            let old = series.points.partition_point(|point| point.time < from_ns);
            // One more, which the next counts from.
            series.points.drain(..old.saturating_sub(1));
        }
        self.series.retain(|_, series| {
            let last = series.points.last();
            last.is_some_and(|last| last.time >= from_ns)
        });
    }
}

impl LiveSeries {
    fn begun_by(points: &PointBatch, row: usize) -> Self {
        let origin = [
            &points.service_instance_id,
            &points.host_name,
            &points.container_name,
            &points.k8s_pod_name,
        ];
        let origin = origin.map(|column| text(column, row).unwrap_or_default());
        Self {
            service: points.service_name.value(row).to_owned(),
            metric: points.metric_name.value(row).to_owned(),
            unit: points.unit.value(row).to_owned(),
            attributes: points.attributes.value(row).to_owned(),
            origin: origin.join(" "),
            is_distribution: !["gauge", "sum"].contains(&points.metric_type.value(row)),
            meaning: Meaning::from_number(points.meaning.value(row)),
            points: Vec::new(),
        }
    }

    fn is_level(&self) -> bool {
        matches!(self.meaning, Meaning::Moment | Meaning::Cumulative)
    }

    /// What its points say.
    fn points(&self) -> Vec<SeriesPoint> {
        let said = self.points.iter().zip(intervals(&self.points));
        let point = |(point, interval): (&StatedPoint, crate::label::interval::PointInterval)| {
            let total = point.total.filter(|_| interval.end != 0)?;
            let value = if self.is_level() {
                total
            } else {
                interval.increase?
            };
            Some(SeriesPoint {
                start: interval.start,
                end: interval.end,
                value,
            })
        };
        said.filter_map(point).collect()
    }

    fn of<'s>(&'s self, points: &'s [SeriesPoint]) -> Series<'s> {
        Series {
            metric: &self.metric,
            unit: &self.unit,
            attributes: &self.attributes,
            origin: &self.origin,
            reading: match self.is_level() {
                true => Reading::Level,
                false => Reading::Increase,
            },
            is_distribution: self.is_distribution,
            points,
        }
    }
}

fn start_of(at_ns: i64) -> i64 {
    at_ns.div_euclid(BUCKET_NS) * BUCKET_NS
}

/// The cells of a row, as numbers in the columns' units.
fn values(start_ns: i64, bucket: Bucket, columns: &[Column<Buckets<5>>]) -> Vec<Option<f64>> {
    // Nothing is known that the label columns would say, and they are not looked at.
    let label = LabelTexts::default();
    let stretch = StretchTexts::default();
    let row = BucketRow {
        start_ns,
        end_ns: start_ns + BUCKET_NS,
        service: "",
        bucket,
        said: Said {
            label: &label,
            stretch: &stretch,
            source: LabelSource::None,
            phase: Phase::Steady,
            foreign: None,
        },
    };
    let cell = |column: &Column<Buckets<5>>| match ((column.value)(&row), column.kind) {
        (Value::Int(ns), Kind::Milliseconds) => Some(ns as f64 / 1e6),
        (Value::Int(value), _) => Some(value as f64),
        (Value::Double(value), _) => Some(value),
        _ => None,
    };
    columns.iter().map(cell).collect()
}

//! Metrics in a wide table: a row a second, a column a series.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::io;

use serde_json::{Map, Value};
use twox_hash::XxHash64;

use super::distribution::Buckets;
use super::grid::{Grid, SECOND_NS};
use crate::dataset::buckets::LABELS;
use crate::scan::batch::batch;
use crate::scan::spool::Dealt;

/// So many columns at the most; of more, those whose names have the smallest hashes.
pub(crate) const MOST_COLUMNS: usize = 4096;

/// The quantile that is told of a histogram or a summary.
const QUANTILE: f64 = 0.95;

batch! {
    /// What series say in a second.
    ReadingBatch, ReadingBuilder {
        /// The second, by its place in the grid.
        second: U32,
        /// The column's number: the hash of its key.
        column: U64,
        /// The series that says it: of several the order in which they are put together.
        series: U64,
        value: F64,
    }
}

/// How what several series say of one column in a second is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Together {
    /// Rates, counts and sums that may fall.
    Sum,
    /// Gauges.
    Mean,
    /// Quantiles.
    Highest,
}

/// What a column is of. Instances of a service are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ColumnKey {
    /// The service, or what stands for it where none is named.
    pub(crate) service: String,
    /// Name of the metric, with `_count` or `_p95` of a distribution.
    pub(crate) name: String,
    /// JSON, keys sorted.
    pub(crate) attributes: String,
    pub(crate) metric_type: String,
    pub(crate) unit: String,
    /// The instrumentation.
    pub(crate) scope: String,
    pub(crate) together: Together,
    /// It is growth a second.
    pub(crate) is_rate: bool,
}

impl ColumnKey {
    fn hash(&self) -> u64 {
        let mut hasher = XxHash64::with_seed(0);
        self.hash_into(&mut hasher);
        hasher.finish()
    }

    fn hash_into(&self, hasher: &mut XxHash64) {
        (&self.service, &self.name, &self.attributes).hash(hasher);
        (&self.metric_type, &self.unit, &self.scope).hash(hasher);
    }
}

/// Columns by their numbers. Those of a run are bounded by its series.
pub(crate) type WideColumns = BTreeMap<u64, ColumnKey>;

/// A point of a series with the time that it speaks of, in Unix nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WidePoint {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Its level, or its growth; none: of the first of a cumulative series.
    pub(crate) value: Option<f64>,
    /// Of a distribution what it has counted so far.
    pub(crate) total: f64,
    pub(crate) buckets: Option<Buckets>,
}

/// Collects what series say, by the slice of time that it is said of.
pub(crate) struct Readings<'g> {
    grid: &'g Grid,
    slices: usize,
    by_slice: BTreeMap<usize, ReadingBuilder>,
    pub(crate) columns: WideColumns,
}

impl<'g> Readings<'g> {
    pub(crate) fn new(grid: &'g Grid, slices: usize) -> Self {
        Self {
            grid,
            slices,
            by_slice: BTreeMap::new(),
            columns: WideColumns::new(),
        }
    }

    /// Adds a series whose points are levels, or growth, in the order of their times.
    pub(crate) fn values(&mut self, key: ColumnKey, series: u64, points: &[WidePoint]) {
        let values = match key.is_rate {
            true => growths(self.grid, points),
            false => last(self.grid, points, |point, _| point.value),
        };
        self.put(key, series, values);
    }

    /// Adds the quantile of a distribution. `adds_up`: each point counts all since its beginning.
    pub(crate) fn quantiles(
        &mut self,
        key: ColumnKey,
        series: u64,
        points: &[WidePoint],
        adds_up: bool,
    ) {
        let quantile = |point: &WidePoint, before: Option<&WidePoint>| {
            let buckets = point.buckets.as_ref()?;
            // What was reset grew by all that it has.
            let is_whole = !adds_up || point.value == Some(point.total);
            match (is_whole, before) {
                (true, _) => buckets.quantile(QUANTILE),
                (false, Some(before)) => {
                    buckets.since(before.buckets.as_ref()?)?.quantile(QUANTILE)
                }
                (false, None) => None,
            }
        };
        let values = last(self.grid, points, quantile);
        self.put(key, series, values);
    }

    fn put(&mut self, key: ColumnKey, series: u64, values: BTreeMap<usize, f64>) {
        let column = key.hash();
        for (second, value) in values.into_iter().filter(|(_, value)| value.is_finite()) {
            let slice = self.grid.slice_of(second, self.slices);
            let of = self.by_slice.entry(slice).or_default();
            of.second.append_value(second as u32);
            of.column.append_value(column);
            of.series.append_value(series);
            of.value.append_value(value);
        }
        self.columns.entry(column).or_insert(key);
    }

    /// What was collected, by slice.
    pub(crate) fn finish(self) -> io::Result<(Vec<Dealt>, WideColumns)> {
        let finish = |(slice, mut of): (usize, ReadingBuilder)| {
            Ok((slice, of.finish().map_err(io::Error::other)?))
        };
        let dealt = self.by_slice.into_iter().map(finish);
        Ok((dealt.collect::<io::Result<_>>()?, self.columns))
    }
}

/// What the last point in each second says that says anything.
fn last(
    grid: &Grid,
    points: &[WidePoint],
    value: impl Fn(&WidePoint, Option<&WidePoint>) -> Option<f64>,
) -> BTreeMap<usize, f64> {
    let mut values = BTreeMap::new();
    for (index, point) in points.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &points[before]);
        if let Some((second, value)) = grid.second(point.end).zip(value(point, before)) {
            values.insert(second, value);
        }
    }
    values
}

/// Growth a second, of the points whose time lies in each second together.
fn growths(grid: &Grid, points: &[WidePoint]) -> BTreeMap<usize, f64> {
    let mut sums: BTreeMap<usize, (f64, i64)> = BTreeMap::new();
    for point in points.iter().filter(|point| point.start < point.end) {
        if let Some((second, value)) = grid.second(point.end).zip(point.value) {
            let (sum, length) = sums.entry(second).or_default();
            *sum += value;
            *length += point.end - point.start;
        }
    }
    let rate = |(sum, length): (f64, i64)| sum / (length as f64 / SECOND_NS as f64);
    sums.into_iter()
        .map(|(second, of)| (second, rate(of)))
        .collect()
}

/// What each column says in each second of a slice: by second and column, put together.
pub(crate) fn together(
    readings: &ReadingBatch,
    columns: &WideColumns,
) -> BTreeMap<(usize, u64), f64> {
    let mut order: Vec<usize> = (0..readings.second.len()).collect();
    let key = |row: usize| (readings.second.value(row), readings.column.value(row));
    order.sort_by(|&a, &b| {
        let series = |row: usize| readings.series.value(row);
        let value = |row: usize| readings.value.value(row);
        (key(a), series(a))
            .cmp(&(key(b), series(b)))
            .then(value(a).total_cmp(&value(b)))
    });
    let mut found = BTreeMap::new();
    for rows in order.chunk_by(|a, b| key(*a) == key(*b)) {
        let (second, column) = key(rows[0]);
        let values = rows.iter().map(|row| readings.value.value(*row));
        let value = match columns.get(&column).map(|key| key.together) {
            Some(Together::Sum) => values.sum::<f64>(),
            Some(Together::Highest) => values.fold(f64::NEG_INFINITY, f64::max),
            Some(Together::Mean) => values.sum::<f64>() / rows.len() as f64,
            None => continue,
        };
        found.insert((second as usize, column), value);
    }
    found
}

/// The names of columns, all different, with their numbers, in the order of the names.
pub(crate) fn names(columns: &WideColumns) -> BTreeMap<String, u64> {
    let mut by_name: BTreeMap<String, Vec<(&ColumnKey, u64)>> = BTreeMap::new();
    for (number, key) in columns {
        let service = key.service.replace('_', "-");
        let name = format!("{service}_{}", key.name);
        by_name.entry(name).or_default().push((key, *number));
    }
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    for (name, mut of) in by_name {
        of.sort();
        let telling = telling(&of);
        for (key, number) in of {
            let wanted = match said(&attributes(key), &telling) {
                attributes if attributes.is_empty() => name.clone(),
                attributes => format!("{name}{{{attributes}}}"),
            };
            let mut free = wanted.clone();
            let mut next = 2;
            while named.contains_key(&free) || LABELS.contains(&free.as_str()) {
                free = format!("{wanted}#{next}");
                next += 1;
            }
            named.insert(free, number);
        }
    }
    let hash = |name: &String| {
        let mut hasher = XxHash64::with_seed(0);
        name.hash(&mut hasher);
        hasher.finish()
    };
    if named.len() > MOST_COLUMNS {
        let mut hashes: Vec<u64> = named.keys().map(hash).collect();
        hashes.sort_unstable();
        let limit = hashes[MOST_COLUMNS];
        named.retain(|name, _| hash(name) < limit);
    }
    named
}

/// The keys of the attributes that tell columns of one name apart.
fn telling(of: &[(&ColumnKey, u64)]) -> BTreeSet<String> {
    let all: Vec<Map<String, Value>> = of.iter().map(|(key, _)| attributes(key)).collect();
    let keys: BTreeSet<&String> = all.iter().flat_map(Map::keys).collect();
    let differs = |key: &&String| all.iter().any(|of| of.get(*key) != all[0].get(*key));
    keys.into_iter().filter(differs).cloned().collect()
}

fn attributes(key: &ColumnKey) -> Map<String, Value> {
    serde_json::from_str(&key.attributes).unwrap_or_default()
}

/// Those of the attributes that are named, as text.
fn said(attributes: &Map<String, Value>, keys: &BTreeSet<String>) -> String {
    let pairs = keys.iter().filter_map(|key| {
        Some(match attributes.get(key)? {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
    });
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(service: &str, name: &str, attributes: &str, unit: &str) -> ColumnKey {
        ColumnKey {
            service: service.into(),
            name: name.into(),
            attributes: attributes.into(),
            metric_type: "gauge".into(),
            unit: unit.into(),
            scope: String::new(),
            together: Together::Mean,
            is_rate: false,
        }
    }

    fn columns(keys: &[ColumnKey]) -> WideColumns {
        keys.iter().map(|key| (key.hash(), key.clone())).collect()
    }

    #[test]
    fn names_say_what_tells_series_apart_and_no_more() {
        let keys = [
            key("my_cart", "queue.depth", r#"{"queue":"a","host":"h"}"#, "1"),
            key("my_cart", "queue.depth", r#"{"queue":"b","host":"h"}"#, "1"),
            key(
                "my_cart",
                "queue.depth",
                r#"{"queue":"b","host":"h"}"#,
                "By",
            ),
            key("my_cart", "heap", r#"{"host":"h"}"#, "By"),
        ];
        let found: Vec<String> = names(&columns(&keys)).into_keys().collect();
        let expected = [
            "my-cart_heap",
            "my-cart_queue.depth{queue=a}",
            "my-cart_queue.depth{queue=b}",
            "my-cart_queue.depth{queue=b}#2",
        ];
        assert_eq!(found, expected);
        let mut reversed = keys.to_vec();
        reversed.reverse();
        assert_eq!(names(&columns(&reversed)), names(&columns(&keys)));
    }

    #[test]
    fn no_series_has_the_name_of_a_label() {
        let keys = [key("anomaly", "type", "{}", "1")];
        let found: Vec<String> = names(&columns(&keys)).into_keys().collect();
        assert_eq!(found, ["anomaly_type#2"]);
    }

    #[test]
    fn what_instances_say_is_put_together() {
        let grid = Grid::new(Some((0, 10 * SECOND_NS)));
        let point = |start: f64, end: f64, value: f64| WidePoint {
            start: (start * 1e9) as i64,
            end: (end * 1e9) as i64,
            value: Some(value),
            total: 0.0,
            buckets: None,
        };
        let rate = ColumnKey {
            together: Together::Sum,
            is_rate: true,
            ..key("cart", "requests", "{}", "1")
        };
        let level = key("cart", "heap", "{}", "By");
        let mut readings = Readings::new(&grid, 1);
        for series in [1, 2] {
            // Two points in one second: four in half a second, none in the other half.
            let points = [
                point(1.0, 1.5, 4.0),
                point(1.5, 1.9, 0.0),
                point(2.0, 2.0, 9.0),
            ];
            readings.values(rate.clone(), series, &points);
            let level_of = series as f64;
            readings.values(
                level.clone(),
                series,
                &[point(1.2, 1.2, 8.0), point(1.4, 1.4, level_of)],
            );
        }
        let (dealt, columns) = readings.finish().expect("made");
        let batch = crate::scan::batch::Batch::view(&dealt[0].1).expect("a view");
        let found = together(&batch, &columns);
        let at = |key: &ColumnKey, second: usize| found.get(&(second, key.hash())).copied();
        assert_eq!(at(&rate, 1).map(|rate| (rate * 9.0).round()), Some(80.0));
        assert_eq!(at(&rate, 2), None);
        assert_eq!(at(&level, 1), Some(1.5));
    }
}

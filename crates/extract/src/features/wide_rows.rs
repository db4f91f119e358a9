//! Rows of the wide table of metrics, slice of time by slice of time.

use std::collections::BTreeMap;
use std::io;

use super::grid::{Grid, SECOND_NS};
use super::rules::FeatureRules;
use super::wide::{ColumnKey, ReadingBatch, Together, WideColumns as Keys, names, together};
use crate::dataset::files::TableFiles;
use crate::dataset::rows::Made;
use crate::dataset::staging::{StagedFile, Staging};
use crate::dataset::wide::{SeriesColumn, WideColumns, WideRow, WideRows};
use crate::parallel::in_order;
use crate::rules::RowRules;
use crate::scan::batch::Batch;
use crate::scan::spool::Spool;

/// Cells that are made at once.
const CELLS_AT_ONCE: usize = 1 << 20;

/// Writes the table. Gives its files and its columns.
pub(super) fn write(
    readings: &Spool,
    keys: &Keys,
    (features, rules): (&FeatureRules, &RowRules<'_>),
    workers: usize,
    staging: &mut Staging,
    stamp: &str,
) -> io::Result<(Vec<StagedFile>, WideColumns)> {
    let names = names(keys);
    let numbers: Vec<u64> = names.values().copied().collect();
    let series = names
        .iter()
        .filter_map(|(name, number)| Some(column(name, keys.get(number)?)));
    let columns = WideColumns::new(rules.formats, series.collect());
    let mut files = TableFiles::create_wide(staging, stamp, &columns)?;
    let make = |slice: usize| {
        let readings = ReadingBatch::view(&readings.read(slice)?).map_err(io::Error::other)?;
        let values = together(&readings, keys);
        let seconds = features.grid.slice(slice, features.slices);
        let of = (&features.grid, rules);
        rows(of, &columns, &numbers, &values, seconds)
    };
    in_order(features.slices, workers, make, |made: Vec<Made>| {
        made.iter().try_for_each(|rows| files.append(rows))
    })?;
    Ok((files.finish()?.into_iter().flatten().collect(), columns))
}

fn rows(
    (grid, rules): (&Grid, &RowRules<'_>),
    columns: &WideColumns,
    numbers: &[u64],
    values: &BTreeMap<(usize, u64), f64>,
    seconds: std::ops::Range<usize>,
) -> io::Result<Vec<Made>> {
    let mut rows = WideRows::new(columns);
    let mut made = Vec::new();
    for second in seconds.filter(|second| grid.meets_run(*second, 1)) {
        let start = grid.start_ns(second);
        let said = rules.texts.over((start, start + SECOND_NS), None).0;
        if !rules.keeps(&said) {
            continue;
        }
        let time_s = start / SECOND_NS;
        let of = numbers
            .iter()
            .map(|number| values.get(&(second, *number)).copied());
        rows.push(&WideRow { time_s, said }, of);
        if rows.len() as usize * numbers.len().max(1) >= CELLS_AT_ONCE {
            made.push(rows.take()?);
        }
    }
    if rows.len() > 0 {
        made.push(rows.take()?);
    }
    Ok(made)
}

fn column(name: &str, key: &ColumnKey) -> SeriesColumn {
    let unit = match (key.is_rate, key.unit.as_str()) {
        // How many measurements a second, whatever is measured.
        (true, _) if key.name.ends_with("_count") => "1/s".to_owned(),
        (true, "" | "1") => "1/s".to_owned(),
        (true, unit) => format!("{unit}/s"),
        (false, unit) => unit.to_owned(),
    };
    let what = match (key.is_rate, key.together) {
        (true, _) => "growth a second of",
        (_, Together::Highest) => "95th percentile of",
        _ => "last level of",
    };
    let instances = match key.together {
        Together::Sum => "added up",
        Together::Mean => "their mean",
        Together::Highest => "the highest",
    };
    let metric = key.name.strip_suffix("_p95").unwrap_or(&key.name);
    let metric = match key.metric_type.as_str() {
        "gauge" | "sum" => metric,
        _ => metric.strip_suffix("_count").unwrap_or(metric),
    };
    SeriesColumn {
        name: name.to_owned(),
        meaning: format!(
            "{what} the {} {metric} of {} with {}, unit `{unit}`; of several instances {instances}",
            key.metric_type.replace('_', " "),
            key.service,
            key.attributes,
        ),
        unit,
    }
}

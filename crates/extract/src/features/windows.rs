//! Tables of services over time: a row for each service and bucket of seconds.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::OverTime;
use super::events::{Event, EventBatch, KINDS, SEVERITIES};
use super::figures::Said;
use super::grid::{Grid, SECOND_NS};
use super::rules::FeatureRules;
use crate::dataset::buckets::{Bucket, BucketRow, Buckets, OfKind};
use crate::dataset::files::TableFiles;
use crate::dataset::rows::{Columns, Made, Rows};
use crate::dataset::staging::{StagedFile, Staging};
use crate::parallel::in_order;
use crate::rules::{ROWS_AT_ONCE, RowRules};
use crate::scan::batch::Batch;
use arrow_array::Array;

/// What is known of a service by second, once all is gathered.
struct ByService<'f> {
    name: &'f str,
    open_ns: Vec<i64>,
    said: Vec<Said>,
    /// Templates that were first seen in a second.
    new_templates: BTreeMap<usize, u64>,
}

/// What began in a bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun {
    kinds: [OfKind; KINDS],
    durations: [Vec<i64>; KINDS],
    logs: [u64; SEVERITIES],
}

impl Begun {
    pub(super) fn add(&mut self, event: Event, duration: Option<i64>) {
        match event {
            Event::Log(severity) => self.logs[severity] += 1,
            Event::Span { kind, error } => {
                self.kinds[kind].count += 1;
                self.kinds[kind].errors += u64::from(error);
                self.durations[kind].extend(duration);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        for kind in 0..KINDS {
            self.kinds[kind].count += other.kinds[kind].count;
            self.kinds[kind].errors += other.kinds[kind].errors;
            self.durations[kind].extend(&other.durations[kind]);
        }
        for (sum, of) in self.logs.iter_mut().zip(other.logs) {
            *sum += of;
        }
    }

    /// What is known of a service in a bucket of so many seconds, with the time that its spans were
    /// open in them, what metrics say of each second, and how many templates were new.
    pub(super) fn bucket(
        mut self,
        seconds: usize,
        open_ns: i64,
        said: &[Said],
        new_log_templates: u64,
    ) -> Bucket {
        for (kind, durations) in self.kinds.iter_mut().zip(&mut self.durations) {
            durations.sort_unstable();
            kind.quantiles_ns = [50, 95, 99].map(|percent| quantile(durations, percent));
        }
        let of = |figure: fn(&Said) -> Option<f64>| said.iter().filter_map(figure);
        Bucket {
            in_flight: open_ns as f64 / (seconds as i64 * SECOND_NS) as f64,
            cpu: mean(of(|said| said.cpu)),
            saturation: of(|said| said.saturation).max_by(f64::total_cmp),
            queue: mean(of(|said| said.queue)),
            new_log_templates,
            kinds: self.kinds,
            logs: self.logs,
        }
    }
}

/// The quantile of sorted values by the nearest rank: the smallest that at least so many per cent
/// are not above.
fn quantile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Writes both tables.
pub(crate) fn write(
    over_time: &OverTime,
    (of, rules): (&FeatureRules, &RowRules<'_>),
    workers: usize,
    staging: &mut Staging,
    stamp: &str,
) -> io::Result<Vec<StagedFile>> {
    let services: Vec<ByService<'_>> = over_time
        .services
        .iter()
        .map(|s| by_service(of, s))
        .collect();
    let numbers: BTreeMap<&str, usize> = services.iter().map(|s| s.name).zip(0..).collect();
    let columns = (
        Columns::<Buckets<1>>::all(rules.formats),
        Columns::<Buckets<5>>::all(rules.formats),
    );
    let mut one = TableFiles::create(staging, stamp, &columns.0)?;
    let mut five = TableFiles::create(staging, stamp, &columns.1)?;
    let make = |slice: usize| {
        let seconds = of.grid.slice(slice, of.slices);
        let begun = begun(&over_time.events.read(slice)?, &numbers, &seconds)?;
        let of_slice = Slice {
            grid: &of.grid,
            rules,
            services: &services,
            begun,
            seconds,
        };
        Ok((of_slice.rows(&columns.0)?, of_slice.rows(&columns.1)?))
    };
    in_order(of.slices, workers, make, |made: (Vec<Made>, Vec<Made>)| {
        for (files, all) in [(&mut one, made.0), (&mut five, made.1)] {
            for rows in &all {
                files.append(rows)?;
            }
        }
        Ok(())
    })?;
    Ok([one.finish()?, five.finish()?]
        .into_iter()
        .flatten()
        .flatten()
        .collect())
}

fn by_service<'f>(
    rules: &FeatureRules,
    (name, of): (&'f String, &super::Service),
) -> ByService<'f> {
    let mut new_templates = BTreeMap::new();
    for second in of
        .templates
        .first_seen()
        .filter_map(|at| rules.grid.second(at))
    {
        *new_templates.entry(second).or_default() += 1;
    }
    ByService {
        name,
        open_ns: of.in_flight.open_ns(),
        said: of.figures.finish(&rules.grid),
        new_templates,
    }
}

/// What began in each second of a slice, by second and service.
fn begun(
    events: &arrow_array::RecordBatch,
    numbers: &BTreeMap<&str, usize>,
    seconds: &Range<usize>,
) -> io::Result<BTreeMap<(usize, usize), Begun>> {
    let events = EventBatch::view(events).map_err(io::Error::other)?;
    let mut all: BTreeMap<(usize, usize), Begun> = BTreeMap::new();
    for row in 0..events.second.len() {
        let second = events.second.value(row) as usize;
        let service = numbers.get(events.service.value(row));
        let Some(service) = service.filter(|_| seconds.contains(&second)) else {
            continue;
        };
        let duration = (!events.duration_ns.is_null(row)).then(|| events.duration_ns.value(row));
        let event = Event::from_number(events.what.value(row));
        all.entry((second, *service))
            .or_default()
            .add(event, duration);
    }
    Ok(all)
}

/// A slice of time whose rows are made.
struct Slice<'s, 'r> {
    grid: &'s Grid,
    rules: &'s RowRules<'r>,
    services: &'s [ByService<'s>],
    begun: BTreeMap<(usize, usize), Begun>,
    seconds: Range<usize>,
}

impl Slice<'_, '_> {
    fn rows<const SECONDS: usize>(
        &self,
        columns: &Columns<Buckets<SECONDS>>,
    ) -> io::Result<Vec<Made>> {
        let grid = self.grid;
        let mut rows = Rows::new(columns);
        let mut made = Vec::new();
        for first in self.seconds.clone().step_by(SECONDS) {
            if !grid.meets_run(first, SECONDS) {
                continue;
            }
            let start_ns = grid.start_ns(first);
            let end_ns = start_ns + SECONDS as i64 * SECOND_NS;
            let said = self.rules.texts.over((start_ns, end_ns), None).0;
            if !self.rules.keeps(&said) {
                continue;
            }
            for (number, service) in self.services.iter().enumerate() {
                let bucket = self.bucket(first..first + SECONDS, number, service);
                rows.push(&BucketRow {
                    start_ns,
                    end_ns,
                    service: service.name,
                    bucket,
                    said,
                });
                if rows.len() == ROWS_AT_ONCE {
                    made.push(rows.take()?);
                }
            }
        }
        if rows.len() > 0 {
            made.push(rows.take()?);
        }
        Ok(made)
    }

    fn bucket(&self, seconds: Range<usize>, number: usize, service: &ByService<'_>) -> Bucket {
        let mut begun = Begun::default();
        for of in seconds
            .clone()
            .filter_map(|second| self.begun.get(&(second, number)))
        {
            begun.merge(of);
        }
        let open_ns = service.open_ns.get(seconds.clone()).unwrap_or_default();
        let said = service.said.get(seconds.clone()).unwrap_or_default();
        let new_templates = service.new_templates.range(seconds.clone());
        let new_templates = new_templates.map(|(_, n)| n).sum();
        begun.bucket(seconds.len(), open_ns.iter().sum(), said, new_templates)
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_value_of_the_nearest_rank() {
        assert_eq!(quantile(&[], 50), None);
        assert_eq!([50, 95, 99].map(|p| quantile(&[7], p)), [Some(7); 3]);
        let hundred: Vec<i64> = (1..=100).collect();
        let of = |values: &[i64]| [50, 95, 99].map(|p| quantile(values, p));
        assert_eq!(of(&hundred), [Some(50), Some(95), Some(99)]);
        assert_eq!(of(&hundred[..3]), [Some(2), Some(3), Some(3)]);
    }
}

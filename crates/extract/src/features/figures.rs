//! What metrics say of a service in each second: processors used, utilisation, what waits.
//!
//! Which metrics say it is known by their names alone. Processor time and queues are those of the
//! evidence (`loadgen_evidence::cpu_preference`, `saturation`); utilisations are gauges that call
//! themselves so, and pools and queues that send both what is used and how much there is.

use std::collections::BTreeMap;

use loadgen_evidence::{Cpu, Saturation, cpu_preference, is_idle_time, saturation, seconds_in};
use serde_json::{Map, Value};

use super::grid::Grid;
use super::series::{Reading, Series, levels, rates};

/// Figures are added up in whole billionths, so that their order does not matter.
const BILLIONTHS: f64 = 1e9;

/// Nothing is said of a second.
const NOTHING: i64 = i64::MIN;

/// Figures beyond this, in either direction, are cut.
const LARGEST: f64 = 1e9;

/// What a series is a figure of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// Processors used, by the metric that says it; of several the first counts.
    Cpu(Cpu, String),
    /// Requests or messages that wait.
    Waiting,
    /// A share that is used, as the metric itself says.
    Utilisation,
    /// What is used of a pool, by its name and attributes.
    Used(String),
    /// How much of it there is.
    Limit(String),
}

/// The figures of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// By second, in billionths; [`NOTHING`] where there is no figure.
    by_second: BTreeMap<Figure, Vec<i64>>,
}

/// What is known of a service in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Said {
    /// Processors used.
    pub(crate) cpu: Option<f64>,
    /// The largest share that is used of a pool, a queue or the processors.
    pub(crate) saturation: Option<f64>,
    /// Requests and messages that wait.
    pub(crate) queue: Option<f64>,
}

/// What a whole series is a figure of, and its values by second, in billionths; none: it is none.
pub(super) fn figure_of(grid: &Grid, series: &Series<'_>) -> Option<(Figure, Vec<i64>)> {
    let (figure, scale) = figure(series)?;
    let values = match series.reading {
        Reading::Level => levels(grid, series.points),
        Reading::Increase => rates(grid, series.points),
    };
    let billionths = |value: Option<f64>| match value {
        Some(value) if value.is_finite() => {
            ((value * scale).clamp(-LARGEST, LARGEST) * BILLIONTHS).round() as i64
        }
        _ => NOTHING,
    };
    Some((figure, values.into_iter().map(billionths).collect()))
}

impl Figures {
    /// Adds the values of a series.
    pub(super) fn put(&mut self, figure: Figure, values: &[i64]) {
        let is_highest = figure == Figure::Utilisation;
        let sums = self.by_second.entry(figure).or_default();
        if sums.len() < values.len() {
            sums.resize(values.len(), NOTHING);
        }
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum = match (*sum, value) {
                (NOTHING, of) | (of, NOTHING) => of,
                (a, b) if is_highest => a.max(b),
                (a, b) => a.saturating_add(b),
            };
        }
    }

    /// Adds those of another part of the same run.
    pub(crate) fn merge(&mut self, other: Self) {
        for (figure, values) in other.by_second {
            self.put(figure, &values);
        }
    }

    /// What is said of each second.
    pub(crate) fn finish(&self, grid: &Grid) -> Vec<Said> {
        let mut all = vec![Said::default(); grid.len()];
        let value =
            |billionths: i64| (billionths != NOTHING).then_some(billionths as f64 / BILLIONTHS);
        let mut has_cpu = false;
        for (figure, values) in &self.by_second {
            let shares = match figure {
                Figure::Cpu(..) if has_cpu => continue,
                Figure::Cpu(..) | Figure::Waiting | Figure::Utilisation => {
                    values.iter().map(|of| value(*of)).collect()
                }
                Figure::Used(pool) => {
                    let limit = self.by_second.get(&Figure::Limit(pool.clone()));
                    let limits = held(limit.map_or(&[], |limit| &limit[..]));
                    let used = values.iter().map(|of| value(*of));
                    let share = |(used, limit): (Option<f64>, Option<i64>)| {
                        Some(used? / value(limit?).filter(|limit| *limit > 0.0)?)
                    };
                    used.zip(limits).map(share).collect::<Vec<_>>()
                }
                Figure::Limit(_) => continue,
            };
            has_cpu |= matches!(figure, Figure::Cpu(..));
            for (said, value) in all.iter_mut().zip(shares) {
                let Some(value) = value else { continue };
                match figure {
                    Figure::Cpu(..) => said.cpu = Some(value),
                    Figure::Waiting => said.queue = Some(value),
                    _ => said.saturation = Some(said.saturation.map_or(value, |s| s.max(value))),
                }
            }
        }
        all
    }
}

/// How much of something there is changes hardly ever: in each second the last that was said,
/// before the first the first.
fn held(values: &[i64]) -> Vec<Option<i64>> {
    let mut last = values.iter().copied().find(|value| *value != NOTHING);
    let hold = |value: &i64| {
        if *value != NOTHING {
            last = Some(*value);
        }
        last
    };
    values.iter().map(hold).collect()
}

/// What a series is a figure of, and by what its values are multiplied.
fn figure(series: &Series<'_>) -> Option<(Figure, f64)> {
    let (name, is_level) = (series.metric, series.reading == Reading::Level);
    if series.is_distribution {
        return None;
    }
    if is_level && let Some(scale) = utilisation(name, series.unit) {
        return Some((Figure::Utilisation, scale));
    }
    if let Some(preference) = cpu_preference(name) {
        // A share of all processors is not a number of them; what is in use is one.
        let fits = match is_level {
            true => preference.is_level() && name.to_ascii_lowercase().ends_with("cpu.usage"),
            false => !preference.is_level() && !is_idle_time(series.attributes),
        };
        let scale = if is_level {
            1.0
        } else {
            seconds_in(series.unit)
        };
        return fits.then(|| (Figure::Cpu(preference, name.to_owned()), scale));
    }
    if !is_level {
        return None;
    }
    if let Some(figure) = pool(series) {
        return Some((figure, 1.0));
    }
    let waits = saturation(name) == Some(Saturation::Waiting);
    waits.then_some((Figure::Waiting, 1.0))
}

fn percent(unit: &str) -> f64 {
    if unit == "%" { 0.01 } else { 1.0 }
}

/// Whether a gauge is the share used of processors, a loop of events, a pool or a queue, and by
/// what it is multiplied to be one of 0 to 1. That of the host is shared, and a container's of
/// processors is in processors or in per cent, depending on who sends it.
fn utilisation(name: &str, unit: &str) -> Option<f64> {
    let name = name.to_ascii_lowercase();
    let is_share = name.ends_with("utilization") || name.ends_with("utilisation");
    let of = [
        "cpu",
        "eventloop",
        "pool",
        "queue",
        "thread",
        "worker",
        "connection",
    ];
    let is_ours = !["system", "container", "otel", "otlp"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    (is_share && is_ours && of.iter().any(|of| name.contains(of))).then(|| percent(unit))
}

/// What a level says of a pool or a queue of limited size.
fn pool(series: &Series<'_>) -> Option<Figure> {
    let name = series.metric.to_ascii_lowercase();
    let at = name.rfind(['.', '_'])?;
    let (base, last) = (&name[..at], &name[at + 1..]);
    let of = [
        "connection",
        "pool",
        "queue",
        "thread",
        "executor",
        "worker",
    ];
    let is_pool = of.iter().any(|of| base.contains(of));
    if !is_pool || base.starts_with("otel") || base.starts_with("otlp") {
        return None;
    }
    let mut attributes: Map<String, Value> =
        serde_json::from_str(series.attributes).unwrap_or_default();
    let is_state = |key: &String| key == "state" || key.ends_with(".state");
    let state = attributes.keys().find(|key| is_state(key)).cloned();
    let state = state.and_then(|key| attributes.remove(&key));
    let is_used = match state.as_ref().and_then(Value::as_str) {
        Some(state) => ["usage", "count", "used", "active"].contains(&last) && state == "used",
        None => ["usage", "active", "used", "in_use", "busy"].contains(&last),
    };
    let is_limit = ["max", "limit", "capacity"].contains(&last);
    let key = || format!("{base} {} {}", Value::Object(attributes), series.origin);
    match (is_used, is_limit) {
        (true, _) => Some(Figure::Used(key())),
        (_, true) => Some(Figure::Limit(key())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::SECOND_NS;
    use super::super::series::SeriesPoint;
    use super::*;

    fn series<'s>(metric: &'s str, attributes: &'s str, points: &'s [SeriesPoint]) -> Series<'s> {
        Series {
            metric,
            unit: "1",
            attributes,
            origin: "one",
            reading: Reading::Level,
            is_distribution: false,
            points,
        }
    }

    fn add(figures: &mut Figures, grid: &Grid, series: &Series<'_>) {
        if let Some((figure, values)) = figure_of(grid, series) {
            figures.put(figure, &values);
        }
    }

    fn at(second: i64, value: f64) -> SeriesPoint {
        SeriesPoint {
            start: second * SECOND_NS,
            end: second * SECOND_NS,
            value,
        }
    }

    #[test]
    fn a_pool_is_as_full_as_its_use_is_of_its_limit() {
        let grid = Grid::new(Some((0, 5 * SECOND_NS)));
        let [used, idle] = ["used", "idle"].map(|state| {
            format!(
                r#"{{"db.client.connection.state":"{state}","db.client.connection.pool.name":"p"}}"#
            )
        });
        let limit = r#"{"db.client.connection.pool.name":"p"}"#;
        let other = r#"{"db.client.connection.pool.name":"other"}"#;
        let mut figures = Figures::default();
        let (busy, free) = ([at(1, 3.0), at(2, 4.0)], [at(1, 1.0)]);
        add(
            &mut figures,
            &grid,
            &series("db.client.connection.count", &used, &busy),
        );
        add(
            &mut figures,
            &grid,
            &series("db.client.connection.count", &idle, &free),
        );
        add(
            &mut figures,
            &grid,
            &series("db.client.connection.max", limit, &[at(1, 4.0)]),
        );
        add(
            &mut figures,
            &grid,
            &series("db.client.connection.max", other, &[at(1, 1.0)]),
        );
        let pending = "db.client.connection.pending_requests";
        add(&mut figures, &grid, &series(pending, limit, &[at(2, 7.0)]));
        let said = figures.finish(&grid);
        let saturation: Vec<_> = said.iter().map(|said| said.saturation).collect();
        assert_eq!(saturation[..3], [None, Some(0.75), Some(1.0)]);
        assert_eq!(said[2].queue, Some(7.0));
        assert_eq!(said[2].cpu, None);
    }

    #[test]
    fn processors_are_those_of_the_first_metric_that_says_it() {
        let grid = Grid::new(Some((0, 5 * SECOND_NS)));
        let spent = [SeriesPoint {
            start: 0,
            end: 2 * SECOND_NS,
            value: 3000.0,
        }];
        let counter = |metric, attributes| Series {
            reading: Reading::Increase,
            unit: "ms",
            ..series(metric, attributes, &spent)
        };
        let mut figures = Figures::default();
        add(&mut figures, &grid, &counter("jvm.cpu.time", "{}"));
        add(
            &mut figures,
            &grid,
            &counter("process.cpu.time", r#"{"state":"user"}"#),
        );
        add(
            &mut figures,
            &grid,
            &counter("process.cpu.time", r#"{"state":"system"}"#),
        );
        add(
            &mut figures,
            &grid,
            &counter("process.cpu.time", r#"{"state":"idle"}"#),
        );
        let cpu: Vec<_> = figures.finish(&grid).iter().map(|said| said.cpu).collect();
        assert_eq!(cpu, [Some(3.0), Some(3.0), None, None, None]);
    }

    #[test]
    fn gauges_of_utilisation_count_by_their_names() {
        for (name, unit, expected) in [
            ("nodejs.eventloop.utilization", "1", Some(1.0)),
            ("jvm.cpu.recent_utilization", "1", Some(1.0)),
            ("k8s.pod.cpu_limit_utilization", "%", Some(0.01)),
            ("system.cpu.utilization", "1", None),
            ("jvm.memory.utilization", "1", None),
            ("nodejs.eventloop.time", "s", None),
        ] {
            assert_eq!(utilisation(name, unit), expected, "{name}");
        }
    }
}

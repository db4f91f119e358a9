//! From pairs of runs to a [`Comparison`].

use std::collections::BTreeSet;

use loadgen_scenario::ArrivalSchedule;

use crate::comparison::{
    COMPARISON_SCHEMA_VERSION, Comparison, Difference, Intervals, LeftOut, PairOfRuns, Row,
    RunReference, ScenarioComparison, Sides,
};
use crate::figures::{self, ComparedFigure, Figure, FigureUnit, Value};
use crate::load::{LoadedRun, ScenarioRequests};
use crate::pair::Pair;
use crate::statistics::{
    BOOTSTRAP_SEED, CONFIDENCE, FigureVerdict, Kind, MeanDifference, RESAMPLES, SortedValues,
    paired_quantiles, paired_scalars, pairs_to_settle, verdict,
};
use crate::work::{WorkAgreement, agreement};
use crate::{agree, cause};

/// What a comparison is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Up to so many percent either way count as the same, above 0.
    pub tolerance_percent: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tolerance_percent: 10.0,
        }
    }
}

/// Percentages are compared by points, and a tolerance of that share of the other one: ten points
/// more of failed requests are not the same.
const POINTS: f64 = 0.1;

const ONE_PAIR: &str = "one pair of runs: how much runs differ from each other by chance is not \
                        known. Intervals of latencies come from within the two runs alone, and \
                        single numbers have none";

/// Compares pairs of runs, at least one for anything to come of it.
pub fn compare(pairs: &[Pair], left_out: Vec<LeftOut>, options: &Options) -> Comparison {
    let first = pairs.first();
    let sides = sides(first);
    let mut warnings = agree::warnings(pairs);
    if pairs.len() == 1 {
        warnings.push(ONE_PAIR.to_owned());
    }
    for run in &left_out {
        warnings.push(format!(
            "repetition {} is left out: {}: {}",
            run.repetition,
            run.folder.display(),
            run.reason
        ));
    }
    let names = first.map_or_else(Vec::new, |pair| {
        let scenarios = pair.a.plan.scenarios.iter();
        let sending = scenarios.filter(|s| s.executor.sends());
        sending.map(|s| &*s.name).collect()
    });
    let scenarios = names
        .into_iter()
        .filter_map(|name| scenario(name, pairs, &sides, options))
        .collect();
    let of_runs = pairs
        .iter()
        .map(|pair| (figures::of_run(&pair.a), figures::of_run(&pair.b)))
        .collect();
    Comparison {
        schema_version: COMPARISON_SCHEMA_VERSION,
        loadgen_version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario_file: first.map_or_else(String::new, |p| p.a.started.scenario_file.clone()),
        time_scale: first.map_or(1.0, |pair| pair.a.started.time_scale),
        sides,
        tolerance_percent: options.tolerance_percent,
        intervals: Intervals {
            confidence: CONFIDENCE,
            resamples: RESAMPLES as u32,
            seed: BOOTSTRAP_SEED,
        },
        warnings,
        pairs: pairs.iter().map(pair_of_runs).collect(),
        left_out,
        run: rows("", of_runs, options),
        scenarios,
    }
}

fn sides(first: Option<&Pair>) -> Sides {
    let (a, b) = first.map_or(("rust", "k6"), |pair| (pair.a.engine(), pair.b.engine()));
    if a == b {
        Sides {
            a: format!("A ({a})"),
            b: format!("B ({b})"),
        }
    } else {
        Sides {
            a: a.to_owned(),
            b: b.to_owned(),
        }
    }
}

fn pair_of_runs(pair: &Pair) -> PairOfRuns {
    let reference = |run: &LoadedRun| RunReference {
        folder: run.folder.clone(),
        run_id: run.started.run_id.clone(),
        engine: run.engine().to_owned(),
        engine_version: run.started.engine_version.clone(),
        seed: run.started.seed,
        at_ns: run.started.at_ns,
        dataset: run.target_side.as_ref().map(|side| side.stamp.clone()),
    };
    PairOfRuns {
        repetition: pair.repetition,
        first: if pair.a_was_first() { "a" } else { "b" }.to_owned(),
        a: reference(&pair.a),
        b: reference(&pair.b),
    }
}

/// None: not every run has it, which the warnings say.
fn scenario(
    name: &str,
    pairs: &[Pair],
    sides: &Sides,
    options: &Options,
) -> Option<ScenarioComparison> {
    let requests = |run: &LoadedRun| run.scenarios.iter().position(|s| s.scenario == name);
    let runs = || pairs.iter().flat_map(|pair| [&pair.a, &pair.b]);
    if runs().any(|run| requests(run).is_none()) {
        return None;
    }
    let of = |run: &LoadedRun| -> usize { requests(run).unwrap_or_default() };
    let kinds: BTreeSet<String> = runs()
        .flat_map(|run| run.scenarios[of(run)].failures.keys().cloned())
        .collect();
    let plan = &pairs.first()?.a.plan;
    let planned = plan.scenarios.iter().find(|s| s.name == name)?;
    let is_open_model = ArrivalSchedule::new(&planned.executor).is_some();
    let by_pair = pairs
        .iter()
        .map(|pair| {
            (
                figures_of_scenario(&pair.a, of(&pair.a), is_open_model, &kinds),
                figures_of_scenario(&pair.b, of(&pair.b), is_open_model, &kinds),
            )
        })
        .collect();
    let mut rows = rows(name, by_pair, options);
    let a_was_first: Vec<bool> = pairs.iter().map(Pair::a_was_first).collect();
    cause::explain(&mut rows, sides, &a_was_first, is_open_model);
    let mut work = WorkAgreement::default();
    for pair in pairs {
        let (a, b) = (of(&pair.a), of(&pair.b));
        work += agreement(&pair.a.scenarios[a].choices, &pair.b.scenarios[b].choices);
    }
    let summary = pairs.first()?.a.summary.scenarios.iter();
    Some(ScenarioComparison {
        scenario: name.to_owned(),
        anomaly_type: planned.anomaly.kind.clone(),
        asked_iterations_per_s: summary
            .into_iter()
            .find(|s| s.scenario == name)
            .and_then(|s| s.asked_iterations_per_s),
        work,
        rows,
    })
}

fn figures_of_scenario<'r>(
    run: &'r LoadedRun,
    index: usize,
    is_open_model: bool,
    kinds: &BTreeSet<String>,
) -> Vec<Figure<'r>> {
    let requests: &ScenarioRequests = &run.scenarios[index];
    let summary = run
        .summary
        .scenarios
        .iter()
        .find(|s| s.scenario == requests.scenario);
    summary.map_or_else(Vec::new, |summary| {
        figures::of_scenario(summary, requests, is_open_model, kinds)
    })
}

/// The figures of both runs of a pair.
type OfPair<'r> = (Vec<Figure<'r>>, Vec<Figure<'r>>);

/// One row a figure.
fn rows(scenario: &str, by_pair: Vec<OfPair<'_>>, options: &Options) -> Vec<Row> {
    let Some((first, _)) = by_pair.first() else {
        return Vec::new();
    };
    let metrics = first.iter().map(|figure| figure.metric.clone());
    let of_metric = |metric: ComparedFigure| {
        let values: Vec<_> = by_pair
            .iter()
            .map(|(a, b)| (value(a, &metric.id), value(b, &metric.id)))
            .collect();
        row(scenario, metric, &values, options)
    };
    metrics.map(of_metric).collect()
}

fn value<'r>(figures: &[Figure<'r>], id: &str) -> Option<Value<'r>> {
    figures.iter().find(|figure| figure.metric.id == id)?.value
}

type Values<'r> = (Option<Value<'r>>, Option<Value<'r>>);

fn row(scenario: &str, metric: ComparedFigure, values: &[Values<'_>], options: &Options) -> Row {
    let number = |value: &Option<Value<'_>>| value.and_then(|value| value.number());
    let mut row = Row {
        a: values.iter().map(|(a, _)| number(a)).collect(),
        b: values.iter().map(|(_, b)| number(b)).collect(),
        metric,
        difference: None,
        verdict: FigureVerdict::NotAvailable,
        repetitions_to_settle: None,
        note: String::new(),
    };
    let both: Vec<(Value<'_>, Value<'_>)> = values.iter().filter_map(|(a, b)| a.zip(*b)).collect();
    let kind = match row.metric.unit.kind() {
        // There is no ratio to nothing, nor of nothing.
        Kind::Relative if row.a.iter().chain(&row.b).flatten().any(|x| *x <= 0.0) => Kind::Absolute,
        kind => kind,
    };
    let tolerance = match (kind, row.metric.unit) {
        (Kind::Relative, _) => options.tolerance_percent,
        (Kind::Absolute, FigureUnit::Percent) => options.tolerance_percent * POINTS,
        (Kind::Absolute, _) => 0.0,
    };
    let seed = BOOTSTRAP_SEED ^ fnv_1a(&format!("{scenario}/{}", row.metric.id));
    let Some(estimate) = estimate(&both, kind, seed) else {
        return row;
    };
    row.verdict = verdict(estimate.interval, tolerance);
    row.repetitions_to_settle = pairs_to_settle(&estimate, kind, tolerance);
    row.note = why_not(&both, &estimate);
    row.difference = Some(Difference {
        kind,
        mean: estimate.mean,
        low: estimate.interval.map(|(low, _)| low),
        high: estimate.interval.map(|(_, high)| high),
        by_pair: estimate.by_pair,
        tolerance,
    });
    row
}

fn estimate(both: &[(Value<'_>, Value<'_>)], kind: Kind, seed: u64) -> Option<MeanDifference> {
    if let Some((Value::Quantile(_, p), _)) = both.first() {
        let samples: Vec<(&SortedValues, &SortedValues)> =
            both.iter().filter_map(samples).collect();
        return paired_quantiles(&samples, *p, kind, seed);
    }
    let numbers: Vec<(f64, f64)> = both
        .iter()
        .filter_map(|(a, b)| a.number().zip(b.number()))
        .collect();
    paired_scalars(&numbers, kind, seed)
}

fn samples<'r>(both: &(Value<'r>, Value<'r>)) -> Option<(&'r SortedValues, &'r SortedValues)> {
    match both {
        (Value::Quantile(a, _), Value::Quantile(b, _)) => Some((a, b)),
        _ => None,
    }
}

/// Why there is no interval, where more pairs alone would not help.
fn why_not(both: &[(Value<'_>, Value<'_>)], estimate: &MeanDifference) -> String {
    let is_quantile = matches!(both.first(), Some((Value::Quantile(..), _)));
    if is_quantile && estimate.interval.is_none() {
        "Too few requests lie beyond this quantile in one of the runs.".to_owned()
    } else {
        String::new()
    }
}

/// A hash that is the same everywhere and always, so that each row draws the same numbers again.
fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

//! `comparison.html`: one page, with everything in it, of the parts that reports of runs have.

use std::io;

use serde::Serialize;

use super::curves::{self, Points};
use super::text::same_work;
use crate::comparison::Comparison;
use crate::pair::Pair;
use crate::statistics::SortedValues;

/// What the page shows. Its scripts read it as JSON, by the names of these fields.
#[derive(Serialize)]
struct Page<'c> {
    loadgen_version: &'static str,
    comparison: &'c Comparison,
    /// Whether both sides sent the same, in words.
    same_work: String,
    curves: Vec<ScenarioCurves<'c>>,
}

#[derive(Serialize)]
struct ScenarioCurves<'c> {
    scenario: &'c str,
    latencies: Vec<Curve>,
    rates: Vec<Curve>,
}

/// A line of a chart.
#[derive(Serialize)]
struct Curve {
    is_b: bool,
    /// `client` or `target`: who measured it; `all` where only one can.
    of: &'static str,
    points: Points,
}

pub(super) fn html(comparison: &Comparison, pairs: &[Pair]) -> io::Result<String> {
    let scenarios = comparison.scenarios.iter();
    let page = Page {
        loadgen_version: env!("CARGO_PKG_VERSION"),
        comparison,
        same_work: same_work(comparison),
        curves: scenarios
            .map(|scenario| scenario_curves(&scenario.scenario, pairs))
            .collect(),
    };
    let (a, b) = (&comparison.sides.a, &comparison.sides.b);
    let title = format!("{b} against {a}: {}", comparison.scenario_file);
    Ok(loadgen_report::comparison_html(&title, &page)?)
}

fn scenario_curves<'c>(scenario: &'c str, pairs: &[Pair]) -> ScenarioCurves<'c> {
    let mut of_scenario = ScenarioCurves {
        scenario,
        latencies: Vec::new(),
        rates: Vec::new(),
    };
    let runs = pairs
        .iter()
        .flat_map(|pair| [(&pair.a, false), (&pair.b, true)]);
    for (run, is_b) in runs {
        let mut of_run = run.scenarios.iter();
        let Some(requests) = of_run.find(|s| s.scenario == scenario) else {
            continue;
        };
        let curve = |of: &'static str, sample: &SortedValues| Curve {
            is_b,
            of,
            points: rounded(curves::quantiles(sample)),
        };
        of_scenario
            .latencies
            .push(curve("target", &requests.server_ms));
        of_scenario
            .latencies
            .push(curve("client", &requests.client_ms));
        of_scenario.rates.push(Curve {
            is_b,
            of: "all",
            points: rounded(curves::rates(requests)),
        });
    }
    of_scenario
}

/// Finer than a pixel, and short as text.
fn rounded(points: Points) -> Points {
    let four = |value: f64| format!("{value:.3e}").parse().unwrap_or(value);
    points
        .into_iter()
        .map(|(x, y)| (four(x), four(y)))
        .collect()
}

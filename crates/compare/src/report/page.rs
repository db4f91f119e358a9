//! `comparison.html`: one page, with everything in it.

use std::io;

use askama::Template;

use super::curves;
use super::number;
use super::plots::{self, Branch, Curve};
use super::text::same_work;
use crate::comparison::{Comparison, Difference, Row, ScenarioComparison};
use crate::pair::Pair;
use crate::statistics::{Kind, Sample, Verdict};

#[derive(Template)]
#[template(path = "comparison.html")]
struct Page<'c> {
    comparison: &'c Comparison,
    points: f64,
    confidence: f64,
    same_work: String,
    overview_columns: Vec<&'static str>,
    overview: Vec<OverviewRow<'c>>,
    forest_client: String,
    forest_target: String,
    run: Vec<RowView<'c>>,
    scenarios: Vec<ScenarioView<'c>>,
}

struct OverviewRow<'c> {
    scenario: &'c str,
    cells: Vec<CellView>,
}

struct CellView {
    class: &'static str,
    text: String,
    words: &'static str,
}

struct ScenarioView<'c> {
    of: &'c ScenarioComparison,
    same_iterations: String,
    latencies: String,
    rates: String,
    rows: Vec<RowView<'c>>,
}

struct RowView<'c> {
    title: String,
    id: &'c str,
    a: String,
    b: String,
    difference: String,
    interval: String,
    verdict: &'static str,
    class: &'static str,
    note: &'c str,
}

/// Figures of the overview: id and heading.
const OVERVIEW: [(&str, &str); 11] = [
    ("requests", "requests sent"),
    ("iterations", "iterations"),
    ("failed", "requests failed"),
    ("client.p50", "client p50"),
    ("client.p95", "client p95"),
    ("client.p99", "client p99"),
    ("server.p50", "target p50"),
    ("server.p95", "target p95"),
    ("server.p99", "target p99"),
    ("outside.p50", "outside p50"),
    ("cpu_per_1000", "CPU"),
];

pub(super) fn html(comparison: &Comparison, pairs: &[Pair]) -> io::Result<String> {
    let shown = OVERVIEW.iter().filter(|(id, _)| {
        let of = |s: &ScenarioComparison| {
            find(&s.rows, id).is_some_and(|row| row.verdict != Verdict::NotAvailable)
        };
        comparison.scenarios.iter().any(of)
    });
    let shown: Vec<(&str, &str)> = shown.copied().collect();
    let overview = comparison.scenarios.iter().map(|scenario| OverviewRow {
        scenario: &scenario.scenario,
        cells: shown
            .iter()
            .map(|(id, _)| cell(find(&scenario.rows, id)))
            .collect(),
    });
    let scenarios: io::Result<Vec<ScenarioView<'_>>> = comparison
        .scenarios
        .iter()
        .map(|scenario| scenario_view(scenario, pairs))
        .collect();
    let page = Page {
        comparison,
        points: comparison.tolerance_percent / 10.0,
        confidence: 100.0 * comparison.intervals.confidence,
        same_work: same_work(comparison),
        overview_columns: shown.iter().map(|(_, heading)| *heading).collect(),
        overview: overview.collect(),
        forest_client: forest(comparison, "client", "latency seen by the client")?,
        forest_target: forest(comparison, "server", "latency seen by the target")?,
        run: comparison.run.iter().map(row_view).collect(),
        scenarios: scenarios?,
    };
    page.render().map_err(io::Error::other)
}

fn find<'r>(rows: &'r [Row], id: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.metric.id == id)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Different => "different",
        Verdict::NotEnoughData => "unclear",
        Verdict::NotAvailable => "absent",
    }
}

fn cell(row: Option<&Row>) -> CellView {
    let verdict = row.map_or(Verdict::NotAvailable, |row| row.verdict);
    CellView {
        class: class(verdict),
        text: row
            .and_then(|row| row.difference.as_ref())
            .map_or("-".to_owned(), |difference| number::signed(difference.mean)),
        words: verdict.words(),
    }
}

fn row_view(row: &Row) -> RowView<'_> {
    let unit = row.metric.unit;
    RowView {
        title: number::with_unit(&row.metric.title, unit),
        id: &row.metric.id,
        a: number::value(row.mean_a(), unit),
        b: number::value(row.mean_b(), unit),
        difference: number::difference(row),
        interval: number::interval(row),
        verdict: row.verdict.words(),
        class: class(row.verdict),
        note: &row.note,
    }
}

fn scenario_view<'c>(
    scenario: &'c ScenarioComparison,
    pairs: &[Pair],
) -> io::Result<ScenarioView<'c>> {
    let mut latencies = Vec::new();
    let mut rates = Vec::new();
    let runs = pairs
        .iter()
        .flat_map(|pair| [(&pair.a, false), (&pair.b, true)]);
    for (run, is_b) in runs {
        let mut of_run = run.scenarios.iter();
        let Some(requests) = of_run.find(|s| s.scenario == scenario.scenario) else {
            continue;
        };
        let curve = |dashed: bool, sample: &Sample| Curve {
            is_b,
            dashed,
            points: curves::quantiles(sample),
        };
        latencies.push(curve(true, &requests.server_ms));
        latencies.push(curve(false, &requests.client_ms));
        rates.push(Curve {
            is_b,
            dashed: false,
            points: curves::rates(requests),
        });
    }
    let work = &scenario.work;
    Ok(ScenarioView {
        of: scenario,
        same_iterations: match work.iterations {
            0 => "no iteration was started by both".to_owned(),
            n => format!(
                "{} of {n} iterations that both started are alike",
                work.same_iterations
            ),
        },
        latencies: plots::latencies(&latencies)?,
        rates: plots::rates(&rates)?,
        rows: scenario.rows.iter().map(row_view).collect(),
    })
}

/// Relative differences of three quantiles in all scenarios.
fn forest(comparison: &Comparison, what: &str, title: &str) -> io::Result<String> {
    let mut branches = Vec::new();
    for scenario in &comparison.scenarios {
        let mut begins_group = true;
        for p in ["p50", "p95", "p99"] {
            let row = find(&scenario.rows, &format!("{what}.{p}"));
            let Some((row, difference)) = row.and_then(|row| Some((row, row.difference.as_ref()?)))
            else {
                continue;
            };
            if difference.kind != Kind::Relative {
                continue;
            }
            branches.push(Branch {
                label: format!("{} {p}", scenario.scenario),
                verdict: row.verdict,
                mean: difference.mean,
                interval: Difference::interval(difference),
                begins_group,
            });
            begins_group = false;
        }
    }
    let axis = format!("{title}: difference to {}, %", comparison.sides.a);
    plots::forest(&axis, &branches, comparison.tolerance_percent)
}

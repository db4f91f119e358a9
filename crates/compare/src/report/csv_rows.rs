//! `comparison.csv`: one row a scenario and figure.

use std::io;

use crate::comparison::{Comparison, Row};
use crate::statistics::Kind;

const COLUMNS: [&str; 14] = [
    "scenario",
    "metric",
    "unit",
    "pairs",
    "side_a",
    "side_b",
    "mean_a",
    "mean_b",
    "difference_kind",
    "difference",
    "interval_low",
    "interval_high",
    "tolerance",
    "verdict",
];

/// The comparison as CSV (RFC 4180, with a header). Numbers have nine digits; an empty cell: not
/// there. Rows of the runs as a whole have no scenario. Names of scenarios are letters,
/// digits, `_` and `-`, so no cell can be taken for a formula.
///
/// # Errors
/// None that the types allow.
pub fn csv(comparison: &Comparison) -> io::Result<String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(COLUMNS)?;
    for row in &comparison.run {
        out.write_record(cells("", row, comparison))?;
    }
    for scenario in &comparison.scenarios {
        for row in &scenario.rows {
            out.write_record(cells(&scenario.scenario, row, comparison))?;
        }
    }
    let bytes = out.into_inner().map_err(io::Error::other)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn cells(scenario: &str, row: &Row, comparison: &Comparison) -> [String; COLUMNS.len()] {
    let number = |value: Option<f64>| value.map_or(String::new(), number);
    let difference = row.difference.as_ref();
    let of = |field: fn(&crate::Difference) -> Option<f64>| number(difference.and_then(field));
    [
        scenario.to_owned(),
        row.metric.id.clone(),
        row.metric.unit.symbol().to_owned(),
        difference.map_or(0, |d| d.by_pair.len()).to_string(),
        comparison.sides.a.clone(),
        comparison.sides.b.clone(),
        number(row.mean_a()),
        number(row.mean_b()),
        match difference.map(|d| d.kind) {
            Some(Kind::Relative) => "relative_percent".to_owned(),
            Some(Kind::Absolute) => "absolute".to_owned(),
            None => String::new(),
        },
        of(|d| Some(d.mean)),
        of(|d| d.low),
        of(|d| d.high),
        of(|d| Some(d.tolerance)),
        row.verdict.words().to_owned(),
    ]
}

/// Nine digits that count: the rest differs from one processor's logarithms to another's.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.8e}").parse().unwrap_or(value);
    rounded.to_string()
}

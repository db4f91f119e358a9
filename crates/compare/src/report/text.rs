//! The comparison on a terminal, within 100 columns: an overview, then what differs in full.

use comfy_table::{CellAlignment, Table, presets};

use super::number;
use crate::comparison::{Comparison, Row, ScenarioComparison};
use crate::statistics::FigureVerdict;
use crate::work::WorkAgreement;

/// Columns of a terminal that the text fits into, apart from what can't be broken.
const WIDTH: usize = 100;

/// Columns of the overview: a figure and its heading.
const OVERVIEW: [(&str, &str); 8] = [
    ("requests", "requests"),
    ("failed", "failed"),
    ("client.p50", "client\np50"),
    ("client.p95", "client\np95"),
    ("server.p50", "target\np50"),
    ("server.p95", "target\np95"),
    ("outside.p50", "outside\np50"),
    ("cpu_per_1000", "CPU"),
];

/// The comparison for people.
pub fn table(comparison: &Comparison) -> String {
    let (a, b) = (&comparison.sides.a, &comparison.sides.b);
    let mut out = String::new();
    for warning in &comparison.warnings {
        out += &wrapped(&format!("warning: {warning}"));
    }
    if comparison.pairs.is_empty() {
        return out + "Nothing to compare: no pair of runs is complete.\n";
    }
    let tolerance = comparison.tolerance_percent;
    if let [pair] = comparison.pairs.as_slice() {
        let (of_a, of_b) = (pair.a.folder.display(), pair.b.folder.display());
        out += &format!("\n{a}: {of_a}\n{b}: {of_b}\n");
    }
    out += &format!(
        "\n{b} against {a}, {}: differences in percent of {a} (failed: in points)\n{}\n\
         =  same within {tolerance} % (failed: {} points)   ≠  different   ?  not enough data   \
         -  not available\noutside: client less target, by request. CPU: of the generator, by \
         request.\n",
        pairs(comparison),
        overview(comparison),
        tolerance / 10.0,
    );
    out += &format!("\n{}\n", same_work(comparison));
    let different = different(comparison);
    if different.is_empty() {
        out += "\nNo figure is shown to be different.\n";
    } else {
        out += &different;
    }
    out
}

fn pairs(comparison: &Comparison) -> String {
    match comparison.pairs.len() {
        1 => "one pair of runs".to_owned(),
        n => format!("{n} pairs of runs"),
    }
}

fn overview(comparison: &Comparison) -> Table {
    let shown: Vec<(&str, &str)> = OVERVIEW
        .into_iter()
        .filter(|(id, _)| {
            let of = |s: &ScenarioComparison| find(&s.rows, id).is_some_and(is_there);
            comparison.scenarios.iter().any(of)
        })
        .collect();
    let headings = shown.iter().map(|(_, heading)| *heading);
    let mut table = plain(std::iter::once("scenario").chain(headings));
    for scenario in &comparison.scenarios {
        let cells = shown
            .iter()
            .map(|(id, _)| find(&scenario.rows, id).map_or("-".to_owned(), cell));
        table.add_row(std::iter::once(scenario.scenario.clone()).chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn is_there(row: &Row) -> bool {
    row.verdict != FigureVerdict::NotAvailable
}

fn cell(row: &Row) -> String {
    let sign = match row.verdict {
        FigureVerdict::Same => "=",
        FigureVerdict::Different => "≠",
        FigureVerdict::NotEnoughData => "?",
        FigureVerdict::NotAvailable => return "-".to_owned(),
    };
    let difference = row.difference.as_ref().map_or(0.0, |d| d.mean);
    format!("{} {sign}", number::signed(difference))
}

/// Whether both sides sent the same, in one sentence or two.
pub(super) fn same_work(comparison: &Comparison) -> String {
    let mut all = WorkAgreement::default();
    for scenario in &comparison.scenarios {
        all += scenario.work;
    }
    if all.iterations == 0 {
        return "Same work: no iteration was started by both sides.".to_owned();
    }
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    format!(
        "Same work: of {} iterations that both sides started, {} ({:.2} %) took the same flow and \
         steps;\nof their {} requests, {} ({:.2} %) had the same path (ids that the target makes \
         up may differ).",
        all.iterations,
        all.same_iterations,
        share(all.same_iterations, all.iterations),
        all.requests,
        all.same_paths,
        share(all.same_paths, all.requests),
    )
}

/// What is different, in full; empty: nothing.
fn different(comparison: &Comparison) -> String {
    let of_run = comparison.run.iter().map(|row| ("(run)", row));
    let of_scenarios = comparison.scenarios.iter().flat_map(|scenario| {
        let name = scenario.scenario.as_str();
        scenario.rows.iter().map(move |row| (name, row))
    });
    let rows: Vec<(&str, &Row)> = of_run
        .chain(of_scenarios)
        .filter(|(_, row)| row.verdict == FigureVerdict::Different)
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let interval = format!("{:.0} % interval", 100.0 * comparison.intervals.confidence);
    let sides = &comparison.sides;
    let mut table = plain([
        "scenario",
        "different",
        sides.a.as_str(),
        sides.b.as_str(),
        "difference",
        interval.as_str(),
    ]);
    let mut notes: Vec<(&str, Vec<&str>, &str)> = Vec::new();
    for (scenario, row) in rows {
        let unit = row.metric.unit;
        table.add_row([
            scenario.to_owned(),
            number::with_unit(&row.metric.id, unit),
            number::value(row.mean_a(), unit),
            number::value(row.mean_b(), unit),
            number::difference(row),
            number::interval(row),
        ]);
        // Quantiles often differ for one reason.
        match notes
            .iter_mut()
            .find(|(of, _, note)| *of == scenario && *note == row.note)
        {
            Some((_, ids, _)) => ids.push(&row.metric.id),
            None => notes.push((scenario, vec![&row.metric.id], &row.note)),
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = format!("\n{table}\n");
    for (scenario, ids, note) in notes.iter().filter(|(_, _, note)| !note.is_empty()) {
        out += &format!(
            "\n{}",
            wrapped(&format!("{scenario}, {}: {note}", ids.join(", ")))
        );
    }
    out
}

/// Text in lines of at most [`WIDTH`] columns, all but the first indented. Words that are longer
/// stand alone.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out += "\n  ";
            column = 2;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += length;
    }
    out + "\n"
}

fn plain<'h>(headings: impl IntoIterator<Item = &'h str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(headings);
    for column in table.column_iter_mut() {
        column.set_padding((1, 0));
    }
    table
}

fn find<'r>(rows: &'r [Row], id: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.metric.id == id)
}

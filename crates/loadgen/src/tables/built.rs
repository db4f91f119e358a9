//! The end of a build of several runs: tables, how the windows count, what is to know of the
//! inputs.

use loadgen_dataset::BuildReport;
use loadgen_dataset::verdict::MOST_UNSUPPORTED;

use super::{bytes, counted, table, wrapped};

/// So many windows that are not supported are named.
const SHOWN: usize = 10;

/// What was built.
pub(crate) fn built(report: &BuildReport) -> String {
    let mut tables = table(&["table", "rows", "columns"], &[1, 2]);
    for of in &report.tables {
        tables.add_row([
            of.table.clone(),
            of.rows.to_string(),
            of.columns.to_string(),
        ]);
    }
    let mut classes = table(&["class", "spans"], &[1]);
    for of in &report.classes {
        classes.add_row([of.class.clone(), of.rows.to_string()]);
    }
    let mut out = format!("{tables}\n\n{classes}\n\n");
    for run in &report.left_out {
        out += &wrapped(&format!("left out, not usable: run {run}"), "");
    }
    for note in &report.notes {
        out += &wrapped(&format!("note: {note}"), "");
    }
    let splits = report.splits.iter();
    let splits = splits.map(|(split, episodes)| format!("{split} {episodes}"));
    out += &format!(
        "{}, {} ({}), {} in {}: {}, {}\n",
        counted(report.runs.len() as u64, "run"),
        counted(report.episodes, "episode"),
        splits.collect::<Vec<_>>().join(", "),
        counted(report.windows, "window"),
        report.output.display(),
        counted(report.files, "file"),
        bytes(report.bytes)
    );
    out + &verdict(report)
}

fn verdict(report: &BuildReport) -> String {
    let standing = &report.standing;
    let apart = |name: &str| standing.windows.get(name).copied().unwrap_or(0);
    let mut out = wrapped(
        &format!(
            "{} of {} windows with an anomaly are not supported ({:.1} %; at most {:.0} % may be); apart: {} \
             shams, {} harmless, {} of an intensity below {}, {} whose fault failed",
            standing.unsupported.len(),
            standing.counted,
            100.0 * standing.share(),
            100.0 * MOST_UNSUPPORTED,
            apart("sham"),
            apart("harmless"),
            apart("weak_intensity"),
            standing.weak_below,
            apart("unknown")
        ),
        "",
    );
    for window in standing.unsupported.iter().take(SHOWN) {
        out += &wrapped(&format!("- {window}"), "  ");
    }
    let more = standing.unsupported.len().saturating_sub(SHOWN);
    if more > 0 {
        out += &format!("  and {more} more in cases.csv\n");
    }
    out + match standing.usable {
        true => "Dataset: usable\n",
        false => "Dataset: NOT USABLE\n",
    }
}

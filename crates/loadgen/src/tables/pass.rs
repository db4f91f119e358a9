//! The end of a call of continuous extraction: the runs, and where all rows went.

use loadgen_extract::follow::{PassReport, RowCounts, RunState, Standing};

use super::{table, verdict};

/// Runs that have been done for long are not shown.
const RUNS_SHOWN: usize = 20;

/// All runs that have no dataset, and the latest of those that have one.
pub(crate) fn pass(report: &PassReport) -> String {
    let state = &report.state;
    let mut out = String::new();
    let is_done = |run: &&RunState| run.extracted().is_some();
    let done = state.runs.iter().filter(is_done).count();
    let mut hidden = done.saturating_sub(RUNS_SHOWN);
    let mut runs = table(
        &["run", "state", "spans", "points", "logs", "late"],
        &[2, 3, 4, 5],
    );
    let mut details = String::new();
    let mut shown = 0;
    for run in &state.runs {
        if is_done(&run) && hidden > 0 {
            hidden -= 1;
            continue;
        }
        let rows = run.extracted().map(|extracted| extracted.rows);
        let number = |of: fn(&RowCounts) -> u64| match &rows {
            Some(rows) => of(rows).to_string(),
            None => "-".to_owned(),
        };
        runs.add_row([
            run.folder.clone(),
            standing(run),
            number(|rows| rows.spans),
            number(|rows| rows.data_points),
            number(|rows| rows.log_records),
            run.late.all().to_string(),
        ]);
        details += &detail(run);
        shown += 1;
    }
    if shown > 0 {
        out += &format!("{runs}\n");
    }
    out += &details;
    let totals = &state.totals;
    let pending = state.pending();
    let rest = match pending {
        0 => "of no run".to_owned(),
        1 => "of no run, or of the run that has no dataset yet".to_owned(),
        more => format!("of no run, or of the {more} runs that have no dataset yet"),
    };
    out += &format!(
        "{} rows read so far: {} in datasets, {} too late for theirs, {} {rest}\n",
        totals.read.all(),
        totals.of_datasets.all(),
        totals.late.all(),
        totals.rest.all(),
    );
    for made in &report.made {
        out += &format!("  loadgen show {}\n", made.output.display());
    }
    out
}

fn standing(run: &RunState) -> String {
    match &run.standing {
        Standing::Waiting { .. } if run.end_ns.is_none() => "goes on".to_owned(),
        Standing::Waiting { .. } => "waits".to_owned(),
        Standing::Failed { .. } => "no dataset".to_owned(),
        Standing::Extracted(extracted) => verdict(extracted.verdict).to_owned(),
    }
}

/// What a person should know of a run, a line each.
fn detail(run: &RunState) -> String {
    let mut said: Vec<String> = Vec::new();
    match &run.standing {
        Standing::Waiting { missing } if run.end_ns.is_some() => said.extend(missing.clone()),
        Standing::Waiting { .. } => {}
        Standing::Failed { reason } => said.push(reason.clone()),
        Standing::Extracted(extracted) => {
            said.extend(extracted.missing.clone());
            let others = extracted.overlaps.iter();
            said.extend(others.map(|other| format!("run {other} went on at the same time")));
        }
    }
    said.extend(run.lost.iter().map(|lost| {
        let more = match lost.was_open {
            true => ", and what had come behind them",
            false => "",
        };
        format!(
            "{} is gone, with {} rows of it{more}",
            lost.path.display(),
            lost.rows.all()
        )
    }));
    said.iter()
        .map(|line| format!("{}: {line}\n", run.folder))
        .collect()
}

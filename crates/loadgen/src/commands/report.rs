//! `loadgen report`, and the page at the end of a run or an extraction.

use std::path::{Path, PathBuf};

use loadgen_dataset::RunSource;
use loadgen_extract::ExtractReport;
use loadgen_report::{ReportError, RunReport, Sources, write};

use crate::args::ReportArgs;
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;

/// Up to so many runs a page of several shows charts, graphs and traces of each.
const WHOLE_RUNS: usize = 8;

pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let mut found = Sources::find(&args.dirs).map_err(failure)?;
    if let Some(stamp) = &args.stamp {
        let [sources] = &mut found[..] else {
            let message = "--stamp is of one dataset: give one folder with it";
            return Err(Failure::new(Exit::Usage, message));
        };
        *sources = sources.clone().with_stamp(stamp).map_err(failure)?;
    }
    let page = match (&args.out, &found[..]) {
        (Some(page), _) => page.clone(),
        (None, [sources]) => sources.report(),
        (None, _) => PathBuf::from("report.html"),
    };
    let runs: Vec<RunReport> = found.iter().map(RunReport::read).collect();
    write(&page, &runs).map_err(failure)?;
    super::print(&format!("{}\n", page.display()))
}

/// Makes the page of a dataset that was just made. It is a view: where it can't be made, that is told,
/// and the dataset is as good as it was.
pub(super) fn of_extraction(report: &ExtractReport, run: Option<&Path>) -> Option<PathBuf> {
    let sources = Sources {
        dataset: Some(report.output.clone()),
        stamp: Some(report.stamp.clone()),
        run: run.map(Path::to_owned),
    };
    of_sources(&sources, sources.report())
}

/// What there is of a run, for a page that is not written.
pub(super) fn of_folder(run: &Path) -> RunReport {
    let nothing = Sources {
        dataset: None,
        stamp: None,
        run: Some(run.to_owned()),
    };
    let found = Sources::find(&[run.to_owned()]).ok();
    let found = found.and_then(|mut found| found.pop());
    RunReport::read(&found.unwrap_or(nothing))
}

/// The same into the folder of the dataset, or where that is the run's own, in place of the run's page.
pub(super) fn beside_dataset(report: &ExtractReport, timeline: Option<&Path>) -> Option<PathBuf> {
    let run = timeline.and_then(Path::parent);
    let is_own = run.is_some_and(|run| RunFolder::of(run).dataset() == report.output);
    let sources = Sources {
        dataset: Some(report.output.clone()),
        stamp: Some(report.stamp.clone()),
        run: run.map(Path::to_owned),
    };
    let page = match is_own {
        true => sources.report(),
        false => report.output.join("report.html"),
    };
    of_sources(&sources, page)
}

/// The page of a dataset of several runs. Nothing in it says where they lie, so that it is the same
/// wherever that is.
pub(super) fn of_runs(sources: &[RunSource], page: &Path) {
    let whole = sources.len() <= WHOLE_RUNS;
    let runs: Vec<RunReport> = sources
        .iter()
        .map(|source| {
            let mut run = RunReport::read(&Sources {
                dataset: Some(source.dataset.clone()),
                stamp: Some(source.stamp.clone()),
                run: source.run.clone(),
            });
            run.name.clone_from(&source.run_id);
            run.files = None;
            if !whole {
                run.drop_figures("the page is of many runs; see the page of the run itself");
            }
            run
        })
        .collect();
    if let Err(error) = write(page, &runs) {
        say(format_args!("warning: there is no report: {error}"));
    }
}

fn of_sources(sources: &Sources, page: PathBuf) -> Option<PathBuf> {
    match write(&page, &[RunReport::read(sources)]) {
        Ok(()) => Some(page),
        Err(error) => {
            say(format_args!("warning: there is no report: {error}"));
            None
        }
    }
}

fn failure(error: ReportError) -> Failure {
    let code = match error {
        ReportError::Write { .. } => Exit::Failed,
        _ => Exit::BadInput,
    };
    Failure::new(code, error)
}

//! `loadgen timeline from-k6`.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use loadgen_engine::Consumer;
use loadgen_engine::consumers::{LedgerFile, SummaryFile, TimelineFile};
use loadgen_engine::k6::read_log;
use loadgen_timeline::event::RunStatus;
use loadgen_timeline::summary::Summary;
use serde::Serialize;

use crate::args::{FromK6Args, TimelineCommand};
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::tables;

pub(super) fn timeline(command: &TimelineCommand) -> Result<Exit, Failure> {
    match command {
        TimelineCommand::FromK6(args) => from_k6(args),
    }
}

/// What came of a log, for `--json`.
#[derive(Debug, Serialize)]
struct Made {
    folder: PathBuf,
    /// None: the log breaks off.
    status: Option<RunStatus>,
    bad_lines: usize,
    summary: Summary,
}

fn from_k6(args: &FromK6Args) -> Result<Exit, Failure> {
    let replay = read_log(&args.log).map_err(|error| Failure::new(Exit::BadInput, error))?;
    let cannot = |what: &Path, e: std::io::Error| {
        Failure::new(Exit::Failed, format!("can't write {}: {e}", what.display()))
    };
    let folder =
        RunFolder::create_without_telemetry(&args.output).map_err(|e| cannot(&args.output, e))?;
    let plan = &replay.plan;
    std::fs::write(folder.plan(), super::json(plan.as_ref())?)
        .map_err(|e| cannot(&folder.plan(), e))?;
    let summary = SummaryFile::of_replay(&folder.summary(), plan);
    let figures = summary.handle();
    let timeline =
        TimelineFile::create(&folder.timeline()).map_err(|e| cannot(&folder.timeline(), e))?;
    let ledger = LedgerFile::create(&folder.ledger(), plan, &replay.run_id)
        .map_err(|e| cannot(&folder.ledger(), e))?;
    let mut consumers: Vec<Box<dyn Consumer>> =
        vec![Box::new(timeline), Box::new(ledger), Box::new(summary)];
    replay
        .play(&mut consumers)
        .map_err(|e| cannot(folder.path(), e))?;
    let bad_lines = match &replay.bad_lines {
        Some((count, first)) => {
            say(format_args!(
                "warning: {count} lines of the module can't be read, and what they say is missing ({first})"
            ));
            *count
        }
        None => 0,
    };
    if replay.status.is_none() {
        say(
            "warning: the log breaks off: k6 was killed or still runs, or the script has no handleSummary of the module. \
             What it says is kept, and the window that was open ends with it",
        );
    }
    if replay.faults > 0 {
        say(format_args!(
            "warning: the plan asks for {} faults, and k6 alone injects none: these windows are labelled, but nothing on \
             the timeline backs that",
            replay.faults
        ));
    }
    let summary = figures
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if args.json {
        super::print(&super::json(&Made {
            folder: folder.path().to_owned(),
            status: replay.status,
            bad_lines,
            summary,
        })?)
    } else {
        super::print(&tables::summary(&summary, None))?;
        super::print(&format!(
            "\nTimeline and ledger are in {}. Next, label what your Collector stored:\n  \
             loadgen extract <traces.jsonl> --timeline {} --output {}\n",
            folder.path().display(),
            folder.timeline().display(),
            folder.dataset().display()
        ))
    }
}

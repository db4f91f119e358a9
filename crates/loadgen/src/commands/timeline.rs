//! `loadgen timeline`: timelines of what other programs wrote down, and faults made by hand.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use loadgen_engine::Consumer;
use loadgen_engine::consumers::{LedgerFile, SummaryFile, TimelineFile};
use loadgen_engine::k6::{MissingLines, Replay, read_log};
use loadgen_scenario::plan::Parameters;
use loadgen_scenario::redact;
use loadgen_timeline::event::{Event, FaultChanged, RunStatus};
use loadgen_timeline::summary::Summary;
use loadgen_timeline::{Timeline, Window, WindowEnd, read_timeline};
use serde::Serialize;

use crate::args::{FaultByHandArgs, FromK6Args, TimelineCommand};
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::tables;

pub(super) fn timeline(command: &TimelineCommand) -> Result<Exit, Failure> {
    match command {
        TimelineCommand::FromK6(args) => from_k6(args),
        TimelineCommand::Fault(args) => fault(args),
    }
}

/// What came of a log, for `--json`.
#[derive(Debug, Serialize)]
struct Made {
    folder: PathBuf,
    /// None: the log breaks off.
    status: Option<RunStatus>,
    bad_lines: usize,
    /// Ends of requests whose begin is not in the log.
    ends_without_begin: u64,
    /// Scenarios of which k6 counted more iterations than the log has.
    missing: Vec<MissingLines>,
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
    loadgen_files::write_new(&folder.plan(), super::json(&redact::plan(plan))?)
        .map_err(|e| cannot(&folder.plan(), e))?;
    let summary = SummaryFile::of_replay(&folder.summary(), plan, replay.shard);
    let figures = summary.handle();
    let timeline =
        TimelineFile::create(&folder.timeline()).map_err(|e| cannot(&folder.timeline(), e))?;
    let ledger = LedgerFile::create(&folder.ledger(), plan, &replay.run_id)
        .map_err(|e| cannot(&folder.ledger(), e))?;
    let mut consumers: Vec<Box<dyn Consumer>> =
        vec![Box::new(timeline), Box::new(ledger), Box::new(summary)];
    let missing = replay
        .play(&mut consumers)
        .map_err(|e| cannot(folder.path(), e))?;
    warn(&replay, &missing);
    let summary = figures
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if args.json {
        super::print(&super::json(&Made {
            folder: folder.path().to_owned(),
            status: replay.status,
            bad_lines: replay.bad_lines.as_ref().map_or(0, |(count, _)| *count),
            ends_without_begin: replay.ends_without_begin,
            missing,
            summary,
        })?)
    } else {
        super::print(&tables::summary(&summary, None))?;
        super::print(&format!(
            "\nTimeline and ledger are in {}. Next, label what your Collector stored:\n  \
             loadgen extract <traces.jsonl> --timeline {} --out {}\n",
            folder.path().display(),
            folder.timeline().display(),
            folder.dataset().display()
        ))
    }
}

/// Says what the log lacks, or can't show.
fn warn(replay: &Replay, missing: &[MissingLines]) {
    if let Some((count, first)) = &replay.bad_lines {
        say(format_args!(
            "warning: {count} lines of the module can't be read, and what they say is missing ({first})"
        ));
    }
    if replay.ends_without_begin > 0 {
        say(format_args!(
            "warning: {} requests end in the log that do not begin in it: lines are missing, and these requests are not in \
             the ledger",
            replay.ends_without_begin
        ));
    }
    for MissingLines {
        scenario,
        counted,
        in_log,
    } in missing
    {
        let why = match in_log > counted {
            true => "lines are there twice, or are another run's",
            false => {
                "lines are missing, and requests of the others may look as if they had been cut off"
            }
        };
        say(format_args!(
            "warning: k6 counted {counted} iterations of `{scenario}`, and the log has the end of {in_log}: {why}"
        ));
    }
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
}

/// The driver of faults that were made by hand.
const BY_HAND: &str = "manual";

fn fault(args: &FaultByHandArgs) -> Result<Exit, Failure> {
    let wrong = |message: String| Failure::new(Exit::BadInput, message);
    let path = args.run.join("timeline.jsonl");
    let timeline = read_timeline(&path).map_err(|e| Failure::new(Exit::BadInput, e))?;
    if !(args.intensity > 0.0 && args.intensity <= 1.0) {
        return Err(wrong(format!(
            "--intensity {}: it is above 0 and at most 1",
            args.intensity
        )));
    }
    if let (Some(start), Some(end)) = (args.start, args.end)
        && end < start
    {
        return Err(wrong("--end is before --start".to_owned()));
    }
    let at_ns = args.start.or(args.end).unwrap_or_default();
    let scenario = scenario_of(args, &timeline, at_ns).map_err(wrong)?;
    let line = |at_ns: i64| FaultChanged {
        scenario: scenario.clone(),
        driver: BY_HAND.to_owned(),
        fault: args.fault.clone(),
        service: args.service.clone(),
        intensity: args.intensity,
        sham: false,
        harmless: false,
        clients: None,
        parameters: Parameters::new(),
        driver_version: String::new(),
        confirmed_by: "a person".to_owned(),
        read_back: serde_json::Value::Null,
        requested_ns: at_ns,
        at_ns,
    };
    let injected = args.start.map(|at_ns| Event::FaultInjected(line(at_ns)));
    let cleared = args.end.map(|at_ns| Event::FaultCleared(line(at_ns)));
    let mut text = String::new();
    for event in injected.iter().chain(&cleared) {
        let line = serde_json::to_string(event).map_err(|e| Failure::new(Exit::Failed, e))?;
        text += &line;
        text.push('\n');
    }
    let out = args.run.join("faults.jsonl");
    let cannot = |e: std::io::Error| {
        Failure::new(Exit::Failed, format!("can't write {}: {e}", out.display()))
    };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&out)
        .map_err(cannot)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_data())
        .map_err(cannot)?;
    let (fault, service) = (&args.fault, &args.service);
    super::print(&format!(
        "{fault} in {service} is written down for the window of `{scenario}`, in {}\n",
        out.display()
    ))
}

/// The scenario that is named, if the run has it, or whose window with an anomaly is open at a time.
fn scenario_of(args: &FaultByHandArgs, timeline: &Timeline, at_ns: i64) -> Result<String, String> {
    let names: Vec<&str> = timeline
        .windows
        .iter()
        .map(|w| w.scenario.as_str())
        .collect();
    if let Some(name) = &args.scenario {
        return match names.contains(&name.as_str()) {
            true => Ok(name.clone()),
            false => Err(format!(
                "the run has no scenario `{name}`; it has {}",
                names.join(", ")
            )),
        };
    }
    let goes_on = |w: &Window| w.end == WindowEnd::LastEvent || at_ns < w.closed_ns;
    let is_open = |w: &&Window| w.opened_ns <= at_ns && goes_on(w);
    let open = timeline.windows.iter().filter(|w| !w.anomaly.is_none());
    let open: Vec<&str> = open.filter(is_open).map(|w| w.scenario.as_str()).collect();
    match open[..] {
        [one] => Ok(one.to_owned()),
        _ => Err(format!(
            "{} windows with an anomaly are open at that time: name one with --scenario, of {}",
            open.len(),
            names.join(", ")
        )),
    }
}

//! `loadgen extract`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen_extract::follow::{self, Missing, PassOptions, Watch};
use loadgen_extract::{ExtractError, ExtractOptions, ExtractReport, Stop, TableFormats};
use loadgen_otlp::source::passed_over;
use loadgen_timeline::audit::{Audit, DatasetVerdict, audits};

use super::report;
use crate::args::{ExtractArgs, FormatsChoice};
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;
use crate::tables;

/// Files that are named, where many are not read.
const NAMES_SHOWN: usize = 10;

pub(super) async fn extract(mut args: ExtractArgs) -> Result<Exit, Failure> {
    if args.wait.is_some() {
        let message = "--wait is for --follow and --runs: this extracts what is there now";
        return Err(Failure::new(Exit::Usage, message));
    }
    let output = place(&mut args)?;
    say_passed_over(&args);
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let Some(made) = make(options(&args, output), &interrupts, 1).await? else {
        return Ok(Exit::Interrupted);
    };
    let report = made.map_err(failure)?;
    show(&args, &report)?;
    Ok(exit(&report.audit))
}

/// Names the files of folders that are not read.
fn say_passed_over(args: &ExtractArgs) {
    let named = [&args.inputs, &args.traces, &args.metrics, &args.logs];
    for folder in named.into_iter().flatten().filter(|path| path.is_dir()) {
        // A folder that can't be read is told by who reads it.
        let files = passed_over(folder).unwrap_or_default();
        if !files.is_empty() {
            let names = files.iter().filter_map(|file| file.file_name());
            let names = names.map(|name| name.to_string_lossy()).take(NAMES_SHOWN);
            let names: Vec<_> = names.collect();
            let more = match files.len().saturating_sub(names.len()) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            say(format_args!(
                "note: not read in {}, as their first bytes are not those of telemetry: {}{more}",
                folder.display(),
                names.join(", ")
            ));
        }
    }
}

/// Where the dataset goes. The folder of a run among the inputs is replaced by what it stands for.
fn place(args: &mut ExtractArgs) -> Result<PathBuf, Failure> {
    let run = match args.timeline {
        Some(_) => None,
        None => take_run(&mut args.inputs),
    };
    if let Some(run) = &run {
        args.timeline = Some(run.timeline());
        let others = [&args.inputs, &args.traces, &args.metrics, &args.logs];
        if others.iter().all(|paths| paths.is_empty()) {
            let telemetry = run.telemetry();
            if !telemetry.is_dir() {
                let message = format!(
                    "{} is not there: name what the target's Collector wrote beside the run's folder",
                    telemetry.display()
                );
                return Err(Failure::new(Exit::BadInput, message));
            }
            args.inputs.push(telemetry);
        }
    }
    let of_run = || run.as_ref().map(RunFolder::dataset);
    (args.output.clone().or_else(of_run)).ok_or_else(|| {
        let message = "where should the dataset go? --out DIR, or the folder of a run as an input";
        Failure::new(Exit::Usage, message)
    })
}

/// Takes the folder of a run out of the inputs.
fn take_run(inputs: &mut Vec<PathBuf>) -> Option<RunFolder> {
    let is_run = |path: &PathBuf| RunFolder::of(path).timeline().is_file();
    let at = inputs.iter().position(is_run)?;
    Some(RunFolder::of(&inputs.remove(at)))
}

/// Makes a dataset in another thread. None: the n-th signal has ended it; nothing is left of it
/// then. The signal after that does not wait for this, and the next extraction removes what is left.
pub(super) async fn make(
    options: ExtractOptions,
    interrupts: &Interrupts,
    signal: u32,
) -> Result<Option<Result<ExtractReport, ExtractError>>, Failure> {
    let stop = options.stop.clone();
    let making = blocking(move || loadgen_extract::extract(&options));
    tokio::pin!(making);
    let made = tokio::select! {
        made = &mut making => made?,
        () = interrupts.nth(signal) => {
            stop.stop();
            tokio::select! {
                made = making => made?,
                () = interrupts.nth(signal + 1) => return Ok(None),
            }
        }
    };
    Ok(match made {
        Err(ExtractError::Stopped) => None,
        made => Some(made),
    })
}

fn options(args: &ExtractArgs, output: PathBuf) -> ExtractOptions {
    ExtractOptions {
        inputs: args.inputs.clone(),
        traces: args.traces.clone(),
        metrics: args.metrics.clone(),
        logs: args.logs.clone(),
        timeline: args.timeline.clone(),
        ledger: args.ledger.clone(),
        faults: args.faults.clone(),
        other_runs: Vec::new(),
        output,
        stamp: None,
        correct_skew: args.correct_skew,
        shift_ns: args.shift.unwrap_or(0),
        steady_only: args.steady_only,
        include_foreign: args.include_foreign,
        all_phases: args.all_phases,
        strict: args.strict,
        drop_leaks: args.drop_leaks,
        formats: match args.formats {
            FormatsChoice::Both => TableFormats::Both,
            FormatsChoice::Csv => TableFormats::Csv,
            FormatsChoice::Parquet => TableFormats::Parquet,
        },
        labels_only: args.labels_only,
        stop: Stop::default(),
    }
}

fn show(args: &ExtractArgs, report: &ExtractReport) -> Result<Exit, Failure> {
    let page = match args.labels_only {
        true => None,
        false => report::beside_dataset(report, args.timeline.as_deref()),
    };
    if args.json {
        super::print(&super::json(report)?)
    } else {
        let page = page.as_deref();
        // This one is among them.
        let earlier = audits(&report.output).map_or(0, |all| all.len().saturating_sub(1));
        super::print(&tables::dataset(report, &report.output, page, earlier))
    }
}

/// How long after a run's end its data is waited for, unless asked otherwise.
const FOLLOW_WAIT: Duration = Duration::from_secs(120);

/// The same where it costs nobody anything to wait.
const CONTINUOUS_WAIT: Duration = Duration::from_secs(900);

/// Extracts again and again while the input grows. Each dataset is whole when it takes the place of
/// the one before; labels that were not known yet become known.
pub(super) async fn follow(mut args: ExtractArgs) -> Result<Exit, Failure> {
    let output = place(&mut args)?;
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let pause = Duration::try_from_secs_f64(args.every.max(1.0)).unwrap_or(Duration::from_secs(10));
    let wait = wait(args.wait, FOLLOW_WAIT)?;
    let mut last: Option<ExtractReport> = None;
    let mut looks_without_growth = 0;
    let mut watch = Some(Watch::new(&options(&args, output.clone())));
    loop {
        // What the look saw is in the files before the extraction opens them.
        let still_missing = look(&mut watch, wait).await?;
        // Files that are not there yet may come.
        let Some(made) = make(options(&args, output.clone()), &interrupts, 1).await? else {
            break;
        };
        match made {
            Ok(report) => {
                let has_grown = last
                    .as_ref()
                    .is_none_or(|last| last.input.bytes != report.input.bytes);
                looks_without_growth = match has_grown {
                    true => 0,
                    false => looks_without_growth + 1,
                };
                say_progress(&report);
                for file in last
                    .replace(report)
                    .into_iter()
                    .flat_map(|before| before.files)
                {
                    // One that somebody took away already is no loss.
                    let _ = std::fs::remove_file(file.path);
                }
            }
            Err(error) if last.is_none() && !error.is_bad_input() => return Err(failure(error)),
            Err(error) => say(format_args!("nothing to label yet: {error}")),
        }
        // Without a timeline nothing tells the end but that nothing comes.
        let is_over = match args.timeline {
            Some(_) => still_missing.is_over(),
            None => looks_without_growth >= 2,
        };
        if is_over && last.is_some() {
            still_missing.warn(wait);
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = interrupts.nth(1) => break,
        }
    }
    let Some(report) = last else {
        return Ok(Exit::Interrupted);
    };
    show(&args, &report)?;
    Ok(exit(&report.audit))
}

fn say_progress(report: &ExtractReport) {
    let unknown = report.figures.spans_by_type.get("unknown");
    say(format_args!(
        "{} spans, {} of them not labelled yet, in {}",
        report.figures.spans.read,
        unknown.copied().unwrap_or(0),
        report.stamp
    ));
}

/// What a look at the telemetry of a run showed.
pub(super) struct Looked {
    missing: Vec<Missing>,
    /// The wait is over.
    is_late: bool,
}

impl Looked {
    /// Whether it is time for the dataset.
    pub(super) fn is_over(&self) -> bool {
        self.missing.is_empty() || self.is_late
    }

    /// Says what did not come in the time that there was.
    pub(super) fn warn(&self, wait: Duration) {
        for missing in &self.missing {
            say(format_args!(
                "warning: {} s after the run's end: {missing}",
                wait.as_secs_f64()
            ));
        }
    }
}

/// Looks at the telemetry of a run. `watch` is there again after the look.
pub(super) async fn look(watch: &mut Option<Watch>, wait: Duration) -> Result<Looked, Failure> {
    let Some(mut watched) = watch.take() else {
        return Err(Failure::new(Exit::Failed, "an earlier look broke down"));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let now_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    let (watched, missing) = blocking(move || {
        let missing = watched.look(now_ns);
        (watched, missing)
    })
    .await?;
    let end_ns = watched.end_ns();
    *watch = Some(watched);
    let wait_ns = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
    let missing = match missing {
        Ok(missing) => missing,
        // A timeline that is not there yet may come.
        Err(error) if error.is_bad_input() => vec![Missing::Telemetry(error.to_string())],
        Err(error) => return Err(failure(error)),
    };
    Ok(Looked {
        missing,
        is_late: end_ns.is_some_and(|end| now_ns >= end.saturating_add(wait_ns)),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|e| Failure::new(Exit::Failed, format!("the extractor broke down: {e}")))
}

/// A number of seconds as it was typed.
pub(super) fn wait(typed: Option<f64>, default: Duration) -> Result<Duration, Failure> {
    let Some(seconds) = typed else {
        return Ok(default);
    };
    Duration::try_from_secs_f64(seconds)
        .map_err(|e| Failure::new(Exit::Usage, format!("--wait {seconds}: {e}")))
}

/// Makes a dataset of each run that is complete and has none, once.
pub(super) async fn continuously(args: ExtractArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let runs = args.runs.clone().unwrap_or_default();
    let output = args.output.clone().ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "where should the datasets go? --runs needs --out DIR",
        )
    })?;
    let pass = PassOptions {
        telemetry: args.inputs.clone(),
        runs: runs.clone(),
        output: output.clone(),
        wait: wait(args.wait, CONTINUOUS_WAIT)?,
        rows: options(&args, output),
    };
    let pass = tokio::select! {
        pass = blocking(move || follow::extract_new(&pass)) => pass?.map_err(failure)?,
        // What is half made is hidden, and removed by the next call.
        () = interrupts.nth(1) => return Ok(Exit::Interrupted),
    };
    for (folder, reason) in &pass.unreadable {
        say(format_args!(
            "warning: {} is no run: {reason}",
            folder.display()
        ));
    }
    for copy in &pass.copies {
        say(format_args!(
            "warning: {} begins like another file and is taken for a copy: not read",
            copy.display()
        ));
    }
    for made in &pass.made {
        // The folder of a dataset is called like the run's.
        let name = made.output.file_name();
        let timeline = name.map(|name| runs.join(name).join("timeline.jsonl"));
        let timeline = timeline.filter(|timeline| timeline.is_file());
        if !args.labels_only {
            report::beside_dataset(made, timeline.as_deref());
        }
    }
    match args.json {
        true => super::print(&super::json(&pass)?)?,
        false => super::print(&tables::pass(&pass))?,
    };
    let is_usable = |report: &ExtractReport| report.audit.verdict != DatasetVerdict::NotUsable;
    Ok(
        match pass.spoilt.is_empty() && pass.made.iter().all(is_usable) {
            true => Exit::Success,
            false => Exit::NotUsable,
        },
    )
}

/// What an audit means for a script.
pub(super) fn exit(audit: &Audit) -> Exit {
    match audit.verdict {
        DatasetVerdict::Usable => Exit::Success,
        DatasetVerdict::UsableWithWarnings => Exit::Warnings,
        DatasetVerdict::NotUsable => Exit::NotUsable,
    }
}

/// Bad input and a disk that is full are different things to a script.
pub(super) fn failure(error: ExtractError) -> Failure {
    let code = if error.is_bad_input() {
        Exit::BadInput
    } else {
        Exit::Failed
    };
    Failure::new(code, error)
}

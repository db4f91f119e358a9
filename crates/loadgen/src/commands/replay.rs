//! `loadgen replay`: stored telemetry → its order and its pace → a receiver.

mod ground_truth;

use std::path::{Path, PathBuf};

use loadgen_exporter::{Exporter, ExporterError, Patience};
use loadgen_replay::{Pace, ReplayError, ReplayReport, Speed, Stored};

use self::ground_truth::GroundTruth;
use super::{now_ns, seconds};
use crate::allow::Stands;
use crate::args::ReplayArgs;
use crate::display::{replay::ReplayProgress, say};
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;
use crate::{otlp, tables};

pub(super) async fn replay(args: ReplayArgs) -> Result<Exit, Failure> {
    check(&args)?;
    let endpoint = otlp::endpoint(args.otlp_endpoint.as_deref(), args.otlp_protocol)?;
    let stands = Stands::of_flag(args.otlp_endpoint.as_ref());
    otlp::check_host(Some(&endpoint.url), stands, &args.allowed).await?;
    let patience = Patience {
        limit: seconds("--retry", args.retry)?,
    };
    let mut exporter = Exporter::new(&endpoint, patience).map_err(exporter_failure)?;
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let run = args.run.as_deref().map(RunFolder::of);
    let telemetry = telemetry(&args, run.as_ref())?;
    let truth = match &run {
        Some(run) => GroundTruth::of(run)?,
        None => None,
    };
    let stored = tokio::select! {
        stored = tokio::task::spawn_blocking(move || Stored::open(&telemetry)) => stored,
        () = interrupts.nth(1) => return Ok(Exit::Interrupted),
    };
    let stored =
        stored.map_err(|e| Failure::new(Exit::Failed, format!("reading broke down: {e}")))?;
    let stored = stored.map_err(failure)?;
    let [first_ns, _] = stored.span_ns();
    let origin_ns = truth.as_ref().map_or(first_ns, |truth| truth.started_ns);
    let pace = Pace {
        speed: args.speed,
        origin_ns,
    };
    warn_of_unreadable(&stored);
    let shift_ns = match args.now {
        true => now_ns() - origin_ns,
        false => 0,
    };
    if let (Some(truth), Some(out)) = (&truth, &args.out) {
        truth.write_shifted(out, shift_ns)?;
    }
    let mut progress = ReplayProgress::new(&stored, pace, endpoint.protocol, args.quiet);
    let replayed = loadgen_replay::replay(
        stored,
        &mut exporter,
        pace,
        shift_ns,
        |now| progress.show(now),
        interrupts.nth(1),
    );
    let report = tokio::select! {
        report = replayed => report.map_err(failure)?,
        () = interrupts.nth(2) => return Ok(Exit::Interrupted),
    };
    progress.finish();
    match args.json {
        true => super::print(&super::json(&report)?)?,
        false => super::print(&tables::replayed(&report, args.out.as_deref()))?,
    };
    Ok(exit(&report))
}

fn check(args: &ReplayArgs) -> Result<(), Failure> {
    let wrong = |message: &str| Err(Failure::new(Exit::Usage, message));
    if args.now && args.speed != Speed::Times(1.0) {
        return wrong(
            "--now goes with the run's own speed only: faster, what is sent would lie in the future",
        );
    }
    if args.now && args.run.is_some() && args.out.is_none() {
        return wrong(
            "--now moves the telemetry away from the run's timeline: name a folder with --out for a \
             timeline that fits",
        );
    }
    if args.out.is_some() && args.run.is_none() {
        return wrong("--out is for a run's ground truth: name the run's folder");
    }
    Ok(())
}

/// What to send: as named, or what is stored in the run's folder.
fn telemetry(args: &ReplayArgs, run: Option<&RunFolder>) -> Result<Vec<PathBuf>, Failure> {
    if !args.telemetry.is_empty() {
        return Ok(args.telemetry.clone());
    }
    let folder = run.map(RunFolder::telemetry).unwrap_or_default();
    if folder.is_dir() {
        return Ok(vec![folder]);
    }
    let run = run.map_or(Path::new(""), RunFolder::path);
    let message = match run.is_dir() {
        true => format!(
            "{} has no telemetry/: the tables of a dataset can't be sent again. Give the folder of a run \
             that loadgen collected, or name what its Collector wrote with --telemetry",
            run.display()
        ),
        false => format!("{} is no folder", run.display()),
    };
    Err(Failure::new(Exit::BadInput, message))
}

fn warn_of_unreadable(stored: &Stored) {
    const NAMED: usize = 5;
    for it in stored.unreadable.iter().take(NAMED) {
        let what = match it.skipped.parts {
            0 => "can't be read and is not sent",
            _ => "is not sent as a whole",
        };
        say(format_args!(
            "warning: {}: message {} {what}: {}",
            it.path.display(),
            it.skipped.message + 1,
            it.skipped.reason
        ));
    }
    let more = stored.unreadable.len().saturating_sub(NAMED);
    if more > 0 {
        say(format_args!("warning: and {more} more messages"));
    }
}

/// What was lost counts before what was not sent any more.
fn exit(report: &ReplayReport) -> Exit {
    if report.has_losses() {
        Exit::Failed
    } else if report.interrupted {
        Exit::Interrupted
    } else {
        Exit::Success
    }
}

fn failure(error: ReplayError) -> Failure {
    let code = match error {
        ReplayError::Unreachable { .. } => Exit::NotReachable,
        _ => Exit::BadInput,
    };
    Failure::new(code, error)
}

fn exporter_failure(error: ExporterError) -> Failure {
    Failure::new(Exit::Usage, error)
}

//! The dataset of a run, when its load is over.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use loadgen_extract::follow::Watch;
use loadgen_extract::{ExtractOptions, ExtractReport};
use loadgen_otlp::source::expand;
use loadgen_scenario::{Plan, Target};

use super::note;
use crate::args::RunArgs;
use crate::commands::extract::{failure, look, make, wait};
use crate::exit::Failure;
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;

/// Whether a dataset can be made of the run.
pub(super) fn has_telemetry(args: &RunArgs, plan: &Plan) -> bool {
    plan.target == Target::Embedded || !args.telemetry.is_empty()
}

/// Says which telemetry is not there while there is still time to stop: a typo would show only when
/// the run is over. It may come during the run.
pub(super) fn note_absent_telemetry(args: &RunArgs) {
    for path in &args.telemetry {
        let some_file = |files: Vec<PathBuf>| files.iter().any(|file| file.exists());
        if !path.exists() && !expand(path).is_ok_and(some_file) {
            let path = path.display();
            note(
                args,
                &format!("{path} is not there yet: the run's telemetry has to be there by its end"),
            );
        }
    }
}

/// Makes the dataset; none: it is not wanted, there is no telemetry, or a second signal ended it.
pub(super) async fn label(
    args: &RunArgs,
    plan: &Plan,
    folder: &RunFolder,
    interrupts: &Interrupts,
) -> Result<Option<ExtractReport>, Failure> {
    if args.no_extract || !has_telemetry(args, plan) || interrupts.count() > 1 {
        return Ok(None);
    }
    note(args, "labelling what the collector stored");
    extract(args, folder, interrupts).await
}

/// Makes the dataset. None: a second signal has ended it.
async fn extract(
    args: &RunArgs,
    folder: &RunFolder,
    interrupts: &Interrupts,
) -> Result<Option<ExtractReport>, Failure> {
    let existing = |path: PathBuf| Some(path).filter(|p| p.exists()).into_iter().collect();
    let options = ExtractOptions {
        inputs: args.telemetry.clone(),
        traces: existing(folder.traces()),
        metrics: existing(folder.metrics()),
        logs: existing(folder.logs()),
        timeline: Some(folder.timeline()),
        output: folder.dataset(),
        ..ExtractOptions::default()
    };
    // The embedded collector has ended; another one may still hold something back.
    if !args.telemetry.is_empty() {
        tokio::select! {
            flushed = flushed(args, &options) => flushed?,
            () = interrupts.nth(2) => return Ok(None),
        }
    }
    let made = make(options, interrupts, 2).await?;
    made.transpose().map_err(|error| {
        let failure = failure(error);
        let at = folder.path().display();
        let telemetry = match args.telemetry.is_empty() {
            true => String::new(),
            false => format!(" {}", typed(&args.telemetry)),
        };
        let kept = format!("the run is kept; to label it: loadgen extract {at}{telemetry}");
        Failure::new(failure.code(), format!("{failure}\n  = help: {kept}"))
    })
}

/// Paths as they are typed.
fn typed(paths: &[PathBuf]) -> String {
    let paths = paths.iter().map(|path| path.display().to_string());
    paths.collect::<Vec<_>>().join(" ")
}

/// Waits until the telemetry of the run has been flushed to the files, for a while.
async fn flushed(args: &RunArgs, options: &ExtractOptions) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_secs(1);
    note(args, "waiting until the run's telemetry has been flushed");
    let limit = wait(Some(args.wait), Duration::ZERO)?;
    let mut watch = Some(Watch::new(options));
    let begin = Instant::now();
    loop {
        let looked = look(&mut watch, limit).await?;
        // A timeline that can't be read has no end.
        if looked.is_over() || begin.elapsed() > limit {
            looked.warn(limit);
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

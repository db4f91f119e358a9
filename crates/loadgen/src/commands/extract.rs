//! `loadgen extract`.

use std::time::Duration;

use loadgen_extract::{ExtractError, ExtractOptions, ExtractReport};
use loadgen_timeline::audit::{Audit, DatasetVerdict};

use crate::args::ExtractArgs;
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::tables;

pub(super) fn extract(args: &ExtractArgs) -> Result<Exit, Failure> {
    let report = loadgen_extract::extract(&options(args)).map_err(failure)?;
    show(args, &report)?;
    Ok(exit(&report.audit))
}

fn options(args: &ExtractArgs) -> ExtractOptions {
    ExtractOptions {
        inputs: args.inputs.clone(),
        traces: args.traces.clone(),
        metrics: args.metrics.clone(),
        logs: args.logs.clone(),
        timeline: args.timeline.clone(),
        ledger: args.ledger.clone(),
        faults: args.faults.clone(),
        output: args.output.clone(),
        stamp: None,
        correct_skew: args.correct_skew,
        steady_only: args.steady_only,
        include_foreign: args.include_foreign,
        all_phases: args.all_phases,
        strict: args.strict,
        drop_leaks: args.drop_leaks,
    }
}

fn show(args: &ExtractArgs, report: &ExtractReport) -> Result<Exit, Failure> {
    if args.json {
        super::print(&super::json(report)?)
    } else {
        super::print(&tables::dataset(report, &report.output))
    }
}

/// Extracts again and again while the input grows. Each dataset is whole when it takes the place of
/// the one before; labels that were not known yet become known.
pub(super) async fn follow(args: ExtractArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let pause = Duration::try_from_secs_f64(args.every.max(1.0)).unwrap_or(Duration::from_secs(10));
    let mut last: Option<ExtractReport> = None;
    let mut looks_without_growth = 0;
    loop {
        // Files that are not there yet may come.
        let options = options(&args);
        let extracted =
            tokio::task::spawn_blocking(move || loadgen_extract::extract(&options)).await;
        let extracted = extracted
            .map_err(|e| Failure::new(Exit::Failed, format!("the extractor broke down: {e}")))?;
        let finished = match extracted {
            Ok(report) => {
                let has_grown = last
                    .as_ref()
                    .is_none_or(|last| last.input.bytes != report.input.bytes);
                looks_without_growth = if has_grown {
                    0
                } else {
                    looks_without_growth + 1
                };
                say(format_args!(
                    "{} spans, {} of them not labelled yet, in {}",
                    report.figures.spans.read,
                    report
                        .figures
                        .spans_by_type
                        .get("unknown")
                        .copied()
                        .unwrap_or(0),
                    report.stamp
                ));
                let finished = report.figures.timeline.as_ref().is_none_or(|t| t.finished);
                for file in last
                    .replace(report)
                    .into_iter()
                    .flat_map(|before| before.files)
                {
                    // One that somebody took away already is no loss.
                    let _ = std::fs::remove_file(file.path);
                }
                finished
            }
            Err(error) if last.is_none() && !error.is_bad_input() => return Err(failure(error)),
            Err(error) => {
                say(format_args!("nothing to label yet: {error}"));
                false
            }
        };
        if finished && looks_without_growth >= 2 {
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

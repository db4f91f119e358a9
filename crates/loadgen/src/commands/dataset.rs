//! `loadgen dataset`: several runs as one dataset.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loadgen_dataset::{
    About, BuildError, BuildOptions, BuildReport, SplitBy, SplitOptions, Unusable,
    build as build_dataset,
};

use crate::args::{BuildArgs, DatasetCommand, SplitChoice, UnusableChoice};
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::tables;

use super::report;

pub(super) async fn dataset(command: DatasetCommand) -> Result<Exit, Failure> {
    match command {
        DatasetCommand::Build(args) => build(args).await,
    }
}

async fn build(args: BuildArgs) -> Result<Exit, Failure> {
    if !(0.0..=1.0).contains(&args.weak_below) {
        let message = format!(
            "--weak-below {}: give a number from 0 to 1",
            args.weak_below
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    if !(args.embargo >= 0.0 && args.embargo.is_finite()) {
        let message = format!("--embargo {}: give seconds, 0 or more", args.embargo);
        return Err(Failure::new(Exit::Usage, message));
    }
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let Some(report) = make(options(&args), &interrupts).await? else {
        return Ok(Exit::Interrupted);
    };
    match args.json {
        true => super::print(&super::json(&report)?)?,
        false => super::print(&tables::built(&report))?,
    };
    Ok(match report.standing.usable {
        true => Exit::Success,
        false => Exit::NotUsable,
    })
}

/// Builds a dataset of several runs, with its report. None: a signal has ended it.
pub(super) async fn make(
    mut options: BuildOptions,
    interrupts: &Interrupts,
) -> Result<Option<BuildReport>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    options.stop = stop.clone();
    options.finish = Some(Arc::new(|folder, sources| {
        report::of_runs(sources, &folder.join("report.html"));
        Ok(())
    }));
    let mut building = tokio::task::spawn_blocking(move || build_dataset(&options));
    let built = tokio::select! {
        built = &mut building => built,
        () = interrupts.nth(1) => {
            stop.store(true, Ordering::Relaxed);
            building.await
        }
    };
    let built =
        built.map_err(|e| Failure::new(Exit::Failed, format!("the build broke down: {e}")))?;
    match built {
        Ok(report) => Ok(Some(report)),
        Err(BuildError::Stopped) => Ok(None),
        Err(error) if error.is_bad_input() => Err(Failure::new(Exit::BadInput, error)),
        Err(error) => Err(Failure::new(Exit::Failed, error)),
    }
}

fn options(args: &BuildArgs) -> BuildOptions {
    BuildOptions {
        inputs: args.inputs.clone(),
        runs: args.runs.clone(),
        output: args.output.clone(),
        weak_below: args.weak_below,
        splits: SplitOptions {
            seed: args.split_seed,
            by: match args.split_by {
                SplitChoice::Episode => SplitBy::Episode,
                SplitChoice::Run => SplitBy::Run,
            },
            embargo_s: args.embargo,
        },
        unusable: match args.unusable {
            UnusableChoice::Refuse => Unusable::Refuse,
            UnusableChoice::Skip => Unusable::Skip,
            UnusableChoice::Keep => Unusable::Keep,
        },
        about: About {
            title: args.title.clone(),
            licence: args.licence.clone(),
            authors: args.authors.clone(),
            url: args.url.clone(),
            hardware: args.hardware.clone(),
        },
        ..BuildOptions::default()
    }
}

//! `loadgen run`, the main job: scenario → plan → target → engine → telemetry → dataset.

mod label;
mod load;
mod prepare;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use loadgen_engine::BaseUrl;
use loadgen_engine::consumers::ClientSpanReport;
use loadgen_extract::ExtractReport;
use loadgen_scenario::{Plan, redact};
use loadgen_timeline::audit::DatasetVerdict;
use loadgen_timeline::event::{RunShard, RunStatus};
use loadgen_timeline::summary::Summary;
use serde::Serialize;
use tokio::net::TcpListener;

use self::label::{has_telemetry, label, note_absent_telemetry};
use self::load::{Job, RunOutcome, send_load};
use self::prepare::{Prepared, prepare};
use super::report;
use crate::args::RunArgs;
use crate::display::say;
use crate::embedded::Embedded;
use crate::exit::{Exit, Failure, Outcome};
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;
use crate::serve::LivePage;
use crate::upload::Place;
use crate::{failed_requests, shard, tables};

/// What a run leaves behind, for `--json`.
#[derive(Debug, Serialize)]
struct RunResult {
    folder: PathBuf,
    summary: Summary,
    client_spans: Option<ClientSpanReport>,
    dataset: Option<ExtractReport>,
}

pub(super) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let Prepared {
        plan,
        written,
        target,
        store,
        k6,
        listener,
        interrupts,
    } = prepare(&args).await?;
    let identity = tokio::select! {
        agreed = shard::agree(&args, &written) => agreed?,
        () = interrupts.nth(1) => return Err(ended_before()),
    };
    let folder = make_folder(&args, &written)?;
    note_absent_telemetry(&args);
    let is_private = plan != written;
    let plan = Arc::new(shard::part_of(&plan, &identity));
    let live = listener.map(|listener| show_live(listener, &plan, &folder));
    let live = live.transpose()?;
    let mut embedded = None;
    let base = match target {
        Some(base) => base,
        None => match start_embedded(&args, &folder, &interrupts).await? {
            Some(started) => BaseUrl::new(&embedded.insert(started).base_url),
            None => return Ok(Exit::Interrupted),
        },
    };
    let job = Job {
        args: &args,
        plan: &plan,
        identity: &identity,
        folder: &folder,
        interrupts: &interrupts,
        live: live.as_ref(),
        is_private,
    };
    let ran = send_load(job, k6, base, embedded.as_mut()).await;
    // Whatever came of it, the shop and the collector are stopped, and what they stored is kept.
    let stopped = stop(&args, embedded, &interrupts).await;
    let ran = ran?;
    if !args.json {
        super::print(&tables::summary(&ran.summary, ran.client_spans.as_ref()))?;
    }
    warn(&ran, &stopped);
    let dataset = label(&args, &plan, &folder, &interrupts).await?;
    // Before anything is told: the page is there when its path is printed.
    let page = dataset.as_ref().and_then(|dataset| {
        note(&args, "making the report");
        report::of_extraction(dataset, Some(folder.path()))
    });
    if let Some(live) = live {
        live.end(report::of_folder(folder.path())).await;
    }
    let exit = match (outcome(&ran, dataset.as_ref(), &interrupts).exit(), stopped) {
        (Exit::Success, Err(failure)) => failure.code(),
        (exit, _) => exit,
    };
    super::print(&if args.json {
        super::json(&RunResult {
            folder: folder.path().to_owned(),
            summary: ran.summary,
            client_spans: ran.client_spans,
            dataset,
        })?
    } else if let Some(report) = &dataset {
        // The folder of a run is new.
        tables::dataset(report, folder.path(), page.as_deref(), 0)
    } else if let Some(shard) = &identity.shard {
        merge_command(&args, &folder, shard)
    } else {
        next_command(&folder, has_telemetry(&args, &plan))
    })?;
    match store.filter(|_| interrupts.count() < 2) {
        Some(store) => upload(&store, &folder, &interrupts, exit).await,
        None => Ok(exit),
    }
}

/// Starts the shop and the collector. None: the run was interrupted meanwhile.
async fn start_embedded(
    args: &RunArgs,
    folder: &RunFolder,
    interrupts: &Interrupts,
) -> Result<Option<Embedded>, Failure> {
    note(args, "starting the embedded collector and shop");
    let started = tokio::select! {
        started = Embedded::start(folder, args.record_faults) => started?,
        () = interrupts.nth(2) => return Ok(None),
    };
    if interrupts.count() > 0 {
        // Stopped in good order, they leave nothing behind.
        started.stop().await?;
        return Ok(None);
    }
    Ok(Some(started))
}

async fn stop(
    args: &RunArgs,
    embedded: Option<Embedded>,
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    let Some(embedded) = embedded else {
        return Ok(());
    };
    note(args, "stopping the embedded shop and collector");
    tokio::select! {
        stopped = embedded.stop() => stopped,
        () = interrupts.nth(2) => Ok(()),
    }
}

fn warn(ran: &RunOutcome, stopped: &Result<(), Failure>) {
    let stopped = stopped.as_ref().err().map(ToString::to_string);
    let problems = ran.broken.iter().chain(&stopped).cloned();
    let faults = ran.summary.fault_failures.iter().map(ToString::to_string);
    for problem in problems
        .chain(faults)
        .chain(failed_requests::warnings(&ran.summary))
    {
        say(format_args!("warning: {problem}"));
    }
}

fn outcome(ran: &RunOutcome, dataset: Option<&ExtractReport>, interrupts: &Interrupts) -> Outcome {
    Outcome {
        failed: ran.broken.is_some() || ran.status == RunStatus::Failed,
        usable: dataset.map(|d| d.audit.verdict != DatasetVerdict::NotUsable),
        nothing_succeeded: failed_requests::nothing_succeeded(&ran.summary),
        fault_failed: !ran.summary.fault_failures.is_empty(),
        // A second signal may have ended what comes after the load.
        interrupted: ran.status == RunStatus::Interrupted || interrupts.count() > 1,
    }
}

/// Sends the folder away; `exit` is what the run came to before.
async fn upload(
    store: &Place,
    folder: &RunFolder,
    interrupts: &Interrupts,
    exit: Exit,
) -> Result<Exit, Failure> {
    let sent = super::upload::send(store, folder.path(), || interrupts.count() > 1).await;
    match (exit, sent) {
        (Exit::Success, Err(failure)) => Err(failure),
        (exit, Err(failure)) => {
            say(failure);
            Ok(exit)
        }
        (exit, Ok(_)) => Ok(exit),
    }
}

/// Begins to show the run.
fn show_live(listener: TcpListener, plan: &Plan, folder: &RunFolder) -> Result<LivePage, Failure> {
    let page = LivePage::start(listener, plan, folder.path());
    let page = page.map_err(|e| Failure::new(Exit::Failed, format!("--serve: {e}")))?;
    say(format_args!("the run as it goes: {}", page.url));
    if !page.is_loopback {
        say(
            "warning: --serve: whoever reaches this address can look at the run: there is no token",
        );
    }
    Ok(page)
}

fn ended_before() -> Failure {
    let message = "ended by a signal before the load began";
    Failure::new(Exit::Interrupted, message)
}

/// The run's folder, with the scenario file and the plan in it. `plan` has no secrets.
fn make_folder(args: &RunArgs, plan: &Plan) -> Result<RunFolder, Failure> {
    let cannot = |what: &Path, e: std::io::Error| {
        Failure::new(Exit::Failed, format!("can't write {}: {e}", what.display()))
    };
    let scenario = std::fs::read_to_string(&args.plan.file);
    let scenario = scenario.map_err(|e| cannot(&args.plan.file, e))?;
    let out = args
        .out
        .clone()
        .or_else(|| shard::default_folder(&args.shared));
    let folder = RunFolder::create(out.as_deref(), &args.plan.file)
        .map_err(|e| cannot(out.as_deref().unwrap_or(Path::new("runs")), e))?;
    loadgen_files::write_new(&folder.scenario(), redact::scenario_file(&scenario))
        .map_err(|e| cannot(&folder.scenario(), e))?;
    loadgen_files::write_new(&folder.plan(), super::json(plan)?)
        .map_err(|e| cannot(&folder.plan(), e))?;
    Ok(folder)
}

/// How a dataset can be made of a run that made none.
fn next_command(folder: &RunFolder, has_telemetry: bool) -> String {
    let at = folder.path().display();
    if has_telemetry {
        return format!("\nThe run is in {at}. Next:\n  loadgen extract {at}\n");
    }
    let stored = "If a Collector stored what the services sent, label that; `telemetry` stands for its \
                  files or its folder:";
    let nothing = "If nothing was stored: `loadgen collect --out telemetry` is a small Collector. Start it \
                   in a terminal of its own, let the services send OTLP to its ports 4317 (gRPC) or 4318 \
                   (HTTP), and run again with --telemetry telemetry.";
    format!(
        "\nThe run is in {at}.\n{}  loadgen extract {at} telemetry\n{}",
        tables::wrapped(stored, ""),
        tables::wrapped(nothing, "")
    )
}

/// What comes after a shard's part of a run.
fn merge_command(args: &RunArgs, folder: &RunFolder, shard: &RunShard) -> String {
    let at = folder.path().display();
    let runs = match &args.shared.rendezvous {
        Some(folder) if args.out.is_none() => folder.display().to_string(),
        _ => format!("<the folders of all {} shards>", shard.count),
    };
    format!(
        "\nWhat shard {} of {} did of the run is in {at}. When all are done, make one run of them:\n  \
         loadgen merge {runs} --out <folder>\n",
        shard.index, shard.count
    )
}

fn note(args: &RunArgs, text: &str) {
    if !args.quiet {
        say(text);
    }
}

//! `loadgen merge`: one run of what its shards left behind.

mod ledgers;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use loadgen_engine::consumers::{LedgerFile, SummaryFile, TimelineFile};
use loadgen_engine::{Consumer, EngineEvent};
use loadgen_scenario::{Plan, Shard, redact};
use loadgen_timeline::event::{Event, RunStarted, RunStatus};
use loadgen_timeline::merge::{MergeError, ShardTimeline, merge as merge_timelines, missing};
use loadgen_timeline::summary::{GeneratorUsage, Summary};
use serde::Serialize;

use self::ledgers::Ledgers;
use super::ground_truth::unchanged_timeline;
use crate::args::MergeArgs;
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::shard::shard_folders;
use crate::tables;

/// What came of the shards, for `--json`.
#[derive(Debug, Serialize)]
struct Merged {
    folder: PathBuf,
    run_id: String,
    /// Numbers of the shards that are not in it.
    missing: Vec<u32>,
    status: RunStatus,
    requests: u64,
    summary: Summary,
}

pub(super) fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let folders = run_folders(&args.runs)?;
    let timelines = folders
        .iter()
        .map(read_shard)
        .collect::<Result<Vec<_>, _>>()?;
    let events = merge_timelines(&timelines).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        wrong(format!(
            "these are not the shards of one run:\n  {}",
            lines.join("\n  ")
        ))
    })?;
    let (Some(Event::RunStarted(run)), Some(Event::RunFinished(end))) =
        (events.first(), events.last())
    else {
        unreachable!("a merged timeline has a beginning and an end");
    };
    let lacking = lacking(args, run)?;
    let plan = read_plans(&folders)?;
    let mut ledgers = Ledgers::open(&timelines, &folders, &plan)?;

    let out = RunFolder::create_without_telemetry(&args.out).map_err(|e| cannot(&args.out, e))?;
    write_inputs(&folders, &plan, &out)?;
    let summary = SummaryFile::of_replay(&out.summary(), &plan, Shard::WHOLE);
    let figures = summary.handle();
    let timeline = TimelineFile::create(&out.timeline()).map_err(|e| cannot(&out.timeline(), e))?;
    let ledger = LedgerFile::create(&out.ledger(), &plan, &run.run_id)
        .map_err(|e| cannot(&out.ledger(), e))?;
    let mut consumers: Vec<Box<dyn Consumer>> =
        vec![Box::new(timeline), Box::new(ledger), Box::new(summary)];
    let mut give = |event: &EngineEvent| {
        consumers
            .iter_mut()
            .try_for_each(|consumer| consumer.take(event))
            .map_err(|e| cannot(out.path(), e))
    };
    // Each consumer takes lines and requests by themselves, so the requests may come in one piece.
    give(&EngineEvent::Timeline(events[0].clone()))?;
    let mut requests = 0;
    while let Some(records) = ledgers.next()? {
        requests += records.len() as u64;
        give(&EngineEvent::Requests(records))?;
    }
    for line in &events[1..] {
        give(&EngineEvent::Timeline(line.clone()))?;
    }
    add_costs(
        &mut figures.lock().unwrap_or_else(PoisonError::into_inner),
        &folders,
    );
    for consumer in &mut consumers {
        consumer.finish().map_err(|e| cannot(out.path(), e))?;
    }

    if end.status != RunStatus::Completed {
        say(
            "warning: at least one of the shards did not come to its end; see status in their timelines",
        );
    }
    let summary = figures
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    tell(args, run, end.status, requests, summary, &out)?;
    Ok(
        match lacking.is_none() && end.status == RunStatus::Completed {
            true => Exit::Success,
            false => Exit::Warnings,
        },
    )
}

/// What is missing of the run; an error unless that is allowed.
fn lacking(args: &MergeArgs, run: &RunStarted) -> Result<Option<MergeError>, Failure> {
    let lacking = missing(run);
    match &lacking {
        Some(lacking) if args.allow_missing => say(format_args!("warning: {lacking}")),
        Some(lacking) => {
            return Err(wrong(format!(
                "{lacking}\nGive the folders of all shards; --allow-missing makes a run of those that \
                 are there, and the audit says so."
            )));
        }
        None => {}
    }
    Ok(lacking)
}

fn tell(
    args: &MergeArgs,
    run: &RunStarted,
    status: RunStatus,
    requests: u64,
    summary: Summary,
    out: &RunFolder,
) -> Result<(), Failure> {
    if args.json {
        super::print(&super::json(&Merged {
            folder: out.path().to_owned(),
            run_id: run.run_id.clone(),
            missing: run.missing_shards(),
            status,
            requests,
            summary,
        })?)?;
        return Ok(());
    }
    super::print(&tables::summary(&summary, None))?;
    super::print(&format!(
        "\n{} shards are one run in {at}. Next, label what your Collector stored; `telemetry` stands for \
         its files or its folder:\n  loadgen extract {at} telemetry\n",
        run.shards.len(),
        at = out.path().display(),
    ))?;
    Ok(())
}

fn wrong(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::BadInput, message)
}

fn cannot(what: &Path, error: std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("can't write {}: {error}", what.display()),
    )
}

/// The folders that are given; a rendezvous stands for the shards in it.
fn run_folders(given: &[PathBuf]) -> Result<Vec<RunFolder>, Failure> {
    let mut folders = Vec::new();
    for path in given {
        let of = RunFolder::of(path);
        if of.timeline().exists() {
            folders.push(of);
            continue;
        }
        let shards = shard_folders(path)
            .map_err(|e| wrong(format!("can't read {}: {e}", path.display())))?;
        if shards.is_empty() {
            return Err(wrong(format!(
                "{} is no run folder, which would have a timeline.jsonl, and no rendezvous with shards in it",
                path.display()
            )));
        }
        folders.extend(shards.iter().map(|path| RunFolder::of(path)));
    }
    Ok(folders)
}

fn read_shard(folder: &RunFolder) -> Result<ShardTimeline, Failure> {
    let path = folder.timeline();
    let timeline = unchanged_timeline(&path)?;
    let name = folder.path().display().to_string();
    if timeline.finished.is_none() {
        say(format_args!(
            "warning: {name}: its end is missing: it was killed, or still goes on"
        ));
    }
    let bytes =
        fs::read(&path).map_err(|e| wrong(format!("can't read {}: {e}", path.display())))?;
    Ok(ShardTimeline {
        name,
        events: loadgen_timeline::read::events(&bytes),
    })
}

/// The plan, which all shards have. What scripts of one's own called their steps is in the plans
/// only as far as each shard got.
fn read_plans(folders: &[RunFolder]) -> Result<Plan, Failure> {
    let mut whole: Option<Plan> = None;
    for folder in folders {
        let path = folder.plan();
        let cannot = |e: String| wrong(format!("can't read the plan {}: {e}", path.display()));
        let bytes = fs::read(&path).map_err(|e| cannot(e.to_string()))?;
        let plan: Plan = serde_json::from_slice(&bytes).map_err(|e| cannot(e.to_string()))?;
        let Some(whole) = &mut whole else {
            whole = Some(plan);
            continue;
        };
        if without_flows(whole) != without_flows(&plan) {
            return Err(wrong(format!(
                "{} is another plan than that of {}",
                path.display(),
                folders[0].path().display()
            )));
        }
        unite(whole, plan);
    }
    whole.ok_or_else(|| wrong("there is no shard"))
}

fn without_flows(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    plan.flows.clear();
    // On each machine the file may have been elsewhere.
    plan.scenario_file.clear();
    plan
}

/// Adds flows and steps that are not there.
fn unite(whole: &mut Plan, plan: Plan) {
    for flow in plan.flows {
        let known = whole.flows.iter_mut().find(|known| known.name == flow.name);
        let Some(known) = known else {
            whole.flows.push(flow);
            continue;
        };
        for step in flow.steps {
            if !known.steps.iter().any(|s| s.name == step.name) {
                known.steps.push(step);
            }
        }
    }
}

/// The plan, and the scenario file where there is one.
fn write_inputs(folders: &[RunFolder], plan: &Plan, out: &RunFolder) -> Result<(), Failure> {
    loadgen_files::write_new(&out.plan(), super::json(&redact::plan(plan))?)
        .map_err(|e| cannot(&out.plan(), e))?;
    if let Some(file) = folders
        .iter()
        .map(RunFolder::scenario)
        .find(|path| path.exists())
    {
        let text = fs::read(&file).map_err(|e| cannot(&file, e))?;
        loadgen_files::write_new(&out.scenario(), text).map_err(|e| cannot(&out.scenario(), e))?;
    }
    Ok(())
}

/// Adds up what sending cost, as far as the shards' summaries say.
fn add_costs(summary: &mut Summary, folders: &[RunFolder]) {
    for folder in folders {
        let bytes = fs::read(folder.summary()).unwrap_or_default();
        // One that was killed has none.
        let Ok(of_shard) = serde_json::from_slice::<Summary>(&bytes) else {
            continue;
        };
        if let Some(usage) = of_shard.generator {
            summary.generator = Some(match summary.generator.take() {
                None => usage,
                Some(sum) => GeneratorUsage {
                    cpu_seconds: sum.cpu_seconds + usage.cpu_seconds,
                    max_rss_bytes: sum.max_rss_bytes + usage.max_rss_bytes,
                    harness_cpu_seconds: add(sum.harness_cpu_seconds, usage.harness_cpu_seconds),
                    harness_max_rss_bytes: sum
                        .harness_max_rss_bytes
                        .map(|sum| sum + usage.harness_max_rss_bytes.unwrap_or(0)),
                    process: sum.process,
                },
            });
        }
        for (sum, one) in summary.scenarios.iter_mut().zip(of_shard.scenarios) {
            sum.generator_cpu_seconds = add(sum.generator_cpu_seconds, one.generator_cpu_seconds);
            sum.harness_cpu_seconds = add(sum.harness_cpu_seconds, one.harness_cpu_seconds);
        }
    }
}

fn add(sum: Option<f64>, one: Option<f64>) -> Option<f64> {
    match (sum, one) {
        (Some(sum), Some(one)) => Some(sum + one),
        (sum, one) => sum.or(one),
    }
}

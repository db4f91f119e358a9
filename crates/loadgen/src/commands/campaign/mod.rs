//! `loadgen campaign`: many runs of a scenario file, and one dataset of all.
//!
//! Each run is a process of its own, `loadgen run …`. What has ended is written down at once, so that
//! the same command goes on where a campaign was stopped or killed.

mod work;

use std::fs;
use std::path::{Path, PathBuf};

use loadgen_campaign::CampaignError;
use loadgen_campaign::figures::CampaignFigures;
use loadgen_campaign::journal::{Asked, CampaignJournal};
use loadgen_campaign::planned::{self, PlannedRun, Wanted};
use loadgen_dataset::{BuildOptions, BuildReport, Unusable};
use loadgen_engine::BaseUrl;
use loadgen_scenario::{Plan, Target};
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::work::{Halt, Work};
use super::{dataset, plan};
use crate::args::{CampaignArgs, PlanOverrides};
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder;
use crate::interrupts::Interrupts;
use crate::tables;

/// The dataset, in the campaign's folder.
const DATASET: &str = "dataset";

pub(super) async fn campaign(args: CampaignArgs) -> Result<Exit, Failure> {
    check(&args)?;
    let first = plan_of(&args, args.seed)?;
    let runs = runs(&args, &first)?;
    let targets = targets(&args, &first);
    let journal =
        CampaignJournal::open(&args.out, &asked(&args, &first, &targets)?).map_err(failure)?;
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let mut work = Work::new(&args, runs, targets, journal)?;
    let halted = work.all(&interrupts).await?;
    match &halted {
        None => {}
        Some(Halt::Interrupted) => {
            say("stopped; the same command goes on with it");
            return Ok(Exit::Interrupted);
        }
        Some(Halt::Because(reason)) => say(format_args!("warning: {reason}")),
    }
    work.tidy_up()?;
    let journal = work.into_journal();
    let folders: Vec<PathBuf> = journal
        .ended()
        .iter()
        .filter(|run| run.has_dataset)
        .map(|run| args.out.join(&run.folder))
        .collect();
    if folders.is_empty() {
        return Err(Failure::new(Exit::Failed, "no run has a dataset"));
    }
    if !args.quiet {
        say(format_args!("making one dataset of {} runs", folders.len()));
    }
    let Some(report) = build(&args.out, folders, &interrupts).await? else {
        say("stopped; the same command goes on with it");
        return Ok(Exit::Interrupted);
    };
    let left_out = report.left_out.len() as u64;
    let figures =
        CampaignFigures::read(&report.output, left_out, journal.ended()).map_err(failure)?;
    show(&args, &report, &figures)?;
    Ok(match halted {
        Some(_) => Exit::Failed,
        None if !report.standing.usable => Exit::NotUsable,
        None => Exit::Success,
    })
}

fn failure(error: CampaignError) -> Failure {
    let exit = match error.is_bad_input() {
        true => Exit::BadInput,
        false => Exit::Failed,
    };
    Failure::new(exit, error)
}

fn check(args: &CampaignArgs) -> Result<(), Failure> {
    let count = args.targets.len();
    for (flag, given) in [
        ("--admin-url", args.admin_url.len()),
        ("--telemetry", args.telemetry.len()),
    ] {
        if given != 0 && given != count {
            let message = format!(
                "{flag} is given {given} times, and --target {count} times: give one for each target"
            );
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(())
}

fn plan_of(args: &CampaignArgs, seed: Option<u64>) -> Result<Plan, Failure> {
    let overrides = PlanOverrides {
        base_url: args.targets.first().cloned(),
        seed,
        time_scale: args.time_scale,
        vus: None,
        scenarios: args.scenarios.clone(),
    };
    Ok(plan::load_with(&args.file, &overrides)?.plan)
}

/// The runs that come to what is wanted.
fn runs(args: &CampaignArgs, first: &Plan) -> Result<Vec<PlannedRun>, Failure> {
    let wanted = match (args.runs, args.episodes) {
        (Some(runs), _) => Wanted::Runs(runs),
        (None, episodes) => Wanted::Episodes(episodes.unwrap_or(1)),
    };
    let plans = (0..).map(|number| {
        let seed = first.seed.checked_add(number).ok_or_else(|| {
            let message = format!("seed {} is too large for {number} runs", first.seed);
            Failure::new(Exit::Usage, message)
        })?;
        Ok(PlannedRun::of(&plan_of(args, Some(seed))?))
    });
    planned::take(wanted, plans)?.ok_or_else(|| {
        let wanted = args.episodes.unwrap_or(0);
        failure(CampaignError::NoEpisodes { wanted })
    })
}

/// Where a run may be: one at a time at each.
#[derive(Debug, Clone, Default)]
struct Place {
    /// A target that is kept. None: the run has an embedded shop.
    target: Option<String>,
    admin_url: Option<String>,
    telemetry: Option<PathBuf>,
}

fn targets(args: &CampaignArgs, plan: &Plan) -> Vec<Place> {
    if args.targets.is_empty() && plan.target == Target::Embedded {
        return vec![Place::default(); args.at_once.into()];
    }
    if let (true, Target::BaseUrl(url)) = (args.targets.is_empty(), &plan.target) {
        // That of the file; only one run at a time can be there.
        let target = Some(url.clone());
        return vec![Place {
            target,
            ..Place::default()
        }];
    }
    let place = |(number, url): (usize, &String)| Place {
        target: Some(url.clone()),
        admin_url: args.admin_url.get(number).cloned(),
        telemetry: args.telemetry.get(number).cloned(),
    };
    args.targets.iter().enumerate().map(place).collect()
}

fn asked(args: &CampaignArgs, first: &Plan, targets: &[Place]) -> Result<Asked, Failure> {
    let text = fs::read(&args.file).map_err(|e| {
        Failure::new(
            Exit::BadInput,
            format!("can't read {}: {e}", args.file.display()),
        )
    })?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let sum = const_hex::encode(Sha256::digest(&text));
    let urls = targets.iter().filter_map(|place| place.target.as_deref());
    Ok(Asked {
        first_seed: first.seed,
        time_scale: args.time_scale,
        scenarios: args.scenarios.clone(),
        targets: urls.map(|url| BaseUrl::new(url).url).collect(),
        ..Asked::new(name.into_owned(), sum)
    })
}

/// Makes the dataset anew. One that is there is replaced when the new one is whole.
async fn build(
    out: &Path,
    inputs: Vec<PathBuf>,
    interrupts: &Interrupts,
) -> Result<Option<BuildReport>, Failure> {
    let place = out.join(DATASET);
    let (new, old) = (out.join("dataset.new"), out.join("dataset.old"));
    let cannot = |what: &Path| {
        let what = what.display().to_string();
        move |e: std::io::Error| Failure::new(Exit::Failed, format!("{what}: {e}"))
    };
    for left in [&new, &old] {
        remove(left).map_err(cannot(left))?;
    }
    let options = BuildOptions {
        inputs,
        output: new.clone(),
        unusable: Unusable::Skip,
        ..BuildOptions::default()
    };
    let Some(mut report) = dataset::make(options, interrupts).await? else {
        return Ok(None);
    };
    if place.exists() {
        fs::rename(&place, &old).map_err(cannot(&place))?;
    }
    fs::rename(&new, &place).map_err(cannot(&new))?;
    remove(&old).map_err(cannot(&old))?;
    report.output = place;
    Ok(Some(report))
}

/// Removes a folder, unless it is not there.
fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What a campaign made, for `--json` and figures.json.
#[derive(Debug, Serialize)]
struct Made<'m> {
    figures: &'m CampaignFigures,
    dataset: &'m BuildReport,
}

fn show(
    args: &CampaignArgs,
    report: &BuildReport,
    figures: &CampaignFigures,
) -> Result<(), Failure> {
    let made = super::json(&Made {
        figures,
        dataset: report,
    })?;
    let text = figures.markdown();
    for (name, text) in [("figures.json", &made), ("figures.md", &text)] {
        let path = args.out.join(name);
        fs::write(&path, text).map_err(|e| {
            Failure::new(Exit::Failed, format!("can't write {}: {e}", path.display()))
        })?;
    }
    let shown = match args.json {
        true => made,
        false => format!("{}\n{text}", tables::built(report)),
    };
    super::print(&shown)?;
    Ok(())
}

/// The name of a campaign for people: that of its scenario file.
fn name(args: &CampaignArgs) -> String {
    folder::stem(&args.file)
}

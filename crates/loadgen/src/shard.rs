//! `--shard`: a run that several generators share. What the command line says of it, and what all
//! of them agree on before the load begins.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loadgen_engine::EngineError;
use loadgen_scenario::{Executor, MOST_SHARDS, Plan, Shard, Target};
use loadgen_timeline::Clock;
use loadgen_timeline::event::RunShard;
use sha2::{Digest, Sha256};

use crate::args::{EngineChoice, RunArgs, SharedRun};
use crate::commands::{client, undo_leftovers};
use crate::exit::{Exit, Failure};
use crate::rendezvous::{NotMet, Rendezvous};

/// From the moment at which all shards are there to the start.
const LEAD: Duration = Duration::from_secs(5);

/// The same for k6, which runs the script once for each VU before it is ready.
const LEAD_OF_K6: Duration = Duration::from_secs(30);

/// What a run is called and when it starts.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) run_id: String,
    /// Unix nanoseconds; none: as soon as all is ready.
    pub(crate) start_at_ns: Option<i64>,
    /// Which part of the run this is; none: all of it.
    pub(crate) shard: Option<RunShard>,
}

impl Identity {
    /// Whether this process has the faults injected.
    pub(crate) fn drives_faults(&self) -> bool {
        self.shard.as_ref().is_none_or(|shard| shard.drives_faults)
    }
}

/// `I/N`, I from 0.
pub(crate) fn parse(text: &str) -> Result<Shard, String> {
    let numbers = text.split_once('/');
    let numbers =
        numbers.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    let shard = numbers.and_then(|(index, count)| Shard::new(index, count));
    shard.ok_or_else(|| {
        format!("give I/N with I from 0 to N - 1, such as 0/4 … 3/4; at most {MOST_SHARDS} shards")
    })
}

/// Refuses what can't be done by several generators, before anything else.
pub(crate) fn check(args: &RunArgs, plan: &Plan) -> Result<(), Failure> {
    let wrong = |message: &str| Err(Failure::new(Exit::Usage, message));
    let SharedRun {
        shard,
        rendezvous,
        start_at,
        run_id,
        ..
    } = &args.shared;
    if let Some(id) = run_id {
        let is_id = id.len() == 32
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !is_id {
            return wrong("--run-id: give 32 lower-case hexadecimal digits");
        }
    }
    let Some(shard) = shard else {
        return match rendezvous {
            Some(_) => wrong(
                "--rendezvous is for the shards of a run: say which one this is with --shard I/N",
            ),
            None => Ok(()),
        };
    };
    if plan.target == Target::Embedded {
        return wrong(
            "--shard: the embedded shop belongs to one run of one process, and shards need a target that \
             they share\nStart one with `loadgen shop`, and give its address with --base-url.",
        );
    }
    let follows_a_flag =
        |executor: &Executor| matches!(executor, Executor::ExternallyControlled { .. });
    if let Some(scenario) = plan.scenarios.iter().find(|s| follows_a_flag(&s.executor)) {
        return wrong(&format!(
            "--shard: the VUs of `{}` follow a flag, and are not known before the run, so that they can't \
             be dealt out",
            scenario.name
        ));
    }
    if !args.telemetry.is_empty() {
        return wrong(
            "--telemetry makes a dataset of one process's run, and with --shard the run is that of all of \
             them: use `loadgen merge` when they are done, then `loadgen extract`",
        );
    }
    if rendezvous.is_some() && start_at.is_some() {
        return wrong(
            "--rendezvous and --start-at both say when the run starts: leave one of them out",
        );
    }
    if rendezvous.is_none() && (start_at.is_none() || run_id.is_none()) {
        return wrong(
            "--shard: all shards start at one moment and have one run id. Let them agree in a folder that \
             all of them see (--rendezvous DIR), or give all of them the same --start-at TIME and --run-id ID.",
        );
    }
    if args.engine == EngineChoice::K6 {
        let idle = plan
            .scenarios
            .iter()
            .find(|s| s.executor.sends() && shard.vus(s.executor.most_vus()) == 0);
        if let Some(idle) = idle {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "--shard: `{}` has fewer VUs than there are shards, and k6 leaves a scenario out where it \
                     has no VU\nTake fewer shards, more VUs, or --engine rust.",
                    idle.name
                ),
            ));
        }
    }
    Ok(())
}

/// Where a shard's run folder is, if nothing else is said.
pub(crate) fn default_folder(shared: &SharedRun) -> Option<PathBuf> {
    let (folder, shard) = (shared.rendezvous.as_ref()?, shared.shard?);
    Some(folder.join(format!("shard-{}", shard.index())))
}

/// Run folders of shards in a rendezvous, in the order of their numbers.
pub(crate) fn shard_folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("shard-"));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    let folders = numbers.iter().map(|n| folder.join(format!("shard-{n}")));
    Ok(folders.filter(|path| path.is_dir()).collect())
}

/// Comes to an agreement with the other shards, if there are any.
///
/// # Errors
/// They did not come together, or this one came too late.
pub(crate) async fn agree(args: &RunArgs, plan: &Plan) -> Result<Identity, Failure> {
    let shared = &args.shared;
    let shard = shared.shard.unwrap_or(Shard::WHOLE);
    if let (Some(folder), Some(_)) = (&shared.rendezvous, shared.shard) {
        if shard.index() == 0 && !plan.scenarios.iter().all(|s| s.fault.is_none()) {
            // It can take longer than there is time between the agreement and the start.
            undo_leftovers(&client()?).await?;
        }
        let meeting = Rendezvous {
            folder,
            shard,
            plan: digest(args, plan)?,
            run_id: shared.run_id.clone().unwrap_or_else(new_run_id),
            lead: match args.engine {
                EngineChoice::Rust => LEAD,
                EngineChoice::K6 => LEAD_OF_K6,
            },
            limit: shared.rendezvous_timeout,
        };
        let agreed = meeting.meet().await.map_err(|error| {
            let code = match error {
                NotMet::Refused(_) => Exit::BadInput,
                NotMet::Folder { .. } => Exit::Failed,
                NotMet::Absent { .. } => Exit::NotReachable,
            };
            Failure::new(code, error)
        })?;
        return Ok(Identity {
            run_id: agreed.run_id,
            start_at_ns: Some(agreed.start_ns),
            shard: run_shard(shard, agreed.clock_ahead_ns),
        });
    }
    if let Some(at_ns) = shared.start_at {
        let late_ns = Clock::anchored_now().now_ns() - at_ns;
        if late_ns > 0 {
            let by = Duration::from_nanos(late_ns.unsigned_abs());
            return Err(Failure::new(Exit::BadInput, EngineError::Late { by }));
        }
    }
    Ok(Identity {
        run_id: shared.run_id.clone().unwrap_or_else(new_run_id),
        start_at_ns: shared.start_at,
        shard: run_shard(shard, None),
    })
}

/// A new id for a run.
pub(crate) fn new_run_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// What the timeline says of a shard.
fn run_shard(shard: Shard, clock_ahead_ns: Option<[i64; 2]>) -> Option<RunShard> {
    let mut of = RunShard::of(shard)?;
    of.drives_faults = shard.index() == 0;
    of.clock_ahead_ns = clock_ahead_ns;
    Some(of)
}

/// A digest of all that has to be the same for the shards of a run.
fn digest(args: &RunArgs, plan: &Plan) -> Result<String, Failure> {
    let mut plan = plan.clone();
    // On each machine the file may be elsewhere.
    plan.scenario_file.clear();
    let json = crate::commands::json(&plan)?;
    let text = format!("{} {:?} {json}", env!("CARGO_PKG_VERSION"), args.engine);
    let digest = Sha256::digest(text.as_bytes());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a shard does of a plan: all but the faults, if another shard drives those.
pub(crate) fn part_of(plan: &Plan, identity: &Identity) -> Plan {
    let mut part = plan.clone();
    if !identity.drives_faults() {
        part.scenarios.iter_mut().for_each(|s| s.fault = None);
        part.drivers.clear();
        part.observed.clear();
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_numbered_from_zero() {
        assert_eq!(parse("0/4"), Ok(Shard::new(0, 4).unwrap()));
        assert_eq!(parse("3/4"), Ok(Shard::new(3, 4).unwrap()));
        for wrong in ["4/4", "1", "/", "a/2", "-1/2", "0/0", ""] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains("0/4 … 3/4"), "{wrong}: {error}");
        }
    }
}

//! Commands that take runs, or what is left of them, and compare, merge or amend them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::{Allowed, EXIT_CODES, PlanOverrides};

/// Compare both engines in paired runs, or two runs that are done.
///
/// With a scenario file, each repetition runs it with the Rust engine and with k6, in alternating
/// order and with a seed of its own. With two run folders, these are compared as they are; the first
/// is what differences refer to.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CompareArgs {
    /// A scenario file, or the folders of two runs.
    #[arg(required = true, num_args = 1..=2, value_names = ["FILE|RUN_A", "RUN_B"])]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: PlanOverrides,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    /// Repetitions, each a run with either engine; repetition N has the seed plus N - 1.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repetitions: u32,
    /// Pause between two runs.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = loadgen_scenario::parse_duration)]
    pub(crate) cool_down: std::time::Duration,
    /// Up to so many percent either way count as the same.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub(crate) tolerance: f64,
    /// Folder for the runs and the comparison [default: runs/{UTC stamp}-compare-{scenario file}]
    #[arg(long, alias = "output", value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Threads of the engine `rust` that send requests; k6 uses all processors by itself.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    /// Admin URL of a demo shop that `loadgen shop` started; its faults can then be injected.
    #[arg(long, value_name = "URL")]
    pub(crate) admin_url: Option<String>,
    /// Inject no faults.
    #[arg(long, conflicts_with = "admin_url")]
    pub(crate) no_faults: bool,
    /// Export no client spans. Traces then begin at the target's edge.
    #[arg(long)]
    pub(crate) no_client_spans: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print the comparison as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make one run of what several generators did of it.
///
/// Timelines, ledgers and figures of the shards become those of one run, which all other commands
/// take as such.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct MergeArgs {
    /// The shards' run folders, or the folder of their rendezvous.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Folder for the merged run.
    #[arg(long, alias = "output", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Make a run of the shards that are there. The audit says which are not.
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FaultsCommand {
    /// List the runs that have left faults behind, and the faults.
    List,
    /// Clear what runs have left behind. The next run does so, too.
    Clear(FaultsClearArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct FaultsClearArgs {
    /// Ids or folders of runs [default: all that have left something behind]
    #[arg(value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Give up what can't be cleared, such as a fault in a target that is gone for good.
    #[arg(long)]
    pub(crate) forget: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TimelineCommand {
    /// Make timeline, ledger and summary of the event log of a k6 that ran alone.
    ///
    /// The log is what loadgen's k6 module writes: `k6 run --log-format raw --console-output
    /// events.log -e LOADGEN_PLAN=plan.json k6/replay.js`, or a script of one's own with the module.
    FromK6(FromK6Args),
    /// Write down a fault that was made by hand, during a run or after it.
    ///
    /// With --start alone it is in force until a second call gives --end. The lines go to
    /// faults.jsonl beside the timeline, where extract finds them.
    Fault(FaultByHandArgs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct FaultByHandArgs {
    /// The folder of the run.
    pub(crate) run: PathBuf,
    /// What the fault is called.
    #[arg(long, value_name = "NAME")]
    pub(crate) fault: String,
    /// The service that it is in.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: String,
    /// The scenario whose window it belongs to [default: the one that is open at its start]
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Option<String>,
    /// Since when it is in force: RFC 3339, such as 2026-03-01T10:00:00Z, Unix nanoseconds, or `now`.
    #[arg(long, value_name = "TIME", required_unless_present = "end", value_parser = moment)]
    pub(crate) start: Option<i64>,
    /// Since when it is gone, likewise.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) end: Option<i64>,
    /// How strong, above 0 up to 1.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub(crate) intensity: f64,
}

/// A moment in Unix nanoseconds.
fn moment(text: &str) -> Result<i64, String> {
    if text == "now" {
        return Ok(loadgen_timeline::Clock::anchored_now().now_ns());
    }
    if let Ok(ns) = text.parse() {
        return Ok(ns);
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| {
        "give RFC 3339, such as 2026-03-01T10:00:00Z, Unix nanoseconds, or `now`".to_owned()
    })?;
    let ns = time.timestamp_nanos_opt();
    ns.ok_or_else(|| "that is too far from 1970".to_owned())
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct FromK6Args {
    /// The event log.
    pub(crate) log: PathBuf,
    /// Folder for timeline.jsonl, ledger.arrows and summary.json.
    #[arg(long = "out", visible_alias = "output", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

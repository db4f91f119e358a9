//! What `loadgen campaign` takes.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use loadgen_campaign::disk::Bound;

use super::{Allowed, EXIT_CODES};

/// Make many runs of a scenario file, each with a seed of its own, and one dataset of all.
///
/// A campaign that was stopped or killed goes on where it was when the same command is given again. With
/// a greater number of episodes it is continued.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CampaignArgs {
    /// The scenario file, best one with `episodes:`.
    pub(crate) file: PathBuf,
    /// As many runs as it takes for so many episodes. An episode is a window that declares an anomaly,
    /// shams too.
    #[arg(long, value_name = "N", required_unless_present = "runs", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) episodes: Option<u64>,
    /// So many runs.
    #[arg(long, value_name = "N", conflicts_with = "episodes", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) runs: Option<u64>,
    /// Folder of the campaign: new, empty, or of a campaign to go on with.
    #[arg(long, alias = "output", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Seed of the first run, instead of the file's; the others follow.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Stretch the timetable by this factor, as `run` does.
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub(crate) time_scale: f64,
    /// Only these scenarios, by name.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,
    /// How many runs at the same time, each with an embedded shop of its own. They share the machine:
    /// what is injected into one may be felt by another.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64), conflicts_with = "targets")]
    pub(crate) at_once: u16,
    /// Base URL of a target that is kept for all runs, instead of the file's; several times for
    /// several, which have runs at the same time.
    #[arg(long = "target", value_name = "URL")]
    pub(crate) targets: Vec<String>,
    /// Admin URL of the demo shop at each --target, in the same order.
    #[arg(long, value_name = "URL", requires = "targets")]
    pub(crate) admin_url: Vec<String>,
    /// Files or folder that the Collector of each --target writes to, in the same order.
    #[arg(long, value_name = "PATH", requires = "targets")]
    pub(crate) telemetry: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    /// How much of the disk the campaign may take: a size such as 20GB, or a share of what is free such
    /// as 50%. Before a run that would not fit the campaign ends.
    #[arg(long, value_name = "SIZE", default_value = "50%")]
    pub(crate) max_disk: Bound,
    /// Keep what the embedded collectors stored, and each run's tables as CSV. Else they are deleted when
    /// a run has its dataset.
    #[arg(long)]
    pub(crate) keep_telemetry: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print the figures as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

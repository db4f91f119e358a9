//! The command line, as typed.

mod campaign;
mod dataset;
mod detect;
mod init;
mod programs;
mod replay;
mod run;
mod runs;
mod spark;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(crate) use self::campaign::CampaignArgs;
pub(crate) use self::dataset::{
    AuditArgs, BuildArgs, DatasetCommand, EvaluateArgs, ExtractArgs, FormatsChoice, ReportArgs,
    ShowArgs, SplitChoice, UnusableChoice, UploadArgs,
};
pub(crate) use self::detect::DetectArgs;
pub(crate) use self::init::{InitArgs, K6Command, K6InitArgs};
pub(crate) use self::programs::{CollectArgs, ProxyArgs, ShopArgs, ShopServiceArgs};
pub(crate) use self::replay::ReplayArgs;
pub(crate) use self::run::{EngineChoice, GuardArgs, Protocol, RunArgs, SharedRun};
pub(crate) use self::runs::{
    CompareArgs, FaultByHandArgs, FaultsClearArgs, FaultsCommand, FromK6Args, MergeArgs,
    TimelineCommand,
};
pub(crate) use self::spark::{JobArgs, SparkStep};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the run failed; what was written so far is kept (compare: a run of a repetition did)
  2  the command line is wrong: an argument, its value, or several that don't go together; or a
     host that it names is not allowed (--allow-target)
  3  an input (a file, a folder, an environment variable) is wrong or can't be read; or a host that
     it names is not allowed
  4  the target, or a program that loadgen starts, is not there or not reachable
  5  ended early by SIGINT or SIGTERM, in good order
  6  a fault could not be injected or cleared: the labels of its window are not backed by a fault
  7  the dataset is usable, but the audit has warnings (extract, audit; doctor likewise; merge: a
     shard is missing or did not come to its end)
  8  the dataset is not usable (run, extract, audit, dataset build, campaign; doctor: a dataset
     would not be); the exam is not passed (evaluate)
Where several hold, run ends with the first of 1, 8, 6, 5.

Errors, warnings and notes are coloured on a terminal; NO_COLOR=1 leaves the colours out.";

/// Makes labelled anomaly datasets from running microservices.
///
/// loadgen replays timed scenarios from a YAML file against a target, injects the faults that
/// they name, writes down what really happened and when, and labels the traces, metrics and logs
/// of that time from it. `loadgen run scenarios/default.yaml` does all of it on one machine with
/// nothing else installed: it starts a demo shop and a collector of its own.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say more of what is done, on standard error: -v, -vv, -vvv [env: RUST_LOG, by target]
    #[arg(long, short, global = true, action = ArgAction::Count, display_order = 1000)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(InitArgs),
    /// Run a scenario file and make a labelled dataset.
    Run(RunArgs),
    /// Show the timetable of a scenario file, or its plan as JSON.
    Plan(PlanArgs),
    /// Check a scenario file without running anything.
    Check(CheckArgs),
    /// See whether a target's traces could be labelled, before any load.
    Doctor(DoctorArgs),
    /// Label stored telemetry by a timeline.
    Extract(ExtractArgs),
    /// Check again whether a dataset can be trusted.
    Audit(AuditArgs),
    /// Show what the evidence says of each window of a dataset.
    Show(ShowArgs),
    /// Make one dataset of several runs.
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Make many runs of a scenario file, and one dataset of all.
    Campaign(CampaignArgs),
    /// Hold an exam: of a dataset, or of a detector on it.
    Evaluate(EvaluateArgs),
    /// Make a page that shows what happened in a run, or in several.
    Report(ReportArgs),
    Replay(ReplayArgs),
    Detect(DetectArgs),
    /// Send a run's folder to an object store.
    Upload(UploadArgs),
    /// Compare both engines in paired runs, or two runs that are done.
    Compare(CompareArgs),
    /// Make one run of what several generators did of it.
    Merge(MergeArgs),
    /// List or clear the faults that runs which were killed have left in their targets.
    #[command(subcommand)]
    Faults(FaultsCommand),
    /// Make a timeline of what another program wrote down.
    #[command(subcommand)]
    Timeline(TimelineCommand),
    /// What helps with scripts of one's own for k6.
    #[command(subcommand)]
    K6(K6Command),
    /// Start the demo shop alone.
    Shop(ShopArgs),
    /// Start the laptop collector alone.
    Collect(CollectArgs),
    /// Start a TCP proxy that puts faults on the edge between two services.
    Proxy(ProxyArgs),
    /// Print a JSON Schema: of scenario files, plans, timelines, audits, evidence, or comparisons.
    Schema(SchemaArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write those of all commands to a folder.
    Man {
        /// Folder for a page for each command.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// One service of the demo shop; started by `loadgen shop`.
    #[command(hide = true)]
    ShopService(ShopServiceArgs),
    /// Waits for the end of a run; started by `loadgen run`.
    #[command(hide = true)]
    Guard(GuardArgs),
    /// A step of the job in `deploy/spark`.
    #[command(hide = true, subcommand)]
    Spark(SparkStep),
}

/// What changes a scenario file on its way to a plan.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PlanChanges {
    /// The scenario file.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: PlanOverrides,
}

/// What is asked for otherwise than the scenario file says.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PlanOverrides {
    /// Where requests go, instead of the file's target [env: BASE_URL]
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) base_url: Option<String>,
    /// Seed of every choice, instead of the file's.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Stretch the timetable by this factor: starts, durations, stages and guard times. Rates,
    /// VUs, think times, timeouts and fault intensities stay.
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub(crate) time_scale: f64,
    /// VUs that scenarios begin with whose number a flag says (`externally-controlled`), instead of
    /// the file's `vus` [env: LOADGEN_VUS]
    #[arg(long, value_name = "N", env = "LOADGEN_VUS", hide_env = true)]
    pub(crate) vus: Option<u32>,
    /// Only these scenarios, by name. The time in which only others would run is cut out.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) scenarios: Vec<String>,
}

impl PlanOverrides {
    /// With what the variable `BASE_URL` says, where no flag does. `BASE_URL=` is how a shell takes a
    /// variable back.
    pub(crate) fn with_variable(mut self) -> Self {
        let of_variable = || std::env::var("BASE_URL").ok().filter(|url| !url.is_empty());
        self.base_url = self.base_url.or_else(of_variable);
        self
    }
}

/// Where load, faults and telemetry may go, and whose certificates are believed there.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Allowed {
    /// Hosts outside of this machine and of private networks that load, faults and telemetry may go
    /// to
    #[arg(
        long = "allow-target",
        value_name = "HOST,…",
        value_delimiter = ',',
        env = "LOADGEN_ALLOW_TARGET"
    )]
    pub(crate) hosts: Vec<String>,
    /// Certificates to believe besides the system's, as PEM: authorities, or the target's own
    #[arg(long, value_name = "FILE", env = "LOADGEN_CA")]
    pub(crate) ca: Option<PathBuf>,
}

impl Allowed {
    /// The same for a process that is started to do a part of the work.
    pub(crate) fn pass_on(&self, command: &mut tokio::process::Command) {
        if !self.hosts.is_empty() {
            command.args(["--allow-target", &self.hosts.join(",")]);
        }
        if let Some(ca) = &self.ca {
            command.arg("--ca").arg(ca);
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) plan: PlanChanges,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The timetable, for people.
    Table,
    /// The plan with everything resolved, for other engines.
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// The scenario files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Stretch the timetable by this factor, as `run` does.
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub(crate) time_scale: f64,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) plan: PlanChanges,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    /// Files to which the target's Collector writes traces.
    #[arg(long, visible_alias = "collector", value_name = "FILE", num_args = 1.., conflicts_with = "jaeger")]
    pub(crate) traces: Vec<PathBuf>,
    /// Address of Jaeger's query service, such as http://127.0.0.1:16686
    #[arg(long, value_name = "URL")]
    pub(crate) jaeger: Option<String>,
    /// Try the faults, too: inject each at a tenth of its intensity, confirm it, and clear it.
    #[arg(long)]
    pub(crate) faults: bool,
    /// Admin URL of a demo shop that `loadgen shop` started, for --faults
    #[arg(long, value_name = "URL", requires = "faults")]
    pub(crate) admin_url: Option<String>,
    /// How long to wait for the traces, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub(crate) wait: f64,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SchemaArgs {
    /// Of what.
    pub(crate) of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Scenario files.
    Scenario,
    /// What `loadgen plan --format json` prints.
    Plan,
    /// A line of timeline.jsonl.
    Timeline,
    /// The audit of a dataset, `audit_STAMP.json`.
    Audit,
    /// The evidence of a dataset, `evidence_STAMP.json`.
    Evidence,
    /// The causal graphs of a dataset, `causal_graph_STAMP.json`.
    CausalGraph,
    /// The dictionary of a dataset's columns, `columns_STAMP.json`.
    Columns,
    /// The lists of episodes of a dataset of several runs, `splits.json`.
    Splits,
    /// What `loadgen compare` writes, `comparison.json`.
    Comparison,
}

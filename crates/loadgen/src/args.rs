//! The command line, as typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use loadgen_scenario::Shard;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the run failed; what was written so far is kept (compare: a run of a repetition did)
  2  the command line is wrong
  3  an input file is wrong or can't be read
  4  the target, or a program that loadgen starts, is not there or not reachable
  5  ended early by SIGINT or SIGTERM, in good order
  6  a fault could not be injected or cleared: the labels of its window are not backed by a fault
  7  the dataset is usable, but the audit has warnings (extract, audit; doctor likewise; merge: a
     shard is missing or did not come to its end)
  8  the dataset is not usable (run, extract, audit; doctor: a dataset would not be)
Where several hold, run ends with the first of 1, 8, 6, 5.";

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
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    #[arg(long, value_name = "URL", env = "BASE_URL", hide_env = true)]
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

/// Where load and faults may go.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Allowed {
    /// Hosts outside of this machine and of private networks that load and faults may go to
    #[arg(
        long = "allow-target",
        value_name = "HOST,…",
        value_delimiter = ',',
        env = "LOADGEN_ALLOW_TARGET"
    )]
    pub(crate) hosts: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) plan: PlanChanges,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    #[command(flatten)]
    pub(crate) shared: SharedRun,
    /// Folder for what the run leaves behind [default: runs/{UTC stamp}-{scenario file}; with
    /// --rendezvous: shard-{I} in its folder]
    #[arg(long, alias = "output", value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Who sends the requests.
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = EngineChoice::Rust)]
    pub(crate) engine: EngineChoice,
    /// Threads of the engine `rust` that send requests.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,
    /// Admin URL of a demo shop that `loadgen shop` started; its faults can then be injected.
    #[arg(long, value_name = "URL")]
    pub(crate) admin_url: Option<String>,
    /// Inject no faults: the labels then say what load was sent, not what was wrong.
    #[arg(long, conflicts_with = "admin_url")]
    pub(crate) no_faults: bool,
    /// Where client spans go [default: the embedded collector, else what OTEL_EXPORTER_OTLP_* say]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Transport of client spans [default: OTEL_EXPORTER_OTLP_PROTOCOL, else grpc where the
    /// endpoint's port ends in 4317, else http/protobuf]
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) otlp_protocol: Option<Protocol>,
    /// Export no client spans. Traces then begin at the target's edge.
    #[arg(long)]
    pub(crate) no_client_spans: bool,
    /// Don't send each flow once before the load to see whether the target answers as expected.
    #[arg(long)]
    pub(crate) no_preflight: bool,
    /// What the Collector of a target that is not embedded writes, files or folders: a dataset is made
    /// of it at the end
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) telemetry: Vec<PathBuf>,
    /// With --telemetry: how long after the run's end its spans and metrics are waited for at most, in
    /// seconds. They are complete when the last client span is there, no service has sent spans of
    /// the run for 10 s, and whoever sends metrics has sent some of after its end.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 120.0,
        requires = "telemetry"
    )]
    pub(crate) wait: f64,
    /// Make no dataset at the end.
    #[arg(long, conflicts_with = "telemetry")]
    pub(crate) no_extract: bool,
    /// Send the folder to an object store at the end: s3://…, gs://…, az://… or file://…
    #[arg(long, value_name = "URL")]
    pub(crate) upload: Option<String>,
    /// End in good order when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What several generators that share a run have in common.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SharedRun {
    /// Do one of N parts of the run, I from 0: the iterations and VUs of one common schedule are dealt
    /// out. Shard 0 has the faults injected [env: LOADGEN_SHARD]
    #[arg(long, value_name = "I/N", env = "LOADGEN_SHARD", hide_env = true, value_parser = crate::shard::parse)]
    pub(crate) shard: Option<Shard>,
    /// Folder that all shards see, where they agree on the run's id and its start; each run needs one
    /// of its own [env: LOADGEN_RENDEZVOUS]
    #[arg(long, value_name = "DIR", env = "LOADGEN_RENDEZVOUS", hide_env = true)]
    pub(crate) rendezvous: Option<PathBuf>,
    /// How long to wait there for the other shards.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = loadgen_scenario::parse_duration)]
    pub(crate) rendezvous_timeout: Duration,
    /// Start at that moment: RFC 3339, such as 2026-03-01T10:00:00Z, or Unix seconds [env:
    /// LOADGEN_START_AT]
    #[arg(long, value_name = "TIME", env = "LOADGEN_START_AT", hide_env = true, value_parser = start_moment)]
    pub(crate) start_at: Option<i64>,
    /// The run's id, 32 hexadecimal digits, instead of a new one [env: LOADGEN_RUN_ID]
    #[arg(long, value_name = "ID", env = "LOADGEN_RUN_ID", hide_env = true)]
    pub(crate) run_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// This program.
    Rust,
    /// Stock k6, 1.0 or newer, from K6_BIN or the PATH.
    K6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    Grpc,
    #[value(name = "http/protobuf")]
    HttpProtobuf,
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
pub(crate) struct ExtractArgs {
    /// Telemetry as a Collector stored it, of any signals, also mixed.
    pub(crate) inputs: Vec<PathBuf>,
    /// Files that hold traces.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) traces: Vec<PathBuf>,
    /// Files that hold metrics.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) metrics: Vec<PathBuf>,
    /// Files that hold logs.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) logs: Vec<PathBuf>,
    /// The run's timeline.jsonl. Without it only headers can give a label, and the dataset counts
    /// as not usable.
    #[arg(long, value_name = "FILE")]
    pub(crate) timeline: Option<PathBuf>,
    /// The run's ledger.arrows [default: the one beside the timeline, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// More timeline lines, fault_injected and fault_cleared, for faults that were made by hand
    /// [default: faults.jsonl beside the timeline, if there is one]
    #[arg(long, value_name = "FILE", requires = "timeline")]
    pub(crate) faults: Option<PathBuf>,
    /// Folder for the dataset; with --runs for a folder for each run.
    #[arg(long = "out", visible_alias = "output", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Look moments up by times that are corrected by the offset of each service's clock. Rows keep
    /// the times as they came.
    #[arg(long)]
    pub(crate) correct_skew: bool,
    /// Write only rows whose phase is steady.
    #[arg(long)]
    pub(crate) steady_only: bool,
    /// Keep rows of other runs, of the doctor, and from before and after the run, labelled unknown.
    #[arg(long)]
    pub(crate) include_foreign: bool,
    /// Put rows of all phases and verdicts into the files of classes, not only steady ones of windows
    /// that the evidence backs.
    #[arg(long)]
    pub(crate) all_phases: bool,
    /// Leave columns that give the label away, ids included, out of the files.
    #[arg(long)]
    pub(crate) drop_leaks: bool,
    /// Take a line that can't be read for an error.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Label files that are still being written: extract anew whenever they have grown, until the run
    /// has ended and its data is complete, or until SIGINT. Only the last dataset is kept.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Make a dataset of each run in this folder that is complete and has none yet, and end; what has
    /// been done is remembered in the folder of the datasets. To be called again and again.
    #[arg(
        long,
        value_name = "DIR",
        requires = "inputs",
        conflicts_with_all = [
            "timeline", "ledger", "faults", "follow", "traces", "metrics", "logs", "include_foreign"
        ]
    )]
    pub(crate) runs: Option<PathBuf>,
    /// With --follow and --runs: so long after a run's end it is extracted even if something of it has
    /// not come, in seconds [default: 120; with --runs 900]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<f64>,
    /// Time between two looks with --follow, in seconds.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        requires = "follow"
    )]
    pub(crate) every: f64,
    /// Print the report as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
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
#[command(after_help = EXIT_CODES)]
pub(crate) struct AuditArgs {
    /// The folder of a dataset.
    pub(crate) dataset: PathBuf,
    /// Which extraction in it [default: the last]
    #[arg(long, value_name = "YYYYMMDD_HHMMSS")]
    pub(crate) stamp: Option<String>,
    /// Print the audit as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ShowArgs {
    /// The folder of a dataset, or of a run that has one.
    pub(crate) dir: PathBuf,
    /// Which extraction in it [default: the last]
    #[arg(long, value_name = "YYYYMMDD_HHMMSS")]
    pub(crate) stamp: Option<String>,
    /// Only this window, with everything that was compared. Windows are numbered from 0, in the order
    /// of opening.
    #[arg(long, value_name = "N")]
    pub(crate) window: Option<usize>,
    /// Print all of it as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Send a run's folder to an object store.
///
/// What is there already, with the same size and not older, is left as it is: the same command goes on
/// where one broke off. Credentials, region and endpoint are taken from the variables AWS_*, GOOGLE_*
/// and AZURE_*, else from the machine's identity.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct UploadArgs {
    /// The folder of a run, or any other.
    pub(crate) run: PathBuf,
    /// Where to: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER
    pub(crate) url: String,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

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

/// A moment in Unix nanoseconds, given as RFC 3339 or in Unix seconds.
fn start_moment(text: &str) -> Result<i64, String> {
    let wrong = || "give RFC 3339, such as 2026-03-01T10:00:00Z, or Unix seconds".to_owned();
    if let Ok(seconds) = text.parse::<f64>() {
        let is_time = (0.0..9e9).contains(&seconds);
        return is_time.then_some((seconds * 1e9) as i64).ok_or_else(wrong);
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?;
    time.timestamp_nanos_opt().ok_or_else(wrong)
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

#[derive(Debug, ClapArgs)]
pub(crate) struct GuardArgs {
    /// The run's timeline.
    #[arg(long)]
    pub(crate) timeline: PathBuf,
    /// The run's id: whose faults are taken away.
    #[arg(long)]
    pub(crate) run_id: String,
    /// The run drives no faults: there are none to take away.
    #[arg(long)]
    pub(crate) no_faults: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShopArgs {
    /// Address of the shop's edge; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// OTLP/gRPC receiver for the services' telemetry [default: what OTEL_EXPORTER_OTLP_* say;
    /// without them there is none]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Folder for the services' databases [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShopServiceArgs {
    /// The service's options as JSON.
    #[arg(long)]
    pub(crate) config: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CollectArgs {
    /// Folder for traces.jsonl, metrics.jsonl and logs.jsonl.
    #[arg(
        long = "out",
        visible_alias = "output",
        value_name = "DIR",
        default_value = "telemetry"
    )]
    pub(crate) output: PathBuf,
    /// Address of OTLP/gRPC; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4317")]
    pub(crate) grpc: SocketAddr,
    /// Address of OTLP/HTTP; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4318")]
    pub(crate) http: SocketAddr,
    /// Begin a new file when one has reached this size, in MiB [default: never]
    #[arg(long, value_name = "MIB")]
    pub(crate) max_megabytes: Option<u64>,
    /// Files to keep beside the current one when a new one is begun; older ones are deleted. 0
    /// keeps all.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "max_megabytes"
    )]
    pub(crate) max_backups: usize,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

/// Start a TCP proxy that puts faults on the edge between two services.
///
/// It speaks Toxiproxy's HTTP API: a client of Toxiproxy adds latency, limits the rate, resets
/// connections and so on. Call a service through it, and the faults are on the way to that service.
#[derive(Debug, ClapArgs)]
pub(crate) struct ProxyArgs {
    /// Address of the API; port 0 picks a free one. Any other address than a loopback one needs a
    /// token.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8474")]
    pub(crate) listen: SocketAddr,
    /// A proxy to begin with, in quotes because of the `>`; may be given again. A listen port 0
    /// picks a free one.
    #[arg(long = "proxy", value_name = "NAME=LISTEN->UPSTREAM")]
    pub(crate) proxies: Vec<loadgen_proxy::ProxySpec>,
    /// Proxies to begin with, as Toxiproxy's configuration file has them: a JSON list of `name`,
    /// `listen`, `upstream`, `enabled`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What each request to the API must carry as `Authorization: Bearer TOKEN`. The variable keeps
    /// it out of the list of processes [env: LOADGEN_PROXY_TOKEN]
    #[arg(
        long,
        value_name = "TOKEN",
        env = "LOADGEN_PROXY_TOKEN",
        hide_env = true
    )]
    pub(crate) token: Option<String>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
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
    /// What `loadgen compare` writes, `comparison.json`.
    Comparison,
}

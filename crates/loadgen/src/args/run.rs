//! What `loadgen run` takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use loadgen_scenario::Shard;

use super::{Allowed, EXIT_CODES, PlanChanges};

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
    /// Write what faults do to each request of the embedded shop into the run's folder, as
    /// fault-record.jsonl. No telemetry has it.
    #[arg(long)]
    pub(crate) record_faults: bool,
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
    /// Show the run as it goes on a page: PORT, or ADDRESS:PORT. Without an address it is this
    /// machine's own, 127.0.0.1. Nothing can be changed there; whoever reaches another address can look.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::serve::address)]
    pub(crate) serve: Option<SocketAddr>,
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

//! What `loadgen replay` takes.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use loadgen_replay::Speed;

use super::{Allowed, EXIT_CODES, Protocol};

/// Send a run's telemetry again.
///
/// What a Collector stored of a run goes to another receiver by OTLP, in the order and at the distances
/// in which it came, so that a detector behind it can be evaluated. What the receiver does not take
/// is counted, and the exit code is 1 then.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    /// The folder of the run.
    #[arg(value_name = "DIR", required_unless_present = "telemetry")]
    pub(crate) run: Option<PathBuf>,
    /// What to send, files or folders as a Collector stored them [default: DIR/telemetry]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) telemetry: Vec<PathBuf>,
    /// Where to send it [default: what OTEL_EXPORTER_OTLP_ENDPOINT says, else http://127.0.0.1:4318]
    #[arg(long, visible_alias = "otlp", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Transport [default: OTEL_EXPORTER_OTLP_PROTOCOL, else grpc where the endpoint's port ends in
    /// 4317, else http/protobuf]
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) otlp_protocol: Option<Protocol>,
    /// How many times as fast as it was: 1, 10, or max for as fast as it is taken.
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub(crate) speed: Speed,
    /// Move all moments, so that the run begins now. The ground truth that fits is written to --out.
    #[arg(long)]
    pub(crate) now: bool,
    /// With --now: folder for the run's timeline, ledger and faults.jsonl with moments moved alike.
    #[arg(long, value_name = "DIR", requires = "now")]
    pub(crate) out: Option<PathBuf>,
    /// How long to try to deliver a request to a receiver that says "later" or is not there, in
    /// seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) retry: f64,
    /// Show no progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Print the result as one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

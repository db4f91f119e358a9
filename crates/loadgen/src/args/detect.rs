//! What `loadgen detect` takes.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{Allowed, EXIT_CODES, Protocol};

/// Score a run's telemetry by an ONNX model, also while it comes (a build with --features detect).
///
/// Each bucket of five seconds is given to the model when telemetry from later than its end has come.
/// Its score goes to --out, or as JSON lines to standard output, and by OTLP to --otlp: the gauge
/// anomaly.score, and a log record where the score is above the threshold.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
#[cfg_attr(not(feature = "detect"), allow(dead_code))]
pub(crate) struct DetectArgs {
    #[command(flatten)]
    pub(crate) allowed: Allowed,
    /// The folder of the run, or of what its Collector writes.
    pub(crate) dir: PathBuf,
    /// The model.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// What the model takes [default: the model's name with .json]
    #[arg(long, value_name = "FILE")]
    pub(crate) contract: Option<PathBuf>,
    /// Go on while files grow: until the run has ended, or until SIGINT.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Scores above it are alerts, instead of the contract's.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f64>,
    /// With --follow: a bucket is over when telemetry from so much later than its end has come, in
    /// seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub(crate) lateness: f64,
    /// Where scores go: CSV if it is called .csv, else JSON lines [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Send scores and alerts to this receiver, too.
    #[arg(long, visible_alias = "otlp", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Transport [default: OTEL_EXPORTER_OTLP_PROTOCOL, else grpc where the endpoint's port ends in
    /// 4317, else http/protobuf]
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) otlp_protocol: Option<Protocol>,
}

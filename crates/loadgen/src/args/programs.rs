//! Programs that run until they are stopped: the demo shop, the collector, the proxy.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Allowed;

#[derive(Debug, ClapArgs)]
pub(crate) struct ShopArgs {
    #[command(flatten)]
    pub(crate) allowed: Allowed,
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
    /// Append to this file what faults do to each request: the truth about single requests, which
    /// no telemetry has.
    #[arg(long, value_name = "FILE")]
    pub(crate) record_faults: Option<PathBuf>,
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
    /// A file with the token, instead of --token and the variable. An end of line at its end is left
    /// out
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

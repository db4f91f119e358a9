//! What a collector is told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The port of OTLP/gRPC.
pub const DEFAULT_GRPC_PORT: u16 = 4317;
/// The port of OTLP/HTTP.
pub const DEFAULT_HTTP_PORT: u16 = 4318;

/// Where to listen, where to write, and the limits.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// The folder for `traces.jsonl`, `metrics.jsonl` and `logs.jsonl`. Made if it isn't there;
    /// files in it are appended to.
    pub output: PathBuf,
    /// Address of the OTLP/gRPC receiver. Port 0 picks a free one.
    pub grpc: SocketAddr,
    /// Address of the OTLP/HTTP receiver. Port 0 picks a free one.
    pub http: SocketAddr,
    /// Stop when standard input ends, so that a collector doesn't outlive the process that started
    /// it with a pipe.
    pub stop_with_stdin: bool,
    /// When to begin a new file. `None`: never, which is also the way to lose nothing.
    pub rotation: Option<Rotation>,
    /// Fill the `anomaly.*` attributes of spans from captured request headers.
    pub map_anomaly_headers: bool,
    /// The largest request taken, in bytes after decompression.
    pub max_request_bytes: usize,
    /// Bytes of requests, after decompression, that may be under way at once. A request reserves
    /// `max_request_bytes` until its size is known.
    pub max_bytes_in_flight: usize,
    /// How long a request waits for its share of `max_bytes_in_flight` before it is refused.
    pub admission_wait: Duration,
    /// How long open requests may take to finish when the collector stops.
    pub drain: Duration,
}

impl CollectOptions {
    /// The standard ports on the loopback interface, no rotation, 4 MiB a request, 64 MiB in
    /// flight.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            grpc: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_GRPC_PORT)),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_HTTP_PORT)),
            stop_with_stdin: false,
            rotation: None,
            map_anomaly_headers: true,
            max_request_bytes: 4 << 20,
            max_bytes_in_flight: 64 << 20,
            admission_wait: Duration::from_secs(2),
            drain: Duration::from_secs(5),
        }
    }
}

/// When a file is put aside and how many of those are kept, as in the Collector's file exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size, in units of 2^20 bytes, that a file doesn't exceed unless a single line does.
    pub max_megabytes: u64,
    /// Files to keep besides the current one; older ones are **deleted**. 0 keeps all.
    pub max_backups: usize,
}

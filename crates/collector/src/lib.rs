//! The laptop collector: OTLP in, the OpenTelemetry Collector's file-exporter lines out.
//!
//! A stand-in for one machine, so that a dataset can be made without a deployed Collector. It
//! receives OTLP over gRPC and HTTP (`receivers`), fills the `anomaly.*` attributes of spans from
//! captured request headers (`processors`), and appends one JSON message a line to `traces.jsonl`,
//! `metrics.jsonl` and `logs.jsonl` (`exporters`), byte for byte as the real Collector's file
//! exporter does. It is not a replacement for that one: no other receiver, no
//! batching, no sampling, no export over the network.
//!
//! [`collect`] is a whole program: it prints one JSON line when ready and runs until told to stop.
//! [`Collector`] is the same as a part of another program:
//!
//! ```
//! use loadgen_collector::{CollectOptions, Collector};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let output = folder.path();
//! let mut options = CollectOptions::new(output);
//! options.grpc.set_port(0);
//! options.http.set_port(0);
//! let collector = Collector::start(options).await?;
//! println!("send OTLP to http://{}", collector.grpc());
//! let report = collector.stop().await?;
//! assert_eq!(report.spans, 0);
//! # Ok(())
//! # }
//! ```

// They panic when the stream is closed or its disk is full, and take their thread with them.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod collector;
mod error;
mod exporters;
mod notice;
mod options;
mod processors;
mod program;
mod receivers;
mod topology;

pub use collector::{CollectReport, Collector};
pub use error::CollectError;
pub use options::{CollectOptions, DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT, Rotation};
pub use program::collect;

//! A TCP proxy that puts faults on the edge between two services.
//!
//! It speaks Toxiproxy's HTTP API, so whatever drives a Toxiproxy drives it, too, and nothing has
//! to be installed. Faults can have an owner and a lease: whoever makes them and then dies leaves
//! none behind.
//!
//! Inside, from what is pure to what is not:
//! - `toxic`, `pipeline`, `lease`: what toxics do to pieces of data, and whose they are, on moments
//!   that are handed in;
//! - `link`, `relay`, `edge`: connections, each way through a pipeline, and the listener before
//!   them;
//! - `registry`, `api`, `server`, `program`: all proxies, the HTTP API, the process.
//!
//! ```
//! use loadgen_proxy::{ProxyOptions, ProxyServer};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = ProxyOptions::default();
//! options.listen.set_port(0);
//! options.proxies.push("db=127.0.0.1:0->127.0.0.1:5432".parse()?);
//! let server = ProxyServer::start(options).await?;
//! println!("the API is at http://{}", server.address());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

// They panic when the stream is closed or its disk is full, and take their thread with them.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod api;
mod edge;
mod error;
mod lease;
mod link;
mod notice;
mod options;
mod pipeline;
mod program;
mod registry;
mod relay;
mod server;
mod toxic;

pub use error::ProxyError;
pub use options::{DEFAULT_API_PORT, ProxyOptions, ProxySpec, read_config};
pub use program::proxy;
pub use server::ProxyServer;

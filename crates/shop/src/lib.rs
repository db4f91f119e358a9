//! The demo shop: real services with real stores, real telemetry and real faults.
//!
//! [`supervise`] starts each [`Service`] as a process of its own, with the routes, JSON shapes and
//! status codes of Robot Shop, a SQLite database behind a connection pool, a cache, a queue, and
//! traces, metrics and logs by OpenTelemetry. Its admin API puts a [`ShopFault`] on a whole service and
//! takes it off again.
//!
//! A program that calls [`supervise`] is started again by it for each service, and must hand the
//! arguments [`SERVICE_COMMAND`] [`SERVICE_CONFIG`] `<JSON>` to [`run_service`]:
//!
//! ```no_run
//! use loadgen_shop::{SERVICE_COMMAND, ShopOptions, run_service, supervise};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let arguments: Vec<String> = std::env::args().collect();
//!     if arguments.get(1).is_some_and(|a| a == SERVICE_COMMAND) {
//!         return Ok(run_service(serde_json::from_str(&arguments[3])?)?);
//!     }
//!     Ok(supervise(ShopOptions::default()).await?)
//! }
//! ```

// They panic when the stream is closed or its disk is full, and take their thread with them.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod admin;
mod answer;
mod cache;
mod control;
mod error;
mod fault;
mod kit;
mod lease;
mod options;
mod queue;
mod record;
mod service;
mod services;
mod store;
mod supervisor;
mod telemetry;

pub use error::ShopError;
pub use loadgen_shop_api::{Intensity, Service, ShopFault};
pub use options::ServiceOptions;
pub use service::run_service;
pub use supervisor::{SERVICE_COMMAND, SERVICE_CONFIG, ShopOptions, supervise};

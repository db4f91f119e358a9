//! What can go wrong while the shop is started or runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

use loadgen_shop_api::Service;

/// Why the shop did not start or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShopError {
    /// An address could not be listened on.
    #[error(
        "{what} cannot listen on {address}: {source}; choose another address, or port 0 for a free one"
    )]
    Listen {
        /// Who wanted it.
        what: String,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder for the databases could not be made.
    #[error("cannot make the data folder {path}: {source}; choose another one")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A service's process could not be started.
    #[error("cannot start the {service} service: {source}")]
    Spawn {
        /// The service.
        service: Service,
        /// Why not.
        source: std::io::Error,
    },
    /// A service's process did not become ready.
    #[error("the {service} service did not become ready: {reason}")]
    NotReady {
        /// The service.
        service: Service,
        /// Why not.
        reason: String,
    },
    /// A service's process ended although nobody asked it to, or not as it should.
    #[error("the {service} service ended badly or by itself ({status}); the shop was stopped")]
    Ended {
        /// The service.
        service: Service,
        /// How it ended.
        status: ExitStatus,
    },
    /// A service's database could not be made.
    #[error("the {service} service cannot use its database {path}: {reason}")]
    Database {
        /// The service.
        service: Service,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The exporters could not be made.
    #[error(
        "telemetry cannot be exported to {endpoint}: {reason}; the endpoint is an http:// URL that speaks OTLP over gRPC, such as http://127.0.0.1:4317"
    )]
    Telemetry {
        /// Where to.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// A part of the operating system said no.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

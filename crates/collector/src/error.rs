//! What can go wrong when a collector starts, runs and stops.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a collector didn't start, or didn't end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The output folder can't be made.
    #[error("can't make the output folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An output file can't be opened.
    #[error("can't open {} for appending: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An address can't be listened on.
    #[error(
        "can't listen on {address} for {protocol}: {source} (is another collector running? port 0 picks a free port)"
    )]
    Listen {
        /// `OTLP/gRPC` or `OTLP/HTTP`.
        protocol: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system gave no thread, signal handler or standard output.
    #[error("can't {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A receiver ended by itself.
    #[error("the {protocol} receiver ended by itself: {reason}")]
    Receiver {
        /// `OTLP/gRPC` or `OTLP/HTTP`.
        protocol: &'static str,
        /// Why.
        reason: String,
    },
    /// The last data may not have reached the disk.
    #[error("can't sync {} to the disk: {source}", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file's thread panicked, which is a bug.
    #[error("the thread that writes {path} panicked", path = path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
    },
}

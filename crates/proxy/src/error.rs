//! What can go wrong when the proxy starts.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use loadgen_control::NeedsToken;

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Everybody could call the API.
    #[error("the API can't listen on {address}: {source} (--token, or LOADGEN_PROXY_TOKEN)")]
    Open {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: NeedsToken,
    },
    /// The API's address can't be listened on.
    #[error(
        "the API can't listen on {address}: {source} (is another proxy running? port 0 picks a free port)"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is wrong.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A proxy to begin with can't be there.
    #[error("a proxy can't be set up: {reason}")]
    Proxy {
        /// Why.
        reason: String,
    },
    /// The operating system gave no signal handler, thread or standard output.
    #[error("can't {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

//! What the proxy is told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use crate::error::ProxyError;

/// The port of Toxiproxy's API.
pub const DEFAULT_API_PORT: u16 = 8474;

/// Where the API listens, and which proxies there are from the beginning.
#[derive(Clone)]
pub struct ProxyOptions {
    /// Address of the API; port 0 picks a free one. On any other address than a loopback one it
    /// needs a token.
    pub listen: SocketAddr,
    /// What each request to the API must carry as `Authorization: Bearer <token>`. None, or empty:
    /// nothing.
    pub token: Option<String>,
    /// Proxies to begin with.
    pub proxies: Vec<ProxySpec>,
    /// Stop when standard input ends.
    pub stop_with_stdin: bool,
}

impl Default for ProxyOptions {
    /// `127.0.0.1:8474`, no token, no proxies, runs until a signal.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, DEFAULT_API_PORT).into(),
            token: None,
            proxies: Vec::new(),
            stop_with_stdin: false,
        }
    }
}

/// A proxy that is to be there, as Toxiproxy's API and its configuration files have it. As a text
/// it is `NAME=LISTEN->UPSTREAM`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProxySpec {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Where clients connect, `HOST:PORT`; port 0 is a free one. Empty: a free port of 127.0.0.1.
    #[serde(default)]
    pub listen: String,
    /// The server, `HOST:PORT`.
    #[serde(default)]
    pub upstream: String,
    /// Whether it is up.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl FromStr for ProxySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(name, edge)| {
            let (listen, upstream) = edge.split_once("->")?;
            Some([name, listen, upstream].map(str::trim))
        });
        match parts {
            Some(parts @ [name, listen, upstream]) if parts.iter().all(|p| !p.is_empty()) => {
                Ok(Self {
                    name: name.to_owned(),
                    listen: listen.to_owned(),
                    upstream: upstream.to_owned(),
                    enabled: true,
                })
            }
            _ => Err(
                "write NAME=LISTEN->UPSTREAM (in quotes, because of the `>`), such as \
                      'db=127.0.0.1:15432->127.0.0.1:5432'"
                    .to_owned(),
            ),
        }
    }
}

/// Reads a configuration file of Toxiproxy: a JSON list of `{name, listen, upstream, enabled}`.
///
/// # Errors
/// The file can't be read, or is something else.
pub fn read_config(path: &Path) -> Result<Vec<ProxySpec>, ProxyError> {
    let wrong = |reason: String| ProxyError::Config {
        path: path.to_owned(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        wrong(format!("{error}; it should be a JSON list of {{\"name\", \"listen\", \"upstream\", \"enabled\"}}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_one_word() {
        let spec: ProxySpec = "db=127.0.0.1:15432->db.example:5432".parse().unwrap();
        assert_eq!(spec.name, "db");
        assert_eq!(spec.listen, "127.0.0.1:15432");
        assert_eq!(spec.upstream, "db.example:5432");
        assert!(spec.enabled);
        for wrong in [
            "",
            "db",
            "db=",
            "db=a:1",
            "db=a:1->",
            "=a:1->b:2",
            "db=->b:2",
            "a:1->b:2",
        ] {
            let error = wrong.parse::<ProxySpec>().unwrap_err();
            assert!(error.contains("NAME=LISTEN->UPSTREAM"), "{wrong}: {error}");
        }
    }
}

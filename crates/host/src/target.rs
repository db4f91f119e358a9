//! How a process of this machine is named.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Names one service among the processes of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessSelector {
    /// The process whose number stands in a file.
    PidFile(PathBuf),
    /// Who listens on a TCP port of this network namespace.
    Port(u16),
    /// All processes of a cgroup, and of those below it; a path below the hierarchy's root, such as
    /// `/system.slice/nginx.service`.
    Cgroup(String),
    /// All processes of a container, by the beginning of its id (at least 4 hexadecimal digits).
    Container(String),
}

impl fmt::Display for ProcessSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PidFile(path) => write!(f, "pid file {}", path.display()),
            Self::Port(port) => write!(f, "port {port}"),
            Self::Cgroup(path) => write!(f, "cgroup {path}"),
            Self::Container(id) => write!(f, "container {id}"),
        }
    }
}

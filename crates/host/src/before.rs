//! What is kept of a fault: what was before it, and what was read back.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{HostFault, ProcessSelector};

/// A fault, its target, and all that is needed to undo it.
///
/// It is complete before anything is changed. Keep it on disk before [`Before::inject`]; whoever
/// reads it later can call [`Before::clear`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// The fault.
    pub fault: HostFault,
    /// On what; nothing for a fault that needs no process.
    pub target: Option<ProcessSelector>,
    /// `loadgen-<owner>-<number>`, never used twice. Files and cgroups of the fault have this name.
    pub id: String,
    /// Which start of the machine this belongs to: pids and cgroups mean nothing after a restart.
    pub(crate) boot: String,
    pub(crate) state: State,
}

/// A process, known by more than its pid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number, which is given again after its end.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub start_ticks: u64,
    /// The program's name, 15 bytes at most.
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

/// What was before, by kind of fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    Stop(Stopped),
    Kill(Killed),
    Limit(Limit),
    Stress(Stress),
    Fill(Filled),
}

/// Before processes were stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stopped {
    /// The target and its descendants.
    pub(crate) processes: Vec<Process>,
    /// Those of them that were stopped already, and are not continued.
    pub(crate) already: Vec<Process>,
}

/// Before processes were killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Killed {
    /// Those processes of the target that are no descendants of others of it. They are hit first.
    #[serde(rename = "heads")]
    pub(crate) roots: Vec<Process>,
    /// The target and its descendants.
    pub(crate) processes: Vec<Process>,
    /// Where the restart command runs.
    pub(crate) folder: PathBuf,
}

/// Before a file of a cgroup was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limit {
    pub(crate) knob: Knob,
    /// The processes of the target, without their descendants.
    pub(crate) processes: Vec<Process>,
    /// The cgroup that is written.
    pub(crate) folder: PathBuf,
    /// The cgroup that the processes come from, where `folder` is made for the fault.
    pub(crate) moved_from: Option<PathBuf>,
    /// What the file says without the fault; what lifts the limit where `folder` is made for it.
    pub(crate) old: String,
    /// What it says with the fault.
    pub(crate) new: String,
}

/// A file of a cgroup, by which a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Knob {
    CpuV1,
    CpuV2,
    FreezerV1,
    FreezerV2,
    MemoryV1,
    MemoryV2,
}

/// Before CPU time was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stress {
    /// The cgroups that the target is in.
    pub(crate) folders: Vec<PathBuf>,
}

/// Before a disk was filled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Filled {
    pub(crate) file: PathBuf,
    pub(crate) bytes: u64,
}

impl Before {
    /// The processes that the fault was prepared for; none where it needs no process.
    pub fn processes(&self) -> &[Process] {
        match &self.state {
            State::Stop(stopped) => &stopped.processes,
            State::Kill(killed) => &killed.processes,
            State::Limit(limit) => &limit.processes,
            State::Stress(_) | State::Fill(_) => &[],
        }
    }
}

/// What was read after a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// What was read where, for people: "state T in /proc/4711/stat".
    pub how: String,
    /// The values.
    pub values: Value,
}

/// What a look at a fault shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Whether the fault is in force on the whole target.
    pub in_force: bool,
    /// What that is read from, with counters that grow while the fault has an effect.
    pub read_back: ReadBack,
}

/// What clearing a fault did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostCleared {
    /// Whether the fault, or part of it, was in force until now.
    pub was_in_force: bool,
    /// What shows that it is gone.
    pub read_back: ReadBack,
    /// What is not as it was before the fault, and why, for people. Mostly nothing: a value that
    /// somebody else changed meanwhile is left as it is.
    pub remains: Option<String>,
}

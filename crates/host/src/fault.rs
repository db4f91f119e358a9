//! The faults and their parameters.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::HostError;

/// Workers of [`HostFault::StressCpu`], at most.
const MOST_WORKERS: u32 = 1024;

/// A fault on processes of this machine. It acts on the target and all its descendants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum HostFault {
    /// Stops all threads by SIGSTOP; SIGCONT undoes it. Sockets still accept, so callers wait.
    Stop {},
    /// Ends the processes; a command starts the service again.
    Kill {
        /// Sent first. What is still there after 10 s is killed by SIGKILL.
        #[serde(default)]
        signal: KillSignal,
        /// Program and arguments that start the service again, run without a shell in the working
        /// folder that `prepare` was called in. Where a supervisor restarts it, `["true"]` waits for
        /// that.
        restart: Vec<String>,
    },
    /// Limits CPU time by the cgroup.
    CpuQuota {
        /// CPUs, at least 0.01; 0.5 is half of one.
        cpus: f64,
    },
    /// Freezes the processes by the cgroup. Unlike [`HostFault::Stop`] they can't notice or undo it.
    Freeze {},
    /// Limits memory by the cgroup. Below the limit it has no effect; above it the kernel takes
    /// pages back, swaps, or kills a process.
    MemoryLimit {
        /// Bytes, rounded down to whole pages.
        bytes: u64,
    },
    /// Uses CPU time in the target's cgroup, by stress-ng.
    StressCpu {
        /// Processes that use CPU time, 1 to 1024.
        workers: u32,
        /// How busy each of them is, 1 to 100 % of a CPU.
        load_percent: u8,
    },
    /// Fills a filesystem with a file of real blocks. Leaves at least 256 MiB free.
    FillDisk {
        /// Where the file is made.
        folder: PathBuf,
        /// How large.
        fill: Fill,
    },
}

/// How much [`HostFault::FillDisk`] fills.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Until this share of the filesystem is in use, in % as `df` counts, above 0 and below 100.
    UntilPercent(f64),
    /// This many bytes, at least 1.
    Bytes(u64),
}

/// How [`HostFault::Kill`] ends a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KillSignal {
    /// SIGKILL.
    #[default]
    Kill,
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGABRT.
    Abrt,
}

impl HostFault {
    /// The name that scenario files and journals use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop {} => "stop",
            Self::Kill { .. } => "kill",
            Self::CpuQuota { .. } => "cpu_quota",
            Self::Freeze {} => "freeze",
            Self::MemoryLimit { .. } => "memory_limit",
            Self::StressCpu { .. } => "stress_cpu",
            Self::FillDisk { .. } => "fill_disk",
        }
    }

    /// Whether the parameters make sense on any machine.
    pub(crate) fn check(&self) -> Result<(), HostError> {
        let wrong = |text: &str| Err(HostError::Parameter(format!("{}: {text}", self.name())));
        match self {
            Self::Kill { restart, .. } if restart.first().is_none_or(String::is_empty) => {
                wrong("`restart` names no program; give the command that starts the service")
            }
            Self::CpuQuota { cpus } if !(0.01..=10_000.0).contains(cpus) => {
                wrong(&format!("`cpus` is {cpus}; it must be at least 0.01"))
            }
            Self::MemoryLimit { bytes: 0 } => wrong("`bytes` is 0"),
            Self::StressCpu { workers, .. } if !(1..=MOST_WORKERS).contains(workers) => wrong(
                &format!("`workers` is {workers}; it must be 1 to {MOST_WORKERS}"),
            ),
            Self::StressCpu { load_percent, .. } if !(1..=100).contains(load_percent) => wrong(
                &format!("`load_percent` is {load_percent}; it must be 1 to 100"),
            ),
            Self::FillDisk { fill, .. } => match fill {
                Fill::Bytes(0) => wrong("`bytes` is 0"),
                Fill::UntilPercent(percent) if !(*percent > 0.0 && *percent < 100.0) => wrong(
                    &format!("`until_percent` is {percent}; it must be above 0 and below 100"),
                ),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Whether an owner can be part of the names of files and cgroups.
pub(crate) fn check_owner(owner: &str) -> Result<(), HostError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if owner.is_empty() || owner.len() > 64 || !owner.chars().all(allowed) {
        return Err(HostError::Parameter(format!(
            "`{owner}` can't be the owner of a fault: it must be 1 to 64 letters, digits, `.`, `_` or `-`"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fault: &HostFault) -> String {
        fault.check().unwrap_err().to_string()
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let kill = |restart: &[&str]| HostFault::Kill {
            signal: KillSignal::Kill,
            restart: restart.iter().map(ToString::to_string).collect(),
        };
        assert!(refused(&kill(&[])).contains("restart"));
        assert!(refused(&kill(&[""])).contains("restart"));
        for cpus in [0.0, -1.0, 0.001, f64::NAN, f64::INFINITY] {
            assert!(refused(&HostFault::CpuQuota { cpus }).contains("`cpus` is"));
        }
        assert!(refused(&HostFault::MemoryLimit { bytes: 0 }).contains("bytes"));
        let stress = |workers, load_percent| HostFault::StressCpu {
            workers,
            load_percent,
        };
        assert!(refused(&stress(0, 50)).contains("workers"));
        assert!(refused(&stress(1, 101)).contains("load_percent"));
        for percent in [0.0, 100.0, f64::NAN] {
            let fault = HostFault::FillDisk {
                folder: "/".into(),
                fill: Fill::UntilPercent(percent),
            };
            assert!(refused(&fault).contains("until_percent"));
        }
        assert!(stress(1, 1).check().is_ok());
        assert!(HostFault::CpuQuota { cpus: 0.01 }.check().is_ok());
    }

    #[test]
    fn faults_are_written_as_they_are_read() {
        let text = r#"{"kind":"fill_disk","folder":"/var","fill":{"until_percent":90.0}}"#;
        let fault: HostFault = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&fault).unwrap(), text);
        let kill: HostFault =
            serde_json::from_str(r#"{"kind":"kill","restart":["true"]}"#).unwrap();
        assert_eq!(kill.name(), "kill");
        assert!(serde_json::from_str::<HostFault>(r#"{"kind":"stop","cpus":1}"#).is_err());
    }

    #[test]
    fn an_owner_can_be_part_of_a_file_name() {
        assert!(check_owner("run-7.a_B").is_ok());
        for owner in ["", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(check_owner(owner).is_err(), "{owner}");
        }
    }
}

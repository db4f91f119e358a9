//! Uses CPU time beside the target, by stress-ng in the target's cgroup: outside of it the kernel
//! would give the target its own share all the same.
//!
//! What is started is known by a variable in its environment, which is in the record before it
//! starts. So `clear` finds it at any time, also when this program ended just after the start.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use procfs::process::Process as Entry;
use rustix::process::Signal;
use serde_json::json;

use super::cgroups::{self, Hierarchy};
use super::knob::Version;
use super::processes::{self, Row, Table};
use super::wait::{CONFIRM, until};
use crate::before::Stress;
use crate::{HostCleared, HostError, Look, Process, ReadBack};

const PROGRAM: &str = "stress-ng";
/// The variable that says to which fault a process belongs.
const MARK: &str = "LOADGEN_FAULT";
/// Controllers that decide about CPU time, and the one that counts it.
const CONTROLLERS: [&str; 3] = ["cpu", "cpuacct", "cpuset"];
/// Puts itself into the cgroups, then becomes the program: workers are born inside.
const ENTER: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done
shift; exec "$@""#;

pub(super) fn prepare(hierarchies: &[Hierarchy], target: &[Process]) -> Result<Stress, HostError> {
    let mut version = Command::new(PROGRAM);
    version
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if version.status().is_err() {
        return Err(HostError::NotInstalled {
            program: PROGRAM.to_owned(),
            how: "apt-get install stress-ng, or dnf install stress-ng".to_owned(),
        });
    }
    let decides = |h: &&Hierarchy| {
        h.version == Version::V2 || CONTROLLERS.iter().any(|controller| h.has(controller))
    };
    let mut folders: Vec<PathBuf> = Vec::new();
    for hierarchy in hierarchies.iter().filter(decides) {
        // All of them are of one service; its first process is as good as any.
        let Some(folder) = target
            .first()
            .map(|p| hierarchy.folder_of(p))
            .transpose()?
            .flatten()
        else {
            let list = processes::listed(target);
            return Err(HostError::NotInForce(format!("{list} has ended")));
        };
        super::may_write(&folder.join("cgroup.procs"))?;
        folders.push(folder);
    }
    Ok(Stress { folders })
}

/// The processes that a fault has started, parents first. Workers overwrite their environment, so
/// they are known by the one that started them.
fn started<'t>(table: &'t Table, id: &str) -> Vec<&'t Row> {
    let is_marked = |row: &&Row| {
        let environment = Entry::new(row.process.pid).and_then(|entry| entry.environ());
        environment.is_ok_and(|all| all.get(OsStr::new(MARK)).is_some_and(|mark| mark == id))
    };
    let marked = table.rows().filter(is_marked);
    let marked: Vec<Process> = marked.map(|row| row.process.clone()).collect();
    table.family(&marked)
}

pub(super) fn inject(
    stress: &Stress,
    id: &str,
    workers: u32,
    load_percent: u8,
) -> Result<ReadBack, HostError> {
    let mut child = None;
    if started(&Table::read()?, id).is_empty() {
        let mut command = Command::new("sh");
        command
            .args(["-c", ENTER, "sh"])
            .args(&stress.folders)
            .arg("--");
        command.arg(PROGRAM).arg("--cpu").arg(workers.to_string());
        command.arg("--cpu-load").arg(load_percent.to_string());
        command.env(MARK, id).current_dir(std::env::temp_dir());
        child = Some(processes::start(&mut command)?);
    }
    let in_force = until(CONFIRM, || {
        let ended = child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            return Err(HostError::NotInForce(format!(
                "`{PROGRAM}` ended by {status}"
            )));
        }
        let look = look(stress, id, workers)?;
        Ok(look.in_force.then_some(look.read_back))
    });
    child.into_iter().for_each(processes::let_go);
    in_force?.ok_or_else(|| {
        let seconds = CONFIRM.as_secs();
        let text = format!("`{PROGRAM}` has not started {workers} workers within {seconds} s");
        HostError::NotInForce(text)
    })
}

pub(super) fn look(stress: &Stress, id: &str, workers: u32) -> Result<Look, HostError> {
    let table = Table::read()?;
    let mut inside: Option<BTreeSet<i32>> = None;
    for folder in &stress.folders {
        let members = cgroups::members(folder)?;
        inside = Some(match inside {
            Some(before) => before.intersection(&members).copied().collect(),
            None => members,
        });
    }
    // Without any hierarchy everything is in the same place.
    let is_inside = |row: &&Row| {
        inside
            .as_ref()
            .is_none_or(|pids| pids.contains(&row.process.pid))
    };
    let running = started(&table, id);
    let running: Vec<&Row> = running.into_iter().filter(is_inside).collect();
    let cpu_ticks: u64 = running.iter().map(|row| row.cpu_ticks).sum();
    let cpu_ms = cpu_ticks * 1000 / procfs::ticks_per_second().max(1);
    let cgroups: Vec<String> = stress
        .folders
        .iter()
        .map(|f| f.display().to_string())
        .collect();
    let count = running.len();
    Ok(Look {
        // The workers and the one that started them.
        in_force: count > workers as usize,
        read_back: ReadBack {
            how: format!("{count} processes of `{PROGRAM}` in {}", cgroups.join(", ")),
            values: json!({
                "processes": processes::pids(running.iter().map(|row| &row.process)),
                "cgroups": cgroups,
                "cpu_time_ms": cpu_ms,
            }),
        },
    })
}

pub(super) fn clear(id: &str) -> Result<HostCleared, HostError> {
    let mut ended = BTreeSet::new();
    let done = until(CONFIRM, || {
        let table = Table::read()?;
        let left = started(&table, id);
        // Children first: without the parent nobody would know them.
        for row in left.iter().rev() {
            processes::send(&row.process, Signal::KILL)?;
            ended.insert(row.process.pid);
        }
        Ok(left.is_empty().then_some(()))
    })?;
    if done.is_none() {
        let seconds = CONFIRM.as_secs();
        let text = format!("`{PROGRAM}` still runs {seconds} s after SIGKILL");
        return Err(HostError::NotUndone(text));
    }
    Ok(HostCleared {
        was_in_force: !ended.is_empty(),
        read_back: ReadBack {
            how: format!("no process with {MARK}={id} in its environment"),
            values: json!({"ended": ended}),
        },
        remains: None,
    })
}

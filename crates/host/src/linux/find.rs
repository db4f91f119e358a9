//! Which processes a target is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process as Entry};

use super::cgroups::{self, Hierarchy};
use super::processes::{self, Table, unreadable};
use crate::{HostError, Process, ProcessSelector};

/// Digits of a container's id, at least.
const SHORTEST_ID: usize = 4;
/// What runtimes write before the id in the name of a container's cgroup.
const RUNTIMES: [&str; 4] = ["docker-", "cri-containerd-", "libpod-", "crio-"];
/// A process may have started this much later than its pid file says, by clocks that were set.
const CLOCK_ERROR: Duration = Duration::from_secs(60);

pub(crate) fn find(target: &ProcessSelector) -> Result<Vec<Process>, HostError> {
    let table = Table::read()?;
    let processes = match target {
        ProcessSelector::PidFile(path) => by_pid_file(target, path, &table)?,
        ProcessSelector::Port(port) => by_port(target, *port, &table)?,
        ProcessSelector::Cgroup(path) => by_cgroup(target, path, &table, &cgroups::hierarchies()?)?,
        ProcessSelector::Container(id) => by_container(target, id, &table)?,
    };
    let this = std::process::id();
    for row in table.family(&processes) {
        if u32::try_from(row.process.pid) == Ok(this) {
            let target = target.to_string();
            // The process of the target that this one descends from.
            let is_target = |pid: &i32| processes.iter().any(|p| p.pid == *pid);
            let mut line = table.ancestors(row.process.pid).map(|r| r.process.pid);
            let pid = line.find(is_target).unwrap_or(row.process.pid);
            return Err(HostError::Itself { target, pid });
        }
    }
    Ok(processes)
}

fn not_found(target: &ProcessSelector, reason: impl Into<String>) -> HostError {
    HostError::NotFound {
        target: target.to_string(),
        reason: reason.into(),
    }
}

fn by_pid_file(
    target: &ProcessSelector,
    path: &Path,
    table: &Table,
) -> Result<Vec<Process>, HostError> {
    let text = match super::read(path) {
        Ok(text) => text,
        Err(HostError::Io { source, .. }) => return Err(not_found(target, source.to_string())),
        Err(e) => return Err(e),
    };
    let Ok(pid) = text.parse::<i32>() else {
        let begin: String = text.chars().take(40).collect();
        let reason = format!("it says {begin:?}, which is no process number");
        return Err(not_found(target, reason));
    };
    let Some(row) = table.by_pid(pid) else {
        let reason = format!("it says {pid}, and no such process runs");
        return Err(not_found(target, reason));
    };
    if is_older_than(path, &row.process)? {
        let reason = format!(
            "process {} started after the file was written, so it is another one",
            row.process
        );
        return Err(not_found(target, reason));
    }
    Ok(vec![row.process.clone()])
}

/// Whether a file was written before a process started. A file that a killed service left behind
/// names a pid that somebody else may have by now.
fn is_older_than(path: &Path, process: &Process) -> Result<bool, HostError> {
    let written = std::fs::metadata(path).and_then(|m| m.modified());
    let written = written.map_err(|e| super::refused(format!("read {}", path.display()), e))?;
    let seconds = process.start_ticks / procfs::ticks_per_second().max(1);
    let boot = procfs::boot_time_secs().map_err(unreadable)?;
    let started = UNIX_EPOCH + Duration::from_secs(boot + seconds);
    Ok(started > written + CLOCK_ERROR)
}

fn by_port(target: &ProcessSelector, port: u16, table: &Table) -> Result<Vec<Process>, HostError> {
    let sockets = listening(port)?;
    if sockets.is_empty() {
        let reason = "nothing listens on it in this network namespace";
        return Err(not_found(target, reason));
    }
    let mut owners: Vec<(Process, BTreeSet<u64>)> = Vec::new();
    let mut is_any_hidden = false;
    for row in table.rows() {
        let Some(mut held) = sockets_of(&row.process) else {
            is_any_hidden = true;
            continue;
        };
        held.retain(|inode| sockets.contains(inode));
        if !held.is_empty() {
            owners.push((row.process.clone(), held));
        }
    }
    if owners.is_empty() && is_any_hidden {
        return Err(HostError::Right {
            action: format!("see whose {target} is"),
            needs: "CAP_SYS_PTRACE or the same user".to_owned(),
        });
    }
    let share_a_socket = owners
        .windows(2)
        .all(|pair| !pair[0].1.is_disjoint(&pair[1].1));
    let processes: Vec<Process> = owners.into_iter().map(|(process, _)| process).collect();
    let roots = table.roots(&processes);
    if roots.is_empty() {
        let reason = "no process here has the socket; is it one of a container?";
        return Err(not_found(target, reason));
    }
    // Workers of a master that has closed the socket have no root among them, but share it.
    if roots.len() > 1 && !share_a_socket {
        return Err(HostError::Several {
            target: target.to_string(),
            found: processes::listed(&roots),
        });
    }
    Ok(processes)
}

/// The inodes of the sockets that listen on a port.
fn listening(port: u16) -> Result<BTreeSet<u64>, HostError> {
    let mut sockets = tcp().map_err(unreadable)?;
    // A machine without IPv6 has no such file.
    sockets.extend(tcp6().unwrap_or_default());
    sockets.retain(|s| s.state == TcpState::Listen && s.local_address.port() == port);
    Ok(sockets.into_iter().map(|s| s.inode).collect())
}

/// The sockets that a process has open; nothing if that can't be seen.
fn sockets_of(process: &Process) -> Option<BTreeSet<u64>> {
    let open = Entry::new(process.pid).ok()?.fd().ok()?;
    let socket = |fd: procfs::process::FDInfo| match fd.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    Some(open.filter_map(|fd| socket(fd.ok()?)).collect())
}

fn by_cgroup(
    target: &ProcessSelector,
    path: &str,
    table: &Table,
    hierarchies: &[Hierarchy],
) -> Result<Vec<Process>, HostError> {
    let mut pids: BTreeSet<i32> = BTreeSet::new();
    let mut is_there = false;
    let path = format!("/{}", path.trim_start_matches('/'));
    for folder in hierarchies.iter().filter_map(|h| h.folder(&path)) {
        if folder.is_dir() {
            is_there = true;
            pids.extend(cgroups::members(&folder)?);
        }
    }
    if !is_there {
        return Err(not_found(target, "no hierarchy of cgroups has it"));
    }
    let processes: Vec<Process> = pids
        .into_iter()
        .filter_map(|pid| Some(table.by_pid(pid)?.process.clone()))
        .collect();
    if processes.is_empty() {
        return Err(not_found(target, "it has no process"));
    }
    Ok(processes)
}

fn by_container(
    target: &ProcessSelector,
    id: &str,
    table: &Table,
) -> Result<Vec<Process>, HostError> {
    if id.len() < SHORTEST_ID || !is_hex(id) {
        return Err(HostError::Parameter(format!(
            "`{id}` can't be the beginning of a container's id: it must be at least {SHORTEST_ID} hexadecimal digits"
        )));
    }
    let mut found: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for row in table.rows() {
        let paths = cgroups::paths_of(&row.process);
        let mut ids = paths.iter().filter_map(|path| container_of(path));
        if let Some(container) = ids.find(|container| container.starts_with(id)) {
            let processes = found.entry(container.to_owned()).or_default();
            processes.push(row.process.clone());
        }
    }
    if found.len() > 1 {
        let ids: Vec<&str> = found.keys().map(|id| &id[..12]).collect();
        return Err(HostError::Several {
            target: target.to_string(),
            found: format!("containers {}", ids.join(", ")),
        });
    }
    let processes = found.into_values().next();
    processes.ok_or_else(|| not_found(target, "no process is in the cgroup of such a container"))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of the container that a cgroup belongs to. The runtime's own helpers, such as conmon, are
/// in cgroups of other names.
fn container_of(path: &str) -> Option<&str> {
    path.split('/').rev().find_map(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        let id = RUNTIMES
            .iter()
            .find_map(|runtime| name.strip_prefix(runtime));
        let id = id.unwrap_or(name);
        (id.len() == 64 && is_hex(id)).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_id_is_found_in_the_cgroups_of_all_runtimes() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/docker/{id}/init"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods/burstable/pod12-34/{id}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubepods.slice/crio-{id}.scope"),
        ] {
            assert_eq!(container_of(&path), Some(id.as_str()), "{path}");
        }
        for path in [
            "/".to_owned(),
            "/user.slice/session-1.scope".to_owned(),
            format!("/machine.slice/libpod-conmon-{id}.scope"),
            format!("/x/{}", &id[..32]),
        ] {
            assert_eq!(container_of(&path), None, "{path}");
        }
    }
}

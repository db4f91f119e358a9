//! The process table, and signals that can't hit the wrong process.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use procfs::ProcError;
use procfs::process::{Process as Entry, all_processes};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process};
use serde_json::{Value, json};

use crate::{HostError, Process};

/// All processes at one time, without those that have ended and only wait for their parent.
pub(super) struct Table(BTreeMap<i32, Row>);

pub(super) struct Row {
    pub(super) process: Process,
    pub(super) parent: i32,
    /// User and system time, in clock ticks.
    pub(super) cpu_ticks: u64,
}

impl Table {
    pub(super) fn read() -> Result<Self, HostError> {
        let entries = all_processes().map_err(unreadable)?;
        // A process that has ended since can't be read; that is no error.
        let rows = entries.filter_map(|entry| Row::of(&entry.ok()?));
        Ok(Self(rows.map(|row| (row.process.pid, row)).collect()))
    }

    pub(super) fn by_pid(&self, pid: i32) -> Option<&Row> {
        self.0.get(&pid)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values()
    }

    /// Whether this very process runs.
    pub(super) fn has(&self, process: &Process) -> bool {
        self.by_pid(process.pid)
            .is_some_and(|row| row.process.start_ticks == process.start_ticks)
    }

    /// Those of the processes that run, and all their descendants. Parents come before children,
    /// so that a parent is hit before it can replace a child.
    pub(super) fn family(&self, processes: &[Process]) -> Vec<&Row> {
        let mut children: BTreeMap<i32, Vec<&Row>> = BTreeMap::new();
        for row in self.rows() {
            children.entry(row.parent).or_default().push(row);
        }
        let roots = self.roots(processes);
        let mut family: Vec<&Row> = roots.iter().filter_map(|p| self.by_pid(p.pid)).collect();
        let mut next = 0;
        while let Some(row) = family.get(next) {
            let born = children.remove(&row.process.pid);
            family.extend(born.unwrap_or_default());
            next += 1;
        }
        family
    }

    /// The roots of their trees: those of the processes that run and are no descendants of others
    /// of them.
    pub(super) fn roots(&self, processes: &[Process]) -> Vec<Process> {
        let running = processes.iter().filter(|p| self.has(p));
        let is_root = |process: &&Process| {
            let mut ancestors = self.ancestors(process.pid);
            !ancestors.any(|row| processes.contains(&row.process))
        };
        running.filter(is_root).cloned().collect()
    }

    /// Parent, grandparent and so on.
    pub(super) fn ancestors(&self, pid: i32) -> impl Iterator<Item = &Row> {
        let parent = |row: &&Row| self.by_pid(row.parent);
        std::iter::successors(self.by_pid(pid), parent).skip(1)
    }
}

impl Row {
    fn of(entry: &Entry) -> Option<Self> {
        let stat = entry.stat().ok()?;
        if is_over(stat.state) {
            return None;
        }
        Some(Self {
            process: Process {
                pid: stat.pid,
                start_ticks: stat.starttime,
                name: stat.comm,
            },
            parent: stat.ppid,
            cpu_ticks: stat.utime + stat.stime,
        })
    }
}

/// Ended, waiting for the parent.
fn is_over(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

/// The states of a process's threads; none when it has ended.
pub(super) fn thread_states(process: &Process) -> Vec<char> {
    let read = || {
        // The entry is held open, so all that is read is of one process.
        let entry = Entry::new(process.pid).ok()?;
        if entry.stat().ok()?.starttime != process.start_ticks {
            return None;
        }
        let threads = entry.tasks().ok()?;
        let states = threads.filter_map(|thread| Some(thread.ok()?.stat().ok()?.state));
        Some(states.filter(|state| !is_over(*state)).collect())
    };
    read().unwrap_or_default()
}

/// Sends a signal. Says whether the process was there.
pub(super) fn send(process: &Process, signal: Signal) -> Result<bool, HostError> {
    let refused = |e: Errno| match e {
        Errno::SRCH => Ok(false),
        Errno::PERM => Err(no_right_to_signal(process)),
        _ => Err(HostError::Io {
            action: format!("send a signal to process {process}"),
            source: e.into(),
        }),
    };
    let Some(pid) = Pid::from_raw(process.pid) else {
        return Ok(false);
    };
    // The handle stays with the process that it was opened for. If that is the one that is meant,
    // the signal can't hit one that got the pid later.
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(e) => return refused(e),
    };
    if thread_states(process).is_empty() {
        return Ok(false);
    }
    match pidfd_send_signal(&handle, signal) {
        Ok(()) => Ok(true),
        Err(e) => refused(e),
    }
}

/// Whether signals may be sent to all of them.
pub(super) fn may_signal<'a>(
    processes: impl IntoIterator<Item = &'a Process>,
) -> Result<(), HostError> {
    for process in processes {
        let tested = Pid::from_raw(process.pid).map(test_kill_process);
        if tested == Some(Err(Errno::PERM)) {
            return Err(no_right_to_signal(process));
        }
    }
    Ok(())
}

fn no_right_to_signal(process: &Process) -> HostError {
    HostError::Right {
        action: format!("send a signal to process {process}"),
        needs: "CAP_KILL or the same user".to_owned(),
    }
}

/// Starts a program that outlives this one and says nothing.
pub(super) fn start(command: &mut Command) -> Result<Child, HostError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl+C in the terminal is for this process only.
        .process_group(0)
        .spawn();
    child.map_err(|source| HostError::Io {
        action: format!("start `{program}`"),
        source,
    })
}

/// Sees to it that a child that ends doesn't stay in the process table.
pub(super) fn let_go(mut child: Child) {
    std::thread::spawn(move || child.wait());
}

/// "4711 (nginx), 4712 (nginx)".
pub(super) fn listed<'a>(processes: impl IntoIterator<Item = &'a Process>) -> String {
    let texts: Vec<String> = processes.into_iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The pids, for what was read back.
pub(super) fn pids<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Value {
    json!(processes.into_iter().map(|p| p.pid).collect::<Vec<_>>())
}

/// `/proc` itself can't be read.
pub(super) fn unreadable(error: ProcError) -> HostError {
    HostError::Io {
        action: "read /proc".to_owned(),
        source: std::io::Error::other(error.to_string()),
    }
}

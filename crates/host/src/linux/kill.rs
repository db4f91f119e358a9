//! Kills processes; a command starts the service again.
//!
//! Parents are hit before their children, so a half-done kill shows by a root that has ended while
//! others of the target still run: `clear` kills those too before it starts the service again, as
//! they may hold its port.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::processes::{self, Table};
use super::wait::{CONFIRM, until};
use crate::before::Killed;
use crate::{HostCleared, HostError, KillSignal, Look, Process, ProcessSelector, ReadBack};

/// How long a service may take until it is found again.
const RESTART: Duration = Duration::from_secs(60);

pub(super) fn prepare(target: &[Process], table: &Table) -> Result<Killed, HostError> {
    let family = table.family(target);
    let processes: Vec<Process> = family.iter().map(|row| row.process.clone()).collect();
    processes::may_signal(&processes)?;
    let folder: PathBuf = std::env::current_dir().map_err(|source| HostError::Io {
        action: "see the working folder".to_owned(),
        source,
    })?;
    Ok(Killed {
        roots: table.roots(target),
        processes,
        folder,
    })
}

pub(super) fn inject(killed: &Killed, signal: KillSignal) -> Result<ReadBack, HostError> {
    let first = match signal {
        KillSignal::Kill => Signal::KILL,
        KillSignal::Term => Signal::TERM,
        KillSignal::Int => Signal::INT,
        KillSignal::Quit => Signal::QUIT,
        KillSignal::Abrt => Signal::ABORT,
    };
    let table = Table::read()?;
    let family: Vec<Process> = table
        .family(&killed.processes)
        .iter()
        .map(|row| row.process.clone())
        .collect();
    for process in &family {
        processes::send(process, first)?;
    }
    let mut by = json!([signal]);
    // Some take another signal as a wish to reload, and go on.
    if until(CONFIRM, || all_over(&family))?.is_none() {
        kill_all(&family)?;
        by = json!([signal, KillSignal::Kill]);
    }
    let list = processes::listed(&killed.processes);
    Ok(ReadBack {
        how: format!("no process {list} in /proc"),
        values: json!({"ended": processes::pids(&killed.processes), "signals": by}),
    })
}

fn all_over(family: &[Process]) -> Result<Option<()>, HostError> {
    let table = Table::read()?;
    Ok((!family.iter().any(|process| table.has(process))).then_some(()))
}

/// Kills until none is left, with the children that they started meanwhile.
fn kill_all(family: &[Process]) -> Result<(), HostError> {
    let done = until(CONFIRM, || {
        let table = Table::read()?;
        let left = table.family(family);
        for row in &left {
            processes::send(&row.process, Signal::KILL)?;
        }
        Ok(left.is_empty().then_some(()))
    })?;
    done.ok_or_else(|| {
        let list = processes::listed(family);
        let seconds = CONFIRM.as_secs();
        HostError::NotInForce(format!("{list} still runs {seconds} s after SIGKILL"))
    })
}

/// The target, if it runs.
fn found(target: &ProcessSelector) -> Result<Option<Vec<Process>>, HostError> {
    match target.find() {
        Ok(processes) => Ok(Some(processes)),
        Err(HostError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

fn runs(target: &ProcessSelector, processes: &[Process]) -> ReadBack {
    let list = processes::listed(processes);
    ReadBack {
        how: format!("{target} is process {list}"),
        values: json!({"processes": processes::pids(processes)}),
    }
}

pub(super) fn look(target: &ProcessSelector) -> Result<Look, HostError> {
    Ok(match found(target)? {
        Some(processes) => Look {
            in_force: false,
            read_back: runs(target, &processes),
        },
        None => Look {
            in_force: true,
            read_back: ReadBack {
                how: format!("no process is found by {target}"),
                values: json!({"processes": []}),
            },
        },
    })
}

pub(super) fn clear(
    killed: &Killed,
    target: &ProcessSelector,
    signal: KillSignal,
    restart: &[String],
    is_of_another_start: bool,
) -> Result<HostCleared, HostError> {
    if !is_of_another_start {
        finish(killed, signal)?;
    }
    let running = found(target)?;
    let was_in_force = running.is_none();
    let processes = match running {
        Some(processes) => processes,
        None => start_again(killed, target, restart)?,
    };
    Ok(HostCleared {
        was_in_force,
        read_back: runs(target, &processes),
        remains: None,
    })
}

/// Brings what a crash left half-done to an end: all of the target runs, or none of it.
fn finish(killed: &Killed, signal: KillSignal) -> Result<(), HostError> {
    let root_has_ended = || {
        let table = Table::read()?;
        let has_ended = killed.roots.iter().any(|root| !table.has(root));
        Ok(has_ended.then_some(()))
    };
    // A process takes its time to end by any other signal than SIGKILL, if it got one.
    let patience = match signal {
        KillSignal::Kill => Duration::ZERO,
        _ => CONFIRM,
    };
    if until(patience, root_has_ended)?.is_none() {
        return Ok(());
    }
    kill_all(&killed.processes).map_err(|e| match e {
        HostError::NotInForce(text) => HostError::NotUndone(text),
        other => other,
    })
}

fn start_again(
    killed: &Killed,
    target: &ProcessSelector,
    restart: &[String],
) -> Result<Vec<Process>, HostError> {
    let Some((program, arguments)) = restart.split_first() else {
        return Err(HostError::NotUndone(
            "there is no restart command".to_owned(),
        ));
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&killed.folder);
    let mut child = processes::start(&mut command)?;
    let mut failure = None;
    let processes = until(RESTART, || {
        let found = found(target)?;
        let ended = child.try_wait().ok().flatten();
        failure = ended.filter(|status| !status.success());
        if found.is_none()
            && let Some(status) = failure
        {
            let text = format!("`{}` ended by {status}", restart.join(" "));
            return Err(HostError::NotUndone(text));
        }
        Ok(found)
    });
    processes::let_go(child);
    processes?.ok_or_else(|| {
        let (command, seconds) = (restart.join(" "), RESTART.as_secs());
        let text = format!("no process is found by {target} {seconds} s after `{command}`");
        HostError::NotUndone(text)
    })
}

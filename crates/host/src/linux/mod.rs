//! Linux: which part does which fault.

mod cgroups;
mod disk;
mod find;
mod kill;
mod knob;
mod limit;
mod place;
mod processes;
mod stop;
mod stress;
mod wait;

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Access;
use rustix::io::Errno;
use serde_json::json;

pub(crate) use self::find::find;
use self::processes::Table;
use crate::before::State;
use crate::{Before, HostCleared, HostError, HostFault, Look, ProcessSelector, ReadBack};

pub(crate) fn prepare(
    fault: &HostFault,
    target: Option<&ProcessSelector>,
    owner: &str,
) -> Result<Before, HostError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let id = format!("loadgen-{owner}-{:x}", now.unwrap_or_default().as_nanos());
    let state = match fault {
        HostFault::FillDisk { folder, fill } => State::Fill(disk::prepare(folder, *fill, &id)?),
        _ => prepare_on_processes(fault, target, &id)?,
    };
    Ok(Before {
        fault: fault.clone(),
        target: target.cloned(),
        id,
        boot: boot()?,
        state,
    })
}

fn prepare_on_processes(
    fault: &HostFault,
    target: Option<&ProcessSelector>,
    id: &str,
) -> Result<State, HostError> {
    let Some(target) = target else {
        let name = fault.name();
        let text = format!("`{name}` acts on a process: give it a target");
        return Err(HostError::Parameter(text));
    };
    let processes = target.find()?;
    let table = Table::read()?;
    if table.roots(&processes).is_empty() {
        return Err(HostError::NotFound {
            target: target.to_string(),
            reason: "it has just ended".to_owned(),
        });
    }
    match fault {
        HostFault::Stop {} => stop::prepare(&processes, &table).map(State::Stop),
        HostFault::Kill { .. } => kill::prepare(&processes, &table).map(State::Kill),
        HostFault::StressCpu { .. } => {
            stress::prepare(&cgroups::hierarchies()?, &processes).map(State::Stress)
        }
        _ => limit::prepare(fault, &cgroups::hierarchies()?, &processes, id).map(State::Limit),
    }
}

pub(crate) fn inject(before: &Before) -> Result<ReadBack, HostError> {
    if is_of_another_start(before)? {
        let text = "this machine was restarted since the fault was prepared".to_owned();
        return Err(HostError::NotInForce(text));
    }
    match (&before.state, &before.fault) {
        (State::Stop(stopped), _) => stop::inject(stopped),
        (State::Kill(killed), HostFault::Kill { signal, .. }) => kill::inject(killed, *signal),
        (State::Limit(limit), _) => limit::inject(limit),
        (
            State::Stress(stress),
            HostFault::StressCpu {
                workers,
                load_percent,
            },
        ) => stress::inject(stress, &before.id, *workers, *load_percent),
        (State::Fill(filled), _) => disk::inject(filled),
        _ => Err(mixed_up(before)),
    }
}

pub(crate) fn clear(before: &Before) -> Result<HostCleared, HostError> {
    let is_over = is_of_another_start(before)?;
    match (&before.state, &before.fault, &before.target) {
        (State::Fill(filled), ..) => disk::clear(filled),
        // A service that was killed is still to be started again.
        (State::Kill(killed), HostFault::Kill { signal, restart }, Some(target)) => {
            kill::clear(killed, target, *signal, restart, is_over)
        }
        (State::Kill(_), ..) => Err(mixed_up(before)),
        _ if is_over => Ok(HostCleared {
            was_in_force: false,
            read_back: restarted(),
            remains: None,
        }),
        (State::Stop(stopped), ..) => stop::clear(stopped),
        (State::Limit(limit), ..) => limit::clear(limit),
        (State::Stress(_), ..) => stress::clear(&before.id),
    }
}

pub(crate) fn look(before: &Before) -> Result<Look, HostError> {
    let is_over = is_of_another_start(before)?;
    match (&before.state, &before.fault, &before.target) {
        (State::Fill(filled), ..) => disk::look(filled),
        (State::Kill(_), _, Some(target)) => kill::look(target),
        (State::Kill(_), ..) => Err(mixed_up(before)),
        _ if is_over => Ok(Look {
            in_force: false,
            read_back: restarted(),
        }),
        (State::Stop(stopped), ..) => stop::look(stopped),
        (State::Limit(limit), ..) => limit::look(limit),
        (State::Stress(stress), HostFault::StressCpu { workers, .. }, _) => {
            stress::look(stress, &before.id, *workers)
        }
        (State::Stress(_), ..) => Err(mixed_up(before)),
    }
}

/// A record that was put together by somebody else.
fn mixed_up(before: &Before) -> HostError {
    HostError::Parameter(format!(
        "the record of `{}` is damaged: what it keeps does not belong to the fault `{}`",
        before.id,
        before.fault.name()
    ))
}

/// The kernel's name for this start of the machine.
fn boot() -> Result<String, HostError> {
    procfs::sys::kernel::random::boot_id().map_err(processes::unreadable)
}

fn is_of_another_start(before: &Before) -> Result<bool, HostError> {
    Ok(boot()? != before.boot)
}

fn restarted() -> ReadBack {
    ReadBack {
        how: "the machine was restarted since".to_owned(),
        values: json!({}),
    }
}

/// The error of a file or folder, with the right that is missing.
fn refused(action: String, source: io::Error) -> HostError {
    let needs = match source.kind() {
        io::ErrorKind::PermissionDenied => "root, or a user who may write there",
        io::ErrorKind::ReadOnlyFilesystem => "the filesystem mounted for writing",
        _ => return HostError::Io { action, source },
    };
    HostError::Right {
        action,
        needs: needs.to_owned(),
    }
}

/// Whether a file or folder could be written.
fn may_write(path: &Path) -> Result<(), HostError> {
    let answer = rustix::fs::access(path, Access::WRITE_OK);
    answer.map_err(|e: Errno| refused(format!("write {}", path.display()), e.into()))
}

fn read(path: &Path) -> Result<String, HostError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(e) => Err(refused(format!("read {}", path.display()), e)),
    }
}

/// Written at once, as files of cgroups must be.
fn write(path: &Path, text: &str) -> Result<(), HostError> {
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let written = file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|e| refused(format!("write {text:?} to {}", path.display()), e))
}

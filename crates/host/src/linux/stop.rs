//! Stops processes by SIGSTOP and continues them by SIGCONT.
//!
//! There is nothing half-done that `clear` could miss: each process says by its state whether it is
//! stopped, and those that were stopped before are noted.

use rustix::process::Signal;
use serde_json::json;

use super::processes::{self, Row, Table, thread_states};
use super::wait::{CONFIRM, until};
use crate::before::Stopped;
use crate::{HostCleared, HostError, Look, Process, ReadBack};

pub(super) fn prepare(target: &[Process], table: &Table) -> Result<Stopped, HostError> {
    let family = table.family(target);
    let all = || family.iter().map(|row| &row.process);
    processes::may_signal(all())?;
    let already: Vec<Process> = all().filter(|p| is_stopped(p)).cloned().collect();
    if let Some(process) = already.iter().find(|process| target.contains(process)) {
        let text = format!("stop: process {process} is stopped already");
        return Err(HostError::Parameter(text));
    }
    Ok(Stopped {
        processes: all().cloned().collect(),
        already,
    })
}

/// Whether all threads are stopped.
fn is_stopped(process: &Process) -> bool {
    let states = thread_states(process);
    !states.is_empty() && states.iter().all(|state| *state == 'T')
}

/// The processes of the fault that run now, with children that were born after `prepare`.
fn family<'t>(stopped: &Stopped, table: &'t Table) -> Vec<&'t Row> {
    let mut family = table.family(&stopped.processes);
    family.retain(|row| !stopped.already.contains(&row.process));
    family
}

pub(super) fn inject(stopped: &Stopped) -> Result<ReadBack, HostError> {
    // A child may be born after the table is read and before its parent stops. Once all that are
    // known are stopped, another table shows whether there is one.
    let mut were_all_stopped = false;
    let done = until(CONFIRM, || {
        let table = Table::read()?;
        let family = family(stopped, &table);
        if family.is_empty() {
            let list = processes::listed(&stopped.processes);
            return Err(HostError::NotInForce(format!("{list} has ended")));
        }
        let mut are_all_stopped = true;
        for row in &family {
            if !is_stopped(&row.process) {
                are_all_stopped = false;
                processes::send(&row.process, Signal::STOP)?;
            }
        }
        let is_done = are_all_stopped && were_all_stopped;
        were_all_stopped = are_all_stopped;
        Ok(is_done.then(|| read_back(&family)))
    })?;
    done.ok_or_else(|| {
        let list = processes::listed(&stopped.processes);
        let seconds = CONFIRM.as_secs();
        HostError::NotInForce(format!("{list} is not stopped {seconds} s after SIGSTOP"))
    })
}

fn read_back(family: &[&Row]) -> ReadBack {
    let files: Vec<String> = family
        .iter()
        .map(|row| format!("/proc/{}/stat", row.process.pid))
        .collect();
    let mut letters = std::collections::BTreeSet::new();
    let states = family.iter().map(|row| {
        let states: String = thread_states(&row.process).into_iter().collect();
        letters.extend(states.chars());
        (row.process.pid.to_string(), json!(states))
    });
    // One letter for each thread, by pid.
    let states: serde_json::Map<_, _> = states.collect();
    let letters: Vec<String> = letters.iter().map(ToString::to_string).collect();
    let how = match files.is_empty() {
        true => "no process of the target is left".to_owned(),
        false => format!("state {} in {}", letters.join(" and "), files.join(", ")),
    };
    ReadBack {
        how,
        values: json!({"thread_states": states}),
    }
}

pub(super) fn look(stopped: &Stopped) -> Result<Look, HostError> {
    let table = Table::read()?;
    let family = family(stopped, &table);
    Ok(Look {
        in_force: !family.is_empty() && family.iter().all(|row| is_stopped(&row.process)),
        read_back: read_back(&family),
    })
}

pub(super) fn clear(stopped: &Stopped) -> Result<HostCleared, HostError> {
    let mut was_in_force = false;
    let done = until(CONFIRM, || {
        let table = Table::read()?;
        let family = family(stopped, &table);
        let mut is_any_stopped = false;
        for row in &family {
            if thread_states(&row.process).contains(&'T') {
                is_any_stopped = true;
                processes::send(&row.process, Signal::CONT)?;
            }
        }
        was_in_force |= is_any_stopped;
        Ok((!is_any_stopped).then(|| read_back(&family)))
    })?;
    match done {
        Some(read_back) => Ok(HostCleared {
            was_in_force,
            read_back,
            remains: None,
        }),
        None => {
            let list = processes::listed(&stopped.processes);
            let seconds = CONFIRM.as_secs();
            let text = format!("{list} is still stopped {seconds} s after SIGCONT");
            Err(HostError::NotUndone(text))
        }
    }
}

//! Faults by a file of a cgroup: CPU quota, memory limit, freeze.
//!
//! Where the target has a cgroup of its own, that one's file is written. Else a cgroup is made for
//! the fault and the target is moved into it, so that nothing else is hit.
//!
//! Order of writes. The record names the cgroup before it is made. In one of the target's own there
//! is a single write. In a new one the limit is written first, which hits nobody yet, and then the
//! processes are moved; only the freezer is the other way round, as a frozen cgroup takes no
//! processes in. After any of these writes, `clear` finds all in the new cgroup: it lifts the
//! limit, moves out whoever is in there, and removes it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde_json::json;

use super::cgroups::{self, Hierarchy};
use super::knob::Controller;
use super::place;
use super::processes::{self, Table};
use super::wait::{CONFIRM, until};
use crate::before::{Knob, Limit};
use crate::{HostCleared, HostError, HostFault, Look, Process, ReadBack};

pub(super) fn prepare(
    fault: &HostFault,
    hierarchies: &[Hierarchy],
    target: &[Process],
    id: &str,
) -> Result<Limit, HostError> {
    let controller = match fault {
        HostFault::CpuQuota { .. } => Controller::Cpu,
        HostFault::MemoryLimit { .. } => Controller::Memory,
        _ => Controller::Freezer,
    };
    let hierarchy = cgroups::with(hierarchies, controller)?;
    let knob = Knob::of(controller, hierarchy.version);
    let mut folders = BTreeSet::new();
    for process in target {
        folders.extend(hierarchy.folder_of(process)?);
    }
    if let Some(folder) = place::own(hierarchy, knob, &folders, target)? {
        super::may_write(&folder.join(knob.file()))?;
        let (old, new) = knob.texts(&folder, fault)?;
        return Ok(Limit {
            knob,
            processes: target.to_vec(),
            folder,
            moved_from: None,
            old,
            new,
        });
    }
    let from = place::shared(folders)?.ok_or_else(|| gone(target))?;
    let parent = place::parent_of_new(hierarchy, controller, &from)?;
    super::may_write(&parent)?;
    let (old, new) = knob.texts_of_new(fault)?;
    Ok(Limit {
        knob,
        processes: target.to_vec(),
        folder: parent.join(id),
        moved_from: Some(from),
        old,
        new,
    })
}

fn gone(target: &[Process]) -> HostError {
    HostError::NotInForce(format!("{} has ended", processes::listed(target)))
}

pub(super) fn inject(limit: &Limit) -> Result<ReadBack, HostError> {
    let table = Table::read()?;
    if !limit.processes.iter().any(|process| table.has(process)) {
        return Err(gone(&limit.processes));
    }
    match &limit.moved_from {
        Some(from) => inject_in_new(limit, from)?,
        None => {
            let file = limit.folder.join(limit.knob.file());
            let now = super::read(&file)?;
            if now != limit.old && !limit.knob.is(&now, &limit.new) {
                let file = file.display();
                let old = &limit.old;
                let text = format!("somebody changed {file} from {old} to {now} meanwhile");
                return Err(HostError::NotInForce(text));
            }
            set(limit, &limit.new)?;
        }
    }
    let look = look(limit)?;
    if !look.in_force {
        let text = format!("{}: {}", look.read_back.how, look.read_back.values);
        return Err(HostError::NotInForce(text));
    }
    Ok(look.read_back)
}

fn inject_in_new(limit: &Limit, from: &Path) -> Result<(), HostError> {
    match std::fs::create_dir(&limit.folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            let action = format!("make the cgroup {}", limit.folder.display());
            return Err(super::refused(action, e));
        }
        _ => {}
    }
    let is_freezer = matches!(limit.knob, Knob::FreezerV1 | Knob::FreezerV2);
    if !is_freezer {
        set(limit, &limit.new)?;
    }
    move_in(limit, from)?;
    if is_freezer {
        set(limit, &limit.new)?;
    }
    Ok(())
}

/// Moves the target and its descendants, until none is left that was born meanwhile.
fn move_in(limit: &Limit, from: &Path) -> Result<(), HostError> {
    let all_moved = until(CONFIRM, || {
        let left = cgroups::direct_members(from)?;
        let table = Table::read()?;
        let family = table.family(&limit.processes);
        let mut to_move = family
            .iter()
            .map(|row| row.process.pid)
            .filter(|pid| left.contains(pid));
        let Some(first) = to_move.next() else {
            return Ok(Some(()));
        };
        for pid in std::iter::once(first).chain(to_move) {
            cgroups::put(&limit.folder, pid)?;
        }
        Ok(None)
    })?;
    all_moved.ok_or_else(|| {
        let from = from.display();
        HostError::NotInForce(format!(
            "the target starts processes in {from} all the time"
        ))
    })
}

/// Writes the file and waits until it has come true.
fn set(limit: &Limit, text: &str) -> Result<(), HostError> {
    let (knob, folder) = (limit.knob, &limit.folder);
    super::write(&folder.join(knob.file()), text)?;
    let reached = || Ok(knob.has_reached(folder, text)?.then_some(()));
    let is_set = until(CONFIRM, reached)?;
    is_set.ok_or_else(|| {
        let file = folder.join(knob.file());
        let now = super::read(&file).unwrap_or_default();
        let text = format!("{} says {now} instead of {text}", file.display());
        HostError::NotInForce(text)
    })
}

pub(super) fn look(limit: &Limit) -> Result<Look, HostError> {
    if !limit.folder.exists() {
        return Ok(Look {
            in_force: false,
            read_back: no_cgroup(limit),
        });
    }
    let members = cgroups::members(&limit.folder)?;
    let table = Table::read()?;
    let mut running = limit.processes.iter().filter(|p| table.has(p)).peekable();
    let is_hit = running.peek().is_some() && running.all(|p| members.contains(&p.pid));
    let mut values = limit.knob.values(&limit.folder);
    values.insert("processes".to_owned(), json!(members));
    let text = super::read(&limit.folder.join(limit.knob.file()))?;
    Ok(Look {
        in_force: is_hit && limit.knob.has_reached(&limit.folder, &limit.new)?,
        read_back: ReadBack {
            how: limit.knob.how(&limit.folder, &text),
            values: values.into(),
        },
    })
}

fn no_cgroup(limit: &Limit) -> ReadBack {
    ReadBack {
        how: format!("there is no cgroup {}", limit.folder.display()),
        values: json!({}),
    }
}

pub(super) fn clear(limit: &Limit) -> Result<HostCleared, HostError> {
    if !limit.folder.exists() {
        return Ok(HostCleared {
            was_in_force: false,
            read_back: no_cgroup(limit),
            remains: None,
        });
    }
    match &limit.moved_from {
        Some(from) => clear_new(limit, from),
        None => clear_own(limit),
    }
}

/// Writes the old value over the fault's, and over no other.
fn clear_own(limit: &Limit) -> Result<HostCleared, HostError> {
    let file = limit.folder.join(limit.knob.file());
    let now = super::read(&file)?;
    let was_in_force = limit.knob.is(&now, &limit.new);
    if was_in_force {
        set(limit, &limit.old).map_err(not_undone)?;
    }
    let remains = (!was_in_force && now != limit.old).then(|| {
        let (file, old) = (file.display(), &limit.old);
        format!("{file} was {old} before the fault; somebody changed it to {now}, which is left")
    });
    let text = super::read(&file)?;
    Ok(HostCleared {
        was_in_force,
        read_back: ReadBack {
            how: limit.knob.how(&limit.folder, &text),
            values: limit.knob.values(&limit.folder).into(),
        },
        remains,
    })
}

fn clear_new(limit: &Limit, from: &Path) -> Result<HostCleared, HostError> {
    let folder = &limit.folder;
    let now = super::read(&folder.join(limit.knob.file()))?;
    let is_hit = !cgroups::members(folder)?.is_empty();
    // First of all, so that nobody is limited any longer if the rest fails. What is frozen can't
    // be told to leave.
    set(limit, &limit.old).map_err(not_undone)?;
    // Only by others can the old cgroup have been removed meanwhile.
    let home = from
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(from);
    let mut moved = BTreeSet::new();
    let is_removed = until(CONFIRM, || {
        for pid in cgroups::direct_members(folder)? {
            cgroups::put(home, pid)?;
            moved.insert(pid);
        }
        match std::fs::remove_dir(folder) {
            Ok(()) => Ok(Some(())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Some(())),
            // A process was born in it meanwhile, or one is just ending.
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            Err(e) => Err(super::refused(format!("remove {}", folder.display()), e)),
        }
    });
    if is_removed.map_err(not_undone)?.is_none() {
        let text = format!("the cgroup {} can't be emptied", folder.display());
        return Err(HostError::NotUndone(text));
    }
    let remains = (home != from).then(|| {
        let (from, home) = (from.display(), home.display());
        format!("the target came from the cgroup {from}, which is gone; it is in {home} now")
    });
    Ok(HostCleared {
        was_in_force: is_hit && limit.knob.is(&now, &limit.new),
        read_back: ReadBack {
            how: format!("{} is removed", folder.display()),
            values: json!({"moved_to": home, "processes": moved}),
        },
        remains,
    })
}

fn not_undone(error: HostError) -> HostError {
    match error {
        HostError::NotInForce(text) => HostError::NotUndone(text),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::knob::Version;
    use super::*;

    /// Counts in a file.
    struct Counting(std::process::Child, tempfile::TempDir);

    impl Counting {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let script = "i=0; while :; do i=$((i+1)); echo $i > next; mv next count; done";
            let mut command = std::process::Command::new("sh");
            let child = command.args(["-c", script]).current_dir(&folder).spawn();
            let counting = Self(child.unwrap(), folder);
            counting.wait_for_more_than(0);
            counting
        }

        fn count(&self) -> u64 {
            let text = std::fs::read_to_string(self.1.path().join("count"));
            text.unwrap_or_default().trim().parse().unwrap_or(0)
        }

        fn wait_for_more_than(&self, count: u64) {
            let more = || Ok((self.count() > count).then_some(()));
            assert!(until(CONFIRM * 3, more).unwrap().is_some());
        }
    }

    impl Drop for Counting {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    // Where version 1 has a freezer it is taken, so version 2 is asked for here.
    #[test]
    fn version_2_freezes_and_thaws() {
        let mut hierarchies = cgroups::hierarchies().unwrap();
        hierarchies.retain(|h| h.version == Version::V2);
        let counting = Counting::start();
        let table = Table::read().unwrap();
        let process = table
            .by_pid(counting.0.id().cast_signed())
            .unwrap()
            .process
            .clone();
        let id = format!("loadgen-unit-{}", process.pid);
        let limit = match prepare(
            &HostFault::Freeze {},
            &hierarchies,
            std::slice::from_ref(&process),
            &id,
        ) {
            Ok(limit) => limit,
            Err(e @ (HostError::Cgroup(_) | HostError::Right { .. })) => {
                println!("skipped: {e}");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        assert_eq!(limit.knob, Knob::FreezerV2);
        let read_back = inject(&limit).unwrap();
        assert!(
            read_back.how.starts_with("frozen 1 in "),
            "{}",
            read_back.how
        );
        let count = counting.count();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(counting.count(), count);
        // Now it has a cgroup of its own, which is frozen.
        let again = prepare(&HostFault::Freeze {}, &hierarchies, &[process], &id).unwrap_err();
        assert!(
            again.to_string().contains("cgroup.freeze says 1 already"),
            "{again}"
        );

        let cleared = clear(&limit).unwrap();
        assert!(
            cleared.was_in_force && cleared.remains.is_none(),
            "{cleared:?}"
        );
        assert!(!limit.folder.exists());
        counting.wait_for_more_than(count);
        assert!(!clear(&limit).unwrap().was_in_force);
    }
}

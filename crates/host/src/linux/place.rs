//! Which cgroup a fault is written into: the target's own, or one that is made for the fault.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cgroups::{self, Hierarchy};
use super::knob::{Controller, Version};
use super::processes::Table;
use crate::before::Knob;
use crate::{HostError, Process};

/// The lowest cgroup that has all of the target, nothing else, and the file.
pub(super) fn own(
    hierarchy: &Hierarchy,
    knob: Knob,
    folders: &BTreeSet<PathBuf>,
    target: &[Process],
) -> Result<Option<PathBuf>, HostError> {
    let mut candidate = common_ancestor(folders);
    while let Some(folder) = candidate.filter(|folder| *folder != hierarchy.mount) {
        let members = cgroups::members(&folder)?;
        // Read afterwards, so that all members are in it but those that have ended.
        let table = Table::read()?;
        let family: BTreeSet<i32> = table.family(target).iter().map(|r| r.process.pid).collect();
        let is_other = |pid: &i32| !family.contains(pid) && table.by_pid(*pid).is_some();
        // 0 stands for a process that can't be seen from here.
        if members.contains(&0) || members.iter().any(is_other) {
            return Ok(None);
        }
        if folder.join(knob.file()).exists() {
            return Ok(Some(folder));
        }
        candidate = folder.parent().map(Path::to_path_buf);
    }
    Ok(None)
}

/// The lowest folder that has all of them in it.
fn common_ancestor(folders: &BTreeSet<PathBuf>) -> Option<PathBuf> {
    let first = folders.first()?;
    let is_above_all = |above: &&Path| folders.iter().all(|folder| folder.starts_with(above));
    first.ancestors().find(is_above_all).map(Path::to_path_buf)
}

/// The one cgroup that the target shares with others; nothing if the target has ended.
pub(super) fn shared(folders: BTreeSet<PathBuf>) -> Result<Option<PathBuf>, HostError> {
    let mut all = folders.into_iter();
    match (all.next(), all.next()) {
        (Some(one), Some(other)) => Err(HostError::Cgroup(format!(
            "the target is spread over several cgroups that others are in too, such as {} and {}",
            one.display(),
            other.display()
        ))),
        (only, _) => Ok(only),
    }
}

/// Where a cgroup for the fault can be made.
pub(super) fn parent_of_new(
    hierarchy: &Hierarchy,
    controller: Controller,
    from: &Path,
) -> Result<PathBuf, HostError> {
    // A child keeps the limits that hold for `from`. Each cgroup can be frozen.
    if hierarchy.version == Version::V1 || controller == Controller::Freezer {
        return Ok(from.to_path_buf());
    }
    // In version 2 a cgroup with processes can't have children with controllers, except the root:
    // the new one is a sibling.
    let parent = match from.parent() {
        Some(parent) if from != hierarchy.mount => parent,
        _ => from,
    };
    let file = parent.join("cgroup.subtree_control");
    let passed_on = super::read(&file)?;
    let name = controller.name();
    if passed_on.split_whitespace().any(|passed| passed == name) {
        return Ok(parent.to_path_buf());
    }
    let file = file.display();
    Err(HostError::Cgroup(format!(
        "cgroups in {} have no controller `{name}`; as root: echo +{name} > {file}",
        parent.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_ancestor_is_the_lowest_above_all() {
        let common = |folders: &[&str]| {
            let folders = folders.iter().map(PathBuf::from).collect();
            common_ancestor(&folders).map(|folder| folder.display().to_string())
        };
        assert_eq!(common(&["/c/a/b"]).as_deref(), Some("/c/a/b"));
        assert_eq!(common(&["/c/a/b", "/c/a"]).as_deref(), Some("/c/a"));
        assert_eq!(common(&["/c/a/b1", "/c/a/b2/x"]).as_deref(), Some("/c/a"));
        assert_eq!(common(&[]), None);
    }
}

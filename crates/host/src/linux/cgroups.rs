//! Hierarchies of cgroups, version 1 and 2, and where in them a process is.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use procfs::process::{MountInfo, Process as Entry};

use super::knob::{Controller, Version};
use super::processes::unreadable;
use crate::{HostError, Process};

/// A mounted hierarchy.
#[derive(Debug, Clone)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    controllers: Vec<String>,
    pub(super) mount: PathBuf,
    /// The cgroup that is mounted; `/` is the whole hierarchy.
    root: String,
}

/// All that are mounted, version 1 first: where both have a controller, it is in use there.
pub(super) fn hierarchies() -> Result<Vec<Hierarchy>, HostError> {
    let this = Entry::myself().and_then(|this| this.mountinfo());
    let mounts = this.map_err(unreadable)?;
    let mut hierarchies: Vec<Hierarchy> = mounts.into_iter().filter_map(Hierarchy::of).collect();
    hierarchies.sort_by_key(|hierarchy| hierarchy.version == Version::V2);
    Ok(hierarchies)
}

/// The one that has a controller.
pub(super) fn with(
    hierarchies: &[Hierarchy],
    controller: Controller,
) -> Result<&Hierarchy, HostError> {
    let name = controller.name();
    let found = hierarchies.iter().find(|h| h.has(name));
    found.ok_or_else(|| {
        HostError::Cgroup(format!(
            "no hierarchy of cgroups with the controller `{name}` is mounted here"
        ))
    })
}

impl Hierarchy {
    fn of(mount: MountInfo) -> Option<Self> {
        let (version, controllers) = match mount.fs_type.as_str() {
            "cgroup" => (Version::V1, mount.super_options.into_keys().collect()),
            "cgroup2" => {
                let path = mount.mount_point.join("cgroup.controllers");
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let mut controllers: Vec<String> =
                    text.split_whitespace().map(ToOwned::to_owned).collect();
                // Not a controller there: each cgroup has it.
                controllers.push(Controller::Freezer.name().to_owned());
                (Version::V2, controllers)
            }
            _ => return None,
        };
        Some(Self {
            version,
            controllers,
            mount: mount.mount_point,
            root: mount.root,
        })
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// The folder of a cgroup; nothing if it is outside of what is mounted.
    pub(super) fn folder(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        let is_name = |c: Component<'_>| matches!(c, Component::Normal(_));
        // Seen from a namespace of cgroups, what is outside of it begins with `..`.
        below.components().all(is_name).then(|| {
            let folder = self.mount.join(below);
            // Without the `/` that joining nothing leaves at the end.
            folder.components().collect()
        })
    }

    /// The folder of the cgroup that a process is in; nothing if the process has ended.
    pub(super) fn folder_of(&self, process: &Process) -> Result<Option<PathBuf>, HostError> {
        let Some(groups) = groups_of(process) else {
            return Ok(None);
        };
        let is_this = |controllers: &[String]| match self.version {
            Version::V1 => controllers.iter().any(|name| self.has(name)),
            Version::V2 => controllers.is_empty(),
        };
        let group = groups.iter().find(|(controllers, _)| is_this(controllers));
        let folder = group.and_then(|(_, path)| self.folder(path));
        folder.map(Some).ok_or_else(|| {
            let mount = self.mount.display();
            HostError::Cgroup(format!(
                "the cgroup of process {process} can't be seen under {mount}; is it in another container?"
            ))
        })
    }
}

/// The cgroups of a process; none if it has ended.
pub(super) fn paths_of(process: &Process) -> Vec<String> {
    let groups = groups_of(process).unwrap_or_default();
    groups.into_iter().map(|(_, path)| path).collect()
}

/// For each hierarchy its controllers and the path of the process's cgroup.
fn groups_of(process: &Process) -> Option<Vec<(Vec<String>, String)>> {
    let entry = Entry::new(process.pid).ok()?;
    let groups = entry.cgroups().ok()?;
    if entry.stat().ok()?.starttime != process.start_ticks {
        return None;
    }
    let pairs = groups.into_iter().map(|group| {
        // One that has no controller has one empty name in the file.
        let names = group
            .controllers
            .into_iter()
            .filter(|name| !name.is_empty());
        (names.collect(), group.pathname)
    });
    Some(pairs.collect())
}

/// The processes of a cgroup and of all below it; none if it isn't there.
pub(super) fn members(folder: &Path) -> Result<BTreeSet<i32>, HostError> {
    let unreadable = |e| super::refused(format!("read {}", folder.display()), e);
    let mut pids = match own_members(folder) {
        Ok(pids) => pids,
        Err(e) if is_gone(&e) => return Ok(BTreeSet::new()),
        // A threaded cgroup of version 2: its processes are those of the one above.
        Err(e) if e.kind() == io::ErrorKind::Unsupported => BTreeSet::new(),
        Err(e) => return Err(unreadable(e)),
    };
    let below = match std::fs::read_dir(folder) {
        Ok(below) => below,
        Err(e) if is_gone(&e) => return Ok(pids),
        Err(e) => return Err(unreadable(e)),
    };
    for entry in below.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(members(&entry.path())?);
        }
    }
    Ok(pids)
}

/// The processes of a cgroup itself.
pub(super) fn direct_members(folder: &Path) -> Result<BTreeSet<i32>, HostError> {
    own_members(folder).map_err(|e| super::refused(format!("read {}", folder.display()), e))
}

fn own_members(folder: &Path) -> io::Result<BTreeSet<i32>> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// A cgroup that was removed says one or the other.
fn is_gone(error: &io::Error) -> bool {
    let no_device = rustix::io::Errno::NODEV.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_device)
}

/// Puts a process into a cgroup. One that has ended is no error.
pub(super) fn put(folder: &Path, pid: i32) -> Result<(), HostError> {
    let no_process = rustix::io::Errno::SRCH.raw_os_error();
    match super::write(&folder.join("cgroup.procs"), &pid.to_string()) {
        Err(HostError::Io { source, .. }) if source.raw_os_error() == Some(no_process) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(root: &str) -> Hierarchy {
        Hierarchy {
            version: Version::V1,
            controllers: vec!["cpu".to_owned()],
            mount: "/sys/fs/cgroup/cpu".into(),
            root: root.to_owned(),
        }
    }

    #[test]
    fn a_cgroup_is_a_folder_below_what_is_mounted() {
        let whole = hierarchy("/");
        let folder = |h: &Hierarchy, path| h.folder(path).map(|f| f.display().to_string());
        assert_eq!(folder(&whole, "/").as_deref(), Some("/sys/fs/cgroup/cpu"));
        let service = folder(&whole, "/a.slice/b.service");
        assert_eq!(
            service.as_deref(),
            Some("/sys/fs/cgroup/cpu/a.slice/b.service")
        );
        // A container sees its own part only.
        let part = hierarchy("/docker/12");
        assert_eq!(
            folder(&part, "/docker/12").as_deref(),
            Some("/sys/fs/cgroup/cpu")
        );
        assert_eq!(folder(&part, "/docker/34"), None);
        assert_eq!(folder(&whole, "/../other"), None);
        assert_eq!(folder(&whole, "no-slash"), None);
    }
}

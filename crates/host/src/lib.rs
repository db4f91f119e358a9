//! Faults on processes of this machine: stop, kill, freeze, limit, stress, fill a disk.
//!
//! A fault goes through three steps, each a blocking call:
//!
//! 1. [`prepare`] finds the target, checks rights and parameters and returns a [`Before`]: all that
//!    is needed to undo the fault. Nothing is changed yet, so a `Before` can be kept on disk first.
//! 2. [`Before::inject`] makes the change and reads back that it is in force.
//! 3. [`Before::clear`] undoes it and reads back that it is undone. It can be called at any time
//!    after `prepare`, by another process too, and more than once: after a crash between two
//!    writes, after an error of `inject`, or when the target is gone.
//!
//! A process is known by its pid and its start time, so one that got the pid of an ended process is
//! never hit. A fault acts on the target and all its descendants: a server behind a shell, or
//! workers behind a master, would go on otherwise.
//!
//! Linux only; on other systems every call is the error [`HostError::NeedsLinux`]. What confirms
//! each fault, which right it needs and what a crash leaves behind: `docs/host-faults.md`.

mod before;
mod error;
mod fault;
mod target;

#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod system;

pub use before::{Before, HostCleared, Look, Process, ReadBack};
pub use error::HostError;
pub use fault::{Fill, HostFault, KillSignal};
pub use target::ProcessSelector;

/// Finds the target of a fault, checks parameters and rights, and notes what is needed to undo the
/// fault. Changes nothing.
///
/// `owner` (letters, digits, `.`, `_` and `-`, 64 at most) stands in the names of the files and
/// cgroups that the fault makes. [`HostFault::FillDisk`] needs no target, all others do.
///
/// # Errors
/// The target is not found or not one, a parameter is out of range, a right is missing, or this
/// machine lacks what the fault needs.
pub fn prepare(
    fault: &HostFault,
    target: Option<&ProcessSelector>,
    owner: &str,
) -> Result<Before, HostError> {
    fault.check()?;
    fault::check_owner(owner)?;
    system::prepare(fault, target, owner)
}

impl ProcessSelector {
    /// The processes that this target is now. Their descendants belong to it but are not listed.
    ///
    /// # Errors
    /// There is none, they are not of one service, a right is missing, or this program is one of
    /// them or a descendant.
    pub fn find(&self) -> Result<Vec<Process>, HostError> {
        system::find(self)
    }
}

impl Before {
    /// Injects the fault and waits until it is in force. The fault is in force already: no error.
    ///
    /// # Errors
    /// The change was refused, or reading back shows that it is not in force. Part of it may have
    /// been made: call [`Before::clear`].
    pub fn inject(&self) -> Result<ReadBack, HostError> {
        system::inject(self)
    }

    /// Undoes the fault and waits until that is so. What isn't there is no error: a target that is
    /// gone, a fault that was never injected or is cleared already.
    ///
    /// # Errors
    /// The fault, or part of it, could not be undone.
    pub fn clear(&self) -> Result<HostCleared, HostError> {
        system::clear(self)
    }

    /// Whether the fault is in force now, with counters that show its effect. Changes nothing.
    ///
    /// # Errors
    /// It can't be read.
    pub fn look(&self) -> Result<Look, HostError> {
        system::look(self)
    }
}

//! Systems other than Linux: nothing is possible.

use crate::{Before, Cleared, Fault, HostError, Look, Process, ReadBack, Target};

pub(crate) fn prepare(_: &Fault, _: Option<&Target>, _: &str) -> Result<Before, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn find(_: &Target) -> Result<Vec<Process>, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn inject(_: &Before) -> Result<ReadBack, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn clear(_: &Before) -> Result<Cleared, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn look(_: &Before) -> Result<Look, HostError> {
    Err(HostError::NeedsLinux)
}

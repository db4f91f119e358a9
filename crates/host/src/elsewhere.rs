//! Systems other than Linux: nothing is possible.

use crate::{Before, HostCleared, HostError, HostFault, Look, Process, ProcessSelector, ReadBack};

pub(crate) fn prepare(
    _: &HostFault,
    _: Option<&ProcessSelector>,
    _: &str,
) -> Result<Before, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn find(_: &ProcessSelector) -> Result<Vec<Process>, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn inject(_: &Before) -> Result<ReadBack, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn clear(_: &Before) -> Result<HostCleared, HostError> {
    Err(HostError::NeedsLinux)
}

pub(crate) fn look(_: &Before) -> Result<Look, HostError> {
    Err(HostError::NeedsLinux)
}

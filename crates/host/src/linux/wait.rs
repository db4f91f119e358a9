//! Waiting until something is so.

use std::time::{Duration, Instant};

use crate::HostError;

/// How long the kernel may take to do what it was told.
pub(super) const CONFIRM: Duration = Duration::from_secs(10);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something, or says that there was nothing within the limit.
pub(super) fn until<T>(
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, HostError>,
) -> Result<Option<T>, HostError> {
    let begun = Instant::now();
    loop {
        let found = look()?;
        if found.is_some() || begun.elapsed() >= limit {
            return Ok(found);
        }
        std::thread::sleep(PAUSE);
    }
}

//! A wish that an extraction ends early.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says to an extraction in another thread that it should end. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on it should end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it should end.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if it should end.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.is_asked() {
            // Not `Interrupted`, after which a write would be tried again.
            true => Err(io::Error::other("stopped")),
            false => Ok(()),
        }
    }
}

//! Resources of the process that are used up: its file descriptors, and its disk.
//!
//! Both lower a limit that the system sets the process (`setrlimit`), and raise it again.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

use deadpool_sqlite::Pool;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::rounds::Spell;

/// Descriptors that the process may still open when its limit is lowered: all of them are used up
/// at once.
const LEFT: u64 = 64;
/// Files that are opened at most, should the limit not come before.
const MOST: usize = 4_096;
/// How often connections that requests gave back are looked for, and descriptors that became free:
/// what was closed before, as a round's connections were, may take until then to be closed.
const SWEEP: Duration = Duration::from_millis(20);

/// Lowers the soft limit; returns what it was. None: the system says no.
fn lower(resource: Resource, to: u64) -> Option<Rlimit> {
    let before = getrlimit(resource);
    let lowered = Rlimit {
        current: Some(before.current.map_or(to, |now| now.min(to))),
        ..before
    };
    setrlimit(resource, lowered).ok().map(|()| before)
}

fn restore(resource: Resource, before: Option<Rlimit>) {
    if let Some(before) = before {
        // Up to the hard limit, which was not touched, everybody may.
        let _ = setrlimit(resource, before);
    }
}

/// No free file descriptor: files are opened up to a lowered limit, and the pool's connections
/// leak as requests give them back. New ones can then neither be opened nor accepted.
pub(crate) struct NoDescriptors(pub(crate) Pool);

/// Everything that keeps descriptors in use.
pub(crate) struct Hoard {
    limit: Option<Rlimit>,
    sweep: JoinHandle<()>,
}

/// Opens files until the limit comes.
fn fill(files: &mut Vec<File>) {
    let room = MOST.saturating_sub(files.len());
    files.extend(std::iter::from_fn(|| File::open("/dev/null").ok()).take(room));
}

impl Spell for NoDescriptors {
    type Held = Hoard;

    async fn begin(&self) -> Hoard {
        // The lowest number that is free.
        let next =
            File::open("/dev/null").map_or(0, |file| u64::try_from(file.as_raw_fd()).unwrap_or(0));
        let limit = lower(Resource::Nofile, next + LEFT);
        let mut files = Vec::new();
        fill(&mut files);
        let pool = self.0.clone();
        let mut leaked = pool.retain(|_, _| false).removed;
        let sweep = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                leaked.extend(pool.retain(|_, _| false).removed);
                fill(&mut files);
            }
        });
        Hoard { limit, sweep }
    }

    async fn end(&self, hoard: Hoard) {
        restore(Resource::Nofile, hoard.limit);
        hoard.sweep.abort();
        // With it its connections and files are closed.
        let _ = hoard.sweep.await;
    }
}

/// No room on the disk: whatever the process writes to files fails, as over a quota. Sockets and
/// pipes are no files.
pub(crate) struct NoDisk(());

impl NoDisk {
    /// Says why it is not possible.
    pub(crate) fn new() -> Result<Self, String> {
        // It comes with each write over the limit, and would end the process. A signal that tokio
        // has listened to once never does so again.
        let kind = SignalKind::from_raw(Signal::XFSZ.as_raw());
        match signal(kind) {
            Ok(_) => Ok(NoDisk(())),
            Err(error) => Err(format!("SIGXFSZ can't be caught: {error}")),
        }
    }
}

impl Spell for NoDisk {
    type Held = Option<Rlimit>;

    async fn begin(&self) -> Option<Rlimit> {
        lower(Resource::Fsize, 0)
    }

    async fn end(&self, before: Option<Rlimit>) {
        restore(Resource::Fsize, before);
    }
}

//! The bound on memory: every request needs a share of a fixed number of bytes while it is inside.
//!
//! The size of a request isn't known before it has been read and decompressed, so it reserves the
//! largest allowed size first and gives the surplus back afterwards. When nothing is free the
//! request waits, unread, which slows its sender down; after a while it is refused in OTLP's own
//! terms. A request whose body comes slowly makes room while others wait (`body.rs`).

use crate::topology::Refusal;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in KiB, because a semaphore's count is smaller than memory can be.
const KIB: usize = 1 << 10;

/// The bytes that requests share.
#[derive(Clone)]
pub(crate) struct Budget {
    semaphore: Arc<Semaphore>,
    reservation: u32,
    wait: Duration,
    waiting: Arc<AtomicUsize>,
}

/// A request that waits for room is counted while this is there.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's share, returned when dropped.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

impl Budget {
    /// `total` bytes for all requests, of which each reserves `largest`; at least one fits.
    pub(crate) fn new(total: usize, largest: usize, wait: Duration) -> Self {
        let reservation = u32::try_from(largest.div_ceil(KIB)).unwrap_or(u32::MAX);
        let total = (total / KIB)
            .max(reservation as usize)
            .min(Semaphore::MAX_PERMITS);
        Self {
            semaphore: Arc::new(Semaphore::new(total)),
            reservation,
            wait,
            waiting: Arc::default(),
        }
    }

    /// Reserves the largest request's bytes, waiting a while for them.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] when they didn't become free in time.
    pub(crate) async fn reserve(&self) -> Result<Share, Refusal> {
        let semaphore = self.semaphore.clone();
        if let Ok(permit) = semaphore.clone().try_acquire_many_owned(self.reservation) {
            return Ok(Share(permit));
        }
        let _waiting = Waiting::new(&self.waiting);
        let permits = semaphore.acquire_many_owned(self.reservation);
        match tokio::time::timeout(self.wait, permits).await {
            Ok(Ok(permit)) => Ok(Share(permit)),
            Ok(Err(_)) => Err(Refusal::Stopping),
            Err(_) => Err(Refusal::Overloaded),
        }
    }

    /// Whether a request waits for room.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Share {
    /// Gives back what is more than `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self
            .0
            .num_permits()
            .saturating_sub(bytes.div_ceil(KIB).max(1));
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_turns_out_small_makes_room_for_others() {
        let budget = Budget::new(4 * KIB, 4 * KIB, Duration::ZERO);
        let mut first = budget.reserve().await.unwrap();
        assert!(matches!(budget.reserve().await, Err(Refusal::Overloaded)));
        first.shrink_to(0);
        assert_eq!(budget.semaphore.available_permits(), 3);
        drop(first);
        assert!(budget.reserve().await.is_ok());
    }

    #[tokio::test]
    async fn the_largest_request_fits_even_into_a_smaller_budget() {
        assert!(
            Budget::new(1, 10 * KIB, Duration::ZERO)
                .reserve()
                .await
                .is_ok()
        );
    }
}

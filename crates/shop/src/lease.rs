//! Leases of faults. A fault with a lease is taken off by the shop itself when nobody renews it, so
//! that nothing stays when whoever put it on is gone.

use std::time::Duration;

use tokio::time::Instant;

/// How long to wait after a service did not confirm that a fault is off.
const RETRY: Duration = Duration::from_secs(1);

/// How long a fault stays without being renewed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    length: Duration,
    ends: Instant,
}

impl Lease {
    /// A lease that begins now.
    pub(crate) fn new(length: Duration) -> Self {
        Lease {
            length,
            ends: Instant::now() + length,
        }
    }

    /// Begins it anew, unless it is over. Says whether it did.
    pub(crate) fn renew(&mut self) -> bool {
        let renewed = !self.is_over();
        if renewed {
            *self = Lease::new(self.length);
        }
        renewed
    }

    /// Whether its time has run out.
    pub(crate) fn is_over(&self) -> bool {
        self.ends <= Instant::now()
    }
}

/// Waits until a fault's lease is over and takes the fault off, again and again until that is
/// confirmed. `lease` tells the lease as it is at the moment, and none when the fault is gone or
/// stays for ever. `take_off` says whether it was confirmed.
pub(crate) async fn watch<F>(lease: impl Fn() -> Option<Lease>, take_off: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    while let Some(now) = lease() {
        if !now.is_over() {
            tokio::time::sleep_until(now.ends).await;
        } else if !take_off().await {
            tokio::time::sleep(RETRY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    /// A fault, and how often the service is asked in vain to take it off.
    struct Fault {
        lease: Mutex<Option<Lease>>,
        refusals: AtomicU32,
    }

    impl Fault {
        fn with(lease_ms: u64, refusals: u32) -> Arc<Self> {
            Arc::new(Fault {
                lease: Mutex::new(Some(Lease::new(Duration::from_millis(lease_ms)))),
                refusals: AtomicU32::new(refusals),
            })
        }

        fn renew(&self) -> bool {
            let mut lease = self.lease.lock().expect("no panic");
            lease.as_mut().is_some_and(Lease::renew)
        }

        async fn watch(self: Arc<Self>) {
            let lease = || *self.lease.lock().expect("no panic");
            let take_off = || async {
                // A service takes its time.
                tokio::time::sleep(Duration::from_millis(20)).await;
                let refused = self.refusals.load(Ordering::Relaxed) > 0;
                if refused {
                    self.refusals.fetch_sub(1, Ordering::Relaxed);
                } else {
                    *self.lease.lock().expect("no panic") = None;
                }
                !refused
            };
            watch(lease, take_off).await;
        }
    }

    // The clock is tokio's, which goes on only when everybody waits for it.
    #[tokio::test(start_paused = true)]
    async fn a_fault_that_is_not_renewed_is_taken_off_when_its_lease_is_over() {
        let since = Instant::now();
        Fault::with(1_000, 0).watch().await;
        assert_eq!(since.elapsed(), Duration::from_millis(1_020));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_is_renewed_stays() {
        let since = Instant::now();
        let fault = Fault::with(1_000, 0);
        let watching = tokio::spawn(Arc::clone(&fault).watch());
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert!(fault.renew());
        }
        assert!(!watching.is_finished());
        watching.await.expect("no panic");
        assert_eq!(since.elapsed(), Duration::from_millis(10_020));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_does_not_confirm_is_asked_again_and_the_lease_stays_over() {
        let since = Instant::now();
        let fault = Fault::with(1_000, 3);
        let watching = tokio::spawn(Arc::clone(&fault).watch());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!fault.renew());
        watching.await.expect("no panic");
        assert_eq!(
            since.elapsed(),
            Duration::from_millis(1_000 + 4 * 20 + 3 * 1_000)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_is_cleared_or_kept_for_ever_is_not_watched_any_more() {
        let fault = Fault::with(1_000, u32::MAX);
        let watching = tokio::spawn(Arc::clone(&fault).watch());
        tokio::time::sleep(Duration::from_millis(500)).await;
        *fault.lease.lock().expect("no panic") = None;
        watching.await.expect("no panic");
        assert_eq!(fault.refusals.load(Ordering::Relaxed), u32::MAX);
    }
}

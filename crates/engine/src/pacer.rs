//! Sleeps to a moment with a precision of tens of microseconds.
//!
//! tokio's timer works in whole milliseconds, which is too coarse for an open model at 10,000
//! requests/s. On Linux a `timerfd` wakes the event loop through epoll instead; elsewhere tokio's
//! timer is used, as it is where time is simulated.

use std::time::Instant;

use loadgen_timeline::Clock;

/// Sleeps to moments, one at a time.
#[derive(Debug)]
pub(crate) struct Pacer {
    clock: Clock,
    #[cfg(target_os = "linux")]
    timer: Option<tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>>,
}

impl Pacer {
    /// Must be called on the runtime that will wait. Where the system gives no timer, tokio's is
    /// used.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            #[cfg(target_os = "linux")]
            timer: (!clock.is_simulated()).then(linux_timer).flatten(),
        }
    }

    /// Returns at `due` or a little later, at once if that is past.
    pub(crate) async fn until(&mut self, due: Instant) {
        let left = due.saturating_duration_since(self.clock.now());
        if left.is_zero() {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer {
            use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

            let spec = Itimerspec {
                it_interval: Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                },
                it_value: Timespec {
                    tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                },
            };
            if timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &spec).is_ok() {
                while let Ok(mut ready) = timer.readable().await {
                    // The timer is set anew before the next wait, so nobody need read what it says.
                    ready.clear_ready();
                    // It may be ready from an earlier wait that was given up.
                    if self.clock.now() >= due {
                        return;
                    }
                }
            }
        }
        tokio::time::sleep_until(due.into()).await;
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn linux_timer() -> Option<tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>> {
    use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
    // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it lives, and the
    // `AsyncFd` owns it.
    unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn never_wakes_early_also_after_a_wait_that_was_given_up() {
        let mut pacer = Pacer::new(Clock::anchored_now());
        let given_up = Instant::now() + Duration::from_millis(20);
        tokio::select! {
            () = pacer.until(given_up) => {}
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        std::thread::sleep(Duration::from_millis(30));
        for ms in [3, 1, 7] {
            let due = Instant::now() + Duration::from_millis(ms);
            pacer.until(due).await;
            assert!(Instant::now() >= due);
        }
    }
}

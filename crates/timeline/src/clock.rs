//! One monotonic clock, anchored to the wall clock once, so that times in a run never jump.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time expressed in Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What says which time it is; none: the system does.
    simulated: Option<fn() -> Instant>,
    anchor: Instant,
    anchor_unix_ns: i64,
}

impl Clock {
    /// Reads the wall clock and holds on to it.
    pub fn anchored_now() -> Self {
        // The wall clock is read between two readings of the monotonic one, and stands for the
        // moment half-way; a preemption in between would otherwise go into every time of the run.
        let before = Instant::now();
        let unix_ns = wall_unix_ns();
        let half = before.elapsed() / 2;
        Self {
            simulated: None,
            anchor: before + half,
            anchor_unix_ns: unix_ns,
        }
    }

    /// A clock that goes as `now` says, for tests: what is now in it is `unix_ns`.
    pub fn simulated(now: fn() -> Instant, unix_ns: i64) -> Self {
        Self {
            simulated: Some(now),
            anchor: now(),
            anchor_unix_ns: unix_ns,
        }
    }

    /// Whether it goes by something else than the system's time.
    pub fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// Now.
    pub fn now(&self) -> Instant {
        match self.simulated {
            None => Instant::now(),
            Some(now) => now(),
        }
    }

    /// Now, in Unix nanoseconds.
    pub fn now_ns(&self) -> i64 {
        self.unix_ns(self.now())
    }

    /// A moment in Unix nanoseconds.
    pub fn unix_ns(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.anchor) {
            Some(after) => self.anchor_unix_ns + nanos(after),
            None => self.anchor_unix_ns - nanos(self.anchor.duration_since(at)),
        }
    }

    /// The moment of a time in Unix nanoseconds. Times before the anchor give the anchor.
    pub fn instant(&self, unix_ns: i64) -> Instant {
        let after = u64::try_from(unix_ns - self.anchor_unix_ns).unwrap_or(0);
        self.anchor + Duration::from_nanos(after)
    }

    /// Wall clock minus this clock, in nanoseconds: what the wall clock was moved by since the
    /// anchor, by a step or by slewing. With simulated time there is no wall clock to be off.
    pub fn wall_offset_ns(&self) -> i64 {
        match self.simulated {
            None => wall_unix_ns() - self.now_ns(),
            Some(_) => 0,
        }
    }
}

fn wall_unix_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_way_to_unix_time_and_back() {
        let clock = Clock::anchored_now();
        let moment = Instant::now() + Duration::from_millis(1234);
        assert_eq!(clock.instant(clock.unix_ns(moment)), moment);
    }

    #[test]
    fn simulated_time_stands_still_and_has_no_wall_clock() {
        thread_local! {
            static ZERO: Instant = Instant::now();
        }
        let clock = Clock::simulated(|| ZERO.with(|zero| *zero), 5);
        assert_eq!((clock.now_ns(), clock.now_ns()), (5, 5));
        assert_eq!(clock.wall_offset_ns(), 0);
        assert!(clock.is_simulated() && !Clock::anchored_now().is_simulated());
    }

    #[test]
    fn moments_before_the_anchor_are_earlier() {
        let clock = Clock::anchored_now();
        let anchor = clock.anchor;
        if let Some(before) = anchor.checked_sub(Duration::from_secs(1)) {
            assert_eq!(clock.unix_ns(anchor) - clock.unix_ns(before), 1_000_000_000);
        }
    }
}

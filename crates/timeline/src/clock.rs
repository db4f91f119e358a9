//! One monotonic clock, anchored to the wall clock once, so that times in a run never jump.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time expressed in Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
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
            anchor: before + half,
            anchor_unix_ns: unix_ns,
        }
    }

    /// Now, in Unix nanoseconds.
    pub fn now_ns(&self) -> i64 {
        self.unix_ns(Instant::now())
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
    /// anchor, by a step or by slewing.
    pub fn wall_offset_ns(&self) -> i64 {
        wall_unix_ns() - self.now_ns()
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
    fn moments_before_the_anchor_are_earlier() {
        let clock = Clock::anchored_now();
        let anchor = clock.anchor;
        if let Some(before) = anchor.checked_sub(Duration::from_secs(1)) {
            assert_eq!(clock.unix_ns(anchor) - clock.unix_ns(before), 1_000_000_000);
        }
    }
}

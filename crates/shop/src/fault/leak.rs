//! Memory leak: each request leaves a block of memory behind. As in a runtime whose collector finds
//! everything still in use, each request also goes through all that was left. So the service gets
//! slower as it grows.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::dial::Dial;

/// What a request leaves behind at intensity 1, bytes.
const BLOCK: f64 = (256 << 10) as f64;
/// What is left behind at most, bytes: below 512 MiB in all services that it is possible in.
const MOST: usize = 64 << 20;
/// One byte in so many is read: one of each line of the processor's cache.
const STEP: usize = 64;

/// What was left behind.
#[derive(Debug, Default)]
pub(crate) struct Leak {
    size: Dial,
    left: Mutex<Vec<Vec<u8>>>,
}

impl Leak {
    /// Begins the leak, or changes its level (0 to 1).
    pub(crate) fn begin(&self, level: f64) {
        self.size.set(level);
    }

    /// Ends it and gives all memory back.
    pub(crate) fn end(&self) {
        self.size.set(0.0);
        std::mem::take(&mut *self.left());
    }

    /// What a request does to the memory, and the memory to the request.
    /// Says how long that took, where it did anything.
    pub(crate) fn strike(&self) -> Option<Duration> {
        let block = (BLOCK * self.size.level()) as usize;
        if block == 0 {
            return None;
        }
        let since = Instant::now();
        let mut left = self.left();
        if left.len() < MOST / block {
            // Not zeros: such pages would not be there until they are written to.
            left.push(vec![1; block]);
        }
        let lines = left.iter().flat_map(|block| block.iter().step_by(STEP));
        black_box(lines.fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
        Some(since.elapsed())
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_leaves_something_up_to_a_limit_and_the_end_gives_it_back() {
        let leak = Leak::default();
        let bytes = || leak.left().iter().map(Vec::len).sum::<usize>();
        leak.strike();
        assert_eq!(bytes(), 0);
        leak.begin(0.25);
        leak.strike();
        leak.strike();
        assert_eq!(bytes(), 128 << 10);
        leak.begin(1.0);
        for _ in 0..300 {
            leak.strike();
        }
        assert!(bytes() <= MOST, "{}", bytes());
        assert!(bytes() > MOST - (1 << 20), "{}", bytes());
        leak.end();
        leak.strike();
        assert_eq!(bytes(), 0);
    }
}

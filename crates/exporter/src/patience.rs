//! How long a receiver that says "later" is asked again (pure).

use std::time::Duration;

/// The first pause; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause, unless the receiver asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long to try to deliver one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// All pauses of a request together.
    pub limit: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(30),
        }
    }
}

impl Patience {
    pub(crate) fn pauses(self) -> Pauses {
        Pauses {
            left: self.limit,
            next: FIRST_PAUSE,
        }
    }
}

/// The pauses between attempts to deliver one request.
#[derive(Debug)]
pub(crate) struct Pauses {
    left: Duration,
    next: Duration,
}

impl Pauses {
    /// The next pause, as long as the receiver wishes if it wishes; none: it is time to give up.
    pub(crate) fn next(&mut self, wish: Option<Duration>) -> Option<Duration> {
        let pause = wish.unwrap_or(self.next);
        self.left = self.left.checked_sub(pause)?;
        self.next = (2 * self.next).min(LONGEST_PAUSE);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(limit_ms: u64, wishes: &[Option<u64>]) -> Vec<Option<u128>> {
        let limit = Duration::from_millis(limit_ms);
        let mut pauses = Patience { limit }.pauses();
        let pause = |wish: &Option<u64>| pauses.next(wish.map(Duration::from_millis));
        let pauses = wishes.iter().map(pause);
        pauses.map(|pause| Some(pause?.as_millis())).collect()
    }

    #[test]
    fn pauses_grow_to_a_longest_and_end_when_patience_does() {
        let pauses = millis(21_000, &[None; 10]);
        let expected = [200, 400, 800, 1600, 3200, 5000, 5000].map(Some);
        assert_eq!(pauses[..7], expected);
        assert_eq!(pauses[7], None);
        assert_eq!(millis(0, &[None]), [None]);
    }

    #[test]
    fn a_receivers_wish_counts_if_there_is_time_for_it() {
        assert_eq!(
            millis(10_000, &[Some(7000), None, Some(3000)]),
            [Some(7000), Some(400), None]
        );
    }
}

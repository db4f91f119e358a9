//! When each trace began: the start of its root, or of its earliest span where no root arrived.

use std::collections::HashMap;

use crate::telemetry::scalar::TraceId;

/// What one span says about the start of its trace.
///
/// Ordered so that the least of a trace's votes decides: roots come before other spans, and the
/// earlier before the later. It is a number with the flag in its highest bit, so that a trace
/// costs 24 bytes and not 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StartVote(u64);

impl StartVote {
    const NOT_ROOT: u64 = 1 << 63;

    /// `start_ns` is in Unix nanoseconds and not negative.
    pub(crate) fn new(is_root: bool, start_ns: i64) -> Self {
        let start = start_ns.max(0) as u64;
        Self(if is_root {
            start
        } else {
            start | Self::NOT_ROOT
        })
    }

    fn start_ns(self) -> i64 {
        (self.0 & !Self::NOT_ROOT) as i64
    }
}

/// The start of every trace. Spans may come in any order, from any number of files.
#[derive(Debug, Default)]
pub(crate) struct TraceStarts {
    // Two halves rather than a u128, whose alignment would cost another 8 bytes a trace.
    votes: HashMap<[u64; 2], StartVote>,
}

fn key(trace: TraceId) -> [u64; 2] {
    [(trace.0 >> 64) as u64, trace.0 as u64]
}

impl TraceStarts {
    /// Takes a span into account.
    pub(crate) fn observe(&mut self, trace: TraceId, vote: StartVote) {
        self.votes
            .entry(key(trace))
            .and_modify(|held| *held = (*held).min(vote))
            .or_insert(vote);
    }

    /// When a trace began, in Unix nanoseconds; none for a trace that was not seen.
    pub(crate) fn start_ns(&self, trace: TraceId) -> Option<i64> {
        self.votes.get(&key(trace)).map(|vote| vote.start_ns())
    }

    /// Number of traces.
    pub(crate) fn len(&self) -> usize {
        self.votes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: TraceId = TraceId(7);

    fn start(votes: &[(bool, i64)]) -> Option<i64> {
        let mut starts = TraceStarts::default();
        for &(is_root, start_ns) in votes {
            starts.observe(TRACE, StartVote::new(is_root, start_ns));
        }
        starts.start_ns(TRACE)
    }

    #[test]
    fn the_root_decides_even_when_a_child_is_earlier() {
        assert_eq!(start(&[(false, 5), (true, 10), (false, 3)]), Some(10));
    }

    #[test]
    fn the_earliest_of_several_roots_decides() {
        assert_eq!(start(&[(true, 12), (true, 10)]), Some(10));
    }

    #[test]
    fn without_a_root_the_earliest_span_decides() {
        assert_eq!(start(&[(false, 5), (false, 3)]), Some(3));
        assert_eq!(start(&[]), None);
    }

    proptest! {
        #[test]
        fn the_order_of_spans_does_not_matter(
            votes in prop::collection::vec((any::<bool>(), 0i64..i64::MAX), 1..20),
            turn in 0usize..20,
        ) {
            let mut turned = votes.clone();
            turned.rotate_left(turn % votes.len());
            turned.reverse();
            prop_assert_eq!(start(&votes), start(&turned));
        }
    }
}

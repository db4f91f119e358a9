//! The seconds of a run: the grid that tables over time have rows on.

use loadgen_timeline::condition::TimeSpan;

/// A second, in nanoseconds.
pub(crate) const SECOND_NS: i64 = 1_000_000_000;

/// Seconds of the longest bucket: the grid begins and ends on whole ones, so that none is cut.
pub(crate) const LONGEST_S: i64 = 5;

/// Whole seconds of Unix time that cover a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    run: TimeSpan,
    first_s: i64,
    seconds: usize,
}

impl Grid {
    /// Over the time of a run, in Unix nanoseconds; none: there are no seconds.
    pub(crate) fn new(run: Option<TimeSpan>) -> Self {
        let run = run.unwrap_or((0, 0));
        let longest_ns = LONGEST_S * SECOND_NS;
        let first = run.0.div_euclid(longest_ns);
        let end = run.1.saturating_add(longest_ns - 1).div_euclid(longest_ns);
        let length = if run.0 < run.1 { end - first } else { 0 };
        Self {
            run,
            first_s: first * LONGEST_S,
            seconds: (length * LONGEST_S).max(0) as usize,
        }
    }

    /// How many seconds there are.
    pub(crate) fn len(&self) -> usize {
        self.seconds
    }

    /// The second that a moment lies in, by its place; none: outside.
    pub(crate) fn second(&self, at_ns: i64) -> Option<usize> {
        let second = at_ns.div_euclid(SECOND_NS) - self.first_s;
        let second = usize::try_from(second).ok()?;
        (second < self.seconds).then_some(second)
    }

    /// When a second begins, in Unix nanoseconds.
    pub(crate) fn start_ns(&self, second: usize) -> i64 {
        (self.first_s + second as i64) * SECOND_NS
    }

    /// The part of a time that the grid covers, in nanoseconds since its beginning.
    pub(crate) fn within(&self, (from, to): TimeSpan) -> (i64, i64) {
        let begin = self.first_s * SECOND_NS;
        let length = self.seconds as i64 * SECOND_NS;
        let since = |at: i64| at.saturating_sub(begin).clamp(0, length);
        (since(from), since(to))
    }

    /// Whether any of the run lies in so many seconds from `second` on.
    pub(crate) fn meets_run(&self, second: usize, seconds: usize) -> bool {
        let start = self.start_ns(second);
        start < self.run.1 && self.run.0 < start + seconds as i64 * SECOND_NS
    }

    /// Into how many slices of about the same length the grid can be cut; at most `most`.
    pub(crate) fn slices(&self, most: usize) -> usize {
        (self.seconds / LONGEST_S as usize).min(most).max(1)
    }

    /// The slice of `slices` that a second lies in. A bucket is in one slice as a whole.
    pub(crate) fn slice_of(&self, second: usize, slices: usize) -> usize {
        let longest = LONGEST_S as usize;
        let buckets = (self.seconds / longest).max(1);
        (second / longest * slices / buckets).min(slices.saturating_sub(1))
    }

    /// The seconds of a slice.
    pub(crate) fn slice(&self, slice: usize, slices: usize) -> std::ops::Range<usize> {
        let longest = LONGEST_S as usize;
        let buckets = self.seconds / longest;
        // The first bucket of a slice is the first whose product reaches it.
        let edge = |slice: usize| (slice * buckets).div_ceil(slices.max(1)) * longest;
        edge(slice)..edge(slice + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grid_covers_the_run_with_whole_buckets() {
        let grid = Grid::new(Some((12 * SECOND_NS + 1, 17 * SECOND_NS)));
        assert_eq!((grid.start_ns(0), grid.len()), (10 * SECOND_NS, 10));
        assert_eq!(grid.second(10 * SECOND_NS - 1), None);
        assert_eq!(grid.second(12 * SECOND_NS), Some(2));
        assert_eq!(grid.second(20 * SECOND_NS), None);
        let met: Vec<usize> = (0..10).filter(|s| grid.meets_run(*s, 1)).collect();
        assert_eq!(met, [2, 3, 4, 5, 6]);
        assert!(grid.meets_run(5, 5));
        assert_eq!(grid.within((0, i64::MAX)), (0, 10 * SECOND_NS));
        assert_eq!(Grid::new(None).len(), 0);
        assert_eq!(Grid::new(None).second(0), None);
        let whole = Grid::new(Some((5 * SECOND_NS, 10 * SECOND_NS)));
        assert_eq!((whole.start_ns(0), whole.len()), (5 * SECOND_NS, 5));
    }

    proptest! {
        #[test]
        fn slices_follow_each_other_and_cut_no_bucket(run in 1i64..3000, most in 1usize..40) {
            let grid = Grid::new(Some((7 * SECOND_NS, (7 + run) * SECOND_NS)));
            let slices = grid.slices(most);
            let mut next = 0;
            for slice in 0..slices {
                let seconds = grid.slice(slice, slices);
                prop_assert_eq!(seconds.start, next);
                prop_assert_eq!(seconds.len() % LONGEST_S as usize, 0);
                next = seconds.end;
                for second in seconds {
                    prop_assert_eq!(grid.slice_of(second, slices), slice);
                }
            }
            prop_assert_eq!(next, grid.len());
        }
    }
}

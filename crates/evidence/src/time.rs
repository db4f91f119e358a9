//! Time: intervals, the stretches that a run is cut into, and the bins in which is counted. All
//! times are Unix nanoseconds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A second, in nanoseconds.
pub const SECOND_NS: i64 = 1_000_000_000;

/// A half-open interval: `from_ns` belongs to it, `to_ns` does not.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Interval {
    /// First nanosecond, Unix ns.
    pub from_ns: i64,
    /// First nanosecond after it, Unix ns.
    pub to_ns: i64,
}

impl Interval {
    /// The interval between two moments. Empty where the second is not after the first.
    pub fn new(from_ns: i64, to_ns: i64) -> Self {
        Self { from_ns, to_ns }
    }

    /// Its length in nanoseconds, 0 where it is empty.
    pub fn length_ns(self) -> i64 {
        self.to_ns.saturating_sub(self.from_ns).max(0)
    }

    /// Whether a moment belongs to it.
    pub fn contains(self, at_ns: i64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }

    /// Whether no moment belongs to it.
    pub fn is_empty(self) -> bool {
        self.to_ns <= self.from_ns
    }

    fn without(self, other: Self) -> [Self; 2] {
        [
            Self::new(self.from_ns, self.to_ns.min(other.from_ns)),
            Self::new(self.from_ns.max(other.to_ns), self.to_ns),
        ]
    }
}

/// Whether a moment belongs to one of them.
pub(crate) fn any_contains(intervals: &[Interval], at_ns: i64) -> bool {
    intervals.iter().any(|interval| interval.contains(at_ns))
}

/// Sum of lengths, ns. Intervals that overlap count twice.
pub(crate) fn total_ns(intervals: &[Interval]) -> i64 {
    intervals.iter().map(|interval| interval.length_ns()).sum()
}

/// What is left of `intervals` without `others`: sorted, no empty ones.
pub(crate) fn difference(intervals: &[Interval], others: &[Interval]) -> Vec<Interval> {
    let mut left: Vec<Interval> = intervals.to_vec();
    for other in others.iter().filter(|other| !other.is_empty()) {
        left = left.iter().flat_map(|one| one.without(*other)).collect();
    }
    left.retain(|interval| !interval.is_empty());
    left.sort_unstable();
    left
}

/// The stretches that a run's time is cut into. A cut belongs at each moment at which the condition
/// of the system may change: where a window opens or closes, and where a fault's change is
/// confirmed. Within a stretch observations are sampled; which of them are steady is asked only
/// later, so the cuts need not know. More cuts than needed cost memory and are harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretches {
    cuts: Vec<i64>,
}

impl Stretches {
    /// The stretches between neighbouring cuts. The first cut is the run's begin, the last its end;
    /// what lies outside is in no stretch.
    pub fn new(cuts: impl IntoIterator<Item = i64>) -> Self {
        let mut cuts: Vec<i64> = cuts.into_iter().collect();
        cuts.sort_unstable();
        cuts.dedup();
        Self { cuts }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cuts.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stretch that a moment lies in.
    pub fn index(&self, at_ns: i64) -> Option<usize> {
        let cuts_before = self.cuts.partition_point(|cut| *cut <= at_ns);
        cuts_before
            .checked_sub(1)
            .filter(|index| *index < self.len())
    }

    /// The stretch of this number.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn interval(&self, index: usize) -> Interval {
        Interval::new(self.cuts[index], self.cuts[index + 1])
    }

    /// All of them as one interval.
    pub fn whole(&self) -> Interval {
        match (self.cuts.first(), self.cuts.last()) {
            (Some(from_ns), Some(to_ns)) => Interval::new(*from_ns, *to_ns),
            _ => Interval::new(0, 0),
        }
    }
}

/// Equal bins over a run, in which is counted exactly. At most [`Bins::MOST`], however long the
/// run, so that counts stay small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bins {
    from_ns: i64,
    to_ns: i64,
    width_ns: i64,
}

impl Bins {
    /// Most bins of a run. Runs up to 1,000 s have bins of 100 ms.
    pub(crate) const MOST: i64 = 10_000;

    /// Bins over `whole` of a multiple of `finest_ns`.
    pub(crate) fn new(whole: Interval, finest_ns: i64) -> Self {
        let finest_that_fits = whole.length_ns() / Self::MOST + 1;
        let multiple = finest_that_fits / finest_ns + i64::from(finest_that_fits % finest_ns > 0);
        Self {
            from_ns: whole.from_ns,
            to_ns: whole.to_ns,
            width_ns: multiple.max(1) * finest_ns,
        }
    }

    pub(crate) fn index(self, at_ns: i64) -> Option<usize> {
        Interval::new(self.from_ns, self.to_ns)
            .contains(at_ns)
            .then(|| ((at_ns - self.from_ns) / self.width_ns) as usize)
    }

    /// The sum of `counts` over an interval; of bins that it covers in part, their share.
    pub(crate) fn sum(self, counts: &[u32], interval: Interval) -> f64 {
        let (Some(first), false) = (
            self.index(interval.from_ns.max(self.from_ns)),
            interval.is_empty(),
        ) else {
            return 0.0;
        };
        let mut sum = 0.0;
        for (index, count) in counts.iter().enumerate().skip(first) {
            let bin_from = self.from_ns + index as i64 * self.width_ns;
            if bin_from >= interval.to_ns {
                break;
            }
            let from = bin_from.max(interval.from_ns);
            let to = (bin_from + self.width_ns).min(interval.to_ns);
            sum += f64::from(*count) * (to - from) as f64 / self.width_ns as f64;
        }
        sum
    }

    /// The sum over several intervals.
    pub(crate) fn sum_over(self, counts: &[u32], intervals: &[Interval]) -> f64 {
        intervals
            .iter()
            .map(|interval| self.sum(counts, *interval))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(from: i64, to: i64) -> Interval {
        Interval::new(from, to)
    }

    #[test]
    fn a_moment_on_a_cut_belongs_to_the_stretch_that_it_begins() {
        let stretches = Stretches::new([30, 10, 20, 10]);
        assert_eq!(stretches.len(), 2);
        let found: Vec<_> = [9, 10, 19, 20, 29, 30]
            .map(|at| stretches.index(at))
            .to_vec();
        assert_eq!(found, [None, Some(0), Some(0), Some(1), Some(1), None]);
        assert_eq!(Stretches::new([5]).index(5), None);
        assert_eq!(Stretches::new([]).index(5), None);
    }

    #[test]
    fn what_is_taken_out_of_intervals_is_gone() {
        let all = [interval(0, 10), interval(20, 30)];
        assert_eq!(difference(&all, &[]), all);
        assert_eq!(
            difference(&all, &[interval(4, 6), interval(25, 99), interval(7, 7)]),
            [interval(0, 4), interval(6, 10), interval(20, 25)]
        );
        assert_eq!(difference(&all, &[interval(-5, 50)]), []);
    }

    #[test]
    fn bins_count_parts_of_themselves_at_the_edges() {
        let bins = Bins::new(interval(0, 1_000), 100);
        let mut counts = vec![0; 10];
        counts[2] = 10;
        counts[3] = 20;
        assert_eq!(bins.sum(&counts, interval(200, 400)), 30.0);
        assert_eq!(bins.sum(&counts, interval(250, 325)), 10.0);
        assert_eq!(bins.sum(&counts, interval(-50, 250)), 5.0);
        assert_eq!(bins.sum(&counts, interval(400, 300)), 0.0);
        assert_eq!(bins.index(1_000), None);
    }

    #[test]
    fn a_long_run_has_no_more_bins_than_a_short_one() {
        let day = interval(0, 86_400 * SECOND_NS);
        let bins = Bins::new(day, SECOND_NS / 10);
        let last = bins.index(day.to_ns - 1).unwrap() as i64;
        assert!(last < Bins::MOST, "{last}");
        assert_eq!(bins.width_ns % (SECOND_NS / 10), 0);
    }
}

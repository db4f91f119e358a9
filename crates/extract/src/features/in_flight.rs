//! How many spans were open, as the time that they were open in each second.

use super::grid::{Grid, SECOND_NS};

/// Time that spans of one service were open, second by second.
///
/// A span costs the same however long it is: the seconds that it covers as a whole are kept as a
/// difference between neighbours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// By second: nanoseconds of spans that cover it in part.
    parts_ns: Vec<i64>,
    /// By second: how many more spans cover it as a whole than the second before it.
    whole: Vec<i32>,
}

impl InFlight {
    /// Adds a span that was open from `start` to `end`, in Unix nanoseconds.
    pub(crate) fn add(&mut self, grid: &Grid, start: i64, end: i64) {
        let (from, to) = grid.within((start, end));
        if from >= to {
            return;
        }
        self.parts_ns.resize(grid.len(), 0);
        self.whole.resize(grid.len() + 1, 0);
        let (first, last) = ((from / SECOND_NS) as usize, (to / SECOND_NS) as usize);
        if first == last {
            self.parts_ns[first] += to - from;
            return;
        }
        let ends_at = |second: usize| (second as i64 + 1) * SECOND_NS;
        self.parts_ns[first] += ends_at(first) - from;
        self.whole[first + 1] += 1;
        self.whole[last] -= 1;
        if let Some(part) = self.parts_ns.get_mut(last) {
            *part += to - last as i64 * SECOND_NS;
        }
    }

    /// Adds what was open of another part of the same run.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.parts_ns
            .resize(self.parts_ns.len().max(other.parts_ns.len()), 0);
        self.whole
            .resize(self.whole.len().max(other.whole.len()), 0);
        for (sum, of) in self.parts_ns.iter_mut().zip(&other.parts_ns) {
            *sum += of;
        }
        for (sum, of) in self.whole.iter_mut().zip(&other.whole) {
            *sum += of;
        }
    }

    /// Nanoseconds that spans were open in each second, all spans together.
    pub(crate) fn open_ns(&self) -> Vec<i64> {
        let mut covering = 0i64;
        let seconds = self.parts_ns.iter().zip(&self.whole);
        seconds
            .map(|(part, whole)| {
                covering += i64::from(*whole);
                part + covering * SECOND_NS
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid() -> Grid {
        Grid::new(Some((0, 20 * SECOND_NS)))
    }

    #[test]
    fn a_span_counts_by_the_time_that_it_was_open() {
        let mut open = InFlight::default();
        // Half a second in one bucket; then from the middle of one, over two, to a second's edge.
        open.add(&grid(), SECOND_NS / 4, 3 * SECOND_NS / 4);
        open.add(&grid(), 5 * SECOND_NS / 2, 5 * SECOND_NS);
        // What lies outside counts as far as it lies inside.
        open.add(&grid(), 19 * SECOND_NS, 1000 * SECOND_NS);
        open.add(&grid(), -5 * SECOND_NS, -SECOND_NS);
        let half = SECOND_NS / 2;
        let ns = open.open_ns();
        assert_eq!(ns[..6], [half, 0, half, SECOND_NS, SECOND_NS, 0]);
        assert_eq!(ns[18..], [0, SECOND_NS]);
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_overlaps_however_it_is_split(
            spans in prop::collection::vec((0i64..20_000, 0i64..9_000), 0..30),
            split in 0usize..30,
        ) {
            let ms = 1_000_000;
            let grid = grid();
            let mut parts = [InFlight::default(), InFlight::default()];
            for (index, (start, length)) in spans.iter().enumerate() {
                let part = &mut parts[usize::from(index < split)];
                part.add(&grid, start * ms, (start + length) * ms);
            }
            let [mut all, other] = parts;
            all.merge(&other);
            let found = all.open_ns();
            for second in 0..grid.len() {
                let (from, to) = (second as i64 * 1000, (second as i64 + 1) * 1000);
                let overlap = |(start, length): &(i64, i64)| {
                    ((start + length).min(to) - *start.max(&from)).max(0)
                };
                let expected: i64 = spans.iter().map(overlap).sum();
                prop_assert_eq!(found.get(second).copied().unwrap_or(0), expected * ms);
            }
        }
    }
}

//! Time cut into blocks. What happens in one moment is like what happens in the next, so requests
//! are not independent; blocks of a second and more nearly are. Permutations exchange whole blocks.

use crate::thresholds::Thresholds;
use crate::time::{Interval, SECOND_NS, total_ns};

/// Blocks of the longer side: more of them cost memory and tell nothing more.
const MOST_BLOCKS: f64 = 10_000.0;

/// Which side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// The window.
    Window,
    /// Normal time.
    Reference,
}

/// The steady time of both sides, in blocks. The window's come first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Blocks {
    /// Length that was aimed at, ns.
    length_ns: f64,
    window: Vec<(Interval, usize)>,
    reference: Vec<(Interval, usize)>,
    in_window: usize,
    in_reference: usize,
}

impl Blocks {
    /// Cuts both sides into blocks of one length: a tenth of the shorter side, and at least a
    /// second. Where that would leave fewer than six, a sixth, and at least half a second.
    pub(crate) fn new(window: &[Interval], reference: &[Interval], limits: &Thresholds) -> Self {
        let second = SECOND_NS as f64;
        let shorter = total_ns(window).min(total_ns(reference)) as f64;
        let is_long = shorter >= limits.short_blocks as f64 * limits.block_s * second;
        let (parts, least_s) = match is_long {
            true => (limits.blocks, limits.block_s),
            false => (limits.short_blocks, limits.shortest_block_s),
        };
        let longer = total_ns(window).max(total_ns(reference)) as f64;
        let length_ns = (shorter / parts as f64).max(least_s * second);
        let length_ns = length_ns.max(longer / MOST_BLOCKS);
        let (window, in_window) = cut(window, length_ns, 0);
        let (reference, end) = cut(reference, length_ns, in_window);
        Self {
            length_ns,
            window,
            reference,
            in_window,
            in_reference: end - in_window,
        }
    }

    /// How many blocks a side has.
    pub(crate) fn count(&self, side: At) -> usize {
        match side {
            At::Window => self.in_window,
            At::Reference => self.in_reference,
        }
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.in_window + self.in_reference
    }

    /// Length of a block, seconds.
    pub(crate) fn length_s(&self) -> f64 {
        self.length_ns / SECOND_NS as f64
    }

    /// The time of a block (of one with crumbs, of one of its parts); none: there is no such block.
    pub(crate) fn interval(&self, block: usize) -> Option<Interval> {
        let mut parts = self.window.iter().chain(&self.reference);
        parts
            .find(|(_, number)| *number == block)
            .map(|(part, _)| *part)
    }

    /// The block of a moment on one side; none: that side does not have the moment.
    pub(crate) fn block(&self, side: At, at_ns: i64) -> Option<usize> {
        let parts = match side {
            At::Window => &self.window,
            At::Reference => &self.reference,
        };
        let after = parts.partition_point(|(part, _)| part.from_ns <= at_ns);
        let (part, block) = parts.get(after.checked_sub(1)?)?;
        part.contains(at_ns).then_some(*block)
    }
}

/// The parts of sorted intervals with the number of their block, counted from `first`, and the
/// number after the last. An interval too short to be a block belongs to the one before it, or
/// after it.
fn cut(intervals: &[Interval], length_ns: f64, first: usize) -> (Vec<(Interval, usize)>, usize) {
    let mut parts = Vec::new();
    let mut next = first;
    for interval in intervals.iter().filter(|interval| !interval.is_empty()) {
        let length = interval.length_ns();
        let count = (length as f64 / length_ns).round() as i64;
        if count == 0 {
            parts.push((*interval, next.saturating_sub(1).max(first)));
            continue;
        }
        let edge = |part: i64| {
            interval.from_ns + (i128::from(length) * i128::from(part) / i128::from(count)) as i64
        };
        for part in 0..count {
            parts.push((Interval::new(edge(part), edge(part + 1)), next));
            next += 1;
        }
    }
    // Only intervals that are too short: one block all the same.
    if next == first && !parts.is_empty() {
        next += 1;
    }
    (parts, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pairs: &[(f64, f64)]) -> Vec<Interval> {
        let ns = |s: f64| (s * 1e9) as i64;
        pairs
            .iter()
            .map(|(from, to)| Interval::new(ns(*from), ns(*to)))
            .collect()
    }

    fn counts(window: &[(f64, f64)], reference: &[(f64, f64)]) -> (usize, usize, f64) {
        let blocks = Blocks::new(
            &seconds(window),
            &seconds(reference),
            &Thresholds::default(),
        );
        let length = (blocks.length_s() * 1e3).round() / 1e3;
        (
            blocks.count(At::Window),
            blocks.count(At::Reference),
            length,
        )
    }

    #[test]
    fn there_are_ten_blocks_a_side_and_none_is_shorter_than_a_second() {
        assert_eq!(counts(&[(0.0, 110.0)], &[(200.0, 310.0)]), (10, 10, 11.0));
        assert_eq!(counts(&[(0.0, 11.4)], &[(20.0, 31.3)]), (10, 10, 1.13));
        assert_eq!(counts(&[(0.0, 11.4)], &[(20.0, 134.0)]), (10, 100, 1.14));
        assert_eq!(counts(&[(0.0, 8.4)], &[(20.0, 31.4)]), (8, 11, 1.0));
    }

    #[test]
    fn short_time_has_six_blocks() {
        assert_eq!(counts(&[(0.0, 5.7)], &[(20.0, 31.4)]), (6, 12, 0.95));
        assert_eq!(counts(&[(0.0, 2.0)], &[(20.0, 31.4)]), (4, 23, 0.5));
        assert_eq!(counts(&[], &[(20.0, 31.4)]).0, 0);
    }

    #[test]
    fn a_crumb_of_time_joins_its_neighbour() {
        let window = seconds(&[(0.0, 0.2), (1.0, 12.0), (13.0, 13.3)]);
        let blocks = Blocks::new(&window, &seconds(&[(20.0, 31.0)]), &Thresholds::default());
        assert_eq!(blocks.count(At::Window), 10);
        assert_eq!(blocks.block(At::Window, 100_000_000), Some(0));
        assert_eq!(blocks.block(At::Window, 13_100_000_000), Some(9));
        assert_eq!(blocks.block(At::Window, 500_000_000), None);
        assert_eq!(blocks.block(At::Reference, 20_000_000_000), Some(10));
        assert_eq!(blocks.block(At::Reference, 31_000_000_000), None);
    }
}

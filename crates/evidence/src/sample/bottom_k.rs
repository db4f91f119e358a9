//! A sample of bounded size that does not depend on the order in which things came: of all that was
//! offered, the k with the smallest hashes (bottom-k; Cohen and Kaplan 2007). Two samples merge to
//! the sample of both inputs.

use serde::{Deserialize, Serialize};

/// What can be in a sample. The order begins with the hash.
pub(crate) trait Observed: Ord + Clone {
    /// Hash of its trace.
    fn trace(&self) -> u64;
    /// When the trace's request was sent, Unix ns.
    fn moment_ns(&self) -> i64;
}

/// The k smallest of what was offered.
#[derive(Debug, Clone)]
pub(crate) struct BottomK<T> {
    k: usize,
    items: Vec<T>,
    /// The largest that can still be among the k smallest; none: anything can.
    limit: Option<T>,
}

impl<T: Observed> BottomK<T> {
    pub(crate) fn new(k: usize) -> Self {
        Self {
            k,
            items: Vec::new(),
            limit: None,
        }
    }

    pub(crate) fn offer(&mut self, item: T) {
        if self.limit.as_ref().is_some_and(|limit| item >= *limit) {
            return;
        }
        self.items.push(item);
        if self.items.len() > self.k + self.k / 4 {
            self.items.select_nth_unstable(self.k - 1);
            self.items.truncate(self.k);
            self.limit = self.items.iter().max().cloned();
        }
    }

    /// The k smallest, in order.
    pub(crate) fn into_sorted(mut self) -> Vec<T> {
        self.items.sort_unstable();
        self.items.truncate(self.k);
        self.items
    }
}

/// What is kept of one key's observations in one stretch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept<T> {
    /// How many there were.
    pub(crate) seen: u64,
    /// A sample of all of them, in order.
    pub(crate) whole: Vec<T>,
    /// A sample of those sent soon after the stretch began, in order. Empty where `whole` has them
    /// all.
    pub(crate) start: Vec<T>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            seen: 0,
            whole: Vec::new(),
            start: Vec::new(),
        }
    }
}

impl<T: Observed> Kept<T> {
    /// Hashes below this are in the sample if there was such a trace; none: all are in it.
    pub(crate) fn complete_below(&self) -> Option<u64> {
        let is_cut = (self.whole.len() as u64) < self.seen;
        self.whole.last().filter(|_| is_cut).map(Observed::trace)
    }

    pub(crate) fn merge(&mut self, other: Self, k: usize) {
        self.seen += other.seen;
        self.whole = smallest(std::mem::take(&mut self.whole), other.whole, k);
        self.start = smallest(std::mem::take(&mut self.start), other.start, k);
    }
}

fn smallest<T: Observed>(a: Vec<T>, b: Vec<T>, k: usize) -> Vec<T> {
    let mut both = a;
    both.extend(b);
    both.sort_unstable();
    both.truncate(k);
    both
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Observed for (u64, i64) {
        fn trace(&self) -> u64 {
            self.0
        }

        fn moment_ns(&self) -> i64 {
            self.1
        }
    }

    proptest! {
        #[test]
        fn the_smallest_are_kept_whatever_the_order(
            items in prop::collection::vec((0..50_u64, 0..9_i64), 0..200),
            k in 1..20_usize,
        ) {
            let mut sample = BottomK::new(k);
            for item in &items {
                sample.offer(*item);
            }
            let mut expected = items.clone();
            expected.sort_unstable();
            expected.truncate(k);
            prop_assert_eq!(sample.into_sorted(), expected);
        }
    }
}

//! Puts what comes nearly in the order of its times into that order (pure).
//!
//! A ledger has its requests in the order in which they ended. What is kept is no more than what was
//! under way at one time.

use std::collections::BTreeMap;

/// Things that wait for their turn.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    /// By time and by number, so that of one time the first to come is the first to go.
    waiting: BTreeMap<(i64, u64), T>,
    number: u64,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            number: 0,
        }
    }
}

impl<T> InOrder<T> {
    /// Takes one with its time.
    pub(super) fn push(&mut self, at: i64, thing: T) {
        self.waiting.insert((at, self.number), thing);
        self.number += 1;
    }

    /// Gives those before a time, in their order. Nothing that is earlier may come afterwards.
    pub(super) fn before(&mut self, at: i64) -> impl Iterator<Item = T> + use<T> {
        let later = self.waiting.split_off(&(at, 0));
        std::mem::replace(&mut self.waiting, later).into_values()
    }

    /// Gives all that are left, in their order.
    pub(super) fn rest(self) -> impl Iterator<Item = T> {
        self.waiting.into_values()
    }
}

/// Of each of several lists the least time of all lists behind it, given the least of each.
pub(super) fn least_behind(least: &[i64]) -> Vec<i64> {
    let mut behind = vec![i64::MAX; least.len()];
    for list in (1..least.len()).rev() {
        behind[list - 1] = behind[list].min(least[list]);
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lists in order, and the most that waited at once.
    fn sorted(lists: &[Vec<i64>]) -> (Vec<(i64, usize)>, usize) {
        let least: Vec<i64> = lists
            .iter()
            .map(|list| list.iter().copied().min().unwrap_or(i64::MAX))
            .collect();
        let (mut out, mut most, mut number) = (Vec::new(), 0, 0);
        let mut in_order = InOrder::default();
        for (list, behind) in lists.iter().zip(least_behind(&least)) {
            for &at in list {
                in_order.push(at, (at, number));
                number += 1;
            }
            most = most.max(in_order.waiting.len());
            out.extend(in_order.before(behind));
        }
        out.extend(in_order.rest());
        (out, most)
    }

    #[test]
    fn no_more_waits_than_what_is_out_of_order() {
        let lists = [vec![2, 1], vec![4, 3], vec![6, 5], vec![0]];
        assert_eq!(sorted(&lists[..3]).1, 2);
        assert_eq!(sorted(&lists).1, 7);
        assert!(least_behind(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn all_come_out_in_the_order_of_their_times_and_of_coming(
            lists in prop::collection::vec(prop::collection::vec(-5i64..20, 0..6), 0..8),
        ) {
            let mut expected: Vec<(i64, usize)> = lists.concat().into_iter().zip(0..).collect();
            expected.sort();
            prop_assert_eq!(sorted(&lists).0, expected);
        }
    }
}

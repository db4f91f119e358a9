//! Several sequences that are nearly in the order of their times, as one that is (pure).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Hands on the items of several sequences in the order of their times; at the same time in the order
/// of the sequences. As the times are known beforehand, an item is held back only while an earlier one
/// is still to come.
#[derive(Debug)]
pub struct Ordered<S: Iterator> {
    sequences: Vec<Sequence<S>>,
    held: BinaryHeap<Reverse<Held<S::Item>>>,
}

#[derive(Debug)]
struct Sequence<S> {
    items: S,
    times: Vec<i64>,
    /// The earliest time of an item and all behind it.
    earliest: Vec<i64>,
    /// Items that were taken.
    taken: usize,
}

#[derive(Debug)]
struct Held<T> {
    /// Time, sequence, position.
    key: (i64, usize, usize),
    item: T,
}

impl<S: Iterator> Ordered<S> {
    /// Of sequences with the times of their items. A sequence that ends before its times is taken as
    /// it is, and so is one that goes on: with the last time.
    pub fn new(sequences: impl IntoIterator<Item = (Vec<i64>, S)>) -> Self {
        let sequence = |(times, items): (Vec<i64>, S)| {
            let mut earliest = times.clone();
            for index in (1..earliest.len()).rev() {
                earliest[index - 1] = earliest[index - 1].min(earliest[index]);
            }
            Sequence {
                items,
                times,
                earliest,
                taken: 0,
            }
        };
        Self {
            sequences: sequences.into_iter().map(sequence).collect(),
            held: BinaryHeap::new(),
        }
    }
}

impl<S: Iterator> Iterator for Ordered<S> {
    type Item = (i64, S::Item);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // The earliest that is still to come.
            let next = self.sequences.iter().enumerate();
            let next = next.filter_map(|(index, s)| Some((*s.earliest.get(s.taken)?, index)));
            let next = next.min();
            let held = self.held.peek().map(|Reverse(held)| held.key);
            let index = match (held, next) {
                (None, None) => return None,
                (Some((at_ns, ..)), Some((to_come_ns, index))) if at_ns > to_come_ns => index,
                (None, Some((_, index))) => index,
                (Some(_), _) => {
                    let Reverse(held) = self.held.pop()?;
                    return Some((held.key.0, held.item));
                }
            };
            let sequence = &mut self.sequences[index];
            let Some(item) = sequence.items.next() else {
                sequence.taken = sequence.times.len();
                continue;
            };
            let key = (sequence.times[sequence.taken], index, sequence.taken);
            sequence.taken += 1;
            self.held.push(Reverse(Held { key, item }));
        }
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(sequences: &[Vec<i64>]) -> Ordered<std::vec::IntoIter<usize>> {
        let number = |times: &Vec<i64>| (0..times.len()).collect::<Vec<_>>().into_iter();
        Ordered::new(sequences.iter().map(|times| (times.clone(), number(times))))
    }

    #[test]
    fn an_item_is_held_back_only_while_an_earlier_one_is_to_come() {
        let mut ordered = ordered(&[vec![3, 1, 4, 5], vec![9, 9]]);
        assert_eq!(ordered.next(), Some((1, 1)));
        let taken: Vec<usize> = ordered.sequences.iter().map(|s| s.taken).collect();
        assert_eq!((taken, ordered.held.len()), (vec![2, 0], 1));
        let rest: Vec<i64> = ordered.map(|(at, _)| at).collect();
        assert_eq!(rest, [3, 4, 5, 9, 9]);
    }

    proptest! {
        #[test]
        fn all_items_come_in_the_order_of_their_times(
            sequences in prop::collection::vec(prop::collection::vec(0..50i64, 0..20), 0..4),
        ) {
            let mut expected: Vec<i64> = sequences.iter().flatten().copied().collect();
            expected.sort_unstable();
            let times: Vec<i64> = ordered(&sequences).map(|(at, _)| at).collect();
            prop_assert_eq!(times, expected);
        }
    }
}

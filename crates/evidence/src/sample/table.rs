//! Keys that come in without end, in a table of bounded size: of all keys those with the smallest
//! hashes are kept. Which they are depends on nothing but the set of keys, so tables of parts merge
//! to the table of the whole, and what is kept of a key is all there was of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::hash::name_hash;
use super::observation::{Edge, Operation, Series};

/// What can be a key.
pub(crate) trait Key: Clone + Eq + Hash + Ord {
    /// A fixed hash that decides which keys stay.
    fn fixed_hash(&self) -> u64;
}

impl Key for String {
    fn fixed_hash(&self) -> u64 {
        name_hash(&[self])
    }
}

impl Key for Operation {
    fn fixed_hash(&self) -> u64 {
        name_hash(&[&self.name, &format!("{:?}", self.kind)])
    }
}

impl Key for Edge {
    fn fixed_hash(&self) -> u64 {
        name_hash(&[&self.caller, &self.callee])
    }
}

impl Key for Series {
    fn fixed_hash(&self) -> u64 {
        name_hash(&[&self.service, &self.metric, &self.unit, &self.attributes])
    }
}

/// A table while it is filled.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    most: usize,
    numbers: HashMap<K, u32>,
    by_hash: BTreeMap<(u64, K), u32>,
    values: Vec<Option<V>>,
}

impl<K: Key, V: Default> Table<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            numbers: HashMap::new(),
            by_hash: BTreeMap::new(),
            values: Vec::new(),
        }
    }

    /// The number of a key, which stays the same; none: it is not among those that are kept.
    pub(crate) fn number(&mut self, key: K) -> Option<u32> {
        if let Some(number) = self.numbers.get(&key) {
            return Some(*number);
        }
        let place = (key.fixed_hash(), key);
        if self.by_hash.len() >= self.most {
            let last = self
                .by_hash
                .last_entry()
                .filter(|last| *last.key() > place)?;
            let (_, evicted) = last.key().clone();
            let number = last.remove();
            self.numbers.remove(&evicted);
            self.values[number as usize] = None;
        }
        let number = self.values.len() as u32;
        self.values.push(Some(V::default()));
        self.numbers.insert(place.1.clone(), number);
        self.by_hash.insert(place, number);
        Some(number)
    }

    /// The value of a key; none: the key is not kept any more.
    pub(crate) fn value(&mut self, number: u32) -> Option<&mut V> {
        self.values.get_mut(number as usize)?.as_mut()
    }

    /// All that was kept, in the order of the keys.
    pub(crate) fn into_map<W>(mut self, mut finish: impl FnMut(V) -> W) -> BTreeMap<K, W> {
        let keys = std::mem::take(&mut self.by_hash).into_iter();
        let mut values = self.values;
        keys.filter_map(|((_, key), number)| {
            let value = values.get_mut(number as usize)?.take()?;
            Some((key, finish(value)))
        })
        .collect()
    }
}

/// Puts the keys of `other` into `map`, and takes out of it those that a table of this size has no
/// room for.
pub(crate) fn merge<K: Key, V: Default>(
    map: &mut BTreeMap<K, V>,
    other: BTreeMap<K, V>,
    most: usize,
    mut merge: impl FnMut(&mut V, V),
) {
    for (key, value) in other {
        merge(map.entry(key).or_default(), value);
    }
    if map.len() > most {
        let mut places: Vec<(u64, K)> = map
            .keys()
            .map(|key| (key.fixed_hash(), key.clone()))
            .collect();
        places.sort_unstable();
        for (_, key) in places.drain(most..) {
            map.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(keys: impl Iterator<Item = u32>) -> BTreeMap<String, u32> {
        let mut table: Table<String, u32> = Table::new(10);
        for key in keys {
            if let Some(number) = table.number(format!("key {key}")) {
                *table.value(number).unwrap() += 1;
            }
        }
        table.into_map(|count| count)
    }

    #[test]
    fn what_is_kept_depends_neither_on_the_order_nor_on_the_split() {
        // Each key comes three times.
        let keys = || (0..300).map(|index| index * 7 % 100);
        let forwards = filled(keys());
        assert_eq!(forwards.len(), 10);
        assert!(forwards.values().all(|count| *count == 3), "{forwards:?}");
        assert_eq!(filled(keys().rev()), forwards);

        let mut merged = filled(keys().skip(100));
        merge(&mut merged, filled(keys().take(100)), 10, |a, b| *a += b);
        assert_eq!(merged, forwards);
    }
}

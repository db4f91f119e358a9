//! Names by number, within one partition.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

/// Who sent a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ResourceId {
    pub(crate) service: String,
    /// Its instance, pod or host, whichever it names first.
    pub(crate) instance: String,
}

/// Things by the order of their coming.
#[derive(Debug, Default)]
pub(crate) struct Numbered<'a> {
    pub(crate) things: Vec<(&'a str, &'a str)>,
    numbers: HashMap<(&'a str, &'a str), u32, RandomState>,
}

impl<'a> Numbered<'a> {
    pub(crate) fn number(&mut self, thing: (&'a str, &'a str)) -> u32 {
        if let Some(number) = self.numbers.get(&thing) {
            return *number;
        }
        let next = self.things.len() as u32;
        self.numbers.insert(thing, next);
        self.things.push(thing);
        next
    }

    /// The first name of a number.
    pub(crate) fn first(&self, number: u32) -> &'a str {
        self.things
            .get(number as usize)
            .map_or("", |(first, _)| first)
    }
}

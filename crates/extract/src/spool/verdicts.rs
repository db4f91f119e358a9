//! What the join says of each thing, found again by its place in the input.

use std::io;

use bytemuck::{Pod, Zeroable};

use super::Spool;
use super::heads::Key;

/// What the join says of a span or a log record.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub(crate) struct Verdict {
    pub(crate) key: Key,
    /// Position in the table of labels.
    pub(crate) label: u32,
    /// A [`LabelSource`](crate::join::label::LabelSource) as its number.
    pub(crate) source: u8,
    /// A [`Phase`](crate::join::phase::Phase) as its number.
    pub(crate) phase: u8,
    /// 1: its trace has a span of the service that the fault is in.
    pub(crate) touches_root_cause: u8,
    pub(crate) pad: u8,
}

/// What the join says of a data point.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub(crate) struct PointVerdict {
    /// Growth over the interval; NaN: none.
    pub(crate) increase: f64,
    /// Start of the interval that the point speaks of, Unix nanoseconds; 0: not known.
    pub(crate) interval_start: i64,
    pub(crate) key: Key,
    pub(crate) label: u32,
    pub(crate) source: u8,
    pub(crate) phase: u8,
    pub(crate) pad: [u8; 6],
}

/// A record that knows its place.
pub(crate) trait Placed: Pod {
    /// Its place.
    fn key(&self) -> Key;
}

impl Placed for Verdict {
    fn key(&self) -> Key {
        self.key
    }
}

impl Placed for PointVerdict {
    fn key(&self) -> Key {
        self.key
    }
}

/// Reads verdicts block by block, in the order of the input. Each partition of the spool is in
/// the order of keys.
#[derive(Debug)]
pub(crate) struct ByBlock<'s, R> {
    spool: &'s Spool<R>,
    cursors: Vec<Cursor<R>>,
}

#[derive(Debug)]
struct Cursor<R> {
    records: Vec<R>,
    next: usize,
    chunk: usize,
}

impl<'s, R: Placed> ByBlock<'s, R> {
    pub(crate) fn new(spool: &'s Spool<R>) -> Self {
        let cursor = || Cursor {
            records: Vec::new(),
            next: 0,
            chunk: 0,
        };
        Self {
            cursors: (0..spool.len()).map(|_| cursor()).collect(),
            spool,
        }
    }

    /// The verdicts of a block, in the order of their keys. Blocks are asked for in their order.
    pub(crate) fn take(&mut self, block: u32) -> io::Result<Vec<R>> {
        let mut found = Vec::new();
        for (partition, cursor) in self.cursors.iter_mut().enumerate() {
            loop {
                if cursor.next == cursor.records.len() {
                    let Some(records) = self.spool.chunk(partition, cursor.chunk)? else {
                        break;
                    };
                    (cursor.records, cursor.next) = (records, 0);
                    cursor.chunk += 1;
                }
                let record = cursor.records[cursor.next];
                if record.key().block > block {
                    break;
                }
                cursor.next += 1;
                if record.key().block == block {
                    found.push(record);
                }
            }
        }
        found.sort_unstable_by_key(Placed::key);
        Ok(found)
    }
}

/// Finds the verdicts of one block by place; asked in ascending order of places.
#[derive(Debug)]
pub(crate) struct Lookup<R> {
    verdicts: Vec<R>,
    next: usize,
}

impl<R: Placed> Lookup<R> {
    pub(crate) fn new(verdicts: Vec<R>) -> Self {
        Self { verdicts, next: 0 }
    }

    /// The verdict of a place; none if the first pass had not seen anything there.
    pub(crate) fn find(&mut self, message: u32, index: u32) -> Option<R> {
        let wanted = (message, index);
        loop {
            let verdict = self.verdicts.get(self.next)?;
            let key = verdict.key();
            let at = (key.message, key.index);
            if at > wanted {
                return None;
            }
            self.next += 1;
            if at == wanted {
                return Some(*verdict);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_by_block_from_all_partitions_and_gaps_do_not_shift_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::new(folder.path(), 2).expect("a spool");
        let verdict = |block, message, index| Verdict {
            key: Key {
                block,
                message,
                index,
            },
            label: block * 100 + message * 10 + index,
            ..Verdict::zeroed()
        };
        for (partition, block, message, index) in [
            (0, 0, 0, 1),
            (0, 2, 1, 0),
            (1, 0, 0, 0),
            (1, 1, 5, 0),
            (1, 2, 0, 0),
        ] {
            spool
                .push(partition, verdict(block, message, index))
                .expect("pushed");
        }
        let mut by_block = ByBlock::new(&spool);
        let mut labels = |block| {
            let found = by_block.take(block).expect("read");
            found.iter().map(|v| v.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(0), [0, 1]);
        // Block 1 is passed over.
        assert_eq!(labels(2), [200, 210]);

        let mut lookup = Lookup::new(vec![verdict(0, 0, 0), verdict(0, 2, 1)]);
        assert!(lookup.find(0, 0).is_some());
        assert!(lookup.find(1, 0).is_none());
        assert_eq!(lookup.find(2, 1).map(|v| v.label), Some(21));
    }
}

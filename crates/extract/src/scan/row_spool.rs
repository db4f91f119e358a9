//! Packed rows dealt into partitions by the hash of what belongs together, kept in memory up to a
//! budget and beyond it in a file, so that memory does not grow with the input.
//!
//! This is the partitioning of a Grace hash join (Kitsuregawa, Tanaka, Moto-oka 1983): a partition
//! holds all that there is of its traces, or series, and fits into memory. One that has become too
//! large is dealt again by the next bits of the hashes. Design: `docs/design/0050-external-join.md`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use arrow_array::{RecordBatch, UInt32Array};

use super::batch::{ALL_COLUMNS, PackedBatch};
use super::packed::{Packed, PackedSlice, Raw, damaged};

/// Input that makes up one partition, in bytes.
const PARTITION_BYTES: u64 = 32 << 20;

/// With more partitions their buffers would cost more memory than small partitions save.
const MAX_PARTITIONS: u64 = 512;

/// A partition of more bytes than this, in memory, is dealt again.
const MAX_PARTITION_BYTES: usize = 16 << 20;

/// Partitions of which only the mean is known are made for so many bytes, so that hardly one becomes
/// too large.
const MEAN_PARTITION_BYTES: u64 = 12 << 20;

/// A trace, or a series, can't be dealt to several partitions. One of more bytes than this in a
/// signal is left out of it: no request makes such a trace, and it would not fit into memory.
pub(crate) const MAX_GROUP_BYTES: usize = 256 << 20;

/// Into how many partitions an input of so many bytes is dealt.
pub(crate) fn partitions(input_bytes: u64) -> usize {
    input_bytes
        .div_ceil(PARTITION_BYTES)
        .clamp(1, MAX_PARTITIONS) as usize
}

/// Into how many partitions so many bytes of rows, in memory, are dealt.
pub(crate) fn cuts(bytes: u64) -> usize {
    bytes
        .div_ceil(MEAN_PARTITION_BYTES)
        .clamp(1, MAX_PARTITIONS) as usize
}

/// Partitions that are still too large after so many rounds hold hardly more than one trace.
const MAX_ROUNDS: u32 = 3;

/// Hashes from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: u64,
    last: u64,
}

impl Range {
    const ALL: Range = Range {
        from: 0,
        last: u64::MAX,
    };

    fn length(self) -> u128 {
        u128::from(self.last - self.from) + 1
    }

    /// The `index`th of `parts` parts.
    fn cut(self, index: usize, parts: usize) -> Self {
        // The first hash whose part is `index`.
        let edge = |index: usize| (self.length() * index as u128).div_ceil(parts as u128);
        Self {
            from: self.from + edge(index) as u64,
            last: self.from + (edge(index + 1) - 1) as u64,
        }
    }

    /// The part that a hash lies in, of the range cut into `parts`.
    fn part(self, hash: u64, parts: usize) -> usize {
        let scaled = u128::from(hash - self.from) * parts as u128;
        match self == Self::ALL {
            // The same without a division.
            true => (scaled >> 64) as usize,
            false => (scaled / self.length()) as usize,
        }
    }
}

/// Rows of one kind in partitions, in the order of their coming.
#[derive(Debug)]
pub(crate) struct RowSpool {
    kind: Kind,
    file: File,
    end: u64,
    parts: Vec<Part>,
    /// Bytes of all partitions together that are kept in memory.
    budget: usize,
    /// Bytes of a partition that are.
    limit: usize,
}

/// Partitions that were added for a range of hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added {
    range: Range,
    first: usize,
    cuts: usize,
}

/// [`PackedBatch::unpack`].
type Unpack = fn(&[&Packed], Option<&[bool]>, u32) -> io::Result<RecordBatch>;

/// What has to be known of a kind of rows.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// Bytes of a row in a batch, without those of text.
    width: usize,
    unpack: Unpack,
}

#[derive(Debug)]
struct Part {
    range: Range,
    held: Packed,
    chunks: Vec<Chunk>,
    /// As a batch, in memory.
    bytes: usize,
}

/// Rows in the file.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    offset: u64,
    rows: usize,
    texts: usize,
    len: usize,
}

impl Part {
    fn new(range: Range) -> Self {
        Self {
            range,
            held: Packed::default(),
            chunks: Vec::new(),
            bytes: 0,
        }
    }

    /// Number of rows.
    fn len(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.len);
        chunks.sum::<usize>() + self.held.len()
    }
}

impl RowSpool {
    /// An empty one with so many partitions, whose file is in `folder` and gone with the process, and
    /// of which `budget` bytes are kept in memory.
    pub(crate) fn new<B: PackedBatch>(
        folder: &Path,
        partitions: usize,
        budget: usize,
    ) -> io::Result<Self> {
        let kind = Kind {
            width: B::WIDTH,
            unpack: B::unpack,
        };
        Self::of_kind(kind, folder, partitions, budget)
    }

    fn of_kind(kind: Kind, folder: &Path, partitions: usize, budget: usize) -> io::Result<Self> {
        let part = |index| Part::new(Range::ALL.cut(index, partitions));
        Ok(Self {
            kind,
            file: tempfile::tempfile_in(folder)?,
            end: 0,
            parts: (0..partitions).map(part).collect(),
            budget,
            limit: budget / partitions.max(1),
        })
    }

    /// Adds partitions: the `index`th of `parts` equal ranges of hashes, cut into `cuts`.
    pub(crate) fn add_partitions(&mut self, index: usize, parts: usize, cuts: usize) -> Added {
        let range = Range::ALL.cut(index, parts);
        let first = self.parts.len();
        self.parts
            .extend((0..cuts).map(|cut| Part::new(range.cut(cut, cuts))));
        self.limit = self.budget / self.parts.len();
        Added { range, first, cuts }
    }

    /// Deals rows by their hashes.
    pub(crate) fn deal(&mut self, rows: &Packed) -> io::Result<()> {
        let partitions = self.parts.len();
        rows.for_each(|raw| self.put(Range::ALL.part(raw.hash, partitions), raw))
    }

    /// Deals rows to partitions that were added, whose they are by their hashes.
    pub(crate) fn deal_to(&mut self, added: Added, rows: PackedSlice<'_>) -> io::Result<()> {
        rows.for_each(|raw| {
            if raw.hash < added.range.from || raw.hash > added.range.last {
                return Err(damaged());
            }
            self.put(added.first + added.range.part(raw.hash, added.cuts), raw)
        })
    }

    fn put(&mut self, partition: usize, raw: Raw<'_>) -> io::Result<()> {
        let part = &mut self.parts[partition];
        part.bytes += self.kind.width + raw.text.len();
        if part.held.capacity() == 0 {
            // All that it will ever hold: memory counts once it is written to, and what grows is
            // copied, and written to anew.
            part.held.reserve(self.limit);
        }
        part.held.push(raw);
        if part.held.bytes() < self.limit {
            return Ok(());
        }
        let PackedSlice { rows, texts, .. } = part.held.slice();
        self.file.write_all_at(rows, self.end)?;
        self.file
            .write_all_at(texts, self.end + rows.len() as u64)?;
        let chunk = Chunk {
            offset: self.end,
            rows: rows.len(),
            texts: texts.len(),
            len: part.held.len(),
        };
        self.end += (chunk.rows + chunk.texts) as u64;
        part.chunks.push(chunk);
        part.held.clear();
        Ok(())
    }

    /// Bytes that all rows take up in memory as batches.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes as u64).sum()
    }

    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Calls `each` with all rows of a partition as they are packed, in their order.
    pub(crate) fn for_each_packed(
        &self,
        partition: usize,
        mut each: impl FnMut(PackedSlice<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let part = &self.parts[partition];
        for chunk in &part.chunks {
            each(self.chunk(*chunk)?.slice())?;
        }
        each(part.held.slice())
    }

    /// All rows of a partition.
    pub(crate) fn read(&self, partition: usize) -> io::Result<RecordBatch> {
        self.read_columns(partition, ALL_COLUMNS)
    }

    /// All rows of a partition, with values in the columns whose bits are set and nulls in the rest.
    pub(crate) fn read_columns(&self, partition: usize, columns: u32) -> io::Result<RecordBatch> {
        self.unpack(&self.parts[partition], None, columns)
    }

    /// Some rows of a partition in their order, by their numbers in it; and for each of these numbers
    /// which row of the batch it is.
    pub(crate) fn read_rows(
        &self,
        partition: usize,
        numbers: &UInt32Array,
    ) -> io::Result<(RecordBatch, UInt32Array)> {
        let part = &self.parts[partition];
        let mut wanted = vec![false; part.len()];
        for number in numbers.values() {
            let row = wanted.get_mut(*number as usize);
            *row.ok_or_else(damaged)? = true;
        }
        let batch = self.unpack(part, Some(&wanted), ALL_COLUMNS)?;
        let mut next = 0;
        let place = |wanted: &bool| {
            let place = next;
            next += u32::from(*wanted);
            place
        };
        let places: Vec<u32> = wanted.iter().map(place).collect();
        let numbers = numbers.values().iter();
        let rows = numbers
            .map(|number| places[*number as usize])
            .collect::<Vec<_>>();
        Ok((batch, rows.into()))
    }

    fn unpack(
        &self,
        part: &Part,
        wanted: Option<&[bool]>,
        columns: u32,
    ) -> io::Result<RecordBatch> {
        let chunks = part.chunks.iter().map(|chunk| self.chunk(*chunk));
        let chunks = chunks.collect::<io::Result<Vec<Packed>>>()?;
        let mut all: Vec<&Packed> = chunks.iter().collect();
        // What is in memory came last.
        all.push(&part.held);
        (self.kind.unpack)(&all, wanted, columns)
    }

    fn chunk(&self, chunk: Chunk) -> io::Result<Packed> {
        let mut rows = vec![0; chunk.rows];
        let mut texts = vec![0; chunk.texts];
        self.file.read_exact_at(&mut rows, chunk.offset)?;
        let behind = chunk.offset + chunk.rows as u64;
        self.file.read_exact_at(&mut texts, behind)?;
        Ok(Packed::from_parts(rows, texts, chunk.len))
    }

    /// Calls `each` with every row of a partition, in their order.
    fn for_each(
        &self,
        part: &Part,
        mut each: impl FnMut(Raw<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for chunk in &part.chunks {
            self.chunk(*chunk)?.for_each(&mut each)?;
        }
        part.held.for_each(each)
    }

    /// Deals partitions that are too large again, and with them those of the other spools, so that
    /// all have the same ranges of hashes.
    pub(crate) fn split_large(spools: &mut [&mut RowSpool], folder: &Path) -> io::Result<()> {
        for _ in 0..MAX_ROUNDS {
            let partitions = spools.first().map_or(0, |spool| spool.len());
            let cuts: Vec<usize> = (0..partitions)
                .map(|partition| {
                    let bytes: usize = spools.iter().map(|s| s.parts[partition].bytes).sum();
                    bytes.div_ceil(MAX_PARTITION_BYTES).max(1)
                })
                .collect();
            if cuts.iter().all(|&parts| parts == 1) {
                return Ok(());
            }
            for spool in spools.iter_mut() {
                **spool = spool.split(&cuts, folder)?;
            }
        }
        Ok(())
    }

    fn split(&self, cuts: &[usize], folder: &Path) -> io::Result<RowSpool> {
        let mut fresh = RowSpool::of_kind(self.kind, folder, cuts.iter().sum(), self.budget)?;
        let mut first = 0;
        for (old, &parts) in self.parts.iter().zip(cuts) {
            for index in 0..parts {
                fresh.parts[first + index].range = old.range.cut(index, parts);
            }
            self.for_each(old, |raw| {
                fresh.put(first + old.range.part(raw.hash, parts), raw)
            })?;
            first += parts;
        }
        Ok(fresh)
    }

    /// Leaves out the rows of those traces, or series, that have more bytes than `limit`. Gives
    /// their number.
    pub(crate) fn leave_out_large(&mut self, folder: &Path, limit: usize) -> io::Result<u64> {
        let mut bytes: HashMap<u64, usize> = HashMap::new();
        for part in self.parts.iter().filter(|part| part.bytes > limit) {
            self.for_each(part, |raw| {
                *bytes.entry(raw.hash).or_default() += self.kind.width + raw.text.len();
                Ok(())
            })?;
        }
        bytes.retain(|_, bytes| *bytes > limit);
        if bytes.is_empty() {
            return Ok(0);
        }
        let large: HashSet<u64> = bytes.into_keys().collect();
        let mut fresh = RowSpool::of_kind(self.kind, folder, self.parts.len(), self.budget)?;
        let mut left_out = 0;
        for (index, old) in self.parts.iter().enumerate() {
            fresh.parts[index].range = old.range;
            self.for_each(old, |raw| {
                if large.contains(&raw.hash) {
                    left_out += 1;
                    return Ok(());
                }
                fresh.put(index, raw)
            })?;
        }
        *self = fresh;
        Ok(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::batch::{Batch, packed_batch};
    use proptest::prelude::*;

    packed_batch! {
        /// Numbers.
        NumberBatch, NumberBuilder, NumberRow {
            n: U64,
            name: Text,
        }
    }

    fn packed(numbers: &[u64]) -> Packed {
        let mut rows = Packed::default();
        for &n in numbers {
            let name = n.to_string();
            NumberRow {
                n: Some(n),
                name: (n % 2 == 0).then_some(&name),
            }
            .pack(n, &mut rows);
        }
        rows
    }

    fn spool(folder: &Path, partitions: usize) -> RowSpool {
        RowSpool::new::<NumberBatch>(folder, partitions, 24 << 20).expect("a spool")
    }

    /// Numbers of a partition, whose names are checked.
    fn numbers(spool: &RowSpool, partition: usize) -> Vec<u64> {
        use arrow_array::Array;
        let batch = spool.read(partition).expect("read");
        let batch = NumberBatch::view(&batch).expect("numbers");
        for (row, n) in batch.n.values().iter().enumerate() {
            let name = (!batch.name.is_null(row)).then(|| batch.name.value(row).to_owned());
            assert_eq!(name, (n % 2 == 0).then(|| n.to_string()));
        }
        batch.n.values().to_vec()
    }

    proptest! {
        #[test]
        fn what_is_dealt_comes_out_by_the_order_of_hashes(
            batches in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..300), 0..20),
            partitions in 1usize..9,
            limit in 100usize..4000,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut spool = spool(folder.path(), partitions);
            // Small, so that chunks go to the disk.
            spool.limit = limit;
            for numbers in &batches {
                spool.deal(&packed(numbers)).expect("dealt");
            }
            let mut all = Vec::new();
            for partition in 0..partitions {
                let mut part = numbers(&spool, partition);
                part.sort_unstable();
                all.extend(part);
            }
            let mut expected: Vec<u64> = batches.into_iter().flatten().collect();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
            for partition in 0..partitions {
                let all = numbers(&spool, partition);
                // Each third, backwards.
                let some: UInt32Array = (0..all.len() as u32).rev().step_by(3).collect::<Vec<_>>().into();
                let (batch, rows) = spool.read_rows(partition, &some).expect("read");
                let batch = NumberBatch::view(&batch).expect("numbers");
                prop_assert_eq!(batch.n.values().len(), some.values().len());
                for (number, row) in some.values().iter().zip(rows.values()) {
                    prop_assert_eq!(batch.n.value(*row as usize), all[*number as usize]);
                }
            }
        }

        #[test]
        fn columns_that_are_asked_for_are_the_same_and_the_rest_is_null(numbers: Vec<u64>) {
            use arrow_array::Array;
            let rows = packed(&numbers);
            let batch = NumberBatch::unpack(&[&rows], None, ALL_COLUMNS).expect("a batch");
            let columns = NumberBatch::columns(&["name"]);
            let names = NumberBatch::unpack(&[&rows], None, columns).expect("a batch");
            prop_assert_eq!(names.column(1), batch.column(1));
            prop_assert_eq!(names.column(0).null_count(), numbers.len());
        }

        #[test]
        fn ranges_are_cut_where_parts_change(hash: u64, parts in 1usize..600) {
            let of = Range::ALL.part(hash, parts);
            let range = Range::ALL.cut(of, parts);
            prop_assert!(range.from <= hash && hash <= range.last);
            prop_assert_eq!(Range::ALL.part(range.from, parts), of);
            prop_assert_eq!(Range::ALL.part(range.last, parts), of);
            let inner = range.part(hash, 7);
            let cut = range.cut(inner, 7);
            prop_assert!(cut.from <= hash && hash <= cut.last);
        }
    }

    #[test]
    fn what_can_not_be_divided_and_is_too_large_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = spool(folder.path(), 2);
        // Small, so that some of it goes to the disk.
        spool.limit = 1 << 10;
        for chunk in 0..100 {
            spool.deal(&packed(&[7; 100])).expect("dealt");
            spool.deal(&packed(&[chunk, 3])).expect("dealt");
            spool.deal(&packed(&[u64::MAX; 5])).expect("dealt");
        }
        // 10,000 numbers of 12 bytes are 7.
        let mut left_out = |limit| {
            let left_out = spool.leave_out_large(folder.path(), limit);
            let rows = |part| numbers(&spool, part).len();
            (left_out.expect("left out"), rows(0), rows(1))
        };
        assert_eq!(left_out(200_000), (0, 10_200, 500));
        assert_eq!(left_out(60_000), (10_001, 199, 500));
        assert_eq!(left_out(60_000), (0, 199, 500));
    }

    #[test]
    fn a_partition_that_has_become_too_large_is_dealt_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = spool(folder.path(), 2);
        // More than a partition may have, in the first of two.
        let step = u64::MAX / 2 / (1 << 20);
        for chunk in 0..3u64 {
            let rows: Vec<u64> = (0..1 << 20).map(|n| n * step + chunk).collect();
            spool.deal(&packed(&rows)).expect("dealt");
        }
        RowSpool::split_large(&mut [&mut spool], folder.path()).expect("split");
        assert!(spool.len() > 2);
        let mut last = 0;
        let mut rows = 0;
        for partition in 0..spool.len() {
            let mut part = numbers(&spool, partition);
            part.sort_unstable();
            rows += part.len();
            if let (Some(&first), Some(&end)) = (part.first(), part.last()) {
                assert!(last <= first);
                last = end;
            }
        }
        assert_eq!(rows, 3 << 20);
    }
}

//! Batches dealt into partitions by the hash of what belongs together, kept in memory up to a
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
use std::sync::Mutex;

use arrow_array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take_record_batch;

/// Input that makes up one partition, in bytes.
const PARTITION_BYTES: u64 = 32 << 20;

/// With more partitions their buffers would cost more memory than small partitions save.
const MAX_PARTITIONS: u64 = 512;

/// Bytes of all partitions of one spool that are kept in memory before they are written.
const BUDGET_BYTES: usize = 24 << 20;

/// A partition of more bytes than this, in memory, is dealt again.
const MAX_PARTITION_BYTES: usize = 16 << 20;

/// A trace, or a series, can't be dealt to several partitions. One of more bytes than this in a
/// signal is left out of it: no request makes such a trace, and it would not fit into memory.
pub(crate) const MAX_GROUP_BYTES: usize = 256 << 20;

/// Into how many partitions an input of so many bytes is dealt.
pub(crate) fn partitions(input_bytes: u64) -> usize {
    input_bytes
        .div_ceil(PARTITION_BYTES)
        .clamp(1, MAX_PARTITIONS) as usize
}

/// Partitions that are still too large after so many rounds hold hardly more than one trace.
const MAX_ROUNDS: u32 = 3;

/// A well mixed number of a trace id, the same on each machine: ids of some generators begin with
/// the time.
pub(crate) fn hash(trace: [u64; 2]) -> u64 {
    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = trace[0].rotate_left(32) ^ trace[1];
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The part of a range of hashes, cut into `parts`, that a hash lies in.
fn part(hash: u64, range: Range, parts: usize) -> usize {
    let offset = u128::from(hash - range.from);
    let part = offset * parts as u128 / (u128::from(range.last - range.from) + 1);
    part as usize
}

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

    /// The `index`th of `parts` parts.
    fn cut(self, index: usize, parts: usize) -> Self {
        let length = u128::from(self.last - self.from) + 1;
        let edge = |index: usize| {
            // The first hash whose part is `index`.
            (length * index as u128).div_ceil(parts as u128)
        };
        Self {
            from: self.from + edge(index) as u64,
            last: self.from + (edge(index + 1) - 1) as u64,
        }
    }
}

/// Rows that go to one partition.
pub(crate) type Dealt = (usize, RecordBatch);

/// Deals the rows of a batch by the hashes of its rows; partitions that get none are left out.
pub(crate) fn deal(
    batch: &RecordBatch,
    hashes: &[u64],
    partitions: usize,
) -> io::Result<Vec<Dealt>> {
    deal_range(batch, hashes, Range::ALL, partitions)
}

fn deal_range(
    batch: &RecordBatch,
    hashes: &[u64],
    range: Range,
    partitions: usize,
) -> io::Result<Vec<Dealt>> {
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    if partitions == 1 {
        return Ok(vec![(0, batch.clone())]);
    }
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); partitions];
    for (row, &hash) in hashes.iter().enumerate() {
        rows[part(hash, range, partitions)].push(row as u32);
    }
    let met = rows
        .into_iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty());
    met.map(|(partition, rows)| {
        let taken = take_record_batch(batch, &UInt32Array::from(rows));
        Ok((partition, taken.map_err(io::Error::other)?))
    })
    .collect()
}

/// Batches of one schema in partitions, in the order of their coming.
#[derive(Debug)]
pub(crate) struct Spool {
    schema: SchemaRef,
    file: File,
    end: Mutex<u64>,
    parts: Vec<Part>,
    /// Bytes of a partition that are kept in memory.
    limit: usize,
}

#[derive(Debug)]
struct Part {
    range: Range,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    /// Offset and length in the file of each chunk.
    chunks: Vec<(u64, usize)>,
    bytes: usize,
    rows: usize,
}

impl Part {
    fn new(range: Range) -> Self {
        Self {
            range,
            held: Vec::new(),
            held_bytes: 0,
            chunks: Vec::new(),
            bytes: 0,
            rows: 0,
        }
    }
}

impl Spool {
    /// An empty one, whose file is in `folder` and gone with the process.
    pub(crate) fn new(folder: &Path, schema: SchemaRef, partitions: usize) -> io::Result<Self> {
        let part = |index| Part::new(Range::ALL.cut(index, partitions));
        Ok(Self {
            schema,
            file: tempfile::tempfile_in(folder)?,
            end: Mutex::new(0),
            parts: (0..partitions).map(part).collect(),
            limit: BUDGET_BYTES / partitions.max(1),
        })
    }

    /// Adds a partition: that of the `index`th of `parts` equal ranges of hashes. Gives its number.
    pub(crate) fn add_partition(&mut self, index: usize, parts: usize) -> usize {
        self.parts.push(Part::new(Range::ALL.cut(index, parts)));
        self.limit = BUDGET_BYTES / self.parts.len();
        self.parts.len() - 1
    }

    /// Adds rows to a partition.
    pub(crate) fn push(&mut self, (partition, batch): Dealt) -> io::Result<()> {
        let part = &mut self.parts[partition];
        let bytes = bytes_of(&batch)?;
        part.bytes += bytes;
        part.held_bytes += bytes;
        part.rows += batch.num_rows();
        part.held.push(batch);
        if part.held_bytes < self.limit {
            return Ok(());
        }
        let held = concat_batches(&self.schema, &std::mem::take(&mut part.held));
        part.held_bytes = 0;
        let bytes = encode(&held.map_err(io::Error::other)?).map_err(io::Error::other)?;
        let mut end = self
            .end
            .lock()
            .map_err(|_| io::Error::other("a spool broke down"))?;
        self.file.write_all_at(&bytes, *end)?;
        part.chunks.push((*end, bytes.len()));
        *end += bytes.len() as u64;
        Ok(())
    }

    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// All rows of a partition.
    pub(crate) fn read(&self, partition: usize) -> io::Result<RecordBatch> {
        let part = &self.parts[partition];
        self.whole(&part.chunks, &part.held)
    }

    fn whole(&self, chunks: &[(u64, usize)], held: &[RecordBatch]) -> io::Result<RecordBatch> {
        let mut batches = Vec::with_capacity(chunks.len() + held.len());
        for &(offset, length) in chunks {
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, offset)?;
            for batch in StreamReader::try_new(&bytes[..], None).map_err(io::Error::other)? {
                batches.push(batch.map_err(io::Error::other)?);
            }
        }
        batches.extend_from_slice(held);
        concat_batches(&self.schema, &batches).map_err(io::Error::other)
    }

    /// Deals partitions that are too large again, and with them those of the other spools, so that
    /// all have the same ranges of hashes. `hashes` gives those of a batch's rows.
    pub(crate) fn split_large(spools: &mut [Hashed<'_>], folder: &Path) -> io::Result<()> {
        for _ in 0..MAX_ROUNDS {
            let partitions = spools.first().map_or(0, |(spool, _)| spool.len());
            let cuts: Vec<usize> = (0..partitions)
                .map(|partition| {
                    let bytes: usize = spools.iter().map(|(s, _)| s.parts[partition].bytes).sum();
                    bytes.div_ceil(MAX_PARTITION_BYTES).max(1)
                })
                .collect();
            if cuts.iter().all(|&parts| parts == 1) {
                return Ok(());
            }
            for (spool, hashes) in spools.iter_mut() {
                **spool = spool.split(&cuts, hashes, folder)?;
            }
        }
        Ok(())
    }

    fn split(&self, cuts: &[usize], hashes: &HashRows, folder: &Path) -> io::Result<Spool> {
        let mut fresh = Spool::new(folder, self.schema.clone(), cuts.iter().sum())?;
        let mut first = 0;
        for (old, &parts) in self.parts.iter().zip(cuts) {
            for index in 0..parts {
                fresh.parts[first + index].range = old.range.cut(index, parts);
            }
            for batch in self.batches(old) {
                let batch = batch?;
                for (part, rows) in deal_range(&batch, &hashes(&batch)?, old.range, parts)? {
                    fresh.push((first + part, rows))?;
                }
            }
            first += parts;
        }
        Ok(fresh)
    }

    /// The rows of a partition, batch by batch.
    fn batches<'s>(&'s self, part: &'s Part) -> impl Iterator<Item = io::Result<RecordBatch>> + 's {
        // What is in memory comes last.
        let on_disk = part.chunks.chunks(1).map(|chunk| self.whole(chunk, &[]));
        on_disk.chain([self.whole(&[], &part.held)])
    }

    /// Leaves out the rows of those traces, or series, that have more bytes than `limit`. Gives
    /// their number. `hashes` gives the hashes of a batch's rows.
    pub(crate) fn leave_out_large(
        &mut self,
        hashes: HashRows,
        folder: &Path,
        limit: usize,
    ) -> io::Result<u64> {
        let mut bytes: HashMap<u64, usize> = HashMap::new();
        for part in self.parts.iter().filter(|part| part.bytes > limit) {
            for batch in self.batches(part) {
                let batch = batch?;
                let each = bytes_of(&batch)? / batch.num_rows().max(1);
                for hash in hashes(&batch)? {
                    *bytes.entry(hash).or_default() += each;
                }
            }
        }
        bytes.retain(|_, bytes| *bytes > limit);
        if bytes.is_empty() {
            return Ok(0);
        }
        let large: HashSet<u64> = bytes.into_keys().collect();
        let mut fresh = Spool::new(folder, self.schema.clone(), self.parts.len())?;
        let mut left_out = 0;
        for (index, old) in self.parts.iter().enumerate() {
            fresh.parts[index].range = old.range;
            for batch in self.batches(old) {
                let batch = batch?;
                let hashes = hashes(&batch)?;
                let stays: BooleanArray = hashes.iter().map(|h| Some(!large.contains(h))).collect();
                let kept = filter_record_batch(&batch, &stays).map_err(io::Error::other)?;
                left_out += (batch.num_rows() - kept.num_rows()) as u64;
                fresh.push((index, kept))?;
            }
        }
        *self = fresh;
        Ok(left_out)
    }
}

/// Bytes that the rows of a batch need; its buffers may be parts of larger ones.
fn bytes_of(batch: &RecordBatch) -> io::Result<usize> {
    let columns = batch.columns().iter();
    let sizes = columns.map(|column| column.to_data().get_slice_memory_size());
    sizes.sum::<Result<usize, _>>().map_err(io::Error::other)
}

/// Gives the hashes of a batch's rows.
pub(crate) type HashRows = fn(&RecordBatch) -> io::Result<Vec<u64>>;

/// A spool and what its rows are dealt by.
pub(crate) type Hashed<'s> = (&'s mut Spool, HashRows);

fn encode(batch: &RecordBatch) -> Result<Vec<u8>, arrow_schema::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::UInt64Array;
    use arrow_schema::{DataType, Field, Schema};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::UInt64, true)]))
    }

    fn batch(numbers: &[u64]) -> RecordBatch {
        let numbers = Arc::new(UInt64Array::from(numbers.to_vec()));
        RecordBatch::try_new(schema(), vec![numbers]).expect("a batch")
    }

    /// Numbers are their own hashes.
    fn numbers(batch: &RecordBatch) -> io::Result<Vec<u64>> {
        let column = batch.column(0).as_any().downcast_ref::<UInt64Array>();
        Ok(column.expect("numbers").values().to_vec())
    }

    proptest! {
        #[test]
        fn what_is_dealt_comes_out_by_the_order_of_hashes(
            batches in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..300), 0..20),
            partitions in 1usize..9,
            limit in 100usize..4000,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut spool = Spool::new(folder.path(), schema(), partitions).expect("a spool");
            // Small, so that chunks go to the disk.
            spool.limit = limit;
            for numbers in &batches {
                for dealt in deal(&batch(numbers), numbers, partitions).expect("dealt") {
                    spool.push(dealt).expect("pushed");
                }
            }
            let mut all = Vec::new();
            for partition in 0..partitions {
                let mut part = numbers(&spool.read(partition).expect("read")).expect("numbers");
                part.sort_unstable();
                all.extend(part);
            }
            let mut expected: Vec<u64> = batches.into_iter().flatten().collect();
            expected.sort_unstable();
            prop_assert_eq!(all, expected);
        }

        #[test]
        fn ranges_are_cut_where_parts_change(hash: u64, parts in 1usize..600) {
            let of = part(hash, Range::ALL, parts);
            let range = Range::ALL.cut(of, parts);
            prop_assert!(range.from <= hash && hash <= range.last);
            prop_assert_eq!(part(range.from, Range::ALL, parts), of);
            prop_assert_eq!(part(range.last, Range::ALL, parts), of);
        }
    }

    #[test]
    fn what_can_not_be_divided_and_is_too_large_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::new(folder.path(), schema(), 2).expect("a spool");
        // Small, so that some of it goes to the disk.
        spool.limit = 1 << 10;
        for chunk in 0..100 {
            spool.push((0, batch(&[7; 100]))).expect("pushed");
            spool.push((0, batch(&[chunk, 3]))).expect("pushed");
            spool.push((1, batch(&[u64::MAX; 5]))).expect("pushed");
        }
        // 10,000 numbers of 8 bytes are 7; with their nulls a little more.
        let mut left_out = |limit| {
            let left_out = spool.leave_out_large(numbers, folder.path(), limit);
            let rows = |part| spool.read(part).expect("read").num_rows();
            (left_out.expect("left out"), rows(0), rows(1))
        };
        assert_eq!(left_out(200_000), (0, 10_200, 500));
        assert_eq!(left_out(60_000), (10_001, 199, 500));
        assert_eq!(left_out(60_000), (0, 199, 500));
    }

    #[test]
    fn a_partition_that_has_become_too_large_is_dealt_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::new(folder.path(), schema(), 2).expect("a spool");
        // More than a partition may have, in the first of two.
        let step = u64::MAX / 2 / (1 << 20);
        for chunk in 0..10u64 {
            let rows: Vec<u64> = (0..1 << 20).map(|n| n * step + chunk).collect();
            spool.push((0, batch(&rows))).expect("pushed");
        }
        Spool::split_large(&mut [(&mut spool, numbers)], folder.path()).expect("split");
        assert!(spool.len() > 2);
        let mut last = 0;
        let mut rows = 0;
        for partition in 0..spool.len() {
            let mut part = numbers(&spool.read(partition).expect("read")).expect("numbers");
            part.sort_unstable();
            rows += part.len();
            if let (Some(&first), Some(&end)) = (part.first(), part.last()) {
                assert!(last <= first);
                last = end;
            }
        }
        assert_eq!(rows, 10 << 20);
    }
}

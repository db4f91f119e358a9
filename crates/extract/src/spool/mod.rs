//! What the first pass notes of each span, log record and data point, kept on disk and dealt into
//! partitions by the hash of what belongs together, so that memory does not grow with the input.
//!
//! This is the external hash join of database systems: a partition holds all that there is of its
//! traces, fits into memory, and is joined there. Design: `docs/design/0050-external-join.md`.

pub(crate) mod heads;
pub(crate) mod verdicts;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytemuck::Pod;

/// Bytes of a partition that are kept in memory before they are written.
const CHUNK_BYTES: usize = 16 << 10;

/// Input that makes up one partition, in bytes. What is noted of it is about a sixth.
const PARTITION_BYTES: u64 = 32 << 20;

/// With more partitions their buffers would cost more memory than small partitions save.
const MAX_PARTITIONS: u64 = 512;

/// Into how many partitions an input of so many bytes is dealt.
pub(crate) fn partitions(input_bytes: u64) -> usize {
    input_bytes
        .div_ceil(PARTITION_BYTES)
        .clamp(1, MAX_PARTITIONS) as usize
}

/// The partition of a hash.
pub(crate) fn partition(hash: u64, partitions: usize) -> usize {
    // The high bits: within a partition the order by hash is the order over all.
    ((u128::from(hash) * partitions as u128) >> 64) as usize
}

/// A well mixed number of a trace id, the same on each machine: ids of some generators begin with
/// the time.
pub(crate) fn hash(trace: [u64; 2]) -> u64 {
    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = trace[0].rotate_left(32) ^ trace[1];
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Records of one kind in partitions, in the order of their coming, in one unnamed file.
#[derive(Debug)]
pub(crate) struct Spool<R> {
    file: File,
    end: u64,
    partitions: Vec<Partition<R>>,
}

#[derive(Debug)]
struct Partition<R> {
    buffer: Vec<R>,
    /// Offset in the file and number of records of each chunk.
    chunks: Vec<(u64, u32)>,
    len: usize,
}

impl<R: Pod> Spool<R> {
    /// An empty one, whose file is in `folder` and gone with the process.
    pub(crate) fn new(folder: &Path, partitions: usize) -> io::Result<Self> {
        let empty = || Partition {
            buffer: Vec::new(),
            chunks: Vec::new(),
            len: 0,
        };
        Ok(Self {
            file: tempfile::tempfile_in(folder)?,
            end: 0,
            partitions: (0..partitions).map(|_| empty()).collect(),
        })
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, partition: usize, record: R) -> io::Result<()> {
        let of = &mut self.partitions[partition];
        of.buffer.push(record);
        of.len += 1;
        if of.buffer.len() * size_of::<R>() >= CHUNK_BYTES {
            self.file
                .write_all_at(bytemuck::cast_slice(&of.buffer), self.end)?;
            of.chunks.push((self.end, of.buffer.len() as u32));
            self.end += (of.buffer.len() * size_of::<R>()) as u64;
            of.buffer.clear();
        }
        Ok(())
    }

    /// All records of a partition.
    pub(crate) fn read(&self, partition: usize) -> io::Result<Vec<R>> {
        let of = &self.partitions[partition];
        let mut records = vec![R::zeroed(); of.len - of.buffer.len()];
        let mut filled = 0;
        for &(offset, count) in &of.chunks {
            let next = filled + count as usize;
            let bytes = bytemuck::cast_slice_mut(&mut records[filled..next]);
            self.file.read_exact_at(bytes, offset)?;
            filled = next;
        }
        records.extend_from_slice(&of.buffer);
        Ok(records)
    }

    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// One chunk of a partition; none after the last.
    fn chunk(&self, partition: usize, chunk: usize) -> io::Result<Option<Vec<R>>> {
        let of = &self.partitions[partition];
        match of.chunks.get(chunk) {
            Some(&(offset, count)) => {
                let mut records = vec![R::zeroed(); count as usize];
                let bytes = bytemuck::cast_slice_mut(&mut records);
                self.file.read_exact_at(bytes, offset)?;
                Ok(Some(records))
            }
            None if chunk == of.chunks.len() && !of.buffer.is_empty() => {
                Ok(Some(of.buffer.clone()))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_in_comes_out_in_order(records in prop::collection::vec((0usize..3, any::<u64>()), 0..6000)) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut spool = Spool::new(folder.path(), 3).expect("a spool");
            for (partition, record) in &records {
                spool.push(*partition, *record).expect("pushed");
            }
            for partition in 0..3 {
                let expected: Vec<u64> = records.iter().filter(|r| r.0 == partition).map(|r| r.1).collect();
                prop_assert_eq!(spool.read(partition).expect("read"), expected);
            }
        }
    }

    #[test]
    fn partitions_are_cut_by_the_order_of_hashes() {
        let mut hashes: Vec<u64> = (0..1000u64).map(|n| hash([7, n])).collect();
        hashes.sort_unstable();
        let of: Vec<usize> = hashes.iter().map(|&h| partition(h, 5)).collect();
        assert!(of.is_sorted());
        for wanted in 0..5 {
            let share = of.iter().filter(|&&p| p == wanted).count();
            assert!((120..280).contains(&share), "{share} of 1000 in {wanted}");
        }
        assert_eq!(partition(u64::MAX, 512), 511);
    }
}

//! Batches in numbered parts, kept in memory up to a budget and beyond it in a file, so that memory
//! does not grow with the input.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;

/// Bytes of all parts of one spool that are kept in memory before they are written.
pub(crate) const BUDGET_BYTES: usize = 24 << 20;

/// A well mixed number of a trace id, the same on each machine: ids of some generators begin with
/// the time.
pub(crate) fn hash(trace: [u64; 2]) -> u64 {
    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = trace[0].rotate_left(32) ^ trace[1];
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Rows that go to one part.
pub(crate) type Dealt = (usize, RecordBatch);

/// Batches of one schema in parts, in the order of their coming.
#[derive(Debug)]
pub(crate) struct Spool {
    schema: SchemaRef,
    file: File,
    end: u64,
    parts: Vec<Part>,
    /// Bytes of a part that are kept in memory.
    limit: usize,
}

#[derive(Debug, Default)]
struct Part {
    held: Vec<RecordBatch>,
    held_bytes: usize,
    /// Offset and length in the file of each chunk.
    chunks: Vec<(u64, usize)>,
}

impl Spool {
    /// An empty one, whose file is in `folder` and gone with the process.
    pub(crate) fn new(folder: &Path, schema: SchemaRef, parts: usize) -> io::Result<Self> {
        Ok(Self {
            schema,
            file: tempfile::tempfile_in(folder)?,
            end: 0,
            parts: (0..parts).map(|_| Part::default()).collect(),
            limit: BUDGET_BYTES / parts.max(1),
        })
    }

    /// Adds rows to a part.
    pub(crate) fn push(&mut self, (part, batch): Dealt) -> io::Result<()> {
        let part = &mut self.parts[part];
        part.held_bytes += bytes_of(&batch)?;
        part.held.push(batch);
        if part.held_bytes < self.limit {
            return Ok(());
        }
        let held = concat_batches(&self.schema, &std::mem::take(&mut part.held));
        part.held_bytes = 0;
        let bytes = encode(&held.map_err(io::Error::other)?).map_err(io::Error::other)?;
        self.file.write_all_at(&bytes, self.end)?;
        part.chunks.push((self.end, bytes.len()));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Number of parts.
    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    /// All rows of a part.
    pub(crate) fn read(&self, part: usize) -> io::Result<RecordBatch> {
        let part = &self.parts[part];
        let mut batches = Vec::with_capacity(part.chunks.len() + part.held.len());
        for &(offset, length) in &part.chunks {
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, offset)?;
            for batch in StreamReader::try_new(&bytes[..], None).map_err(io::Error::other)? {
                batches.push(batch.map_err(io::Error::other)?);
            }
        }
        batches.extend_from_slice(&part.held);
        match &batches[..] {
            [one] => Ok(one.clone()),
            several => concat_batches(&self.schema, several).map_err(io::Error::other),
        }
    }
}

/// Bytes that the rows of a batch need; its buffers may be parts of larger ones.
fn bytes_of(batch: &RecordBatch) -> io::Result<usize> {
    let columns = batch.columns().iter();
    let sizes = columns.map(|column| column.to_data().get_slice_memory_size());
    sizes.sum::<Result<usize, _>>().map_err(io::Error::other)
}

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

    proptest! {
        #[test]
        fn what_is_put_in_comes_out_in_its_order(
            batches in prop::collection::vec((0usize..4, prop::collection::vec(any::<u64>(), 0..300)), 0..20),
            limit in 100usize..4000,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let field = Field::new("n", DataType::UInt64, true);
            let schema = Arc::new(Schema::new(vec![field]));
            let mut spool = Spool::new(folder.path(), schema.clone(), 4).expect("a spool");
            // Small, so that chunks go to the disk.
            spool.limit = limit;
            let mut expected = vec![Vec::new(); 4];
            for (part, numbers) in batches {
                let column = Arc::new(UInt64Array::from(numbers.clone()));
                let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("a batch");
                spool.push((part, batch)).expect("pushed");
                expected[part].extend(numbers);
            }
            for (part, expected) in expected.into_iter().enumerate() {
                let read = spool.read(part).expect("read");
                let column = read.column(0).as_any().downcast_ref::<UInt64Array>();
                prop_assert_eq!(column.expect("numbers").values(), &expected[..]);
            }
        }
    }
}

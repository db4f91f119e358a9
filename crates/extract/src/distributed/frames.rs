//! What goes from step to step: rows of an Arrow stream, each with opaque bytes.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{BinaryBuilder, Int64Builder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int64Array, LargeBinaryArray, RecordBatch, StringArray,
    UInt64Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::scan::packed::PackedSlice;
use crate::scan::row_spool::RowSpool;

/// Bytes of frames that are written as one batch, or one frame that has more.
const BATCH_BYTES: usize = 4 << 20;

/// A piece of what one step hands to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The portion that it belongs to.
    pub(super) key: i64,
    /// What its bytes are: [`SPANS`] and so on, or the table of which they are a file.
    pub(super) kind: &'a str,
    pub(super) bytes: &'a [u8],
}

/// Records of spans, data points, log records and requests, as packed rows: they are dealt and read
/// as they are, on each step.
pub(super) const SPANS: &str = "spans";
pub(super) const POINTS: &str = "points";
pub(super) const LOGS: &str = "logs";
pub(super) const REQUESTS: &str = "requests";
/// Spans from which what is normal is gathered, likewise.
pub(super) const CANDIDATES: &str = "candidates";

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("bytes", DataType::Binary, true),
    ]))
});

/// Calls `each` at each frame of a stream.
pub(super) fn read(
    input: impl Read,
    mut each: impl FnMut(Frame<'_>) -> io::Result<()>,
) -> io::Result<()> {
    for_each_batch(input, |batch| {
        let keys: &Int64Array = column(batch, "key")?;
        let kinds: &StringArray = column(batch, "kind")?;
        let bytes = Bytes::of(batch, "bytes")?;
        for row in 0..batch.num_rows() {
            each(Frame {
                key: keys.value(row),
                kind: kinds.value(row),
                bytes: bytes.value(row),
            })?;
        }
        Ok(())
    })
}

/// Calls `each` at each batch of a stream; a stream without a byte has none.
pub(super) fn for_each_batch(
    input: impl Read,
    mut each: impl FnMut(&RecordBatch) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    if io::BufRead::fill_buf(&mut input)?.is_empty() {
        return Ok(());
    }
    for batch in StreamReader::try_new(input, None).map_err(bad)? {
        each(&batch.map_err(bad)?)?;
    }
    Ok(())
}

/// A column of bytes, whichever of Arrow's two types it has.
pub(super) enum Bytes<'b> {
    Small(&'b BinaryArray),
    Large(&'b LargeBinaryArray),
}

impl<'b> Bytes<'b> {
    pub(super) fn of(batch: &'b RecordBatch, name: &str) -> io::Result<Self> {
        column(batch, name)
            .map(Bytes::Small)
            .or_else(|_| column(batch, name).map(Bytes::Large))
    }

    pub(super) fn value(&self, row: usize) -> &'b [u8] {
        match self {
            Bytes::Small(array) => array.value(row),
            Bytes::Large(array) => array.value(row),
        }
    }
}

/// A column by its name.
pub(super) fn column<'b, A: Array + 'static>(
    batch: &'b RecordBatch,
    name: &str,
) -> io::Result<&'b A> {
    let column = batch.column_by_name(name);
    let array = column.and_then(|array| array.as_any().downcast_ref::<A>());
    array.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the stream lacks the column `{name}`, or it has another type"),
        )
    })
}

/// Writes frames as an Arrow stream.
pub(super) struct FrameWriter<W: Write> {
    out: StreamWriter<BufWriter<W>>,
    keys: Int64Builder,
    kinds: StringBuilder,
    bytes: BinaryBuilder,
    held: usize,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        Ok(Self {
            out: StreamWriter::try_new_buffered(out, &SCHEMA).map_err(bad)?,
            keys: Int64Builder::new(),
            kinds: StringBuilder::new(),
            bytes: BinaryBuilder::new(),
            held: 0,
        })
    }

    pub(super) fn write(&mut self, frame: Frame<'_>) -> io::Result<()> {
        if self.held > 0 && self.held + frame.bytes.len() > BATCH_BYTES {
            self.flush()?;
        }
        self.keys.append_value(frame.key);
        self.kinds.append_value(frame.kind);
        self.bytes.append_value(frame.bytes);
        self.held += frame.bytes.len() + 1;
        Ok(())
    }

    /// Writes the rows of a partition, if there are any.
    pub(super) fn write_rows(
        &mut self,
        key: i64,
        kind: &str,
        (spool, partition): (&RowSpool, usize),
    ) -> io::Result<()> {
        spool.for_each_packed(partition, |rows| match rows.len {
            0 => Ok(()),
            _ => self.write_packed(key, kind, rows),
        })
    }

    /// Writes rows as they are packed.
    pub(super) fn write_packed(
        &mut self,
        key: i64,
        kind: &str,
        PackedSlice { rows, texts, len }: PackedSlice<'_>,
    ) -> io::Result<()> {
        let columns: [(&str, ArrayRef); 3] = [
            (ROWS, Arc::new(BinaryArray::from_vec(vec![rows]))),
            (TEXTS, Arc::new(BinaryArray::from_vec(vec![texts]))),
            (LEN, Arc::new(UInt64Array::from(vec![len as u64]))),
        ];
        let bytes = &encode(columns)?;
        self.write(Frame { key, kind, bytes })
    }

    /// Writes figures.
    pub(super) fn write_figures(
        &mut self,
        key: i64,
        kind: &str,
        figures: &impl serde::Serialize,
    ) -> io::Result<()> {
        let figures = to_bytes(figures)?;
        let column: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&figures]));
        let bytes = &encode([(FIGURES, column)])?;
        self.write(Frame { key, kind, bytes })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(self.kinds.finish()),
            Arc::new(self.bytes.finish()),
        ];
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns).map_err(bad)?;
        self.out.write(&batch).map_err(bad)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.held > 0 {
            self.flush()?;
        }
        self.out.finish().map_err(bad)?;
        self.out.get_mut().flush()
    }
}

/// Columns of what is in a frame.
const ROWS: &str = "rows";
const TEXTS: &str = "texts";
const LEN: &str = "len";
const FIGURES: &str = "figures";

/// Columns in a third of their size: whatever carries frames copies them several times.
fn encode<const N: usize>(columns: [(&str, ArrayRef); N]) -> io::Result<Vec<u8>> {
    let batch = RecordBatch::try_from_iter(columns).map_err(bad)?;
    let options = IpcWriteOptions::default();
    let options = options.try_with_compression(Some(CompressionType::LZ4_FRAME));
    let mut writer =
        StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options.map_err(bad)?)
            .map_err(bad)?;
    writer.write(&batch).map_err(bad)?;
    writer.into_inner().map_err(bad)
}

/// Calls `each` at the packed rows of a frame.
pub(super) fn packed(
    bytes: &[u8],
    mut each: impl FnMut(PackedSlice<'_>) -> io::Result<()>,
) -> io::Result<()> {
    for_each_batch(bytes, |batch| {
        let [rows, texts]: [&BinaryArray; 2] = [column(batch, ROWS)?, column(batch, TEXTS)?];
        let len: &UInt64Array = column(batch, LEN)?;
        (0..batch.num_rows()).try_for_each(|row| {
            each(PackedSlice {
                rows: rows.value(row),
                texts: texts.value(row),
                len: len.value(row) as usize,
            })
        })
    })
}

/// The figures of a frame.
pub(super) fn figures<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let mut read = None;
    for_each_batch(bytes, |batch| {
        let figures: &BinaryArray = column(batch, FIGURES)?;
        for row in 0..batch.num_rows() {
            read = Some(from_bytes(figures.value(row))?);
        }
        Ok(())
    })?;
    read.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame has no figures"))
}

/// Figures as bytes: MessagePack without names of fields; all steps are of one program.
pub(super) fn to_bytes(figures: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec(figures).map_err(io::Error::other)
}

/// Figures of bytes.
pub(super) fn from_bytes<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        let message =
            format!("figures of a step can't be read, is it of another version? ({error})");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

fn bad(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, source) => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_stream_of_nothing_has_no_frames() {
        let frames = [
            Frame {
                key: 3,
                kind: SPANS,
                bytes: b"abc",
            },
            Frame {
                key: -1,
                kind: "figures",
                bytes: b"",
            },
        ];
        let mut stream = Vec::new();
        let mut writer = FrameWriter::new(&mut stream).expect("a writer");
        for frame in frames {
            writer.write(frame).expect("written");
        }
        writer.finish().expect("finished");
        let mut seen = 0;
        read(&stream[..], |frame| {
            assert_eq!(frame, frames[seen]);
            seen += 1;
            Ok(())
        })
        .expect("read");
        assert_eq!(seen, 2);
        read(&b""[..], |_| unreachable!()).expect("read");
        let error = read(&b"odd bytes that are none"[..], |_| Ok(())).expect_err("bad");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
}

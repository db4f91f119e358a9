//! The messages of an Arrow IPC stream in a file, with their places, so that reading can go on
//! behind one that is damaged.
//! [Format](https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format):
//! a marker, the length of the metadata, the metadata (a flatbuffer), the body. All of it begins at
//! multiples of 8 bytes.

use std::io::{self, Read, Seek, SeekFrom};

use arrow_buffer::Buffer;
use arrow_ipc::{MessageHeader, MetadataVersion, root_as_message};

const MARKER: [u8; 4] = [0xff; 4];
const ALIGNMENT: u64 = 8;
/// Metadata of a ledger has about 2 kB.
const MOST_METADATA: usize = 1 << 16;
/// A writer fills the body up to a multiple of this at most.
const MOST_PADDING: i64 = 64;

/// The bytes of a file as it was when it was opened.
#[derive(Debug)]
pub(super) struct Messages<R> {
    source: R,
    length: u64,
    /// Where the source is.
    position: u64,
}

/// What stands at a place in the file.
#[derive(Debug)]
pub(super) enum Found {
    Message(Frame),
    /// The marker of the end, at the end of the file.
    End,
    /// No message that could be one of a ledger, or one that goes beyond the end of the file.
    Nothing,
}

/// A message whose metadata is well-formed and whose body lies within the file.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) start: u64,
    body: u64,
    /// Where the body ends by what is in it; up to `end` there is padding.
    pub(super) used_end: u64,
    pub(super) end: u64,
    metadata: Vec<u8>,
}

impl Frame {
    pub(super) fn message(&self) -> Option<arrow_ipc::Message<'_>> {
        root_as_message(&self.metadata).ok()
    }
}

impl<R: Read + Seek> Messages<R> {
    pub(super) fn new(mut source: R) -> io::Result<Self> {
        let length = source.seek(SeekFrom::End(0))?;
        Ok(Self {
            source,
            length,
            position: length,
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Looks at a place.
    pub(super) fn at(&mut self, start: u64) -> io::Result<Found> {
        let mut prefix = [0; 8];
        if start.checked_add(8).is_none_or(|end| end > self.length) {
            return Ok(Found::Nothing);
        }
        self.read(start, &mut prefix)?;
        let [m0, m1, m2, m3, l0, l1, l2, l3] = prefix;
        let metadata_length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if [m0, m1, m2, m3] != MARKER {
            return Ok(Found::Nothing);
        }
        if metadata_length == 0 {
            return Ok(match start + 8 == self.length {
                true => Found::End,
                false => Found::Nothing,
            });
        }
        let body = start + 8 + metadata_length as u64;
        if metadata_length > MOST_METADATA || body > self.length {
            return Ok(Found::Nothing);
        }
        let mut metadata = vec![0; metadata_length];
        self.read(start + 8, &mut metadata)?;
        let Some((used, length)) = body_lengths(&metadata) else {
            return Ok(Found::Nothing);
        };
        let end = body.saturating_add(length);
        if end > self.length {
            return Ok(Found::Nothing);
        }
        Ok(Found::Message(Frame {
            start,
            body,
            used_end: (body + used).next_multiple_of(ALIGNMENT),
            end,
            metadata,
        }))
    }

    /// The first place from one on at which there is something.
    pub(super) fn from(&mut self, start: u64) -> io::Result<Option<u64>> {
        const CHUNK: u64 = 1 << 16;
        let mut chunk = Vec::new();
        let mut place = start.next_multiple_of(ALIGNMENT);
        while place < self.length {
            chunk.resize((self.length - place).min(CHUNK) as usize, 0);
            self.read(place, &mut chunk)?;
            for (index, word) in chunk.chunks_exact(ALIGNMENT as usize).enumerate() {
                let here = place + index as u64 * ALIGNMENT;
                if word.starts_with(&MARKER) && !matches!(self.at(here)?, Found::Nothing) {
                    return Ok(Some(here));
                }
            }
            place += CHUNK;
        }
        Ok(None)
    }

    /// The body of a message.
    pub(super) fn body(&mut self, frame: &Frame) -> io::Result<Buffer> {
        let mut bytes = vec![0; (frame.end - frame.body) as usize];
        self.read(frame.body, &mut bytes)?;
        Ok(Buffer::from_vec(bytes))
    }

    fn read(&mut self, place: u64, into: &mut [u8]) -> io::Result<()> {
        // A seek would cost a buffered source its buffer.
        if place != self.position {
            self.source.seek(SeekFrom::Start(place))?;
        }
        self.source.read_exact(into)?;
        self.position = place + into.len() as u64;
        Ok(())
    }
}

/// How much of the body is in use, and its length; none: this is no message of a ledger.
fn body_lengths(metadata: &[u8]) -> Option<(u64, u64)> {
    let message = root_as_message(metadata).ok()?;
    if !matches!(message.version(), MetadataVersion::V4 | MetadataVersion::V5) {
        return None;
    }
    let batch = match message.header_type() {
        MessageHeader::Schema => None,
        MessageHeader::DictionaryBatch => Some(message.header_as_dictionary_batch()?.data()?),
        MessageHeader::RecordBatch => Some(message.header_as_record_batch()?),
        _ => return None,
    };
    let mut used = 0;
    for buffer in batch.and_then(|batch| batch.buffers()).iter().flatten() {
        if buffer.offset() < 0 || buffer.length() < 0 {
            return None;
        }
        used = buffer.offset().checked_add(buffer.length())?.max(used);
    }
    let length = message.bodyLength();
    let is_padded = (0..MOST_PADDING).contains(&length.checked_sub(used)?);
    let is_aligned = length % ALIGNMENT as i64 == 0;
    (is_padded && is_aligned).then_some((used as u64, length as u64))
}

//! Files of telemetry of any form, cut into units that can be decoded apart from each other.
//!
//! Forms are told apart by content and not by name. Those of the Collector's file exporter are
//! taken from its source (exporter/fileexporter). Reading and decompression are on the thread that
//! calls [`Source::next_unit`]; everything else is [`decode`], on whatever thread.

mod documents;
mod form;
mod frames;
mod layer;
mod lines;
mod paths;
mod place;
mod unit;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

pub use form::looks_like_telemetry;
pub use paths::{backup, expand, passed_over};
pub use place::line_and_column;
pub use unit::{Skipped, Unit, UnitSummary, decode, requests};

use documents::Documents;
use form::Form;
use frames::Frames;
use layer::Damage;
use lines::Lines;

/// A message of more bytes is passed over rather than held in memory. A Collector's largest has a
/// few megabytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Bytes of a unit, unless a single message is longer.
pub const UNIT_BYTES: usize = 1 << 20;

/// What a zstd frame begins with (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest window of a zstd frame that is decoded: 128 MiB, what `zstd -d` takes, too.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// A file of telemetry.
pub struct Source {
    /// None where it can't be read again.
    file: Option<File>,
    len: Option<u64>,
    /// Bytes of the same as JSON for each byte of the file, roughly.
    times: u64,
    cutter: Cutter,
    damage: Damage,
}

type Reader = Box<dyn BufRead + Send>;

/// By what messages are told from each other.
enum Cutter {
    Lines(Lines<Reader>),
    Frames(Frames<Reader>),
    Documents(Documents<Reader>),
    /// Nothing has been read of the file. It takes no memory until then, nor after its end: an input
    /// may have thousands of files.
    Start,
    /// There is nothing left.
    End,
}

impl Source {
    /// Opens a file, or a pipe.
    ///
    /// A file is read up to the length that it has now, so that one that is still being written
    /// gives the same units each time it is gone through.
    ///
    /// # Errors
    /// When it can't be opened or is a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            let message = "is a directory";
            return Err(io::Error::new(io::ErrorKind::IsADirectory, message));
        }
        if !metadata.is_file() {
            return Self::from_reader(file);
        }
        let len = metadata.len();
        Self::of_file(file, len)
    }

    /// Reads the first `len` bytes of a file that is open, whatever its name is by now. Its position
    /// is moved.
    ///
    /// # Errors
    /// When it has no position.
    pub fn of_file(mut file: File, len: u64) -> io::Result<Self> {
        file.rewind()?;
        let times = form::json_bytes(&form::head(&mut (&file).take(len.min(16)))?);
        let mut source = Self {
            file: Some(file),
            len: Some(len),
            times,
            cutter: Cutter::Start,
            damage: Damage::default(),
        };
        source.rewind()?;
        Ok(source)
    }

    /// Goes on in a file of plain lines behind its first `from` bytes, which end with a line, up to
    /// the last whole line within its first `len` bytes; and where that ends. None where messages
    /// are not plain lines: such a file can only be read from its start. Messages count from 0.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn lines_since(file: &File, from: u64, len: u64) -> io::Result<Option<(Self, u64)>> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        if !form::is_plain_lines(&form::head(&mut (&file).take(len))?) {
            return Ok(None);
        }
        let end = lines::last_end(&mut file, from, len)?;
        file.seek(SeekFrom::Start(from))?;
        let reader: Reader = Box::new(BufReader::new(file.take(end - from)));
        let source = Self {
            file: None,
            len: Some(end - from),
            times: 1,
            cutter: Cutter::Lines(Lines::new(reader)),
            damage: Damage::default(),
        };
        Ok(Some((source, end)))
    }

    /// Reads from something that can be gone through once.
    ///
    /// # Errors
    /// When its first bytes can't be read.
    pub fn from_reader(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (cutter, damage) = start(Box::new(reader))?;
        Ok(Self {
            file: None,
            len: None,
            times: 1,
            cutter,
            damage,
        })
    }

    /// Bytes of what is in the file, roughly, if all of it were JSON: its length when it was opened,
    /// or a multiple of that where it is compressed or protobuf. None of a pipe.
    pub fn content_bytes(&self) -> Option<u64> {
        Some(self.len?.saturating_mul(self.times))
    }

    /// Goes back to the start.
    ///
    /// # Errors
    /// When it is a pipe.
    pub fn rewind(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            let message = "a pipe can't be read twice";
            return Err(io::Error::new(io::ErrorKind::NotSeekable, message));
        };
        file.rewind()?;
        (self.cutter, self.damage) = (Cutter::Start, Damage::default());
        Ok(())
    }

    /// Fills a unit, whose memory is used again; false at the end.
    ///
    /// # Errors
    /// When the file can't be read. What is damaged in it is no error: it is named by [`decode`].
    pub fn next_unit(&mut self, unit: &mut Unit) -> io::Result<bool> {
        if let (Cutter::Start, Some(file), Some(len)) = (&self.cutter, &self.file, self.len) {
            (self.cutter, self.damage) = start(Box::new(file.try_clone()?.take(len)))?;
        }
        let more = match &mut self.cutter {
            Cutter::Lines(lines) => lines.next(unit),
            Cutter::Frames(frames) => frames.next(unit),
            Cutter::Documents(documents) => documents.next(unit),
            Cutter::Start | Cutter::End => Ok(false),
        }?;
        if more {
            return Ok(true);
        }
        self.cutter = Cutter::End;
        if let Some((reason, torn)) = self.damage.take() {
            unit.skip(reason, torn);
            return Ok(true);
        }
        Ok(false)
    }
}

fn start(reader: Box<dyn Read + Send>) -> io::Result<(Cutter, Damage)> {
    let damage = Damage::default();
    let (form, reader) = layer::innermost(reader, &damage)?;
    let cutter = match form {
        Form::Frames(prefix) => Cutter::Frames(Frames::new(reader, prefix)),
        Form::Documents => Cutter::Documents(Documents::new(reader)),
        Form::Lines | Form::Utf16(_) | Form::Gzip | Form::Zstd => Cutter::Lines(Lines::new(reader)),
    };
    Ok((cutter, damage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counts, Signal, Sink};

    struct Nothing;

    impl Sink for Nothing {}

    const MESSAGE: &str = "{\"resourceSpans\":[]}\n";

    fn messages(mut source: Source) -> u64 {
        let (mut unit, mut counts) = (Unit::default(), Counts::default());
        while source.next_unit(&mut unit).expect("readable") {
            let summary = decode(&unit, &mut Nothing);
            assert_eq!(summary.skipped, []);
            counts.add(summary.counts);
        }
        counts.messages(Signal::Traces)
    }

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, content).expect("written");
        file
    }

    #[test]
    fn reading_goes_on_behind_a_line_and_ends_with_a_whole_one() {
        let length = MESSAGE.len() as u64;
        let content = MESSAGE.repeat(3) + &MESSAGE[..9];
        let file = file(content.as_bytes());
        let since = |from, len| {
            let (source, end) = Source::lines_since(&file, from, len).expect("readable")?;
            Some((messages(source), end))
        };
        assert_eq!(since(0, 3 * length + 9), Some((3, 3 * length)));
        assert_eq!(since(length, 3 * length + 9), Some((2, 3 * length)));
        assert_eq!(since(length, 2 * length + 1), Some((1, 2 * length)));
        assert_eq!(since(3 * length, 3 * length + 9), Some((0, 3 * length)));
    }

    #[test]
    fn the_end_stays_the_end_until_the_source_is_rewound() {
        let mut source = Source::of_file(file(MESSAGE.as_bytes()), MESSAGE.len() as u64);
        let source = source.as_mut().expect("a source");
        let mut unit = Unit::default();
        for _ in 0..2 {
            assert!(source.next_unit(&mut unit).expect("readable"));
            assert!(!source.next_unit(&mut unit).expect("readable"));
            assert!(!source.next_unit(&mut unit).expect("readable"));
            source.rewind().expect("a file");
        }
    }

    #[test]
    fn what_is_not_plain_lines_can_not_be_read_from_the_middle() {
        let packed = zstd::bulk::compress(MESSAGE.as_bytes(), 1).expect("compressed");
        let length = packed.len() as u64;
        let since = Source::lines_since(&file(&packed), 0, length);
        assert!(since.expect("readable").is_none());
        let whole = Source::of_file(file(&packed), length).expect("readable");
        assert_eq!(messages(whole), 1);
    }
}

//! Cuts files into blocks of whole lines.
//!
//! A file is read up to the length it had when it was opened, so that one that is still being
//! written gives the same lines each time it is gone through. A pipe is read to its end, once.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use super::forms;

/// Size of a block, in bytes, unless a single line is longer.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// A line of so many bytes or more is skipped rather than held in memory. A Collector's largest
/// message is a few megabytes.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// An input file, which can be gone through more than once; of a pipe it is a copy.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    file: File,
    /// Bytes to read: the length when it was opened.
    len: u64,
    /// Messages that could not even be made lines.
    pub(crate) lost: Vec<forms::Lost>,
}

impl Input {
    /// Opens a file, of whatever form; `scratch` is a folder for what has to be kept while it is
    /// read.
    pub(crate) fn open(path: &Path, scratch: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "is a directory",
            ));
        }
        let mut len = metadata.len();
        if file.rewind().is_err() {
            // Everything is read twice, which a pipe can't be.
            let mut copy = tempfile::tempfile_in(scratch)?;
            len = io::copy(&mut file, &mut copy)?;
            file = copy;
        }
        let mut lost = Vec::new();
        if let Some((lines, lost_on_the_way)) = forms::to_lines(&mut file, scratch)? {
            len = lines.metadata()?.len();
            (file, lost) = (lines, lost_on_the_way);
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            len,
            lost,
        })
    }

    /// Bytes in it.
    pub(crate) fn len_hint(&self) -> u64 {
        self.len
    }

    /// The blocks from the start of the file.
    pub(crate) fn blocks(&self) -> io::Result<Blocks<&File>> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(Blocks::new(file, self.len, BLOCK_BYTES, MAX_LINE_BYTES))
    }
}

/// Whole lines of a file. Only the last line of a file can lack its newline.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Position of the file in the list of inputs.
    pub(crate) file: usize,
    /// Number of the block over all files, the same each time they are gone through.
    pub(crate) sequence: u32,
    /// Offset of the first byte in the file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// The block stands for one line that was too long to keep: its length in bytes.
    pub(crate) too_long: Option<u64>,
}

/// Cuts one file.
#[derive(Debug)]
pub(crate) struct Blocks<R> {
    source: io::Take<R>,
    block_bytes: usize,
    max_line_bytes: usize,
    /// What has been read after the last newline.
    rest: Vec<u8>,
    offset: u64,
}

impl<R: Read> Blocks<R> {
    fn new(source: R, len: u64, block_bytes: usize, max_line_bytes: usize) -> Self {
        let source = source.take(len);
        Self {
            source,
            block_bytes,
            max_line_bytes,
            rest: Vec::new(),
            offset: 0,
        }
    }

    /// Fills a block; false at the end of the file. The block's memory is used again.
    pub(crate) fn next_into(&mut self, block: &mut Block) -> io::Result<bool> {
        block.bytes.clear();
        block.too_long = None;
        block.offset = self.offset;
        block.bytes.append(&mut self.rest);
        let mut searched = 0;
        let mut wanted = self.block_bytes;
        loop {
            let missing = wanted.saturating_sub(block.bytes.len()).max(1) as u64;
            let read = self
                .source
                .by_ref()
                .take(missing)
                .read_to_end(&mut block.bytes)?;
            if let Some(newline) = memchr::memrchr(b'\n', &block.bytes[searched..]) {
                let end = searched + newline + 1;
                self.rest.extend_from_slice(&block.bytes[end..]);
                block.bytes.truncate(end);
                self.offset += end as u64;
                return Ok(true);
            }
            // From here on the block is the beginning of one line.
            if (read as u64) < missing {
                self.offset += block.bytes.len() as u64;
                return Ok(!block.bytes.is_empty());
            }
            if block.bytes.len() >= self.max_line_bytes {
                self.skip_line(block)?;
                return Ok(true);
            }
            searched = block.bytes.len();
            wanted = (searched * 2).min(self.max_line_bytes);
        }
    }

    /// Reads on to the next newline without keeping anything of the line.
    fn skip_line(&mut self, block: &mut Block) -> io::Result<()> {
        let mut length = block.bytes.len() as u64;
        loop {
            block.bytes.clear();
            self.source
                .by_ref()
                .take(self.block_bytes as u64)
                .read_to_end(&mut block.bytes)?;
            if let Some(newline) = memchr::memchr(b'\n', &block.bytes) {
                length += newline as u64 + 1;
                self.rest.extend_from_slice(&block.bytes[newline + 1..]);
                break;
            }
            if block.bytes.is_empty() {
                break;
            }
            length += block.bytes.len() as u64;
        }
        // The memory that the line took is given back.
        block.bytes = Vec::new();
        block.too_long = Some(length);
        self.offset += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: usize = 64;
    const MAX_LINE: usize = 300;

    fn all(bytes: &[u8]) -> Vec<(u64, Vec<u8>, Option<u64>)> {
        let mut blocks = Blocks::new(bytes, bytes.len() as u64, BLOCK, MAX_LINE);
        let mut block = Block::default();
        let mut out = Vec::new();
        while blocks.next_into(&mut block).expect("memory can be read") {
            out.push((block.offset, block.bytes.clone(), block.too_long));
        }
        out
    }

    proptest! {
        #[test]
        fn blocks_are_the_file_cut_after_newlines_without_the_lines_that_are_too_long(
            lengths in prop::collection::vec(prop_oneof![0usize..20, 0usize..400, 290usize..900], 0..20),
            newline_at_end: bool,
        ) {
            let mut bytes = Vec::new();
            for length in &lengths {
                bytes.resize(bytes.len() + length, b'x');
                bytes.push(b'\n');
            }
            if !newline_at_end {
                bytes.pop();
            }
            let kept: Vec<u8> = bytes
                .split_inclusive(|&b| b == b'\n')
                .filter(|line| line.strip_suffix(b"\n").unwrap_or(line).len() < MAX_LINE)
                .flatten()
                .copied()
                .collect();
            let blocks = all(&bytes);
            let mut offset = 0;
            for (index, (at, block, too_long)) in blocks.iter().enumerate() {
                prop_assert_eq!(*at, offset);
                match too_long {
                    Some(length) => {
                        prop_assert!(block.is_empty() && *length >= MAX_LINE as u64);
                        offset += length;
                    }
                    None => {
                        prop_assert!(index + 1 == blocks.len() || block.ends_with(b"\n"));
                        prop_assert!(block.len() <= MAX_LINE.max(BLOCK) + BLOCK);
                        offset += block.len() as u64;
                    }
                }
            }
            prop_assert_eq!(offset, bytes.len() as u64);
            prop_assert_eq!(blocks.into_iter().flat_map(|b| b.1).collect::<Vec<u8>>(), kept);
        }
    }

    #[test]
    fn what_is_appended_later_is_not_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("traces.jsonl");
        std::fs::write(&path, b"a\nb").expect("written");
        let input = Input::open(&path, Path::new(".")).expect("opened");
        std::fs::write(&path, b"a\nbc\nd\n").expect("written");
        for _ in 0..2 {
            let mut block = Block::default();
            let mut blocks = input.blocks().expect("rewound");
            let mut read = Vec::new();
            while blocks.next_into(&mut block).expect("read") {
                read.extend_from_slice(&block.bytes);
            }
            assert_eq!(read, b"a\nb");
        }
    }
}

//! Records packed as rows of bytes: what the first reading of the input writes, and all later stages
//! read instead of the input. Why not Arrow right away: `docs/design/0120-rows-until-they-are-dealt.md`.
//!
//! A row is a header, the numbers that are not null, and the lengths of the texts that are not null.
//! The texts themselves stand one behind the other in a place of their own, so that they are checked
//! as a whole and not one by one.

use std::io;
use std::ops::Range;

/// Bytes of a header: the row's hash, its own length, that of its texts, and which columns are not
/// null.
const HEADER: usize = 8 + 2 + 4 + 4;

/// Rows of one kind, in the order of their coming.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    rows: Vec<u8>,
    texts: Vec<u8>,
    len: usize,
}

/// The same, where it lies in the memory of another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedSlice<'p> {
    pub(crate) rows: &'p [u8],
    pub(crate) texts: &'p [u8],
    pub(crate) len: usize,
}

/// A place in rows, to which they can be cut back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    rows: usize,
    texts: usize,
    len: usize,
}

/// A row as it is packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'p> {
    pub(super) hash: u64,
    pub(super) row: &'p [u8],
    pub(super) text: &'p [u8],
}

impl Packed {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of text.
    pub(super) fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() + self.texts.len()
    }

    /// The end, as it is now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            rows: self.rows.len(),
            texts: self.texts.len(),
            len: self.len,
        }
    }

    /// Takes back what came behind a mark.
    pub(super) fn cut(&mut self, mark: Mark) {
        self.rows.truncate(mark.rows);
        self.texts.truncate(mark.texts);
        self.len = mark.len;
    }

    /// Bytes that there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.rows.capacity() + self.texts.capacity()
    }

    /// Makes room for so many bytes, half of them of text.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.rows.reserve(bytes / 2);
        self.texts.reserve(bytes / 2);
    }

    /// Without rows, and with the memory that it has.
    pub(crate) fn clear(&mut self) {
        self.cut(Mark::default());
    }

    /// Begins a row.
    pub(crate) fn begin(&mut self, hash: u64) -> Mark {
        let mark = self.mark();
        self.rows.extend_from_slice(&hash.to_le_bytes());
        self.rows.extend_from_slice(&[0; HEADER - 8]);
        mark
    }

    /// Ends the row that began at a mark; a bit of `present` is set for each column that is not null.
    pub(crate) fn end(&mut self, begun: Mark, present: u32) {
        // Rows have a few dozens of numbers; a message, and so its texts, has 64 MiB at the most.
        let row = (self.rows.len() - begun.rows) as u16;
        let texts = (self.texts.len() - begun.texts) as u32;
        let header = &mut self.rows[begun.rows + 8..begun.rows + HEADER];
        header[..2].copy_from_slice(&row.to_le_bytes());
        header[2..6].copy_from_slice(&texts.to_le_bytes());
        header[6..].copy_from_slice(&present.to_le_bytes());
        self.len += 1;
    }

    /// Adds a number to the row.
    #[inline]
    pub(super) fn put<const BYTES: usize>(&mut self, number: [u8; BYTES]) {
        self.rows.extend_from_slice(&number);
    }

    /// Adds a text to the row.
    #[inline]
    pub(super) fn put_text(&mut self, text: &str) {
        let mut length = text.len();
        while length >= 0x80 {
            self.rows.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.rows.push(length as u8);
        self.texts.extend_from_slice(text.as_bytes());
    }

    /// Adds a row that is packed already.
    pub(super) fn push(&mut self, raw: Raw<'_>) {
        self.rows.extend_from_slice(raw.row);
        self.texts.extend_from_slice(raw.text);
        self.len += 1;
    }

    /// What it is, for a file.
    pub(crate) fn slice(&self) -> PackedSlice<'_> {
        PackedSlice {
            rows: &self.rows,
            texts: &self.texts,
            len: self.len,
        }
    }

    /// From what [`slice`](Self::slice) gave.
    pub(super) fn from_parts(rows: Vec<u8>, texts: Vec<u8>, len: usize) -> Self {
        Self { rows, texts, len }
    }

    /// Calls `each` with every row.
    pub(super) fn for_each(&self, each: impl FnMut(Raw<'_>) -> io::Result<()>) -> io::Result<()> {
        self.slice().for_each(each)
    }

    /// A way through the rows.
    pub(crate) fn reader(&self) -> io::Result<Reader<'_>> {
        let texts = std::str::from_utf8(&self.texts).map_err(|_| damaged())?;
        Ok(Reader {
            rows: &self.rows,
            texts,
        })
    }
}

impl<'p> PackedSlice<'p> {
    /// A copy of them.
    pub(crate) fn to_packed(self) -> Packed {
        Packed::from_parts(self.rows.to_vec(), self.texts.to_vec(), self.len)
    }

    /// Calls `each` with every row.
    pub(super) fn for_each(
        &self,
        mut each: impl FnMut(Raw<'p>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut rows, mut texts) = (0, 0);
        for _ in 0..self.len {
            let header = Header::at(self.rows, rows)?;
            let (row, text) = (rows..rows + header.row, texts..texts + header.texts);
            (rows, texts) = (row.end, text.end);
            each(Raw {
                hash: header.hash,
                row: slice(self.rows, row)?,
                text: slice(self.texts, text)?,
            })?;
        }
        Ok(())
    }
}

struct Header {
    hash: u64,
    row: usize,
    texts: usize,
    present: u32,
}

impl Header {
    fn at(rows: &[u8], at: usize) -> io::Result<Self> {
        let header = rows.get(at..).and_then(|rows| rows.first_chunk::<HEADER>());
        let [a, b, c, d, e, f, g, h, row @ .., p, q, r, s] = header.ok_or_else(damaged)?;
        let [k, l, t, u, v, w] = row;
        Ok(Self {
            hash: u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            row: u16::from_le_bytes([*k, *l]).into(),
            texts: u32::from_le_bytes([*t, *u, *v, *w]) as usize,
            present: u32::from_le_bytes([*p, *q, *r, *s]),
        })
    }
}

/// A place in packed rows.
#[derive(Debug)]
pub(crate) struct Reader<'p> {
    rows: &'p [u8],
    texts: &'p str,
}

impl<'p> Reader<'p> {
    /// Goes into the next row. Gives which of its columns are not null.
    pub(crate) fn next_row(&mut self) -> io::Result<u32> {
        let header = Header::at(self.rows, 0)?;
        self.rows = &self.rows[HEADER..];
        Ok(header.present)
    }

    /// Goes past the next row.
    pub(crate) fn pass_row(&mut self) -> io::Result<()> {
        let header = Header::at(self.rows, 0)?;
        self.rows = self.rows.get(header.row..).ok_or_else(damaged)?;
        let texts = self.texts.split_at_checked(header.texts);
        (_, self.texts) = texts.ok_or_else(damaged)?;
        Ok(())
    }

    /// The next number of the row.
    #[inline]
    pub(super) fn take<const BYTES: usize>(&mut self) -> io::Result<[u8; BYTES]> {
        let (number, rest) = self.rows.split_first_chunk().ok_or_else(damaged)?;
        self.rows = rest;
        Ok(*number)
    }

    /// The next text of the row.
    #[inline]
    pub(super) fn text(&mut self) -> io::Result<&'p str> {
        let mut length = 0;
        for shift in (0..32).step_by(7) {
            let [byte] = self.take()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let (text, rest) = self.texts.split_at_checked(length).ok_or_else(damaged)?;
        self.texts = rest;
        Ok(text)
    }
}

fn slice(bytes: &[u8], range: Range<usize>) -> io::Result<&[u8]> {
    bytes.get(range).ok_or_else(damaged)
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a working file of the extraction is damaged: extract again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(packed: &mut Packed, hash: u64, number: Option<u64>, text: Option<&str>) {
        let begun = packed.begin(hash);
        let mut present = 0;
        if let Some(number) = number {
            present |= 1;
            packed.put(number.to_le_bytes());
        }
        if let Some(text) = text {
            present |= 2;
            packed.put_text(text);
        }
        packed.end(begun, present);
    }

    fn unpack(packed: &Packed) -> Vec<(Option<u64>, Option<String>)> {
        let mut reader = packed.reader().expect("text");
        let mut rows = Vec::new();
        for _ in 0..packed.len() {
            let present = reader.next_row().expect("a row");
            let number = (present & 1 > 0).then(|| reader.take().expect("a number"));
            let text = (present & 2 > 0).then(|| reader.text().expect("a text").to_owned());
            rows.push((number.map(u64::from_le_bytes), text));
        }
        rows
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out(
            rows in prop::collection::vec((any::<u64>(), any::<Option<u64>>(), any::<Option<String>>()), 0..20),
            long in 0usize..70_000,
        ) {
            let mut packed = Packed::default();
            for (hash, number, text) in &rows {
                pack(&mut packed, *hash, *number, text.as_deref());
            }
            let mark = packed.mark();
            let text = "x".repeat(long);
            pack(&mut packed, 7, None, Some(&text));
            prop_assert_eq!(packed.len(), rows.len() + 1);
            prop_assert_eq!(unpack(&packed).pop(), Some((None, Some(text))));
            // What is copied row by row is the same.
            let mut copy = Packed::default();
            let mut hashes = Vec::new();
            packed.for_each(|raw| {
                hashes.push(raw.hash);
                copy.push(raw);
                Ok(())
            }).expect("rows");
            prop_assert_eq!(unpack(&copy), unpack(&packed));
            packed.cut(mark);
            let expected: Vec<_> = rows.iter().map(|(_, n, t)| (*n, t.clone())).collect();
            prop_assert_eq!(unpack(&packed), expected);
            hashes.pop();
            prop_assert_eq!(hashes, rows.iter().map(|row| row.0).collect::<Vec<_>>());
        }

        #[test]
        fn damage_is_an_error_and_no_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            texts in prop::collection::vec(any::<u8>(), 0..20),
            len in 0usize..4,
        ) {
            let packed = Packed::from_parts(bytes, texts, len);
            let _ = packed.for_each(|_| Ok(()));
            if let Ok(mut reader) = packed.reader() {
                while reader.next_row().is_ok() {
                    let _ = reader.take::<8>();
                    let _ = reader.text();
                    let _ = reader.pass_row();
                }
            }
        }
    }
}

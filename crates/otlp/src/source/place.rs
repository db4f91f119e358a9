//! Where a byte of a file is for people: its line and column.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::form::Form;
use super::layer::{self, Damage};

const BLOCK: usize = 1 << 16;

/// The line and the column of a byte of a file, both from 1, and the column in characters. The byte
/// counts behind decompression. None of a file that is no text, or can't be read again.
pub fn line_and_column(path: &Path, byte: u64) -> Option<(u64, u64)> {
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let (form, reader) = layer::innermost(Box::new(file), &Damage::default()).ok()?;
    match form {
        Form::Lines | Form::Documents => count(reader.take(byte)).ok(),
        Form::Frames(_) | Form::Utf16(_) | Form::Gzip | Form::Zstd => None,
    }
}

/// The line and the column behind a text.
fn count(mut text: impl Read) -> io::Result<(u64, u64)> {
    let (mut line, mut column) = (1, 1);
    let mut block = vec![0; BLOCK];
    let mut is_start = true;
    loop {
        let read = text.read(&mut block)?;
        if read == 0 {
            return Ok((line, column));
        }
        let has_mark = block[..read].starts_with("\u{feff}".as_bytes());
        if std::mem::take(&mut is_start) && has_mark {
            column = 0;
        }
        for byte in &block[..read] {
            match byte {
                b'\n' => (line, column) = (line + 1, 1),
                // Behind the first byte of a character.
                0x80..0xc0 => {}
                _ => column += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_of_the_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let text = "{\n\u{e9}a{";
        for content in [
            text.as_bytes().to_vec(),
            zstd::bulk::compress(text.as_bytes(), 1).expect("packed"),
        ] {
            std::fs::write(&path, content).expect("written");
            let places = [0, 1, 2, 4, 5, 99].map(|byte| line_and_column(&path, byte));
            let expected = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (2, 4)];
            assert_eq!(places, expected.map(Some));
        }
        std::fs::write(&path, "\u{feff}{").expect("written");
        let places = [0, 3, 4].map(|byte| line_and_column(&path, byte));
        assert_eq!(places, [Some((1, 1)), Some((1, 1)), Some((1, 2))]);
        std::fs::write(&path, b"\0\0\0\x05\x0a\x03abc").expect("written");
        assert_eq!(line_and_column(&path, 5), None);
        assert_eq!(line_and_column(&folder.path().join("no"), 5), None);
    }
}

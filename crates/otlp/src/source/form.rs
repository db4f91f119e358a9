//! What a file is, by its first bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::documents::Braces;
use super::frames::{Prefix, begins_with_varint};
use super::{MAX_MESSAGE_BYTES, ZSTD_MAGIC};

/// So many bytes are enough to tell a form.
pub(super) const SNIFFED: usize = 4096;

/// Which of two bytes comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endian {
    Big,
    Little,
}

/// How messages are told from each other, or how they are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One message a line.
    Lines,
    /// Messages with their length before them.
    Frames(Prefix),
    /// JSON over many lines, in lists, or in an answer of Jaeger.
    Documents,
    /// Text of two bytes for a letter.
    Utf16(Endian),
    Gzip,
    /// A stream of whole zstd frames.
    Zstd,
}

/// Whether a file begins as telemetry does.
///
/// # Errors
/// When it can't be read.
pub fn looks_like_telemetry(path: &Path) -> io::Result<bool> {
    let head = head(&mut File::open(path)?)?;
    let names_a_resource = || memchr::memmem::find(&head, b"\"resource").is_some();
    Ok(match Form::of(&head) {
        Form::Lines => names_a_resource(),
        Form::Documents => names_a_resource() || is_jaegers(text(&head)),
        Form::Frames(_) | Form::Utf16(_) | Form::Gzip | Form::Zstd => true,
    })
}

/// Whether a file that begins so has one JSON message a line and is not compressed.
pub(super) fn is_plain_lines(head: &[u8]) -> bool {
    Form::of(head) == Form::Lines && text(head).starts_with(b"{")
}

/// How many bytes of JSON a byte of a file that begins so stands for, roughly: 10 to 20 where it is
/// compressed by gzip or zstd, single messages less; 2 of protobuf.
pub(super) fn json_bytes(head: &[u8]) -> u64 {
    match Form::of(head) {
        Form::Gzip | Form::Zstd => 10,
        Form::Frames(Prefix::Varint) => 2,
        Form::Frames(Prefix::Fixed) => match head.get(4..) {
            Some(message) if message.starts_with(&ZSTD_MAGIC) => 10,
            Some(message) if message.starts_with(b"{") => 1,
            _ => 2,
        },
        Form::Lines | Form::Documents | Form::Utf16(_) => 1,
    }
}

/// The first bytes of a file.
pub(super) fn head(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFFED);
    source.take(SNIFFED as u64).read_to_end(&mut head)?;
    Ok(head)
}

impl Form {
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => return Form::Gzip,
            head if head.starts_with(&ZSTD_MAGIC) => return Form::Zstd,
            // A byte order mark, or the beginning of JSON without one, maybe behind white space.
            [0xff, 0xfe, ..] | [b'{' | b'[' | b'\n' | b'\r' | b' ' | b'\t', 0, ..] => {
                return Form::Utf16(Endian::Little);
            }
            [0xfe, 0xff, ..] | [0, b'{' | b'[', 0, ..] => return Form::Utf16(Endian::Big),
            [0, b'\n' | b'\r' | b' ' | b'\t', 0, next, 0, ..] if b"{[\n\r \t".contains(next) => {
                return Form::Utf16(Endian::Big);
            }
            [0, b, c, d, first, ..] => {
                let length = u32::from_be_bytes([0, *b, *c, *d]) as usize;
                // 0x0a begins field 1 of a protobuf message, which is all that these messages
                // have; the others begin JSON and a zstd frame.
                let begins = [0x0a, b'{', 0x28].contains(first);
                if begins && (1..=MAX_MESSAGE_BYTES).contains(&length) {
                    return Form::Frames(Prefix::Fixed);
                }
            }
            _ => {}
        }
        if begins_with_varint(head) {
            return Form::Frames(Prefix::Varint);
        }
        let text = text(head);
        if text.starts_with(b"[") || is_jaegers(text) || goes_on(text) || has_bare_brace(text) {
            Form::Documents
        } else {
            Form::Lines
        }
    }
}

/// What follows a byte order mark and white space.
fn text(head: &[u8]) -> &[u8] {
    let mark = "\u{feff}".as_bytes();
    head.strip_prefix(mark).unwrap_or(head).trim_ascii_start()
}

/// Whether it begins as an answer of Jaeger's query API, a trace of Jaeger, or a list of these.
fn is_jaegers(text: &[u8]) -> bool {
    const FIRST: [&[u8]; 8] = [
        b"\"data\"",
        b"\"total\"",
        b"\"limit\"",
        b"\"offset\"",
        b"\"errors\"",
        b"\"traceID\"",
        b"\"spans\"",
        b"\"processes\"",
    ];
    let text = text.strip_prefix(b"[").unwrap_or(text).trim_ascii_start();
    let inside = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|inside| FIRST.iter().any(|key| inside.starts_with(key)))
}

/// Whether an object goes on behind its first line. (A line that was torn when its writer was
/// killed is followed by the `{` of another.)
fn goes_on(text: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', text).filter(|_| text.starts_with(b"{")) else {
        return false;
    };
    let mut braces = Braces::default();
    text[..end].iter().for_each(|b| braces.take(*b));
    let mut next = text[end..].iter().filter(|b| !b"\r\n".contains(b));
    braces.depth > 0 && next.next().is_some_and(|b| *b != b'{')
}

/// Whether a line is nothing but the beginning of an object: it goes on over more lines, whatever
/// stands before it.
fn has_bare_brace(text: &[u8]) -> bool {
    // The last line may be cut.
    let whole = text.split_inclusive(|b| *b == b'\n');
    let mut whole = whole.filter_map(|line| line.strip_suffix(b"\n"));
    whole.any(|line| line.trim_ascii_end() == b"{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Form); 32] = [
            (b"{\"resourceSpans\":[]}\n", Form::Lines),
            (b"\n\n{\"resourceSpans\":[]}\n", Form::Lines),
            (b"\xef\xbb\xbf{\"resourceSpans\":[]}\n", Form::Lines),
            (
                b"{\"resourceSpans\":[{\"res\n{\"resourceSpans\":[]}\n",
                Form::Lines,
            ),
            (b"{\n  \"resourceSpans\": []\n}\n", Form::Documents),
            (b"{ \"resourceSpans\": [\n  {}\n]}\n", Form::Documents),
            (b"{\"resourceSpans\": [\n{}\n]}\n", Form::Lines),
            (b"[{\"resourceSpans\":[]}]", Form::Documents),
            (b"{\"resourceSpans\":[]}\n{\r\n  \"a\"", Form::Documents),
            (b"HTTP/1.1 200 OK\r\n\r\n{\n  \"data\"", Form::Documents),
            (b"{\"resourceSpans\":[]}\n{", Form::Lines),
            (b"{\"data\":[{\"traceID\":\"1\"}]}", Form::Documents),
            (b"\xef\xbb\xbf{\"data\":[", Form::Documents),
            (b"{\n  \"data\": [", Form::Documents),
            (b"{\"traceID\":\"1\",", Form::Documents),
            (b"\x1f\x8b\x08", Form::Gzip),
            (b"\x28\xb5\x2f\xfd", Form::Zstd),
            (b"\0\0\0\x05\x0a\x03abc", Form::Frames(Prefix::Fixed)),
            (b"\0\0\0\x05\x28\xb5\x2f\xfd", Form::Frames(Prefix::Fixed)),
            (b"\x05\0\0\0\x0a\x03abc", Form::Lines),
            (b"\x06\x0a\x04\x0a\x02\x0a\0", Form::Frames(Prefix::Varint)),
            (b"\x02\x0a\0\x02\x0a\0", Form::Frames(Prefix::Varint)),
            (b"\x05\x0a\x04\x0a\x02\x0a\0", Form::Lines),
            (b"\xff\xfe{\0\"\0", Form::Utf16(Endian::Little)),
            (b"[\0{\0", Form::Utf16(Endian::Little)),
            (b"\xfe\xff\0{\0\"", Form::Utf16(Endian::Big)),
            (b"\0{\0\"\0r", Form::Utf16(Endian::Big)),
            (b"\r\0\n\0{\0\"\0", Form::Utf16(Endian::Little)),
            (b"\0\n\0{\0\"", Form::Utf16(Endian::Big)),
            (b"\0\x0a\0{\x0a\x03abc", Form::Frames(Prefix::Fixed)),
            (b"", Form::Lines),
            (b"hello", Form::Lines),
        ];
        for (head, form) in cases {
            assert_eq!(Form::of(head), form, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn what_looks_like_telemetry_is_told_from_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let looks = |content: &[u8]| {
            let path = folder.path().join("file");
            std::fs::write(&path, content).expect("written");
            looks_like_telemetry(&path).expect("readable")
        };
        assert!(
            looks(b"{\"resourceLogs\":[]}") && looks(b"{\"data\":[]}") && looks(b"\x1f\x8b\x08")
        );
        assert!(!looks(b"words") && !looks(b"") && !looks(b"[{\"a\":1}]"));
    }
}

//! The forms in which telemetry is stored, told apart by content and not by name. What is not
//! plain OTLP/JSON, one message a line, is turned into that before it is read: into an unnamed
//! file beside the output, so that it can be gone through twice in bounded memory.
//!
//! The forms of the Collector's file exporter are those of its source (exporter/fileexporter).

mod convert;
mod frames;
mod jaeger;
pub(crate) mod paths;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::input::MAX_LINE_BYTES;
use super::line::Problem;

/// What a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON, one message a line.
    Lines,
    /// Messages with their length before them: 4 bytes, big-endian.
    Frames,
    /// One JSON document over many lines.
    Document,
    /// Jaeger's JSON.
    Jaeger,
    Gzip,
    /// A stream of whole zstd frames.
    Zstd,
}

/// A message that was turned into nothing because it can't be read.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Messages before it in the file.
    pub(crate) message: u64,
    /// Offset of the message in the file, after decompression.
    pub(crate) byte: u64,
    pub(crate) reason: String,
    /// The file ends in the middle of it.
    pub(crate) torn: bool,
}

impl From<Lost> for Problem {
    fn from(lost: Lost) -> Self {
        Problem {
            line: lost.message,
            byte: lost.byte,
            reason: lost.reason,
            torn: lost.torn,
        }
    }
}

/// So many bytes are enough to tell a form.
const SNIFFED: usize = 4096;

/// Content with gzip in zstd in gzip and so on is nothing that a Collector writes.
const MAX_LAYERS: usize = 3;

/// Whether a file begins as telemetry does.
pub(crate) fn looks_like_telemetry(path: &Path) -> io::Result<bool> {
    let mut head = vec![0; SNIFFED];
    let read = read_up_to(&mut File::open(path)?, &mut head)?;
    head.truncate(read);
    let names_a_resource = || memchr::memmem::find(&head, b"\"resource").is_some();
    Ok(match sniff(&head) {
        Form::Lines | Form::Document => names_a_resource(),
        Form::Frames | Form::Jaeger | Form::Gzip | Form::Zstd => true,
    })
}

/// Turns a file into lines, if it is not that already: the lines and what was lost on the way.
/// `scratch` is a folder for them.
pub(crate) fn to_lines(file: &mut File, scratch: &Path) -> io::Result<Option<(File, Vec<Lost>)>> {
    let mut head = vec![0; SNIFFED];
    let read = read_up_to(file, &mut head)?;
    head.truncate(read);
    file.rewind()?;
    if sniff(&head) == Form::Lines {
        return Ok(None);
    }
    let mut lines = BufWriter::with_capacity(1 << 16, tempfile::tempfile_in(scratch)?);
    let mut lost = Vec::new();
    let source = BufReader::with_capacity(1 << 16, &*file);
    convert_layer(Box::new(source), &mut lines, &mut lost, 0)?;
    let lines = lines.into_inner().map_err(|error| error.into_error())?;
    Ok(Some((lines, lost)))
}

fn convert_layer(
    mut source: Box<dyn BufRead + '_>,
    lines: &mut impl Write,
    lost: &mut Vec<Lost>,
    layer: usize,
) -> io::Result<()> {
    let mut head = vec![0; SNIFFED];
    let read = read_up_to(&mut source, &mut head)?;
    head.truncate(read);
    let form = sniff(&head);
    let whole = io::Cursor::new(head).chain(source);
    let too_deep = layer >= MAX_LAYERS;
    match form {
        Form::Gzip if !too_deep => {
            let decoder = flate2::bufread::MultiGzDecoder::new(whole);
            let decoded = BufReader::with_capacity(1 << 16, Truncated::new(decoder));
            convert_layer(Box::new(decoded), lines, lost, layer + 1)
        }
        Form::Zstd if !too_deep => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            let decoded = BufReader::with_capacity(1 << 16, Truncated::new(decoder));
            convert_layer(Box::new(decoded), lines, lost, layer + 1)
        }
        Form::Frames => frames::convert(whole, lines, lost),
        Form::Document => convert::document(whole, lines, lost),
        Form::Jaeger => jaeger::convert(whole, lines, lost),
        Form::Lines | Form::Gzip | Form::Zstd => {
            let mut whole = whole;
            io::copy(&mut whole, lines).map(|_| ())
        }
    }
}

/// The largest window of a zstd frame that is decoded: 128 MiB, what `zstd -d` takes, too.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn sniff(head: &[u8]) -> Form {
    match head {
        [0x1f, 0x8b, ..] => return Form::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Form::Zstd,
        [a, b, c, d, first, ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            // 0x0a begins field 1 of a protobuf message, which is all that these messages have.
            let begins = [0x0a, b'{', 0x28].contains(first);
            if length > 0 && length <= MAX_LINE_BYTES && begins && *a == 0 {
                return Form::Frames;
            }
        }
        _ => {}
    }
    let text = head.trim_ascii_start();
    let Some(inside) = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start) else {
        return if text.starts_with(b"[") {
            Form::Document
        } else {
            Form::Lines
        };
    };
    let is_jaeger = [&b"\"data\""[..], b"\"traceID\"", b"\"total\""];
    if is_jaeger.iter().any(|key| inside.starts_with(key)) {
        return Form::Jaeger;
    }
    // A line that holds nothing but an opening is the first of a document.
    let first_line = head
        .split(|&b| b == b'\n')
        .find(|line| !line.trim_ascii().is_empty());
    match first_line {
        Some(line) if line.trim_ascii() == b"{" && line.len() < head.len() => Form::Document,
        _ => Form::Lines,
    }
}

/// Ends a compressed stream that breaks off where it breaks off, as `zcat` does: what came before
/// is good, and the last line shows as torn.
struct Truncated<R> {
    inner: R,
    ended: bool,
}

impl<R> Truncated<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            ended: false,
        }
    }
}

impl<R: Read> Read for Truncated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        match self.inner.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.ended = true;
                Ok(0)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Form); 12] = [
            (b"{\"resourceSpans\":[]}\n", Form::Lines),
            (b"\n\n{\"resourceSpans\":[]}\n", Form::Lines),
            (b"{\n  \"resourceSpans\": []\n}\n", Form::Document),
            (b"[{\"resourceSpans\":[]}]", Form::Document),
            (b"{\"data\":[{\"traceID\":\"1\"}]}", Form::Jaeger),
            (b"{\n  \"data\": [", Form::Jaeger),
            (b"\x1f\x8b\x08", Form::Gzip),
            (b"\x28\xb5\x2f\xfd", Form::Zstd),
            (b"\0\0\0\x05\x0a\x03abc", Form::Frames),
            (b"\0\0\0\x05\x28\xb5\x2f\xfd", Form::Frames),
            (b"", Form::Lines),
            (b"hello", Form::Lines),
        ];
        for (head, form) in cases {
            assert_eq!(sniff(head), form, "{}", String::from_utf8_lossy(head));
        }
    }
}

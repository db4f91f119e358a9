//! What is around the text or the bytes of a file, compression or UTF-16, which is taken off layer
//! by layer.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::form::{Endian, Form, head};
use super::{MAX_ZSTD_WINDOW_LOG, Reader};

/// Content with gzip in zstd in gzip and so on is nothing that a Collector writes.
const MAX_LAYERS: usize = 3;

const BUFFER: usize = 1 << 16;

/// What is wrong with a compressed stream, once that is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage(Arc<Mutex<Option<(String, bool)>>>);

impl Damage {
    /// What is wrong, and whether the stream only breaks off.
    pub(super) fn take(&self) -> Option<(String, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, reason: String, torn: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((reason, torn));
    }
}

/// What is inside of all compression, and its form.
pub(super) fn innermost(
    reader: Box<dyn Read + Send>,
    damage: &Damage,
) -> io::Result<(Form, Reader)> {
    let mut reader: Reader = Box::new(BufReader::with_capacity(BUFFER, reader));
    let mut layers = 0;
    loop {
        let head = head(&mut reader)?;
        let form = Form::of(&head);
        let whole = Cursor::new(head).chain(reader);
        let decoder: Box<dyn Read + Send> = match form {
            Form::Gzip if layers < MAX_LAYERS => {
                Box::new(flate2::bufread::MultiGzDecoder::new(whole))
            }
            Form::Zstd if layers < MAX_LAYERS => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Form::Utf16(endian) if layers < MAX_LAYERS => {
                let encoding = match endian {
                    Endian::Big => encoding_rs::UTF_16BE,
                    Endian::Little => encoding_rs::UTF_16LE,
                };
                let mut decoder = encoding_rs_io::DecodeReaderBytesBuilder::new();
                decoder.encoding(Some(encoding)).bom_override(true);
                Box::new(decoder.build(whole))
            }
            _ => return Ok((form, Box::new(whole))),
        };
        layers += 1;
        let damage = damage.clone();
        let decoded = Decoded {
            decoder: Some(decoder),
            damage,
        };
        reader = Box::new(BufReader::with_capacity(BUFFER, decoded));
    }
}

/// Ends a compressed stream that breaks off or is damaged where that is, as `zcat` does: what came
/// before is good.
struct Decoded {
    /// None behind the end.
    decoder: Option<Box<dyn Read + Send>>,
    damage: Damage,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(0);
        };
        match decoder.read(buffer) {
            // What the operating system says is about the file and not about what is in it.
            Err(error)
                if error.kind() != io::ErrorKind::Interrupted && error.raw_os_error().is_none() =>
            {
                let torn = error.kind() == io::ErrorKind::UnexpectedEof;
                let reason = match torn {
                    true => "the compressed stream breaks off".to_owned(),
                    false => format!(
                        "the compressed stream is damaged ({error}); what follows is passed over"
                    ),
                };
                self.damage.set(reason, torn);
                self.decoder = None;
                Ok(0)
            }
            result => result,
        }
    }
}

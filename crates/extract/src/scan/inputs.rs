//! The files of the input, opened.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use loadgen_otlp::source::{Source, expand};

use crate::error::ExtractError;

/// How often a folder is listed anew because files of it were renamed meanwhile.
const LISTINGS: usize = 20;

/// Files, in the order in which they are read.
pub(crate) struct Inputs {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) sources: Vec<Source>,
}

/// A file that is open: rotation may rename or delete it from now on.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Its metadata when it was opened.
    metadata: Metadata,
}

impl Inputs {
    /// Opens files, those in folders, and what patterns stand for.
    pub(crate) fn open<'p>(named: impl Iterator<Item = &'p PathBuf>) -> Result<Self, ExtractError> {
        let named: Vec<&PathBuf> = named.collect();
        let opened = open_all(&named)?;
        match opened.is_empty() {
            true => Err(ExtractError::NoInput),
            false => Self::of(opened.iter()),
        }
    }

    /// Of files that are open, each up to the length that it had then.
    pub(crate) fn of<'o>(opened: impl Iterator<Item = &'o Opened>) -> Result<Self, ExtractError> {
        let mut inputs = Self {
            paths: Vec::new(),
            sources: Vec::new(),
        };
        for opened in opened {
            let source = opened.source();
            let source = source.map_err(|source| read_error(&opened.path, source))?;
            inputs.sources.push(source);
            inputs.paths.push(opened.path.clone());
        }
        Ok(inputs)
    }

    /// Bytes of what is in all of them, roughly, as far as it is known.
    pub(crate) fn bytes(&self) -> u64 {
        self.sources.iter().filter_map(Source::content_bytes).sum()
    }
}

impl Opened {
    fn new(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            let message = "is a directory";
            return Err(io::Error::new(io::ErrorKind::IsADirectory, message));
        }
        Ok(Self {
            path,
            file,
            metadata,
        })
    }

    /// What stays the same when it is renamed.
    pub(crate) fn id(&self) -> FileId {
        file_id(&self.metadata)
    }

    /// Its length when it was opened; 0 of a pipe.
    pub(crate) fn len(&self) -> u64 {
        match self.metadata.is_file() {
            true => self.metadata.len(),
            false => 0,
        }
    }

    /// When it had last been written to when it was opened, in Unix nanoseconds.
    pub(crate) fn modified_ns(&self) -> Option<i64> {
        let since = self.metadata.modified().ok()?;
        let since = since.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_nanos()).ok()
    }

    /// From its start.
    pub(crate) fn source(&self) -> io::Result<Source> {
        let file = self.file.try_clone()?;
        match self.metadata.is_file() {
            true => Source::of_file(file, self.metadata.len()),
            false => Source::from_reader(file),
        }
    }
}

/// Opens all files that are meant. While they are opened a Collector may rename the one that it
/// writes and begin another: names are listed again until all that they stand for is open.
pub(crate) fn open_all(named: &[&PathBuf]) -> Result<Vec<Opened>, ExtractError> {
    let mut listed = list(named)?;
    for _ in 0..LISTINGS {
        let mut opened = Vec::new();
        for path in &listed {
            match Opened::new(path.clone()) {
                Ok(file) => opened.push(file),
                // One that is named is missed, one that was listed is gone or has another name.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !named.contains(&path) => {
                }
                Err(error) => return Err(read_error(path, error)),
            }
        }
        listed = list(named)?;
        let open: HashSet<FileId> = opened.iter().map(|o| file_id(&o.metadata)).collect();
        let is_open = |path: &PathBuf| match path.metadata() {
            Ok(metadata) => !metadata.is_file() || open.contains(&file_id(&metadata)),
            // Renamed since it was listed, maybe to a name that the list does not have.
            Err(_) => false,
        };
        if listed.iter().all(is_open) {
            return Ok(opened);
        }
    }
    let message = "its files are renamed faster than they can be opened";
    let path = named.first().map_or(Path::new(""), |path| path.as_path());
    Err(read_error(path, io::Error::other(message)))
}

/// The files that are meant, each once.
fn list(named: &[&PathBuf]) -> Result<Vec<PathBuf>, ExtractError> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for path in named {
        for file in expand(path).map_err(|source| read_error(path, source))? {
            // A file that is given twice, as patterns do, would double its rows without a word.
            if let Ok(real) = file.canonicalize()
                && real.is_file()
                && !seen.insert(real)
            {
                return Err(ExtractError::GivenTwice { path: file });
            }
            files.push(file);
        }
    }
    Ok(files)
}

/// What stays the same of a file that is renamed.
pub(crate) type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_id(_: &Metadata) -> FileId {
    (0, 0)
}

pub(crate) fn read_error(path: &Path, source: io::Error) -> ExtractError {
    ExtractError::Read {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"resourceSpans\":[]}\n";

    #[test]
    fn a_file_is_read_as_it_was_opened_whatever_becomes_of_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("traces.jsonl");
        std::fs::write(&path, LINE).expect("written");
        let opened = open_all(&[&folder.path().to_path_buf()]).expect("opened");
        let backup = folder.path().join("traces-2026-01-09T12-00-00.123.jsonl");
        std::fs::rename(&path, backup).expect("renamed");
        std::fs::write(&path, LINE.repeat(2)).expect("written");
        let inputs = Inputs::of(opened.iter()).expect("inputs");
        assert_eq!(inputs.bytes(), LINE.len() as u64);
        assert_eq!(inputs.paths, [path]);
    }

    #[test]
    fn what_is_named_and_missing_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("traces.jsonl");
        let error = open_all(&[&missing]).expect_err("missing");
        assert!(error.to_string().contains("traces.jsonl"), "{error}");
    }
}

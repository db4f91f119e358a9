//! The files of the input, opened.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use loadgen_otlp::source::Source;

use super::paths::expand;
use crate::error::ExtractError;

/// Files, in the order in which they are read.
pub(crate) struct Inputs {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) sources: Vec<Source>,
}

impl Inputs {
    /// Opens files, those in folders, and what patterns stand for.
    pub(crate) fn open<'p>(named: impl Iterator<Item = &'p PathBuf>) -> Result<Self, ExtractError> {
        let mut inputs = Self {
            paths: Vec::new(),
            sources: Vec::new(),
        };
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
                let source = Source::open(&file).map_err(|source| read_error(&file, source))?;
                inputs.sources.push(source);
                inputs.paths.push(file);
            }
        }
        match inputs.paths.is_empty() {
            true => Err(ExtractError::NoInput),
            false => Ok(inputs),
        }
    }

    /// Bytes of all of them as they are stored, as far as it is known.
    pub(crate) fn bytes(&self) -> u64 {
        self.sources.iter().filter_map(Source::stored_bytes).sum()
    }
}

pub(crate) fn read_error(path: &Path, source: io::Error) -> ExtractError {
    ExtractError::Read {
        path: path.to_path_buf(),
        source,
    }
}

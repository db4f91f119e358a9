//! Files of telemetry that grow, read as far as they have come.

use std::collections::HashMap;
use std::path::PathBuf;

use loadgen_otlp::source::{Source, Unit};

use crate::error::ExtractError;
use crate::scan::inputs::{FileId, open_all, read_error};

/// Why a file can't be read on.
pub type TailError = ExtractError;

/// Files and folders that are looked at again and again. A file is known by what stays the same when
/// it is renamed, as rotation does.
#[derive(Debug)]
pub struct Tail {
    named: Vec<PathBuf>,
    /// Bytes of each file that have been read.
    read: HashMap<FileId, u64>,
    unit: Unit,
}

impl Tail {
    /// Of files, folders and patterns, of which nothing has been read.
    pub fn new(named: Vec<PathBuf>) -> Self {
        Self {
            named,
            read: HashMap::new(),
            unit: Unit::default(),
        }
    }

    /// Hands on what is new in all files, in units of whole messages; the bytes of it. Files that are
    /// not plain lines are read once, as they are when they are first seen.
    ///
    /// # Errors
    /// When a file can't be read, or what is named is not there; the units so far have been handed on.
    pub fn look(
        &mut self,
        mut take: impl FnMut(&Unit) -> std::io::Result<()>,
    ) -> Result<u64, TailError> {
        let named: Vec<&PathBuf> = self.named.iter().collect();
        let mut new = 0;
        for opened in open_all(&named)? {
            let cannot = |source| read_error(&opened.path, source);
            let known = self.read.entry(opened.id()).or_default();
            if opened.len() <= *known {
                continue;
            }
            let lines = Source::lines_since(&opened.file, *known, opened.len()).map_err(cannot)?;
            let (mut source, end) = match lines {
                Some((source, end)) => (source, end),
                None if *known > 0 => continue,
                None => (opened.source().map_err(cannot)?, opened.len()),
            };
            while source.next_unit(&mut self.unit).map_err(cannot)? {
                take(&self.unit).map_err(cannot)?;
            }
            new += end - *known;
            *known = end;
        }
        Ok(new)
    }
}

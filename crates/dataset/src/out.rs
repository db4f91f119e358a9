//! The folder of a dataset while it is not whole: hidden beside its place, with a checksum of each
//! file as it is written, and moved to its place by one rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use loadgen_files::WorkFolder;
use sha2::{Digest, Sha256};

use crate::error::BuildError;

/// What is known of a file of the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// SHA-256 in lower-case hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// Rows of a table; 0 of other files.
    pub(crate) rows: u64,
}

/// The hidden folder, and what is in it by path; `/` stands between the parts of a path.
#[derive(Debug)]
pub(crate) struct OutFolder {
    hidden: WorkFolder,
    place: PathBuf,
    files: BTreeMap<String, FileFacts>,
}

/// Name of the folder within the hidden one: that one is only its owner's to read.
const INNER: &str = "dataset";

impl OutFolder {
    /// Makes the hidden folder. A place in which something is already is an error.
    pub(crate) fn new(place: &Path) -> Result<Self, BuildError> {
        let cannot = |source| BuildError::Write {
            path: place.to_path_buf(),
            source,
        };
        let is_taken = match place.read_dir() {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => place.symlink_metadata().is_ok(),
        };
        if is_taken {
            return Err(BuildError::Taken {
                path: place.to_path_buf(),
            });
        }
        let parent = match place.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => Path::new("/"),
        };
        fs::create_dir_all(parent).map_err(cannot)?;
        let hidden = WorkFolder::new(parent, ".dataset-").map_err(cannot)?;
        fs::create_dir(hidden.path().join(INNER)).map_err(cannot)?;
        Ok(Self {
            hidden,
            place: place.to_path_buf(),
            files: BTreeMap::new(),
        })
    }

    /// Where the files are for now.
    pub(crate) fn root(&self) -> PathBuf {
        self.hidden.path().join(INNER)
    }

    /// What is there so far.
    pub(crate) fn files(&self) -> &BTreeMap<String, FileFacts> {
        &self.files
    }

    /// Starts a file.
    pub(crate) fn create(&self, path: &str) -> Result<OutFile, BuildError> {
        let make = || {
            let full = self.root().join(path);
            if let Some(folder) = full.parent() {
                fs::create_dir_all(folder)?;
            }
            File::create_new(full)
        };
        let file = make().map_err(|source| self.cannot(source))?;
        Ok(OutFile {
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 16, file),
            sha256: Sha256::new(),
            bytes: 0,
        })
    }

    /// Ends a file.
    pub(crate) fn close(&mut self, mut file: OutFile, rows: u64) -> Result<(), BuildError> {
        file.out.flush().map_err(|source| self.cannot(source))?;
        let facts = FileFacts {
            sha256: const_hex::encode(file.sha256.finalize()),
            bytes: file.bytes,
            rows,
        };
        self.files.insert(file.path, facts);
        Ok(())
    }

    /// Writes a file of text.
    pub(crate) fn write(&mut self, path: &str, text: &[u8]) -> Result<(), BuildError> {
        let mut file = self.create(path)?;
        file.write_all(text).map_err(|source| self.cannot(source))?;
        self.close(file, 0)
    }

    /// Copies a file as it is.
    pub(crate) fn copy(&mut self, from: &Path, path: &str) -> Result<(), BuildError> {
        let mut source = File::open(from).map_err(|source| read_error(from, source))?;
        let mut file = self.create(path)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = source
                .read(&mut buffer)
                .map_err(|source| read_error(from, source))?;
            if read == 0 {
                return self.close(file, 0);
            }
            let written = file.write_all(&buffer[..read]);
            written.map_err(|source| self.cannot(source))?;
        }
    }

    /// Takes files into account that something else put into the folder.
    pub(crate) fn take_others(&mut self) -> Result<(), BuildError> {
        let root = self.root();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|source| self.cannot(source))?;
            for entry in entries {
                let path = entry.map_err(|source| self.cannot(source))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = relative(&root, &path);
                if !self.files.contains_key(&name) {
                    let facts = facts_of(&path).map_err(|source| self.cannot(source))?;
                    self.files.insert(name, facts);
                }
            }
        }
        Ok(())
    }

    /// Lines as `sha256sum` writes and checks them, of the files that are there so far and whose
    /// path is asked for.
    pub(crate) fn sums(&self, of: impl Fn(&str) -> bool) -> String {
        let files = self.files.iter().filter(|(path, _)| of(path));
        files
            .map(|(path, facts)| format!("{}  {path}\n", facts.sha256))
            .collect()
    }

    /// Moves the folder to its place.
    pub(crate) fn commit(self) -> Result<(), BuildError> {
        let moved = fs::rename(self.root(), &self.place);
        moved.map_err(|source| self.cannot(source))?;
        // What is left of the hidden folder is empty.
        let _ = self.hidden.close();
        Ok(())
    }

    /// An error of writing, with the place that people know.
    pub(crate) fn cannot(&self, source: io::Error) -> BuildError {
        BuildError::Write {
            path: self.place.clone(),
            source,
        }
    }
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).iter();
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn facts_of(path: &Path) -> io::Result<FileFacts> {
    Ok(FileFacts {
        sha256: sha256_of(path)?,
        bytes: fs::metadata(path)?.len(),
        rows: 0,
    })
}

/// SHA-256 of a file, in lower-case hex.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(const_hex::encode(sha256.finalize())),
            read => sha256.update(&buffer[..read]),
        }
    }
}

/// An input that can't be read.
pub(crate) fn read_error(path: &Path, source: io::Error) -> BuildError {
    BuildError::Read {
        path: path.to_path_buf(),
        source,
    }
}

/// A file of the dataset that is being written.
#[derive(Debug)]
pub(crate) struct OutFile {
    path: String,
    out: BufWriter<File>,
    sha256: Sha256,
    bytes: u64,
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_with_checksums_and_is_readable_like_any_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = dir.path().join("a/b");
        let mut out = OutFolder::new(&place).expect("made");
        out.write("x/y.txt", b"abc").expect("written");
        fs::write(out.root().join("z.txt"), "").expect("written");
        out.take_others().expect("taken");
        assert!(!place.exists());
        assert_eq!(
            out.sums(|_| true),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  x/y.txt\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  z.txt\n"
        );
        out.commit().expect("moved");
        assert_eq!(fs::read(place.join("x/y.txt")).expect("there"), b"abc");
        let beside: Vec<_> = fs::read_dir(dir.path().join("a"))
            .expect("a folder")
            .collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
        fs::create_dir(dir.path().join("usual")).expect("made");
        let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions();
        assert_eq!(mode(place), mode(dir.path().join("usual")));
    }

    #[test]
    fn nothing_is_written_over_and_nothing_is_left_without_an_end() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("file"), "").expect("written");
        for taken in [dir.path().to_path_buf(), dir.path().join("file")] {
            let error = OutFolder::new(&taken).expect_err("taken");
            assert!(matches!(error, BuildError::Taken { .. }), "{error}");
        }
        drop(OutFolder::new(&dir.path().join("new")).expect("made"));
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}

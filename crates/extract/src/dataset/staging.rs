//! Files of the dataset while they are not whole: in a hidden folder beside the place where they
//! belong, moved there all together at the end, gone if the end is not reached.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use loadgen_files::WorkFolder;

use crate::stop::Stop;

/// The hidden folder.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: WorkFolder,
    output: PathBuf,
    names: Vec<String>,
    stop: Stop,
}

/// A file in it.
#[derive(Debug)]
pub(crate) struct StagedFile {
    /// Where it will be.
    pub(crate) path: PathBuf,
    out: BufWriter<File>,
    stop: Stop,
    /// Data rows written, without the header.
    pub(crate) rows: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
}

impl Staging {
    /// Makes the output folder, if need be, and the hidden one in it. Nothing is written any more
    /// once `stop` says so.
    pub(crate) fn new(output: &Path, stop: Stop) -> io::Result<Self> {
        fs::create_dir_all(output)?;
        let folder = WorkFolder::new(output, ".extract-")?;
        Ok(Self {
            folder,
            output: output.to_path_buf(),
            names: Vec::new(),
            stop,
        })
    }

    /// Starts a file. One of that name in the output folder is an error: no dataset is written
    /// over.
    pub(crate) fn create(&mut self, name: String) -> io::Result<StagedFile> {
        let path = self.output.join(&name);
        if path.exists() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file of this name exists already; extract again in a second, or elsewhere",
            ));
        }
        let file = File::create_new(self.folder.path().join(&name))?;
        self.names.push(name);
        Ok(StagedFile {
            path,
            out: BufWriter::with_capacity(1 << 16, file),
            stop: self.stop.clone(),
            rows: 0,
            bytes: 0,
        })
    }

    /// The hidden folder, for what else is needed on the way.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Moves all files to their place. When one can't be moved those before it are taken back.
    pub(crate) fn commit(self) -> io::Result<()> {
        for (moved, name) in self.names.iter().enumerate() {
            if let Err(error) = fs::rename(self.folder.path().join(name), self.output.join(name)) {
                for name in &self.names[..moved] {
                    // What is in the way of this was in the way of the move; the error says it.
                    let _ = fs::remove_file(self.output.join(name));
                }
                return Err(error);
            }
        }
        self.folder.close()
    }
}

impl StagedFile {
    /// Appends bytes that make up `rows` rows.
    pub(crate) fn append(&mut self, bytes: &[u8], rows: u64) -> io::Result<()> {
        self.write_all(bytes)?;
        self.rows += rows;
        Ok(())
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stop.check()?;
        let written = self.out.write(bytes)?;
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

    fn names(dir: &Path) -> Vec<String> {
        let name = |e: io::Result<fs::DirEntry>| e.expect("an entry").file_name();
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("a folder")
            .map(|e| name(e).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_appear_together_at_the_end() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut staging = Staging::new(dir.path(), Stop::default()).expect("made");
        let mut a = staging.create("a".into()).expect("created");
        staging.create("b".into()).expect("created");
        a.append(b"x\n", 1).expect("written");
        a.flush().expect("flushed");
        assert!(names(dir.path()).iter().all(|n| n.starts_with(".extract-")));
        staging.commit().expect("moved");
        assert_eq!(names(dir.path()), ["a", "b"]);
        assert_eq!(fs::read(dir.path().join("a")).expect("read"), b"x\n");
    }

    #[test]
    fn nothing_is_left_when_the_end_is_not_reached() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut staging = Staging::new(dir.path(), Stop::default()).expect("made");
        staging.create("a".into()).expect("created");
        drop(staging);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn nothing_is_written_once_it_should_end() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stop = Stop::default();
        let mut staging = Staging::new(dir.path(), stop.clone()).expect("made");
        let mut a = staging.create("a".into()).expect("created");
        a.append(b"x\n", 1).expect("written");
        stop.stop();
        assert!(a.append(b"y\n", 1).is_err());
    }

    #[test]
    fn nothing_is_written_over_and_a_move_that_fails_takes_the_others_back() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("old"), b"old").expect("written");
        let mut staging = Staging::new(dir.path(), Stop::default()).expect("made");
        assert!(staging.create("old".into()).is_err());
        staging.create("a".into()).expect("created");
        staging.create("b".into()).expect("created");
        // A folder in the way of the second file.
        fs::create_dir(dir.path().join("b")).expect("made");
        assert!(staging.commit().is_err());
        assert_eq!(names(dir.path()), ["b", "old"]);
    }
}

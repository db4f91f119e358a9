//! One output file that is appended to line by line, and put aside when it has grown too large.
//!
//! Names are those of the Collector's file exporter: the current file keeps its name, an older one
//! gets the UTC time of its rotation before the extension
//! (`traces-2026-01-09T12-00-00.123.jsonl`). A line is never split over two files, and no line is
//! ever left half written: what a failed write had put into the file is taken back.

use crate::options::Rotation;
use chrono::{DateTime, Duration, NaiveDateTime, Utc};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const STAMP: &str = "%Y-%m-%dT%H-%M-%S%.3f";
/// The file exporter counts a megabyte as 2^20 bytes.
const MEGABYTE: u64 = 1 << 20;

/// A file of lines with its rotation.
pub(crate) struct LineFile {
    directory: PathBuf,
    /// The name without `.jsonl`: `traces`, `metrics`, `logs`.
    stem: &'static str,
    file: File,
    /// Bytes in the current file.
    size: u64,
    rotation: Option<Rotation>,
}

impl LineFile {
    /// Opens `directory/stem.jsonl` for appending. Earlier content stays; if it ends in a torn
    /// line (a killed writer), that is closed by a newline so that it can't swallow the next one.
    ///
    /// # Errors
    /// When the file can't be opened or written.
    pub(crate) fn open(
        directory: &Path,
        stem: &'static str,
        rotation: Option<Rotation>,
    ) -> io::Result<Self> {
        let (file, size) = open_for_append(&directory.join(format!("{stem}.jsonl")))?;
        Ok(Self {
            directory: directory.to_owned(),
            stem,
            file,
            size,
            rotation,
        })
    }

    /// The path of the current file.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.jsonl", self.stem))
    }

    /// Appends `line`, which ends in a newline, as a whole or not at all.
    ///
    /// # Errors
    /// When rotation or the write fails. The file then ends where it ended before.
    pub(crate) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(rotation) = self.rotation {
            let limit = rotation.max_megabytes.saturating_mul(MEGABYTE);
            if self.size > 0 && self.size + line.len() as u64 > limit {
                self.rotate(rotation, Utc::now())?;
            }
        }
        if let Err(error) = self.file.write_all(line) {
            // Nothing better can be done when this fails too; the next start closes a torn line.
            let _ = self.file.set_len(self.size);
            return Err(error);
        }
        self.size += line.len() as u64;
        Ok(())
    }

    /// Makes sure that everything is on the disk.
    ///
    /// # Errors
    /// As `fsync`.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn rotate(&mut self, rotation: Rotation, now: DateTime<Utc>) -> io::Result<()> {
        self.sync()?;
        let current = self.path();
        let backup = self.free_backup_name(now);
        fs::rename(&current, &backup)?;
        match open_for_append(&current) {
            Ok((file, size)) => (self.file, self.size) = (file, size),
            Err(error) => {
                // The handle still writes to the renamed file; give it its name back.
                fs::rename(&backup, &current)?;
                return Err(error);
            }
        }
        self.delete_old_backups(rotation.max_backups)
    }

    /// Two rotations within one millisecond must not overwrite each other.
    fn free_backup_name(&self, mut now: DateTime<Utc>) -> PathBuf {
        loop {
            let name = format!("{}-{}.jsonl", self.stem, now.format(STAMP));
            let path = self.directory.join(name);
            if !path.exists() {
                return path;
            }
            now += Duration::milliseconds(1);
        }
    }

    fn delete_old_backups(&self, keep: usize) -> io::Result<()> {
        if keep == 0 {
            return Ok(());
        }
        let mut backups = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            if let Some(rotated_at) = name.to_str().and_then(|name| self.rotated_at(name)) {
                backups.push((rotated_at, name));
            }
        }
        backups.sort();
        let surplus = backups.len().saturating_sub(keep);
        for (_, name) in &backups[..surplus] {
            fs::remove_file(self.directory.join(name))?;
        }
        Ok(())
    }

    /// When the backup called `name` was rotated; `None` for any other file.
    fn rotated_at(&self, name: &str) -> Option<NaiveDateTime> {
        let stamp = name
            .strip_prefix(self.stem)?
            .strip_prefix('-')?
            .strip_suffix(".jsonl")?;
        NaiveDateTime::parse_from_str(stamp, STAMP).ok()
    }
}

fn open_for_append(path: &Path) -> io::Result<(File, u64)> {
    // What was collected is its owner's. A link is followed: it may lead to a larger disk.
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn line(bytes: usize, letter: u8) -> Vec<u8> {
        let mut line = vec![letter; bytes - 1];
        line.push(b'\n');
        line
    }

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["one\n", "two\n"] {
            let mut file = LineFile::open(directory.path(), "traces", None).unwrap();
            file.append(text.as_bytes()).unwrap();
        }
        let content = fs::read_to_string(directory.path().join("traces.jsonl")).unwrap();
        assert_eq!(content, "one\ntwo\n");
    }

    #[test]
    fn a_torn_last_line_is_closed_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("traces.jsonl");
        fs::write(&path, "whole\ntor").unwrap();
        let mut file = LineFile::open(directory.path(), "traces", None).unwrap();
        file.append(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "whole\ntor\nnext\n");
    }

    #[test]
    fn rotation_splits_no_line_and_keeps_the_newest_backups() {
        let directory = tempfile::tempdir().unwrap();
        // Looks similar, but isn't one of this file's backups.
        let stranger = directory.path().join("traces-2020-01-01.jsonl");
        fs::write(&stranger, "").unwrap();
        let rotation = Rotation {
            max_megabytes: 1,
            max_backups: 2,
        };
        let mut file = LineFile::open(directory.path(), "traces", Some(rotation)).unwrap();
        for letter in *b"abcdefgh" {
            file.append(&line(600_000, letter)).unwrap();
        }
        let names = files(directory.path());
        // Stranger, two backups, current.
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(stranger.exists());
        let backups: Vec<_> = names
            .iter()
            .filter(|name| file.rotated_at(name).is_some())
            .collect();
        assert_eq!(
            fs::read(directory.path().join(backups[0])).unwrap(),
            line(600_000, b'f')
        );
        assert_eq!(
            fs::read(directory.path().join(backups[1])).unwrap(),
            line(600_000, b'g')
        );
        assert_eq!(fs::read(file.path()).unwrap(), line(600_000, b'h'));
    }

    #[test]
    fn no_backup_is_deleted_without_a_number_to_keep() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = Rotation {
            max_megabytes: 1,
            max_backups: 0,
        };
        let mut file = LineFile::open(directory.path(), "logs", Some(rotation)).unwrap();
        for letter in *b"abcdef" {
            file.append(&line(1_000_000, letter)).unwrap();
        }
        assert_eq!(files(directory.path()).len(), 6);
    }

    #[test]
    fn a_line_larger_than_the_limit_gets_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = Rotation {
            max_megabytes: 1,
            max_backups: 0,
        };
        let mut file = LineFile::open(directory.path(), "logs", Some(rotation)).unwrap();
        file.append(&line(3_000_000, b'a')).unwrap();
        file.append(&line(10, b'b')).unwrap();
        assert_eq!(files(directory.path()).len(), 2);
        assert_eq!(fs::read(file.path()).unwrap(), line(10, b'b'));
    }

    #[test]
    fn backups_have_the_file_exporters_names() {
        let directory = tempfile::tempdir().unwrap();
        let file = LineFile::open(directory.path(), "traces", None).unwrap();
        let now: DateTime<Utc> = "2026-01-09T12:00:00.123Z".parse().unwrap();
        let first = file.free_backup_name(now);
        assert_eq!(
            first.file_name().unwrap(),
            "traces-2026-01-09T12-00-00.123.jsonl"
        );
        fs::write(&first, "").unwrap();
        let second = file.free_backup_name(now);
        assert_eq!(
            second.file_name().unwrap(),
            "traces-2026-01-09T12-00-00.124.jsonl"
        );
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_a_lost_line() {
        // The kernel's always-full device stands for a full disk.
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join("traces.jsonl")).unwrap();
        let mut file = LineFile::open(directory.path(), "traces", None).unwrap();
        let error = file.append(b"line\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

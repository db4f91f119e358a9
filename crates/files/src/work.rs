//! Folders for what is only needed on the way to something.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// A folder for what is only needed on the way. It is removed when this is dropped. If the process
/// is killed, the next one that makes a folder of the same prefix in the same place removes it: a
/// folder in use is locked, and the system gives the lock up with the process.
///
/// Where the file system has no locks, nothing that was left behind is removed.
#[derive(Debug)]
pub struct WorkFolder {
    folder: TempDir,
    _lock: File,
}

impl WorkFolder {
    /// Makes a folder in `place` whose name begins with `prefix`, for its owner only, and removes
    /// those of the same prefix that nobody uses any more.
    ///
    /// # Errors
    /// It can't be made. What can't be removed is no error.
    pub fn new(place: &Path, prefix: &str) -> io::Result<Self> {
        remove_abandoned(place, prefix);
        loop {
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(place)?;
            let lock = match File::open(folder.path()) {
                // Another process may have removed it before it was opened,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                lock => lock?,
            };
            // Without locks nobody takes it for abandoned either.
            let _ = lock.lock();
            // or before it was locked.
            if folder.path().exists() {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it.
    ///
    /// # Errors
    /// What the system says.
    pub fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// Removes folders whose process is gone.
fn remove_abandoned(place: &Path, prefix: &str) {
    let Ok(entries) = place.read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        // Of the entry itself: a link is none.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        // One of another user can't be opened.
        let lock = File::open(entry.path());
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What stays is tried again by the next one.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Path) -> Vec<String> {
        let entries = place.read_dir().unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_is_in_use_is_not() {
        let place = tempfile::tempdir().unwrap();
        // A folder that nobody has locked is one whose process is gone.
        std::fs::create_dir_all(place.path().join(".work-old/inner")).unwrap();
        std::fs::create_dir(place.path().join("work-other")).unwrap();
        std::fs::write(place.path().join(".work-file"), "").unwrap();
        let first = WorkFolder::new(place.path(), ".work-").unwrap();
        let second = WorkFolder::new(place.path(), ".work-").unwrap();
        let both = [first.path(), second.path()].map(|path| path.is_dir());
        assert_eq!(both, [true, true]);
        assert!(!names(place.path()).contains(&".work-old".to_owned()));
        first.close().unwrap();
        drop(second);
        assert_eq!(names(place.path()), [".work-file", "work-other"]);
    }

    #[test]
    fn a_link_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("kept"), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join(".work-link")).unwrap();
        WorkFolder::new(place.path(), ".work-").unwrap();
        assert_eq!(names(place.path()), [".work-link"]);
        assert_eq!(names(elsewhere.path()), ["kept"]);
    }
}

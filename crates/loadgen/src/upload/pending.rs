//! What of a folder is still to be sent.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalFile {
    /// Its path in the folder, with `/` between parts.
    pub(super) name: String,
    /// In bytes.
    pub(super) size: u64,
    /// When it was last written.
    pub(super) modified: DateTime<Utc>,
}

/// Size, and time of arrival, of what is in the store, by name.
pub(super) type There = HashMap<String, (u64, DateTime<Utc>)>;

/// The files of a folder and of the folders in it, by name. Links are not followed.
///
/// # Errors
/// The folder can't be read, or holds a name that is no text.
pub(super) fn files_of(folder: &Path) -> io::Result<Vec<LocalFile>> {
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<LocalFile>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let own = entry.file_name();
        let own = own.to_str().ok_or_else(|| {
            let text = format!("the name {own:?} is no text, as names in a store are");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let name = format!("{prefix}{own}");
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if metadata.is_file() {
            files.push(LocalFile {
                name,
                size: metadata.len(),
                modified: metadata.modified()?.into(),
            });
        }
    }
    Ok(())
}

/// The files that are not there with the same size, or were written to since they were sent. Stores keep
/// whole seconds, so that a file which was sent in the second of its last change is sent again. An entity
/// tag would not say more: of what was sent in parts it is a hash of hashes, and each store has another.
pub(super) fn pending(local: Vec<LocalFile>, there: &There) -> Vec<LocalFile> {
    let is_there = |file: &LocalFile| {
        there
            .get(&file.name)
            .is_some_and(|(size, arrived)| *size == file.size && *arrived >= file.modified)
    };
    local.into_iter().filter(|file| !is_there(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_is_there_as_it_is_now_is_not_sent_again() {
        let file = |name: &str, size, seconds| LocalFile {
            name: name.to_owned(),
            size,
            modified: at(seconds),
        };
        let local = vec![
            file("the same", 10, 100),
            file("grown", 11, 100),
            file("written anew", 10, 201),
            file("new", 10, 100),
        ];
        let arrived = |name: &str| (name.to_owned(), (10, at(200)));
        let there = ["the same", "grown", "written anew", "of somebody else"];
        let there = there.map(arrived).into_iter().collect();
        let names = pending(local, &there).into_iter().map(|file| file.name);
        assert_eq!(names.collect::<Vec<_>>(), ["grown", "written anew", "new"]);
    }

    #[test]
    fn files_are_named_by_their_place_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/c.csv"), "12345").unwrap();
        std::fs::write(folder.path().join("z"), "").unwrap();
        std::os::unix::fs::symlink("z", folder.path().join("link")).unwrap();
        let files = files_of(folder.path()).unwrap();
        let seen: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.size)).collect();
        assert_eq!(seen, [("a/b/c.csv", 5), ("z", 0)]);
        assert!(files_of(&folder.path().join("missing")).is_err());
    }
}

//! Files that only their owner can read and write, and that are never opened through a link.
//!
//! A run writes into a folder that somebody else may have prepared, and what it writes may hold
//! secrets of the target. So files have the mode 0600 and folders 0700, whatever the umask is, and
//! a symbolic link in the place of a file is an error: following it would write over a file
//! elsewhere.
//!
//! [`WorkFolder`] is for what is only needed on the way, and outlives no process for long.

mod work;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

pub use work::WorkFolder;

/// Options for a file of the owner's that is not opened through a link. Whether it is read, made
/// or emptied is still to be said.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // The flag's bits are small and positive on every system.
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// Makes a file for writing.
///
/// # Errors
/// There is anything under that name, also a link that leads nowhere; or the file can't be made.
pub fn create_new(path: &Path) -> io::Result<File> {
    explained(options().write(true).create_new(true).open(path))
}

/// Makes a file for writing, or empties the one that is there.
///
/// # Errors
/// There is a link under that name; or the file can't be opened.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = options();
    explained(options.write(true).create(true).truncate(true).open(path))
}

/// Opens a file for reading and for writing at its end, and makes it where there is none.
///
/// # Errors
/// There is a link under that name; or the file can't be opened.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = options();
    explained(options.read(true).append(true).create(true).open(path))
}

/// Makes a file of these bytes.
///
/// # Errors
/// As those of [`create_new`]; or the bytes can't be written.
pub fn write_new(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    create_new(path)?.write_all(bytes.as_ref())
}

/// Makes a folder that only its owner can enter; its parents are made by the umask. One that is
/// there stays as it is.
///
/// # Errors
/// It can't be made, or something else has its name.
pub fn folder(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// The system's words for a link here are about too many of them.
fn explained(opened: io::Result<File>) -> io::Result<File> {
    opened.map_err(|error| {
        let why = match Errno::from_io_error(&error) {
            Some(Errno::LOOP) => "it is a symbolic link, and nothing is written through one",
            Some(Errno::EXIST) => "it is there already, and nothing is written over",
            _ => return error,
        };
        io::Error::new(ErrorKind::AlreadyExists, why)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_and_folders_are_the_owners() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("a/b");
        folder(&inner).unwrap();
        folder(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
        for (name, made) in [
            ("new", create_new as fn(&Path) -> io::Result<File>),
            ("emptied", create),
            ("appended", append),
        ] {
            let path = inner.join(name);
            made(&path).unwrap();
            assert_eq!(mode(&path), 0o600, "{name}");
        }
        write_new(&inner.join("text"), "words").unwrap();
        assert_eq!(
            std::fs::read_to_string(inner.join("text")).unwrap(),
            "words"
        );
        assert!(write_new(&inner.join("text"), "").is_err());
        assert!(folder(&inner.join("text")).is_err());
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = place.path().join("elsewhere");
        let link = place.path().join("link");
        symlink(&elsewhere, &link).unwrap();
        for made in [create_new, create, append] {
            made(&link).unwrap_err();
            assert!(!elsewhere.exists());
        }
        std::fs::write(&elsewhere, "kept").unwrap();
        for made in [create_new, create, append] {
            made(&link).unwrap_err();
            assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "kept");
        }
        let refused = create(&link).unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
    }
}

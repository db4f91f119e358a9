//! Fills a filesystem with one file of real blocks.
//!
//! The record has the file's name, which nobody else has, before the file is made. So `clear`
//! removes it at whatever size a crash has left it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use serde_json::json;

use crate::before::Filled;
use crate::{Fill, HostCleared, HostError, Look, ReadBack};

/// What is left free for everybody else.
const LEAVE_FREE: u64 = 256 << 20;
/// Written at once where the filesystem can't allocate.
const PIECE: usize = 1 << 20;
/// Bytes in a block as `stat` counts them.
const STAT_BLOCK: u64 = 512;

/// A filesystem's space in bytes.
#[derive(Debug, Clone, Copy)]
struct Space {
    used: u64,
    /// For users other than root.
    free: u64,
}

impl Space {
    fn of(path: &Path) -> Result<Self, HostError> {
        let all = statvfs(path).map_err(|e| {
            super::refused(
                format!("see the free space of {}", path.display()),
                e.into(),
            )
        })?;
        Ok(Self {
            used: all.f_blocks.saturating_sub(all.f_bfree) * all.f_frsize,
            free: all.f_bavail * all.f_frsize,
        })
    }

    /// As `df` counts: of what is there for users other than root.
    fn used_percent(self) -> f64 {
        100.0 * self.used as f64 / (self.used + self.free).max(1) as f64
    }

    /// How large the file gets, or why it can't be made.
    fn bytes_for(self, fill: Fill) -> Result<u64, String> {
        let bytes = match fill {
            Fill::Bytes(bytes) => bytes,
            Fill::UntilPercent(percent) => {
                let wanted = (self.used + self.free) as f64 * percent / 100.0;
                // Negative becomes 0.
                (wanted - self.used as f64) as u64
            }
        };
        if bytes == 0 {
            return Err(format!("it is {:.1} % full already", self.used_percent()));
        }
        self.check(bytes)?;
        Ok(bytes)
    }

    fn check(self, bytes: u64) -> Result<(), String> {
        let possible = self.free.saturating_sub(LEAVE_FREE);
        if bytes > possible {
            return Err(format!(
                "{} bytes are free and {LEAVE_FREE} of them must stay free: {bytes} bytes can't be filled, at most {possible}",
                self.free
            ));
        }
        Ok(())
    }
}

pub(super) fn prepare(folder: &Path, fill: Fill, id: &str) -> Result<Filled, HostError> {
    let wrong =
        |why: String| HostError::Parameter(format!("fill_disk: {}: {why}", folder.display()));
    // Whoever undoes this may run in another folder.
    let whole = folder.canonicalize().map_err(|e| wrong(e.to_string()))?;
    if !whole.is_dir() {
        return Err(wrong("it is no folder".to_owned()));
    }
    super::may_write(&whole)?;
    let bytes = Space::of(&whole)?.bytes_for(fill).map_err(wrong)?;
    Ok(Filled {
        file: whole.join(format!("{id}.fill")),
        bytes,
    })
}

pub(super) fn inject(filled: &Filled) -> Result<ReadBack, HostError> {
    let folder = filled.file.parent().unwrap_or(&filled.file);
    // Somebody may have used the space since `prepare`.
    if !is_whole(filled)? {
        Space::of(folder)?
            .check(filled.bytes)
            .map_err(HostError::NotInForce)?;
        make(filled)?;
    }
    let look = look(filled)?;
    if !look.in_force {
        let text = format!("{}: {}", look.read_back.how, look.read_back.values);
        return Err(HostError::NotInForce(text));
    }
    Ok(look.read_back)
}

fn make(filled: &Filled) -> Result<(), HostError> {
    let opened = loadgen_files::create(&filled.file);
    let made = opened.and_then(|mut file| match allocate(&file, filled.bytes) {
        Err(Errno::OPNOTSUPP) => fill_by_writing(&mut file, filled.bytes),
        other => Ok(other?),
    });
    made.map_err(|e| {
        // The space is needed at once.
        let _ = std::fs::remove_file(&filled.file);
        super::refused(format!("fill {}", filled.file.display()), e)
    })
}

fn allocate(file: &File, bytes: u64) -> Result<(), Errno> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Writes what doesn't compress to nothing, and waits until it has blocks.
fn fill_by_writing(file: &mut File, bytes: u64) -> io::Result<()> {
    // xorshift64: a sequence without repetitions in a file.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = Vec::with_capacity(PIECE);
    let mut left = bytes;
    while left > 0 {
        piece.clear();
        while piece.len() < PIECE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece.extend(state.to_le_bytes());
        }
        let now = left.min(PIECE as u64);
        file.write_all(&piece[..now as usize])?;
        left -= now;
    }
    file.sync_all()
}

/// Bytes that the file's blocks have; nothing if there is no file.
fn allocated(filled: &Filled) -> Result<Option<u64>, HostError> {
    match std::fs::symlink_metadata(&filled.file) {
        Ok(file) => Ok(Some(file.blocks() * STAT_BLOCK)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(super::refused(format!("see {}", filled.file.display()), e)),
    }
}

fn is_whole(filled: &Filled) -> Result<bool, HostError> {
    Ok(allocated(filled)?.is_some_and(|bytes| bytes >= filled.bytes))
}

pub(super) fn look(filled: &Filled) -> Result<Look, HostError> {
    let file = filled.file.display();
    let how = match allocated(filled)? {
        Some(bytes) => format!("{bytes} bytes of blocks in {file}"),
        None => format!("there is no file {file}"),
    };
    Ok(Look {
        in_force: is_whole(filled)?,
        read_back: ReadBack {
            how,
            values: json!({"file": filled.file, "allocated_bytes": allocated(filled)?, "space": space(filled)}),
        },
    })
}

fn space(filled: &Filled) -> serde_json::Value {
    let folder = filled
        .file
        .parent()
        .and_then(|folder| Space::of(folder).ok());
    folder.map_or(
        serde_json::Value::Null,
        |space| json!({"free_bytes": space.free, "used_percent": space.used_percent()}),
    )
}

pub(super) fn clear(filled: &Filled) -> Result<HostCleared, HostError> {
    let was_in_force = allocated(filled)?.is_some();
    match std::fs::remove_file(&filled.file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(super::refused(
                format!("remove {}", filled.file.display()),
                e,
            ));
        }
        _ => {}
    }
    if allocated(filled)?.is_some() {
        let text = format!("{} was made again", filled.file.display());
        return Err(HostError::NotUndone(text));
    }
    Ok(HostCleared {
        was_in_force,
        read_back: look(filled)?.read_back,
        remains: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_disk_is_filled_up_to_the_mark_and_never_over_the_rest() {
        let space = Space {
            used: 400 * MIB,
            free: 600 * MIB,
        };
        assert_eq!(space.bytes_for(Fill::UntilPercent(70.0)), Ok(300 * MIB));
        assert_eq!(space.bytes_for(Fill::Bytes(344 * MIB)), Ok(344 * MIB));
        let refused = |fill| space.bytes_for(fill).unwrap_err();
        assert!(refused(Fill::Bytes(344 * MIB + 1)).contains("at most 360710144"));
        assert!(refused(Fill::UntilPercent(80.0)).contains("must stay free"));
        assert!(refused(Fill::UntilPercent(40.0)).contains("40.0 % full already"));
        assert!(refused(Fill::UntilPercent(10.0)).contains("already"));
        assert!(refused(Fill::Bytes(u64::MAX)).contains("must stay free"));
        let full = Space { used: MIB, free: 0 };
        assert!(full.bytes_for(Fill::Bytes(1)).is_err());
    }

    #[test]
    fn what_is_written_has_blocks_and_does_not_repeat() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes = 2 * MIB + 5;
        fill_by_writing(&mut file, bytes).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), bytes);
        assert!(metadata.blocks() * STAT_BLOCK >= bytes);
    }
}

//! How much of the disk a campaign may take.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use bytesize::ByteSize;

/// A bound on bytes, as typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// So many.
    Bytes(u64),
    /// A share, from 0 to 1, of what is free when the campaign is begun or gone on with, and of what it
    /// has already.
    Share(f64),
}

impl Bound {
    /// In bytes, where so many are free and so many are taken by the campaign.
    pub fn bytes(self, free: u64, taken: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Share(share) => (share * (free as f64 + taken as f64)) as u64,
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text.trim().strip_suffix('%');
        let share = share.map(|percent| percent.trim().parse::<f64>().unwrap_or(f64::NAN));
        match (share, text.parse::<ByteSize>()) {
            (Some(percent), _) if (0.0..=100.0).contains(&percent) => {
                Ok(Self::Share(percent / 100.0))
            }
            (None, Ok(size)) => Ok(Self::Bytes(size.as_u64())),
            _ => Err(format!(
                "{text:?}: give a size such as 20GB or 500MiB, or a share of what is free such as 50%"
            )),
        }
    }
}

/// Bytes of all files in a folder and below; links are not followed. 0 where there is none.
///
/// # Errors
/// A folder can't be read.
pub fn used(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        // Others may delete meanwhile.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += match metadata.is_dir() {
            true => used(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

/// Bytes that are free, for users without privileges, on the disk that a folder is on.
///
/// # Errors
/// The system does not say.
pub fn free(folder: &Path) -> io::Result<u64> {
    let of = rustix::fs::statvfs(folder)?;
    Ok(of.f_bavail.saturating_mul(of.f_frsize))
}

/// Whether there is room for another run: what is taken, and twice the largest so far (it, and its part
/// of the dataset) for each that is going on and for the new one, and the dataset of all that is there.
pub fn has_room(bound: u64, taken: u64, largest_run: u64, going_on: usize) -> bool {
    let expected = largest_run
        .saturating_mul(2)
        .saturating_mul(going_on as u64 + 1);
    taken.saturating_add(expected) <= bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_are_read() {
        assert_eq!("20GB".parse(), Ok(Bound::Bytes(20_000_000_000)));
        assert_eq!("1.5 MiB".parse(), Ok(Bound::Bytes(1_572_864)));
        assert_eq!("50%".parse(), Ok(Bound::Share(0.5)));
        assert_eq!(Bound::Share(0.5).bytes(600, 400), 500);
        assert_eq!(Bound::Bytes(7).bytes(600, 400), 7);
        for wrong in ["", "GB", "1.2.3GB", "101%", "-1GB", "5 parsecs"] {
            assert!(wrong.parse::<Bound>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_and_its_part_of_the_dataset_must_fit() {
        assert!(has_room(100, 0, 0, 0));
        assert!(has_room(100, 60, 20, 0));
        assert!(!has_room(100, 61, 20, 0));
        assert!(!has_room(100, 30, 20, 1));
    }

    #[test]
    fn all_files_below_a_folder_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), [0; 10]).unwrap();
        fs::write(folder.path().join("d"), [0; 5]).unwrap();
        assert_eq!(used(folder.path()).unwrap(), 15);
        assert_eq!(used(&folder.path().join("not there")).unwrap(), 0);
        assert!(free(folder.path()).unwrap() > 0);
    }
}

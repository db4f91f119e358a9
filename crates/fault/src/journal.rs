//! The journal of a run: what its drivers have changed and not yet undone, on the disk before it is
//! changed. Whoever comes after a crash undoes by it: the run's guard, `loadgen faults clear`, or
//! the next run.
//!
//! A journal is a file of JSON lines in a folder of the user's. The first line says how the drivers
//! were set up, `begin` that something may have been changed, `end` that it was undone. A journal
//! whose run lives is locked; one whose faults are all undone is removed.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use loadgen_scenario::plan::Parameters;
use serde::{Deserialize, Serialize};

use crate::{FaultError, Injection};

/// What drivers are told, by their names: addresses, mostly.
pub type Settings = BTreeMap<String, Parameters>;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The run.
    pub run_id: String,
    /// Its timeline, as an absolute path.
    pub timeline: PathBuf,
    /// How its drivers were set up.
    pub settings: Settings,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run(Header),
    Begin { entry: u64, injection: Injection },
    End { entry: u64 },
}

/// The number of a change in its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(u64);

/// A journal that this process writes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    next: AtomicU64,
}

/// The folder of journals: `$LOADGEN_STATE_DIR`, else `loadgen` in `$XDG_STATE_HOME`, else in
/// `~/.local/state`.
pub fn folder() -> PathBuf {
    let variable = |name| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let state = || {
        let home = || variable("HOME").map(|home| home.join(".local/state"));
        variable("XDG_STATE_HOME").or_else(home)
    };
    variable("LOADGEN_STATE_DIR")
        .or_else(|| state().map(|state| state.join("loadgen")))
        .unwrap_or_else(|| std::env::temp_dir().join("loadgen"))
        .join("faults")
}

/// The journal of a run.
pub fn path_of(run_id: &str) -> PathBuf {
    folder().join(format!("{run_id}.jsonl"))
}

/// All journals that there are, in the order of their names.
///
/// # Errors
/// The folder is there and can't be read.
pub fn all() -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

impl Journal {
    /// Begins the journal of a run, and locks it for as long as this value lives.
    ///
    /// # Errors
    /// It can't be written.
    pub fn create(header: &Header) -> Result<Self, FaultError> {
        let path = path_of(&header.run_id);
        // Under another name until it is locked, so that nobody takes it for a leftover.
        let made = || -> io::Result<File> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder())?;
            let unnamed = path.with_extension("new");
            let mut file = loadgen_files::create_new(&unnamed)?;
            file.lock()?;
            write_line(&mut file, &Line::Run(header.clone()))?;
            std::fs::rename(&unnamed, &path)?;
            Ok(file)
        };
        match made() {
            Ok(file) => Ok(Self {
                path,
                file: Mutex::new(file),
                next: AtomicU64::new(0),
            }),
            Err(source) => Err(FaultError::Journal { path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what may be changed from now on. It is on the disk when this returns.
    pub(crate) async fn begin(self: Arc<Self>, injection: Injection) -> Result<Entry, FaultError> {
        let entry = self.next.fetch_add(1, Relaxed);
        self.write_aside(Line::Begin { entry, injection }).await?;
        Ok(Entry(entry))
    }

    /// Writes down that a change was undone, or not made.
    pub(crate) async fn end(self: Arc<Self>, entry: Entry) -> Result<(), FaultError> {
        self.write_aside(Line::End { entry: entry.0 }).await
    }

    /// The disk may be slow; the load must not wait for it.
    async fn write_aside(self: Arc<Self>, line: Line) -> Result<(), FaultError> {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || self.write(&line)).await;
        written.unwrap_or_else(|error| {
            let source = io::Error::other(error);
            Err(FaultError::Journal { path, source })
        })
    }

    fn write(&self, line: &Line) -> Result<(), FaultError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        write_line(&mut file, line).map_err(|source| FaultError::Journal {
            path: self.path.clone(),
            source,
        })
    }
}

/// Writes a line that is on the disk when this returns. An empty one before it ends a line that
/// somebody was killed in.
fn write_line(file: &mut File, line: &Line) -> io::Result<()> {
    let mut bytes = vec![b'\n'];
    serde_json::to_writer(&mut bytes, line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_data()
}

/// A journal whose run is over, locked so that nobody else works by it.
#[derive(Debug)]
pub struct Leftover {
    path: PathBuf,
    file: File,
    /// How its drivers were set up.
    pub header: Header,
    /// What may not be undone.
    pub open: BTreeMap<Entry, Injection>,
}

/// What there is to know of a journal.
#[derive(Debug)]
pub enum Found {
    /// There is none: all is undone, or nothing was ever changed.
    Nothing,
    /// Its run lives, or somebody undoes by it at this moment.
    Locked,
    /// It is left over.
    Leftover(Leftover),
}

/// Reads a journal, if its run is over. A torn last line was never acted on.
///
/// # Errors
/// It can't be read, or does not begin with a header.
pub fn read(path: &Path) -> io::Result<Found> {
    let file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    // What it says is run: nobody else's word will do.
    if file.metadata()?.uid() != rustix::process::geteuid().as_raw() {
        let message = "it belongs to another user";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Found::Locked),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // It may have been removed by whoever held the lock until now.
    if !path.exists() {
        return Ok(Found::Nothing);
    }
    let mut header = None;
    let mut open = BTreeMap::new();
    for line in BufReader::new(&file).lines() {
        match serde_json::from_str(&line?) {
            Ok(Line::Run(run)) => header = Some(run),
            Ok(Line::Begin { entry, injection }) => {
                open.insert(Entry(entry), injection);
            }
            Ok(Line::End { entry }) => {
                open.remove(&Entry(entry));
            }
            // Torn where somebody was killed: nothing was done by it.
            Err(_) => {}
        }
    }
    let Some(header) = header else {
        let message = "it does not begin with a run, so it is no journal of faults";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    };
    Ok(Found::Leftover(Leftover {
        path: path.to_owned(),
        file,
        header,
        open,
    }))
}

impl Leftover {
    /// Writes down that a change was undone.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn undone(&mut self, entry: Entry) -> io::Result<()> {
        write_line(&mut self.file, &Line::End { entry: entry.0 })?;
        self.open.remove(&entry);
        Ok(())
    }

    /// Removes the journal: all is undone, or is not to be.
    ///
    /// # Errors
    /// The file can't be removed.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

impl Drop for Journal {
    /// A journal of which all is undone is of no use to anybody.
    fn drop(&mut self) {
        let open = File::open(&self.path).map(|file| {
            let lines = BufReader::new(file).lines().map_while(Result::ok);
            lines.fold(0_i64, |open, line| match serde_json::from_str(&line) {
                Ok(Line::Begin { .. }) => open + 1,
                Ok(Line::End { .. }) => open - 1,
                _ => open,
            })
        });
        if open.is_ok_and(|open| open == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use loadgen_scenario::plan::{Fault, Parameters};

    use super::*;

    fn injection(fault: &str) -> Injection {
        Injection {
            fault: Fault {
                driver: "exec".to_owned(),
                fault: fault.to_owned(),
                service: "store".to_owned(),
                intensity: 1.0,
                sham: false,
                harmless: false,
                clients: None,
                parameters: Parameters::new(),
            },
            owner: "run".to_owned(),
            before: serde_json::json!({ "folder": "/" }),
        }
    }

    fn lines(lines: &[Line]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl");
        let mut file = File::create(&path).expect("a file");
        for line in lines {
            write_line(&mut file, line).expect("a line");
        }
        (folder, path)
    }

    fn header() -> Header {
        Header {
            run_id: "run".to_owned(),
            timeline: "/runs/x/timeline.jsonl".into(),
            settings: Settings::new(),
        }
    }

    fn begin(entry: u64) -> Line {
        let injection = injection(&format!("fault-{entry}"));
        Line::Begin { entry, injection }
    }

    #[test]
    fn what_was_begun_and_not_ended_is_open() {
        let (_folder, path) = lines(&[
            Line::Run(header()),
            begin(0),
            begin(1),
            Line::End { entry: 0 },
        ]);
        let Ok(Found::Leftover(mut leftover)) = read(&path) else {
            panic!("it is left over");
        };
        assert_eq!(leftover.header, header());
        let open: Vec<&str> = leftover.open.values().map(|i| &*i.fault.fault).collect();
        assert_eq!(open, ["fault-1"]);
        leftover.undone(Entry(1)).expect("written");
        drop(leftover);
        let Ok(Found::Leftover(again)) = read(&path) else {
            panic!("it is left over");
        };
        assert!(again.open.is_empty());
        again.remove().expect("removed");
        assert!(matches!(read(&path), Ok(Found::Nothing)));
    }

    #[test]
    fn a_line_that_is_cut_anywhere_was_not_acted_on() {
        let (_folder, path) = lines(&[Line::Run(header()), begin(0), begin(1)]);
        let whole = std::fs::read(&path).expect("bytes");
        let second = whole
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'\n')
            .nth(4);
        let second = second.expect("the end of the first entry").0;
        for end in second..whole.len() - 1 {
            std::fs::write(&path, &whole[..end]).expect("written");
            let Ok(Found::Leftover(mut leftover)) = read(&path) else {
                panic!("cut at {end}");
            };
            // A line without its newline is whole all the same once its last brace is there.
            assert!([1, 2].contains(&leftover.open.len()), "cut at {end}");
            leftover.undone(Entry(0)).expect("written");
            drop(leftover);
            let Ok(Found::Leftover(leftover)) = read(&path) else {
                panic!("cut at {end}, and written to");
            };
            assert!(!leftover.open.contains_key(&Entry(0)), "cut at {end}");
        }
    }

    #[test]
    fn a_journal_is_locked_while_its_run_lives() {
        let (_folder, path) = lines(&[Line::Run(header())]);
        let run = File::open(&path).expect("the run's own");
        run.lock().expect("locked");
        assert!(matches!(read(&path), Ok(Found::Locked)));
        drop(run);
        assert!(matches!(read(&path), Ok(Found::Leftover(_))));
    }

    #[test]
    fn what_is_no_journal_is_told() {
        let (_folder, path) = lines(&[]);
        assert!(read(&path).is_err());
    }
}

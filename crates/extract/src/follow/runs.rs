//! The run folders that are there.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use loadgen_timeline::condition::{Conditions, TimeSpan};
use loadgen_timeline::read_timeline;

use super::watch::end_of;

/// The file that makes a folder one of a run.
pub(crate) const TIMELINE: &str = "timeline.jsonl";

/// A run, as its timeline tells.
#[derive(Debug, Clone)]
pub(crate) struct FoundRun {
    pub(crate) run_id: String,
    pub(crate) folder: PathBuf,
    /// Name of the folder.
    pub(crate) name: String,
    /// Up to its end, or its latest event.
    pub(crate) time: TimeSpan,
    /// When it ended; none: it goes on.
    pub(crate) end_ns: Option<i64>,
}

impl FoundRun {
    pub(crate) fn timeline(&self) -> PathBuf {
        self.folder.join(TIMELINE)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger.arrows")
    }
}

/// A folder that can't serve, with the reason.
pub(crate) type Unreadable = (PathBuf, String);

/// The runs in the folders of a folder, in the order in which they began, and folders that hold a
/// timeline but can't serve, with the reason.
pub(crate) fn find(runs: &Path, now_ns: i64) -> io::Result<(Vec<FoundRun>, Vec<Unreadable>)> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for entry in runs.read_dir()? {
        let folder = entry?.path();
        let timeline = folder.join(TIMELINE);
        // One that is empty is about to be written.
        if timeline.metadata().is_ok_and(|file| file.len() > 0) {
            match run(&folder, now_ns) {
                Ok(run) => found.push(run),
                Err(reason) => unreadable.push((folder, reason)),
            }
        }
    }
    found.sort_by(|a, b| (a.time.0, &a.name).cmp(&(b.time.0, &b.name)));
    let mut seen = HashSet::new();
    let (found, copies): (Vec<FoundRun>, Vec<FoundRun>) = found
        .into_iter()
        .partition(|run| seen.insert(run.run_id.clone()));
    unreadable.extend(copies.into_iter().map(|copy| {
        let reason = "it is a copy of another folder: both have the same run".to_owned();
        (copy.folder, reason)
    }));
    unreadable.sort();
    Ok((found, unreadable))
}

fn run(folder: &Path, now_ns: i64) -> Result<FoundRun, String> {
    let timeline = read_timeline(&folder.join(TIMELINE)).map_err(|error| error.to_string())?;
    let run = timeline.run.as_ref();
    let run = run.ok_or("its timeline lacks its first line, which names the run")?;
    let time = Conditions::new(&timeline).run();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(FoundRun {
        run_id: run.run_id.clone(),
        folder: folder.to_owned(),
        name: name.into_owned(),
        time: time.ok_or("its timeline says nothing of its time")?,
        end_ns: end_of(&timeline, now_ns),
    })
}

//! What is done of a campaign: `campaign.json` says what was asked for, `campaign.jsonl` has a line for
//! each run that ended.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::CampaignError;

/// What says in a campaign's folder what was asked for.
pub const ASKED: &str = "campaign.json";
/// What says in a campaign's folder what is done.
pub const DONE: &str = "campaign.jsonl";
/// The folder of the runs, in that of the campaign.
pub const RUNS: &str = "runs";

/// How often a run is tried that does not come to its end by itself.
pub const TRIES: u32 = 3;

const VERSION: u32 = 1;

/// What was asked for. It must be the same each time that the campaign is gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Version of this file's form, 1.
    pub version: u32,
    /// Name of the scenario file.
    pub scenario_file: String,
    /// Its SHA-256, hexadecimal.
    pub scenario_sha256: String,
    /// Seed of the first run; the others follow.
    pub first_seed: u64,
    /// Factor by which the timetable is stretched.
    pub time_scale: f64,
    /// Only these scenarios; empty: all.
    pub scenarios: Vec<String>,
    /// Base URLs of the targets, without credentials; empty: each run has a shop of its own.
    pub targets: Vec<String>,
}

impl Asked {
    /// Of a scenario file of this name and sum.
    pub fn new(scenario_file: String, scenario_sha256: String) -> Self {
        Self {
            version: VERSION,
            scenario_file,
            scenario_sha256,
            first_seed: 0,
            time_scale: 1.0,
            scenarios: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// What differs: name, as here, as there.
    fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let pairs = [
            (
                "version",
                self.version.to_string(),
                other.version.to_string(),
            ),
            (
                "scenario file (SHA-256)",
                self.scenario_sha256.clone(),
                other.scenario_sha256.clone(),
            ),
            (
                "first seed",
                self.first_seed.to_string(),
                other.first_seed.to_string(),
            ),
            (
                "time scale",
                self.time_scale.to_string(),
                other.time_scale.to_string(),
            ),
            (
                "choice of scenarios",
                list(&self.scenarios),
                list(&other.scenarios),
            ),
            ("list of targets", list(&self.targets), list(&other.targets)),
        ];
        pairs.into_iter().find(|(_, here, there)| here != there)
    }
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its number, from 0.
    pub run: u64,
    /// Its seed.
    pub seed: u64,
    /// Its folder in that of the campaign.
    pub folder: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// From its start until it was labelled, s.
    pub seconds: f64,
    /// Length of its timetable, s.
    pub planned_seconds: f64,
    /// Of this, the time in which the target is only warmed up, s.
    pub warm_up_seconds: f64,
    /// Episodes by its plan.
    pub episodes: u64,
    /// As `loadgen run` ended. None: by a signal.
    pub exit_code: Option<i32>,
    /// Whether there is a dataset of it.
    pub has_dataset: bool,
    /// Bytes of its folder.
    pub bytes: u64,
    /// What it said, where there is no dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The folder of a campaign, which nobody else works on.
#[derive(Debug)]
pub struct CampaignJournal {
    folder: PathBuf,
    file: File,
    ended: Vec<Ended>,
}

impl CampaignJournal {
    /// Begins a campaign in a folder that is new or empty, or goes on with the one that is there.
    ///
    /// # Errors
    /// The folder has something else in it, or a campaign of something else; another process works on
    /// it; it can't be read or written.
    pub fn open(folder: &Path, asked: &Asked) -> Result<Self, CampaignError> {
        fs::create_dir_all(folder).map_err(CampaignError::io(folder))?;
        let (asked_path, done_path) = (folder.join(ASKED), folder.join(DONE));
        if !asked_path.exists() {
            let mut others = fs::read_dir(folder).map_err(CampaignError::io(folder))?;
            // One that was killed before it had said what was asked for.
            if others.any(|entry| entry.is_ok_and(|entry| entry.file_name() != DONE)) {
                return Err(CampaignError::Taken {
                    folder: folder.to_owned(),
                });
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&done_path)
            .map_err(CampaignError::io(&done_path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CampaignError::Busy {
                    folder: folder.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(CampaignError::io(&done_path)(error)),
        }
        if asked_path.exists() {
            let theirs = read_asked(&asked_path)?;
            if let Some((what, theirs, ours)) = theirs.difference(asked) {
                return Err(CampaignError::Other {
                    folder: folder.to_owned(),
                    what,
                    theirs,
                    ours,
                });
            }
        } else {
            write_whole(&asked_path, asked)?;
        }
        let text = fs::read(&done_path).map_err(CampaignError::io(&done_path))?;
        let (mut ended, whole) = read_lines(&text).map_err(|reason| CampaignError::Malformed {
            path: done_path.clone(),
            reason,
        })?;
        // What a kill has left of a line is no part of the file any more.
        if whole < text.len() {
            file.set_len(whole as u64)
                .map_err(CampaignError::io(&done_path))?;
        }
        // A run whose folder somebody has removed is made again.
        for run in &mut ended {
            run.has_dataset &= folder.join(&run.folder).is_dir();
        }
        Ok(Self {
            folder: folder.to_owned(),
            file,
            ended,
        })
    }

    /// The runs that ended, in the order in which they did.
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// The run of this number that has a dataset, if there is one.
    pub fn done(&self, run: u64) -> Option<&Ended> {
        self.ended.iter().find(|e| e.run == run && e.has_dataset)
    }

    /// Whether a run is still to be made: it has no dataset, and has not been tried [`TRIES`] times.
    pub fn is_open(&self, run: u64) -> bool {
        let tries = self.ended.iter().filter(|e| e.run == run).count();
        self.done(run).is_none() && tries < TRIES as usize
    }

    /// A folder for the next try of a run: one that is not there yet. What a kill has left in another
    /// may still be in use by what was started from there.
    pub fn next_folder(&self, run: u64) -> String {
        let first = format!("{RUNS}/{run:04}");
        let others = (2..).map(|n| format!("{first}-{n}"));
        let mut names = std::iter::once(first.clone()).chain(others);
        let free = names.find(|name| !self.folder.join(name).exists());
        free.unwrap_or(first)
    }

    /// Writes down that a run has ended. When this returns, it is on the disk.
    ///
    /// # Errors
    /// It can't be written.
    pub fn add(&mut self, ended: Ended) -> Result<(), CampaignError> {
        let path = self.folder.join(DONE);
        let mut line =
            serde_json::to_string(&ended).map_err(|e| CampaignError::io(&path)(e.into()))?;
        line.push('\n');
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        written.map_err(CampaignError::io(&path))?;
        self.ended.push(ended);
        Ok(())
    }

    /// Folders of which no line speaks: what a kill has left. That of a try that ended without a
    /// dataset stays, for whoever looks why.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>, CampaignError> {
        let runs = self.folder.join(RUNS);
        let entries = match fs::read_dir(&runs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(CampaignError::io(&runs))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(CampaignError::io(&runs))?.path();
            let is_kept = self
                .ended
                .iter()
                .any(|e| self.folder.join(&e.folder) == path);
            if path.is_dir() && !is_kept {
                found.push(path);
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn read_asked(path: &Path) -> Result<Asked, CampaignError> {
    let text = fs::read(path).map_err(CampaignError::io(path))?;
    serde_json::from_slice(&text).map_err(|error| CampaignError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// The file is there whole or not at all.
fn write_whole(path: &Path, what: &impl Serialize) -> Result<(), CampaignError> {
    let write = || {
        let mut text = serde_json::to_string_pretty(what)?;
        text.push('\n');
        let beside = path.with_extension("json.new");
        fs::write(&beside, text)?;
        fs::rename(&beside, path)
    };
    write().map_err(CampaignError::io(path))
}

/// The lines of a journal, and how many bytes of it are whole lines.
fn read_lines(bytes: &[u8]) -> Result<(Vec<Ended>, usize), String> {
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    // A kill may have cut the last line within a character.
    let text = std::str::from_utf8(&bytes[..whole]).map_err(|error| error.to_string())?;
    let lines = text.lines().enumerate();
    let read = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))
    };
    let ended = lines.map(read).collect::<Result<_, String>>()?;
    Ok((ended, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            first_seed: 7,
            ..Asked::new("training.yaml".into(), "ab".into())
        }
    }

    fn ended(run: u64, folder: &str, has_dataset: bool) -> Ended {
        Ended {
            run,
            seed: 7 + run,
            folder: folder.to_owned(),
            began: "2026-03-01T10:00:00Z".into(),
            seconds: 61.5,
            planned_seconds: 50.0,
            warm_up_seconds: 10.0,
            episodes: 3,
            exit_code: has_dataset.then_some(0),
            has_dataset,
            bytes: 1000,
            reason: None,
        }
    }

    #[test]
    fn what_was_done_is_known_after_a_kill_in_the_middle_of_a_line() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("campaign");
        let mut journal = CampaignJournal::open(&folder, &asked()).unwrap();
        for name in ["runs/0000", "runs/0001", "runs/0001-2"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        journal.add(ended(0, "runs/0000", true)).unwrap();
        journal.add(ended(1, "runs/0001", false)).unwrap();
        drop(journal);
        let path = folder.join(DONE);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{{\"run\":2,\"se")).unwrap();

        let mut journal = CampaignJournal::open(&folder, &asked()).unwrap();
        assert_eq!(journal.ended().len(), 2);
        assert!(!journal.is_open(0) && journal.is_open(1) && journal.is_open(2));
        journal.add(ended(1, "runs/0001-2", true)).unwrap();
        drop(journal);
        let journal = CampaignJournal::open(&folder, &asked()).unwrap();
        assert_eq!(journal.done(1).unwrap().folder, "runs/0001-2");
        drop(journal);
        fs::remove_dir(folder.join("runs/0000")).unwrap();
        assert!(CampaignJournal::open(&folder, &asked()).unwrap().is_open(0));
    }

    #[test]
    fn a_run_is_tried_three_times() {
        let place = tempfile::tempdir().unwrap();
        let mut journal = CampaignJournal::open(place.path(), &asked()).unwrap();
        for n in 0..TRIES {
            assert!(journal.is_open(0));
            journal
                .add(ended(0, &format!("runs/0000-{n}"), false))
                .unwrap();
        }
        assert!(!journal.is_open(0));
    }

    #[test]
    fn a_folder_is_of_one_campaign_and_of_one_process() {
        let place = tempfile::tempdir().unwrap();
        let journal = CampaignJournal::open(place.path(), &asked()).unwrap();
        let busy = CampaignJournal::open(place.path(), &asked()).unwrap_err();
        assert!(matches!(busy, CampaignError::Busy { .. }), "{busy}");
        drop(journal);
        let other = Asked {
            first_seed: 8,
            ..asked()
        };
        let error = CampaignJournal::open(place.path(), &other)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("its first seed is 7, and 8 is asked for"),
            "{error}"
        );
        let taken = tempfile::tempdir().unwrap();
        fs::write(taken.path().join("thesis.tex"), "").unwrap();
        let error = CampaignJournal::open(taken.path(), &asked()).unwrap_err();
        assert!(matches!(error, CampaignError::Taken { .. }), "{error}");
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let place = tempfile::tempdir().unwrap();
        CampaignJournal::open(place.path(), &asked()).unwrap();
        fs::write(place.path().join(DONE), "{}\n").unwrap();
        let error = CampaignJournal::open(place.path(), &asked())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("campaign.jsonl: line 1: missing field"),
            "{error}"
        );
    }

    #[test]
    fn folders_that_no_line_speaks_of_are_left_over() {
        let place = tempfile::tempdir().unwrap();
        let mut journal = CampaignJournal::open(place.path(), &asked()).unwrap();
        for name in ["runs/0000", "runs/0001", "runs/0001-2"] {
            fs::create_dir_all(place.path().join(name)).unwrap();
        }
        journal.add(ended(0, "runs/0000", true)).unwrap();
        journal.add(ended(1, "runs/0001-2", true)).unwrap();
        assert_eq!(
            journal.leftovers().unwrap(),
            [place.path().join("runs/0001")]
        );
        assert_eq!(journal.next_folder(1), "runs/0001-3");
        assert_eq!(journal.next_folder(2), "runs/0002");
    }
}

//! What has been read of each file. A file is known by its first bytes and not by its name, since
//! rotation gives it another; of one that has grown only what is new is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read, Seek};
use std::path::PathBuf;

use loadgen_otlp::source::{Source, Unit, decode};
use loadgen_timeline::condition::TimeSpan;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::complete::{MetricSource, RunMarks};
use super::marks::{Marks, RowCounts, Sources};
use super::owners::Owners;
use crate::error::ExtractError;
use crate::scan::inputs::{Opened, read_error};

/// So many bytes at the start of a file tell it from others: its first message has times in it.
const FINGERPRINT_BYTES: u64 = 1024;

/// A source of metrics that has been silent for so long, in nanoseconds, before the latest one is
/// forgotten.
const FORGOTTEN_NS: i64 = 3_600_000_000_000;

/// The start of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// XXH64 of its first bytes, in hex.
    pub hash: String,
    /// How many bytes these are.
    pub bytes: u64,
}

/// What has been read of a file. Times are Unix nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Its name when it was last seen.
    pub path: PathBuf,
    /// By what it is known when it has another name.
    pub fingerprint: Fingerprint,
    /// Bytes of it that have been read.
    pub read_bytes: u64,
    /// Messages of it that have been read, where it is not plain lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub read_messages: u64,
    /// Rows in these.
    pub rows: RowCounts,
    /// Of these rows: those of each run's traces, and those of nobody known in its time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of_runs: BTreeMap<String, RowCounts>,
    /// The earliest time of a row.
    pub first_ns: Option<i64>,
    /// The latest time of a row.
    pub last_ns: Option<i64>,
    /// It is to be read once more from its start: some of its rows are of a run that was not known.
    #[serde(skip)]
    pub(crate) again: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FileMark {
    /// Whether it has rows of a time.
    pub(crate) fn overlaps(&self, time: TimeSpan) -> bool {
        let times = self.first_ns.zip(self.last_ns);
        times.is_some_and(|(first, last)| first <= time.1 && last >= time.0)
    }

    /// Whether it has rows of a run, or of so near a time that their series or traces may go on
    /// into the run's.
    pub(crate) fn is_near(&self, run_id: &str, time: TimeSpan) -> bool {
        const NEAR_NS: i64 = 600_000_000_000;
        let has_rows = self.of_runs.get(run_id).is_some_and(|rows| rows.all() > 0);
        let around = (
            time.0.saturating_sub(NEAR_NS),
            time.1.saturating_add(NEAR_NS),
        );
        has_rows || self.overlaps(around)
    }
}

/// All files that have been read.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) files: Vec<FileMark>,
    pub(crate) sources: Sources,
}

/// What a look at the files showed.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// By file of the index: its position among those that were opened.
    pub(crate) opened: Vec<usize>,
    /// What was known and is not there any more.
    pub(crate) gone: Vec<FileMark>,
    /// Files that begin like one before them, which they are copies of. They are not read.
    pub(crate) copies: Vec<PathBuf>,
    /// Rows that were read now, by position of the run.
    pub(crate) new: BTreeMap<usize, RowCounts>,
}

impl Index {
    /// Reads what is new. `runs` are the marks of the runs of `owners`.
    pub(crate) fn look(
        &mut self,
        opened: &[Opened],
        owners: &Owners,
        runs: &mut [RunMarks],
        now_ns: i64,
    ) -> Result<Look, ExtractError> {
        let mut look = Look::default();
        let mut known = std::mem::take(&mut self.files);
        for (position, file) in opened.iter().enumerate().filter(|(_, f)| f.len() > 0) {
            let cannot = |source| read_error(&file.path, source);
            let head = head(&file.file).map_err(cannot)?;
            let is_same = |mark: &FileMark| is_same(mark, &head, file.len());
            if self.files.iter().any(is_same) {
                look.copies.push(file.path.clone());
                continue;
            }
            let mut mark = match known.iter().position(is_same) {
                Some(at) => known.swap_remove(at),
                None => FileMark::default(),
            };
            // The rows of runs that were read of it before.
            let mut known_rows = BTreeMap::new();
            if mark.again {
                known_rows = std::mem::take(&mut mark.of_runs);
                mark = FileMark::default();
            }
            mark.path.clone_from(&file.path);
            mark.fingerprint = fingerprint(&head);
            let new = self.read(file, &mut mark, owners, runs, now_ns);
            for (run, rows) in new.map_err(cannot)? {
                let run_id = &owners.runs()[run].run_id;
                let known = known_rows.remove(run_id).unwrap_or_default();
                look.new.entry(run).or_default().add(rows.less(known));
            }
            self.files.push(mark);
            look.opened.push(position);
        }
        look.gone = known;
        let latest = self.sources.values().map(|source| source.last_ns).max();
        let forgotten = latest.unwrap_or(0).saturating_sub(FORGOTTEN_NS);
        self.sources.retain(|_, source| source.last_ns >= forgotten);
        Ok(look)
    }

    fn read(
        &mut self,
        file: &Opened,
        mark: &mut FileMark,
        owners: &Owners,
        runs: &mut [RunMarks],
        now_ns: i64,
    ) -> io::Result<BTreeMap<usize, RowCounts>> {
        if file.len() <= mark.read_bytes {
            return Ok(BTreeMap::new());
        }
        let read_ns = file.modified_ns().map_or(now_ns, |at| at.min(now_ns));
        let lines = Source::lines_since(&file.file, mark.read_bytes, file.len())?;
        // Where messages are not plain lines those that are known are gone through again.
        let is_lines = lines.is_some();
        let (mut source, end) = match lines {
            Some((source, end)) => (source, end),
            None => (file.source()?, file.len()),
        };
        let known = mark.read_messages;
        let mut marks = Marks::new(owners, runs, &mut self.sources, read_ns, known);
        let mut unit = Unit::default();
        let mut messages = 0;
        while source.next_unit(&mut unit)? {
            let summary = decode(&unit, &mut marks);
            let torn = summary
                .skipped
                .iter()
                .filter(|skipped| skipped.torn)
                .count();
            messages += summary.lines - (torn as u64).min(summary.lines);
        }
        let noted = marks.finish();
        mark.read_bytes = end;
        mark.read_messages = if is_lines { 0 } else { messages };
        mark.rows.add(noted.rows);
        if let Some((first, last)) = noted.extent {
            mark.first_ns = Some(mark.first_ns.map_or(first, |at| at.min(first)));
            mark.last_ns = Some(mark.last_ns.map_or(last, |at| at.max(last)));
        }
        for (run, rows) in &noted.of_runs {
            let run_id = owners.runs()[*run].run_id.clone();
            mark.of_runs.entry(run_id).or_default().add(*rows);
        }
        Ok(noted.of_runs)
    }

    /// Who sends metrics.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &MetricSource> {
        self.sources.values()
    }
}

/// The first bytes of a file.
fn head(mut file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.rewind()?;
    file.take(FINGERPRINT_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

fn fingerprint(head: &[u8]) -> Fingerprint {
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(head);
    Fingerprint {
        hash: format!("{:016x}", hasher.finish()),
        bytes: head.len() as u64,
    }
}

/// Whether a file that begins with `head` is the one that was read before.
fn is_same(mark: &FileMark, head: &[u8], len: u64) -> bool {
    let known = usize::try_from(mark.fingerprint.bytes).unwrap_or(usize::MAX);
    let begins_so = head.get(..known).map(fingerprint).as_ref() == Some(&mark.fingerprint);
    begins_so && known > 0 && len >= mark.read_bytes
}

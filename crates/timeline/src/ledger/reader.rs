//! Reads a ledger, also one that is damaged or breaks off.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::MessageHeader;

use super::batch::LedgerBatch;
use super::checksum::Content;
use super::decode::{self, Dictionaries};
use super::messages::{Found, Frame, Messages};
use super::report::{LedgerReport, ScenarioRecords};
use super::schema::{CHECKSUM, DICTIONARIES, Head, LEDGER_SCHEMA_VERSION, Layout};

/// No batch of version 2 has fewer bytes: so many may have been where nothing can be recognised.
const SMALLEST_BATCH: u64 = 512;

/// Combinations of different copies of lists of names that are tried at most.
const MOST_COMBINATIONS: usize = 256;

/// Why a file can't serve as a ledger.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The file can't be read.
    #[error("can't read the ledger {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in it, because the run was killed before it began.
    #[error("the ledger {} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is something else, or nothing in it is as it was written.
    #[error(
        "{} is not a ledger, or nothing of it can be read: {reason}; give the ledger.arrows of a run \
         folder",
        path.display()
    )]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A newer loadgen wrote it.
    #[error(
        "{} has schema version {found}; this loadgen reads up to version {LEDGER_SCHEMA_VERSION}: \
         use a newer one",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
    },
}

/// Goes through a ledger batch by batch, so that a long one needs no more memory than a short one.
///
/// Batches of version 2 come out only if their checksum is true. What is damaged is left out and
/// told in the [`report`](Self::report).
#[derive(Debug)]
pub struct LedgerReader<R = BufReader<File>> {
    messages: Messages<R>,
    /// Where the next message should begin.
    at: u64,
    /// Where to look for one if there is none.
    look_from: u64,
    /// None: the head is damaged, and each batch tells by its number of columns.
    layout: Option<&'static Layout>,
    /// Names of the run that may be the right one: that of the head, and that which is expected.
    run_ids: Vec<String>,
    /// Different copies of each list of names, the latest last.
    names: [Vec<ArrayRef>; DICTIONARIES],
    /// Those that the checksums bore out.
    current: Dictionaries,
    has_looked_ahead: bool,
    /// Number of the next batch.
    next_number: u64,
    /// Where the last batch ended whose number is known.
    known_until: u64,
    /// Batches since then that are damaged.
    since: Damaged,
    /// A batch that was read when it was opened.
    first: Option<LedgerBatch>,
    scenarios: Vec<String>,
    report: LedgerReport,
    is_done: bool,
}

impl LedgerReader {
    /// Opens a ledger. `run_id` is the run that it should be of, as the timeline says: with it
    /// also a ledger can be read whose own head is damaged.
    ///
    /// # Errors
    /// The file can't be read, is no ledger, or one of a newer version.
    pub fn open(path: &Path, run_id: Option<&str>) -> Result<Self, LedgerError> {
        let read = |source| LedgerError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        LedgerReader::new(BufReader::new(file), run_id, path)
    }
}

/// Batches that are damaged.
#[derive(Debug, Default)]
struct Damaged {
    batches: u64,
    /// Of these, those that still say how many requests are in them, and how many that are.
    of_known_length: u64,
    rows: u64,
}

/// What came of a message.
enum Taken {
    Batch(Box<LedgerBatch>),
    Names,
    Damaged,
}

impl<R: Read + Seek> LedgerReader<R> {
    /// Reads a ledger from anywhere; `path` is for messages.
    ///
    /// # Errors
    /// As [`open`](LedgerReader::open).
    pub fn new(source: R, run_id: Option<&str>, path: &Path) -> Result<Self, LedgerError> {
        let read = |source| LedgerError::Read {
            path: path.to_owned(),
            source,
        };
        let mut messages = Messages::new(source).map_err(read)?;
        if messages.length() == 0 {
            let path = path.to_owned();
            return Err(LedgerError::Empty { path });
        }
        let found = messages.at(0).map_err(read)?;
        let (head, end) = match &found {
            Found::Message(frame) => (
                frame
                    .message()
                    .and_then(|message| message.header_as_schema())
                    .map(Head::of),
                frame.end,
            ),
            _ => (None, 0),
        };
        let head = head.unwrap_or_default();
        let is_whole = head.is_whole();
        let mut reader = Self {
            messages,
            at: end,
            look_from: 8,
            layout: head.layout.filter(|_| is_whole),
            run_ids: head.run_id.clone().into_iter().collect(),
            names: Default::default(),
            current: Dictionaries::new(),
            has_looked_ahead: false,
            next_number: 0,
            known_until: end,
            since: Damaged::default(),
            first: None,
            scenarios: Vec::new(),
            report: LedgerReport {
                schema_version: reader_version(head.layout),
                run_id: head.run_id.clone().filter(|_| is_whole),
                ..LedgerReport::default()
            },
            is_done: false,
        };
        if let Some(expected) = run_id
            && !reader.run_ids.iter().any(|known| known == expected)
        {
            reader.run_ids.push(expected.to_owned());
        }
        if !is_whole {
            // A damaged head, or a file of somebody else: what follows tells.
            reader.report.damage.head = true;
            reader.first = reader.read().map_err(read)?;
            if reader.first.is_none() {
                let path = path.to_owned();
                return Err(match head.version {
                    Some(found) if found > LEDGER_SCHEMA_VERSION => {
                        LedgerError::NewerSchema { path, found }
                    }
                    _ if matches!(found, Found::Message(_)) && head.layout.is_none() => {
                        let reason = "it has not the columns of one";
                        LedgerError::NotALedger { path, reason }
                    }
                    _ => {
                        let reason = "no batch of requests could be recognised in it";
                        LedgerError::NotALedger { path, reason }
                    }
                });
            }
        }
        Ok(reader)
    }

    /// Names of the scenarios that were met so far.
    pub fn scenarios(&self) -> &[String] {
        &self.scenarios
    }

    /// What reading has shown so far; complete after the last batch.
    pub fn report(&self) -> &LedgerReport {
        &self.report
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn finish(mut self) -> io::Result<LedgerReport> {
        while self.next_batch()?.is_some() {}
        Ok(self.report)
    }

    /// The next batch that is whole; none at the end, or where the file breaks off.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn next_batch(&mut self) -> io::Result<Option<LedgerBatch>> {
        let batch = match self.first.take() {
            Some(first) => Some(first),
            None => self.read()?,
        };
        if let Some(batch) = &batch {
            self.count(batch);
        }
        Ok(batch)
    }

    fn read(&mut self) -> io::Result<Option<LedgerBatch>> {
        while !self.is_done {
            match self.messages.at(self.at)? {
                Found::Message(frame) => {
                    self.look_from = frame.start + 8;
                    match self.take(&frame)? {
                        Taken::Batch(batch) => {
                            // Now its lengths are known to be right, but for that of the padding.
                            self.look_from = frame.used_end;
                            self.at = frame.end;
                            return Ok(Some(*batch));
                        }
                        Taken::Names => self.at = frame.end,
                        Taken::Damaged => self.leave(&frame)?,
                    }
                }
                Found::End => self.end(false),
                Found::Nothing => match self.messages.from(self.look_from)? {
                    Some(next) => {
                        self.report.damage.gaps += 1;
                        self.report.damage.bytes += next.saturating_sub(self.at);
                        self.at = next;
                        self.look_from = next + 8;
                    }
                    None => self.end(true),
                },
            }
        }
        Ok(None)
    }

    /// Goes on behind a message that is damaged; its length may be what is.
    fn leave(&mut self, frame: &Frame) -> io::Result<()> {
        let leads_on = frame.end == self.messages.length()
            || !matches!(self.messages.at(frame.end)?, Found::Nothing);
        if leads_on {
            self.at = frame.end;
        } else if let Some(next) = self.messages.from(frame.start + 8)? {
            self.at = next;
        } else {
            self.at = frame.end;
            self.look_from = frame.end;
        }
        self.report.damage.bytes += self.at - frame.start;
        Ok(())
    }

    fn end(&mut self, torn: bool) {
        self.is_done = true;
        self.report.torn = torn;
        if torn {
            self.report.torn_bytes = self.messages.length() - self.at.min(self.messages.length());
        }
        self.lost(self.since.batches);
    }

    /// So many batches were lost since the last whole one.
    fn lost(&mut self, batches: u64) {
        let since = std::mem::take(&mut self.since);
        let damage = &mut self.report.damage;
        damage.batches += batches;
        // Fewer than were met: some were none of this run, and which is not known.
        if batches >= since.batches {
            damage.batches_of_known_length += since.of_known_length;
            damage.rows += since.rows;
        }
    }

    fn take(&mut self, frame: &Frame) -> io::Result<Taken> {
        let Some(message) = frame.message() else {
            return Ok(Taken::Damaged);
        };
        match message.header_type() {
            MessageHeader::DictionaryBatch => {
                let body = self.messages.body(frame)?;
                let Some((id, names)) = decode::names(message, &body) else {
                    return Ok(Taken::Damaged);
                };
                self.keep(id, &names);
                self.current.insert(id, names);
                Ok(Taken::Names)
            }
            MessageHeader::RecordBatch => self.take_batch(frame, message),
            // A second head.
            _ => Ok(Taken::Damaged),
        }
    }

    /// Keeps a copy of a list of names. A run has each list once: one that differs is damaged, or
    /// the other is.
    fn keep(&mut self, id: i64, names: &ArrayRef) {
        let copies = &mut self.names[id as usize];
        if copies.iter().any(|known| known == names) {
            return;
        }
        self.report.damage.name_lists += u64::from(!copies.is_empty());
        copies.push(names.clone());
    }

    fn take_batch(&mut self, frame: &Frame, message: arrow_ipc::Message<'_>) -> io::Result<Taken> {
        let batch = message.header_as_record_batch();
        let columns = batch
            .and_then(|batch| batch.nodes())
            .map_or(0, |nodes| nodes.len());
        let layout = match self.layout.or_else(|| Layout::with_columns(columns)) {
            Some(layout) => layout,
            None => return Ok(Taken::Damaged),
        };
        let body = self.messages.body(frame)?;
        let is_proven = layout.version > 1;
        let current = self.current.clone();
        let mut taken = self.check(frame, message, &body, layout, &current);
        if taken.is_none() && is_proven {
            taken = self.with_other_names(frame, message, &body, layout)?;
        }
        let Some((mut batch, number)) = taken else {
            self.since.batches += 1;
            if let Some(rows) = batch.and_then(|batch| plausible_rows(batch, body.len())) {
                self.since.of_known_length += 1;
                self.since.rows += rows;
            }
            return Ok(Taken::Damaged);
        };
        self.lost(match is_proven {
            true => number - self.next_number,
            false => self.since.batches,
        });
        self.report.schema_version = layout.version;
        self.layout = Some(layout);
        self.next_number = number + 1;
        self.known_until = frame.end;
        batch.number_scenarios(&mut self.scenarios);
        batch.bytes = frame.end - frame.start;
        Ok(Taken::Batch(Box::new(batch)))
    }

    /// The batch and its number, if it is what its checksum says.
    fn check(
        &mut self,
        frame: &Frame,
        message: arrow_ipc::Message<'_>,
        body: &arrow_buffer::Buffer,
        layout: &Layout,
        names: &Dictionaries,
    ) -> Option<(LedgerBatch, u64)> {
        let batch = decode::batch(message, body, layout, names)?;
        if layout.version == 1 {
            return Some((LedgerBatch::of(batch)?, self.next_number));
        }
        let stated = stated_checksum(&batch)?;
        let content = Content::of(batch.columns())?;
        let more = (frame.start - self.known_until.min(frame.start)) / SMALLEST_BATCH;
        let numbers = self.next_number..=self.next_number + more;
        let is_it = |run_id: &String, number| content.checksum(run_id, number) == stated;
        let found = self.run_ids.iter().find_map(|run_id| {
            let mut numbers = numbers.clone();
            Some((run_id, numbers.find(|number| is_it(run_id, *number))?))
        });
        let (run_id, number) = found?;
        if self.report.run_id.as_ref() != Some(run_id) {
            // Its head names another run, or none, and this is whose batches are true.
            self.report.damage.head = true;
            self.report.run_id = Some(run_id.clone());
        }
        Some((LedgerBatch::of(batch)?, number))
    }

    /// The same with other copies of the lists of names, also with those that come later.
    fn with_other_names(
        &mut self,
        frame: &Frame,
        message: arrow_ipc::Message<'_>,
        body: &arrow_buffer::Buffer,
        layout: &Layout,
    ) -> io::Result<Option<(LedgerBatch, u64)>> {
        if !self.has_looked_ahead {
            self.has_looked_ahead = true;
            self.look_ahead(frame.start + 8)?;
        }
        let combinations: usize = self
            .names
            .iter()
            .map(|copies| copies.len().max(1))
            .product();
        for number in 0..combinations.min(MOST_COMBINATIONS) {
            let mut rest = number;
            let mut names = Dictionaries::new();
            for (id, copies) in self.names.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
                names.insert(id as i64, copies[rest % copies.len()].clone());
                rest /= copies.len();
            }
            let is_current = names.len() == self.current.len()
                && names
                    .iter()
                    .all(|(id, names)| self.current.get(id) == Some(names));
            if is_current {
                continue;
            }
            if let Some(found) = self.check(frame, message, body, layout, &names) {
                self.current = names;
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Collects lists of names from the rest of the file.
    fn look_ahead(&mut self, from: u64) -> io::Result<()> {
        let mut at = from;
        while let Some(place) = self.messages.from(at)? {
            let Found::Message(frame) = self.messages.at(place)? else {
                break;
            };
            at = frame.start + 8;
            let Some(message) = frame.message() else {
                continue;
            };
            if message.header_type() == MessageHeader::DictionaryBatch {
                let body = self.messages.body(&frame)?;
                if let Some((id, names)) = decode::names(message, &body) {
                    self.keep(id, &names);
                }
            }
            if !matches!(self.messages.at(frame.end)?, Found::Nothing) {
                at = frame.end;
            }
        }
        Ok(())
    }

    fn count(&mut self, batch: &LedgerBatch) {
        self.report.batches += 1;
        self.report.bytes += batch.bytes;
        self.report.rows += batch.len() as u64;
        for row in batch.rows() {
            let one = ScenarioRecords {
                records: 1,
                unsent: u64::from(!row.was_sent()),
                first_sent_ns: row.sent_ns,
                last_sent_ns: row.sent_ns,
            };
            match self.report.records.get_mut(row.scenario) {
                Some(records) => records.merge(one),
                None => _ = self.report.records.insert(row.scenario.to_owned(), one),
            }
        }
    }
}

fn reader_version(layout: Option<&Layout>) -> u32 {
    layout.map_or(LEDGER_SCHEMA_VERSION, |layout| layout.version)
}

/// The one value of the column.
fn stated_checksum(batch: &RecordBatch) -> Option<u64> {
    let column = batch
        .column_by_name(CHECKSUM)?
        .as_primitive_opt::<UInt64Type>()?;
    let first = column.values().first()?;
    let is_one = column.null_count() == 0 && column.values().iter().all(|sum| sum == first);
    is_one.then_some(*first)
}

/// A batch's own word on its number of requests, if they have room in its body.
fn plausible_rows(batch: arrow_ipc::RecordBatch<'_>, bytes: usize) -> Option<u64> {
    /// Ids, keys and times of a row.
    const SMALLEST_ROW: u64 = 100;
    let rows = u64::try_from(batch.length()).ok()?;
    (rows > 0 && rows <= bytes as u64 / SMALLEST_ROW).then_some(rows)
}

/// A ledger in memory.
#[derive(Debug)]
pub struct Ledger {
    /// Batches in the order of writing.
    pub batches: Vec<LedgerBatch>,
    /// What reading showed.
    pub report: LedgerReport,
}

impl Ledger {
    /// Number of requests.
    pub fn len(&self) -> usize {
        self.batches.iter().map(LedgerBatch::len).sum()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All requests.
    pub fn rows(&self) -> impl Iterator<Item = super::RequestRow<'_>> {
        self.batches.iter().flat_map(LedgerBatch::rows)
    }
}

/// Reads all of a ledger; see [`LedgerReader`].
///
/// # Errors
/// As [`LedgerReader::open`] and [`LedgerReader::next_batch`].
pub fn read_ledger(path: &Path, run_id: Option<&str>) -> Result<Ledger, LedgerError> {
    let mut reader = LedgerReader::open(path, run_id)?;
    let mut batches = Vec::new();
    loop {
        let batch = reader.next_batch().map_err(|source| LedgerError::Read {
            path: path.to_owned(),
            source,
        })?;
        let Some(batch) = batch else { break };
        batches.push(batch);
    }
    Ok(Ledger {
        batches,
        report: reader.report,
    })
}

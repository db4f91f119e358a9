//! Telemetry in files: what is there, and when each request can have been sent.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use loadgen_otlp::source::{Skipped, Source, Unit, expand, requests};
use loadgen_otlp::{Signal, SignalRequest};

use crate::order::Ordered;

/// Why telemetry can't be sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to send.
    #[error(
        "there is nothing to send in {files}: no span, data point or log record of OTLP can be read \
         there{why}"
    )]
    Nothing {
        /// The files.
        files: String,
        /// What was wrong with the first message.
        why: String,
    },
    /// Nobody takes it.
    #[error(
        "nothing was sent: no OTLP receiver answers at {url}: {reason}. Is it the right port for \
         the protocol (usually 4317 for grpc, 4318 for http/protobuf)?"
    )]
    Unreachable {
        /// Where it was to go.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// A message that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Where in it, and why.
    pub skipped: Skipped,
}

/// A request, and when it can have been sent: the latest moment that it names, in Unix nanoseconds.
/// One without any counts as sent with the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// When it can have been sent.
    pub at_ns: i64,
    /// What was sent.
    pub request: SignalRequest,
}

/// What is in files of telemetry.
pub struct Stored {
    files: Vec<File>,
    items: [u64; 3],
    /// Messages that can't be read; the last of a file may be torn.
    pub unreadable: Vec<Unreadable>,
}

struct File {
    path: PathBuf,
    source: Source,
    /// When each of its requests can have been sent.
    times: Vec<i64>,
}

impl Stored {
    /// Goes through files, folders and patterns. Files are read up to the length that they have now.
    ///
    /// # Errors
    /// When one can't be read, or nothing in them can be sent.
    pub fn open(named: &[PathBuf]) -> Result<Self, ReplayError> {
        let mut stored = Self {
            files: Vec::new(),
            items: [0; 3],
            unreadable: Vec::new(),
        };
        for named in named {
            let paths = expand(named).map_err(|source| read_error(named.clone(), source))?;
            for path in paths {
                stored.add(path)?;
            }
        }
        if stored.batches() > 0 {
            return Ok(stored);
        }
        let files: Vec<String> = named
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let first = stored.unreadable.first();
        let why = first.map(|it| format!(" (first problem: {})", it.skipped.reason));
        Err(ReplayError::Nothing {
            files: files.join(", "),
            why: why.unwrap_or_default(),
        })
    }

    fn add(&mut self, path: PathBuf) -> Result<(), ReplayError> {
        let cannot = |source| read_error(path.clone(), source);
        let mut requests = Requests::of(Source::open(&path).map_err(cannot)?);
        let mut times = Vec::new();
        for request in &mut requests {
            let mut request = request.map_err(cannot)?;
            self.items[request.signal() as usize] += request.items();
            let before = times.last().copied();
            times.push(latest_ns(&mut request).or(before).unwrap_or(0));
        }
        let unreadable = requests.skipped.drain(..).map(|skipped| Unreadable {
            path: path.clone(),
            skipped,
        });
        self.unreadable.extend(unreadable);
        let mut source = requests.source;
        source.rewind().map_err(cannot)?;
        self.files.push(File {
            path,
            source,
            times,
        });
        Ok(())
    }

    /// Requests.
    pub fn batches(&self) -> usize {
        self.files.iter().map(|file| file.times.len()).sum()
    }

    /// Spans, data points or log records.
    pub fn items(&self, signal: Signal) -> u64 {
        self.items[signal as usize]
    }

    /// When the first and the last can have been sent.
    pub fn span_ns(&self) -> [i64; 2] {
        let times = || self.files.iter().flat_map(|file| &file.times).copied();
        [times().min().unwrap_or(0), times().max().unwrap_or(0)]
    }

    /// All requests in the order in which they can have been sent.
    pub fn into_batches(self) -> impl Iterator<Item = Result<Batch, ReplayError>> + Send {
        let sequence = |file: File| {
            let path = file.path;
            let requests = Requests::of(file.source);
            let items = requests.map(move |it| it.map_err(|e| read_error(path.clone(), e)));
            (file.times, items)
        };
        let ordered = Ordered::new(self.files.into_iter().map(sequence));
        ordered.map(|(at_ns, request)| {
            let request = request?;
            Ok(Batch { at_ns, request })
        })
    }
}

fn read_error(path: PathBuf, source: io::Error) -> ReplayError {
    ReplayError::Read { path, source }
}

/// The latest moment that a request names.
fn latest_ns(request: &mut SignalRequest) -> Option<i64> {
    let mut latest = 0;
    request.each_time(&mut |time| latest = latest.max(*time));
    i64::try_from(latest).ok().filter(|latest| *latest > 0)
}

/// The requests of a file, in its order.
struct Requests {
    source: Source,
    unit: Unit,
    ready: VecDeque<SignalRequest>,
    skipped: Vec<Skipped>,
}

impl Requests {
    fn of(source: Source) -> Self {
        Self {
            source,
            unit: Unit::default(),
            ready: VecDeque::new(),
            skipped: Vec::new(),
        }
    }
}

impl Iterator for Requests {
    type Item = io::Result<SignalRequest>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(request) = self.ready.pop_front() {
                return Some(Ok(request));
            }
            match self.source.next_unit(&mut self.unit) {
                Ok(true) => {
                    let skipped = requests(&self.unit, |request| self.ready.push_back(request));
                    self.skipped.extend(skipped);
                }
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

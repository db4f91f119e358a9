//! A log that was kept from a k6 that ran without loadgen, looked through once: what was run, how it
//! ended, and whether the log can serve.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loadgen_scenario::{Plan, Shard, VuSchedule};
use loadgen_timeline::event::RunStatus;

use super::kept::module_lines;
use super::line::{self, LogLine, RunHeader, ScenarioCounts, Summary};
use super::names::Names;
use super::order::Order;
use super::segment;

/// Version of the log that this program reads.
const LOG_SCHEMA_VERSION: u32 = 1;

const HOUR_MS: i64 = 3_600_000;

/// Why a file can't serve as an event log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// It can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{} is not the event log of a k6 run with loadgen's module: none of its {lines} lines begins a run\n\
         Keep it with `k6 run --log-format raw --console-output {} …`; setup() of the module must run, so a script \
         with a setup of its own must call it",
        path.display(), path.display()
    )]
    NoRun {
        /// The file.
        path: PathBuf,
        /// Lines in it.
        lines: usize,
    },
    /// Its first line can't be used.
    #[error("{}, line {line}: {reason}", path.display())]
    BadRun {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Its lines are not in the order in which k6 wrote them.
    #[error(
        "{}, line {line}: {reason}\n\
         Lines must be in the order in which k6 wrote them, oldest first. Newest first, as Loki and Grafana give \
         them, is put right by `tac`; lines that are mixed up can't be",
        path.display()
    )]
    OutOfOrder {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What shows it.
        reason: String,
    },
    /// It holds more than one run.
    #[error(
        "{}, line {line}: a second run begins here, and a timeline is that of one\n\
         k6 appends to the file of --console-output: give each run a file of its own, or cut this one up",
        path.display()
    )]
    SecondRun {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
    /// Its times are far beyond the plan.
    #[error(
        "{}: the load began at {zero_ms}, and a request at {latest_ms} (Unix milliseconds), more than an hour after the \
         end of the plan: one of these lines is damaged",
        path.display()
    )]
    BadTimes {
        /// The file.
        path: PathBuf,
        /// Zero of the plan's times, Unix milliseconds.
        zero_ms: i64,
        /// The latest request, Unix milliseconds.
        latest_ms: i64,
    },
    /// k6 ended before its clocks started.
    #[error("{}: k6 ended before the load began, so there is nothing to make a timeline of", path.display())]
    NoZero {
        /// The file.
        path: PathBuf,
    },
}

/// An event log, looked through once.
#[derive(Debug)]
pub struct Replay {
    /// What was run. Steps of a person's own script are in it by their names.
    pub plan: Arc<Plan>,
    /// Where requests went.
    pub base_url: String,
    /// Unique name of the run.
    pub run_id: String,
    /// What of the run this k6 did.
    pub shard: Shard,
    /// Version of the module that wrote the log.
    pub module_version: String,
    /// Lines of the module that could not be read, with what is wrong with the first.
    pub bad_lines: Option<(usize, String)>,
    /// Faults that the plan asks for; k6 alone injects none.
    pub faults: usize,
    /// How the run ended; none: it was killed, or still goes on.
    pub status: Option<RunStatus>,
    /// Ends of requests whose begin is not in the log: lines are missing.
    pub ends_without_begin: u64,
    pub(super) path: PathBuf,
    /// Zero of the plan's times, in Unix nanoseconds.
    pub(super) zero_ns: i64,
    /// How long k6 says that it ran, nanoseconds.
    pub(super) ran_ns: Option<u64>,
    /// k6's own counts at the end.
    pub(super) counts: Option<HashMap<String, ScenarioCounts>>,
}

/// Looks through a log.
///
/// # Errors
/// The file can't be read, or is not such a log.
pub fn read_log(path: &Path) -> Result<Replay, LogError> {
    let read = |source| LogError::Read {
        path: path.to_owned(),
        source,
    };
    let mut looked = Looked::default();
    let mut lines = module_lines(path).map_err(read)?;
    for line in lines.by_ref() {
        let (number, payload) = line.map_err(read)?;
        looked.take(path, number, &payload)?;
    }
    looked.finish(path, lines.lines_read())
}

/// What the lines have told so far.
#[derive(Default)]
struct Looked {
    /// The first line, and its number.
    header: Option<(usize, Box<RunHeader>)>,
    zero_ms: Option<i64>,
    summary: Option<Summary>,
    bad_lines: Option<(usize, String)>,
    names: Names,
    order: Order,
}

impl Looked {
    fn take(&mut self, path: &Path, number: usize, payload: &str) -> Result<(), LogError> {
        let line = match line::parse(payload) {
            Ok(line) => line,
            Err(reason) if payload.starts_with("lg1 run ") => {
                return Err(bad_run(path, number, of_first_line(payload, reason)));
            }
            Err(reason) => {
                let first = || (0, format!("line {number}: {reason}"));
                self.bad_lines.get_or_insert_with(first).0 += 1;
                return Ok(());
            }
        };
        let out_of_order = |reason| LogError::OutOfOrder {
            path: path.to_owned(),
            line: number,
            reason,
        };
        self.order.follow(&line).map_err(out_of_order)?;
        match line {
            LogLine::Run(run) if run.schema_version > LOG_SCHEMA_VERSION => {
                let reason = format!(
                    "the log has version {}, and this loadgen reads up to {LOG_SCHEMA_VERSION}: use a newer one",
                    run.schema_version
                );
                return Err(bad_run(path, number, reason));
            }
            LogLine::Run(_) if self.header.is_some() => {
                return Err(LogError::SecondRun {
                    path: path.to_owned(),
                    line: number,
                });
            }
            LogLine::Run(run) => self.header = Some((number, run)),
            LogLine::Zero(ms) => {
                self.zero_ms.get_or_insert(ms);
            }
            LogLine::Summary(summary) => self.summary = Some(summary),
            LogLine::Begin(begin) => self.names.note(&begin.flow, &begin.step),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, path: &Path, lines: usize) -> Result<Replay, LogError> {
        let path = path.to_owned();
        let Some((header_line, header)) = self.header else {
            return Err(LogError::NoRun { path, lines });
        };
        let Some(zero_ms) = self.zero_ms else {
            return Err(match self.order.latest_ms {
                0 => LogError::NoZero { path },
                _ => {
                    let reason =
                        "the line `lg1 zero` is missing below it: all times count from that";
                    bad_run(&path, header_line, reason.to_owned())
                }
            });
        };
        if self.order.is_upside_down() {
            return Err(LogError::OutOfOrder {
                path,
                line: lines,
                reason: "most of the requests above end before they begin".to_owned(),
            });
        }
        let shard = match &header.segment {
            None => Shard::WHOLE,
            Some(segment) => segment::shard(segment, header.segment_sequence.as_deref())
                .map_err(|reason| bad_run(&path, header_line, reason))?,
        };
        let mut plan = header.plan;
        // Each second of the run becomes a line: of a damaged time, that would be millions.
        let longest_ms = i64::try_from(plan.end_ns() / 1_000_000).unwrap_or(i64::MAX);
        let last_ms = zero_ms.saturating_add(longest_ms).saturating_add(HOUR_MS);
        let latest_ms = self.order.latest_ms;
        if latest_ms > last_ms {
            return Err(LogError::BadTimes {
                path,
                zero_ms,
                latest_ms,
            });
        }
        self.names.complete(&mut plan);
        // What was not injected must not look as if it had been.
        let faults = plan.scenarios.iter_mut().filter_map(|s| s.fault.take());
        let faults = faults.count();
        // k6 writes its counts also when a signal ended it.
        let status = self
            .summary
            .as_ref()
            .map(|end| match came_to_its_end(&plan, shard, end) {
                true => RunStatus::Completed,
                false => RunStatus::Interrupted,
            });
        Ok(Replay {
            plan: Arc::new(plan),
            base_url: header.base_url,
            run_id: header.run_id,
            shard,
            module_version: header.module_version,
            bad_lines: self.bad_lines,
            faults,
            status,
            ends_without_begin: self.order.ends_without_begin,
            path,
            zero_ns: zero_ms * 1_000_000,
            ran_ns: self
                .summary
                .as_ref()
                .map(|end| (end.test_run_duration_ms * 1e6) as u64),
            counts: self.summary.map(|end| end.scenarios),
        })
    }
}

fn bad_run(path: &Path, line: usize, reason: String) -> LogError {
    LogError::BadRun {
        path: path.to_owned(),
        line,
        reason,
    }
}

/// Why the first line can't be read, and what to do where it lacks its end.
fn of_first_line(payload: &str, reason: String) -> String {
    if payload.ends_with('}') {
        return reason;
    }
    reason
        + "\nThe line lacks its end. What keeps the output of containers cuts lines at 16 KiB: keep the \
           log by `k6 run --console-output FILE`, or keep all pieces of it"
}

/// Whether k6 ran as long, or made as many iterations, as every executor of the plan asks for.
fn came_to_its_end(plan: &Plan, shard: Shard, end: &Summary) -> bool {
    let scenarios = plan.scenarios.iter();
    let mut sending = scenarios.filter(|scenario| scenario.executor.sends());
    sending.all(|scenario| {
        if let Some(wanted) = shard.iterations_to_make(&scenario.executor) {
            let counts = end.scenarios.get(&scenario.name);
            let over = counts.map_or(0, |c| c.iterations + c.dropped_iterations);
            // Those that were cut off at `maxDuration` count nowhere.
            return over >= wanted || reached(end, scenario.end_ns);
        }
        // k6 does not wait for the end of stages in which there is no VU left.
        let last_vu = VuSchedule::new(&scenario.executor).and_then(|s| s.steps().last());
        match last_vu {
            Some((at_ns, 0)) => reached(end, scenario.start_ns + at_ns),
            _ => reached(end, scenario.end_ns),
        }
    })
}

/// k6 counts its time from a little before its clocks start.
fn reached(end: &Summary, plan_ns: u64) -> bool {
    end.test_run_duration_ms * 1e6 >= plan_ns as f64
}

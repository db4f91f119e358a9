//! The runs of a campaign, some at the same time.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use loadgen_campaign::disk;
use loadgen_campaign::journal::{CampaignJournal, Ended, RUNS};
use loadgen_campaign::planned::{PlannedRun, TimeLeft};
use loadgen_program::{Child, Input, Log, Signal};
use loadgen_timeline::event::RunStatus;
use loadgen_timeline::summary::Summary;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Place, failure};
use crate::args::CampaignArgs;
use crate::display::CampaignProgress;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;

/// After so many tries in a row that made no dataset the next would fail alike.
const FAILURES_IN_A_ROW: usize = 4;

/// Why not all runs were made.
pub(super) enum Halt {
    /// By a signal.
    Interrupted,
    /// In words.
    Because(String),
}

/// A campaign at work.
pub(super) struct Work<'a> {
    args: &'a CampaignArgs,
    runs: Vec<PlannedRun>,
    journal: CampaignJournal,
    /// Numbers of runs that have not begun.
    waiting: VecDeque<usize>,
    /// Places without a run.
    free: Vec<Place>,
    places: usize,
    begun: Vec<Begun>,
    /// Bytes that the campaign may take.
    bound: u64,
    failures: usize,
    progress: CampaignProgress,
}

/// A run that goes on.
#[derive(Debug, Clone)]
struct Begun {
    number: usize,
    folder: String,
    at: DateTime<Utc>,
    since: Instant,
}

/// A run that came to an end, as the one who waited for it tells.
struct Over {
    begun: Begun,
    place: Place,
    status: io::Result<ExitStatus>,
    log: Log,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        args: &'a CampaignArgs,
        runs: Vec<PlannedRun>,
        places: Vec<Place>,
        journal: CampaignJournal,
    ) -> Result<Self, Failure> {
        let cannot =
            |e: io::Error| Failure::new(Exit::Failed, format!("{}: {e}", args.out.display()));
        fs::create_dir_all(args.out.join(RUNS)).map_err(cannot)?;
        let taken = disk::used(&args.out).map_err(cannot)?;
        let free = disk::free(&args.out).map_err(cannot)?;
        let waiting = (0..runs.len()).filter(|run| journal.is_open(*run as u64));
        let waiting: VecDeque<usize> = waiting.collect();
        let episodes = runs.iter().map(|run| run.episodes).sum();
        let progress = CampaignProgress::new(&super::name(args), args.quiet, runs.len(), episodes);
        Ok(Self {
            bound: args.max_disk.bytes(free, taken),
            waiting,
            places: places.len(),
            free: places,
            begun: Vec::new(),
            failures: 0,
            args,
            runs,
            journal,
            progress,
        })
    }

    pub(super) fn into_journal(self) -> CampaignJournal {
        self.journal
    }

    /// Makes all runs that are open. None: all of them are done.
    pub(super) async fn all(&mut self, interrupts: &Interrupts) -> Result<Option<Halt>, Failure> {
        const LOOK: Duration = Duration::from_secs(1);
        let mut going_on = JoinSet::new();
        let mut halt = None;
        loop {
            while halt.is_none() && !self.waiting.is_empty() && !self.free.is_empty() {
                if interrupts.count() > 0 {
                    break;
                }
                if let Err(full) = self.check_disk()? {
                    halt = Some(Halt::Because(full));
                    break;
                }
                self.begin(&mut going_on, interrupts)?;
            }
            self.show();
            if going_on.is_empty() {
                break;
            }
            let over = tokio::select! {
                over = going_on.join_next() => over,
                () = tokio::time::sleep(LOOK) => continue,
            };
            let Some(over) = over else { break };
            let over =
                over.map_err(|e| Failure::new(Exit::Failed, format!("a run got lost: {e}")))?;
            if let Some(reason) = self.ended(over, interrupts.count() > 0)? {
                halt.get_or_insert(Halt::Because(reason));
            }
        }
        self.progress.end();
        if interrupts.count() > 0 {
            return Ok(Some(Halt::Interrupted));
        }
        let missing = (0..self.runs.len()).filter(|run| self.journal.done(*run as u64).is_none());
        let missing = missing.count();
        Ok(halt.or_else(|| {
            let all = self.runs.len();
            let text = format!("{missing} of {all} runs have no dataset, see campaign.jsonl");
            (missing > 0).then_some(Halt::Because(text))
        }))
    }

    /// Whether another run fits, or why not.
    fn check_disk(&self) -> Result<Result<(), String>, Failure> {
        let taken = disk::used(&self.args.out)
            .map_err(|e| Failure::new(Exit::Failed, format!("{}: {e}", self.args.out.display())))?;
        let largest = self.journal.ended().iter().map(|run| run.bytes).max();
        let largest = largest.unwrap_or(0);
        Ok(
            match disk::has_room(self.bound, taken, largest, self.begun.len()) {
                true => Ok(()),
                false => Err(format!(
                    "the campaign has {:.1} GB and may take {:.1} GB, and a run takes up to {:.2} GB, \
                 and once more in the dataset: no more runs are made. Give more by --max-disk, and the \
                 same command goes on",
                    taken as f64 / 1e9,
                    self.bound as f64 / 1e9,
                    largest as f64 / 1e9
                )),
            },
        )
    }

    /// Begins the next run at a free place.
    fn begin(
        &mut self,
        going_on: &mut JoinSet<Over>,
        interrupts: &Interrupts,
    ) -> Result<(), Failure> {
        let (Some(number), Some(place)) = (self.waiting.pop_front(), self.free.pop()) else {
            return Ok(());
        };
        let cannot = |e: io::Error| Failure::new(Exit::Failed, format!("can't start a run: {e}"));
        let begun = Begun {
            number,
            folder: self.journal.next_folder(number as u64),
            at: Utc::now(),
            since: Instant::now(),
        };
        let folder = self.args.out.join(&begun.folder);
        // Made here, so that the next try has another one.
        fs::create_dir_all(&folder).map_err(cannot)?;
        let log = Log::create(folder.with_extension("log")).map_err(cannot)?;
        let seed = self.runs[number].seed;
        let child = start(self.args, &place, &folder, seed, &log).map_err(cannot)?;
        self.begun.push(begun.clone());
        let interrupts = interrupts.clone();
        going_on.spawn(async move {
            let status = wait(child, &interrupts).await;
            Over {
                begun,
                place,
                status,
                log,
            }
        });
        Ok(())
    }

    /// Takes note of a run that has ended. Some: no further one is of use.
    fn ended(&mut self, over: Over, stopping: bool) -> Result<Option<String>, Failure> {
        let Over {
            begun,
            place,
            status,
            log,
        } = over;
        self.free.push(place);
        self.begun.retain(|other| other.number != begun.number);
        let status =
            status.map_err(|e| Failure::new(Exit::Failed, format!("a run got lost: {e}")))?;
        const NOT_REACHABLE: i32 = Exit::NotReachable as i32;
        let code = status.code();
        if let Some(exit) = Exit::of_a_run_not_begun(code) {
            let message = format!(
                "run {} did not begin (exit code {}): {}",
                begun.number,
                exit as u8,
                log.last_error()
            );
            return Err(Failure::new(exit, message));
        }
        let folder = self.args.out.join(&begun.folder);
        let has_dataset = has_dataset(&folder);
        if stopping && !has_dataset {
            // It is made again from its start.
            return Ok(None);
        }
        let cannot =
            |e: io::Error| Failure::new(Exit::Failed, format!("{}: {e}", folder.display()));
        if has_dataset && !self.args.keep_telemetry {
            thin(&folder).map_err(cannot)?;
        }
        let planned = self.runs[begun.number];
        let reason = (!has_dataset).then(|| log.last_error());
        let ended = Ended {
            run: begun.number as u64,
            seed: planned.seed,
            folder: begun.folder.clone(),
            began: begun.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            seconds: begun.since.elapsed().as_secs_f64(),
            planned_seconds: planned.length_ns as f64 / 1e9,
            warm_up_seconds: planned.warm_up_ns as f64 / 1e9,
            episodes: planned.episodes,
            exit_code: code,
            has_dataset,
            bytes: disk::used(&folder).map_err(cannot)?,
            reason: reason.clone(),
        };
        self.progress.ended(&ended);
        self.journal.add(ended).map_err(failure)?;
        if has_dataset {
            self.failures = 0;
            return Ok(None);
        }
        self.failures += 1;
        if self.journal.is_open(begun.number as u64) {
            self.waiting.push_back(begun.number);
        }
        let reason = reason.unwrap_or_default();
        if code == Some(NOT_REACHABLE) {
            let text = format!("the target of run {} is not there: {reason}", begun.number);
            return Ok(Some(text));
        }
        Ok((self.failures >= FAILURES_IN_A_ROW).then(|| {
            format!(
                "{} tries in a row made no dataset; the last: {reason}",
                self.failures
            )
        }))
    }

    fn show(&mut self) {
        let done: Vec<(f64, f64)> = self
            .journal
            .ended()
            .iter()
            .filter(|run| run.has_dataset)
            .map(|run| (run.planned_seconds, run.seconds))
            .collect();
        let waiting: Vec<PlannedRun> = self.waiting.iter().map(|n| self.runs[*n]).collect();
        let begun: Vec<(PlannedRun, f64)> = self
            .begun
            .iter()
            .map(|run| (self.runs[run.number], run.since.elapsed().as_secs_f64()))
            .collect();
        let left_s = TimeLeft::of(&done).left_s(&waiting, &begun, self.places);
        let of_done = (0..self.runs.len()).filter(|n| self.journal.done(*n as u64).is_some());
        let done: Vec<u64> = of_done.map(|n| self.runs[n].episodes).collect();
        self.progress.show(done.len(), done.iter().sum(), left_s);
    }

    /// Removes what killed tries have left.
    pub(super) fn tidy_up(&mut self) -> Result<(), Failure> {
        for folder in self.journal.leftovers().map_err(failure)? {
            super::remove(&folder).map_err(|e| {
                Failure::new(
                    Exit::Failed,
                    format!("can't remove {}: {e}", folder.display()),
                )
            })?;
        }
        Ok(())
    }
}

/// Waits for a run, and hands signals on.
async fn wait(mut child: Child, interrupts: &Interrupts) -> io::Result<ExitStatus> {
    let mut handed_on = 0;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = interrupts.nth(handed_on + 1) => {
                handed_on += 1;
                child.signal(Signal::TERM);
            }
        }
    }
}

fn start(
    args: &CampaignArgs,
    place: &Place,
    folder: &Path,
    seed: u64,
    log: &Log,
) -> io::Result<Child> {
    let mut command = loadgen_program::own()?;
    command
        .arg("run")
        .arg(&args.file)
        .arg("--quiet")
        .args(["--seed", &seed.to_string()])
        .args(["--time-scale", &args.time_scale.to_string()])
        .arg("--out")
        .arg(folder)
        // It ends in good order when this process is gone, however that came.
        .arg("--stop-with-stdin")
        // Each run is one of its own.
        .env_remove("BASE_URL")
        .env_remove("LOADGEN_RUN_ID")
        .env_remove("LOADGEN_SHARD")
        .env_remove("LOADGEN_RENDEZVOUS")
        .env_remove("LOADGEN_START_AT")
        .stdout(log.stdio()?)
        .stderr(log.stdio()?);
    if let Some(url) = &place.target {
        // Not as an argument, which everybody can see: it may hold a password.
        command.env("BASE_URL", url);
    }
    if let Some(url) = &place.admin_url {
        command.args(["--admin-url", url]);
    }
    if let Some(path) = &place.telemetry {
        command.arg("--telemetry").arg(path);
    }
    if !args.scenarios.is_empty() {
        command.args(["--scenarios", &args.scenarios.join(",")]);
    }
    args.allowed.pass_on(&mut command);
    // Signals don't reach it by themselves: they are handed on, each once.
    Child::start(command, Input::Held)
}

/// Whether a run's folder has a dataset of a run that came to its end. One that was stopped can have one,
/// of the part that was.
fn has_dataset(folder: &Path) -> bool {
    let folder = RunFolder::of(folder);
    let summary = fs::read(folder.summary()).ok();
    let summary = summary.and_then(|text| serde_json::from_slice::<Summary>(&text).ok());
    let is_complete = summary.is_some_and(|s| s.status == Some(RunStatus::Completed));
    let files = files_of(&folder.dataset()).unwrap_or_default();
    is_complete && files.iter().any(|path| has_name(path, "audit_", ".json"))
}

/// Deletes what the dataset of several runs does not need.
fn thin(folder: &Path) -> io::Result<()> {
    let folder = RunFolder::of(folder);
    super::remove(&folder.telemetry())?;
    for path in files_of(&folder.dataset())? {
        if has_name(&path, "", ".csv") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

fn has_name(path: &Path, begin: &str, end: &str) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with(begin) && name.ends_with(end))
}

//! k6 at work: reads what it writes, tells the conductor how far it is, and ends it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use loadgen_program::{Child, Input, Log};
use loadgen_scenario::{ArrivalSchedule, Plan, PlannedScenario};
use loadgen_timeline::{Clock, RequestRecord};
use tokio::process::{ChildStderr, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::api::{self, Counted};
use super::feed::{Feed, Over};
use super::line::{self, LogLine};
use super::program::{self, K6};
use super::segment;
use crate::client;
use crate::context::Progress;
use crate::error::EngineError;
use crate::event::EngineEvent;
use crate::run::Whole;
use crate::shared::{Shared, Signal};

/// How long k6 may take until its clocks start; each VU runs the script once before.
const START: Duration = Duration::from_secs(120);

/// How often k6's lines are read. Not as they come: to be woken for each takes k6 and this process
/// longer than to write and to read it. A pipe has room for what 80,000 requests a second log meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// How often what was read is handed over. Bounds what a kill can lose.
const HAND_OVER: Duration = Duration::from_millis(250);

/// k6 adds its counts up this often at most, so they hold for what happened so long before.
const COUNTING_DELAY_NS: i64 = 200_000_000;

/// More than this between two looks, which come four times a second, is a stall.
const STALL_NS: i64 = 1_000_000_000;

/// So long k6's API is waited for, or k6 after a stall.
const PATIENCE_NS: i64 = 2_000_000_000;

/// An iteration that k6 started in a window has said so this long after the window's end, also where
/// k6 has too little processor time.
const LATE_LINES_NS: i64 = 2_000_000_000;

/// Where k6 and its things are.
#[derive(Debug, Clone)]
pub struct K6Options {
    /// The binary.
    pub k6: K6,
    /// Folder that the module is written to.
    pub module: PathBuf,
    /// The plan as JSON; none: it holds what must be in no file, and k6 gets it otherwise.
    pub plan_file: Option<PathBuf>,
    /// File for what k6 itself says.
    pub log: PathBuf,
    /// `user:password` of the target, which are in no file.
    pub credentials: Option<String>,
    /// Certificates to believe besides the system's, as PEM.
    pub certificates: Option<PathBuf>,
}

/// A k6 whose clocks have just started.
#[derive(Debug)]
pub(crate) struct Started {
    child: Child,
    lines: Lines,
    log: Log,
    api_address: Option<String>,
    pub(crate) zero_ns: i64,
}

/// Starts k6 and waits for its clocks to start, which they do when that was agreed on.
pub(crate) async fn start(options: &K6Options, run: &Whole<'_>) -> Result<Started, EngineError> {
    let cannot = |why: String| EngineError::K6(format!("k6 can't start: {why}"));
    let io = |e: io::Error| cannot(e.to_string());
    program::write_module(&options.module).map_err(io)?;
    // Only schedules drop iterations, and only those are asked for.
    let has_schedule = run
        .plan
        .scenarios
        .iter()
        .any(|s| ArrivalSchedule::new(&s.executor).is_some());
    let api_address = match has_schedule {
        true => Some(program::free_address().map_err(io)?),
        false => None,
    };
    let script = options.module.join("replay.js");
    let mut command = Command::from(program::command(
        &options.k6,
        &script,
        &options.module.join(program::CONFIG),
        api_address.as_deref().unwrap_or(""),
    ));
    let (plan_file, input) = match &options.plan_file {
        Some(file) => (std::path::absolute(file).map_err(io)?, Input::Empty),
        None => {
            let file = unnamed(run.plan).map_err(io)?;
            (PathBuf::from("/dev/stdin"), Input::File(file))
        }
    };
    let mut log = Log::create(options.log.clone()).map_err(io)?;
    if !run.shard.is_whole() {
        let [segment, sequence] = segment::options(run.shard);
        command.args(["--execution-segment", &segment]);
        command.args(["--execution-segment-sequence", &sequence]);
    }
    let mut limit = START;
    if let Some(start_ns) = run.start_at_ns {
        // In seconds, as `--start-at` takes them.
        command.env("LOADGEN_START_AT", format!("{:.3}", start_ns as f64 / 1e9));
        let left_ns = start_ns - Clock::anchored_now().now_ns();
        limit += Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0));
    } else {
        command.env_remove("LOADGEN_START_AT");
    }
    if let Some(file) = &options.certificates {
        // Go reads the system's folders of certificates all the same.
        command.env("SSL_CERT_FILE", std::path::absolute(file).map_err(io)?);
    }
    command
        .env("LOADGEN_PLAN", plan_file)
        .env("LOADGEN_RUN_ID", run.run_id)
        .env("LOADGEN_QUIET", "1")
        .env(
            "BASE_URL",
            with_credentials(run.base_url, options.credentials.as_deref()),
        )
        .stdout(log.stdio().map_err(io)?)
        // Not into a file: a k6 that is left alone ends at its next line, because nobody reads it.
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = Child::start(command, input).map_err(io)?;
    let stderr = child
        .take_stderr()
        .ok_or_else(|| cannot("no pipe".into()))?;
    let mut lines = Lines::new(stderr).map_err(io)?;
    let zero = async {
        loop {
            let is_open = lines.read()?;
            while let Some(text) = lines.next() {
                match line::payload(&text).as_deref().map(line::parse) {
                    Some(Ok(LogLine::Zero(ms))) => return Ok(Some(ms)),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => log.write(&text),
                }
            }
            if !is_open {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let zero_ms = child.ready_by(zero, limit).await;
    let zero_ms = zero_ms.map_err(|e| cannot(log.explain(e)))?;
    Ok(Started {
        child,
        lines,
        log,
        api_address,
        zero_ns: zero_ms * 1_000_000,
    })
}

/// A plan in a file without a name, which is gone when nobody has it open.
fn unnamed(plan: &Plan) -> io::Result<File> {
    let mut file = BufWriter::new(tempfile::tempfile()?);
    serde_json::to_writer(&mut file, plan)?;
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

impl Started {
    /// The process, for whoever measures it.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// Follows k6 to its end.
pub(crate) async fn follow(
    started: Started,
    shared: Arc<Shared>,
    events: SyncSender<EngineEvent>,
    progress: UnboundedSender<Progress>,
) -> Result<(), EngineError> {
    let Started {
        mut child,
        mut lines,
        log,
        api_address,
        zero_ns,
    } = started;
    let (counted, _) = watch::channel(Counted::default());
    let has_api = api_address.is_some();
    if let Some(address) = api_address {
        let client = client::defaults().build()?;
        tokio::spawn(api::ask(client, address, shared.clock, counted.clone()));
    }
    let mut crew = Crew {
        feed: Feed::new(shared.plan.clone(), zero_ns, shared.shard),
        ends: ends(&shared.plan),
        counted: has_api.then(|| counted.subscribe()),
        waiting: Vec::new(),
        started_ns: shared.clock.now_ns(),
        looked_ns: shared.clock.now_ns(),
        patient_until_ns: i64::MIN,
        shared,
        events,
        progress,
        log,
    };
    drop(counted);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = tokio::time::interval(HAND_OVER);
    let shared = crew.shared.clone();
    let (stop, kill) = (
        shared.signalled(0, Signal::Stop),
        shared.signalled(0, Signal::Kill),
    );
    tokio::pin!(stop, kill);
    let (mut stopped, mut killed) = (false, false);
    // k6's end of the pipe closes when it ends.
    let mut is_reading = true;
    let mut exit: Option<ExitStatus> = None;
    loop {
        tokio::select! {
            _ = look.tick(), if is_reading => {}
            status = child.wait(), if !is_reading && exit.is_none() => {
                let status = status.map_err(|e| EngineError::K6(e.to_string()))?;
                exit = Some(status);
                crew.hand_over(true);
                if !stopped && !killed && !crew.may_end_so(status) {
                    let _ = crew.progress.send(Progress::Died);
                    crew.end_all();
                    return Err(EngineError::K6(format!(
                        "k6 ended during the run: {}",
                        crew.log.explain(status)
                    )));
                }
            }
            _ = tick.tick() => crew.hand_over(exit.is_some()),
            () = &mut stop, if !stopped => {
                stopped = true;
                // k6 cuts everything off, and still writes its summary.
                child.signal(loadgen_program::Signal::INT);
            }
            () = &mut kill, if !killed => {
                killed = true;
                child.signal(loadgen_program::Signal::KILL);
            }
        }
        // Everything that was written before this moment has been read when it is decided what is over.
        let now_ns = crew.shared.clock.now_ns();
        is_reading = is_reading && lines.read().unwrap_or(false);
        while let Some(text) = lines.next() {
            crew.take(&text);
        }
        crew.count();
        if exit.is_some() && (stopped || killed) {
            crew.end_all();
        } else {
            crew.look_for_ends(now_ns, exit.is_some());
        }
        if crew.ends.iter().all(|end| *end == End::Drained) && exit.is_some() {
            crew.hand_over(true);
            return Ok(());
        }
    }
}

/// How far a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    No,
    Closed,
    Drained,
}

/// Nothing ends in k6 that it does not run.
fn ends(plan: &Plan) -> Vec<End> {
    let of = |scenario: &PlannedScenario| match scenario.executor.sends() {
        true => End::No,
        false => End::Drained,
    };
    plan.scenarios.iter().map(of).collect()
}

struct Crew {
    feed: Feed,
    shared: Arc<Shared>,
    events: SyncSender<EngineEvent>,
    progress: UnboundedSender<Progress>,
    log: Log,
    ends: Vec<End>,
    /// None: k6 is not asked.
    counted: Option<watch::Receiver<Counted>>,
    /// Records for which the recorder had no room yet.
    waiting: Vec<RequestRecord>,
    started_ns: i64,
    /// When it was last looked what is over.
    looked_ns: i64,
    /// Until then nothing is taken to be over.
    patient_until_ns: i64,
}

impl Crew {
    fn take(&mut self, text: &str) {
        let Some(payload) = line::payload(text) else {
            self.log.write(text);
            return;
        };
        let now_ns = self.shared.clock.now_ns();
        let taken = line::parse(&payload).and_then(|line| {
            if let LogLine::Summary(summary) = &line {
                let dropped =
                    |name: &str| summary.scenarios.get(name).map(|s| s.dropped_iterations);
                self.set_dropped(dropped);
            }
            self.feed.take(&line, now_ns)
        });
        if let Err(reason) = taken {
            self.log.write(&format!("{payload}: {reason}"));
        }
    }

    /// Makes what was read visible to the conductor.
    fn count(&self) {
        for (index, state) in self.shared.scenarios.iter().enumerate() {
            let counts = self.feed.counts(index);
            state.counters.sent.store(counts.sent, Relaxed);
            state.counters.completed.store(counts.completed, Relaxed);
            state.counters.failed.store(counts.failed, Relaxed);
            state
                .counters
                .unsent_steps
                .store(counts.unsent_steps, Relaxed);
            state
                .counters
                .interrupted_iterations
                .store(counts.interrupted_iterations, Relaxed);
            state
                .counters
                .last_completed_ns
                .store(counts.last_completed_ns.unwrap_or(i64::MIN), Relaxed);
            state.started.store(counts.iterations, Relaxed);
        }
    }

    /// Of executors that count iterations the conductor knows what time ran out for.
    fn set_dropped(&self, dropped: impl Fn(&str) -> Option<u64>) {
        for (scenario, state) in self
            .shared
            .plan
            .scenarios
            .iter()
            .zip(&self.shared.scenarios)
        {
            if ArrivalSchedule::new(&scenario.executor).is_some()
                && let Some(dropped) = dropped(&scenario.name)
            {
                state.counters.dropped.fetch_max(dropped, Relaxed);
            }
        }
    }

    fn hand_over(&mut self, everything: bool) {
        let now_ns = self.shared.clock.now_ns();
        let latest = self.counted.as_ref().map(|c| c.borrow().clone());
        if let Some(counted) = &latest {
            self.set_dropped(|name| counted.dropped.get(name).copied());
        }
        let scenarios = &self.shared.scenarios;
        let dropped = |index: usize| Some(scenarios[index].counters.dropped.load(Relaxed));
        if everything {
            self.feed.resolve(i64::MAX, dropped);
        } else {
            let asked_ns = latest.and_then(|counted| counted.asked_ns);
            match asked_ns {
                Some(asked_ns) => self.feed.resolve(asked_ns - COUNTING_DELAY_NS, dropped),
                // Without answers for a while it does not help to wait for one.
                None if now_ns > self.started_ns + PATIENCE_NS => {
                    self.feed
                        .resolve(now_ns - HAND_OVER.as_nanos() as i64, |_| None);
                }
                None => {}
            }
        }
        self.waiting.extend(self.feed.take_ready());
        self.count();
        if self.waiting.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.waiting);
        if everything {
            // The other end is gone only when a consumer failed, which ends the run by itself.
            let _ = self.events.send(EngineEvent::Requests(records));
        } else if let Err(TrySendError::Full(EngineEvent::Requests(records))) =
            self.events.try_send(EngineEvent::Requests(records))
        {
            self.waiting = records;
        }
    }

    /// Tells the conductor which scenarios start nothing more, and which have drained.
    fn look_for_ends(&mut self, now_ns: i64, has_exited: bool) {
        // A pause of this process or of the whole machine: k6 may have been stopped as well, and what
        // it should have cut off by now is not cut off yet.
        if now_ns - self.looked_ns > STALL_NS {
            self.patient_until_ns = now_ns + PATIENCE_NS;
        }
        self.looked_ns = now_ns;
        if now_ns < self.patient_until_ns && !has_exited {
            return;
        }
        for index in 0..self.ends.len() {
            if self.ends[index] == End::Drained {
                continue;
            }
            let over = self.feed.over(index, now_ns);
            if over != Over::No && self.ends[index] == End::No {
                self.ends[index] = End::Closed;
                let closed_ns = match over {
                    Over::Drained { early: true, at_ns } => Some(at_ns),
                    _ => None,
                };
                let _ = self.progress.send(Progress::Closed(index, closed_ns));
            }
            if let Over::Drained { early, at_ns } = over
                && (early || has_exited || self.has_told_all(index, now_ns))
            {
                self.drained(index, Some(at_ns));
            }
        }
    }

    /// Whether all that k6 had to say of a window has been read, and its count of dropped iterations
    /// is that of the whole window; does not wait for ever.
    fn has_told_all(&self, scenario: usize, now_ns: i64) -> bool {
        let end_ns = self.feed.planned_end_ns(scenario);
        if now_ns < end_ns + LATE_LINES_NS {
            return false;
        }
        let Some(counted) = &self.counted else {
            return true;
        };
        ArrivalSchedule::new(&self.shared.plan.scenarios[scenario].executor).is_none()
            || now_ns > end_ns + LATE_LINES_NS + PATIENCE_NS
            || counted
                .borrow()
                .asked_ns
                .is_some_and(|asked_ns| asked_ns > end_ns + COUNTING_DELAY_NS)
    }

    fn drained(&mut self, index: usize, at_ns: Option<i64>) {
        self.ends[index] = End::Drained;
        self.hand_over(false);
        let _ = self.progress.send(Progress::Drained(index, at_ns));
    }

    /// k6 is gone: nothing is on any more.
    fn end_all(&mut self) {
        let now_ns = self.shared.clock.now_ns();
        for index in 0..self.ends.len() {
            self.feed.interrupt(index, now_ns);
        }
        self.hand_over(true);
        for index in 0..self.ends.len() {
            if self.ends[index] == End::No {
                let _ = self.progress.send(Progress::Closed(index, None));
            }
            if self.ends[index] != End::Drained {
                self.drained(index, None);
            }
        }
    }

    /// Whether k6 may have ended: all is well, and everything has begun. It does not wait for the
    /// end of a window in which nothing is left to do.
    fn may_end_so(&self, status: ExitStatus) -> bool {
        let now_ns = self.shared.clock.now_ns();
        let begun = |s: &PlannedScenario| self.shared.planned_ns(s.start_ns) <= now_ns;
        let scenarios = self.shared.plan.scenarios.iter();
        let mut sending = scenarios.filter(|scenario| scenario.executor.sends());
        status.success() && sending.all(begun)
    }
}

fn with_credentials(base_url: &str, credentials: Option<&str>) -> String {
    match (credentials, base_url.split_once("://")) {
        (Some(credentials), Some((scheme, rest))) => format!("{scheme}://{credentials}@{rest}"),
        _ => base_url.to_owned(),
    }
}

/// Whole lines of a pipe.
#[derive(Debug)]
struct Lines {
    pipe: OwnedFd,
    buffer: Vec<u8>,
    /// Up to here lines have been given out.
    taken: usize,
    /// Up to here there is no end of a line.
    searched: usize,
}

impl Lines {
    /// Takes the pipe away from the runtime, which would be woken for each line.
    fn new(pipe: ChildStderr) -> io::Result<Self> {
        let pipe = pipe.into_owned_fd()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self {
            pipe,
            buffer: Vec::with_capacity(1 << 16),
            taken: 0,
            searched: 0,
        })
    }

    /// Reads all that is there. False: nothing more will come.
    fn read(&mut self) -> io::Result<bool> {
        loop {
            // Lets go of what was given out.
            self.buffer.drain(..self.taken);
            self.searched -= self.taken;
            self.taken = 0;
            self.buffer.reserve(1 << 16);
            let spare = rustix::buffer::spare_capacity(&mut self.buffer);
            match rustix::io::read(&self.pipe, spare) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn next(&mut self) -> Option<Cow<'_, str>> {
        let end = self.buffer[self.searched..]
            .iter()
            .position(|b| *b == b'\n');
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + end;
        let line = self.taken..end;
        self.taken = end + 1;
        self.searched = self.taken;
        Some(String::from_utf8_lossy(&self.buffer[line]))
    }
}

//! A log that was kept from a k6 that ran without loadgen, played back as the events of a run.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loadgen_scenario::plan::{Expect, Flow, Step, Template};
use loadgen_scenario::{Plan, Shard, VuSchedule};
use loadgen_timeline::event::{
    Engine, Event as Line, Heartbeat, RunFinished, RunShard, RunStarted, RunStatus,
    TIMELINE_SCHEMA_VERSION, WindowClosed,
};

use super::feed::{Feed, Over};
use super::kept::module_lines;
use super::line::{self, LogLine, Name, ScenarioCounts, Summary};
use super::segment;
use crate::event::{Consumer, Event};
use crate::windows::{Action, Windows};

/// Version of the log that this program reads.
const LOG_SCHEMA_VERSION: u32 = 1;

const DAY_MS: i64 = 86_400_000;

const SECOND_NS: i64 = 1_000_000_000;

/// Times of lines go back by no more than this in the order in which k6 writes them: VUs write at the
/// same time.
const BACK_MS: i64 = 10_000;

/// Lines that are played between two looks at the clock.
const BATCH: usize = 1024;

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
        "{}: the load began at {zero_ms}, and a request at {latest_ms} (Unix milliseconds), more than a day after the \
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
    path: PathBuf,
    zero_ns: i64,
    /// k6's own counts at the end.
    counts: Option<HashMap<String, ScenarioCounts>>,
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
    let mut header = None;
    let mut header_line = 0;
    let mut zero_ms = None;
    let mut latest_ms = i64::MIN;
    let mut counts = None;
    let mut bad: Option<(usize, String)> = None;
    let mut names = Names::default();
    let mut order = Order::default();
    let mut lines = module_lines(path).map_err(read)?;
    for line in lines.by_ref() {
        let (number, payload) = line.map_err(read)?;
        let parsed = line::parse(&payload);
        if let Ok(line) = &parsed
            && let Err(reason) = order.follow(line)
        {
            return Err(LogError::OutOfOrder {
                path: path.to_owned(),
                line: number,
                reason,
            });
        }
        match parsed {
            Ok(LogLine::Run(run)) => {
                if run.schema_version > LOG_SCHEMA_VERSION {
                    return Err(LogError::BadRun {
                        path: path.to_owned(),
                        line: number,
                        reason: format!(
                            "the log has version {}, and this loadgen reads up to {LOG_SCHEMA_VERSION}: use a newer one",
                            run.schema_version
                        ),
                    });
                }
                if header.is_some() {
                    return Err(LogError::SecondRun {
                        path: path.to_owned(),
                        line: number,
                    });
                }
                header = Some(run);
                header_line = number;
            }
            Ok(LogLine::Zero(ms)) => {
                zero_ms.get_or_insert(ms);
            }
            Ok(LogLine::Summary(summary)) => counts = Some(summary),
            Ok(LogLine::Begin(begin)) => {
                latest_ms = latest_ms.max(begin.sent_ms);
                names.note(&begin.flow, &begin.step);
            }
            Ok(_) => {}
            Err(mut reason) if payload.starts_with("lg1 run ") => {
                if !payload.ends_with('}') {
                    reason.push_str(
                        "\nThe line lacks its end. What keeps the output of containers cuts lines at 16 KiB: keep the \
                         log by `k6 run --console-output FILE`, or keep all pieces of it",
                    );
                }
                return Err(LogError::BadRun {
                    path: path.to_owned(),
                    line: number,
                    reason,
                });
            }
            Err(reason) => {
                let (count, _) = bad.get_or_insert((0, format!("line {number}: {reason}")));
                *count += 1;
            }
        }
    }
    let Some(header) = header else {
        return Err(LogError::NoRun {
            path: path.to_owned(),
            lines: lines.lines_read(),
        });
    };
    let Some(zero_ms) = zero_ms else {
        return Err(LogError::NoZero {
            path: path.to_owned(),
        });
    };
    let shard = match &header.segment {
        None => Shard::WHOLE,
        Some(segment) => {
            segment::shard(segment, header.segment_sequence.as_deref()).map_err(|reason| {
                LogError::BadRun {
                    path: path.to_owned(),
                    line: header_line,
                    reason,
                }
            })?
        }
    };
    let mut plan = header.plan;
    // Each second of the run becomes a line: of a damaged time, that would be millions.
    let longest_ms = i64::try_from(plan.end_ns() / 1_000_000).unwrap_or(i64::MAX);
    let last_ms = zero_ms.saturating_add(longest_ms).saturating_add(DAY_MS);
    if latest_ms > last_ms {
        return Err(LogError::BadTimes {
            path: path.to_owned(),
            zero_ms,
            latest_ms,
        });
    }
    names.complete(&mut plan);
    // What was not injected must not look as if it had been.
    let faults = plan.scenarios.iter_mut().filter_map(|s| s.fault.take());
    let faults = faults.count();
    let zero_ns = zero_ms * 1_000_000;
    // k6 writes its counts also when a signal ended it.
    let status = counts
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
        bad_lines: bad,
        faults,
        status,
        ends_without_begin: order.ends_without_begin,
        path: path.to_owned(),
        zero_ns,
        counts: counts.map(|end| end.scenarios),
    })
}

/// What the order of lines shows.
#[derive(Debug, Default)]
struct Order {
    has_begun: bool,
    /// The latest time that a line has told, in Unix milliseconds.
    latest_ms: i64,
    /// Requests on their way, by key.
    in_flight: HashSet<Box<str>>,
    ends_without_begin: u64,
}

impl Order {
    /// # Errors
    /// Why the line can't stand where it does.
    fn follow(&mut self, line: &LogLine<'_>) -> Result<(), String> {
        if matches!(line, LogLine::Run(_)) {
            self.has_begun = true;
        } else if !self.has_begun {
            return Err("a line of a run that has not begun".to_owned());
        }
        match line {
            LogLine::Begin(begin) => {
                if begin.sent_ms < self.latest_ms - BACK_MS {
                    let earlier = self.latest_ms - begin.sent_ms;
                    return Err(format!(
                        "a request that was sent {earlier} ms before one above"
                    ));
                }
                self.latest_ms = self.latest_ms.max(begin.sent_ms);
                self.in_flight.insert(begin.key.into());
            }
            LogLine::End { key, .. } => {
                self.ends_without_begin += u64::from(!self.in_flight.remove(*key));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A scenario of which lines are missing from the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// Its name.
    pub scenario: String,
    /// Iterations that ended, as k6 counted them at its end.
    pub counted: u64,
    /// Of these, those of which the log has the end.
    pub in_log: u64,
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

/// Names that a person's own script gave its flows and steps.
#[derive(Debug, Default)]
struct Names {
    flows: Vec<String>,
    steps: HashMap<String, Vec<String>>,
    seen: HashSet<(String, String)>,
}

impl Names {
    fn note(&mut self, flow: &Name<'_>, step: &Name<'_>) {
        let Name::Text(step) = step else { return };
        // A flow by number keeps its number; the steps are added to it below.
        let flow = match flow {
            Name::Text(flow) => flow.to_string(),
            Name::Index(index) => format!("\0{index}"),
        };
        if !self.seen.insert((flow.clone(), step.to_string())) {
            return;
        }
        if !self.steps.contains_key(&flow) {
            self.flows.push(flow.clone());
        }
        self.steps.entry(flow).or_default().push(step.to_string());
    }

    fn complete(mut self, plan: &mut Plan) {
        for name in self.flows {
            let steps = self.steps.remove(&name).unwrap_or_default();
            let by_number = name.strip_prefix('\0').and_then(|n| n.parse().ok());
            let known = by_number.or_else(|| plan.flows.iter().position(|f| f.name == name));
            let index = known.unwrap_or_else(|| {
                plan.flows.push(Flow {
                    name,
                    variables: Vec::new(),
                    steps: Vec::new(),
                    wait_time: None,
                });
                plan.flows.len() - 1
            });
            if let Some(flow) = plan.flows.get_mut(index) {
                for step in steps {
                    if !flow.steps.iter().any(|known| known.name == step) {
                        flow.steps.push(named_step(step));
                    }
                }
            }
        }
    }
}

/// A step of which the log knows the name only.
fn named_step(name: String) -> Step {
    Step {
        name,
        method: String::new(),
        path: Template(Vec::new()),
        headers: Vec::new(),
        baggage: Vec::new(),
        json: None,
        expect: Expect {
            status: Vec::new(),
            content_type: None,
        },
        think_time: None,
        timeout_ns: 0,
        probability: None,
        rounds: Vec::new(),
        draws: Vec::new(),
        captures: Vec::new(),
    }
}

impl Replay {
    /// Plays the log into the consumers, as a run would have. Says of which scenarios lines are
    /// missing, by what k6 counted.
    ///
    /// # Errors
    /// A consumer or the file failed.
    pub fn play(&self, consumers: &mut [Box<dyn Consumer>]) -> io::Result<Vec<Missing>> {
        let mut player = Player {
            replay: self,
            feed: Feed::new(self.plan.clone(), self.zero_ns, self.shard),
            consumers,
            now_ns: self.zero_ns,
            next_beat_ns: self.zero_ns,
            windows: Windows::new(self.plan.clone(), self.zero_ns, 1, true),
        };
        player.send(Line::RunStarted(RunStarted {
            schema_version: TIMELINE_SCHEMA_VERSION,
            run_id: self.run_id.clone(),
            at_ns: self.zero_ns,
            scenario_file: self.plan.scenario_file.clone(),
            scenario_sha256: self.plan.scenario_sha256.clone(),
            seed: self.plan.seed,
            time_scale: self.plan.time_scale,
            engine: Engine::K6,
            engine_version: None,
            target: self.base_url.clone(),
            loadgen_version: self.module_version.clone(),
            shard: RunShard::of(self.shard),
            shards: Vec::new(),
        }))?;
        player.advance(self.zero_ns)?;
        for (index, line) in module_lines(&self.path)?.enumerate() {
            let (_, payload) = line?;
            if let Ok(line) = line::parse(&payload) {
                player.take(&line)?;
            }
            if index % BATCH == 0 {
                player.hand_over(false)?;
            }
        }
        let missing = player.missing();
        player.end()?;
        for consumer in consumers {
            consumer.finish()?;
        }
        Ok(missing)
    }

    fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.zero_ns.saturating_add_unsigned(plan_ns)
    }

    /// What k6 says at the end that it dropped; none: it did not come to say so.
    fn dropped(&self, scenario: usize) -> Option<u64> {
        let counts = self
            .counts
            .as_ref()?
            .get(&self.plan.scenarios[scenario].name);
        Some(counts.map_or(0, |counts| counts.dropped_iterations))
    }
}

struct Player<'r, 'c> {
    replay: &'r Replay,
    feed: Feed,
    consumers: &'c mut [Box<dyn Consumer>],
    /// The latest time that a line has told.
    now_ns: i64,
    next_beat_ns: i64,
    windows: Windows,
}

impl Player<'_, '_> {
    fn take(&mut self, line: &LogLine<'_>) -> io::Result<()> {
        if let LogLine::Begin(begin) = line {
            self.advance(begin.sent_ms * 1_000_000)?;
        }
        // Lines that the plan does not bear out were counted when the log was looked through.
        let _ = self.feed.take(line, self.now_ns);
        if let LogLine::End { .. } = line {
            let ends = self
                .scenarios()
                .filter_map(|s| self.feed.counts(s).last_completed_ns);
            self.advance(ends.max().unwrap_or(self.now_ns))?;
        }
        Ok(())
    }

    /// Moves the clock on, with what happens on the way.
    fn advance(&mut self, to_ns: i64) -> io::Result<()> {
        if to_ns < self.now_ns {
            return Ok(());
        }
        loop {
            let edge_ns = self.windows.next_ns().unwrap_or(i64::MAX);
            let next_ns = edge_ns.min(self.next_beat_ns);
            if next_ns > to_ns {
                break;
            }
            self.now_ns = next_ns;
            if edge_ns == next_ns {
                let actions = self.windows.reach(next_ns);
                self.act(actions)?;
            } else {
                self.beat()?;
                self.next_beat_ns += SECOND_NS;
            }
        }
        self.now_ns = to_ns;
        self.look_for_ends()
    }

    /// Iterations that k6 counted and of which the log has no end.
    fn missing(&self) -> Vec<Missing> {
        let Some(counts) = &self.replay.counts else {
            return Vec::new();
        };
        let scenarios = self.replay.plan.scenarios.iter().enumerate();
        let missing = scenarios.filter_map(|(index, scenario)| {
            let counted = counts.get(&scenario.name)?.iterations;
            let in_log = self.feed.counts(index).ended_iterations;
            (in_log < counted).then(|| Missing {
                scenario: scenario.name.clone(),
                counted,
                in_log,
            })
        });
        missing.collect()
    }

    fn act(&mut self, actions: Vec<Action>) -> io::Result<()> {
        for action in actions {
            match action {
                Action::Open { scenario, at_ns } => {
                    let opened = self.windows.opened(scenario, at_ns);
                    self.send(Line::WindowOpened(opened))?;
                }
                Action::Close { scenario, at_ns } => {
                    self.send(Line::WindowClosed(self.totals(scenario, at_ns)))?;
                }
                Action::Drain { scenario, at_ns } => {
                    self.hand_over(false)?;
                    self.send(Line::WindowDrained(self.totals(scenario, at_ns)))?;
                }
                // k6 did what it did, and counted what it dropped.
                Action::Inject { .. }
                | Action::LetGo { .. }
                | Action::Signal { .. }
                | Action::DropTheRest { .. } => {}
            }
        }
        Ok(())
    }

    fn scenarios(&self) -> std::ops::Range<usize> {
        0..self.replay.plan.scenarios.len()
    }

    fn look_for_ends(&mut self) -> io::Result<()> {
        for index in self.scenarios() {
            let sends = self.replay.plan.scenarios[index].executor.sends();
            if !sends || !self.windows.is_on(index) {
                continue;
            }
            if let Over::Drained { early, at_ns } = self.feed.over(index, self.now_ns) {
                if early {
                    self.closed(index, at_ns)?;
                }
                if self.windows.has_closed(index) {
                    self.drained(index, at_ns)?;
                }
            }
        }
        Ok(())
    }

    fn closed(&mut self, index: usize, at_ns: i64) -> io::Result<()> {
        let actions = self.windows.closed(index, self.now_ns, Some(at_ns));
        self.act(actions)
    }

    fn drained(&mut self, index: usize, at_ns: i64) -> io::Result<()> {
        let actions = self.windows.drained(index, at_ns);
        self.act(actions)
    }

    fn beat(&mut self) -> io::Result<()> {
        self.hand_over(false)?;
        let mut beat = Heartbeat {
            at_ns: self.now_ns,
            sent: 0,
            completed: 0,
            failed: 0,
            // k6 says only at the end what it dropped.
            dropped: 0,
        };
        for index in self.scenarios() {
            let counts = self.feed.counts(index);
            beat.sent += counts.sent;
            beat.completed += counts.completed;
            beat.failed += counts.failed;
            if self.windows.has_closed(index) {
                beat.dropped += self.replay.dropped(index).unwrap_or(0);
            }
        }
        self.send(Line::Heartbeat(beat))
    }

    fn hand_over(&mut self, everything: bool) -> io::Result<()> {
        let horizon_ns = if everything {
            i64::MAX
        } else {
            self.now_ns - SECOND_NS
        };
        let replay = self.replay;
        self.feed.resolve(horizon_ns, |index| replay.dropped(index));
        let records = self.feed.take_ready();
        if records.is_empty() {
            return Ok(());
        }
        self.give(&Event::Requests(records))
    }

    /// The log is at its end.
    fn end(mut self) -> io::Result<()> {
        if self.replay.status == Some(RunStatus::Completed) {
            // Nothing is said between the last request and the end of the last window.
            let end_ns = self.replay.planned_ns(self.replay.plan.end_ns());
            self.advance(end_ns.max(self.now_ns))?;
        }
        let was_killed = self.replay.status.is_none();
        for index in self.scenarios() {
            self.feed.interrupt(index, self.now_ns);
            if was_killed || !self.windows.is_on(index) {
                continue;
            }
            // As in a run that a signal ends: what is open is closed now.
            self.closed(index, self.now_ns)?;
            let end_ns = self.feed.planned_end_ns(index).min(self.now_ns);
            let last_ns = self.feed.counts(index).last_ended_ns;
            self.drained(index, last_ns.map_or(end_ns, |last| last.max(end_ns)))?;
        }
        self.beat()?;
        self.hand_over(true)?;
        if let Some(status) = self.replay.status {
            let at_ns = self.now_ns;
            self.send(Line::RunFinished(RunFinished {
                at_ns,
                status,
                sha256: None,
            }))?;
        }
        Ok(())
    }

    fn totals(&self, index: usize, at_ns: i64) -> WindowClosed {
        let counts = self.feed.counts(index);
        let scenario = &self.replay.plan.scenarios[index];
        WindowClosed {
            scenario: scenario.name.clone(),
            at_ns,
            last_completed_ns: counts.last_completed_ns,
            sent: counts.sent,
            completed: counts.completed,
            failed: counts.failed,
            dropped: self.replay.dropped(index).unwrap_or(0),
            iterations: counts.iterations,
            interrupted_iterations: counts.interrupted_iterations,
            unsent_steps: counts.unsent_steps,
        }
    }

    fn send(&mut self, line: Line) -> io::Result<()> {
        self.give(&Event::Timeline(line))
    }

    fn give(&mut self, event: &Event) -> io::Result<()> {
        self.consumers
            .iter_mut()
            .try_for_each(|consumer| consumer.take(event))
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;

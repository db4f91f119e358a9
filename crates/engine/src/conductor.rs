//! The conductor of a run: opens and closes the windows on time, has faults injected and cleared,
//! sends heartbeats, and brings the run to an end, whoever wants it to end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use loadgen_fault::Drivers;
use loadgen_scenario::plan::Fault;
use loadgen_scenario::{Plan, PlannedScenario};
use loadgen_timeline::Clock;
use loadgen_timeline::event::{
    ClockStepped, Engine, Event as Line, FaultChanged, FaultFailed, Heartbeat, RunFinished,
    RunStarted, RunStatus, TIMELINE_SCHEMA_VERSION, WindowClosed, WindowOpened,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::event::{Consumer, Event};
use crate::pacer::Pacer;
use crate::shared::{Shared, Signal};
use crate::worker::{self, Progress};

/// Time between the start of the run and the first window, so that workers are up by then.
const LEAD: Duration = Duration::from_millis(100);

/// A wall clock that moves more than this against the monotonic one within a second was set, not
/// slewed (NTP slews by 0.5 ms a second at most).
const CLOCK_STEP_NS: i64 = 20_000_000;

/// How long workers may take to record what they gave up, and faults to be cleared, when the run
/// must stop at once.
const HASTY: Duration = Duration::from_millis(500);

/// What a run needs beside the plan.
#[derive(Debug)]
pub struct RunOptions {
    /// Unique name of the run: 32 lower-case hexadecimal digits.
    pub run_id: String,
    /// Where requests go, without a trailing slash.
    pub base_url: String,
    /// Threads that send; each takes its share of every scenario. At least 1.
    pub workers: usize,
    /// The HTTP client's settings; see [`RunOptions::client_defaults`].
    pub client: fn() -> reqwest::ClientBuilder,
    /// Who injects faults.
    pub drivers: Drivers,
}

impl RunOptions {
    /// Settings of the HTTP client: connections are kept as long as the target keeps them, no
    /// proxy, and at most ten redirects, as in k6.
    pub fn client_defaults() -> reqwest::ClientBuilder {
        // A second installation is refused, and the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .pool_max_idle_per_host(usize::MAX)
            .redirect(reqwest::redirect::Policy::limited(10))
            .no_proxy()
    }
}

/// A wish to end the run early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Start nothing more, let requests in flight finish.
    Gracefully,
    /// At once.
    AtOnce,
}

/// Why a run failed. The timeline says `failed` and is readable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A consumer could not do its work.
    #[error("can't write {name}: {source}; the run was stopped, what was written so far is kept")]
    Consumer {
        /// What the consumer makes.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker could not start or broke down.
    #[error("a worker broke down: {0}")]
    Worker(String),
    /// The HTTP client can't be set up.
    #[error("can't set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Runs a plan to its end or until it is interrupted, and feeds every event to the consumers.
///
/// Returns how the run ended; the last event says the same. Consumers come back finished.
pub async fn run(
    plan: Arc<Plan>,
    options: RunOptions,
    consumers: Vec<Box<dyn Consumer>>,
    interrupts: UnboundedReceiver<Interrupt>,
) -> Result<RunStatus, EngineError> {
    let clock = Clock::anchored_now();
    let start_ns = clock.now_ns() + i64::try_from(LEAD.as_nanos()).unwrap_or(0);
    let workers = options.workers.max(1);
    let clients: Vec<reqwest::Client> = (0..workers)
        .map(|_| (options.client)().build())
        .collect::<Result<_, _>>()?;
    let shared = Arc::new(Shared::new(
        plan,
        options.base_url,
        clock,
        start_ns,
        workers,
    ));

    let (events, incoming) = mpsc::channel();
    let (failed, failure) = unbounded_channel();
    let recorder = thread::Builder::new()
        .name("loadgen-recorder".into())
        .spawn(move || record(consumers, &incoming, &failed))
        .map_err(|e| EngineError::Worker(e.to_string()))?;

    send(
        &events,
        Line::RunStarted(run_started(&shared, options.run_id)),
    );
    let (progress, from_workers) = unbounded_channel();
    let mut threads = Vec::new();
    for (index, client) in clients.into_iter().enumerate() {
        let (shared, events, progress) = (shared.clone(), events.clone(), progress.clone());
        let thread = thread::Builder::new()
            .name(format!("loadgen-worker-{index}"))
            .spawn(move || worker::run(shared, index, client, events, progress))
            .map_err(|e| EngineError::Worker(e.to_string()))?;
        threads.push(thread);
    }
    drop(progress);

    let (fault_queue, faults) = unbounded_channel();
    let injector = tokio::spawn(inject(options.drivers, clock, faults, events.clone()));
    let mut conductor = Conductor {
        windows: vec![Window::Waiting; shared.plan.scenarios.len()],
        closed_by: vec![0; shared.plan.scenarios.len()],
        drained_by: vec![0; shared.plan.scenarios.len()],
        shared: shared.clone(),
        events: events.clone(),
        faults: fault_queue,
        interrupted: false,
        clock_offset_ns: clock.wall_offset_ns(),
    };
    let broken = conductor.conduct(from_workers, interrupts, failure).await;
    conductor.close_all();
    let Conductor {
        faults,
        interrupted,
        ..
    } = conductor;
    drop(faults);
    // Faults are cleared before the run is over; when it has to be over at once, they get a moment.
    let error = if broken.is_some() {
        let _ = tokio::time::timeout(HASTY, injector).await;
        None
    } else {
        let _ = injector.await;
        join(threads)
    };
    let status = match (&error, broken, interrupted) {
        (Some(_), _, _) | (_, Some(Broken::Consumer), _) => RunStatus::Failed,
        (None, _, true) => RunStatus::Interrupted,
        (None, _, false) => RunStatus::Completed,
    };
    // Workers that were left behind still hold a sender, so the recorder is told the end in words.
    send(
        &events,
        Line::RunFinished(RunFinished {
            at_ns: clock.now_ns(),
            status,
        }),
    );
    drop(events);
    let recorded = tokio::task::spawn_blocking(move || recorder.join()).await;
    match (recorded, error) {
        (Ok(Ok(Some(error))), _) | (Ok(Ok(None)), Some(error)) => Err(error),
        (Ok(Ok(None)), None) => Ok(status),
        (Ok(Err(_)) | Err(_), _) => Err(EngineError::Worker("the recorder broke down".into())),
    }
}

/// Waits for the workers; an error or a panic in one of them is the run's.
fn join(threads: Vec<thread::JoinHandle<std::io::Result<()>>>) -> Option<EngineError> {
    let mut error = None;
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => error = Some(EngineError::Worker(e.to_string())),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                error = Some(EngineError::Worker(text.unwrap_or_else(|| "panic".into())));
            }
        }
    }
    error
}

/// Feeds events to the consumers until `run_finished`. The first error ends the run; the consumers
/// that still work see the rest of it.
fn record(
    mut consumers: Vec<Box<dyn Consumer>>,
    incoming: &mpsc::Receiver<Event>,
    failed: &UnboundedSender<()>,
) -> Option<EngineError> {
    let mut error = None;
    let mut give_up = |consumer: &dyn Consumer, source| {
        let name = consumer.name().to_owned();
        error.get_or_insert(EngineError::Consumer { name, source });
        let _ = failed.send(());
    };
    for event in incoming {
        consumers.retain_mut(|consumer| match consumer.take(&event) {
            Ok(()) => true,
            Err(source) => {
                give_up(consumer.as_ref(), source);
                false
            }
        });
        if matches!(event, Event::Timeline(Line::RunFinished(_))) {
            break;
        }
    }
    for mut consumer in consumers {
        if let Err(source) = consumer.finish() {
            give_up(consumer.as_ref(), source);
        }
    }
    error
}

fn send(events: &mpsc::Sender<Event>, line: Line) {
    // Gone only together with the recorder, whose end the run notices by itself.
    let _ = events.send(Event::Timeline(line));
}

fn run_started(shared: &Shared, run_id: String) -> RunStarted {
    RunStarted {
        schema_version: TIMELINE_SCHEMA_VERSION,
        run_id,
        at_ns: shared.start_ns,
        scenario_file: shared.plan.scenario_file.clone(),
        scenario_sha256: shared.plan.scenario_sha256.clone(),
        seed: shared.plan.seed,
        time_scale: shared.plan.time_scale,
        engine: Engine::Rust,
        target: shared.base_url.clone(),
        loadgen_version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// A change of a fault that is due.
struct FaultJob {
    scenario: String,
    fault: Fault,
    inject: bool,
    requested_ns: i64,
}

/// Makes the changes one after the other, so that a fault is gone before the next one comes.
async fn inject(
    drivers: Drivers,
    clock: Clock,
    mut jobs: UnboundedReceiver<FaultJob>,
    events: mpsc::Sender<Event>,
) {
    let mut in_force: Vec<FaultJob> = Vec::new();
    while let Some(job) = jobs.recv().await {
        let is_same = |other: &FaultJob| other.scenario == job.scenario;
        if !job.inject && !in_force.iter().any(is_same) {
            continue;
        }
        let result = match job.inject {
            true => drivers.inject(&job.fault).await,
            false => drivers.clear(&job.fault).await,
        };
        let at_ns = clock.now_ns();
        let FaultJob {
            scenario,
            fault,
            requested_ns,
            ..
        } = &job;
        let (driver, name) = (fault.driver.clone(), fault.fault.clone());
        let line = match result {
            Ok(()) => {
                let changed = FaultChanged {
                    scenario: scenario.clone(),
                    driver,
                    fault: name,
                    service: fault.service.clone(),
                    intensity: fault.intensity,
                    requested_ns: *requested_ns,
                    at_ns,
                };
                if job.inject {
                    Line::FaultInjected(changed)
                } else {
                    Line::FaultCleared(changed)
                }
            }
            Err(error) => Line::FaultFailed(FaultFailed {
                scenario: scenario.clone(),
                driver,
                fault: name,
                change: if job.inject { "inject" } else { "clear" }.into(),
                reason: error.to_string(),
                requested_ns: *requested_ns,
                at_ns,
            }),
        };
        if job.inject {
            // Also after a failure: an injection that was not confirmed may be in force.
            in_force.push(job);
        } else {
            in_force.retain(|other| other.scenario != job.scenario);
        }
        send(&events, line);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Waiting,
    Open,
    Closed,
    Drained,
}

/// Why a run ends before everything has drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    AtOnce,
    /// The recorder knows more.
    Consumer,
}

struct Conductor {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    faults: UnboundedSender<FaultJob>,
    windows: Vec<Window>,
    /// Workers that start no more iterations of a scenario.
    closed_by: Vec<usize>,
    /// Workers for which a scenario has drained.
    drained_by: Vec<usize>,
    interrupted: bool,
    clock_offset_ns: i64,
}

impl Conductor {
    async fn conduct(
        &mut self,
        mut from_workers: UnboundedReceiver<Progress>,
        mut interrupts: UnboundedReceiver<Interrupt>,
        mut failure: UnboundedReceiver<()>,
    ) -> Option<Broken> {
        let mut boundaries = boundaries(&self.shared.plan.scenarios);
        let mut pacer = Pacer::new();
        let start = self.shared.clock.instant(self.shared.start_ns);
        let mut heartbeat = tokio::time::interval_at(start.into(), Duration::from_secs(1));
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.windows.iter().any(|w| *w != Window::Drained) {
            let next = boundaries
                .front()
                .map(|at| self.shared.clock.instant(self.planned_ns(*at)));
            tokio::select! {
                () = async { match next {
                    Some(at) => pacer.until(at).await,
                    None => std::future::pending().await,
                } } => {
                    if let Some(at) = boundaries.pop_front() {
                        self.boundary(at);
                    }
                }
                _ = heartbeat.tick() => self.heartbeat(),
                report = from_workers.recv() => match report {
                    Some(report) => self.report(report),
                    // Every worker has gone: nothing will drain any more.
                    None => return None,
                },
                Some(interrupt) = interrupts.recv() => {
                    self.interrupted = true;
                    boundaries.clear();
                    match interrupt {
                        Interrupt::Gracefully => self.signal_all(Signal::Stop),
                        Interrupt::AtOnce => {
                            self.give_up(&mut from_workers).await;
                            return Some(Broken::AtOnce);
                        }
                    }
                }
                Some(()) = failure.recv() => {
                    self.give_up(&mut from_workers).await;
                    return Some(Broken::Consumer);
                }
            }
        }
        self.heartbeat();
        None
    }

    /// Has the workers give up what is in flight, and waits a moment until they have recorded it.
    async fn give_up(&mut self, from_workers: &mut UnboundedReceiver<Progress>) {
        self.signal_all(Signal::Kill);
        let _ = tokio::time::timeout(HASTY, async {
            while self.windows.iter().any(|w| *w != Window::Drained) {
                let Some(report) = from_workers.recv().await else {
                    break;
                };
                self.report(report);
            }
        })
        .await;
    }

    fn planned_ns(&self, plan_ns: u64) -> i64 {
        self.shared.planned_ns(plan_ns)
    }

    /// Closes what ends and opens what starts at a moment of the plan, with one time for both, so
    /// that neighbouring windows meet.
    fn boundary(&mut self, plan_ns: u64) {
        let at_ns = self.shared.clock.now_ns();
        let plan = self.shared.plan.clone();
        for (index, scenario) in plan.scenarios.iter().enumerate() {
            if scenario.end_ns == plan_ns && self.windows[index] == Window::Open {
                self.close(index, at_ns);
            }
        }
        for (index, scenario) in plan.scenarios.iter().enumerate() {
            if scenario.start_ns == plan_ns && self.windows[index] == Window::Waiting {
                self.open(index, at_ns);
            }
        }
    }

    fn open(&mut self, index: usize, at_ns: i64) {
        let scenario = &self.shared.plan.scenarios[index];
        self.windows[index] = Window::Open;
        self.send(Line::WindowOpened(WindowOpened {
            scenario: scenario.name.clone(),
            anomaly: scenario.anomaly.clone(),
            planned_start_ns: self.planned_ns(scenario.start_ns),
            planned_end_ns: self.planned_ns(scenario.end_ns),
            at_ns,
            guard_ns: scenario.guard_ns,
        }));
        self.fault(index, true, at_ns);
        // Workers start only now, so no request of the scenario is older than its window.
        self.shared.signal(index, Signal::Open);
    }

    fn close(&mut self, index: usize, at_ns: i64) {
        self.windows[index] = Window::Closed;
        self.send(Line::WindowClosed(self.totals(index, at_ns)));
        self.fault(index, false, at_ns);
    }

    /// Closes the windows that a broken run leaves open.
    fn close_all(&mut self) {
        let at_ns = self.shared.clock.now_ns();
        for index in 0..self.windows.len() {
            if self.windows[index] == Window::Open {
                self.close(index, at_ns);
            }
        }
    }

    fn fault(&self, index: usize, inject: bool, requested_ns: i64) {
        let scenario = &self.shared.plan.scenarios[index];
        if let Some(fault) = &scenario.fault {
            let (scenario, fault) = (scenario.name.clone(), fault.clone());
            let _ = self.faults.send(FaultJob {
                scenario,
                fault,
                inject,
                requested_ns,
            });
        }
    }

    fn report(&mut self, report: Progress) {
        let at_ns = self.shared.clock.now_ns();
        match report {
            Progress::Closed(index) => {
                self.closed_by[index] += 1;
                let end_ns = self.shared.plan.scenarios[index].end_ns;
                let all = self.closed_by[index] == self.shared.workers;
                if at_ns >= self.planned_ns(end_ns) && !self.interrupted {
                    // The worker was faster to notice than the conductor itself.
                    self.boundary(end_ns);
                }
                // Before its planned end a window closes when all its iterations have been made.
                if all && self.windows[index] == Window::Open {
                    self.close(index, at_ns);
                }
            }
            Progress::Drained(index) => {
                self.drained_by[index] += 1;
                if self.drained_by[index] == self.shared.workers {
                    if self.windows[index] == Window::Closed {
                        self.send(Line::WindowDrained(self.totals(index, at_ns)));
                    }
                    self.windows[index] = Window::Drained;
                }
            }
        }
    }

    fn signal_all(&self, signal: Signal) {
        for index in 0..self.windows.len() {
            self.shared.signal(index, signal);
        }
    }

    fn heartbeat(&mut self) {
        let mut beat = Heartbeat {
            at_ns: self.shared.clock.now_ns(),
            sent: 0,
            completed: 0,
            failed: 0,
            dropped: 0,
        };
        for scenario in &self.shared.scenarios {
            beat.sent += scenario.counters.sent.load(Relaxed);
            beat.completed += scenario.counters.completed.load(Relaxed);
            beat.failed += scenario.counters.failed.load(Relaxed);
            beat.dropped += scenario.counters.dropped.load(Relaxed);
        }
        self.send(Line::Heartbeat(beat));
        let offset_ns = self.shared.clock.wall_offset_ns();
        if (offset_ns - self.clock_offset_ns).abs() > CLOCK_STEP_NS {
            self.send(Line::ClockStepped(ClockStepped {
                at_ns: beat.at_ns,
                offset_ns,
            }));
        }
        self.clock_offset_ns = offset_ns;
    }

    fn totals(&self, index: usize, at_ns: i64) -> WindowClosed {
        let state = &self.shared.scenarios[index];
        WindowClosed {
            scenario: self.shared.plan.scenarios[index].name.clone(),
            at_ns,
            last_completed_ns: state.counters.last_completed(),
            sent: state.counters.sent.load(Relaxed),
            completed: state.counters.completed.load(Relaxed),
            failed: state.counters.failed.load(Relaxed),
            dropped: state.counters.dropped.load(Relaxed),
            iterations: state.next_iteration.load(Relaxed),
            interrupted_iterations: state.counters.interrupted_iterations.load(Relaxed),
        }
    }

    fn send(&self, line: Line) {
        send(&self.events, line);
    }
}

/// The moments at which windows open or close, in order, each once.
fn boundaries(scenarios: &[PlannedScenario]) -> VecDeque<u64> {
    let mut moments: Vec<u64> = scenarios
        .iter()
        .flat_map(|s| [s.start_ns, s.end_ns])
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments.into()
}

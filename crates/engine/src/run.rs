//! A run from its start to its end: sets up the threads, lets the conductor conduct, and brings
//! everybody home.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::HeaderValue;
use loadgen_fault::{Drivers, FlagReader};
use loadgen_scenario::{Plan, Shard};
use loadgen_timeline::Clock;
use loadgen_timeline::event::{
    Engine, Event, RunFinished, RunShard, RunStarted, RunStatus, TIMELINE_SCHEMA_VERSION,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::client;
use crate::conductor::{Broken, Conductor};
use crate::context::{Context, Progress};
use crate::error::{EngineError, Interrupt};
use crate::event::{Consumer, EngineEvent};
use crate::flags;
use crate::injector::{FirstLook, HASTY, Injector, first_look, must_end};
use crate::k6::{self, K6Options};
use crate::recorder::{self, WAITING_EVENTS, send};
use crate::shared::Shared;
use crate::way::Way;
use crate::worker;
#[cfg(test)]
use crate::worker::DeathNotice;

/// Time between the start of the run and the first window, so that workers are up by then.
pub(crate) const LEAD: Duration = Duration::from_millis(100);

/// What a run needs beside the plan.
#[derive(Debug)]
pub struct RunOptions {
    /// Unique name of the run: 32 lower-case hexadecimal digits.
    pub run_id: String,
    /// Where requests go, without a trailing slash and without credentials.
    pub base_url: String,
    /// Who sends.
    pub sender: Sender,
    /// Who injects faults.
    pub drivers: Drivers,
    /// Which part of the run this is, where several generators share it.
    pub shard: Option<RunShard>,
    /// Zero of the plan's times, in Unix nanoseconds, where that was agreed on; none: as soon as all
    /// is ready.
    pub start_at_ns: Option<i64>,
    /// Who reads the plan's flags, in their order.
    pub flags: Vec<FlagReader>,
}

/// Who sends the load.
#[derive(Debug)]
pub enum Sender {
    /// Threads of this process.
    Workers {
        /// How many; each takes its share of every scenario. At least 1.
        count: usize,
        /// `Authorization` of every request, from credentials in the base URL.
        authorization: Option<HeaderValue>,
        /// The HTTP client's settings; see [`RunOptions::client_defaults`].
        client: fn() -> reqwest::ClientBuilder,
    },
    /// Stock k6, as a process of its own.
    K6(K6Options),
}

impl Sender {
    /// Threads with the usual client and without credentials.
    pub fn workers(count: usize) -> Self {
        Self::Workers {
            count,
            authorization: None,
            client: RunOptions::client_defaults,
        }
    }
}

impl RunOptions {
    /// Settings of the HTTP client.
    pub fn client_defaults() -> reqwest::ClientBuilder {
        client::defaults()
    }
}

/// Runs a plan to its end or until it is interrupted, and feeds every event to the consumers.
///
/// Returns how the run ended; the last event says the same. Consumers are finished by then.
pub async fn run(
    plan: Arc<Plan>,
    options: RunOptions,
    consumers: Vec<Box<dyn Consumer>>,
    mut interrupts: UnboundedReceiver<Interrupt>,
) -> Result<RunStatus, EngineError> {
    let clock = Clock::anchored_now();
    let RunOptions {
        run_id,
        base_url,
        sender,
        drivers,
        shard,
        start_at_ns,
        flags,
    } = options;
    let part = shard.as_ref().and_then(RunShard::shard);
    let part = part.unwrap_or(Shard::WHOLE);
    // Before anything begins, as it takes time.
    let first_look = tokio::select! {
        first_look = first_look(&drivers) => first_look,
        Some(_) = interrupts.recv() => return Err(EngineError::NotBegun),
    };
    let whole = Whole {
        plan: &plan,
        base_url: &base_url,
        run_id: &run_id,
        shard: part,
        start_at_ns,
    };
    let sender = PreparedSender::prepare(sender, &whole, &mut interrupts).await?;
    let start_ns = sender.start_ns(clock, start_at_ns)?;
    let ready = Ready {
        run_id,
        plan,
        base_url,
        clock,
        start_ns,
        drivers,
        first_look,
        flags,
        sender,
        shard,
    };
    ready.run(consumers, interrupts).await
}

/// What whoever sends must know of a run.
pub(crate) struct Whole<'r> {
    pub(crate) plan: &'r Plan,
    pub(crate) base_url: &'r str,
    pub(crate) run_id: &'r str,
    /// What of the plan is to be done.
    pub(crate) shard: Shard,
    /// When it begins, if that was agreed on.
    pub(crate) start_at_ns: Option<i64>,
}

/// A run that can begin.
pub(crate) struct Ready {
    pub(crate) run_id: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) base_url: String,
    pub(crate) clock: Clock,
    /// When the plan begins, in Unix nanoseconds.
    pub(crate) start_ns: i64,
    pub(crate) drivers: Drivers,
    /// What the drivers saw before.
    pub(crate) first_look: FirstLook,
    pub(crate) flags: Vec<FlagReader>,
    pub(crate) sender: PreparedSender,
    /// Which part of the run this is.
    pub(crate) shard: Option<RunShard>,
}

impl Ready {
    pub(crate) async fn run(
        self,
        consumers: Vec<Box<dyn Consumer>>,
        mut interrupts: UnboundedReceiver<Interrupt>,
    ) -> Result<RunStatus, EngineError> {
        let (events, incoming) = sync_channel(WAITING_EVENTS);
        let (failed, failure) = unbounded_channel();
        let recorder = spawn("loadgen-recorder", move || {
            recorder::record(consumers, &incoming, &failed)
        })?;
        let clock = self.clock;
        // Should a thread not start, the sender that is dropped here ends the recorder, and workers
        // that wait for their first window end with the process.
        let (status, error) = self.conduct(&events, &mut interrupts, failure).await?;
        // Workers that were left behind still hold a sender, so the recorder is told the end in
        // words.
        send(
            &events,
            Event::RunFinished(RunFinished {
                at_ns: clock.now_ns(),
                status,
                sha256: None,
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

    /// From the first line of the timeline to the one before the last. Returns how the run ended,
    /// and what broke down.
    async fn conduct(
        self,
        events: &SyncSender<EngineEvent>,
        interrupts: &mut UnboundedReceiver<Interrupt>,
        failure: UnboundedReceiver<()>,
    ) -> Result<(RunStatus, Option<EngineError>), EngineError> {
        let Self {
            sender,
            clock,
            start_ns,
            shard,
            ..
        } = self;
        let part = shard.as_ref().and_then(RunShard::shard);
        let shared = Shared::new(
            self.run_id,
            self.plan,
            self.base_url,
            clock,
            start_ns,
            part.unwrap_or(Shard::WHOLE),
            sender.size(),
        );
        let shared = Arc::new(shared);
        send(
            events,
            Event::RunStarted(run_started(&shared, &sender, shard)),
        );
        let keeps_to_the_plan = sender.is_k6();
        let (progress, from_workers) = unbounded_channel();
        let running = sender.start(&shared, events, progress)?;
        let (deadline, _) = watch::channel(None);
        let (fault_queue, faults) = unbounded_channel();
        let injector = Injector::new(
            self.drivers,
            &shared.run_id,
            clock,
            events.clone(),
            deadline.clone(),
            shared.plan.observed.clone(),
        );
        let end_ns = shared.planned_ns(shared.plan.end_ns());
        let injector = tokio::spawn(injector.run(self.first_look, start_ns, end_ns, faults));
        let (look_queue, looks) = unbounded_channel();
        let mut looking = tokio::task::JoinSet::new();
        for (index, reader) in self.flags.into_iter().enumerate() {
            looking.spawn(flags::look(reader, index, clock, look_queue.clone()));
        }
        let mut conductor = Conductor::new(shared, keeps_to_the_plan, events.clone(), fault_queue);
        let broken = conductor
            .conduct(from_workers, interrupts, failure, looks)
            .await;
        looking.abort_all();
        let interrupted = conductor.end();

        // Faults are cleared before the run is over, in a hurry where it has to be over at once.
        if broken.is_some() {
            must_end(&deadline, HASTY);
        }
        cleared(injector, interrupts, &deadline).await;
        let error = match broken {
            Some(Broken::AtOnce | Broken::Consumer) => None,
            Some(Broken::Worker) | None => running.join().await,
        };
        Ok((status(error.is_some(), broken, interrupted), error))
    }
}

/// Waits until the faults are cleared, not for long once that is asked for.
async fn cleared(
    mut injector: tokio::task::JoinHandle<()>,
    interrupts: &mut UnboundedReceiver<Interrupt>,
    deadline: &watch::Sender<Option<tokio::time::Instant>>,
) {
    loop {
        tokio::select! {
            _ = &mut injector => return,
            Some(Interrupt::AtOnce) = interrupts.recv() => must_end(deadline, HASTY),
        }
    }
}

fn status(failed: bool, broken: Option<Broken>, interrupted: Option<Interrupt>) -> RunStatus {
    match (broken, interrupted) {
        _ if failed => RunStatus::Failed,
        (Some(Broken::Consumer | Broken::Worker), _) => RunStatus::Failed,
        (_, Some(Interrupt::TargetGone)) => RunStatus::Failed,
        (_, Some(_)) => RunStatus::Interrupted,
        (_, None) => RunStatus::Completed,
    }
}

/// What sends the requests, ready to.
pub(crate) enum PreparedSender {
    Workers {
        /// By worker.
        ways: Vec<Way>,
        authorization: Option<HeaderValue>,
    },
    /// Workers that are tasks of the [`LocalSet`](tokio::task::LocalSet) that they are started in.
    #[cfg(test)]
    Simulated { workers: usize },
    K6 {
        started: Box<k6::Started>,
        version: String,
    },
}

/// What sends the requests, at work.
enum RunningSender {
    Threads(Vec<JoinHandle<std::io::Result<()>>>),
    #[cfg(test)]
    Tasks(Vec<tokio::task::JoinHandle<()>>),
    K6(tokio::task::JoinHandle<Result<(), EngineError>>),
}

impl PreparedSender {
    async fn prepare(
        sender: Sender,
        run: &Whole<'_>,
        interrupts: &mut UnboundedReceiver<Interrupt>,
    ) -> Result<Self, EngineError> {
        match sender {
            Sender::Workers {
                count,
                authorization,
                client,
            } => {
                let of_worker = |_| clients_of_worker(run.plan, client).map(Way::Http);
                let ways = (0..count.max(1)).map(of_worker);
                Ok(Self::Workers {
                    ways: ways.collect::<Result<_, _>>()?,
                    authorization,
                })
            }
            Sender::K6(options) => {
                let started = tokio::select! {
                    started = k6::start(&options, run) => started?,
                    Some(_) = interrupts.recv() => return Err(EngineError::NotBegun),
                };
                Ok(Self::K6 {
                    started: Box::new(started),
                    version: options.k6.version,
                })
            }
        }
    }

    /// How many report the end of a scenario.
    fn size(&self) -> usize {
        match self {
            Self::Workers { ways, .. } => ways.len(),
            #[cfg(test)]
            Self::Simulated { workers } => *workers,
            Self::K6 { .. } => 1,
        }
    }

    fn is_k6(&self) -> bool {
        matches!(self, Self::K6 { .. })
    }

    /// When the plan begins, in Unix nanoseconds; `agreed` is when it is to.
    fn start_ns(&self, clock: Clock, agreed: Option<i64>) -> Result<i64, EngineError> {
        let earliest_ns = clock.now_ns() + i64::try_from(LEAD.as_nanos()).unwrap_or(0);
        match (self, agreed) {
            // It has waited, and its clocks go.
            (Self::K6 { started, .. }, _) => Ok(started.zero_ns),
            (_, None) => Ok(earliest_ns),
            (_, Some(agreed_ns)) => match u64::try_from(earliest_ns - agreed_ns) {
                Ok(late_ns) if late_ns > 0 => Err(EngineError::Late {
                    by: Duration::from_nanos(late_ns),
                }),
                _ => Ok(agreed_ns),
            },
        }
    }

    fn start(
        self,
        shared: &Arc<Shared>,
        events: &SyncSender<EngineEvent>,
        progress: UnboundedSender<Progress>,
    ) -> Result<RunningSender, EngineError> {
        match self {
            Self::Workers {
                ways,
                authorization,
            } => {
                let start = |(index, way)| {
                    let (shared, events) = (shared.clone(), events.clone());
                    let (progress, authorization) = (progress.clone(), authorization.clone());
                    let context = move || Context::new(shared, index, way, authorization, events);
                    spawn(&format!("loadgen-worker-{index}"), move || {
                        worker::run(context, progress)
                    })
                };
                let threads = ways.into_iter().enumerate().map(start);
                Ok(RunningSender::Threads(threads.collect::<Result<_, _>>()?))
            }
            #[cfg(test)]
            Self::Simulated { workers } => {
                let start = |index| {
                    let (notice, progress) = (DeathNotice::new(&progress), progress.clone());
                    let (shared, events) = (shared.clone(), events.clone());
                    let context = Context::new(shared, index, Way::Simulated, None, events);
                    tokio::task::spawn_local(async move {
                        worker::work(context, progress).await;
                        notice.take_back();
                    })
                };
                Ok(RunningSender::Tasks((0..workers).map(start).collect()))
            }
            Self::K6 { started, .. } => {
                if let Some(pid) = started.pid() {
                    let _ = events.send(EngineEvent::Generator(pid));
                }
                let (shared, events) = (shared.clone(), events.clone());
                let follow = k6::follow(*started, shared, events, progress);
                Ok(RunningSender::K6(tokio::spawn(follow)))
            }
        }
    }
}

/// A client for each scenario, or one for all, which then share its connections.
fn clients_of_worker(
    plan: &Plan,
    client: fn() -> reqwest::ClientBuilder,
) -> Result<Vec<reqwest::Client>, reqwest::Error> {
    let clients = match plan.renew_connections {
        true => plan.scenarios.len(),
        false => 1,
    };
    (0..clients.max(1)).map(|_| client().build()).collect()
}

impl RunningSender {
    /// Waits for the end; an error or a panic is the run's.
    async fn join(self) -> Option<EngineError> {
        match self {
            Self::Threads(threads) => join(threads),
            #[cfg(test)]
            Self::Tasks(tasks) => {
                let ended = futures::future::join_all(tasks).await;
                let error = ended.into_iter().find_map(Result::err);
                error.map(|error| EngineError::Worker(error.to_string()))
            }
            Self::K6(task) => match task.await {
                Ok(result) => result.err(),
                Err(error) => Some(EngineError::Worker(error.to_string())),
            },
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, EngineError> {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    thread.map_err(|e| EngineError::Worker(format!("{name} can't start: {e}")))
}

/// Waits for the workers; an error or a panic in one of them is the run's.
fn join(threads: Vec<JoinHandle<std::io::Result<()>>>) -> Option<EngineError> {
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

fn run_started(shared: &Shared, sender: &PreparedSender, shard: Option<RunShard>) -> RunStarted {
    let (engine, engine_version) = match sender {
        PreparedSender::K6 { version, .. } => (Engine::K6, Some(version.clone())),
        _ => (Engine::Rust, None),
    };
    RunStarted {
        schema_version: TIMELINE_SCHEMA_VERSION,
        run_id: shared.run_id.clone(),
        at_ns: shared.start_ns,
        scenario_file: shared.plan.scenario_file.clone(),
        scenario_sha256: shared.plan.scenario_sha256.clone(),
        seed: shared.plan.seed,
        time_scale: shared.plan.time_scale,
        engine,
        engine_version,
        target: shared.base_url.clone(),
        loadgen_version: env!("CARGO_PKG_VERSION").into(),
        shard,
        shards: Vec::new(),
    }
}

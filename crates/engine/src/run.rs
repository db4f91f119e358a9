//! A run from its start to its end: sets up the threads, lets the conductor conduct, and brings
//! everybody home.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::HeaderValue;
use loadgen_fault::Drivers;
use loadgen_scenario::Plan;
use loadgen_timeline::Clock;
use loadgen_timeline::event::{
    Engine, Event as Line, RunFinished, RunStarted, RunStatus, TIMELINE_SCHEMA_VERSION,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::client;
use crate::conductor::{Broken, Conductor};
use crate::context::Progress;
use crate::error::{EngineError, Interrupt};
use crate::event::{Consumer, Event};
use crate::injector::{HASTY, Injector, first_look, must_end};
use crate::k6::{self, K6Options};
use crate::recorder::{self, WAITING_EVENTS, send};
use crate::shared::Shared;
use crate::worker;

/// Time between the start of the run and the first window, so that workers are up by then.
const LEAD: Duration = Duration::from_millis(100);

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
    } = options;
    // Before anything begins, as it takes time.
    let first_look = tokio::select! {
        first_look = first_look(&drivers) => first_look,
        Some(_) = interrupts.recv() => return Err(EngineError::NotBegun),
    };
    let crew = Crew::prepare(sender, &plan, &base_url, &run_id, &mut interrupts).await?;
    let start_ns = match &crew {
        Crew::Workers { .. } => clock.now_ns() + i64::try_from(LEAD.as_nanos()).unwrap_or(0),
        Crew::K6 { started, .. } => started.zero_ns,
    };
    let shared = Arc::new(Shared::new(
        run_id.clone(),
        plan,
        base_url,
        clock,
        start_ns,
        crew.size(),
        crew.is_k6(),
    ));

    let (events, incoming) = sync_channel(WAITING_EVENTS);
    let (failed, failure) = unbounded_channel();
    let recorder = spawn("loadgen-recorder", move || {
        recorder::record(consumers, &incoming, &failed)
    })?;
    send(&events, Line::RunStarted(run_started(&shared, &crew)));

    let (progress, from_workers) = unbounded_channel();
    // Should a thread not start, the sender that is dropped here ends the recorder, and workers
    // that wait for their first window end with the process.
    let working = crew.start(&shared, &events, progress)?;
    let (deadline, _) = watch::channel(None);
    let (fault_queue, faults) = unbounded_channel();
    let injector = Injector::new(
        drivers,
        &shared.run_id,
        clock,
        events.clone(),
        deadline.clone(),
        shared.plan.observed.clone(),
    );
    let injector = tokio::spawn(injector.run(
        first_look,
        start_ns,
        shared.planned_ns(shared.plan.end_ns()),
        faults,
    ));
    let mut conductor = Conductor::new(shared.clone(), events.clone(), fault_queue);
    let broken = conductor
        .conduct(from_workers, &mut interrupts, failure)
        .await;
    let interrupted = conductor.end();

    // Faults are cleared before the run is over, in a hurry where it has to be over at once.
    if broken.is_some() {
        must_end(&deadline, HASTY);
    }
    tokio::pin!(injector);
    loop {
        tokio::select! {
            _ = &mut injector => break,
            Some(Interrupt::AtOnce) = interrupts.recv() => must_end(&deadline, HASTY),
        }
    }
    let error = match broken {
        Some(Broken::AtOnce | Broken::Consumer) => None,
        Some(Broken::Worker) | None => working.join().await,
    };
    let status = match (&error, broken, interrupted) {
        (Some(_), _, _) | (_, Some(Broken::Consumer | Broken::Worker), _) => RunStatus::Failed,
        (None, _, Some(Interrupt::TargetGone)) => RunStatus::Failed,
        (None, _, Some(_)) => RunStatus::Interrupted,
        (None, _, None) => RunStatus::Completed,
    };
    // Workers that were left behind still hold a sender, so the recorder is told the end in words.
    send(
        &events,
        Line::RunFinished(RunFinished {
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

/// Who sends, ready to.
enum Crew {
    Workers {
        /// By worker and scenario.
        clients: Vec<Vec<reqwest::Client>>,
        authorization: Option<HeaderValue>,
    },
    K6 {
        started: Box<k6::Started>,
        version: String,
    },
}

/// Who sends, at it.
enum Working {
    Threads(Vec<JoinHandle<std::io::Result<()>>>),
    K6(tokio::task::JoinHandle<Result<(), EngineError>>),
}

impl Crew {
    async fn prepare(
        sender: Sender,
        plan: &Plan,
        base_url: &str,
        run_id: &str,
        interrupts: &mut UnboundedReceiver<Interrupt>,
    ) -> Result<Self, EngineError> {
        match sender {
            Sender::Workers {
                count,
                authorization,
                client,
            } => {
                let of_worker = |_| clients_of_worker(plan, client);
                let clients = (0..count.max(1)).map(of_worker);
                Ok(Self::Workers {
                    clients: clients.collect::<Result<_, _>>()?,
                    authorization,
                })
            }
            Sender::K6(options) => {
                let started = tokio::select! {
                    started = k6::start(&options, plan, base_url, run_id) => started?,
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
            Self::Workers { clients, .. } => clients.len(),
            Self::K6 { .. } => 1,
        }
    }

    fn is_k6(&self) -> bool {
        matches!(self, Self::K6 { .. })
    }

    fn start(
        self,
        shared: &Arc<Shared>,
        events: &SyncSender<Event>,
        progress: UnboundedSender<Progress>,
    ) -> Result<Working, EngineError> {
        match self {
            Self::Workers {
                clients,
                authorization,
            } => {
                let start = |(index, clients)| {
                    let (shared, events, progress) =
                        (shared.clone(), events.clone(), progress.clone());
                    let authorization = authorization.clone();
                    spawn(&format!("loadgen-worker-{index}"), move || {
                        worker::run(shared, index, clients, authorization, events, progress)
                    })
                };
                let threads = clients.into_iter().enumerate().map(start);
                Ok(Working::Threads(threads.collect::<Result<_, _>>()?))
            }
            Self::K6 { started, .. } => {
                if let Some(pid) = started.pid() {
                    let _ = events.send(Event::Generator(pid));
                }
                let (shared, events) = (shared.clone(), events.clone());
                let follow = k6::follow(*started, shared, events, progress);
                Ok(Working::K6(tokio::spawn(follow)))
            }
        }
    }
}

/// A client for each scenario: clones share their connections.
fn clients_of_worker(
    plan: &Plan,
    client: fn() -> reqwest::ClientBuilder,
) -> Result<Vec<reqwest::Client>, reqwest::Error> {
    let scenarios = plan.scenarios.iter();
    if plan.renew_connections {
        return scenarios.map(|_| client().build()).collect();
    }
    let shared = client().build()?;
    Ok(scenarios.map(|_| shared.clone()).collect())
}

impl Working {
    /// Waits for the end; an error or a panic is the run's.
    async fn join(self) -> Option<EngineError> {
        match self {
            Self::Threads(threads) => join(threads),
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

fn run_started(shared: &Shared, crew: &Crew) -> RunStarted {
    let (engine, engine_version) = match crew {
        Crew::Workers { .. } => (Engine::Rust, None),
        Crew::K6 { version, .. } => (Engine::K6, Some(version.clone())),
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
    }
}

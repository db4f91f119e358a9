//! The load of a run, with its faults: who sends it, who writes it down, and how it ended.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use loadgen_engine::consumers::{
    ClientSpanReport, ClientSpans, LedgerFile, OtlpTarget, SummaryFile, TimelineFile,
};
use loadgen_engine::k6::{K6, K6Options};
use loadgen_engine::{BaseUrl, Consumer, EngineError, EngineEvent, Interrupt, RunOptions, Sender};
use loadgen_fault::Drivers;
use loadgen_otlp::OtlpProtocol;
use loadgen_scenario::{Plan, Shard};
use loadgen_timeline::event::{RunShard, RunStatus};
use loadgen_timeline::summary::Summary;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::ended_before;
use super::prepare::{named_receiver, preflight};
use crate::args::RunArgs;
use crate::display;
use crate::drivers::{self, Asked};
use crate::embedded::Embedded;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::guard::Guard;
use crate::interrupts::Interrupts;
use crate::serve::LivePage;
use crate::shard::Identity;
use crate::{allow, otlp, reach};

/// A run that was brought to an end.
pub(super) struct RunOutcome {
    pub(super) status: RunStatus,
    /// Why the embedded target ended during the run.
    pub(super) broken: Option<String>,
    pub(super) summary: Summary,
    pub(super) client_spans: Option<ClientSpanReport>,
}

/// What is to be run.
#[derive(Clone, Copy)]
pub(super) struct Job<'r> {
    pub(super) args: &'r RunArgs,
    pub(super) plan: &'r Arc<Plan>,
    pub(super) identity: &'r Identity,
    pub(super) folder: &'r RunFolder,
    pub(super) interrupts: &'r Interrupts,
    pub(super) live: Option<&'r LivePage>,
    /// The plan has secrets, which are in no file of the run.
    pub(super) is_private: bool,
}

pub(super) async fn send_load(
    job: Job<'_>,
    k6: Option<K6>,
    base: BaseUrl,
    embedded: Option<&mut Embedded>,
) -> Result<RunOutcome, Failure> {
    let Job {
        args,
        plan,
        identity,
        folder,
        interrupts,
        live,
        is_private,
    } = job;
    if embedded.is_some() {
        reach::check(&base).await?;
        preflight(args, plan, &base, interrupts).await?;
    }
    let run_id = identity.run_id.clone();
    let drivers = start_drivers(job, embedded.as_deref()).await?;
    let (mut consumers, results) = consumers(job, &base.url, embedded.as_deref())?;
    consumers.extend(live.map(LivePage::consumer));
    let drives_faults = identity.drives_faults();
    let ca = args.allowed.ca.as_deref();
    let guard = Guard::start(&folder.timeline(), &run_id, drives_faults, ca)
        .map_err(|e| Failure::new(Exit::Failed, format!("can't start the run's guard: {e}")))?;
    let guard = Arc::new(Mutex::new(Some(guard)));
    consumers.push(Box::new(GuardedProcess(guard.clone())));
    let (interrupt, wishes) = unbounded_channel();
    interrupts.forward(interrupt.clone());
    let options = RunOptions {
        run_id,
        sender: sender(args, folder, k6, &base, is_private),
        base_url: base.url,
        drivers,
        shard: identity.shard.clone(),
        start_at_ns: identity.start_at_ns,
        flags: drivers::flag_readers(plan, &args.allowed.hosts).await?,
    };
    let engine = loadgen_engine::run(plan.clone(), options, consumers, wishes);
    let (status, broken) = ended(engine, embedded, &interrupt).await;
    let guard = guard.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(guard) = guard {
        // A guard that is gone can do no harm.
        let _ = guard.release().await;
    }
    let status = status.map_err(|error| failed(error, folder))?;
    Ok(RunOutcome {
        status,
        broken,
        summary: copy_of(&results.summary),
        client_spans: results.client_spans.as_deref().map(copy_of),
    })
}

/// The drivers of a run's faults. One shard drives these, and undoes what earlier runs have left
/// behind.
async fn start_drivers(job: Job<'_>, embedded: Option<&Embedded>) -> Result<Drivers, Failure> {
    if !job.identity.drives_faults() {
        return Ok(Drivers::default());
    }
    let admin_url = embedded.map(|e| e.admin_url.as_str());
    let admin_url = admin_url.or(job.args.admin_url.as_deref());
    let asked = Asked {
        settings: drivers::settings(job.plan, admin_url),
        has_embedded_shop: embedded.is_some(),
        allowed: &job.args.allowed.hosts,
        run_id: &job.identity.run_id,
        timeline: job.folder.timeline(),
    };
    tokio::select! {
        started = drivers::start(asked) => started,
        () = job.interrupts.nth(1) => Err(ended_before()),
    }
}

/// What a consumer found, as far as it came.
fn copy_of<T: Clone>(shared: &Mutex<T>) -> T {
    shared
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Waits for the engine's end, and why the embedded target ended before it, if it did.
async fn ended(
    engine: impl Future<Output = Result<RunStatus, EngineError>>,
    mut embedded: Option<&mut Embedded>,
    interrupt: &UnboundedSender<Interrupt>,
) -> (Result<RunStatus, EngineError>, Option<String>) {
    tokio::pin!(engine);
    let mut broken = None;
    loop {
        let target_ends = async {
            match (&mut embedded, &broken) {
                (Some(embedded), None) => embedded.broken().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            status = &mut engine => return (status, broken),
            reason = target_ends => {
                broken = Some(reason);
                let _ = interrupt.send(Interrupt::TargetGone);
            }
        }
    }
}

fn failed(error: EngineError, folder: &RunFolder) -> Failure {
    match error {
        EngineError::NotBegun => Failure::new(Exit::Interrupted, error),
        EngineError::Late { .. } => Failure::new(Exit::BadInput, error),
        error => {
            let kept = folder.path().display();
            Failure::new(
                Exit::Failed,
                format!("{error}\nWhat was written is kept in {kept}"),
            )
        }
    }
}

/// Tells the guard of a process that must not outlive the run.
struct GuardedProcess(Arc<Mutex<Option<Guard>>>);

impl Consumer for GuardedProcess {
    fn name(&self) -> &str {
        "the run's guard"
    }

    fn take(&mut self, event: &EngineEvent) -> std::io::Result<()> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (event, guard.as_mut()) {
            (EngineEvent::Generator(pid), Some(guard)) => guard.watch(*pid),
            _ => Ok(()),
        }
    }
}

fn sender(
    args: &RunArgs,
    folder: &RunFolder,
    k6: Option<K6>,
    base: &BaseUrl,
    is_private: bool,
) -> Sender {
    match k6 {
        Some(k6) => Sender::K6(K6Options {
            k6,
            module: folder.k6_module(),
            plan_file: (!is_private).then(|| folder.plan()),
            log: folder.log_of("k6"),
            credentials: base.credentials.clone(),
            certificates: args.allowed.ca.clone(),
        }),
        None => Sender::Workers {
            count: args.workers.into(),
            authorization: base.authorization.clone(),
            client: allow::client,
        },
    }
}

/// Where the figures of consumers can be read after the run.
struct Results {
    summary: Arc<Mutex<Summary>>,
    client_spans: Option<Arc<Mutex<ClientSpanReport>>>,
}

fn consumers(
    job: Job<'_>,
    base_url: &str,
    embedded: Option<&Embedded>,
) -> Result<(Vec<Box<dyn Consumer>>, Results), Failure> {
    let Job {
        args,
        plan,
        identity,
        folder,
        interrupts,
        ..
    } = job;
    let cannot = |what: PathBuf| {
        move |e: std::io::Error| {
            Failure::new(
                Exit::Failed,
                format!("can't create {}: {e}", what.display()),
            )
        }
    };
    let run_id = &identity.run_id;
    let part = identity.shard.as_ref().and_then(RunShard::shard);
    // The timeline comes first: what is true is on the disk before anybody is told.
    let timeline = TimelineFile::create(&folder.timeline()).map_err(cannot(folder.timeline()))?;
    let ledger =
        LedgerFile::create(&folder.ledger(), plan, run_id).map_err(cannot(folder.ledger()))?;
    let summary = SummaryFile::new(&folder.summary(), plan, part.unwrap_or(Shard::WHOLE));
    let mut results = Results {
        summary: summary.handle(),
        client_spans: None,
    };
    let mut consumers: Vec<Box<dyn Consumer>> =
        vec![Box::new(timeline), Box::new(ledger), Box::new(summary)];
    if !args.no_client_spans {
        let target = otlp_target(args, embedded);
        let spans = ClientSpans::start(plan, base_url, run_id, &target).map_err(|e| {
            Failure::new(
                Exit::Failed,
                format!("can't export client spans: {e}; --no-client-spans does without"),
            )
        })?;
        results.client_spans = Some(spans.handle());
        let (hurry, interrupts) = (spans.hurry(), interrupts.clone());
        tokio::spawn(async move {
            interrupts.nth(2).await;
            hurry.store(true, Ordering::Relaxed);
        });
        consumers.push(Box::new(spans));
    }
    if !args.quiet {
        consumers.push(display::progress(plan));
    }
    Ok((consumers, results))
}

fn otlp_target(args: &RunArgs, embedded: Option<&Embedded>) -> OtlpTarget {
    if args.otlp_endpoint.is_none()
        && let Some(embedded) = embedded
    {
        let endpoint = Some(embedded.otlp_endpoint.clone());
        return OtlpTarget {
            endpoint,
            protocol: OtlpProtocol::Grpc,
        };
    }
    let asked = otlp::variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        .or_else(|| otlp::variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let address = named_receiver(args);
    OtlpTarget {
        endpoint: args.otlp_endpoint.clone(),
        protocol: otlp::protocol(args.otlp_protocol, asked.as_deref(), address.as_deref()),
    }
}

//! `loadgen run`, the main job: scenario → plan → target → engine → telemetry → dataset.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loadgen_engine::consumers::{
    ClientSpanReport, ClientSpans, LedgerFile, OtlpTarget, SummaryFile, TimelineFile,
};
use loadgen_engine::k6::{self, K6, K6Options};
use loadgen_engine::{BaseUrl, Consumer, EngineError, EngineEvent, Interrupt, RunOptions, Sender};
use loadgen_extract::follow::Watch;
use loadgen_extract::{ExtractOptions, ExtractReport};
use loadgen_fault::Drivers;
use loadgen_otlp::OtlpProtocol;
use loadgen_scenario::{Plan, Shard, Target, redact};
use loadgen_timeline::audit::DatasetVerdict;
use loadgen_timeline::event::{RunShard, RunStatus};
use loadgen_timeline::summary::Summary;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{doctor, plan, report};
use crate::args::{EngineChoice, RunArgs};
use crate::display::{self, say};
use crate::drivers::{self, Asked};
use crate::embedded::Embedded;
use crate::exit::{Exit, Failure, Outcome};
use crate::folder::RunFolder;
use crate::guard::Guard;
use crate::interrupts::Interrupts;
use crate::serve::LivePage;
use crate::shard::{self, Identity};
use crate::upload::Place;
use crate::{allow, failed_requests, otlp, reach, secrets, tables};

/// What a run leaves behind, for `--json`.
#[derive(Debug, Serialize)]
struct RunResult {
    folder: PathBuf,
    summary: Summary,
    client_spans: Option<ClientSpanReport>,
    dataset: Option<ExtractReport>,
}

pub(super) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let Prepared {
        plan,
        written,
        target,
        store,
        k6,
        listener,
        interrupts,
    } = prepare(&args).await?;
    let identity = tokio::select! {
        agreed = shard::agree(&args, &written) => agreed?,
        () = interrupts.nth(1) => return Err(ended_before()),
    };
    let folder = make_folder(&args, &written)?;
    let is_private = plan != written;
    let plan = Arc::new(shard::part_of(&plan, &identity));
    let live = listener.map(|listener| show_live(listener, &plan, &folder));
    let live = live.transpose()?;
    let mut embedded = None;
    let base = match target {
        Some(base) => base,
        None => {
            note(&args, "starting the embedded collector and shop");
            let started = tokio::select! {
                started = Embedded::start(&folder, args.record_faults) => started?,
                () = interrupts.nth(2) => return Ok(Exit::Interrupted),
            };
            if interrupts.count() > 0 {
                // Stopped in good order, they leave nothing behind.
                started.stop().await?;
                return Ok(Exit::Interrupted);
            }
            BaseUrl::new(&embedded.insert(started).base_url)
        }
    };
    let job = Job {
        args: &args,
        plan: &plan,
        identity: &identity,
        folder: &folder,
        interrupts: &interrupts,
        live: live.as_ref(),
        is_private,
    };
    let ran = send_load(job, k6, base, embedded.as_mut()).await;
    // Whatever came of it, the shop and the collector are stopped, and what they stored is kept.
    let stopped = stop(&args, embedded, &interrupts).await;
    let ran = ran?;
    if !args.json {
        super::print(&tables::summary(&ran.summary, ran.client_spans.as_ref()))?;
    }
    warn(&ran, &stopped);
    let dataset = label(&args, &plan, &folder, &interrupts).await?;
    // Before anything is told: the page is there when its path is printed.
    let page = dataset.as_ref().and_then(|dataset| {
        note(&args, "making the report");
        report::of_extraction(dataset, Some(folder.path()))
    });
    if let Some(live) = live {
        live.end(report::of_folder(folder.path())).await;
    }
    let exit = match (outcome(&ran, dataset.as_ref(), &interrupts).exit(), stopped) {
        (Exit::Success, Err(failure)) => failure.code(),
        (exit, _) => exit,
    };
    if args.json {
        let result = RunResult {
            folder: folder.path().to_owned(),
            summary: ran.summary,
            client_spans: ran.client_spans,
            dataset,
        };
        super::print(&super::json(&result)?)?;
    } else if let Some(report) = &dataset {
        super::print(&tables::dataset(report, folder.path(), page.as_deref()))?;
    } else {
        super::print(&match &identity.shard {
            Some(shard) => merge_command(&args, &folder, shard),
            None => next_command(&folder, has_telemetry(&args, &plan)),
        })?;
    }
    match store.filter(|_| interrupts.count() < 2) {
        Some(store) => upload(&store, &folder, &interrupts, exit).await,
        None => Ok(exit),
    }
}

/// A run that can begin: what it needs was found, and nothing was left behind.
struct Prepared {
    /// With its secrets: what is sent.
    plan: Plan,
    /// Without them: what is written down.
    written: Plan,
    /// A target that is given; none: the demo shop.
    target: Option<BaseUrl>,
    store: Option<Place>,
    k6: Option<K6>,
    /// Of the page that shows the run as it goes.
    listener: Option<TcpListener>,
    interrupts: Interrupts,
}

async fn prepare(args: &RunArgs) -> Result<Prepared, Failure> {
    let mut plan = plan::load(&args.plan)?;
    if args.no_faults {
        plan.scenarios
            .iter_mut()
            .for_each(|scenario| scenario.fault = None);
        plan.drivers.clear();
    }
    otlp::check_endpoint(args.otlp_endpoint.as_deref())?;
    allow::remember(&args.allowed)?;
    if !args.no_client_spans {
        otlp::check_host(receiver(args, &plan).as_deref(), &args.allowed).await?;
    }
    let mut written = redact::plan(&plan);
    plan = secrets::filled(&plan)?;
    let store = match &args.upload {
        Some(url) => Some(Place::open(url).await?),
        None => None,
    };
    shard::check(args, &plan)?;
    let k6 = find_k6(args, &plan)?;
    let listener = listen(args).await?;
    let interrupts = match args.stop_with_stdin {
        true => Interrupts::listen_also_to_stdin(),
        false => Interrupts::listen(),
    };
    let interrupts = interrupts.map_err(|e| Failure::new(Exit::Failed, e))?;
    // A target that is given is looked at before anything is left behind.
    let target = match &plan.target {
        Target::Embedded => None,
        Target::BaseUrl(url) => {
            let base = BaseUrl::new(url);
            look_at(args, &plan, &base, &interrupts).await?;
            Some(base)
        }
    };
    if let Some(base) = &target {
        // Credentials stay out of everything that is written down.
        plan.target = Target::BaseUrl(base.url.clone());
        written.target = plan.target.clone();
    }
    Ok(Prepared {
        plan,
        written,
        target,
        store,
        k6,
        listener,
        interrupts,
    })
}

/// Whether load may go to a target, it is there, its faults can be injected, and it answers as the
/// flows expect.
async fn look_at(
    args: &RunArgs,
    plan: &Plan,
    base: &BaseUrl,
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    allow::check("the target", &base.url, &args.allowed.hosts).await?;
    reach::check(base).await?;
    if args.shared.shard.is_none_or(|shard| shard.index() == 0) {
        let settings = drivers::settings(plan, args.admin_url.as_deref());
        drivers::check(&settings, plan, base)?;
    }
    preflight(args, plan, base, interrupts).await
}

async fn stop(
    args: &RunArgs,
    embedded: Option<Embedded>,
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    let Some(embedded) = embedded else {
        return Ok(());
    };
    note(args, "stopping the embedded shop and collector");
    tokio::select! {
        stopped = embedded.stop() => stopped,
        () = interrupts.nth(2) => Ok(()),
    }
}

fn warn(ran: &RunOutcome, stopped: &Result<(), Failure>) {
    let stopped = stopped.as_ref().err().map(ToString::to_string);
    let problems = ran.broken.iter().chain(&stopped).cloned();
    let faults = ran.summary.fault_failures.iter().map(ToString::to_string);
    for problem in problems
        .chain(faults)
        .chain(failed_requests::warnings(&ran.summary))
    {
        say(format_args!("warning: {problem}"));
    }
}

/// Whether a dataset can be made of the run.
fn has_telemetry(args: &RunArgs, plan: &Plan) -> bool {
    plan.target == Target::Embedded || !args.telemetry.is_empty()
}

/// Makes the dataset; none: it is not wanted, there is no telemetry, or a second signal ended it.
async fn label(
    args: &RunArgs,
    plan: &Plan,
    folder: &RunFolder,
    interrupts: &Interrupts,
) -> Result<Option<ExtractReport>, Failure> {
    if args.no_extract || !has_telemetry(args, plan) || interrupts.count() > 1 {
        return Ok(None);
    }
    note(args, "labelling what the collector stored");
    extract(args, folder, interrupts).await
}

fn outcome(ran: &RunOutcome, dataset: Option<&ExtractReport>, interrupts: &Interrupts) -> Outcome {
    Outcome {
        failed: ran.broken.is_some() || ran.status == RunStatus::Failed,
        usable: dataset.map(|d| d.audit.verdict != DatasetVerdict::NotUsable),
        nothing_succeeded: failed_requests::nothing_succeeded(&ran.summary),
        fault_failed: !ran.summary.fault_failures.is_empty(),
        // A second signal may have ended what comes after the load.
        interrupted: ran.status == RunStatus::Interrupted || interrupts.count() > 1,
    }
}

/// Sends the folder away; `exit` is what the run came to before.
async fn upload(
    store: &Place,
    folder: &RunFolder,
    interrupts: &Interrupts,
    exit: Exit,
) -> Result<Exit, Failure> {
    let sent = super::upload::send(store, folder.path(), || interrupts.count() > 1).await;
    match (exit, sent) {
        (Exit::Success, Err(failure)) => Err(failure),
        (exit, Err(failure)) => {
            say(failure);
            Ok(exit)
        }
        (exit, Ok(_)) => Ok(exit),
    }
}

/// A run that was brought to an end.
struct RunOutcome {
    status: RunStatus,
    /// Why the embedded target ended during the run.
    broken: Option<String>,
    summary: Summary,
    client_spans: Option<ClientSpanReport>,
}

/// What is to be run.
#[derive(Clone, Copy)]
struct Job<'r> {
    args: &'r RunArgs,
    plan: &'r Arc<Plan>,
    identity: &'r Identity,
    folder: &'r RunFolder,
    interrupts: &'r Interrupts,
    live: Option<&'r LivePage>,
    /// The plan has secrets, which are in no file of the run.
    is_private: bool,
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

async fn send_load(
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
    let admin_url = embedded.as_deref().map(|e| e.admin_url.as_str());
    let asked = Asked {
        settings: drivers::settings(plan, admin_url.or(args.admin_url.as_deref())),
        has_embedded_shop: embedded.is_some(),
        allowed: &args.allowed.hosts,
        run_id: &run_id,
        timeline: folder.timeline(),
    };
    // One shard drives the faults of a run, and undoes what earlier runs have left behind.
    let drivers = match identity.drives_faults() {
        true => tokio::select! {
            started = drivers::start(asked) => started?,
            () = interrupts.nth(1) => return Err(ended_before()),
        },
        false => Drivers::default(),
    };
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
    let summary = results
        .summary
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let client_spans = results.client_spans.map(|report| {
        report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    });
    Ok(RunOutcome {
        status,
        broken,
        summary,
        client_spans,
    })
}

/// The port of the live page, where one is asked for; before anything is left behind.
async fn listen(args: &RunArgs) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = args.serve else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|e| {
        let message = format!("--serve: can't listen on {address}: {e}");
        Failure::new(Exit::NotReachable, message)
    })
}

/// Begins to show the run.
fn show_live(listener: TcpListener, plan: &Plan, folder: &RunFolder) -> Result<LivePage, Failure> {
    let page = LivePage::start(listener, plan, folder.path());
    let page = page.map_err(|e| Failure::new(Exit::Failed, format!("--serve: {e}")))?;
    say(format_args!("the run as it goes: {}", page.url));
    if !page.is_loopback {
        say(
            "warning: --serve: whoever reaches this address can look at the run: there is no token",
        );
    }
    Ok(page)
}

/// Looks for k6 where it is wanted, before anything is left behind.
fn find_k6(args: &RunArgs, plan: &Plan) -> Result<Option<K6>, Failure> {
    if args.engine == EngineChoice::Rust {
        return Ok(None);
    }
    if args.workers > 1 {
        return Err(Failure::new(
            Exit::BadInput,
            "--workers is for --engine rust; k6 uses all processors by itself",
        ));
    }
    if let Some(reason) = k6::why_not(plan) {
        return Err(Failure::new(Exit::BadInput, reason));
    }
    K6::find()
        .map(Some)
        .map_err(|e| Failure::new(Exit::NotReachable, e))
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

/// A slow target can make this long; a signal ends it.
async fn preflight(
    args: &RunArgs,
    plan: &Plan,
    base: &BaseUrl,
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    if args.no_preflight {
        return Ok(());
    }
    tokio::select! {
        looked = doctor::preflight(plan, base) => looked,
        () = interrupts.nth(1) => Err(ended_before()),
    }
}

fn ended_before() -> Failure {
    let message = "ended by a signal before the load began";
    Failure::new(Exit::Interrupted, message)
}

/// Where the figures of consumers can be read after the run.
struct Results {
    summary: Arc<Mutex<Summary>>,
    client_spans: Option<Arc<Mutex<ClientSpanReport>>>,
}

/// The run's folder, with the scenario file and the plan in it. `plan` has no secrets.
fn make_folder(args: &RunArgs, plan: &Plan) -> Result<RunFolder, Failure> {
    let cannot = |what: &Path, e: std::io::Error| {
        Failure::new(Exit::Failed, format!("can't write {}: {e}", what.display()))
    };
    let scenario = std::fs::read_to_string(&args.plan.file);
    let scenario = scenario.map_err(|e| cannot(&args.plan.file, e))?;
    let out = args
        .out
        .clone()
        .or_else(|| shard::default_folder(&args.shared));
    let folder = RunFolder::create(out.as_deref(), &args.plan.file)
        .map_err(|e| cannot(out.as_deref().unwrap_or(Path::new("runs")), e))?;
    loadgen_files::write_new(&folder.scenario(), redact::scenario_file(&scenario))
        .map_err(|e| cannot(&folder.scenario(), e))?;
    loadgen_files::write_new(&folder.plan(), super::json(plan)?)
        .map_err(|e| cannot(&folder.plan(), e))?;
    Ok(folder)
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

/// The receiver of client spans that the flag or the environment names.
fn named_receiver(args: &RunArgs) -> Option<String> {
    args.otlp_endpoint
        .clone()
        .or_else(|| otlp::variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| otlp::variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
}

/// The receiver that client spans go to, where it is not the embedded collector.
fn receiver(args: &RunArgs, plan: &Plan) -> Option<String> {
    match plan.target {
        Target::Embedded => args.otlp_endpoint.clone(),
        Target::BaseUrl(_) => named_receiver(args),
    }
}

/// Makes the dataset. None: a second signal has ended it.
async fn extract(
    args: &RunArgs,
    folder: &RunFolder,
    interrupts: &Interrupts,
) -> Result<Option<ExtractReport>, Failure> {
    let existing = |path: PathBuf| Some(path).filter(|p| p.exists()).into_iter().collect();
    let options = ExtractOptions {
        inputs: args.telemetry.clone(),
        traces: existing(folder.traces()),
        metrics: existing(folder.metrics()),
        logs: existing(folder.logs()),
        timeline: Some(folder.timeline()),
        output: folder.dataset(),
        ..ExtractOptions::default()
    };
    // The embedded collector has ended; another one may still hold something back.
    if !args.telemetry.is_empty() {
        tokio::select! {
            flushed = flushed(args, &options) => flushed?,
            () = interrupts.nth(2) => return Ok(None),
        }
    }
    let made = super::extract::make(options, interrupts, 2).await?;
    made.transpose().map_err(super::extract::failure)
}

/// Waits until the telemetry of the run has been flushed to the files, for a while.
async fn flushed(args: &RunArgs, options: &ExtractOptions) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_secs(1);
    note(args, "waiting until the run's telemetry has been flushed");
    let wait = super::extract::wait(Some(args.wait), Duration::ZERO)?;
    let mut watch = Some(Watch::new(options));
    let begin = Instant::now();
    loop {
        let looked = super::extract::look(&mut watch, wait).await?;
        // A timeline that can't be read has no end.
        if looked.is_over() || begin.elapsed() > wait {
            looked.warn(wait);
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// How a dataset can be made of a run that made none.
fn next_command(folder: &RunFolder, has_telemetry: bool) -> String {
    let at = folder.path().display();
    if has_telemetry {
        return format!("\nThe run is in {at}. Next:\n  loadgen extract {at}\n");
    }
    format!(
        "\nThe run is in {at}. The target's telemetry is where its Collector put it, in files or a folder; \
         label it with:\n  loadgen extract {at} <telemetry>\n"
    )
}

/// What comes after a shard's part of a run.
fn merge_command(args: &RunArgs, folder: &RunFolder, shard: &RunShard) -> String {
    let at = folder.path().display();
    let runs = match &args.shared.rendezvous {
        Some(folder) if args.out.is_none() => folder.display().to_string(),
        _ => format!("<the folders of all {} shards>", shard.count),
    };
    format!(
        "\nWhat shard {} of {} did of the run is in {at}. When all are done, make one run of them:\n  \
         loadgen merge {runs} --out <folder>\n",
        shard.index, shard.count
    )
}

fn note(args: &RunArgs, text: &str) {
    if !args.quiet {
        say(text);
    }
}

//! `loadgen run`, the main job: scenario → plan → target → engine → telemetry → dataset.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use loadgen_engine::consumers::{
    ClientSpanReport, ClientSpans, LedgerFile, OtlpProtocol, OtlpTarget, Summary, SummaryFile,
    TimelineFile,
};
use loadgen_engine::{Consumer, Interrupt, RunOptions};
use loadgen_extract::{ExtractOptions, ExtractReport};
use loadgen_fault::Drivers;
use loadgen_fault::shop::ShopDriver;
use loadgen_scenario::{Plan, Target};
use loadgen_timeline::event::RunStatus;
use serde::Serialize;
use tokio::sync::mpsc::unbounded_channel;

use super::plan;
use crate::args::{Protocol, RunArgs};
use crate::display;
use crate::embedded::Embedded;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;
use crate::{reach, tables};

/// What a run leaves behind, for `--json`.
#[derive(Debug, Serialize)]
struct RunResult {
    folder: PathBuf,
    summary: Summary,
    client_spans: Option<ClientSpanReport>,
    dataset: Option<ExtractReport>,
}

pub(super) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let plan = Arc::new(plan::load(&args.plan)?);
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    // A target that is given is looked at before anything is left behind.
    if let Target::BaseUrl(url) = &plan.target {
        reach::check(url).await?;
    }
    let folder = make_folder(&args, &plan)?;
    let mut embedded = match plan.target {
        Target::BaseUrl(_) => None,
        Target::Embedded => {
            note(&args, "starting the embedded collector and shop");
            tokio::select! {
                started = Embedded::start(&folder) => Some(started?),
                () = interrupts.nth(1) => return Ok(Exit::Interrupted),
            }
        }
    };
    let base_url = match (&plan.target, &embedded) {
        (Target::BaseUrl(url), _) => url.trim_end_matches('/').to_owned(),
        (Target::Embedded, Some(embedded)) => {
            reach::check(&embedded.base_url).await?;
            embedded.base_url.clone()
        }
        (Target::Embedded, None) => unreachable!("an embedded target was started above"),
    };

    let drivers = drivers(&args, embedded.as_ref())?;
    for (scenario, fault) in drivers.missing(&plan) {
        eprintln!(
            "warning: {scenario}: `{}` can't be injected, because nothing is known about a driver \
             `{}` for {base_url}; its label will not be backed by a fault (for a shop that \
             `loadgen shop` started, give its --admin-url)",
            fault.fault, fault.driver
        );
    }
    let run_id = format!("{:032x}", rand::random::<u128>());
    let (consumers, results) =
        consumers(&args, &plan, &folder, &base_url, &run_id, embedded.as_ref())?;
    let (interrupt, wishes) = unbounded_channel();
    interrupts.forward(interrupt.clone());
    let options = RunOptions {
        run_id,
        base_url,
        workers: args.workers.into(),
        client: RunOptions::client_defaults,
        drivers,
    };
    let engine = loadgen_engine::run(plan.clone(), options, consumers, wishes);
    tokio::pin!(engine);
    let mut broken = None;
    let status = loop {
        let target_ends = async {
            match (&mut embedded, &broken) {
                (Some(embedded), None) => embedded.broken().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            status = &mut engine => break status,
            reason = target_ends => {
                broken = Some(reason);
                let _ = interrupt.send(Interrupt::Gracefully);
            }
        }
    };
    let stopped = match embedded {
        Some(embedded) => {
            note(&args, "stopping the embedded shop and collector");
            embedded.stop().await
        }
        None => Ok(()),
    };
    let status = status.map_err(|e| Failure::new(Exit::Failed, e))?;
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
    if !args.json {
        super::print(&tables::summary(&summary, client_spans.as_ref()))?;
    }
    if let Some(reason) = broken {
        return Err(Failure::new(Exit::Failed, reason));
    }
    stopped?;

    let has_telemetry = plan.target == Target::Embedded;
    let dataset = if args.no_extract || !has_telemetry {
        None
    } else {
        note(&args, "labelling what the collector stored");
        Some(extract(&folder).await?)
    };
    if args.json {
        let folder = folder.path().to_owned();
        super::print(&super::json(&RunResult {
            folder,
            summary,
            client_spans,
            dataset,
        })?)?;
    } else {
        if let Some(report) = &dataset {
            super::print(&tables::dataset(report))?;
        }
        super::print(&next_command(&folder, dataset.as_ref(), has_telemetry))?;
    }
    match status {
        RunStatus::Completed => Ok(Exit::Success),
        RunStatus::Interrupted => Ok(Exit::Interrupted),
        RunStatus::Failed => Ok(Exit::Failed),
    }
}

/// Where the figures of consumers can be read after the run.
struct Results {
    summary: Arc<Mutex<Summary>>,
    client_spans: Option<Arc<Mutex<ClientSpanReport>>>,
}

fn make_folder(args: &RunArgs, plan: &Plan) -> Result<RunFolder, Failure> {
    let cannot = |what: &Path, e: std::io::Error| {
        Failure::new(Exit::Failed, format!("can't write {}: {e}", what.display()))
    };
    let folder = RunFolder::create(args.out.as_deref(), &args.plan.file)
        .map_err(|e| cannot(args.out.as_deref().unwrap_or(Path::new("runs")), e))?;
    std::fs::copy(&args.plan.file, folder.scenario()).map_err(|e| cannot(&folder.scenario(), e))?;
    std::fs::write(folder.plan(), super::json(plan)?).map_err(|e| cannot(&folder.plan(), e))?;
    Ok(folder)
}

fn drivers(args: &RunArgs, embedded: Option<&Embedded>) -> Result<Drivers, Failure> {
    let admin_url = args
        .admin_url
        .clone()
        .or_else(|| embedded.map(|e| e.admin_url.clone()));
    let Some(admin_url) = admin_url else {
        return Ok(Drivers::default());
    };
    let client = (RunOptions::client_defaults)()
        .build()
        .map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))?;
    Ok(Drivers::default().with(ShopDriver::new(client, admin_url)))
}

fn consumers(
    args: &RunArgs,
    plan: &Plan,
    folder: &RunFolder,
    base_url: &str,
    run_id: &str,
    embedded: Option<&Embedded>,
) -> Result<(Vec<Box<dyn Consumer>>, Results), Failure> {
    let cannot = |what: PathBuf| {
        move |e: std::io::Error| {
            Failure::new(
                Exit::Failed,
                format!("can't create {}: {e}", what.display()),
            )
        }
    };
    // The timeline comes first: what is true is on the disk before anybody is told.
    let timeline = TimelineFile::create(&folder.timeline()).map_err(cannot(folder.timeline()))?;
    let ledger = LedgerFile::create(&folder.ledger(), plan).map_err(cannot(folder.ledger()))?;
    let summary = SummaryFile::new(&folder.summary(), plan);
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
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    let asked = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    let address = args
        .otlp_endpoint
        .clone()
        .or_else(|| variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let has_grpc_port = address.is_some_and(|url| url.trim_end_matches('/').ends_with("4317"));
    let protocol = match (args.otlp_protocol, asked.as_deref()) {
        (Some(Protocol::Grpc), _) | (None, Some("grpc")) => OtlpProtocol::Grpc,
        (None, None) if has_grpc_port => OtlpProtocol::Grpc,
        _ => OtlpProtocol::HttpProtobuf,
    };
    OtlpTarget {
        endpoint: args.otlp_endpoint.clone(),
        protocol,
    }
}

async fn extract(folder: &RunFolder) -> Result<ExtractReport, Failure> {
    let existing = |path: PathBuf| Some(path).filter(|p| p.exists()).into_iter().collect();
    let options = ExtractOptions {
        traces: existing(folder.traces()),
        metrics: existing(folder.metrics()),
        logs: existing(folder.logs()),
        timeline: folder.timeline(),
        output: folder.dataset(),
        stamp: None,
    };
    tokio::task::spawn_blocking(move || loadgen_extract::extract(&options))
        .await
        .map_err(|e| Failure::new(Exit::Failed, format!("the extractor broke down: {e}")))?
        .map_err(super::extract::failure)
}

fn next_command(
    folder: &RunFolder,
    dataset: Option<&ExtractReport>,
    has_telemetry: bool,
) -> String {
    let at = folder.path().display();
    let traces = dataset.and_then(|d| {
        d.files
            .iter()
            .find(|f| f.path.extension().is_some_and(|e| e == "parquet"))
    });
    match traces {
        Some(file) => format!(
            "\nThe run is in {at}. Next, for example:\n  \
             python3 -c \"import pandas as pd; print(pd.read_parquet('{}').groupby('anomaly_type').duration_ms.describe())\"\n",
            file.path.display()
        ),
        None if has_telemetry => format!(
            "\nThe run is in {at}. Next:\n  loadgen extract --traces {} --metrics {} --logs {} --timeline {} --output {}\n",
            folder.traces().display(),
            folder.metrics().display(),
            folder.logs().display(),
            folder.timeline().display(),
            folder.dataset().display(),
        ),
        None => format!(
            "\nThe run is in {at}. The target's telemetry is where its collector put it; label it with:\n  \
             loadgen extract --traces <traces.jsonl> --metrics <metrics.jsonl> --logs <logs.jsonl> --timeline {} --output {}\n",
            folder.timeline().display(),
            folder.dataset().display(),
        ),
    }
}

fn note(args: &RunArgs, text: &str) {
    if !args.quiet {
        eprintln!("{text}");
    }
}

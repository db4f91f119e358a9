//! `loadgen doctor`, the preflight; and its first half, which `loadgen run` does by itself.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loadgen_doctor::diagnose::{Diagnosis, diagnose};
use loadgen_doctor::probe::{self, StepOutcome};
use loadgen_doctor::{Finding, FindingLevel};
use loadgen_engine::BaseUrl;
use loadgen_extract::find::{FoundSpan, find_spans};
use loadgen_fault::Settings;
use loadgen_scenario::{Plan, Target};
use serde::Serialize;

use super::plan;
use crate::allow::{self, Stands};
use crate::args::DoctorArgs;
use crate::display::say;
use crate::drivers::{self, Asked};
use crate::embedded::Embedded;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::shard::new_run_id;
use crate::{reach, secrets, tables};

/// Pause between two looks for the traces.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What the doctor found, for `--json`.
#[derive(Debug, Serialize)]
struct Examination {
    steps: Vec<StepOutcome>,
    /// None: nowhere to look for traces was given.
    traces: Option<Diagnosis>,
    findings: Vec<Finding>,
}

/// Where the target's traces can be found.
enum Traces {
    Files(Vec<PathBuf>),
    Jaeger(String),
    Nowhere,
}

pub(super) async fn doctor(args: DoctorArgs) -> Result<Exit, Failure> {
    let plan = secrets::filled(&plan::load(&args.plan)?)?;
    allow::remember(&args.allowed)?;
    if let Some(url) = &args.jaeger {
        allow::check("Jaeger at", url, Stands::Typed, &args.allowed.hosts).await?;
    }
    drivers::check_admin_url(args.admin_url.as_deref(), &args.allowed.hosts).await?;
    let mut result = match &plan.target {
        Target::BaseUrl(url) => {
            let base = BaseUrl::new(url);
            let stands = Stands::of_flag(args.plan.overrides.base_url.as_ref());
            allow::check("the target", &base.url, stands, &args.allowed.hosts).await?;
            reach::check(&base).await?;
            let traces = match &args.jaeger {
                Some(url) => Traces::Jaeger(url.trim_end_matches('/').to_owned()),
                None if args.traces.is_empty() => Traces::Nowhere,
                None => Traces::Files(args.traces.clone()),
            };
            let mut result = examine(&plan, &base, &traces, args.wait).await?;
            if args.faults {
                let settings = drivers::settings(&plan, args.admin_url.as_deref());
                drivers::check(&settings, &plan, &base)?;
                result
                    .findings
                    .extend(try_faults(&args, &plan, settings, false).await?);
            }
            result
        }
        Target::Embedded => {
            let failed = |e: std::io::Error| {
                Failure::new(Exit::Failed, format!("can't make a temporary folder: {e}"))
            };
            let scratch = tempfile::tempdir().map_err(failed)?;
            let out = scratch.path().join("doctor");
            let folder = RunFolder::create(Some(&out), Path::new("doctor")).map_err(failed)?;
            say("starting the embedded collector and shop");
            let embedded = Embedded::start(&folder, false).await?;
            let base = BaseUrl::new(&embedded.base_url);
            let traces = Traces::Files(vec![folder.traces()]);
            let mut examined = examine(&plan, &base, &traces, args.wait).await;
            if let (Ok(result), true) = (&mut examined, args.faults) {
                let settings = drivers::settings(&plan, Some(&embedded.admin_url));
                result
                    .findings
                    .extend(try_faults(&args, &plan, settings, true).await?);
            }
            embedded.stop().await?;
            examined?
        }
    };
    result
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.level));
    if args.json {
        super::print(&super::json(&result)?)?;
    } else {
        super::print(&tables::doctor(
            &result.steps,
            result.traces.as_ref(),
            &result.findings,
        ))?;
    }
    Ok(match result.findings.iter().map(|f| f.level).max() {
        Some(FindingLevel::Error) => Exit::NotUsable,
        Some(FindingLevel::Warning) => Exit::Warnings,
        _ => Exit::Success,
    })
}

/// Injects each fault of the plan as weakly as it can be told from none, and clears it.
async fn try_faults(
    args: &DoctorArgs,
    plan: &Plan,
    settings: Settings,
    has_embedded_shop: bool,
) -> Result<Vec<Finding>, Failure> {
    let run_id = new_run_id();
    let asked = Asked {
        settings,
        has_embedded_shop,
        allowed: &args.allowed.hosts,
        run_id: &run_id,
        timeline: PathBuf::from("doctor"),
    };
    let drivers = drivers::start(asked).await?;
    let mut tried = Vec::new();
    let mut findings = Vec::new();
    for fault in plan.scenarios.iter().filter_map(|s| s.fault.as_ref()) {
        if fault.sham || tried.contains(&fault.key()) {
            continue;
        }
        tried.push(fault.key());
        let mut weak = fault.clone();
        weak.intensity /= 10.0;
        let name = format!(
            "{} in {}, by `{}`",
            fault.fault, fault.service, fault.driver
        );
        let finding = |id, level, message: String, advice: &str| Finding {
            id,
            level,
            message,
            advice: advice.to_owned(),
        };
        let driver = drivers
            .driver(&weak)
            .map_err(|e| Failure::new(Exit::NotReachable, e))?;
        let injected = driver.inject(&weak, &run_id).await;
        let cleared = driver.clear(&weak).await;
        findings.push(match (injected, cleared) {
            (Ok(confirmation), Ok(_)) => finding(
                "fault-works",
                FindingLevel::Info,
                format!(
                    "{name}: injected, confirmed ({}), and cleared",
                    confirmation.how
                ),
                "Whether requests are hit is for the evidence of a run to say.",
            ),
            (Err(error), Ok(_)) => finding(
                "fault-not-injected",
                FindingLevel::Error,
                format!("{name}: {error}"),
                "The windows of this fault would be labelled `unknown`.",
            ),
            (_, Err(error)) => finding(
                "fault-not-cleared",
                FindingLevel::Error,
                format!("{name}: {error}"),
                "It may still be in force: `loadgen faults list`, `loadgen faults clear`.",
            ),
        });
    }
    Ok(findings)
}

async fn examine(
    plan: &Plan,
    base: &BaseUrl,
    traces: &Traces,
    wait: f64,
) -> Result<Examination, Failure> {
    let client_error = |e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}"));
    let steps = probe::probe(plan, base, true, allow::client())
        .await
        .map_err(client_error)?;
    let mut findings = probe::findings(&steps);
    let diagnosis = match traces {
        Traces::Nowhere => {
            findings.push(Finding {
                id: "traces-not-looked-for",
                level: FindingLevel::Warning,
                message: "nobody has looked whether traces arrive".to_owned(),
                advice: "Say where they are: --traces FILE of the Collector's file exporter, or --jaeger \
                         URL. Without a Collector start `loadgen collect --out telemetry` in a terminal of \
                         its own, let the services send OTLP to its port 4317 or 4318, and give --traces \
                         telemetry/traces.jsonl."
                    .to_owned(),
            });
            None
        }
        _ => {
            let spans = wait_for(traces, &steps, wait).await?;
            let diagnosis = diagnose(&steps, &spans, &expected_services(plan));
            findings.extend(diagnosis.findings.iter().cloned());
            Some(diagnosis)
        }
    };
    Ok(Examination {
        steps,
        traces: diagnosis,
        findings,
    })
}

/// Services that the windows' anomalies have their root cause in.
fn expected_services(plan: &Plan) -> BTreeSet<&str> {
    let anomalies = plan.scenarios.iter();
    let anomalies = anomalies.map(|s| s.declared.as_ref().unwrap_or(&s.anomaly));
    anomalies
        .filter_map(|anomaly| anomaly.root_cause_service.as_deref())
        .collect()
}

/// Looks for the traces until all are there with the parents of all spans, and no more spans come, or
/// the patience is over: each service sends its spans when its own batch is due.
async fn wait_for(
    traces: &Traces,
    steps: &[StepOutcome],
    wait: f64,
) -> Result<Vec<FoundSpan>, Failure> {
    let sent: HashSet<u128> = steps
        .iter()
        .filter(|s| s.status.is_some())
        .map(|s| s.trace_id)
        .collect();
    let began = Instant::now();
    let patience = Duration::try_from_secs_f64(wait).unwrap_or(Duration::from_secs(10));
    let mut before = 0;
    loop {
        let found = match traces {
            Traces::Jaeger(url) => from_jaeger(url, &sent).await?,
            Traces::Files(files) => {
                find_spans(files, &sent).map_err(|e| Failure::new(Exit::BadInput, e))?
            }
            Traces::Nowhere => Vec::new(),
        };
        let arrived: HashSet<u128> = found.iter().map(|span| span.trace_id).collect();
        let is_settled =
            arrived.len() == sent.len() && found.len() == before && are_whole(&found, steps);
        if is_settled || began.elapsed() >= patience {
            return Ok(found);
        }
        before = found.len();
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Whether the parent of each span is there, or is our request.
fn are_whole(found: &[FoundSpan], steps: &[StepOutcome]) -> bool {
    let own = steps.iter().map(|step| (step.trace_id, step.span_id));
    let theirs = found.iter().map(|span| (span.trace_id, span.span_id));
    let known: HashSet<(u128, u64)> = own.chain(theirs).collect();
    let has_parent = |span: &FoundSpan| {
        span.parent_span_id == 0 || known.contains(&(span.trace_id, span.parent_span_id))
    };
    found.iter().all(has_parent)
}

/// Asks Jaeger's query API for each trace.
async fn from_jaeger(url: &str, traces: &HashSet<u128>) -> Result<Vec<FoundSpan>, Failure> {
    let unreachable = |e: &dyn std::fmt::Display| {
        Failure::new(Exit::NotReachable, format!("Jaeger at {url}: {e}"))
    };
    let client = allow::client().build().map_err(|e| unreachable(&e))?;
    let scratch = tempfile::NamedTempFile::new().map_err(|e| unreachable(&e))?;
    let mut found = Vec::new();
    for trace in traces {
        let answer = client
            .get(format!("{url}/api/traces/{trace:032x}"))
            .timeout(Duration::from_secs(5))
            .send();
        let answer = answer.await.map_err(|e| unreachable(&e))?;
        // A trace that is not there yet is 404.
        if !answer.status().is_success() {
            continue;
        }
        let body = answer.bytes().await.map_err(|e| unreachable(&e))?;
        std::fs::write(scratch.path(), &body).map_err(|e| unreachable(&e))?;
        let file = [scratch.path().to_path_buf()];
        found.extend(find_spans(&file, traces).map_err(|e| unreachable(&e))?);
    }
    Ok(found)
}

/// The first half alone: does the target answer as the flows expect? Traces of it are not recorded.
pub(super) async fn preflight(plan: &Plan, base: &BaseUrl) -> Result<(), Failure> {
    let steps = probe::probe(plan, base, false, allow::client())
        .await
        .map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))?;
    let findings = probe::findings(&steps);
    if findings.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = findings
        .iter()
        .map(|f| format!("  {}: {}\n    {}", f.id, f.message, f.advice))
        .collect();
    Err(Failure::new(
        Exit::NotUsable,
        format!(
            "the target does not answer as the flows expect; no load was sent:\n{}\n`loadgen doctor` says more; --no-preflight runs all the same.",
            list.join("\n")
        ),
    ))
}

//! Sends each flow once and sees whether the target answers as the flow expects.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::header::{AUTHORIZATION, HeaderValue};
use loadgen_engine::headers::{scenario_headers, traceparent};
use loadgen_engine::{BaseUrl, Cookies, Outgoing, exchange};
use loadgen_scenario::plan::{PlannedScenario, WeightedFlow};
use loadgen_scenario::{Iteration, Plan, Prng, Step, StepRequest};
use loadgen_timeline::Failure;
use serde::Serialize;

use crate::{Finding, FindingLevel};

/// The anomaly type that probes carry: no scenario's, so that it can't be mistaken.
pub const MARKER: &str = "loadgen_doctor";

/// How one step went.
#[derive(Debug, Clone, Serialize)]
pub struct StepOutcome {
    /// Its flow.
    pub flow: String,
    /// Its name.
    pub step: String,
    /// HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// Status of the answer; none: there was none.
    pub status: Option<u16>,
    /// Media type of the answer.
    pub content_type: String,
    /// Time until the answer was complete, in milliseconds.
    pub milliseconds: f64,
    /// What is wrong; empty: nothing.
    pub problem: String,
    /// Which kind of problem it is.
    #[serde(skip)]
    pub kind: Option<ProblemKind>,
    /// The trace's id; 0: nothing was sent.
    #[serde(skip)]
    pub trace_id: u128,
    /// Id of the span that stands for the request.
    #[serde(skip)]
    pub span_id: u64,
    /// When it was sent, in Unix nanoseconds.
    #[serde(skip)]
    pub sent_ns: i64,
    /// When the answer was complete, in Unix nanoseconds.
    #[serde(skip)]
    pub finished_ns: i64,
}

/// Kinds of problems of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The service, or what stands before it, says that it is out of order: 5xx.
    ServerError,
    /// A page where JSON was meant.
    Html,
    /// A status that the step does not expect.
    Status,
    /// A media type that the step does not expect.
    ContentType,
    /// The answer lacks what the step captures, or an earlier one did.
    Capture,
    /// No answer.
    NoAnswer,
}

/// Sends the steps of every flow that a scenario uses, one after the other, without their pauses.
///
/// `sampled`: whether the target is asked to record the traces. Steps that are taken by chance are
/// taken. `client`: the HTTP client's settings, from
/// [`RunOptions::client_defaults`](loadgen_engine::RunOptions::client_defaults).
///
/// # Errors
///
/// The HTTP client can't be set up.
pub async fn probe(
    plan: &Plan,
    base: &BaseUrl,
    sampled: bool,
    client: reqwest::ClientBuilder,
) -> Result<Vec<StepOutcome>, reqwest::Error> {
    // A target that never answers should not hold the preflight for the timeout of each step.
    let client = client.connect_timeout(Duration::from_secs(5)).build()?;
    let certain = without_chance(plan);
    let mut outcomes = Vec::new();
    for flow in 0..certain.flows.len() {
        let Some(scenario) = marked_scenario(&certain, flow) else {
            continue;
        };
        let mut headers = scenario_headers(&scenario.anomaly, None);
        if let Some(authorization) = &base.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        // A number that no run reaches: users and carts of the run are not touched.
        let number = u64::from(rand::random::<u32>()) + (1 << 32);
        let prng = Prng::new(certain.seed, "loadgen doctor");
        let mut iteration = Iteration::new(&certain, &scenario, prng, number);
        let mut cookies = Cookies::default();
        for step in 0..iteration.step_count() {
            let flow = &certain.flows[flow].name;
            let mut outcome = StepOutcome::unsent(flow, iteration.step(step));
            match iteration.request(step) {
                StepRequest::Skip => continue,
                StepRequest::Missing { variable } => {
                    outcome.problem =
                        format!("not sent: an earlier answer did not hold `{variable}`");
                    outcome.kind = Some(ProblemKind::Capture);
                }
                StepRequest::Send(request) => {
                    outcome.path = request.path.to_string();
                    let out = Outgoing {
                        plan: &certain,
                        base_url: &base.url,
                        headers: &headers,
                        traceparent: HeaderValue::from_static(""),
                        step: iteration.step(step),
                        request,
                    };
                    let body = send(&client, &mut cookies, out, sampled, &mut outcome).await;
                    if outcome.kind.is_none()
                        && let Err(error) = iteration.capture(step, &body)
                    {
                        outcome.problem = error.to_string();
                        outcome.kind = Some(ProblemKind::Capture);
                    }
                }
            }
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// The plan with every step taken.
fn without_chance(plan: &Plan) -> Plan {
    let mut certain = plan.clone();
    for step in certain.flows.iter_mut().flat_map(|flow| &mut flow.steps) {
        step.probability = None;
        step.rounds.retain(|round| round.round > 0);
    }
    certain
}

/// The first scenario that uses a flow, with that flow alone and with the marker for its label.
fn marked_scenario(plan: &Plan, flow: usize) -> Option<PlannedScenario> {
    let uses = |s: &&PlannedScenario| s.exec.iter().any(|f| f.flow == flow);
    let mut scenario = plan.scenarios.iter().find(uses)?.clone();
    scenario.exec = vec![WeightedFlow { flow, weight: 1 }];
    scenario.anomaly.kind = MARKER.to_owned();
    scenario.anomaly.label = MARKER.to_owned();
    scenario.anomaly.root_cause = "none".to_owned();
    scenario.anomaly.msg = "Preflight".to_owned();
    Some(scenario)
}

impl StepOutcome {
    /// Of a step that has not been sent.
    fn unsent(flow: &str, step: &Step) -> Self {
        Self {
            flow: flow.to_owned(),
            step: step.name.clone(),
            method: step.method.clone(),
            path: String::new(),
            status: None,
            content_type: String::new(),
            milliseconds: 0.0,
            problem: String::new(),
            kind: None,
            trace_id: 0,
            span_id: 0,
            sent_ns: 0,
            finished_ns: 0,
        }
    }
}

async fn send(
    client: &reqwest::Client,
    cookies: &mut Cookies,
    mut out: Outgoing<'_>,
    sampled: bool,
    outcome: &mut StepOutcome,
) -> Vec<u8> {
    let (trace_id, span_id) = (rand::random::<u128>() | 1, rand::random::<u64>() | 1);
    out.traceparent = traceparent(&trace_id.to_be_bytes(), &span_id.to_be_bytes());
    if !sampled {
        // The flags are the last two digits.
        let text = out.traceparent.to_str().unwrap_or_default();
        let ids = text.strip_suffix("01").unwrap_or(text);
        if let Ok(value) = HeaderValue::from_str(&format!("{ids}00")) {
            out.traceparent = value;
        }
    }
    (outcome.trace_id, outcome.span_id) = (trace_id, span_id);
    let began = Instant::now();
    outcome.sent_ns = unix_ns();
    let step = out.step;
    let answered = exchange(client, cookies, out).await;
    outcome.finished_ns = outcome.sent_ns + began.elapsed().as_nanos() as i64;
    outcome.milliseconds = began.elapsed().as_secs_f64() * 1000.0;
    outcome.status = answered.status;
    let content_type = answered.content_type.as_ref().map(HeaderValue::as_bytes);
    outcome.content_type = String::from_utf8_lossy(content_type.unwrap_or_default()).into_owned();
    match (answered.status, answered.failure) {
        (Some(status), _) => check(step, status, outcome),
        (None, None) => {}
        (None, Some(failure)) => {
            outcome.problem = no_answer(failure, answered.error.as_ref());
            outcome.kind = Some(ProblemKind::NoAnswer);
        }
    }
    answered.body
}

/// Why there is no answer, for people.
fn no_answer(failure: Failure, error: Option<&reqwest::Error>) -> String {
    match (failure, error) {
        (Failure::Request, _) => "can't be sent as the step asks".to_owned(),
        (Failure::Timeout, _) => "no answer within the step's timeout".to_owned(),
        (_, None) => "more than ten redirects, one after the other".to_owned(),
        (_, Some(error)) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            cause.to_string()
        }
    }
}

fn check(step: &Step, status: u16, outcome: &mut StepOutcome) {
    let media_type = outcome.content_type.as_str();
    let expects_json = step
        .expect
        .content_type
        .as_deref()
        .is_some_and(|t| t.contains("json"))
        || !step.captures.is_empty();
    let is_html = media_type.starts_with("text/html");
    let (kind, problem) = if status >= 500 && !step.expect.matches_status(status) {
        let page = if is_html { ", with a page" } else { "" };
        (
            ProblemKind::ServerError,
            format!("status {status}{page}: the service behind it is down or fails"),
        )
    } else if expects_json && is_html {
        (
            ProblemKind::Html,
            format!("static HTML where JSON was meant (status {status})"),
        )
    } else if !step.expect.matches_status(status) {
        (
            ProblemKind::Status,
            format!("status {status}, which the step does not expect"),
        )
    } else if !step.expect.matches_content_type(media_type) {
        (
            ProblemKind::ContentType,
            format!("{media_type:?}, which the step does not expect"),
        )
    } else {
        return;
    };
    outcome.kind = Some(kind);
    outcome.problem = problem;
}

fn unix_ns() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_nanos() as i64
}

/// What the answers say about the target.
pub fn findings(outcomes: &[StepOutcome]) -> Vec<Finding> {
    let advice = |kind: ProblemKind| match kind {
        ProblemKind::ServerError => (
            "server-error",
            "A service behind the edge does not run, can't be reached, or fails: see its log, and that of the edge. \
             nginx answers 502 for a service that is away, 504 for one that does not answer.",
        ),
        ProblemKind::Html => (
            "html-instead-of-json",
            "The edge answers with a page for paths that it does not know (nginx: `try_files $uri /index.html`). Compare the step's path with \
             the edge's routes (nginx: `location /api/… { proxy_pass http://…; }`).",
        ),
        ProblemKind::Status => (
            "unexpected-status",
            "Compare path, body and `expect` of these steps with what the target offers; its log says why it refuses.",
        ),
        ProblemKind::ContentType => (
            "unexpected-content-type",
            "The answer is of another kind than the step's `expect.content_type`: is it this service that answers?",
        ),
        ProblemKind::Capture => (
            "capture-failed",
            "Compare the JSON Pointer of the capture with the answer. Later steps that need the value are not sent.",
        ),
        ProblemKind::NoAnswer => (
            "no-answer",
            "Look whether the service behind this path runs, and whether the step's timeout is long enough.",
        ),
    };
    let kinds = [
        ProblemKind::ServerError,
        ProblemKind::Html,
        ProblemKind::Status,
        ProblemKind::ContentType,
        ProblemKind::NoAnswer,
        ProblemKind::Capture,
    ];
    kinds
        .into_iter()
        .filter_map(|kind| {
            let of: Vec<String> = outcomes
                .iter()
                .filter(|o| o.kind == Some(kind))
                .map(|o| {
                    format!(
                        "{}/{} ({} {}): {}",
                        o.flow, o.step, o.method, o.path, o.problem
                    )
                })
                .collect();
            let (id, advice) = advice(kind);
            (!of.is_empty()).then(|| Finding {
                id,
                level: FindingLevel::Error,
                message: of.join("; "),
                advice: advice.to_owned(),
            })
        })
        .collect()
}

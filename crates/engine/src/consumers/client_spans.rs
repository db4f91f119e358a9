//! The generator's own client spans, exported by OTLP, so that each trace has a root even when
//! the target's edge exports nothing.
//!
//! Spans are made from the records after the fact, by a task of its own that hands them to the
//! OpenTelemetry exporter in batches.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen_otlp::OtlpProtocol;
use loadgen_scenario::plan::Part;
use loadgen_scenario::{Flow, Plan, Step};
use loadgen_timeline::{Failure, RequestRecord};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use reqwest::Url;
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use crate::event::{Consumer, EngineEvent};

/// Spans in one export call; some 0.5 MB, well below the usual limit of 4 MB a message.
const SPANS_A_CALL: usize = 1000;

/// Batches that may wait for the exporter: a minute of hand-overs of one worker.
const WAITING_BATCHES: usize = 256;

/// At the end, how often is looked whether the last spans are taken.
const LOOK: Duration = Duration::from_millis(100);

/// So many looks without progress, 10 s, and the rest is lost.
const LOOKS_WITHOUT_PROGRESS: u32 = 100;

/// Where client spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpTarget {
    /// Address; none: what the `OTEL_EXPORTER_OTLP_*` variables or their defaults say.
    pub endpoint: Option<String>,
    /// Transport.
    pub protocol: OtlpProtocol,
}

/// What became of the client spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClientSpanReport {
    /// Spans that the receiver took.
    pub exported: u64,
    /// Spans that are lost.
    pub lost: u64,
    /// Why the last of them are.
    pub last_error: Option<String>,
}

/// Exports a client span for each request.
#[derive(Debug)]
pub struct ClientSpans {
    batches: Option<Sender<Vec<RequestRecord>>>,
    ended: std::sync::mpsc::Receiver<()>,
    /// Spans asked for so far.
    asked: u64,
    report: Arc<Mutex<ClientSpanReport>>,
    hurry: Arc<AtomicBool>,
}

/// Makes spans of records. What spans have in common they share.
#[derive(Debug)]
struct Spans {
    flows: Vec<Vec<StepNames>>,
    scenarios: Vec<StringValue>,
    flow_names: Vec<StringValue>,
    base_url: String,
    server: Vec<KeyValue>,
    scope: InstrumentationScope,
}

/// What all spans of a step have in common.
#[derive(Debug)]
struct StepNames {
    span: String,
    step: StringValue,
    method: StringValue,
    template: StringValue,
}

impl ClientSpans {
    /// Sets up the exporter and starts its task on the current tokio runtime.
    pub fn start(
        plan: &Plan,
        base_url: &str,
        run_id: &str,
        target: &OtlpTarget,
    ) -> Result<Self, ExporterBuildError> {
        let mut exporter = exporter(target)?;
        exporter.set_resource(
            &Resource::builder()
                .with_service_name("loadgen")
                .with_attributes([
                    KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                    KeyValue::new("service.instance.id", run_id.to_owned()),
                    KeyValue::new("loadgen.run_id", run_id.to_owned()),
                ])
                .build(),
        );
        let (batches, incoming) = channel(WAITING_BATCHES);
        let (end, ended) = std::sync::mpsc::channel();
        let report = Arc::new(Mutex::new(ClientSpanReport::default()));
        let spans = Spans::new(plan, base_url);
        tokio::spawn(export(exporter, spans, incoming, report.clone(), end));
        Ok(Self {
            batches: Some(batches),
            ended,
            asked: 0,
            report,
            hurry: Arc::default(),
        })
    }

    /// Once this is true the end does not wait for the receiver any more: what it has not taken by
    /// then is lost.
    pub fn hurry(&self) -> Arc<AtomicBool> {
        self.hurry.clone()
    }

    /// Where the counts can be read after the run.
    pub fn handle(&self) -> Arc<Mutex<ClientSpanReport>> {
        self.report.clone()
    }
}

impl Spans {
    fn new(plan: &Plan, base_url: &str) -> Self {
        Self {
            flows: plan.flows.iter().map(step_names).collect(),
            scenarios: plan.scenarios.iter().map(|s| shared(&s.name)).collect(),
            flow_names: plan.flows.iter().map(|f| shared(&f.name)).collect(),
            base_url: base_url.to_owned(),
            server: server(base_url),
            scope: InstrumentationScope::builder("loadgen")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }

    fn of(&self, records: &[RequestRecord]) -> Vec<SpanData> {
        records.iter().map(|record| self.span(record)).collect()
    }

    fn span(&self, record: &RequestRecord) -> SpanData {
        let names = &self.flows[usize::from(record.flow)][usize::from(record.step)];
        let mut attributes = Vec::with_capacity(12);
        attributes.push(KeyValue::new("http.request.method", names.method.clone()));
        attributes.push(KeyValue::new(
            "url.full",
            format!("{}{}", self.base_url, record.path),
        ));
        attributes.push(KeyValue::new("url.template", names.template.clone()));
        attributes.extend(self.server.iter().cloned());
        if let Some(status) = record.status {
            attributes.push(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
        }
        if let Some(error) = error_type(record) {
            attributes.push(KeyValue::new("error.type", error));
        }
        let scenario = self.scenarios[usize::from(record.scenario)].clone();
        attributes.push(KeyValue::new("loadgen.scenario", scenario));
        let flow = self.flow_names[usize::from(record.flow)].clone();
        attributes.push(KeyValue::new("loadgen.flow", flow));
        attributes.push(KeyValue::new("loadgen.step", names.step.clone()));
        let iteration = i64::try_from(record.iteration).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new("loadgen.iteration", iteration));
        SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(record.trace_id),
                SpanId::from_bytes(record.span_id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: names.span.clone().into(),
            start_time: time(record.sent_ns),
            end_time: time(record.finished_ns),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: status(record),
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl Consumer for ClientSpans {
    fn name(&self) -> &str {
        "client spans"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        let EngineEvent::Requests(records) = event else {
            return Ok(());
        };
        let Some(batches) = &self.batches else {
            return Ok(());
        };
        self.asked += records.len() as u64;
        for chunk in records.chunks(SPANS_A_CALL) {
            let why = match batches.try_send(chunk.to_vec()) {
                Ok(()) => continue,
                Err(TrySendError::Full(_)) => "the OTLP receiver is slower than the load",
                Err(TrySendError::Closed(_)) => "the exporter broke down",
            };
            lose(&self.report, chunk.len(), why);
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.batches = None;
        // Waits as long as there is progress, and nobody is in a hurry.
        let (mut exported, mut looks) = (None, 0);
        while self.ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            let hurried = self.hurry.load(Ordering::Relaxed);
            looks += 1;
            if !hurried && looks < LOOKS_WITHOUT_PROGRESS {
                continue;
            }
            let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
            if hurried || exported == Some(report.exported) || report.exported == 0 {
                report.lost = self.asked.saturating_sub(report.exported);
                report.last_error.get_or_insert_with(|| match hurried {
                    true => "a signal ended the wait for the OTLP receiver".into(),
                    false => {
                        "the OTLP receiver took nothing for 10 s; is it the right port for the \
                              protocol (usually 4317 for grpc, 4318 for http/protobuf)?"
                            .into()
                    }
                });
                break;
            }
            (exported, looks) = (Some(report.exported), 0);
        }
        Ok(())
    }
}

fn lose(report: &Mutex<ClientSpanReport>, spans: usize, why: &str) {
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    report.lost += spans as u64;
    report.last_error = Some(why.to_owned());
}

async fn export(
    exporter: SpanExporter,
    spans: Spans,
    mut incoming: Receiver<Vec<RequestRecord>>,
    report: Arc<Mutex<ClientSpanReport>>,
    end: std::sync::mpsc::Sender<()>,
) {
    while let Some(batch) = incoming.recv().await {
        let count = batch.len() as u64;
        let mut result = exporter.export(spans.of(&batch)).await;
        // A receiver that is restarted or busy for a moment costs nothing. After a timeout it is
        // not known whether it took the spans, and twice would be wrong, too.
        if matches!(result, Err(OTelSdkError::InternalFailure(_))) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            result = exporter.export(spans.of(&batch)).await;
        }
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => report.exported += count,
            Err(error) => {
                report.lost += count;
                report.last_error = Some(error.to_string());
            }
        }
    }
    let _ = exporter.shutdown();
    let _ = end.send(());
}

fn exporter(target: &OtlpTarget) -> Result<SpanExporter, ExporterBuildError> {
    match target.protocol {
        OtlpProtocol::Grpc => {
            let builder = SpanExporter::builder().with_tonic();
            match &target.endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint).build(),
                None => builder.build(),
            }
        }
        OtlpProtocol::HttpProtobuf => {
            let builder = SpanExporter::builder().with_http();
            match &target.endpoint {
                // An endpoint in code is taken as it is, one in the environment gets the path.
                Some(endpoint) => {
                    let endpoint = endpoint.trim_end_matches('/');
                    builder
                        .with_endpoint(format!("{endpoint}/v1/traces"))
                        .build()
                }
                None => builder.build(),
            }
        }
    }
}

/// A text that spans share.
fn shared(text: &str) -> StringValue {
    Arc::<str>::from(text).into()
}

fn step_names(flow: &Flow) -> Vec<StepNames> {
    let names = |step: &Step| {
        let template = template(flow, step);
        StepNames {
            // HTTP client span name: method and `url.template` (semantic conventions for HTTP).
            span: format!("{} {template}", step.method),
            step: shared(&step.name),
            method: shared(&step.method),
            template: shared(&template),
        }
    };
    flow.steps.iter().map(names).collect()
}

/// The path with the names of its variables, `/product/{sku}`, without the query.
fn template(flow: &Flow, step: &Step) -> String {
    let mut out = String::new();
    for part in &step.path.0 {
        match part {
            Part::Text(text) => out.push_str(text),
            // Not in a path.
            Part::Secret(_) => {}
            Part::Var(var) => {
                let name = flow.variables.get(var.slot).map_or("", String::as_str);
                out.extend(["{", name, "}"]);
            }
        }
    }
    out.split('?').next().unwrap_or_default().to_owned()
}

fn server(base_url: &str) -> Vec<KeyValue> {
    let Ok(url) = Url::parse(base_url) else {
        return Vec::new();
    };
    let host = url
        .host_str()
        .map(|host| KeyValue::new("server.address", shared(host)));
    let port = url.port_or_known_default();
    host.into_iter()
        .chain(port.map(|p| KeyValue::new("server.port", i64::from(p))))
        .collect()
}

/// `error.type` of the semantic conventions: the status where that is the error, else the kind.
fn error_type(record: &RequestRecord) -> Option<StringValue> {
    match (record.failure?, record.status) {
        (Failure::Status, Some(status)) => Some(status.to_string().into()),
        (failure, _) => Some(failure.name().into()),
    }
}

/// Client spans are in error for 4xx and 5xx (semantic conventions for HTTP) and without a whole
/// answer.
fn status(record: &RequestRecord) -> Status {
    match (record.failure, record.status) {
        (_, Some(400..)) => Status::error(""),
        (Some(failure), None) => Status::error(failure.name()),
        (Some(failure @ (Failure::Timeout | Failure::Io | Failure::Interrupted)), _) => {
            Status::error(failure.name())
        }
        _ => Status::Unset,
    }
}

fn time(unix_ns: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(unix_ns).unwrap_or(0))
}

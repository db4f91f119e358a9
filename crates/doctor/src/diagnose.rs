//! What became of the marked traces: pure, over the spans that were found.

use std::collections::{BTreeMap, BTreeSet};

use loadgen_extract::find::{FoundSpan, SentSpan, clock_offsets};
use serde::Serialize;

use crate::probe::{MARKER, StepOutcome};
use crate::{Finding, FindingLevel};

/// A clock that is certainly so far off is worth a warning, in nanoseconds.
const SKEW_WARNING_NS: i64 = 100_000_000;

const KIND_SERVER: i32 = 2;

/// What is known of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservedService {
    /// Its spans in the marked traces.
    pub spans: u64,
    /// Attributes on them that hold the marker: captured headers.
    pub captured: BTreeSet<String>,
    /// Whether the marker came by baggage.
    pub baggage: bool,
    /// How far its clock is ahead of ours, in nanoseconds; none: that can't be told.
    pub ahead_ns: Option<i64>,
    /// The truth is at most so far from that, in nanoseconds.
    pub bound_ns: Option<i64>,
}

/// What the traces say.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diagnosis {
    /// Requests that were sent.
    pub sent: usize,
    /// Of these, those of which a span arrived.
    pub arrived: usize,
    /// Of these, those whose first span has ours for its parent. It is the edge's where all of them
    /// begin at one service.
    pub with_edge: usize,
    /// Where traces begin: services whose spans have ours for their parent, with the traces.
    pub begins_at: BTreeMap<String, usize>,
    /// Services on the longest way through them.
    pub most_services: usize,
    /// By service.
    pub services: BTreeMap<String, ObservedService>,
    /// What to fix.
    pub findings: Vec<Finding>,
}

/// Looks at the spans of the traces that were sent. `expected`: services that faults are to be in.
pub fn diagnose(
    outcomes: &[StepOutcome],
    spans: &[FoundSpan],
    expected: &BTreeSet<&str>,
) -> Diagnosis {
    let sent: Vec<SentSpan> = outcomes
        .iter()
        .filter(|o| o.trace_id != 0 && o.status.is_some())
        .map(|o| SentSpan {
            trace_id: o.trace_id,
            span_id: o.span_id,
            sent_ns: o.sent_ns,
            finished_ns: o.finished_ns,
        })
        .collect();
    let mut traces = Traces::new();
    for span in spans {
        traces.entry(span.trace_id).or_default().push(span);
    }
    let mut diagnosis = Diagnosis::default();
    let orphans = diagnosis.follow(&sent, &traces);
    for span in spans {
        let service = diagnosis.services.entry(span.service.clone()).or_default();
        service.add(span);
    }
    for (name, (ahead_ns, bound_ns)) in clock_offsets(spans, &sent) {
        if let Some(service) = diagnosis.services.get_mut(&name) {
            (service.ahead_ns, service.bound_ns) = (Some(ahead_ns), Some(bound_ns));
        }
    }
    diagnosis.findings = findings(&diagnosis, spans, &orphans);
    if diagnosis.arrived > 0 {
        let silent = silent_steps(outcomes, &traces);
        diagnosis.findings.extend(silent);
        diagnosis
            .findings
            .extend(silent_services(&diagnosis, expected));
    }
    diagnosis
}

/// The spans that were found, by trace.
type Traces<'s> = BTreeMap<u128, Vec<&'s FoundSpan>>;

impl Diagnosis {
    /// Takes in how far the traces of the requests that were sent came. Gives the services at which
    /// traces begin with a parent that nobody exported, with the number of these traces.
    fn follow<'s>(&mut self, sent: &[SentSpan], traces: &Traces<'s>) -> BTreeMap<&'s str, u64> {
        self.sent = sent.len();
        let mut orphans: BTreeMap<&str, u64> = BTreeMap::new();
        for request in sent {
            let Some(of_trace) = traces.get(&request.trace_id) else {
                continue;
            };
            self.arrived += 1;
            let services: BTreeSet<&str> = of_trace.iter().map(|s| s.service.as_str()).collect();
            self.most_services = self.most_services.max(services.len());
            let entry = of_trace
                .iter()
                .find(|s| s.parent_span_id == request.span_id);
            if let Some(entry) = entry {
                self.with_edge += 1;
                *self.begins_at.entry(entry.service.clone()).or_default() += 1;
            } else if let Some(first) = of_trace.iter().min_by_key(|s| (s.start_ns, s.span_id)) {
                *orphans.entry(&first.service).or_default() += 1;
            }
        }
        orphans
    }
}

impl ObservedService {
    /// Takes in one of its spans: where the marker is on it.
    fn add(&mut self, span: &FoundSpan) {
        self.spans += 1;
        let attributes = span.attributes.as_object().into_iter().flatten();
        let marked: Vec<&String> = attributes
            .filter(|(_, value)| value.to_string().contains(MARKER))
            .map(|(key, _)| key)
            .collect();
        let is_header = |key: &&&String| key.starts_with("http.request.header.x");
        let captured: Vec<String> = marked
            .iter()
            .filter(is_header)
            .map(|key| key.to_string())
            .collect();
        // Where a header was captured, `anomaly.*` may be a Collector's mapping of it.
        let copied = marked
            .iter()
            .any(|key| key.contains("anomaly.") && captured.is_empty());
        self.baggage |= copied || marked.iter().any(|key| key.starts_with("baggage."));
        self.captured.extend(captured);
    }
}

/// Steps of which no span arrived.
fn silent_steps(outcomes: &[StepOutcome], traces: &Traces<'_>) -> Option<Finding> {
    let is_silent = |o: &&StepOutcome| {
        o.trace_id != 0 && o.status.is_some() && !traces.contains_key(&o.trace_id)
    };
    let silent = outcomes.iter().filter(is_silent);
    let mut names: Vec<String> = silent
        .map(|o| format!("{}/{} ({} {})", o.flow, o.step, o.method, o.path))
        .collect();
    names.dedup();
    let sent = outcomes
        .iter()
        .filter(|o| o.trace_id != 0 && o.status.is_some());
    (!names.is_empty()).then(|| Finding {
        id: "lost-traces",
        level: FindingLevel::Warning,
        message: format!(
            "of {} of {} traces no span arrived: {}",
            names.len(),
            sent.count(),
            names.join(", ")
        ),
        advice: "The service that answers these steps exports nothing, or a sampler leaves them out \
                 (OTEL_TRACES_SAMPLER=parentbased_always_on), or the edge answers them by itself. Wait longer \
                 (--wait) if a Collector holds them back."
            .to_owned(),
    })
}

/// Services that faults are to be in, and that no span names.
fn silent_services(found: &Diagnosis, expected: &BTreeSet<&str>) -> Option<Finding> {
    let missing = expected
        .iter()
        .filter(|name| !found.services.contains_key(**name));
    let missing: Vec<&str> = missing.copied().collect();
    let known: Vec<&str> = found.services.keys().map(String::as_str).collect();
    (!missing.is_empty()).then(|| Finding {
        id: "silent-service",
        level: FindingLevel::Error,
        message: format!(
            "no span names {}, where the file's anomalies have their root cause; spans name {}",
            missing.join(", "),
            known.join(", ")
        ),
        advice: "Compare `root_cause_service` with OTEL_SERVICE_NAME of the service. If the names are right, the \
                 service exports nothing (OTEL_EXPORTER_OTLP_ENDPOINT), or no step reaches it."
            .to_owned(),
    })
}

fn finding(id: &'static str, level: FindingLevel, message: String, advice: &str) -> Finding {
    Finding {
        id,
        level,
        message,
        advice: advice.to_owned(),
    }
}

fn findings(found: &Diagnosis, spans: &[FoundSpan], orphans: &BTreeMap<&str, u64>) -> Vec<Finding> {
    if found.sent > 0 && found.arrived == 0 {
        return vec![no_traces(found)];
    }
    let mut findings = Vec::new();
    findings.extend(lost_roots(orphans));
    findings.extend(edge_without_spans(found));
    if found.arrived > 0 {
        findings.extend(one_service(found));
        findings.extend(lost_headers(found));
        findings.extend(no_baggage(found));
    }
    findings.extend(skewed_clocks(found));
    if found.arrived > 0 && !spans.iter().any(|s| s.kind == KIND_SERVER) {
        findings.push(finding(
            "no-server-spans",
            FindingLevel::Warning,
            "no span is of kind server".to_owned(),
            "The services' HTTP servers are not instrumented.",
        ));
    }
    findings
}

fn no_traces(found: &Diagnosis) -> Finding {
    finding(
        "no-traces",
        FindingLevel::Error,
        format!("none of {} traces arrived", found.sent),
        "Either the target does not take our trace context (traceparent) over, or its spans do not get to where they were looked for. Look \
             at OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_TRACES_EXPORTER of the services, the Collector's pipeline, and whether the edge passes traceparent \
             on (nginx: `proxy_set_header traceparent $http_traceparent;`).",
    )
}

/// Traces that begin with a parent that nobody exported.
fn lost_roots(orphans: &BTreeMap<&str, u64>) -> Option<Finding> {
    let lost: u64 = orphans.values().sum();
    let names: Vec<&str> = orphans.keys().copied().collect();
    (lost > 0).then(|| {
        finding(
            "root-lost",
            FindingLevel::Warning,
            format!(
                "{lost} traces begin at {} with a parent that nobody exported",
                names.join(", ")
            ),
            "The edge takes part in the trace but its spans are missing: its exporter does not reach the Collector. nginx's \
             ngx_otel_module speaks OTLP/gRPC only: `otel_exporter { endpoint collector:4317; }`, `otel_trace on; otel_trace_context propagate;`. If the edge should not \
             trace, let it pass traceparent on unchanged.",
        )
    })
}

/// Traces that begin at several services: the edge has no spans of its own.
fn edge_without_spans(found: &Diagnosis) -> Option<Finding> {
    let names: Vec<&str> = found.begins_at.keys().map(String::as_str).collect();
    (names.len() > 1).then(|| {
        finding(
            "edge-without-spans",
            FindingLevel::Info,
            format!("traces begin at {}", names.join(", ")),
            "The edge passes the trace context on and exports no span of its own. Nothing is lost by that: loadgen's own client spans are the \
             roots.",
        )
    })
}

fn one_service(found: &Diagnosis) -> Option<Finding> {
    (found.most_services < 2).then(|| {
        finding(
            "one-service",
            FindingLevel::Warning,
            "no trace has more than one service".to_owned(),
            "Services do not pass the trace context on, or only one of them is instrumented: OTEL_PROPAGATORS=tracecontext,baggage in each.",
        )
    })
}

fn lost_headers(found: &Diagnosis) -> Option<Finding> {
    let any_header = found.services.values().any(|s| !s.captured.is_empty());
    (!any_header).then(|| {
        finding(
            "headers-lost",
            FindingLevel::Warning,
            "no service captured the x-anomaly headers".to_owned(),
            "Labels do not need them, but nothing can be cross-checked. Either the edge drops them (nginx: `proxy_set_header x-anomaly-type $http_x_anomaly_type;` and likewise for \
             label, root-cause and msg; headers with underscores are dropped unless `underscores_in_headers on;`), or no service captures them: Java \
             OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS=x-anomaly-type,x-anomaly-label,x-anomaly-root-cause,x-anomaly-msg; Python \
             OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST=\"x-anomaly-.*\"; Node `headersToSpanAttributes.server.requestHeaders` of instrumentation-http, in code.",
        )
    })
}

fn no_baggage(found: &Diagnosis) -> Option<Finding> {
    let any_baggage = found.services.values().any(|s| s.baggage);
    (!any_baggage).then(|| {
        finding(
            "no-baggage",
            FindingLevel::Info,
            "no span shows the baggage".to_owned(),
            "Baggage is passed on by most SDKs but only shows with a span processor: Node `@opentelemetry/baggage-span-processor`, Python \
             `opentelemetry-processor-baggage`, Java OTEL_JAVA_EXPERIMENTAL_SPAN_ATTRIBUTES_COPY_FROM_BAGGAGE_INCLUDE=anomaly.type.",
        )
    })
}

/// Clocks that are certainly off by more than [`SKEW_WARNING_NS`].
fn skewed_clocks(found: &Diagnosis) -> impl Iterator<Item = Finding> {
    found.services.iter().filter_map(|(name, service)| {
        let (ahead, bound) = (service.ahead_ns?, service.bound_ns?);
        (ahead.saturating_abs() - bound > SKEW_WARNING_NS).then(|| {
            finding(
                "clock-skew",
                FindingLevel::Warning,
                format!(
                    "the clock of {name} is {:+.3} s off, ± {:.3} s",
                    ahead as f64 / 1e9,
                    bound as f64 / 1e9
                ),
                "Let NTP (chrony) run on its host; extract with --correct-skew.",
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(trace_id: u128) -> StepOutcome {
        StepOutcome {
            flow: "f".into(),
            step: "s".into(),
            method: "GET".into(),
            path: "/".into(),
            status: Some(200),
            content_type: "application/json".into(),
            milliseconds: 1.0,
            problem: String::new(),
            kind: None,
            trace_id,
            span_id: 7,
            sent_ns: 1_000_000_000,
            finished_ns: 1_100_000_000,
        }
    }

    fn span(trace_id: u128, span_id: u64, parent_span_id: u64, service: &str) -> FoundSpan {
        FoundSpan {
            trace_id,
            span_id,
            parent_span_id,
            service: service.into(),
            kind: KIND_SERVER,
            start_ns: 1_010_000_000,
            end_ns: 1_090_000_000,
            attributes: json!({"http.request.header.x-anomaly-type": [MARKER], "baggage.anomaly.type": MARKER}),
        }
    }

    fn ids(diagnosis: &Diagnosis) -> Vec<&'static str> {
        diagnosis.findings.iter().map(|f| f.id).collect()
    }

    #[test]
    fn a_healthy_target_has_nothing_to_fix() {
        let found = diagnose(
            &[outcome(1)],
            &[span(1, 8, 7, "web"), span(1, 9, 8, "cart")],
            &["cart"].into(),
        );
        assert_eq!(ids(&found), [""; 0]);
        assert_eq!((found.with_edge, found.most_services), (1, 2));
        let web = &found.services["web"];
        assert!(web.baggage && web.captured.len() == 1);
        assert!(
            web.ahead_ns
                .is_some_and(|ns| ns.abs() <= web.bound_ns.unwrap_or(0))
        );
    }

    #[test]
    fn each_fault_is_named_for_what_it_is() {
        let none = BTreeSet::new();
        assert_eq!(ids(&diagnose(&[outcome(1)], &[], &none)), ["no-traces"]);
        let lost = diagnose(
            &[outcome(1)],
            &[span(1, 9, 8, "cart"), span(1, 10, 9, "user")],
            &none,
        );
        assert_eq!(ids(&lost), ["root-lost"]);
        assert!(lost.findings[0].message.contains("cart"));
        let mut bare = [span(1, 8, 7, "web"), span(1, 9, 8, "cart")];
        bare.iter_mut().for_each(|s| s.attributes = json!({}));
        assert_eq!(
            ids(&diagnose(&[outcome(1)], &bare, &none)),
            ["headers-lost", "no-baggage"]
        );
        assert_eq!(
            ids(&diagnose(
                &[outcome(1), outcome(2)],
                &[span(1, 8, 7, "web")],
                &["web", "payment"].into()
            )),
            ["one-service", "lost-traces", "silent-service"]
        );
        let mut skewed = [span(1, 8, 7, "web"), span(1, 9, 8, "cart")];
        skewed[0].start_ns += 3_000_000_000;
        skewed[0].end_ns += 3_000_000_000;
        assert_eq!(
            ids(&diagnose(&[outcome(1)], &skewed, &none)),
            ["clock-skew"]
        );
        // Behind an edge that exports nothing but passes the context on.
        let behind = [
            span(1, 8, 7, "cart"),
            span(1, 9, 8, "user"),
            span(2, 8, 7, "user"),
        ];
        let found = diagnose(&[outcome(1), outcome(2)], &behind, &none);
        assert_eq!(ids(&found), ["edge-without-spans"]);
        assert_eq!(found.findings[0].message, "traces begin at cart, user");
    }
}

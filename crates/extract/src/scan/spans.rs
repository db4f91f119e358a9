//! Spans of a message as records.

use super::records::SpanBuilder;
use crate::telemetry::attribute::{AnyValue, Pick, Picked};
use crate::telemetry::evidence::{Evidence, EvidenceAttributes};
use crate::telemetry::http::HttpAttributes;
use crate::telemetry::resource::ResourceAttributes;
use crate::telemetry::scalar::{Text, TraceId};
use crate::telemetry::trace::{ResourceSpans, Span};

/// What is read of the attributes of a span.
#[derive(Debug, Default)]
pub(super) struct SpanAttributes<'a> {
    http: HttpAttributes<'a>,
    evidence: EvidenceAttributes<'a>,
    run_id: Option<Text<'a>>,
}

/// Keys under which a span says which run it belongs to: set by loadgen itself, or copied from
/// baggage by a service.
const RUN_ID: [&str; 2] = ["loadgen.run_id", "baggage.loadgen.run_id"];

/// Name that the generator's own spans have for their service.
pub(crate) const GENERATOR_SERVICE: &str = "loadgen";

impl<'de: 'a, 'a> Pick<'de> for SpanAttributes<'a> {
    fn wants(key: &str) -> bool {
        HttpAttributes::wants(key) || EvidenceAttributes::wants(key) || RUN_ID.contains(&key)
    }

    fn take(&mut self, key: &str, value: AnyValue<'de>) {
        if RUN_ID.contains(&key) {
            self.run_id = self.run_id.take().or(value.into_text());
        } else if EvidenceAttributes::wants(key) {
            self.evidence.take(key, value);
        } else {
            self.http.take(key, value);
        }
    }
}

/// The spans of a message.
pub(super) type Message<'a> = Vec<ResourceSpans<'a, Picked<SpanAttributes<'a>>>>;

impl SpanBuilder {
    /// Takes a span. `place` is its own among all, for one without a trace id.
    pub(super) fn span(
        &mut self,
        resource: &ResourceAttributes<'_>,
        span: &Span<'_, Picked<SpanAttributes<'_>>>,
        [high, low]: [u64; 2],
    ) {
        let SpanAttributes {
            http,
            evidence,
            run_id,
        } = &span.attributes.0;
        let kind = span.kind.0;
        let byte = |number: i32| u8::try_from(number).unwrap_or(0);
        self.trace_high.append_value(high);
        self.trace_low.append_value(low);
        self.alone.append_value(span.trace_id == TraceId(0));
        self.span_id.append_value(span.span_id.0);
        self.parent_span_id.append_value(span.parent_span_id.0);
        self.start_ns.append_option(span.start_time_unix_nano.get());
        self.end_ns.append_option(span.end_time_unix_nano.get());
        self.name.append_value(&*span.name);
        self.kind.append_value(byte(kind));
        self.status.append_value(byte(span.status.code.0));
        self.linked.append_value(!span.links.is_empty());
        self.service_name.append_value(resource.service_name());
        let instance = resource.service_instance_id.as_deref();
        self.service_instance_id.append_option(instance);
        let others = [&resource.k8s_pod_name, &resource.host_name];
        let other = others.into_iter().flatten().next().map(|text| &**text);
        self.instance.append_option(instance.or(other));
        self.http_method.append_option(http.method());
        self.http_status_code.append_option(http.status_code());
        self.http_target.append_option(http.target().as_deref());
        self.server_address.append_option(http.server_address(kind));
        self.server_port.append_option(http.server_port(kind));
        self.client_address.append_option(http.client_address(kind));
        self.network_protocol_version
            .append_option(http.protocol_version());
        let said = Evidence::of(evidence);
        let text = |of: fn(&Evidence) -> &String| {
            said.as_ref().map(of).filter(|text| !text.is_empty())
        };
        self.header_type.append_option(text(|e| &e.anomaly_type));
        self.header_root_cause
            .append_option(text(|e| &e.root_cause));
        self.header_msg.append_option(text(|e| &e.msg));
        self.header_default
            .append_value(said.as_ref().is_some_and(|e| e.is_default));
        // Before runs had names in baggage, the generator's own spans had them as their instance.
        let generator = instance.filter(|_| resource.service_name() == GENERATOR_SERVICE);
        let run_id = run_id.as_deref().or(resource.run_id.as_deref());
        self.run_id.append_option(run_id.or(generator));
    }
}

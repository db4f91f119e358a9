//! Spans as records.

use loadgen_otlp::view::{Span, TraceId};

use super::headers::HeaderAttributes;
use super::http::HttpAttributes;
use super::peer::PeerAttributes;
use super::records::SpanBuilder;
use super::resource::ResourceAttributes;

/// Name that the generator's own spans have for their service.
pub(crate) const GENERATOR_SERVICE: &str = "loadgen";

impl SpanBuilder {
    /// Takes a span. `high` and `low` are its trace id, or its place where it has none.
    pub(super) fn span(
        &mut self,
        resource: &ResourceAttributes,
        span: &Span<'_>,
        [high, low]: [u64; 2],
    ) {
        let mut http = HttpAttributes::default();
        let mut headers = HeaderAttributes::default();
        let mut peer = PeerAttributes::default();
        for pair in &span.attributes {
            http.take(&pair.key, &pair.value);
            headers.take(&pair.key, &pair.value);
            peer.take(&pair.key, &pair.value);
        }
        let kind = span.kind;
        let byte = |number: i32| u8::try_from(number).unwrap_or(0);
        self.trace_high.append_value(high);
        self.trace_low.append_value(low);
        self.alone.append_value(span.trace_id == TraceId(0));
        self.span_id.append_value(span.span_id.0);
        self.parent_span_id.append_value(span.parent_span_id.0);
        self.start_ns.append_option(span.start_time_unix_nano.get());
        self.end_ns.append_option(span.end_time_unix_nano.get());
        self.name.append_value(&*span.name);
        self.kind.append_value(byte(kind.0));
        self.status.append_value(byte(span.status.code.0));
        self.linked.append_value(!span.links.is_empty());
        self.service_name.append_value(resource.service_name());
        let instance = resource.service_instance_id.as_deref();
        self.service_instance_id.append_option(instance);
        let others = [&resource.k8s_pod_name, &resource.host_name];
        let other = others.into_iter().flatten().next().map(String::as_str);
        self.instance.append_option(instance.or(other));
        self.http_method.append_option(http.method());
        self.http_status_code.append_option(http.status_code());
        self.http_target.append_option(http.target().as_deref());
        self.server_address.append_option(http.server_address(kind));
        self.server_port.append_option(http.server_port(kind));
        self.client_address.append_option(http.client_address(kind));
        self.network_protocol_version
            .append_option(http.protocol_version());
        self.db_system.append_option(peer.db_system());
        self.messaging_system.append_option(peer.messaging_system());
        self.rpc_system.append_option(peer.rpc_system());
        self.peer_service.append_option(peer.service());
        let header = headers.header();
        self.header_type
            .append_option(header.as_ref().map(|header| header.anomaly_type));
        self.header_root_cause
            .append_option(header.as_ref().and_then(|header| header.root_cause));
        self.header_msg
            .append_option(header.as_ref().and_then(|header| header.msg));
        self.header_default
            .append_value(header.is_some_and(|header| header.is_default));
        // Before runs had names in baggage, the generator's own spans had them as their instance.
        let generator = instance.filter(|_| resource.service_name() == GENERATOR_SERVICE);
        let run_id = headers.run_id().or(resource.run_id.as_deref());
        self.run_id.append_option(run_id.or(generator));
    }
}

//! Spans as records.

use loadgen_otlp::view::{Span, TraceId};

use super::headers::HeaderAttributes;
use super::http::HttpAttributes;
use super::packed::Packed;
use super::peer::PeerAttributes;
use super::records::SpanRow;
use super::resource::ResourceAttributes;

/// Name that the generator's own spans have for their service.
pub(crate) const GENERATOR_SERVICE: &str = "loadgen";

/// Adds a span, of which `http` has been found. `high` and `low` are its trace id, or its place where
/// it has none; `hash` is what it is dealt by.
pub(super) fn pack(
    rows: &mut Packed,
    resource: &ResourceAttributes,
    span: &Span<'_>,
    http: &HttpAttributes<'_>,
    [high, low]: [u64; 2],
    hash: u64,
) {
    let mut headers = HeaderAttributes::default();
    let mut peer = PeerAttributes::default();
    for pair in &span.attributes {
        headers.take(&pair.key, &pair.value);
        peer.take(&pair.key, &pair.value);
    }
    let kind = span.kind;
    let byte = |number: i32| u8::try_from(number).unwrap_or(0);
    let instance = resource.service_instance_id.as_deref();
    let others = [&resource.k8s_pod_name, &resource.host_name];
    let other = others.into_iter().flatten().next().map(String::as_str);
    let target = http.target();
    let header = headers.header();
    // Before runs had names in baggage, the generator's own spans had them as their instance.
    let generator = instance.filter(|_| resource.service_name() == GENERATOR_SERVICE);
    let run_id = headers.run_id().or(resource.run_id.as_deref());
    let row = SpanRow {
        trace_high: Some(high),
        trace_low: Some(low),
        alone: Some(span.trace_id == TraceId(0)),
        span_id: Some(span.span_id.0),
        parent_span_id: Some(span.parent_span_id.0),
        start_ns: span.start_time_unix_nano.get(),
        end_ns: span.end_time_unix_nano.get(),
        name: Some(&span.name),
        kind: Some(byte(kind.0)),
        status: Some(byte(span.status.code.0)),
        linked: Some(!span.links.is_empty()),
        service_name: Some(resource.service_name()),
        service_instance_id: instance,
        pod_or_host: other.filter(|_| instance.is_none()),
        http_method: http.method(),
        http_status_code: http.status_code(),
        http_target: target.as_deref(),
        server_address: http.server_address(kind),
        server_port: http.server_port(kind),
        client_address: http.client_address(kind),
        network_protocol_version: http.protocol_version(),
        db_system: peer.db_system(),
        messaging_system: peer.messaging_system(),
        rpc_system: peer.rpc_system(),
        peer_service: peer.service(),
        header_type: header.as_ref().map(|header| header.anomaly_type),
        header_root_cause: header.as_ref().and_then(|header| header.root_cause),
        header_msg: header.as_ref().and_then(|header| header.msg),
        header_default: Some(header.as_ref().is_some_and(|header| header.is_default)),
        run_id: run_id.or(generator),
    };
    row.pack(hash, rows);
}

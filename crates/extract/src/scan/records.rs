//! What is kept of each span, log record, data point and request. Times are Unix nanoseconds, null
//! where they are not known; ids are 0 where there is none.

use super::batch::{packed_batch, text};

packed_batch! {
    /// Spans.
    SpanBatch, SpanBuilder, SpanRow {
        /// High half of the trace id; of a span without one, with `alone`, its place.
        trace_high: U64,
        /// Low half.
        trace_low: U64,
        /// It has no trace id and is a trace of its own.
        alone: Bool,
        span_id: U64,
        parent_span_id: U64,
        start_ns: I64,
        end_ns: I64,
        name: Text,
        kind: U8,
        status: U8,
        /// It has a link to another span.
        linked: Bool,
        service_name: Text,
        service_instance_id: Text,
        /// Its pod or host, whichever its resource names first, where it names no instance.
        pod_or_host: Text,
        http_method: Text,
        http_status_code: I32,
        http_target: Text,
        server_address: Text,
        server_port: I32,
        client_address: Text,
        network_protocol_version: Text,
        /// Kind of the database that a call goes to.
        db_system: Text,
        /// Kind of the broker that a message goes to, or comes from.
        messaging_system: Text,
        /// Kind of remote procedure call.
        rpc_system: Text,
        /// Name of the service that a call goes to, as the caller knows it.
        peer_service: Text,
        /// What a header, or what stands for it, says of the anomaly's type.
        header_type: Text,
        header_root_cause: Text,
        header_msg: Text,
        /// Nothing but a default of the kind that Collectors fill in.
        header_default: Bool,
        /// The run that it belongs to, where it says so.
        run_id: Text,
    }
}

impl SpanBatch {
    /// A span's instance, pod or host, whichever its resource names first.
    pub(crate) fn instance(&self, row: usize) -> Option<&str> {
        let instance = text(&self.service_instance_id, row);
        instance.or_else(|| text(&self.pod_or_host, row))
    }
}

packed_batch! {
    /// Log records.
    LogBatch, LogBuilder, LogRow {
        trace_high: U64,
        trace_low: U64,
        span_id: U64,
        time_ns: I64,
        observed_ns: I64,
        severity_number: I32,
        severity_text: Text,
        service_name: Text,
        body: Text,
        event_name: Text,
        scope_name: Text,
        attributes: Text,
        service_instance_id: Text,
        host_name: Text,
        container_name: Text,
        k8s_pod_name: Text,
    }
}

packed_batch! {
    /// Data points.
    PointBatch, PointBuilder, PointRow {
        /// Hash of all that makes up its series.
        series: U64,
        time_ns: I64,
        start_ns: I64,
        /// What its value means for the time that it speaks of.
        meaning: U8,
        /// Value of a sum, count of a histogram or a summary; null: none was recorded.
        total: F64,
        service_name: Text,
        metric_name: Text,
        metric_type: Text,
        unit: Text,
        int_value: I64,
        double_value: F64,
        count: I64,
        sum: F64,
        min: F64,
        max: F64,
        buckets: Text,
        temporality: Text,
        monotonic: Bool,
        attributes: Text,
        scope_name: Text,
        service_instance_id: Text,
        host_name: Text,
        container_name: Text,
        k8s_pod_name: Text,
    }
}

packed_batch! {
    /// Requests of the ledger.
    RequestBatch, RequestBuilder, RequestRow {
        trace_high: U64,
        trace_low: U64,
        span_id: U64,
        sent_ns: I64,
        finished_ns: I64,
        scenario: Text,
        iteration: U64,
        step: Text,
        /// It was handed to the network.
        sent: Bool,
        /// Another run sent it: all that counts of it is that its trace is not this run's.
        of_other_run: Bool,
    }
}

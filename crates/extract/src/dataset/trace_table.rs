//! One row a trace.

use super::csv_row::CsvRows;
use super::span_row::OfSpan;
use crate::join::trace::TraceFacts;
use crate::telemetry::scalar::TraceId;

/// Columns of the file of traces, in this order.
pub(crate) const COLUMNS: [&str; 23] = [
    "trace_id",
    "timestamp",
    "start_time_ns",
    "duration_ns",
    "root_service",
    "root_span_name",
    "has_root",
    "services",
    "service_count",
    "depth",
    "spans",
    "error_spans",
    "orphan_spans",
    "duplicate_spans",
    "anomaly_type",
    "anomaly_label",
    "anomaly_root_cause",
    "anomaly_msg",
    "scenario",
    "root_cause_service",
    "label_source",
    "phase",
    "touches_root_cause",
];

/// Writes a trace. `services` are names, sorted, each once.
pub(crate) fn write_csv(
    rows: &mut CsvRows,
    facts: &TraceFacts,
    services: &[&str],
    root_service: &str,
    root_name: &str,
    of: &OfSpan<'_>,
) {
    let root = &facts.root;
    let id = if root.alone == 1 {
        0
    } else {
        u128::from(root.trace[0]) << 64 | u128::from(root.trace[1])
    };
    let start = (root.start != 0).then_some(root.start);
    rows.trace_id(TraceId(id));
    rows.timestamp(start);
    rows.opt_integer(start);
    rows.opt_integer(start.map(|_| facts.duration));
    rows.text(root_service);
    rows.text(root_name);
    rows.boolean(facts.has_root);
    rows.text(&services.join(";"));
    rows.integer(services.len());
    rows.integer(facts.depth);
    rows.integer(facts.spans);
    rows.integer(facts.errors);
    rows.integer(facts.orphans.len());
    rows.integer(facts.duplicates);
    rows.anomaly(of.label);
    rows.provenance(of.label, of.source);
    rows.phase(of.phase);
    rows.opt_boolean(
        of.label
            .root_cause_service
            .as_ref()
            .map(|_| of.touches_root_cause),
    );
    rows.end();
}

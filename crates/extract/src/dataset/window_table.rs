//! One row a window of the timeline: the labels of the system as a whole.

use loadgen_timeline::{Timeline, WindowEnd};

use super::csv_row::CsvRows;
use crate::figures::WindowFigures;
use crate::join::label::Label;

/// Columns of the file of windows, in this order.
pub(crate) const COLUMNS: [&str; 26] = [
    "window",
    "scenario",
    "anomaly_type",
    "anomaly_label",
    "anomaly_root_cause",
    "anomaly_msg",
    "root_cause_service",
    "planned_start_ns",
    "planned_end_ns",
    "opened_ns",
    "closed_ns",
    "end",
    "guard_ns",
    "drained_ns",
    "fault",
    "fault_service",
    "fault_intensity",
    "fault_requested_ns",
    "fault_injected_ns",
    "fault_clear_requested_ns",
    "fault_cleared_ns",
    "recovered_ns",
    "requests",
    "lost_traces",
    "traces",
    "spans",
];

/// Writes a window, with the last fault that its scenario injected.
pub(crate) fn write_csv(
    rows: &mut CsvRows,
    timeline: &Timeline,
    index: usize,
    label: &Label,
    figures: &WindowFigures,
) {
    let window = &timeline.windows[index];
    let of = |f: &&loadgen_timeline::read::FaultInterval| f.injected.scenario == window.scenario;
    let fault = timeline.faults.iter().rev().find(of);
    let injected = fault.map(|f| &f.injected);
    let cleared = fault.and_then(|f| f.cleared.as_ref());
    rows.integer(index);
    rows.text(&window.scenario);
    rows.anomaly(label);
    rows.opt_text(label.root_cause_service.as_deref());
    rows.integer(window.planned_start_ns);
    rows.integer(window.planned_end_ns);
    rows.integer(window.opened_ns);
    rows.integer(window.closed_ns);
    rows.text(match window.end {
        WindowEnd::Closed => "closed",
        WindowEnd::LastEvent => "last_event",
    });
    rows.integer(window.guard_ns);
    rows.opt_integer(window.drained_ns);
    rows.opt_text(injected.map(|f| f.fault.as_str()));
    rows.opt_text(injected.map(|f| f.service.as_str()));
    rows.opt_double(injected.map(|f| f.intensity));
    rows.opt_integer(injected.map(|f| f.requested_ns));
    rows.opt_integer(injected.map(|f| f.at_ns));
    rows.opt_integer(cleared.map(|f| f.requested_ns));
    rows.opt_integer(cleared.map(|f| f.at_ns));
    rows.opt_integer(figures.recovered_ns);
    rows.integer(figures.requests);
    rows.integer(figures.lost_traces);
    rows.integer(figures.traces);
    rows.integer(figures.spans);
    rows.end();
}

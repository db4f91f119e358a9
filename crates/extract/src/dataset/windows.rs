//! The table of windows: the labels of the system as a whole, and what the evidence says of them.

use loadgen_timeline::audit::WindowFigures;
use loadgen_timeline::{FaultInterval, Window, WindowEnd};

use super::table::{Column, Kind, NEVER, Table, Value};

/// Every window of the timeline.
#[derive(Debug)]
pub(crate) struct Windows;

/// One window.
#[derive(Debug)]
pub(crate) struct WindowRow<'a> {
    pub(crate) number: usize,
    pub(crate) window: &'a Window,
    /// The last fault that its scenario injected.
    pub(crate) fault: Option<&'a FaultInterval>,
    pub(crate) figures: &'a WindowFigures,
}

impl Table for Windows {
    type Row<'a> = WindowRow<'a>;

    const NAME: &'static str = "windows";

    fn columns() -> Vec<Column<Self>> {
        let new = Column::<Self>::new;
        let no_fault = "no fault of it is on the timeline";
        let no_effect = "nothing was compared";
        vec![
            new(
                "window",
                Kind::Int64,
                "number, in the order of opening",
                NEVER,
                |r| Value::count(r.number),
            ),
            new("scenario", Kind::Text, "the scenario", NEVER, |r| {
                Value::text(&r.window.scenario)
            }),
            new(
                "anomaly_type",
                Kind::Text,
                "what it is labelled with",
                NEVER,
                |r| Value::text(&r.window.anomaly.kind),
            ),
            new(
                "anomaly_label",
                Kind::Text,
                "`normal` or `anomalous`",
                NEVER,
                |r| Value::text(&r.window.anomaly.label),
            ),
            new(
                "anomaly_root_cause",
                Kind::Text,
                "`none` or the root cause",
                NEVER,
                |r| Value::text(&r.window.anomaly.root_cause),
            ),
            new(
                "anomaly_msg",
                Kind::Text,
                "a sentence for people",
                NEVER,
                |r| Value::text(&r.window.anomaly.msg),
            ),
            new(
                "root_cause_service",
                Kind::Text,
                "the service that the fault is in",
                "none",
                |r| Value::opt_text(r.window.anomaly.root_cause_service.as_deref()),
            ),
            new(
                "anomaly_symptom",
                Kind::Text,
                "a name for what people see",
                "none is named",
                |r| Value::opt_text(r.window.anomaly.symptom.as_deref()),
            ),
            new(
                "sham_of",
                Kind::Text,
                "the anomaly type that a sham or harmless window declares",
                "neither",
                |r| {
                    Value::opt_text(
                        r.window
                            .declared
                            .as_ref()
                            .map(|anomaly| anomaly.kind.as_str()),
                    )
                },
            ),
            new(
                "planned_start_ns",
                Kind::UnixNanos,
                "start by the plan, Unix ns",
                NEVER,
                |r| Value::Int(r.window.planned_start_ns),
            ),
            new(
                "planned_end_ns",
                Kind::UnixNanos,
                "end by the plan, Unix ns",
                NEVER,
                |r| Value::Int(r.window.planned_end_ns),
            ),
            new(
                "opened_ns",
                Kind::UnixNanos,
                "when it opened, Unix ns",
                NEVER,
                |r| Value::Int(r.window.opened_ns),
            ),
            new(
                "closed_ns",
                Kind::UnixNanos,
                "when it closed, Unix ns",
                NEVER,
                |r| Value::Int(r.window.closed_ns),
            ),
            new(
                "end",
                Kind::Text,
                "`closed`, or `last_event` where the timeline breaks off",
                NEVER,
                |r| {
                    Value::text(match r.window.end {
                        WindowEnd::Closed => "closed",
                        WindowEnd::LastEvent => "last_event",
                    })
                },
            ),
            new(
                "guard_ns",
                Kind::Nanos,
                "time after a change that counts as transition, ns",
                NEVER,
                |r| Value::count(r.window.guard_ns),
            ),
            new(
                "drained_ns",
                Kind::UnixNanos,
                "when the last iteration ended, Unix ns",
                "not on the timeline",
                |r| Value::opt_int(r.window.drained_ns),
            ),
            new("fault", Kind::Text, "name of the fault", no_fault, |r| {
                Value::opt_text(r.fault.map(|f| f.injected.fault.as_str()))
            }),
            new(
                "fault_service",
                Kind::Text,
                "service that it is in",
                no_fault,
                |r| Value::opt_text(r.fault.map(|f| f.injected.service.as_str())),
            ),
            new(
                "fault_intensity",
                Kind::Double,
                "above 0, up to 1",
                no_fault,
                |r| Value::opt_double(r.fault.map(|f| f.injected.intensity)),
            ),
            new(
                "fault_state",
                Kind::Text,
                "`confirmed`, `declared`, `sham`, `harmless`, `failed` or `none`",
                NEVER,
                |r| Value::text(&r.figures.fault_state),
            ),
            new(
                "fault_requested_ns",
                Kind::UnixNanos,
                "injection asked for, Unix ns",
                no_fault,
                |r| Value::opt_int(r.fault.map(|f| f.injected.requested_ns)),
            ),
            new(
                "fault_injected_ns",
                Kind::UnixNanos,
                "injection confirmed, Unix ns",
                no_fault,
                |r| Value::opt_int(r.fault.map(|f| f.injected.at_ns)),
            ),
            new(
                "fault_clear_requested_ns",
                Kind::UnixNanos,
                "clearing asked for, Unix ns",
                "not cleared",
                |r| Value::opt_int(r.fault.and_then(|f| Some(f.cleared.as_ref()?.requested_ns))),
            ),
            new(
                "fault_cleared_ns",
                Kind::UnixNanos,
                "clearing confirmed, Unix ns",
                "not cleared",
                |r| Value::opt_int(r.fault.and_then(|f| Some(f.cleared.as_ref()?.at_ns))),
            ),
            new(
                "recovered_ns",
                Kind::UnixNanos,
                "when the system was back at its normal, or else when the next fault was asked for, Unix ns",
                "no steady normal time to compare with, or no fault",
                |r| Value::opt_int(r.figures.recovered_ns),
            ),
            new(
                "requests",
                Kind::Int64,
                "requests that its scenario sent, by the ledger",
                NEVER,
                |r| Value::count(r.figures.requests),
            ),
            new(
                "lost_traces",
                Kind::Int64,
                "of these, those of which no span of the target arrived although others of the \
                 same step did",
                NEVER,
                |r| Value::count(r.figures.lost_traces),
            ),
            new(
                "traces",
                Kind::Int64,
                "traces whose moment lies in it",
                NEVER,
                |r| Value::count(r.figures.traces),
            ),
            new("spans", Kind::Int64, "spans of these", NEVER, |r| {
                Value::count(r.figures.spans)
            }),
            new(
                "steady_spans",
                Kind::Int64,
                "of these in its steady phase",
                NEVER,
                |r| Value::count(r.figures.steady_spans),
            ),
            new("verdict", Kind::Text, "see evidence.md", "a warm-up", |r| {
                Value::opt_text(r.figures.verdict.as_deref())
            }),
            new(
                "effect",
                Kind::Double,
                "the effect that the verdict rests on: of the declared service's signals that carry it, the one that is surely the strongest (by the lower end of its interval)",
                no_effect,
                |r| Value::opt_double(r.figures.effect.as_ref().map(|e| e.value)),
            ),
            new(
                "effect_low",
                Kind::Double,
                "lower end of its 95 % interval",
                no_effect,
                |r| Value::opt_double(r.figures.effect.as_ref().map(|e| e.low)),
            ),
            new(
                "effect_high",
                Kind::Double,
                "upper end of its 95 % interval",
                no_effect,
                |r| Value::opt_double(r.figures.effect.as_ref().map(|e| e.high)),
            ),
            new(
                "effect_signal",
                Kind::Text,
                "which signal that is",
                no_effect,
                |r| Value::opt_text(r.figures.effect.as_ref().map(|e| e.signal.as_str())),
            ),
            new(
                "onset_s",
                Kind::Double,
                "from the confirmation of the fault to the first request that shows the anomaly, s",
                "not seen",
                |r| Value::opt_double(r.figures.onset_s),
            ),
            new(
                "recovery_s",
                Kind::Double,
                "from the clearing to the last request that shows the anomaly, s; not the end of the phase, which is `recovered_ns`",
                "not seen",
                |r| Value::opt_double(r.figures.recovery_s),
            ),
            new(
                "traces_met",
                Kind::Int64,
                "traces that went through the declared service while the window's condition held",
                "no anomaly is declared",
                |r| r.figures.traces_met.map_or(Value::Null, Value::count),
            ),
            new(
                "root_cause_rank",
                Kind::Int64,
                "rank of the declared service among all, 1 is the strongest",
                "not ranked",
                |r| r.figures.root_cause_rank.map_or(Value::Null, Value::count),
            ),
        ]
    }
}

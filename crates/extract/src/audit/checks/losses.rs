//! Checks of what did not arrive, and of what arrived and is not the run's.

use std::time::Duration;

use loadgen_scenario::format_duration;
use loadgen_timeline::audit::{Check, Figures, ForeignRows, Gap, Level, TimeOffset, WindowFigures};

use super::{Build, check, count, info_if, percent, share};
use crate::audit::limits::{GAP_ERROR, LOST_ERROR, LOST_WARNING};

pub(super) fn lost_traces(figures: &Figures) -> Check {
    let worst = figures
        .windows
        .iter()
        .map(|w| share(w.lost_traces, w.requests))
        .fold(0.0, f64::max);
    let lost: u64 = figures.windows.iter().map(|w| w.lost_traces).sum();
    let level = match worst {
        of if of > LOST_ERROR && figures.spans.read > 0 => Level::Error,
        of if of > LOST_WARNING => Level::Warning,
        _ => Level::Ok,
    };
    let figure = format!(
        "{lost} requests without a trace of the target, at most {} of a window",
        percent(worst)
    );
    let limit = format!(
        "{} warning, {} error",
        percent(LOST_WARNING),
        percent(LOST_ERROR)
    );
    let details = figures.windows.iter().filter(|w| w.lost_traces > 0);
    check("lost-traces", level, figure, limit)
        .advise(
            "Look for a sampler (OTEL_TRACES_SAMPLER), a full exporter queue (otelcol_exporter_enqueue_failed_spans), or an edge \
             that does not pass traceparent on.",
        )
        .detail(details.map(|w| {
            format!("{}: {} of {} requests ({})", w.scenario, w.lost_traces, w.requests, percent(share(w.lost_traces, w.requests)))
        }))
}

/// Stretches of time of which nothing arrived although requests were sent.
pub(super) fn gaps(figures: &Figures) -> Check {
    let of = |w: &WindowFigures| share(w.gap_requests, w.requests);
    let worst = figures.windows.iter().map(of).fold(0.0, f64::max);
    let level = match figures.gaps.is_empty() {
        true => Level::Ok,
        false if worst > GAP_ERROR => Level::Error,
        false => Level::Warning,
    };
    let seconds = figures.gaps.iter().map(|gap| gap.to_ns - gap.from_ns);
    let figure = format!(
        "{} of {:.1} s together, at most {} of a window's requests",
        count(figures.gaps.len(), "gap"),
        seconds.sum::<i64>() as f64 / 1e9,
        percent(worst)
    );
    let began_ns = figures.run.as_ref().map_or(0, |run| run.began_ns);
    let at = |ns: i64| (ns - began_ns) as f64 / 1e9;
    let detail = |gap: &Gap| {
        format!(
            "from {:.1} s to {:.1} s of the run, in {}: {} requests and no span of the target",
            at(gap.from_ns),
            at(gap.to_ns),
            gap.scenarios.join(", "),
            gap.requests
        )
    };
    let limit = format!(
        "none; {} of a window's requests is an error",
        percent(GAP_ERROR)
    );
    check("gaps", level, figure, limit)
        .advise(
            "Nothing of that time was stored: the Collector was down or restarted, its disk was full, or \
             a file of it is not among the input. Look at the Collector's own log for that time, give all \
             its rotated files, or leave the windows out.",
        )
        .detail(figures.gaps.iter().map(detail))
}

/// Steps of which a span never arrives: what answers them exports nothing.
pub(super) fn silent_steps(figures: &Figures) -> Check {
    let requests: u64 = figures.silent_steps.values().sum();
    let figure = match figures.silent_steps.len() {
        0 => "none".to_owned(),
        steps => format!("{} with {requests} requests", count(steps, "step")),
    };
    let detail = |(step, requests): (&String, &u64)| {
        format!("{step}: {requests} requests, and never a span of the target")
    };
    let details: Vec<String> = figures.silent_steps.iter().map(detail).collect();
    check("silent-steps", info_if(!details.is_empty()), figure, "none")
        .advise(
            "What answers these steps exports nothing, such as an edge that serves a static page. They are \
             taken out of the losses. Switch tracing on in the edge, or give these steps up: they say \
             nothing about the target.",
        )
        .detail(details)
}

/// What was read and is not the run's. It is left out, so that it does no harm however much it is.
pub(super) fn foreign(figures: &Figures) -> Check {
    let of = |f: &ForeignRows| f.spans + f.log_records + f.data_points;
    let rows: u64 = figures.foreign.iter().map(of).sum();
    let total = figures.spans.read + figures.logs.read + figures.points.read;
    let is_there = !figures.foreign.is_empty();
    let of_others = figures.foreign.iter().filter(|f| f.kind == "other_run");
    let others: u64 = of_others.map(|f| f.spans).sum();
    let has_own = figures.windows.is_empty() || figures.windows.iter().any(|w| w.spans > 0);
    let is_other_run = others > 0 && !has_own;
    let is_all = is_other_run || rows > 0 && rows == total;
    let level = match is_all {
        true => Level::Error,
        false => info_if(is_there),
    };
    let figure = format!("{rows} of {total} rows ({})", percent(share(rows, total)));
    let details = figures.foreign.iter().map(|f| {
        let kind = match f.kind.as_str() {
            "other_run" => "of another run",
            "doctor" => "of loadgen doctor",
            "outside" => "from outside the run's time",
            other => other,
        };
        format!(
            "{kind}: {} traces, {} spans, {} log records, {} data points",
            f.traces, f.spans, f.log_records, f.data_points
        )
    });
    let offset = figures.time_offset.as_ref().filter(|_| is_all);
    if let Some(offset) = offset {
        return check("foreign", level, figure, "")
            .advise(&missed(offset))
            .detail(details);
    }
    check("foreign", level, figure, "")
        .advise(match (is_other_run, is_all) {
            (true, _) => {
                "All spans are of another run than the timeline: give the telemetry and the timeline of \
                 one run."
            }
            (false, true) => {
                "Nothing is of the timeline's run: give the telemetry and the timeline of one run."
            }
            (false, false) => {
                "A Collector that lives on stores other runs, too. These rows are in no file, unless \
                 --include-foreign keeps them as `unknown`."
            }
        })
        .detail(details)
}

/// By how much the telemetry misses the run, and what to do.
fn missed(offset: &TimeOffset) -> String {
    let from = duration(offset.first_span_ns);
    let when = if offset.first_span_ns < 0 {
        "before"
    } else {
        "after"
    };
    let of = format!("The telemetry misses the run: its first span begins {from} {when} it.");
    match (&offset.unit, offset.shift_ns) {
        (Some(unit), _) => {
            // Its times are multiplied when they are read.
            let of_jaegers = match unit.as_str() {
                "microseconds" => "; of Jaeger's JSON milliseconds, where microseconds are",
                "milliseconds" => "; of Jaeger's JSON seconds, where microseconds are",
                _ => "",
            };
            format!(
                "{of} Its times seem to be {unit}, where nanoseconds are expected{of_jaegers}: multiply \
                 them before you give it."
            )
        }
        (None, Some(shift_ns)) => {
            let sign = if shift_ns < 0 { "-" } else { "" };
            format!(
                "{of} A clock seems to be set to another zone: --shift {sign}{} puts it right.",
                duration(shift_ns)
            )
        }
        (None, None) => format!(
            "{of} Give the telemetry and the timeline of one run, or --shift where clocks differ."
        ),
    }
}

/// How long a time is, to the second, as `--shift` takes it.
fn duration(ns: i64) -> String {
    format_duration(Duration::from_secs(ns.unsigned_abs() / 1_000_000_000))
}

/// Spans that began long after their request had ended.
pub(super) fn late_spans(figures: &Figures) -> Check {
    let spans: u64 = figures.late_spans.iter().map(|late| late.spans).sum();
    let details = figures.late_spans.iter();
    check("late-spans", info_if(spans > 0), format!("{spans} spans"), "")
        .advise(
            "They run on in a trace whose request is over, such as a driver's heartbeats. They are labelled \
             by their own time and kept out of the trace's duration and shape; the column `late` tells them.",
        )
        .detail(details.map(|late| format!("{}, {}: {} spans", late.service, late.name, late.spans)))
}

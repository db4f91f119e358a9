//! The checks, one function each.

use super::limits::{
    CUT_WARNING, DUPLICATES_WARNING, LOST_ERROR, LOST_WARNING, ORPHANS_WARNING, ROOTLESS_WARNING,
    SINGLE_SPAN_WARNING, SKEW_WARNING_NS, UNKNOWN_ERROR, UNKNOWN_WARNING, WINDOW_TRACES,
};
use loadgen_timeline::event::RunStatus;

use super::{Check, Level};
use crate::figures::Figures;

/// All checks, in the order in which they are shown.
pub(super) fn all(figures: &Figures) -> Vec<Check> {
    vec![
        rows(figures),
        timeline(figures),
        ledger(figures),
        faults(figures),
        known_labels(figures),
        label_sources(figures),
        windows(figures),
        lost_traces(figures),
        header_coverage(figures),
        header_contradictions(figures),
        expected_services(figures),
        clock_skew(figures),
        roots(figures),
        orphans(figures),
        single_span_traces(figures),
        cut_traces(figures),
        duplicates(figures),
        lines(figures),
        class_balance(figures),
        leakage(figures),
    ]
}

fn check(id: &str, level: Level, figure: impl Into<String>, limit: impl Into<String>) -> Check {
    Check {
        id: id.to_owned(),
        level,
        figure: figure.into(),
        limit: limit.into(),
        advice: String::new(),
        details: Vec::new(),
    }
}

impl Check {
    /// Advice is for what is not in order.
    fn advise(mut self, advice: &str) -> Self {
        if self.level > Level::Ok {
            self.advice = advice.to_owned();
        }
        self
    }

    fn detail(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details = details.into_iter().collect();
        self
    }
}

fn warn_if(bad: bool) -> Level {
    if bad { Level::Warning } else { Level::Ok }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn rows(figures: &Figures) -> Check {
    let signals = [
        ("spans", &figures.spans),
        ("data points", &figures.points),
        ("log records", &figures.logs),
    ];
    let differs = signals.iter().any(|(_, rows)| !rows.reconcile());
    let nothing = signals.iter().all(|(_, rows)| rows.read == 0);
    let level = if differs || nothing {
        Level::Error
    } else {
        Level::Ok
    };
    let figure = format!(
        "{} spans, {} data points and {} log records read",
        figures.spans.read, figures.points.read, figures.logs.read
    );
    let details = signals
        .iter()
        .filter(|(_, rows)| rows.read > 0)
        .map(|(name, rows)| {
            format!(
                "{name}: {} read, {} rows, {} left out on request",
                rows.read, rows.written, rows.filtered
            )
        });
    check("rows", level, figure, "a row for each")
        .advise(if nothing {
            "There is no telemetry in the input: look whether the Collector's exporter wrote to these files."
        } else {
            "This is a bug of loadgen; please report it with the audit file."
        })
        .detail(details)
}

fn timeline(figures: &Figures) -> Check {
    let limit = "a timeline that has its end";
    match &figures.timeline {
        None => check("timeline", Level::Error, "no timeline", limit).advise(
            "Without a timeline a label can only come from headers, which is how labels get lost. \
             Give the timeline.jsonl of the run with --timeline.",
        ),
        Some(timeline) => {
            let mut found = vec![];
            if !timeline.finished {
                found.push("the run's end is missing: it was killed or still goes on".to_owned());
            }
            if timeline.status == Some(RunStatus::Failed) {
                found.push("the run failed: it was killed, or an error ended it".to_owned());
            }
            if timeline.skipped_lines > 0 {
                found.push(format!(
                    "{} lines could not be read",
                    timeline.skipped_lines
                ));
            }
            let figure = if found.is_empty() {
                "whole".to_owned()
            } else {
                found.join("; ")
            };
            check("timeline", warn_if(!found.is_empty()), figure, limit).advise(
                "What the run sent after the last event is not labelled; the window that was open ends there.",
            )
        }
    }
}

fn ledger(figures: &Figures) -> Check {
    let limit = "a ledger";
    match &figures.ledger {
        None => check("ledger", Level::Info, "none", limit).advise(
            "Labels come from time windows alone. With the run's ledger.arrows beside the timeline each \
             request's label is exact.",
        ),
        Some(ledger) => {
            let torn = if ledger.torn { ", cut off at its end" } else { "" };
            let figure = format!("{} requests{torn}", ledger.requests);
            check("ledger", if ledger.torn { Level::Info } else { Level::Ok }, figure, limit)
                .advise("Requests after the last flush are labelled by their time.")
        }
    }
}

fn faults(figures: &Figures) -> Check {
    let failures = figures.timeline.iter().flat_map(|t| &t.fault_failures);
    let failures: Vec<String> = failures.cloned().collect();
    let without: Vec<String> = figures
        .timeline
        .iter()
        .flat_map(|timeline| &timeline.without_fault)
        .map(|scenario| format!("{scenario}: no fault is on the timeline"))
        .collect();
    let mut figure = format!("{} could not be injected or cleared", failures.len());
    if !without.is_empty() {
        figure = format!("{figure}, {} anomalous windows have none", without.len());
    }
    let level = warn_if(!failures.is_empty() || !without.is_empty());
    check("faults", level, figure, "0")
        .advise(
            "The labels of these windows are not backed by a fault: leave the windows out, or run again. Where you \
             caused the anomaly yourself (--no-faults, a k6 that ran alone), they rest on your word.",
        )
        .detail(failures.into_iter().chain(without))
}

fn known_labels(figures: &Figures) -> Check {
    let unknown = figures.spans_by_type.get("unknown").copied().unwrap_or(0);
    let total = figures.spans_by_type.values().sum();
    let of = share(unknown, total);
    let level = match of {
        of if total > 0 && of > UNKNOWN_ERROR => Level::Error,
        of if of > UNKNOWN_WARNING => Level::Warning,
        _ => Level::Ok,
    };
    let figure = format!("{unknown} of {total} spans are unknown ({})", percent(of));
    let limit = format!(
        "{} warning, {} error",
        percent(UNKNOWN_WARNING),
        percent(UNKNOWN_ERROR)
    );
    check("known-labels", level, figure, limit).advise(
        "Their traces began outside of every window, or where windows disagree. Look whether the timeline is that \
         of the run, and whether clocks agree (clock-skew).",
    )
}

fn label_sources(figures: &Figures) -> Check {
    let total = figures.spans_by_source.values().sum();
    let of = |source: &str| figures.spans_by_source.get(source).copied().unwrap_or(0);
    let level = if of("header") > 0 || of("ambiguous") > 0 {
        Level::Warning
    } else {
        Level::Ok
    };
    let exact = share(of("ledger"), total);
    let details = figures.spans_by_source.iter().map(|(source, spans)| {
        format!(
            "{source}: {spans} spans ({})",
            percent(share(*spans, total))
        )
    });
    check("label-sources", level, format!("{} by the ledger", percent(exact)), "none by header, none ambiguous")
        .advise("A label by header is only as good as the header; ambiguous spans have none. Both can be told by label_source.")
        .detail(details)
}

fn windows(figures: &Figures) -> Check {
    let windows = &figures.windows;
    let empty = windows.iter().filter(|w| w.spans == 0).count();
    let thin = windows.iter().filter(|w| w.traces < WINDOW_TRACES).count();
    let level = match (empty, thin) {
        (0, 0) => Level::Ok,
        (0, _) => Level::Warning,
        _ if figures.spans.read == 0 => Level::Warning,
        _ => Level::Error,
    };
    let figure = format!(
        "{} windows, {empty} without a span, {thin} with fewer traces than that",
        windows.len()
    );
    let details = windows.iter().map(|w| {
        format!(
            "{} ({}): {} traces, {} spans",
            w.scenario, w.anomaly_type, w.traces, w.spans
        )
    });
    check("windows", level, figure, format!("{WINDOW_TRACES} traces each"))
        .advise("A window without spans teaches nothing: look whether the Collector ran then, and whether a sampler dropped them.")
        .detail(details)
}

fn lost_traces(figures: &Figures) -> Check {
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

fn header_coverage(figures: &Figures) -> Check {
    let services = || figures.services.iter().filter(|(_, s)| s.server_spans > 0);
    let spans: u64 = services().map(|(_, s)| s.spans).sum();
    let with: u64 = services().map(|(_, s)| s.header_spans).sum();
    let defaults: u64 = services().map(|(_, s)| s.default_spans).sum();
    let bare = services().filter(|(_, s)| s.header_spans == 0).count();
    let level = match (with, bare) {
        (0, _) if spans > 0 => Level::Warning,
        (_, 0) => Level::Ok,
        _ => Level::Info,
    };
    let figure = format!(
        "{with} of {spans} spans carry the anomaly header ({}), {defaults} only a default",
        percent(share(with, spans))
    );
    let details = services().map(|(name, s)| {
        let of = share(s.header_spans, s.spans);
        format!(
            "{name}: {} ({} of {} spans, {} with a default)",
            percent(of),
            s.header_spans,
            s.spans,
            s.default_spans
        )
    });
    check("header-coverage", level, figure, "some, in some service")
        .advise(
            "The labels do not need it: they come from the timeline. Where headers should be a cross-check, let the services \
             capture them: Java OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS, Python \
             OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST, Node headersToSpanAttributes. A default that a Collector \
             fills in (none, normal) is not a header.",
        )
        .detail(details)
}

fn header_contradictions(figures: &Figures) -> Check {
    let contradicting: u64 = figures.services.values().map(|s| s.contradicting).sum();
    let agreeing: u64 = figures.services.values().map(|s| s.agreeing).sum();
    let figure = format!("{contradicting} headers contradict the label, {agreeing} agree");
    let details = figures.services.iter().filter(|(_, s)| s.contradicting > 0);
    check("header-contradictions", warn_if(contradicting > 0), figure, "0")
        .advise(
            "Somebody else sends these headers, a service keeps those of an earlier request, or the timeline is that of another \
             run. The label is that of the timeline.",
        )
        .detail(details.map(|(name, s)| format!("{name}: {} contradict, {} agree", s.contradicting, s.agreeing)))
}

fn expected_services(figures: &Figures) -> Check {
    let expected = &figures.expected_services;
    let missing: Vec<&String> = expected
        .iter()
        .filter(|s| !figures.services.contains_key(*s))
        .collect();
    let seen = expected.len() - missing.len();
    let bad = !missing.is_empty() && figures.spans.read > 0;
    check("expected-services", warn_if(bad), format!("{seen} of {} seen", expected.len()), "all that faults are in")
        .advise(
            "No span names these services, so nothing can be learned of faults in them. Compare the names with root_cause_service \
             in the scenario file and OTEL_SERVICE_NAME of the service.",
        )
        .detail(missing.into_iter().map(|service| format!("{service}: no span")))
}

fn clock_skew(figures: &Figures) -> Check {
    let certain = |ahead: i64, bound: i64| (ahead.saturating_abs() - bound).max(0);
    let bad: Vec<_> = figures
        .clocks
        .iter()
        .filter(|c| certain(c.ahead_ns, c.bound_ns) > SKEW_WARNING_NS)
        .collect();
    let worst = figures
        .clocks
        .iter()
        .map(|c| certain(c.ahead_ns, c.bound_ns))
        .max()
        .unwrap_or(0);
    let level = if bad.is_empty() {
        Level::Ok
    } else if figures.skew_corrected {
        Level::Info
    } else {
        Level::Warning
    };
    let ms = |ns: i64| ns as f64 / 1e6;
    let figure = format!(
        "at least {:.3} ms at worst, {} clocks compared",
        ms(worst),
        figures.clocks.len()
    );
    let details = figures.clocks.iter().map(|c| {
        let instance = if c.instance.is_empty() {
            String::new()
        } else {
            format!(" ({})", c.instance)
        };
        format!(
            "{}{instance}: {:+.3} ms ± {:.3} ms, {} exchanges",
            c.service,
            ms(c.ahead_ns),
            ms(c.bound_ns),
            c.exchanges
        )
    });
    check("clock-skew", level, figure, format!("{} ms", SKEW_WARNING_NS / 1_000_000))
        .advise(
            "Let NTP (chrony) run on these hosts. Requests of the ledger are labelled rightly all the same; for other traces \
             extract again with --correct-skew.",
        )
        .detail(details)
}

fn roots(figures: &Figures) -> Check {
    let roots: u64 = figures.services.values().map(|s| s.roots).sum();
    let missing = figures.traces.saturating_sub(roots);
    let of = share(missing, figures.traces);
    let details = figures.services.iter().filter(|(_, s)| s.roots > 0);
    check(
        "roots",
        warn_if(of > ROOTLESS_WARNING),
        format!("{missing} of {} traces without a root ({})", figures.traces, percent(of)),
        percent(ROOTLESS_WARNING),
    )
    .advise("The edge exports nothing. Export the generator's client spans (leave out --no-client-spans), or switch tracing on in the edge.")
    .detail(details.map(|(name, s)| format!("{name}: {} roots", s.roots)))
}

fn orphans(figures: &Figures) -> Check {
    let of = |s: &crate::figures::ServiceFigures| share(s.orphans, s.spans);
    let bad = figures.services.values().any(|s| of(s) > ORPHANS_WARNING);
    let orphans: u64 = figures.services.values().map(|s| s.orphans).sum();
    let details = figures.services.iter().filter(|(_, s)| s.orphans > 0);
    check(
        "orphans",
        warn_if(bad),
        format!("{orphans} spans whose parent is missing"),
        format!("{} of a service", percent(ORPHANS_WARNING)),
    )
    .advise(
        "The caller of these services exports nothing, or its spans were dropped or sampled away.",
    )
    .detail(details.map(|(name, s)| {
        format!(
            "{name}: {} of {} spans ({})",
            s.orphans,
            s.spans,
            percent(of(s))
        )
    }))
}

fn single_span_traces(figures: &Figures) -> Check {
    let single: u64 = figures
        .services
        .values()
        .map(|s| s.single_span_traces)
        .sum();
    let of = share(single, figures.traces);
    let details = figures
        .services
        .iter()
        .filter(|(_, s)| s.single_span_traces > 0);
    check(
        "single-span-traces",
        warn_if(of > SINGLE_SPAN_WARNING),
        format!("{single} of {} traces ({})", figures.traces, percent(of)),
        percent(SINGLE_SPAN_WARNING),
    )
    .advise(
        "No calls between services are seen. Paths that an edge answers with a static page do that: run `loadgen doctor` on the \
         scenario file; or services do not pass traceparent on.",
    )
    .detail(details.map(|(name, s)| format!("{name}: {}", s.single_span_traces)))
}

fn cut_traces(figures: &Figures) -> Check {
    let of = share(figures.traces_cut, figures.traces);
    let figure = format!(
        "{} of {} traces ({})",
        figures.traces_cut,
        figures.traces,
        percent(of)
    );
    check("cut-traces", warn_if(of > CUT_WARNING), figure, percent(CUT_WARNING))
        .advise("The files begin or end in the middle of these traces: give the rotated files before and after, too.")
}

fn duplicates(figures: &Figures) -> Check {
    let of = share(figures.duplicate_spans, figures.spans.read);
    let figure = format!("{} spans ({})", figures.duplicate_spans, percent(of));
    check("duplicate-spans", warn_if(of > DUPLICATES_WARNING), figure, percent(DUPLICATES_WARNING))
        .advise("An exporter sent again what had arrived, or the same telemetry is in two files. Drop rows with the same trace_id and span_id.")
}

fn lines(figures: &Figures) -> Check {
    let level = match (figures.skipped_lines, figures.torn_lines) {
        (0, 0) => Level::Ok,
        (0, _) => Level::Info,
        _ => Level::Warning,
    };
    let figure = format!(
        "{} could not be read, {} cut off at the end of a file",
        figures.skipped_lines, figures.torn_lines
    );
    check("lines", level, figure, "0")
        .advise("They are named in the audit file under `skipped`. A line that is cut off belongs to a file that was being written.")
}

fn class_balance(figures: &Figures) -> Check {
    let total: u64 = figures.spans_by_type.values().sum();
    let normal = figures.spans_by_type.get("none").copied().unwrap_or(0);
    let details = figures
        .spans_by_type
        .iter()
        .map(|(kind, spans)| format!("{kind}: {spans} spans ({})", percent(share(*spans, total))));
    check("class-balance", Level::Info, format!("{} of the spans are of the baseline", percent(share(normal, total))), "")
        .advise("A detector that is trained on these shares expects them. Weight the classes, or run longer baselines.")
        .detail(details)
}

fn leakage(figures: &Figures) -> Check {
    let is_column = |column: &str| !column.starts_with("attributes.");
    let dropped = |column: &String| figures.dropped_columns.contains(column);
    let kept: Vec<_> = figures
        .leaks
        .iter()
        .filter(|l| !dropped(&l.column))
        .collect();
    let perfect = kept.iter().any(|l| l.perfect && is_column(&l.column));
    let level = match (perfect, kept.is_empty()) {
        (true, _) => Level::Warning,
        (false, false) => Level::Info,
        (false, true) => Level::Ok,
    };
    let details = kept.iter().map(|leak| {
        let values = leak
            .values
            .iter()
            .take(3)
            .map(|(value, kind)| format!("{value:?} → {kind}"));
        let how = if leak.perfect {
            "gives the label away"
        } else {
            "some values give it away"
        };
        format!(
            "{}: {how} for {} of the spans: {}",
            leak.column,
            percent(leak.share),
            values.collect::<Vec<_>>().join(", ")
        )
    });
    check("leakage", level, format!("{} columns or attributes", kept.len()), "no column")
        .advise(
            "A detector could learn the label from these instead of from what went wrong. --drop-leaks leaves such columns out; \
             attributes are not in the files of traces.",
        )
        .detail(details)
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;

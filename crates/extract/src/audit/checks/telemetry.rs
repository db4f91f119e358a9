//! Checks of the telemetry by itself: headers, clocks, the shape of traces, lines.

use loadgen_timeline::audit::{Check, Figures, Level, ServiceFigures};

use super::{Build, check, count, percent, share, warn_if};
use crate::audit::limits::{
    CUT_WARNING, DUPLICATES_WARNING, ORPHANS_WARNING, ROOTLESS_WARNING, SINGLE_SPAN_WARNING,
    SKEW_WARNING_NS,
};

pub(super) fn header_coverage(figures: &Figures) -> Check {
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
        "{with} of {spans} spans carry the header ({}), {defaults} only a default",
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

pub(super) fn header_contradictions(figures: &Figures) -> Check {
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

pub(super) fn expected_services(figures: &Figures) -> Check {
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

pub(super) fn clock_skew(figures: &Figures) -> Check {
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

/// Whether ids of traces have been cut.
pub(super) fn trace_ids(figures: &Figures) -> Check {
    let short = figures.short_trace_ids;
    let figure = format!("{} with an id of 64 bits", count(short as usize, "trace"));
    // Where it is not known what was sent, it may have been just these.
    let level = match (short, &figures.ledger) {
        (0, _) => Level::Ok,
        (_, None) => Level::Info,
        (_, Some(_)) => Level::Warning,
    };
    check("trace-ids", level, figure, "none").advise(
        "The upper half of these ids is zero: it was cut. They are not the ids that were sent, so that \
         these traces belong to no request. Old B3 headers (16 digits), and clients of Zipkin and of old \
         Jaeger versions, cut them. Have traceparent passed on, or ids of 128 bits.",
    )
}

pub(super) fn roots(figures: &Figures) -> Check {
    let missing = figures.traces_without_root;
    let of = share(missing, figures.traces);
    let details = figures.services.iter().filter(|(_, s)| s.roots > 0);
    check(
        "roots",
        warn_if(of > ROOTLESS_WARNING),
        format!("{missing} of {} traces without a root ({})", figures.traces, percent(of)),
        percent(ROOTLESS_WARNING),
    )
    .advise(
        "The edge exports nothing. Export the generator's client spans (leave out --no-client-spans), \
         or switch tracing on in the edge.",
    )
    .detail(details.map(|(name, s)| format!("{name}: {} roots", s.roots)))
}

pub(super) fn orphans(figures: &Figures) -> Check {
    let of = |s: &ServiceFigures| share(s.orphans, s.spans);
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

pub(super) fn single_span_traces(figures: &Figures) -> Check {
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

pub(super) fn cut_traces(figures: &Figures) -> Check {
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

pub(super) fn duplicates(figures: &Figures) -> Check {
    let of = share(figures.duplicate_spans, figures.spans.read);
    let figure = format!("{} spans ({})", figures.duplicate_spans, percent(of));
    check("duplicate-spans", warn_if(of > DUPLICATES_WARNING), figure, percent(DUPLICATES_WARNING))
        .advise("An exporter sent again what had arrived, or the same telemetry is in two files. Drop rows with the same trace_id and span_id.")
}

pub(super) fn lines(figures: &Figures) -> Check {
    let unread = figures.skipped_lines + figures.unread_parts;
    let level = match (unread, figures.torn_lines) {
        (0, 0) => Level::Ok,
        (0, _) => Level::Info,
        _ => Level::Warning,
    };
    let parts = match figures.unread_parts {
        0 => String::new(),
        1 => ", 1 part of other lines could not be read".to_owned(),
        parts => format!(", {parts} parts of other lines could not be read"),
    };
    let figure = format!(
        "{} could not be read, {} cut off at the end of a file{parts}",
        figures.skipped_lines, figures.torn_lines
    );
    check("lines", level, figure, "0").advise(
        "They are named in the audit file under `skipped`. Parts are spans, data points, elements of \
         a list, or fields that are not known. A line that is cut off belongs to a file that was \
         being written.",
    )
}

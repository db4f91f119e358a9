//! Checks of rows and their labels: by number, source, window and class.

use loadgen_timeline::audit::{Check, Figures, Level, WindowFigures};
use loadgen_timeline::condition::UNKNOWN;

use super::{Build, check, count, info_if, is_normal, percent, share};
use crate::audit::limits::{STEADY_WARNING, UNKNOWN_ERROR, UNKNOWN_WARNING, WINDOW_TRACES};

pub(super) fn rows(figures: &Figures) -> Check {
    let signals = [
        ("spans", &figures.spans),
        ("data points", &figures.points),
        ("log records", &figures.logs),
    ];
    let differs = signals.iter().any(|(_, rows)| !rows.reconcile());
    let nothing = signals.iter().all(|(_, rows)| rows.read == 0);
    let too_large: u64 = signals.iter().map(|(_, rows)| rows.too_large).sum();
    let level = if differs || nothing || too_large > 0 {
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
                "{name}: {} read, {} rows, {} left out on request, {} of traces or series that are too large",
                rows.read, rows.written, rows.filtered, rows.too_large
            )
        });
    check("rows", level, figure, "a row for each")
        .advise(if too_large > 0 {
            "A trace, or a series, of more than 256 MiB was left out. Somebody uses one trace id for everything: see that each \
             request begins a trace of its own, and each process has its own service.instance.id."
        } else if nothing {
            "There is no telemetry in the input: look whether the Collector's exporter wrote to these files."
        } else {
            "This is a bug of loadgen; please report it with the audit file."
        })
        .detail(details)
}

pub(super) fn known_labels(figures: &Figures) -> Check {
    // Foreign rows are unknown, and kept only where that was asked for.
    let foreign = match figures.spans.foreign {
        0 => figures.foreign.iter().map(|of| of.spans).sum(),
        _ => 0,
    };
    let all = figures.spans_by_type.get(UNKNOWN).copied().unwrap_or(0);
    let unknown = all.saturating_sub(foreign);
    let total = figures
        .spans_by_type
        .values()
        .sum::<u64>()
        .saturating_sub(foreign);
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
        "Their time is outside of the run or between a failed change of a fault and its end, or they are \
         foreign rows that were kept. Look whether the timeline is that of the run, at the check `faults`, \
         and whether clocks agree (clock-skew).",
    )
}

/// What the labels were read from.
pub(super) fn label_sources(figures: &Figures) -> Check {
    let total = figures.spans_by_source.values().sum();
    let of = |source: &str| figures.spans_by_source.get(source).copied().unwrap_or(0);
    let doubtful = |source: &String| !["ledger", "window", "none"].contains(&source.as_str());
    let level = super::warn_if(figures.spans_by_source.keys().any(doubtful));
    let exact = share(of("ledger"), total);
    let details = figures.spans_by_source.iter().map(|(source, spans)| {
        format!(
            "{source}: {spans} spans ({})",
            percent(share(*spans, total))
        )
    });
    let figure = format!(
        "the moment of {} of the spans is from the ledger",
        percent(exact)
    );
    check("label-sources", level, figure, "none by header")
        .advise(
            "A label by header is only as good as the header. Give the run's timeline with --timeline; \
             rows with such a label can be told by label_source.",
        )
        .detail(details)
}

pub(super) fn windows(figures: &Figures) -> Check {
    let windows: Vec<&WindowFigures> = figures.windows.iter().filter(|w| !w.warm_up).collect();
    let empty = windows.iter().filter(|w| w.spans == 0).count();
    let thin = windows.iter().filter(|w| w.traces < WINDOW_TRACES).count();
    let mut twice: Vec<&str> = figures
        .windows
        .iter()
        .map(|w| w.scenario.as_str())
        .collect();
    twice.sort_unstable();
    let twice: Vec<&str> = twice
        .windows(2)
        .filter(|w| w[0] == w[1])
        .map(|w| w[0])
        .collect();
    let level = match (empty, thin) {
        _ if figures.timeline.is_some() && figures.windows.is_empty() => Level::Error,
        _ if !twice.is_empty() => Level::Error,
        (0, 0) => Level::Ok,
        (0, _) => Level::Warning,
        _ if figures.spans.read == 0 => Level::Warning,
        _ => Level::Error,
    };
    let warm_ups = match figures.windows.len() - windows.len() {
        0 => String::new(),
        warm_ups => format!(" and {}", count(warm_ups, "warm-up")),
    };
    let figure = format!(
        "{}{warm_ups}, {empty} without a span, {thin} with fewer than {WINDOW_TRACES} traces",
        count(windows.len(), "window")
    );
    let twice_said = twice.iter().map(|scenario| {
        format!("{scenario}: several windows; which of them a fault belongs to can't be told")
    });
    let details = windows.iter().map(|w| {
        format!(
            "{} ({}): {} traces, {} spans",
            w.scenario, w.anomaly_type, w.traces, w.spans
        )
    });
    let details = twice_said.chain(details);
    check("windows", level, figure, format!("{WINDOW_TRACES} traces each"))
        .advise(if figures.windows.is_empty() {
            "No window is on the timeline, so nothing says that this time was normal: give the whole timeline of the run."
        } else if !twice.is_empty() {
            "Give each window of the timeline a scenario name of its own."
        } else {
            "A window without spans teaches nothing: look whether the Collector ran then, and whether a sampler dropped them."
        })
        .detail(details)
}

/// How much of each window is steady, which is what one trains on.
pub(super) fn steady_share(figures: &Figures) -> Check {
    let evaluated = || {
        figures
            .windows
            .iter()
            .filter(|w| w.verdict.is_some() && w.spans > 0)
    };
    let of = |w: &WindowFigures| share(w.steady_spans, w.spans);
    let level = |w: &WindowFigures| match of(w) {
        0.0 => Level::Error,
        share if share < STEADY_WARNING => Level::Warning,
        _ => Level::Ok,
    };
    let worst = evaluated().map(level).max().unwrap_or(Level::Ok);
    let least = evaluated().map(of).fold(1.0, f64::min);
    let low = evaluated().filter(|w| level(w) > Level::Ok).count();
    let figure = format!(
        "{} with less than {} steady spans; the least has {}",
        count(low, "window"),
        percent(STEADY_WARNING),
        percent(least)
    );
    let limit = format!(
        "{} of a window's spans, none is an error",
        percent(STEADY_WARNING)
    );
    let mut details: Vec<&WindowFigures> = evaluated().collect();
    details.sort_by(|a, b| of(a).total_cmp(&of(b)));
    check("steady-share", worst, figure, limit)
        .advise(
            "Most of these windows is a transition: near an edge, a fault's change, or a recovery from the \
             fault before. Make the windows longer (--time-scale), their guard shorter, or leave time \
             between faults.",
        )
        .detail(details.into_iter().map(|w| {
            format!("{}: {} of {} spans ({})", w.scenario, w.steady_spans, w.spans, percent(of(w)))
        }))
}

/// How many spans each class has.
pub(super) fn class_balance(figures: &Figures) -> Check {
    let total: u64 = figures.spans_by_type.values().sum();
    let normal = figures
        .spans_by_type
        .iter()
        .filter(|(kind, _)| is_normal(kind));
    let normal: u64 = normal.map(|(_, spans)| spans).sum();
    let of = |(kind, spans): (&String, &u64)| {
        format!("{kind}: {spans} spans ({})", percent(share(*spans, total)))
    };
    let details: Vec<String> = figures.spans_by_type.iter().map(of).collect();
    let figure = format!("{} of the spans are normal", percent(share(normal, total)));
    check("class-balance", Level::Info, figure, "")
        .advise(
            "A detector that is trained on these shares expects them. Weight the classes, or run longer \
             baselines.",
        )
        .detail(details)
}

/// Whether `span_anomaly` can tell of each span whether it is unusual.
pub(super) fn span_normals(figures: &Figures) -> Check {
    let limit = "20 normal spans an operation, without a long tail";
    let Some(of) = figures
        .span_normals
        .as_ref()
        .filter(|_| figures.timeline.is_some())
    else {
        return check("span-normals", Level::Ok, "not known", limit);
    };
    let untold = share(of.untold, figures.spans.written);
    let figure = format!(
        "{} spans without `span_anomaly` ({}), {} with a long tail",
        of.untold,
        percent(untold),
        count(of.wide.len(), "operation")
    );
    let found = info_if(of.untold > 0 || !of.wide.is_empty());
    check("span-normals", found, figure, limit)
        .advise(
            "Nothing is said of spans of operations that have fewer than 20 spans in clean normal time. \
             Where normal spans take long at times, `none` does not mean that a span met no fault: only \
             longer ones than the details say are `latency`. Go by the verdict of the window there, or \
             give the run a longer normal time and warm-up on a quieter machine.",
        )
        .detail(of.wide.iter().map(|of| {
            format!(
                "{} {}: {} spans; normal median {:.1} ms, `latency` from {:.1} ms on",
                of.service, of.name, of.spans, of.median_ms, of.slow_from_ms
            )
        }))
}

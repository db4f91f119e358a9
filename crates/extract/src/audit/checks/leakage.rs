//! Checks of what gives the label away without anything having gone wrong.

use std::collections::{BTreeMap, BTreeSet};

use loadgen_timeline::audit::{Check, CountingPath, Figures, Level, Predictor};
use loadgen_timeline::condition::UNKNOWN;

use super::{Build, check, count, info_if, is_normal, percent, warn_if};
use crate::audit::limits::{COUNTING_RHO, PREDICTABLE, PREDICTABLE_ERRORS};

/// Columns and attributes of which each value stands for one type.
pub(super) fn leakage(figures: &Figures) -> Check {
    let is_column = |column: &str| !is_attribute(column);
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
        let values = leak.values.iter().take(3);
        let values = values.map(|(value, kind)| format!("{value:?} → {kind}"));
        let how = match leak.perfect {
            true => "gives the label away",
            false => "some values give it away",
        };
        format!(
            "{}: {how} for {} of the spans: {}",
            leak.column,
            percent(leak.share),
            values.collect::<Vec<_>>().join(", ")
        )
    });
    let columns: Vec<&str> = kept
        .iter()
        .map(|leak| leak.column.as_str())
        .filter(|column| is_column(column))
        .collect();
    check(
        "leakage",
        level,
        leaking_names(&columns, kept.len() - columns.len()),
        "no column",
    )
    .advise(
        "A detector could learn the label from these instead of from what went wrong. --drop-leaks \
             leaves such columns out; attributes are not in the files of traces.",
    )
    .detail(details)
}

/// Columns by name; attributes are in no file.
fn leaking_names(columns: &[&str], attributes: usize) -> String {
    let columns = match columns {
        [] => "no column".to_owned(),
        some => some.join(", "),
    };
    format!("{columns}; {}", count(attributes, "attribute"))
}

fn is_attribute(column: &str) -> bool {
    column.starts_with("attributes.") || column.starts_with("resource.")
}

/// Ids that only one window has.
pub(super) fn id_leak(figures: &Figures) -> Check {
    let dropped = |column: &String| figures.dropped_columns.contains(column);
    let kept: Vec<_> = figures
        .id_leaks
        .iter()
        .filter(|l| !dropped(&l.column))
        .collect();
    let level = match kept.iter().any(|l| !is_attribute(&l.column)) {
        true => Level::Warning,
        false => info_if(!kept.is_empty()),
    };
    let details = kept.iter().map(|leak| {
        let values = leak.values.iter().take(3);
        let values = values.map(|of| {
            format!(
                "{:?} only in {} ({} spans)",
                of.value, of.scenario, of.spans
            )
        });
        format!(
            "{} of {}: {}",
            leak.column,
            leak.service,
            values.collect::<Vec<_>>().join(", ")
        )
    });
    let services: BTreeSet<&str> = kept.iter().map(|l| l.service.as_str()).collect();
    let figure = format!(
        "{}, {}",
        count(kept.len(), "id"),
        count(services.len(), "service")
    );
    check("id-leak", level, figure, "no column")
        .advise(
            "An instance that lives in one window only gives its label away: the service was restarted, \
             scaled or redeployed between windows. Keep its instances over the run, or leave the columns \
             out with --drop-leaks.",
        )
        .detail(details)
}

/// Numbers in paths that count up like a clock.
pub(super) fn path_leak(figures: &Figures) -> Check {
    let is_dropped = figures
        .dropped_columns
        .iter()
        .any(|column| column == "http_target");
    let counts = |of: &&CountingPath| of.rho.abs() >= COUNTING_RHO && !is_dropped;
    let paths: Vec<&CountingPath> = figures.counting_paths.iter().filter(counts).collect();
    let details = paths.iter().map(|of| {
        let number = match of.path.matches("{n}").count() {
            1 => String::new(),
            _ => format!(", number {}", of.number),
        };
        format!(
            "{}{number}: rank correlation {:+.3} over {} requests",
            of.path, of.rho, of.requests
        )
    });
    let limit = format!("no path with a rank correlation of {COUNTING_RHO}");
    check("path-leak", warn_if(!paths.is_empty()), count(paths.len(), "path"), limit)
        .advise(
            "A number that grows with each request tells the time, and the time tells the window. Take the \
             number out of http_target (span_name often has the route), or leave the column out with \
             --drop-leaks.",
        )
        .detail(details)
}

/// Whether the mix of requests tells the label.
pub(super) fn mix_leak(figures: &Figures) -> Check {
    predictor("mix-leak", figures.mix.as_ref()).advise(
        "The windows send other requests, or the fault keeps some from being sent. A detector could learn \
         the mix. Give all scenarios the same flows with the same weights, and leave counts by operation \
         out of the features, or compare each operation with itself.",
    )
}

/// Whether the number of requests a second tells the label.
pub(super) fn rate_leak(figures: &Figures) -> Check {
    predictor("rate-leak", figures.rate.as_ref()).advise(
        "The windows send more or fewer requests a second, by their executors, or because VUs wait for \
         slow answers. A detector could learn the load. Give normal windows the rates of the anomalous \
         ones (a baseline with the same stages), and leave counts and throughput out of the features.",
    )
}

fn predictor(id: &str, predictor: Option<&Predictor>) -> Check {
    let limit = format!("{PREDICTABLE} of the way from guessing to certainty");
    let Some(of) = predictor else {
        let figure =
            "not tested: it takes a ledger, and two types with two steady blocks of a second each";
        return check(id, Level::Info, figure, limit);
    };
    let above = of.balanced_accuracy - of.chance;
    let certain = above > PREDICTABLE_ERRORS * of.chance_error;
    let level = warn_if(certain && above >= PREDICTABLE * (1.0 - of.chance));
    let figure = format!(
        "types of blocks of {:.1} s are told with a balanced accuracy of {}, by guessing {}",
        of.block_s,
        percent(of.balanced_accuracy),
        percent(of.chance)
    );
    let details = of.types.iter();
    check(id, level, figure, limit)
        .detail(details.map(|(kind, of)| format!("{kind}: {} of {} blocks", of.told, of.blocks)))
}

/// Whether position in time alone tells the label.
pub(super) fn time_position(figures: &Figures) -> Check {
    let mut windows: BTreeMap<&str, usize> = BTreeMap::new();
    for window in figures.windows.iter().filter(|w| !w.warm_up) {
        *windows.entry(&window.anomaly_type).or_default() += 1;
    }
    windows.remove(UNKNOWN);
    let anomalous = || windows.iter().filter(|(kind, _)| !is_normal(kind));
    let once = anomalous().filter(|(_, windows)| **windows == 1).count();
    let figure = format!(
        "{once} of {} with one window only",
        count(anomalous().count(), "anomaly type")
    );
    check("time-position", info_if(once > 0), figure, "two windows of each type")
        .advise(
            "Where each type comes once, the time of a row tells its label. Split training and test by run \
             or by window, never by row, and leave times out of the features. Several runs with other seeds, \
             or scenarios that come twice, make a split by window possible.",
        )
        .detail(anomalous().map(|(kind, windows)| format!("{kind}: {}", count(*windows, "window"))))
}

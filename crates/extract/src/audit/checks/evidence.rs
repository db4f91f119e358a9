//! Whether each window's label is backed by what was measured.

use loadgen_timeline::audit::{Check, Figures, Level, WindowFigures};
use loadgen_timeline::condition::FaultState;

use super::{Build, check, count};

/// The verdict of each window against what it is labelled with.
pub(super) fn evidence(figures: &Figures) -> Check {
    let limit = "supported or clean each";
    let windows = &figures.windows;
    if windows.iter().all(|w| w.verdict.is_none()) && windows.iter().any(|w| !w.warm_up) {
        return check("evidence", Level::Info, "none", limit).advise(
            "An older loadgen made this dataset, without evidence. Extract again to see whether the \
             labels are backed.",
        );
    }
    let evaluated = || windows.iter().filter(|w| !w.warm_up);
    let worst = evaluated().map(level).max().unwrap_or(Level::Ok);
    let with = |of: Level| evaluated().filter(|w| level(w) == of).count();
    let (bad, doubtful) = (with(Level::Error), with(Level::Warning));
    let shams = evaluated().filter(|w| is_false_alarm(w)).count();
    let mut figure = match (bad, doubtful) {
        (0, 0) => format!("{} backed", count(evaluated().count(), "window")),
        _ => format!(
            "{} of {} not backed, {doubtful} doubtful",
            bad,
            count(evaluated().count(), "window")
        ),
    };
    let warm_ups = windows.len() - evaluated().count();
    if warm_ups > 0 {
        figure += &format!("; {} not evaluated", count(warm_ups, "warm-up"));
    }
    if shams > 0 {
        figure += &format!(
            "; {} supported: an error of the evidence",
            count(shams, "window without a fault")
        );
    }
    let advice = match (worst, shams) {
        (Level::Warning, 1..) => {
            "A window in which nothing was broken shows its anomaly: something else disturbed the \
             target, or chance did, or a change that counts as harmless is none. Look at it with `loadgen show`; its rows are normal by label."
        }
        (Level::Warning, _) => {
            "The details say why. A weak window needs more traffic through the declared service or a \
             stronger fault; a disturbed one a quieter machine or a longer warm-up; a clean one that was \
             not compared a longer window, or a second normal one. `loadgen show` has the comparisons."
        }
        _ => {
            "These labels are not backed by what was measured, and their rows are in no file of a class. \
             The details say why: where nothing differs, look whether the fault took effect and whether \
             requests reach its service; where there is too little, send more, or use a larger \
             --time-scale. `loadgen show` has the comparisons."
        }
    };
    let order = |w: &&WindowFigures| std::cmp::Reverse(level(w));
    let mut details: Vec<&WindowFigures> = evaluated().collect();
    details.sort_by_key(order);
    check("evidence", worst, figure, limit)
        .advise(advice)
        .detail(details.into_iter().map(detail))
}

/// Nothing was broken, and the evidence takes it for an anomaly.
fn is_false_alarm(window: &WindowFigures) -> bool {
    (window.sham || window.harmless) && window.verdict.as_deref() == Some("supported")
}

fn level(window: &WindowFigures) -> Level {
    if window.sham || window.harmless {
        return match is_false_alarm(window) {
            true => Level::Warning,
            false => Level::Ok,
        };
    }
    // Its rows are `unknown`: there is no label to be backed.
    if window.fault_state == FaultState::Failed.name() {
        return Level::Warning;
    }
    match window.verdict.as_deref() {
        Some("not_supported" | "not_enough_data") => Level::Error,
        Some("weak" | "disturbed") => Level::Warning,
        _ if window.is_not_compared() => Level::Warning,
        _ => Level::Ok,
    }
}

fn detail(window: &WindowFigures) -> String {
    let of = match &window.declared {
        Some(declared) if window.sham => format!("sham of {declared}"),
        Some(declared) if window.harmless => format!("harmless, evaluated as {declared}"),
        _ => window.anomaly_type.clone(),
    };
    let verdict = match window.fault_state == FaultState::Failed.name() {
        true => "its fault failed, so its label is unknown",
        false if window.is_not_compared() => "clean, not compared",
        false => window.verdict.as_deref().unwrap_or("not evaluated"),
    };
    let reason = match &window.reasons[..] {
        [] => String::new(),
        // The first is about what follows it.
        [first, second, ..] if first.ends_with(':') => format!(": {first} {second}"),
        [first, ..] => format!(": {first}"),
    };
    format!("{} ({of}): {verdict}{reason}", window.scenario)
}

//! The checks: pure functions over figures, a file for each thing that is looked at.

mod evidence;
mod labels;
mod leakage;
mod losses;
mod run;
mod telemetry;

use loadgen_timeline::audit::{Check, Figures, Level};
use loadgen_timeline::condition::NONE;

/// All checks, in the order in which they are shown.
pub(super) fn all(figures: &Figures) -> Vec<Check> {
    vec![
        evidence::evidence(figures),
        labels::rows(figures),
        run::timeline(figures),
        run::timetable(figures),
        run::ledger(figures),
        run::faults(figures),
        labels::known_labels(figures),
        labels::label_sources(figures),
        labels::windows(figures),
        labels::steady_share(figures),
        labels::class_balance(figures),
        labels::span_normals(figures),
        losses::lost_traces(figures),
        losses::gaps(figures),
        losses::silent_steps(figures),
        losses::foreign(figures),
        losses::late_spans(figures),
        leakage::leakage(figures),
        leakage::id_leak(figures),
        leakage::path_leak(figures),
        leakage::mix_leak(figures),
        leakage::rate_leak(figures),
        leakage::time_position(figures),
        telemetry::expected_services(figures),
        telemetry::clock_skew(figures),
        telemetry::trace_ids(figures),
        telemetry::roots(figures),
        telemetry::orphans(figures),
        telemetry::single_span_traces(figures),
        telemetry::cut_traces(figures),
        telemetry::duplicates(figures),
        telemetry::lines(figures),
        telemetry::header_coverage(figures),
        telemetry::header_contradictions(figures),
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

trait Build {
    /// Advice is for what is not in order.
    fn advise(self, advice: &str) -> Self;

    fn detail(self, details: impl IntoIterator<Item = String>) -> Self;
}

impl Build for Check {
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

fn info_if(there: bool) -> Level {
    if there { Level::Info } else { Level::Ok }
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

/// `1 window`, `2 windows`.
fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// Whether a type is that of time without an anomaly.
fn is_normal(anomaly_type: &str) -> bool {
    [NONE, "normal"].contains(&anomaly_type)
}

#[cfg(test)]
mod tests;

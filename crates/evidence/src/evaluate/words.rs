//! Reasons, in plain words.

use super::blocks::At;
use super::strata::Sides;
use crate::comparison::{EffectKind, Measure, SignalComparison, SignalEvidence};
use crate::evidence::Compared;
use crate::thresholds::Thresholds;
use crate::time::total_ns;

use super::seconds;

pub(super) fn too_short(sides: &Sides<'_>, limits: &Thresholds) -> String {
    let s = |side: At| seconds(total_ns(sides.intervals(side)));
    format!(
        "{:.1} s of steady time against {:.1} s of steady normal time are too little: a comparison \
         needs {} blocks of at least {} s on both sides",
        s(At::Window),
        s(At::Reference),
        limits.least_blocks,
        limits.shortest_block_s,
    )
}

pub(super) fn no_time() -> String {
    "no steady normal time of it is left: nothing can be told".to_owned()
}

pub(super) fn not_compared(sides: &Sides<'_>, limits: &Thresholds) -> String {
    format!(
        "not compared with anything: there is no other steady normal time, and halves of {:.1} s are \
         shorter than {} blocks of {} s",
        seconds(total_ns(sides.intervals(At::Window))),
        limits.least_blocks,
        limits.shortest_block_s,
    )
}

pub(super) fn too_few_traces(
    side: At,
    traces: u64,
    service: Option<&str>,
    limits: &Thresholds,
) -> String {
    let service = service.map_or_else(String::new, |service| format!(" through {service}"));
    let when = match side {
        At::Window => "the time in which the window's condition held",
        At::Reference => "the steady normal time",
    };
    format!(
        "{traces} traces{service} in {when}: fewer than {}",
        limits.least_traces
    )
}

pub(super) fn nothing_tested() -> String {
    "no signal could be tested".to_owned()
}

pub(super) fn no_difference(tested: usize) -> String {
    format!("none of {tested} signals differs from normal time as an anomaly does; the nearest:")
}

pub(super) fn weak(limits: &Thresholds) -> String {
    format!(
        "weak: the effect is large enough with a p above {} (up to {}), or the p is below {} with an \
         effect that is only just too small",
        limits.supported_p, limits.weak_p, limits.supported_p
    )
}

pub(super) fn nothing_of_its_own() -> String {
    "weak: what the service shows may be that of those it waits for: nothing that is its own is \
     different enough"
        .to_owned()
}

/// A caution, where the window has so much more load that it may be slower from that alone.
pub(super) fn load(compared: &Compared) -> Option<String> {
    compared.higher_load().map(|times| {
        format!(
            "the service gets {times:.1} times as many requests a second as in normal time: what is \
             due to that and what to a fault can't be told apart here, only by a sham window under \
             the same load"
        )
    })
}

pub(super) fn clean(halves: bool) -> String {
    let what = if halves {
        "its other half"
    } else {
        "the other steady normal time"
    };
    format!("no operation is much slower or fails more than in {what}")
}

pub(super) fn not_tested(family: &[SignalEvidence]) -> Vec<String> {
    // What was tested and has no variance is no loss.
    let untested = family.iter().filter(|signal| signal.comparisons.is_empty());
    let reason = |signal: &SignalEvidence| {
        Some(format!(
            "{} not tested: {}",
            signal.signal,
            signal.not_tested.as_ref()?
        ))
    };
    untested.filter_map(reason).collect()
}

/// What a signal shows: subject, figures of both sides, effect with interval, p.
pub(super) fn signal(signal: &SignalEvidence) -> Option<String> {
    let comparison = signal.deciding()?;
    let p = signal.p_family?;
    let effect = comparison.effect;
    let name = match comparison.effect_kind {
        EffectKind::CliffsDelta => "δ",
        EffectKind::RiskDifference => "risk difference",
    };
    Some(format!(
        "{} of {}: {}{name} {:.2} ({:.2} to {:.2}), p {}",
        measure(comparison.measure),
        comparison.subject,
        figures(comparison),
        effect.value,
        effect.low,
        effect.high,
        p_text(p),
    ))
}

fn figures(comparison: &SignalComparison) -> String {
    let (Some(normal), Some(window)) = (comparison.reference.value, comparison.window.value) else {
        return comparison.ratio.map_or_else(String::new, |ratio| {
            format!("{} times as much, ", number(ratio.value))
        });
    };
    let unit = match comparison.measure.unit() {
        "" => String::new(),
        unit => format!(" {unit}"),
    };
    let times = match comparison.ratio {
        Some(ratio) => format!(" ({} ×)", number(ratio.value)),
        None => String::new(),
    };
    format!("{} → {}{unit}{times}, ", number(normal), number(window))
}

fn measure(measure: Measure) -> &'static str {
    match measure {
        Measure::DurationMs => "duration",
        Measure::OwnDurationMs => "own duration",
        Measure::ErrorShare => "errors",
        Measure::OwnErrorShare => "own errors",
        Measure::GapMs => "gap between caller and callee",
        Measure::CpuMsPerRequest => "processor time a request",
        Measure::PoolWaitMsPerRequest => "pool wait a request",
        Measure::Waiting => "waiting",
        Measure::MissShare => "misses",
        Measure::LoopDelayMs => "loop delay",
        Measure::SpansBelow => "spans below",
        Measure::FewerSpansShare => "fewer spans below than ever",
        Measure::NotReachedShare => "requests that don't reach it any more",
        Measure::CallDurationMs => "duration of calls",
    }
}

/// Three significant digits.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn p_text(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p => format!("{p:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0, 0.0414, 0.186, 1.0, 12.345, 190.4].map(number);
        assert_eq!(texts, ["0", "0.041", "0.186", "1.00", "12.3", "190"]);
    }
}

//! How much of an effect a comparison shows: whether it is one that counts.

use crate::comparison::{EffectSize, Measure, SignalComparison};
use crate::thresholds::Thresholds;

/// The least effects that count, for what is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least {
    /// Fewest values of an operation on either side.
    pub(crate) observations: usize,
    /// Fewest blocks of a metric on either side.
    pub(crate) blocks: usize,
    enough: Effect,
    /// None: nothing is only just too small.
    small: Option<Effect>,
    for_missing: usize,
}

#[derive(Debug, Clone, Copy)]
struct Effect {
    delta: f64,
    ratio: f64,
    risk_difference: f64,
    duration_ms: f64,
    gap_ms: f64,
    wait_ms: f64,
    waiting: f64,
    miss_share: f64,
}

impl Least {
    /// For windows that declare an anomaly.
    pub(crate) fn anomaly(limits: &Thresholds) -> Self {
        let enough = Effect {
            delta: limits.delta,
            ratio: limits.ratio,
            risk_difference: limits.risk_difference,
            duration_ms: limits.duration_increase_ms,
            gap_ms: limits.gap_increase_ms,
            wait_ms: limits.wait_increase_ms,
            waiting: limits.waiting_increase,
            miss_share: limits.miss_share_increase,
        };
        let small = Effect {
            delta: limits.weak_delta,
            ratio: limits.weak_ratio,
            risk_difference: limits.weak_risk_difference,
            ..enough.halved()
        };
        Self {
            observations: limits.least_observations,
            blocks: limits.least_blocks,
            enough,
            small: Some(small),
            for_missing: limits.least_for_missing,
        }
    }

    /// For normal windows.
    pub(crate) fn disturbance(limits: &Thresholds) -> Self {
        let anomaly = Self::anomaly(limits);
        let enough = Effect {
            delta: limits.disturbed_delta,
            ratio: limits.disturbed_ratio,
            risk_difference: limits.disturbed_risk_difference,
            duration_ms: limits.disturbed_increase_ms,
            gap_ms: limits.disturbed_increase_ms.max(limits.gap_increase_ms),
            ..anomaly.enough
        };
        Self {
            enough,
            small: None,
            ..anomaly
        }
    }

    /// How much of an effect a comparison shows. Of metrics of processor time the increase is not
    /// looked at here.
    pub(crate) fn size(&self, comparison: &SignalComparison) -> EffectSize {
        if self.has(&self.enough, comparison) {
            EffectSize::Enough
        } else if self.small.is_some_and(|small| self.has(&small, comparison)) {
            EffectSize::Small
        } else {
            EffectSize::None
        }
    }

    fn has(&self, least: &Effect, comparison: &SignalComparison) -> bool {
        let effect = comparison.effect.value;
        // Where normal time has nothing, anything is many times as much.
        let ratio = comparison.ratio.map_or(f64::INFINITY, |ratio| ratio.value);
        let grows =
            |by: f64| effect >= least.delta && ratio >= least.ratio && comparison.increase >= by;
        match comparison.measure {
            Measure::DurationMs | Measure::OwnDurationMs | Measure::CallDurationMs => {
                grows(least.duration_ms)
            }
            Measure::GapMs => grows(least.gap_ms),
            Measure::PoolWaitMsPerRequest | Measure::LoopDelayMs => grows(least.wait_ms),
            Measure::Waiting => grows(least.waiting),
            Measure::MissShare => effect >= least.miss_share && ratio >= least.ratio,
            Measure::CpuMsPerRequest | Measure::SpansBelow => grows(f64::MIN_POSITIVE),
            Measure::ErrorShare | Measure::OwnErrorShare => effect >= least.risk_difference,
            Measure::NotReachedShare => effect >= least.delta,
            Measure::FewerSpansShare => {
                effect >= least.delta && comparison.reference.n >= self.for_missing as u64
            }
        }
    }
}

impl Effect {
    fn halved(self) -> Self {
        Self {
            duration_ms: self.duration_ms / 2.0,
            gap_ms: self.gap_ms / 2.0,
            wait_ms: self.wait_ms / 2.0,
            waiting: self.waiting / 2.0,
            miss_share: self.miss_share / 2.0,
            ..self
        }
    }
}

//! All thresholds, in one place, with reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What decides. [`Thresholds::default()`] is what the product uses; each value's reason stands
/// with it. They are part of the evidence, so that a reader sees by what windows were evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Thresholds {
    /// Fewest traces through the declared service on either side; with fewer the verdict is
    /// `not_enough_data`. On the window's side all count that were sent while its condition held,
    /// also those which would have met the service in normal time and did not; steady ones alone
    /// would be fewer the slower a fault makes them. 20: with 20 on both sides the 95 % interval of
    /// Cliff's δ is ±0.36 wide where nothing differs, so that the least effect is only just beyond
    /// chance.
    pub least_traces: f64,
    /// Fewest observations of an operation on either side for it to be compared by itself; all
    /// count together in any case. 5: fewer have no median to speak of.
    pub least_observations: usize,
    /// Fewest blocks of time on either side. 4 against 4 have 70 arrangements.
    pub least_blocks: usize,

    /// Largest adjusted p of `supported`. 0.01 and not 0.05: a run of the classic timetable asks
    /// the question seven times, and a label that is wrong costs more than one that is left out.
    pub supported_p: f64,
    /// Largest adjusted p of `weak`, where the effect is as large as it has to be.
    pub weak_p: f64,
    /// Largest q (Benjamini-Hochberg) at which a service counts as affected. 0.1, as is usual for
    /// what is ranked and does not decide.
    pub affected_q: f64,

    /// Blocks of time on each side that are aimed at. Ten against ten have 184,756 arrangements,
    /// more than any p needs; longer blocks do more against the likeness of neighbours.
    pub blocks: usize,
    /// Shortest block where the time allows it, seconds: longer than the waits of a service with a
    /// full pool (its rounds take under 0.5 s), and the interval at which metrics come.
    pub block_s: f64,
    /// Fewest blocks for which blocks of [`Thresholds::block_s`] are kept. Six against six have 924
    /// arrangements: a p of 0.0011, which times six signals is below 0.01.
    pub short_blocks: usize,
    /// Shortest block at all, seconds, where the time is short.
    pub shortest_block_s: f64,
    /// Arrangements of blocks up to which all are gone through; of more, at most as many are drawn.
    /// 5,000: the smallest p is then 0.0002, times six signals 0.0012.
    pub arrangements: usize,

    /// Least effect on durations, gaps, metrics and spans: Cliff's δ. 0.33 is "medium" (Romano et
    /// al. 2006): a random request of the window is slower than one of normal time twice as often
    /// as not.
    pub delta: f64,
    /// And the least ratio of medians (of means, for metrics and spans).
    pub ratio: f64,
    /// Least increase of a median duration, ms. 1 ms, which matters to operations below 5 ms only:
    /// on a machine with other work they move by up to 0.6 ms without any fault, as much as the
    /// kernel lets a thread wait for its turn (its slices are 0.7 to 4 ms), and many clocks have
    /// whole ms.
    pub duration_increase_ms: f64,
    /// Least increase of a median gap between caller and callee, ms. 1 ms, for the same reasons:
    /// gaps are tenths of a ms, so a ratio says little.
    pub gap_increase_ms: f64,
    /// Least increase of processor time, in processors. 0.05: clocks tick at 100 Hz, so that a
    /// second of one processor has steps of 0.01.
    pub cpu_increase: f64,
    /// Least risk difference of errors.
    pub risk_difference: f64,
    /// Least increase of the time that a request waits for a connection, ms, or that a loop is
    /// late. 10 ms: where other work takes the processor for a while the mean rises to 4 ms without
    /// any fault; a pool that is exhausted makes requests wait for tenths of a second.
    pub wait_increase_ms: f64,
    /// Least increase of how many wait, on average.
    pub waiting_increase: f64,
    /// Least increase of the share of lookups that miss. 0.2 and not 0.05: caches that are warm or
    /// cold, and keys that expire before they are asked for again, move it by a tenth without any
    /// fault.
    pub miss_share_increase: f64,
    /// Fewest reference observations for "fewer spans than normal time ever had". 60: what happens
    /// in 5 % of the requests is missing in 60 with a chance of 0.05.
    pub least_for_missing: usize,

    /// Cliff's δ of an effect that is only just too small, and `weak` with a p that supports. 0.147
    /// is the upper end of "negligible" (Romano et al. 2006).
    pub weak_delta: f64,
    /// Its ratio.
    pub weak_ratio: f64,
    /// Its risk difference.
    pub weak_risk_difference: f64,

    /// Cliff's δ of a normal window that is disturbed. 0.474 is "large": load differs between
    /// windows, and a little slower under more load is what normal means.
    pub disturbed_delta: f64,
    /// Its ratio of medians. 2: with four times the load a third slower is usual.
    pub disturbed_ratio: f64,
    /// Its least increase of a median duration, ms.
    pub disturbed_increase_ms: f64,
    /// Its least risk difference of errors.
    pub disturbed_risk_difference: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            least_traces: 20.0,
            least_observations: 5,
            least_blocks: 4,
            supported_p: 0.01,
            weak_p: 0.05,
            affected_q: 0.1,
            blocks: 10,
            block_s: 1.0,
            short_blocks: 6,
            shortest_block_s: 0.5,
            arrangements: 5_000,
            delta: 0.33,
            ratio: 1.2,
            duration_increase_ms: 1.0,
            gap_increase_ms: 1.0,
            cpu_increase: 0.05,
            risk_difference: 0.05,
            wait_increase_ms: 10.0,
            waiting_increase: 1.0,
            miss_share_increase: 0.2,
            least_for_missing: 60,
            weak_delta: 0.147,
            weak_ratio: 1.1,
            weak_risk_difference: 0.025,
            disturbed_delta: 0.474,
            disturbed_ratio: 2.0,
            disturbed_increase_ms: 1.0,
            disturbed_risk_difference: 0.05,
        }
    }
}

//! From values of both sides to comparisons: each operation by itself, and all together, each
//! compared with itself.

use super::least::Least;
use crate::comparison::{
    EffectKind, EffectSize, Estimate, Measure, Measured, SignalComparison, Subject,
};
use crate::statistics::delta::{self, Delta, Values};
use crate::statistics::quantile::median;
use crate::statistics::ratio::{self, Mean};
use crate::statistics::scores::Scores;
use crate::statistics::shares::{self, Share};

/// What is compared with itself and nothing else: an operation, on both sides.
#[derive(Debug, Clone)]
pub(crate) struct Stratum {
    pub(crate) subject: Subject,
    pub(crate) window: Values,
    pub(crate) reference: Values,
}

/// Comparisons whose p is not known yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidates {
    /// What their p is made from.
    pub(crate) strata: Vec<Scores>,
    /// The comparisons.
    pub(crate) list: Vec<Candidate>,
}

/// A comparison whose p is not known yet.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// With a p of 1.
    pub(crate) comparison: SignalComparison,
    /// The strata that it is of.
    pub(crate) of: Vec<usize>,
    /// Something else that has to be as extreme: both have to differ.
    pub(crate) also: Option<Scores>,
}

impl Candidates {
    /// Takes in one, of a stratum of its own.
    pub(crate) fn push(&mut self, candidate: Candidate, of: Scores) {
        self.list.push(Candidate {
            of: vec![self.strata.len()],
            ..candidate
        });
        self.strata.push(of);
    }

    /// Takes in others.
    pub(crate) fn extend(&mut self, other: Self) {
        let first = self.strata.len();
        self.strata.extend(other.strata);
        self.list.extend(other.list.into_iter().map(|candidate| {
            Candidate {
                of: candidate
                    .of
                    .into_iter()
                    .map(|stratum| stratum + first)
                    .collect(),
                ..candidate
            }
        }));
    }
}

/// Strata of one measure.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) measure: Measure,
    pub(crate) strata: Vec<Stratum>,
    /// What all of them together are called; none: they are not taken together.
    pub(crate) together: Option<Subject>,
}

/// A stratum with what was computed of it.
struct Computed {
    subject: Subject,
    n: [usize; 2],
    weight: f64,
    delta: Delta,
    effect: Estimate,
    ratio: Option<Estimate>,
    values: [f64; 2],
    blocks: [usize; 2],
}

impl Group {
    /// A comparison of each stratum that has enough values, and of all together.
    pub(crate) fn candidates(&self, least: &Least) -> Candidates {
        let both = |stratum: &&Stratum| stratum.window.len() > 0 && stratum.reference.len() > 0;
        let strata: Vec<&Stratum> = self.strata.iter().filter(both).collect();
        let computed: Vec<Computed> = strata
            .iter()
            .map(|stratum| Computed::new(stratum, self.measure))
            .collect();
        let enough = |one: &Computed| one.n.iter().all(|n| *n >= least.observations);
        let single = |(index, one): (usize, &Computed)| Candidate {
            comparison: self.comparison(one, least),
            of: vec![index],
            also: None,
        };
        let mut list: Vec<Candidate> = computed
            .iter()
            .enumerate()
            .filter(|(_, one)| enough(one))
            .map(single)
            .collect();
        let total = |side: usize| computed.iter().map(|one| one.n[side]).sum::<usize>();
        let has_enough = (0..2).all(|side| total(side) >= least.observations);
        if let Some(subject) = self
            .together
            .as_ref()
            .filter(|_| has_enough && computed.len() > 1)
        {
            list.push(Candidate {
                comparison: self.pooled(&computed, subject.clone(), least),
                of: (0..computed.len()).collect(),
                also: None,
            });
        }
        let scores = strata.iter().map(|stratum| stratum.scores(self.measure));
        Candidates {
            strata: scores.collect(),
            list,
        }
    }

    fn comparison(&self, one: &Computed, least: &Least) -> SignalComparison {
        let side = |side: usize| Measured {
            n: one.n[side] as u64,
            blocks: one.blocks[side],
            value: Some(one.values[side]),
        };
        let (window, reference) = (side(0), side(1));
        self.sized(
            SignalComparison {
                subject: one.subject.clone(),
                measure: self.measure,
                window,
                reference,
                effect_kind: effect_kind(self.measure),
                effect: one.effect,
                ratio: one.ratio,
                increase: one.values[0] - one.values[1],
                size: EffectSize::None,
                p_alone: 1.0,
                p: 1.0,
            },
            least,
        )
    }

    /// All strata together, weighted as by van Elteren (1960): by n m / (n + m + 1).
    fn pooled(&self, computed: &[Computed], subject: Subject, least: &Least) -> SignalComparison {
        let weights: f64 = computed.iter().map(|one| one.weight).sum();
        let weighted = || computed.iter().map(|one| (one.weight / weights, one));
        let effect = match effect_kind(self.measure) {
            EffectKind::CliffsDelta => delta::pooled(
                &weighted()
                    .map(|(w, one)| (w, &one.delta))
                    .collect::<Vec<_>>(),
            ),
            EffectKind::RiskDifference => within_one(ratio::weighted_sum(
                &weighted()
                    .map(|(w, one)| (w, one.effect))
                    .collect::<Vec<_>>(),
            )),
        };
        let ratios: Vec<(f64, Estimate)> = computed
            .iter()
            .filter_map(|one| Some((one.weight, one.ratio?)))
            .collect();
        let all: f64 = ratios.iter().map(|(weight, _)| weight).sum();
        let ratios: Vec<_> = ratios
            .into_iter()
            .map(|(weight, ratio)| (weight / all, ratio))
            .collect();
        let mean =
            |value: fn(&Computed) -> f64| weighted().map(|(w, one)| w * value(one)).sum::<f64>();
        let values = [mean(|one| one.values[0]), mean(|one| one.values[1])];
        let is_median = center(self.measure) == Center::Median;
        let side = |side: usize| Measured {
            n: computed.iter().map(|one| one.n[side] as u64).sum(),
            blocks: computed
                .iter()
                .map(|one| one.blocks[side])
                .max()
                .unwrap_or(0),
            value: (!is_median).then_some(values[side]),
        };
        let (window, reference) = (side(0), side(1));
        let comparison = SignalComparison {
            subject,
            measure: self.measure,
            window,
            reference,
            effect_kind: effect_kind(self.measure),
            effect,
            ratio: ratio::geometric_mean(&ratios),
            increase: values[0] - values[1],
            size: EffectSize::None,
            p_alone: 1.0,
            p: 1.0,
        };
        self.sized(comparison, least)
    }

    fn sized(&self, comparison: SignalComparison, least: &Least) -> SignalComparison {
        let size = least.size(&comparison);
        SignalComparison { size, ..comparison }
    }
}

impl Computed {
    fn new(stratum: &Stratum, measure: Measure) -> Self {
        let (window, reference) = (&stratum.window, &stratum.reference);
        let delta = Delta::new(window, reference);
        let (n, m) = (window.len() as f64, reference.len() as f64);
        let fewer = delta.design_effect();
        let effective = ((n / fewer).max(1.0), (m / fewer).max(1.0));
        let values = match center(measure) {
            _ if measure == Measure::FewerSpansShare => {
                let fewest = reference.sorted()[0];
                let fewer = window.sorted().partition_point(|spans| *spans < fewest);
                [fewer as f64 / n, 0.0]
            }
            Center::Median => [median(window.sorted()), median(reference.sorted())],
            Center::Mean => [window.mean(), reference.mean()],
        };
        let effect = match effect_kind(measure) {
            EffectKind::CliffsDelta => delta.estimate(),
            EffectKind::RiskDifference => {
                let share = |value: f64, n: f64| Share { value, n };
                let (a, b) = (share(values[0], effective.0), share(values[1], effective.1));
                let (low, high) = shares::newcombe(a, b);
                Estimate {
                    value: values[0] - values[1],
                    low,
                    high,
                }
            }
        };
        let ratio = match (effect_kind(measure), center(measure)) {
            (EffectKind::RiskDifference, _) => None,
            (_, Center::Median) => {
                ratio::of_medians(window.sorted(), reference.sorted(), effective)
            }
            (_, Center::Mean) => {
                ratio::of_means(mean(window, effective.0), mean(reference, effective.1))
            }
        };
        Self {
            subject: stratum.subject.clone(),
            n: [window.len(), reference.len()],
            weight: n * m / (n + m + 1.0),
            delta,
            effect,
            ratio,
            values,
            blocks: [window.blocks_with_values(), reference.blocks_with_values()],
        }
    }
}

impl Stratum {
    /// The ranks of the values of both sides together. Of fewer spans than ever in normal time it is
    /// only asked which values those are: an exceedance test (Mathisen 1943).
    pub(crate) fn scores(&self, measure: Measure) -> Scores {
        let pairs = self.window.pairs().chain(self.reference.pairs());
        Scores::ranks(match (measure, self.reference.sorted().first()) {
            (Measure::FewerSpansShare, Some(fewest)) => pairs
                .map(|(value, block)| (f64::from(u8::from(value < *fewest)), block))
                .collect(),
            _ => pairs.collect(),
        })
    }
}

fn mean(values: &Values, effective: f64) -> Mean {
    let (mean, n) = (values.mean(), values.len() as f64);
    let squares: f64 = values
        .sorted()
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum();
    Mean {
        value: mean,
        error: (squares / (n - 1.0).max(1.0) / effective).sqrt(),
    }
}

fn within_one(estimate: Estimate) -> Estimate {
    Estimate {
        low: estimate.low.max(-1.0),
        high: estimate.high.min(1.0),
        ..estimate
    }
}

#[derive(PartialEq)]
enum Center {
    Median,
    Mean,
}

fn center(measure: Measure) -> Center {
    match measure {
        Measure::DurationMs | Measure::OwnDurationMs | Measure::GapMs | Measure::CallDurationMs => {
            Center::Median
        }
        _ => Center::Mean,
    }
}

fn effect_kind(measure: Measure) -> EffectKind {
    match measure {
        Measure::ErrorShare
        | Measure::OwnErrorShare
        | Measure::NotReachedShare
        | Measure::FewerSpansShare => EffectKind::RiskDifference,
        _ => EffectKind::CliffsDelta,
    }
}

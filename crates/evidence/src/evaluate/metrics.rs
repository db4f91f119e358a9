//! Metrics, block by block: what the points of a block say together, over the requests of the same
//! time.

use std::collections::BTreeMap;

use super::blocks::At;
use super::compare::{Candidate, Candidates};
use super::least::Least;
use super::strata::Sides;
use crate::comparison::{
    EffectKind, EffectSize, Estimate, Measure, Measured, SignalComparison, Subject,
};
use crate::metric::{
    Lookup, Saturation, cpu_preference, figure_name, is_idle, lookup, saturation, seconds_in,
};
use crate::sample::{Cell, Series};
use crate::statistics::delta::{Delta, Values};
use crate::statistics::ratio::{self, Mean};
use crate::statistics::scores::{Scores, Total, TotalKind};
use crate::statistics::shares::{Share, newcombe};
use crate::thresholds::Thresholds;
use crate::time::{Interval, SECOND_NS};

/// What the points in one block say.
#[derive(Debug, Clone, Copy, Default)]
struct InBlock {
    /// Time that increases speak of, Unix ns; empty where there are none.
    covered: Option<Interval>,
    /// Sum of increases and of sums of measurements.
    increase: f64,
    /// Sum over series of their mean levels.
    level: f64,
}

/// A series with what was kept of it.
type Kept<'a> = (&'a Series, &'a BTreeMap<u32, Cell>);

impl<'a> Sides<'a> {
    fn series(&self, service: &str) -> impl Iterator<Item = Kept<'a>> {
        let first = Series {
            service: service.to_owned(),
            metric: String::new(),
            unit: String::new(),
            attributes: String::new(),
        };
        let service = service.to_owned();
        self.sample
            .series
            .range(first..)
            .take_while(move |(series, _)| series.service == service)
    }

    /// What these series say in each block of a side, of points that lie in steady time as a whole.
    fn in_blocks(&self, series: &[Kept<'_>], side: At) -> BTreeMap<usize, InBlock> {
        let mut blocks: BTreeMap<usize, InBlock> = BTreeMap::new();
        for (series, cells) in series {
            let unit = seconds_in(&series.unit);
            let mut levels: BTreeMap<usize, (f64, u64)> = BTreeMap::new();
            for cell in cells.values() {
                let steady = self
                    .intervals(side)
                    .iter()
                    .any(|steady| steady.from_ns <= cell.from_ns && cell.to_ns <= steady.to_ns);
                let middle = cell.from_ns + (cell.to_ns - cell.from_ns) / 2;
                let Some(block) = self.blocks.block(side, middle).filter(|_| steady) else {
                    continue;
                };
                let level = levels.entry(block).or_default();
                level.0 += cell.value() * unit;
                level.1 += cell.points;
                let sum = blocks.entry(block).or_default();
                sum.increase += cell.value() * unit;
                let here = Interval::new(cell.from_ns, cell.to_ns);
                sum.covered = Some(sum.covered.map_or(here, |covered| {
                    Interval::new(
                        covered.from_ns.min(here.from_ns),
                        covered.to_ns.max(here.to_ns),
                    )
                }));
            }
            for (block, (sum, points)) in levels {
                blocks.entry(block).or_default().level += sum / points as f64;
            }
        }
        blocks
    }

    /// Totals of all blocks of both sides; of blocks that have one.
    fn totals(&self, total: impl Fn(At, usize) -> Option<(f64, f64)>) -> [Vec<Total>; 2] {
        let window = 0..self.blocks.count(At::Window);
        let reference = window.end..self.blocks.total();
        let totals = |side: At, blocks: std::ops::Range<usize>| -> Vec<Total> {
            let total = |block: usize| {
                let (sum, of) = total(side, block)?;
                (of > 0.0).then_some(Total { block, sum, of })
            };
            blocks.filter_map(total).collect()
        };
        [totals(At::Window, window), totals(At::Reference, reference)]
    }

    /// Processor time a request of a service. Two things have to differ: the time a request, and
    /// the time a second (an intersection-union test; Berger 1982). A service that gets fewer
    /// requests than before needs more time for each, because it also spends some without any.
    pub(crate) fn cpu(
        &self,
        service: &str,
        least: &Least,
        limits: &Thresholds,
    ) -> Result<Candidates, String> {
        let preference =
            |(series, _): &Kept<'_>| cpu_preference(&series.metric).filter(|_| !is_idle(series));
        let best = self
            .series(service)
            .filter_map(|kept| Some((preference(&kept)?, kept.0)));
        let (best, named) = best.min().ok_or("it sends no metric of processor time")?;
        let chosen: Vec<Kept<'_>> = self
            .series(service)
            .filter(|kept| preference(kept) == Some(best) && kept.0.metric == named.metric)
            .collect();
        let in_blocks = [At::Window, At::Reference].map(|side| self.in_blocks(&chosen, side));
        let seconds = |interval: Interval| interval.length_ns() as f64 / SECOND_NS as f64;
        // Processor seconds, and the time in which they were spent.
        let spent = |side: At, block: usize| {
            let here = in_blocks[usize::from(side == At::Reference)].get(&block)?;
            if best.is_level() {
                let whole = self.blocks.interval(block)?;
                return Some((here.level * seconds(whole), whole));
            }
            Some((here.increase, here.covered?))
        };
        let a_second = self.totals(|side, block| {
            let (spent, time) = spent(side, block)?;
            Some((spent, seconds(time)))
        });
        let a_request = self.totals(|side, block| {
            let (spent, time) = spent(side, block)?;
            Some((spent * 1e3, self.sample.requests(service, time)))
        });
        let subject = Subject::Metric {
            service: service.to_owned(),
            metric: named.metric.clone(),
        };
        let mut candidate = of_totals(Measure::CpuMsPerRequest, subject, &a_request, least)?;
        candidate.also = Some(scores(&a_second, TotalKind::Amounts));
        let (more, before) = (mean(&a_second[0]).value, mean(&a_second[1]).value);
        let small =
            more - before >= limits.cpu_increase / 2.0 && more >= before * limits.weak_ratio;
        let enough = more - before >= limits.cpu_increase && more >= before * limits.ratio;
        let size = match (enough, small) {
            (true, _) => EffectSize::Enough,
            (false, true) => EffectSize::Small,
            (false, false) => EffectSize::None,
        };
        candidate.comparison.size = candidate.comparison.size.min(size);
        let mut candidates = Candidates::default();
        candidates.push(candidate, scores(&a_request, TotalKind::Amounts));
        Ok(candidates)
    }

    /// All saturation figures that a service has.
    pub(crate) fn saturation(&self, service: &str, least: &Least) -> Result<Candidates, String> {
        let mut figures: BTreeMap<(&str, Saturation), Vec<Kept<'_>>> = BTreeMap::new();
        for kept in self.series(service) {
            let Some(what) = saturation(&kept.0.metric) else {
                continue;
            };
            figures
                .entry((figure_name(&kept.0.metric), what))
                .or_default()
                .push(kept);
        }
        let mut problem = "it sends no metric of waits, queues or caches".to_owned();
        let mut candidates = Candidates::default();
        for ((name, what), series) in figures {
            let subject = Subject::Metric {
                service: service.to_owned(),
                metric: name.to_owned(),
            };
            let (measure, totals) = self.figure(service, what, &series);
            match of_totals(measure, subject, &totals, least) {
                Ok(candidate) => candidates.push(candidate, scores(&totals, kind(measure))),
                Err(reason) => problem = reason,
            }
        }
        if candidates.list.is_empty() {
            Err(problem)
        } else {
            Ok(candidates)
        }
    }

    fn figure(
        &self,
        service: &str,
        what: Saturation,
        series: &[Kept<'_>],
    ) -> (Measure, [Vec<Total>; 2]) {
        let sides = |series: &[Kept<'_>]| {
            [At::Window, At::Reference].map(|side| self.in_blocks(series, side))
        };
        let find = |totals: &[BTreeMap<usize, InBlock>; 2], side: At, block: usize| {
            totals[usize::from(side == At::Reference)]
                .get(&block)
                .copied()
        };
        match what {
            Saturation::PoolWait => {
                let all = sides(series);
                let totals = self.totals(|side, block| {
                    let here = find(&all, side, block)?;
                    Some((
                        here.increase * 1e3,
                        self.sample.requests(service, here.covered?),
                    ))
                });
                (Measure::PoolWaitMsPerRequest, totals)
            }
            Saturation::Waiting | Saturation::LoopDelay => {
                let (measure, scale) = match what {
                    Saturation::LoopDelay => (Measure::LoopDelayMs, 1e3),
                    _ => (Measure::Waiting, 1.0),
                };
                let all = sides(series);
                let level = |side, block| Some((find(&all, side, block)?.level * scale, 1.0));
                (measure, self.totals(level))
            }
            Saturation::CacheMisses => {
                let of = |which: Lookup| -> Vec<Kept<'_>> {
                    series
                        .iter()
                        .copied()
                        .filter(|kept| lookup(kept.0) == Some(which))
                        .collect()
                };
                let (hits, misses) = (sides(&of(Lookup::Hit)), sides(&of(Lookup::Miss)));
                let totals = self.totals(|side, block| {
                    let count = |of| find(of, side, block).map_or(0.0, |here| here.increase);
                    let misses = count(&misses);
                    Some((misses, misses + count(&hits)))
                });
                (Measure::MissShare, totals)
            }
        }
    }
}

fn kind(measure: Measure) -> TotalKind {
    match measure {
        Measure::MissShare => TotalKind::Events,
        _ => TotalKind::Amounts,
    }
}

fn scores(totals: &[Vec<Total>; 2], kind: TotalKind) -> Scores {
    Scores::totals(&totals.concat(), kind)
}

/// All totals of a side over all that they are of. The standard error of such a ratio comes from
/// how far blocks are from it (Cochran 1977, 6.4).
fn mean(totals: &[Total]) -> Mean {
    let of: f64 = totals.iter().map(|total| total.of).sum();
    let value = totals.iter().map(|total| total.sum).sum::<f64>() / of;
    let squares: f64 = totals
        .iter()
        .map(|total| (total.sum - value * total.of).powi(2))
        .sum();
    let blocks = totals.len() as f64;
    Mean {
        value,
        error: (squares * blocks / (blocks - 1.0).max(1.0)).sqrt() / of,
    }
}

/// The comparison of a metric's totals.
fn of_totals(
    measure: Measure,
    subject: Subject,
    totals: &[Vec<Total>; 2],
    least: &Least,
) -> Result<Candidate, String> {
    if totals.iter().any(|side| side.len() < least.blocks) {
        return Err(format!(
            "{subject} has too few points that lie in steady time as a whole"
        ));
    }
    let [window, reference] = totals.each_ref().map(|side| mean(side));
    let (effect_kind, effect) = match kind(measure) {
        TotalKind::Events => (EffectKind::RiskDifference, risk_difference(totals)),
        TotalKind::Amounts => {
            let [a, b] = totals.each_ref().map(|side| {
                Values::new(
                    side.iter()
                        .map(|total| (total.sum / total.of, total.block))
                        .collect(),
                )
            });
            (EffectKind::CliffsDelta, Delta::new(&a, &b).estimate())
        }
    };
    let side = |side: usize, mean: Mean| Measured {
        n: totals[side].len() as u64,
        blocks: totals[side].len(),
        value: Some(mean.value),
    };
    let comparison = SignalComparison {
        subject,
        measure,
        window: side(0, window),
        reference: side(1, reference),
        effect_kind,
        effect,
        ratio: ratio::of_means(window, reference),
        increase: window.value - reference.value,
        size: EffectSize::None,
        p_alone: 1.0,
        p: 1.0,
    };
    let size = least.size(&comparison);
    Ok(Candidate {
        comparison: SignalComparison { size, ..comparison },
        of: Vec::new(),
        also: None,
    })
}

/// The difference of two shares, of which each is worth as many as its blocks, which are alike
/// within, leave of it.
fn risk_difference(totals: &[Vec<Total>; 2]) -> Estimate {
    let [a, b] = totals.each_ref().map(|side| {
        let of: f64 = side.iter().map(|total| total.of).sum();
        let Mean { value, error } = mean(side);
        let independent = value * (1.0 - value) / of;
        let effect = if independent > 0.0 {
            error * error / independent
        } else {
            1.0
        };
        Share {
            value,
            n: (of / effect.max(1.0)).max(1.0),
        }
    });
    let (low, high) = newcombe(a, b);
    Estimate {
        value: a.value - b.value,
        low,
        high,
    }
}

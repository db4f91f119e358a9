//! Metrics, block by block: what the points of a block say together, over the requests of the same
//! time.

use std::collections::BTreeMap;

use super::blocks::At;
use super::compare::{Candidates, Group, Stratum};
use super::least::Least;
use super::strata::Sides;
use crate::evidence::{EffectSize, Measure, Subject};
use crate::metric::{
    Lookup, Saturation, cpu_preference, figure_name, is_idle, lookup, saturation, seconds_in,
};
use crate::sample::{Cell, Series};
use crate::statistics::delta::Values;
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

    /// A stratum with one value for each block of each side.
    fn by_block(&self, subject: &Subject, value: impl Fn(At, usize) -> Option<f64>) -> Stratum {
        let window = 0..self.blocks.count(At::Window);
        let reference = window.end..self.blocks.total();
        let values = |side: At, blocks: std::ops::Range<usize>| {
            Values::new(
                blocks
                    .filter_map(|block| Some((value(side, block)?, block)))
                    .collect(),
            )
        };
        Stratum {
            subject: subject.clone(),
            window: values(At::Window, window),
            reference: values(At::Reference, reference),
        }
    }

    /// Processor time a request of a service. Two things have to differ: the time a request, and the
    /// time a second (an intersection-union test; Berger 1982). A service that gets fewer requests
    /// than before needs more time for each, because it also spends some without any.
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
        let is_level = best == 3;
        let totals = [At::Window, At::Reference].map(|side| self.in_blocks(&chosen, side));
        let of = |side: At, block: usize| match side {
            At::Window => totals[0].get(&block),
            At::Reference => totals[1].get(&block),
        };
        let per_second = |side: At, block: usize| {
            let total = of(side, block)?;
            let seconds = total.covered?.length_ns() as f64 / SECOND_NS as f64;
            match is_level {
                true => Some(total.level),
                false => (seconds > 0.0).then(|| total.increase / seconds),
            }
        };
        let per_request = |side: At, block: usize| {
            let covered = match is_level {
                true => self.blocks.interval(block)?,
                false => of(side, block)?.covered?,
            };
            let seconds = covered.length_ns() as f64 / SECOND_NS as f64;
            let requests = self.sample.requests(service, covered);
            (requests > 0.0).then(|| Some(per_second(side, block)? * seconds / requests * 1e3))?
        };
        let subject = Subject::Metric {
            service: service.to_owned(),
            metric: named.metric.clone(),
        };
        let seconds = self.by_block(&subject, per_second);
        let requests = self.by_block(&subject, per_request);
        let mut candidates = self.one(Measure::CpuMsPerRequest, requests, least)?;
        let candidate = &mut candidates.list[0];
        candidate.also = Some(seconds.ranks(1.0));
        let (more, before) = (seconds.window.mean(), seconds.reference.mean());
        let small =
            more - before >= limits.cpu_increase / 2.0 && more >= before * limits.weak_ratio;
        let enough = more - before >= limits.cpu_increase && more >= before * limits.ratio;
        let size = match (enough, small) {
            (true, _) => EffectSize::Enough,
            (false, true) => EffectSize::Small,
            (false, false) => EffectSize::None,
        };
        candidate.comparison.size = candidate.comparison.size.min(size);
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
        if figures.is_empty() {
            return Err("it sends no metric of waits, queues or caches".to_owned());
        }
        let mut problem = String::new();
        let mut candidates = Candidates::default();
        for ((name, what), series) in figures {
            let subject = Subject::Metric {
                service: service.to_owned(),
                metric: name.to_owned(),
            };
            let (measure, stratum) = self.figure(service, &subject, what, &series);
            match self.one(measure, stratum, least) {
                Ok(figure) => candidates.extend(figure),
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
        subject: &Subject,
        what: Saturation,
        series: &[Kept<'_>],
    ) -> (Measure, Stratum) {
        let sides = |series: &[Kept<'_>]| {
            [At::Window, At::Reference].map(|side| self.in_blocks(series, side))
        };
        let find = |totals: &[BTreeMap<usize, InBlock>; 2], side: At, block: usize| {
            totals[usize::from(side == At::Reference)]
                .get(&block)
                .copied()
        };
        let all = sides(series);
        match what {
            Saturation::PoolWait => {
                let value = |side: At, block: usize| {
                    let total = find(&all, side, block)?;
                    let requests = self.sample.requests(service, total.covered?);
                    (requests > 0.0).then(|| total.increase / requests * 1e3)
                };
                (Measure::PoolWaitMsPerRequest, self.by_block(subject, value))
            }
            Saturation::Waiting | Saturation::LoopDelay => {
                let (measure, scale) = match what {
                    Saturation::LoopDelay => (Measure::LoopDelayMs, 1e3),
                    _ => (Measure::Waiting, 1.0),
                };
                let value = |side: At, block: usize| Some(find(&all, side, block)?.level * scale);
                (measure, self.by_block(subject, value))
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
                let value = |side: At, block: usize| {
                    let count = |of| find(of, side, block).map_or(0.0, |total| total.increase);
                    let (hits, misses) = (count(&hits), count(&misses));
                    (hits + misses > 0.0).then(|| misses / (hits + misses))
                };
                (Measure::MissShare, self.by_block(subject, value))
            }
        }
    }

    /// The comparison of one stratum of blocks.
    fn one(&self, measure: Measure, stratum: Stratum, least: &Least) -> Result<Candidates, String> {
        let subject = stratum.subject.clone();
        let group = Group {
            measure,
            strata: vec![stratum],
            together: None,
        };
        let candidates = group.candidates(&least.of_blocks());
        match candidates.list.is_empty() {
            true => Err(format!(
                "{subject} has too few points that lie in steady time as a whole"
            )),
            false => Ok(candidates),
        }
    }
}

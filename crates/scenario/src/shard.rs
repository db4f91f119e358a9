//! Several generators for one run: which VUs and which iterations are whose.
//!
//! There is one schedule, that of the whole run, and each of N shards does a part of it, as k6's
//! execution segments do. VU v is that of shard v mod N. Iterations are dealt out by [`Stripe`]: of
//! executors that deal a fixed schedule to VUs (arrival rates, `shared-iterations`), in proportion to
//! the VUs that each shard has, so that none has iterations without VUs; of those whose VUs loop,
//! iteration k is that of shard k mod N, and how many there are is up to the VUs.
//!
//! Numbers of iterations are those of the whole run, so all choices that follow from (seed, scenario,
//! number) are made as one generator would.

use serde::{Deserialize, Serialize};

use crate::plan::Executor;

/// The most shards that a run can have.
pub const MOST_SHARDS: u32 = 1024;

/// One of the generators of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The only generator of a run.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Shard `index`, from 0, of `count`; none where that makes no sense.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (index < count && count <= MOST_SHARDS).then_some(Self { index, count })
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether it is the only one.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// How many of the first `all` VUs are this shard's.
    pub fn vus(self, all: u32) -> u32 {
        all.saturating_sub(self.index).div_ceil(self.count)
    }

    /// How many iterations an executor is to make here; none: as many as there is time for.
    pub fn iterations_to_make(self, executor: &Executor) -> Option<u64> {
        match executor {
            Executor::PerVuIterations {
                vus, iterations, ..
            } => Some(iterations.saturating_mul(self.vus(*vus).into())),
            Executor::SharedIterations { iterations, .. } => {
                Some(self.stripe(executor).among(*iterations))
            }
            _ => None,
        }
    }

    /// The iterations of an executor that are this shard's.
    pub fn stripe(self, executor: &Executor) -> Stripe {
        match executor {
            Executor::ConstantArrivalRate { .. }
            | Executor::RampingArrivalRate { .. }
            | Executor::SharedIterations { .. } => self.in_proportion(executor.most_vus()),
            _ => Stripe {
                period: self.count.into(),
                places: vec![self.index.into()],
            },
        }
    }

    /// Deals a period of places to the shards in proportion to their VUs: each place to the first
    /// that is not ahead of its share, those with more VUs first.
    fn in_proportion(self, vus: u32) -> Stripe {
        // What nobody has a VU for is the first shard's, which drops it.
        let vus = vus.max(1);
        let shards = (0..self.count).map(|index| Self { index, ..self });
        // By falling number of VUs already, as the first shards have the odd ones.
        let weights: Vec<u64> = shards.map(|shard| shard.vus(vus).into()).collect();
        let common = weights
            .iter()
            .fold(0, |a, b| greatest_common_divisor(a, *b));
        let period = u64::from(vus) / common;
        let mut dealt = vec![0; weights.len()];
        let mut places = Vec::new();
        for place in 0..period {
            let is_due = |(weight, dealt): (&u64, &u64)| {
                let has_more = *dealt * common < *weight;
                has_more && *dealt * u64::from(vus) <= place * weight
            };
            let Some(whose) = weights.iter().zip(&dealt).position(is_due) else {
                continue;
            };
            dealt[whose] += 1;
            if whose == self.index as usize {
                places.push(place);
            }
        }
        Stripe { period, places }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        b => greatest_common_divisor(b, a % b),
    }
}

/// Which numbers of a sequence that is dealt out are one shard's: the same places of each period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripe {
    /// At least 1.
    period: u64,
    /// In order, each below the period. Empty: nothing is this shard's.
    places: Vec<u64>,
}

impl Stripe {
    /// Of the numbers that are this shard's the n-th, from 0; none: it has none, or not so many.
    pub fn nth(&self, n: u64) -> Option<u64> {
        let each = self.places.len() as u64;
        let place = self
            .places
            .get(usize::try_from(n.checked_rem(each)?).ok()?)?;
        (n / each).checked_mul(self.period)?.checked_add(*place)
    }

    /// Whether a number is this shard's.
    pub fn holds(&self, number: u64) -> bool {
        let place = number % self.period;
        self.places.binary_search(&place).is_ok()
    }

    /// How many of the first `all` numbers are this shard's.
    pub fn among(&self, all: u64) -> u64 {
        let each = self.places.len() as u64;
        let rest = self
            .places
            .partition_point(|place| *place < all % self.period);
        (all / self.period).saturating_mul(each) + rest as u64
    }

    /// The share of all numbers that is this shard's, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.places.len() as f64 / self.period as f64
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;

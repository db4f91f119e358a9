//! Faults at random times, drawn from the seed: how many, which, where, how strong, how long, when,
//! and which of them are shams. A pure function of what is wanted; the draws are those of
//! `docs/prng.md`, of streams whose names no scenario can have.
//!
//! The lengths are drawn first. Then all of them are moved together towards their longest, or their
//! shortest, until the share of windows that are anomalous is the one that is wanted. What is left of
//! the time is dealt out evenly between the episodes, so that every placement is as likely as any
//! other.

use crate::file::{Bounds, Guard};
use crate::judged::expected_windows;
use crate::prng::Prng;

/// The most episodes of a plan.
pub(crate) const MOST_EPISODES: u64 = 10_000;

const MS: u64 = 1_000_000;

/// A compound is cut into three: its first fault, both, its second.
const PARTS: u64 = 3;

// Sites of the streams `episodes/faults` and `episodes/shams`, of which the number of the episode is
// the iteration.
const LENGTH: u32 = 0;
const SERVICE: u32 = 1;
const INTENSITY: u32 = 2;
const IS_COMPOUND: u32 = 3;
const SECOND: u32 = 4;
const SECOND_SERVICE: u32 = 5;
const SECOND_INTENSITY: u32 = 6;

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'w> {
    pub(crate) seed: u64,
    /// Length of the time in which they may be.
    pub(crate) length_ns: u64,
    /// How long the start of that time counts as transition.
    pub(crate) guard_ns: u64,
    /// Share of judged windows that are anomalous, above 0 and below 1.
    pub(crate) share: f64,
    /// The least time between two.
    pub(crate) apart_ns: u64,
    /// Share of shams among all, below 1.
    pub(crate) shams: f64,
    /// Share of compounds among those that are no shams.
    pub(crate) compound: f64,
    /// What there is to be injected; at least one, and two for compounds.
    pub(crate) kinds: &'w [Kind],
    /// Of each window.
    pub(crate) guard: Guard,
}

/// A fault that there is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kind {
    pub(crate) weight: u32,
    /// Of how many services one is drawn.
    pub(crate) services: u32,
    pub(crate) intensity: Bounds,
    /// Shortest and longest.
    pub(crate) length_ns: (u64, u64),
}

/// A fault that was drawn, or a sham.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawn {
    /// Number of its episode, from 1 in the order of time.
    pub(crate) episode: u64,
    /// Which of a compound it is, 1 or 2.
    pub(crate) part: Option<u32>,
    /// From the start of the time in which they may be.
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) what: What,
    pub(crate) sham: bool,
}

/// Which fault, where, how strong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct What {
    /// Position in [`Wanted::kinds`].
    pub(crate) kind: usize,
    /// Position among its services.
    pub(crate) service: usize,
    pub(crate) intensity: f64,
}

/// Why nothing can be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Refused {
    /// No window of 5 s lies in one.
    TooShort,
    /// They and the time between them need more than there is.
    NoRoom { needed_ns: u64 },
    /// More than [`MOST_EPISODES`].
    TooMany,
    /// One alone is a greater share than is wanted.
    TooLong { share: f64 },
}

#[derive(Debug, Clone)]
struct Episode {
    what: What,
    second: Option<What>,
    sham: bool,
    /// As drawn.
    length_ns: u64,
}

/// Draws them, in the order of time.
pub(crate) fn draw(wanted: &Wanted<'_>) -> Result<Vec<Drawn>, Refused> {
    let (faults, shams) = wanted.numbers()?;
    let faults = (0..faults).map(|number| wanted.episode("faults", number));
    let shams = (0..shams).map(|number| wanted.episode("shams", number));
    let episodes: Vec<Episode> = faults.chain(shams).collect();
    let lengths = wanted.fitted(&episodes)?;
    let number = episodes.len() as u64;
    let all_ns: u64 = lengths.iter().sum::<u64>() + number.saturating_sub(1) * wanted.apart_ns;
    let free_ns = wanted
        .length_ns
        .checked_sub(all_ns)
        .ok_or(Refused::NoRoom { needed_ns: all_ns })?;
    let times = Prng::new(wanted.seed, "episodes/times");
    let mut starts: Vec<u64> = (0..number)
        .map(|number| times.range(number, 0, 0, (free_ns / MS) as i64) as u64 * MS)
        .collect();
    starts.sort_unstable();
    let mut drawn = Vec::with_capacity(episodes.len());
    let mut before_ns = 0;
    for (place, (start, index)) in starts
        .into_iter()
        .zip(shuffled(wanted.seed, "episodes/order", 0, episodes.len()))
        .enumerate()
    {
        let start_ns = start + before_ns;
        before_ns += lengths[index] + wanted.apart_ns;
        let (from, to) = (start_ns, start_ns + lengths[index]);
        episodes[index].place(place as u64 + 1, from, to, &mut drawn);
    }
    Ok(drawn)
}

impl Episode {
    fn place(&self, episode: u64, from: u64, to: u64, drawn: &mut Vec<Drawn>) {
        let one = Drawn {
            episode,
            part: None,
            start_ns: from,
            end_ns: to,
            what: self.what,
            sham: self.sham,
        };
        let Some(second) = self.second else {
            drawn.push(one);
            return;
        };
        let third = (to - from) / PARTS;
        drawn.push(Drawn {
            part: Some(1),
            end_ns: to - third,
            ..one
        });
        drawn.push(Drawn {
            part: Some(2),
            start_ns: from + third,
            what: second,
            ..one
        });
    }
}

impl Wanted<'_> {
    /// How many faults and how many shams: with lengths as they are on average the share comes nearest
    /// to the one that is wanted.
    fn numbers(&self) -> Result<(u64, u64), Refused> {
        let of_kind = |kind: &Kind| {
            let length_ns = (kind.length_ns.0 + kind.length_ns.1) / 2;
            let single = self.windows_of(length_ns, false);
            let both = match self.compound > 0.0 {
                true => self.windows_of(length_ns, true),
                false => 0.0,
            };
            let windows = single * (1.0 - self.compound) + both * self.compound;
            [
                length_ns as f64,
                self.guard_of(length_ns) as f64,
                windows,
                single,
            ]
        };
        let weights: f64 = self.kinds.iter().map(|kind| f64::from(kind.weight)).sum();
        let mut means = [0.0; 4];
        for kind in self.kinds {
            let share = f64::from(kind.weight) / weights;
            for (mean, of) in means.iter_mut().zip(of_kind(kind)) {
                *mean += of * share;
            }
        }
        let [length_ns, guard_ns, windows, of_sham] = means;
        if windows <= 0.0 {
            return Err(Refused::TooShort);
        }
        let share = |faults: u64| {
            let (faults, all) = (faults as f64, (faults + self.shams_with(faults)) as f64);
            let stretch_ns = self.length_ns as f64 - self.guard_ns as f64 + guard_ns
                - all * (length_ns + guard_ns);
            let normal = expected_in_pieces(stretch_ns, all) + (all - faults) * of_sham;
            faults * windows / (faults * windows + normal)
        };
        let mut before = 0.0;
        for faults in 1..=MOST_EPISODES {
            let all = faults + self.shams_with(faults);
            let needed_ns = all as f64 * length_ns + (all - 1) as f64 * self.apart_ns as f64;
            if needed_ns > self.length_ns as f64 {
                let needed_ns = needed_ns as u64;
                return Err(Refused::NoRoom { needed_ns });
            }
            let share = share(faults);
            if share >= self.share {
                let is_nearer = self.share - before < share - self.share;
                let faults = faults - u64::from(is_nearer && faults > 1);
                return Ok((faults, self.shams_with(faults)));
            }
            before = share;
        }
        Err(Refused::TooMany)
    }

    fn shams_with(&self, faults: u64) -> u64 {
        (faults as f64 * self.shams / (1.0 - self.shams)).round() as u64
    }

    /// The n-th that is drawn of the faults or of the shams.
    fn episode(&self, of: &str, number: u64) -> Episode {
        let prng = Prng::new(self.seed, &format!("episodes/{of}"));
        let kind = self.dealt(of, number);
        let second = (of == "faults" && prng.unit(number, IS_COMPOUND) < self.compound)
            .then(|| self.other(prng.unit(number, SECOND), kind))
            .flatten()
            .map(|kind| self.what(prng, number, kind, [SECOND_SERVICE, SECOND_INTENSITY]));
        let (shortest, longest) = self.kinds[kind].length_ns;
        let [low, high] = [shortest / MS, longest / MS].map(|ms| ms as i64);
        Episode {
            what: self.what(prng, number, kind, [SERVICE, INTENSITY]),
            second,
            sham: of == "shams",
            length_ns: prng.range(number, LENGTH, low, high) as u64 * MS,
        }
    }

    fn what(&self, prng: Prng, number: u64, kind: usize, [service, intensity]: [u32; 2]) -> What {
        let of = &self.kinds[kind];
        let Bounds { low, high } = of.intensity;
        let drawn = low + prng.unit(number, intensity) * (high - low);
        // Two digits are enough, where they stay within the bounds.
        let intensity = ((drawn * 100.0).round() / 100.0).clamp(low, high);
        What {
            kind,
            service: prng.index(number, service, of.services) as usize,
            intensity,
        }
    }

    /// Faults are dealt out like cards: each comes as often as its weight says before any comes again.
    fn dealt(&self, of: &str, number: u64) -> usize {
        let cards: Vec<usize> = (self.kinds.iter().enumerate())
            .flat_map(|(kind, of)| std::iter::repeat_n(kind, of.weight as usize))
            .collect();
        let (deck, card) = (number / cards.len() as u64, number % cards.len() as u64);
        let stream = format!("episodes/{of}/deck");
        cards[shuffled(self.seed, &stream, deck, cards.len())[card as usize]]
    }

    /// Another kind than one, by its weight.
    fn other(&self, unit: f64, than: usize) -> Option<usize> {
        let others = || (self.kinds.iter().enumerate()).filter(|(kind, _)| *kind != than);
        let weights: u32 = others().map(|(_, kind)| kind.weight).sum();
        let mut left = (unit * f64::from(weights)) as u32;
        for (index, kind) in others() {
            if left < kind.weight {
                return Some(index);
            }
            left -= kind.weight;
        }
        None
    }

    /// The lengths with which the share of anomalous windows is the one that is wanted, or as near to it
    /// as their bounds allow.
    fn fitted(&self, episodes: &[Episode]) -> Result<Vec<u64>, Refused> {
        let lengths = |by: f64| -> Vec<u64> {
            episodes
                .iter()
                .map(|one| moved(one.length_ns, self.kinds[one.what.kind].length_ns, by))
                .collect()
        };
        let share = |by: f64| self.share_of(episodes, &lengths(by));
        let (mut low, mut high) = (-1.0, 1.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if share(middle) < self.share {
                low = middle;
            } else {
                high = middle;
            }
        }
        let by = (low + high) / 2.0;
        let found = share(by);
        if found > self.share * 1.5 && episodes.iter().filter(|one| !one.sham).count() == 1 {
            return Err(Refused::TooLong { share: found });
        }
        Ok(lengths(by))
    }

    /// Share of the judged windows that are anomalous, on average over all placements.
    fn share_of(&self, episodes: &[Episode], lengths: &[u64]) -> f64 {
        let (mut anomalous, mut normal) = (0.0, 0.0);
        let mut stretch_ns = self.length_ns as f64 - self.guard_ns as f64;
        for (one, length_ns) in episodes.iter().zip(lengths) {
            let windows = self.windows_of(*length_ns, one.second.is_some());
            match one.sham {
                true => normal += windows,
                false => anomalous += windows,
            }
            stretch_ns -= (length_ns + self.guard_of(*length_ns)) as f64;
        }
        normal += expected_in_pieces(stretch_ns, lengths.len() as f64);
        anomalous / (anomalous + normal)
    }

    /// Windows that lie in an episode, on average.
    fn windows_of(&self, length_ns: u64, is_compound: bool) -> f64 {
        let settled = |stretch_ns: u64, guard_ns: u64| {
            expected_windows(stretch_ns.saturating_sub(guard_ns) as f64)
        };
        match is_compound {
            false => settled(length_ns, self.guard_of(length_ns)),
            true => {
                let third = length_ns / PARTS;
                let guard_ns = self.guard_of(length_ns - third);
                PARTS as f64 * settled(third, guard_ns)
            }
        }
    }

    /// The guard of a window of a length.
    fn guard_of(&self, length_ns: u64) -> u64 {
        match self.guard {
            Guard::Percent(percent) => (length_ns as f64 * percent / 100.0).round() as u64,
            Guard::Time(time) => time.ns,
        }
    }
}

/// Windows that lie in normal time, which so many cuts leave in one piece more.
fn expected_in_pieces(stretch_ns: f64, cuts: f64) -> f64 {
    let pieces = cuts + 1.0;
    pieces * expected_windows(stretch_ns / pieces)
}

/// A length, moved towards the shortest (down to -1) or the longest (up to 1), in whole ms.
fn moved(length_ns: u64, (shortest, longest): (u64, u64), by: f64) -> u64 {
    let part = |ns: u64| (ns as f64 * by.abs()).round() as u64;
    let moved = match by < 0.0 {
        true => length_ns - part(length_ns - shortest),
        false => length_ns + part(longest - length_ns),
    };
    (moved / MS * MS).clamp(shortest, longest)
}

/// The numbers below `length` in an order that is drawn (Fisher and Yates).
fn shuffled(seed: u64, stream: &str, iteration: u64, length: usize) -> Vec<usize> {
    let prng = Prng::new(seed, stream);
    let mut order: Vec<usize> = (0..length).collect();
    for last in (1..length).rev() {
        let other = prng.index(iteration, last as u32, last as u32 + 1);
        order.swap(last, other as usize);
    }
    order
}

#[cfg(test)]
#[path = "episodes_tests.rs"]
mod tests;

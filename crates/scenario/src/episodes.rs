//! Faults at random times, drawn from the seed: how many, which, where, how strong, how long, when,
//! and which of them are shams or changes that are harmless. A pure function of what is wanted; the draws are those of
//! `docs/prng.md`, of streams whose names no scenario can have.
//!
//! The lengths are drawn first. Then all of them are moved together towards their longest, or their
//! shortest, until the share of windows that are anomalous is the one that is wanted. What is left of
//! the time is dealt out evenly between the episodes, so that every placement is as likely as any
//! other.

use crate::evaluation::{UNDER_WAY_NS, expected_windows};
use crate::file::{Bounds, Guard};
use crate::prng::Prng;

/// The most episodes of a plan.
pub(crate) const MOST_EPISODES: u64 = 10_000;

const MS: u64 = 1_000_000;

/// A compound is cut into three: its first fault, both, its second.
const PARTS: u64 = 3;

// Sites of the streams `episodes/faults`, `episodes/shams` and `episodes/harmless`, of which the number of the episode is
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
    /// Share of evaluation windows that are anomalous, above 0 and below 1.
    pub(crate) share: f64,
    /// The least time between two.
    pub(crate) apart_ns: u64,
    /// Share of shams among all; with `harmless` below 1.
    pub(crate) shams: f64,
    /// Share of changes that are harmless among all.
    pub(crate) harmless: f64,
    /// Share of compounds among the faults.
    pub(crate) compound: f64,
    /// What there is to be injected; at least one, and two for compounds.
    pub(crate) kinds: &'w [Kind],
    /// What there is that breaks nothing; at least one where `harmless` is above 0.
    pub(crate) harmless_kinds: &'w [Kind],
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

/// What an episode does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// It breaks something.
    Fault,
    /// It goes through all motions of a fault, and does nothing.
    Sham,
    /// It changes something and breaks nothing.
    Harmless,
}

impl Does {
    /// Part of the names of its streams.
    fn stream(self) -> &'static str {
        match self {
            Self::Fault => "faults",
            Self::Sham => "shams",
            Self::Harmless => "harmless",
        }
    }
}

/// A change that was drawn.
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
    pub(crate) does: Does,
}

/// Which fault, where, how strong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct What {
    /// Position in [`Wanted::kinds`], or in [`Wanted::harmless_kinds`].
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

/// What an episode is like on average.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    length_ns: f64,
    guard_ns: f64,
    /// Windows that lie in it.
    windows: f64,
}

#[derive(Debug, Clone)]
struct Episode {
    what: What,
    second: Option<What>,
    does: Does,
    /// As drawn.
    length_ns: u64,
}

/// Draws them, in the order of time.
pub(crate) fn draw(wanted: &Wanted<'_>) -> Result<Vec<Drawn>, Refused> {
    let episodes: Vec<Episode> = (wanted.numbers()?.into_iter())
        .flat_map(|(does, number)| (0..number).map(move |number| wanted.episode(does, number)))
        .collect();
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
            does: self.does,
        };
        let Some(second) = self.second else {
            drawn.push(one);
            return;
        };
        let third = (to - from) / PARTS / MS * MS;
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
    /// How many there are of each: with lengths as they are on average the share comes nearest to the
    /// one that is wanted.
    fn numbers(&self) -> Result<[(Does, u64); 3], Refused> {
        let of_faults = self.mean(Does::Fault, self.compound);
        let of_shams = self.mean(Does::Sham, 0.0);
        let of_harmless = self.mean(Does::Harmless, 0.0);
        if of_faults.windows <= 0.0 {
            return Err(Refused::TooShort);
        }
        let mut before = 0.0;
        for faults in 1..=MOST_EPISODES {
            let others = self.others_beside(faults);
            let [with_faults, shams, harmless] =
                [faults, others[0], others[1]].map(|number| number as f64);
            let sum = |of: fn(&Mean) -> f64| {
                with_faults * of(&of_faults) + shams * of(&of_shams) + harmless * of(&of_harmless)
            };
            let all = with_faults + shams + harmless;
            let needed_ns = sum(|mean| mean.length_ns) + (all - 1.0) * self.apart_ns as f64;
            if needed_ns > self.length_ns as f64 {
                let needed_ns = needed_ns as u64;
                return Err(Refused::NoRoom { needed_ns });
            }
            let stretch_ns = self.length_ns as f64 - self.guard_ns as f64 + of_faults.guard_ns
                - sum(|mean| mean.length_ns + mean.guard_ns);
            let anomalous = with_faults * of_faults.windows;
            let normal = expected_in_pieces(stretch_ns, all)
                + shams * of_shams.windows
                + harmless * of_harmless.windows;
            let share = anomalous / (anomalous + normal);
            if share >= self.share {
                let is_nearer = self.share - before < share - self.share;
                return Ok(self.of_each(faults - u64::from(is_nearer && faults > 1)));
            }
            before = share;
        }
        Err(Refused::TooMany)
    }

    /// What one is like on average, by the weights of its kinds.
    fn mean(&self, does: Does, compound: f64) -> Mean {
        let kinds = self.kinds_of(does);
        let weights: f64 = kinds.iter().map(|kind| f64::from(kind.weight)).sum();
        let mut mean = Mean::default();
        for kind in kinds {
            let share = f64::from(kind.weight) / weights;
            let length_ns = (kind.length_ns.0 + kind.length_ns.1) / 2;
            let both = match compound > 0.0 {
                true => self.windows_of(length_ns, does, true),
                false => 0.0,
            };
            let single = self.windows_of(length_ns, does, false);
            mean.length_ns += length_ns as f64 * share;
            mean.guard_ns += self.guard_of(length_ns) as f64 * share;
            mean.windows += (single * (1.0 - compound) + both * compound) * share;
        }
        mean
    }

    /// How many shams and how many harmless changes there are beside so many faults.
    fn others_beside(&self, faults: u64) -> [u64; 2] {
        let of_faults = 1.0 - self.shams - self.harmless;
        [self.shams, self.harmless].map(|share| (faults as f64 * share / of_faults).round() as u64)
    }

    fn of_each(&self, faults: u64) -> [(Does, u64); 3] {
        let [shams, harmless] = self.others_beside(faults);
        [
            (Does::Fault, faults),
            (Does::Sham, shams),
            (Does::Harmless, harmless),
        ]
    }

    fn kinds_of(&self, does: Does) -> &[Kind] {
        match does {
            Does::Fault | Does::Sham => self.kinds,
            Does::Harmless => self.harmless_kinds,
        }
    }

    /// The n-th that is drawn of those that do the same.
    fn episode(&self, does: Does, number: u64) -> Episode {
        let prng = Prng::new(self.seed, &format!("episodes/{}", does.stream()));
        let kinds = self.kinds_of(does);
        let kind = self.dealt(does, number);
        let second = (does == Does::Fault && prng.unit(number, IS_COMPOUND) < self.compound)
            .then(|| self.other(prng.unit(number, SECOND), kind))
            .flatten()
            .map(|kind| {
                what(
                    prng,
                    number,
                    kinds,
                    kind,
                    [SECOND_SERVICE, SECOND_INTENSITY],
                )
            });
        let (shortest, longest) = kinds[kind].length_ns;
        let [low, high] = [shortest / MS, longest / MS].map(|ms| ms as i64);
        Episode {
            what: what(prng, number, kinds, kind, [SERVICE, INTENSITY]),
            second,
            does,
            length_ns: prng.range(number, LENGTH, low, high) as u64 * MS,
        }
    }

    /// Faults are dealt out like cards: each comes as often as its weight says before any comes again.
    fn dealt(&self, does: Does, number: u64) -> usize {
        let cards: Vec<usize> = (self.kinds_of(does).iter().enumerate())
            .flat_map(|(kind, of)| std::iter::repeat_n(kind, of.weight as usize))
            .collect();
        let (deck, card) = (number / cards.len() as u64, number % cards.len() as u64);
        let stream = format!("episodes/{}/deck", does.stream());
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
                .map(|one| {
                    let kind = &self.kinds_of(one.does)[one.what.kind];
                    moved(one.length_ns, kind.length_ns, by)
                })
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
        let faults = episodes.iter().filter(|one| one.does == Does::Fault);
        if found > self.share * 1.5 && faults.count() == 1 {
            return Err(Refused::TooLong { share: found });
        }
        Ok(lengths(by))
    }

    /// Share of the evaluation windows that are anomalous, on average over all placements.
    fn share_of(&self, episodes: &[Episode], lengths: &[u64]) -> f64 {
        let (mut anomalous, mut normal) = (0.0, 0.0);
        let mut stretch_ns = self.length_ns as f64 - self.guard_ns as f64;
        for (one, length_ns) in episodes.iter().zip(lengths) {
            let windows = self.windows_of(*length_ns, one.does, one.second.is_some());
            match one.does {
                Does::Fault => anomalous += windows,
                Does::Sham | Does::Harmless => normal += windows,
            }
            stretch_ns -= (length_ns + self.guard_of(*length_ns)) as f64;
        }
        normal += expected_in_pieces(stretch_ns, lengths.len() as f64);
        anomalous / (anomalous + normal)
    }

    /// Windows that lie in an episode, on average.
    fn windows_of(&self, length_ns: u64, does: Does, is_compound: bool) -> f64 {
        let under_way_ns = match does {
            Does::Fault => UNDER_WAY_NS,
            Does::Sham | Does::Harmless => 0,
        };
        let settled = |stretch_ns: u64, unsettled_ns: u64| {
            expected_windows(stretch_ns.saturating_sub(unsettled_ns) as f64)
        };
        match is_compound {
            false => settled(length_ns, self.guard_of(length_ns) + under_way_ns),
            true => {
                let third = length_ns / PARTS;
                let guard_ns = self.guard_of(length_ns - third);
                // The first ends at the end of the second part, the second at that of the third.
                settled(third, guard_ns) + 2.0 * settled(third, guard_ns + under_way_ns)
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

fn what(
    prng: Prng,
    number: u64,
    kinds: &[Kind],
    kind: usize,
    [service, intensity]: [u32; 2],
) -> What {
    let of = &kinds[kind];
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

//! The course of a day, drawn from the seed: a load that rises and falls, with noise and sudden
//! jumps, as the whole numbers and straight lines that an executor has. It knows nothing of faults,
//! and its draws are of a stream of their own, so it can't tell when one is in force.
//!
//! Only the four basic operations on doubles are used, which are the same on every machine.

use crate::plan::Stage;
use crate::prng::Prng;

/// The most points of a line.
pub(crate) const MOST_POINTS: u64 = 100_000;

/// How far the waves of a day go from its middle, of the whole distance: one a day, two, three.
const WAVES: [f64; 3] = [0.34, 0.1, 0.06];

// Sites, each with the number of what is drawn in place of an iteration's.
const PHASE: u32 = 0;
const NOISE: u32 = 1;
const JUMP_AT: u32 = 2;
const JUMP_LENGTH: u32 = 3;
const JUMP_UP: u32 = 4;

/// What a day is like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) length_ns: u64,
    /// The least and the most.
    pub(crate) between: [u32; 2],
    pub(crate) period_ns: u64,
    /// Time between two points.
    pub(crate) every_ns: u64,
    /// A share of the distance between the least and the most.
    pub(crate) noise: f64,
    pub(crate) jumps: Option<Jumps>,
}

/// Times at which the load is suddenly another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Jumps {
    pub(crate) every_ns: u64,
    /// Shortest and longest.
    pub(crate) length_ns: (u64, u64),
    /// A share of the distance between the least and the most.
    pub(crate) by: f64,
}

impl Jumps {
    /// How many there are.
    pub(crate) fn count(&self, length_ns: u64) -> u64 {
        (length_ns + self.every_ns / 2) / self.every_ns.max(1)
    }
}

/// A jump: from when until when, and how far.
type Jump = (u64, u64, f64);

/// The start of the line and its pieces. The stream is that of the scenario with `/shape` after its
/// name, which no scenario can be called.
pub(crate) fn draw(shape: &Shape, seed: u64, scenario: &str) -> (u32, Vec<Stage>) {
    let prng = Prng::new(seed, &format!("{scenario}/shape"));
    let jumps = jumps(shape, prng);
    let mut times: Vec<u64> = (0..)
        .map(|point| point * shape.every_ns)
        .take_while(|at| *at < shape.length_ns)
        .chain([shape.length_ns])
        .chain(jumps.iter().flat_map(|(from, to, _)| [*from, *to]))
        .collect();
    times.sort_unstable();
    times.dedup();
    let points = points(shape, prng);
    let rate = |at_ns: u64, jumps: f64| {
        let [low, high] = shape.between;
        let level = (level(shape, &points, at_ns) + jumps).clamp(0.0, 1.0);
        low + (level * f64::from(high - low)).round() as u32
    };
    let mut stages = Vec::new();
    let mut start = None;
    let mut last = 0;
    for pair in times.windows(2) {
        let on = jumps
            .iter()
            .filter(|(from, to, _)| *from <= pair[0] && pair[1] <= *to);
        let offset: f64 = on.map(|(_, _, by)| by).sum();
        let (from, to) = (rate(pair[0], offset), rate(pair[1], offset));
        if start.is_none() {
            start = Some(from);
        } else if from != last {
            let (duration_ns, target) = (0, from);
            stages.push(Stage {
                duration_ns,
                target,
            });
        }
        stages.push(Stage {
            duration_ns: pair[1] - pair[0],
            target: to,
        });
        last = to;
    }
    (start.unwrap_or(shape.between[0]), stages)
}

/// Levels at the points, from 0 (the least) to 1 (the most), one beyond the end.
fn points(shape: &Shape, prng: Prng) -> Vec<f64> {
    let phases: Vec<f64> = (0..WAVES.len() as u64)
        .map(|wave| prng.unit(wave, PHASE))
        .collect();
    let last = shape.length_ns / shape.every_ns + 1;
    let point = |number: u64| {
        let day = (number * shape.every_ns) as f64 / shape.period_ns as f64;
        let waves = WAVES.iter().zip(&phases).enumerate();
        let waves: f64 = waves
            .map(|(index, (height, phase))| height * wave((index + 1) as f64 * day + phase))
            .sum();
        let noise = shape.noise * (2.0 * prng.unit(number, NOISE) - 1.0);
        (0.5 + waves + noise).clamp(0.0, 1.0)
    };
    (0..=last).map(point).collect()
}

/// Between two points, on the straight line.
fn level(shape: &Shape, points: &[f64], at_ns: u64) -> f64 {
    let point = (at_ns / shape.every_ns) as usize;
    let part = (at_ns % shape.every_ns) as f64 / shape.every_ns as f64;
    let at = |point: usize| points.get(point).or(points.last()).copied().unwrap_or(0.5);
    at(point) + (at(point + 1) - at(point)) * part
}

/// A wave like a sine's, from -1 to 1, of period 1: two arches (Bhaskara's approximation).
fn wave(x: f64) -> f64 {
    let part = x - x.floor();
    let arch = |y: f64| {
        let y = y * (1.0 - y);
        16.0 * y / (5.0 - 4.0 * y)
    };
    if part < 0.5 {
        arch(2.0 * part)
    } else {
        -arch(2.0 * part - 1.0)
    }
}

fn jumps(shape: &Shape, prng: Prng) -> Vec<Jump> {
    let Some(jumps) = &shape.jumps else {
        return Vec::new();
    };
    let number = jumps.count(shape.length_ns);
    let jump = |number: u64| {
        let draw = |site, low: u64, high: u64| {
            let drawn = prng.range(number, site, low as i64, high as i64);
            u64::try_from(drawn).unwrap_or(low)
        };
        // Lengths are at most 100 days, so all of these are exact.
        let from = draw(JUMP_AT, 0, shape.length_ns);
        let (shortest, longest) = jumps.length_ns;
        let to = from.saturating_add(draw(JUMP_LENGTH, shortest, longest));
        let by = match prng.index(number, JUMP_UP, 2) {
            0 => -jumps.by,
            _ => jumps.by,
        };
        (from, to.min(shape.length_ns), by)
    };
    (0..number)
        .map(jump)
        .filter(|(from, to, _)| from < to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Executor;
    use crate::schedule::ArrivalSchedule;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn shape() -> Shape {
        Shape {
            length_ns: 1_800 * SECOND,
            between: [10, 50],
            period_ns: 900 * SECOND,
            every_ns: 10 * SECOND,
            noise: 0.05,
            jumps: Some(Jumps {
                every_ns: 180 * SECOND,
                length_ns: (10 * SECOND, 40 * SECOND),
                by: 0.3,
            }),
        }
    }

    #[test]
    fn a_wave_is_like_a_sine() {
        for x in 0..200 {
            let x = f64::from(x) / 100.0;
            let sine = (2.0 * std::f64::consts::PI * x).sin();
            assert!((wave(x) - sine).abs() < 0.002, "at {x}");
        }
    }

    #[test]
    fn a_day_repeats_but_for_noise_and_jumps() {
        let plain = Shape {
            noise: 0.0,
            jumps: None,
            ..shape()
        };
        let (start, stages) = draw(&plain, 7, "a");
        assert_eq!(stages.len(), 180);
        let rates: Vec<u32> = [start]
            .into_iter()
            .chain(stages.iter().map(|s| s.target))
            .collect();
        assert_eq!(rates[..90], rates[90..180]);
        let most = rates.iter().max().unwrap() - rates.iter().min().unwrap();
        assert!(most > 15, "{rates:?}");
        assert_eq!(draw(&plain, 7, "a"), draw(&plain, 7, "a"));
        assert_ne!(draw(&plain, 7, "a"), draw(&plain, 8, "a"));
        assert_ne!(draw(&plain, 7, "a"), draw(&plain, 7, "b"));
    }

    #[test]
    fn jumps_are_sudden() {
        let (_, stages) = draw(&shape(), 3, "a");
        let sudden = stages.iter().filter(|stage| stage.duration_ns == 0).count();
        assert!((10..=20).contains(&sudden), "{sudden}");
    }

    proptest! {
        #[test]
        fn any_shape_stays_within_its_bounds_and_has_its_length(
            seed in 0..1000u64, length in 1u64..200_000, every in 1u64..20_000, period in 1u64..100_000,
            low in 0u32..100, width in 0u32..100, noise in 0.0..1.0f64, by in 0.0..1.0f64,
        ) {
            let ms = 1_000_000;
            let shape = Shape {
                length_ns: length * ms, between: [low, low + width], period_ns: period * ms,
                every_ns: every.max(length / 500) * ms, noise,
                jumps: Some(Jumps { every_ns: (length / 5 + 1) * ms, length_ns: (0, length * ms), by }),
            };
            let (start_rate, stages) = draw(&shape, seed, "a");
            prop_assert!((low..=low + width).contains(&start_rate));
            prop_assert!(stages.iter().all(|s| (low..=low + width).contains(&s.target)));
            prop_assert_eq!(stages.iter().map(|s| s.duration_ns).sum::<u64>(), length * ms);
            let executor = Executor::RampingArrivalRate {
                start_rate, time_unit_ns: SECOND, stages, pre_allocated_vus: 1, max_vus: 1,
            };
            prop_assert!(ArrivalSchedule::new(&executor).is_some());
        }
    }
}

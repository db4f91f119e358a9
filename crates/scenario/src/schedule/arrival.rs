//! When iterations start under the arrival-rate executors (k6's open model), in closed form and
//! in whole numbers, so that nothing drifts over hours.
//!
//! Constant: iteration n (from 0) starts at `n * time_unit / rate`; one that falls on the end is
//! started. Ramping: iteration n (from 1) starts when the integral of the rate reaches n; what is
//! left of a stage carries over to the next. On a line from rate a to b over d, with k iterations
//! to go since its start, `t = (sqrt(a²d² + 2kd(b-a)) - ad) / (b-a)`; the double that this gives
//! is then moved to the first whole nanosecond at which the integral, in integers, reaches n.

use super::line::Line;
use crate::plan::Executor;

/// The intended starts of an arrival-rate executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivalSchedule {
    time_unit_ns: u64,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Constant {
        rate: u32,
        duration_ns: u64,
    },
    Ramping {
        lines: Vec<Line>,
        /// Twice the area under all lines up to the end of each, in rate × ns.
        areas: Vec<u128>,
    },
}

impl ArrivalSchedule {
    /// The schedule of an arrival-rate executor; none for the executors that loop VUs.
    pub fn new(executor: &Executor) -> Option<Self> {
        match executor {
            Executor::ConstantArrivalRate {
                rate,
                time_unit_ns,
                duration_ns,
                ..
            } => Some(Self {
                time_unit_ns: (*time_unit_ns).max(1),
                shape: Shape::Constant {
                    rate: *rate,
                    duration_ns: *duration_ns,
                },
            }),
            Executor::RampingArrivalRate {
                start_rate,
                time_unit_ns,
                stages,
                ..
            } => {
                let lines = Line::through(*start_rate, stages);
                let areas = lines
                    .iter()
                    .scan(0u128, |area, line| {
                        *area = area.saturating_add(double_area(line));
                        Some(*area)
                    })
                    .collect();
                Some(Self {
                    time_unit_ns: (*time_unit_ns).max(1),
                    shape: Shape::Ramping { lines, areas },
                })
            }
            _ => None,
        }
    }

    /// Number of iterations that are due from the start to the end of the window.
    pub fn count(&self) -> u64 {
        let count = match &self.shape {
            Shape::Constant { rate: 0, .. } => 0,
            Shape::Constant { rate, duration_ns } => {
                u128::from(*duration_ns) * u128::from(*rate) / u128::from(self.time_unit_ns) + 1
            }
            Shape::Ramping { areas, .. } => {
                areas.last().copied().unwrap_or(0) / (2 * u128::from(self.time_unit_ns))
            }
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Intended start of iteration `n` (0, 1, …), in nanoseconds from the start of the scenario,
    /// rounded up; none past the last.
    pub fn start_ns(&self, n: u64) -> Option<u64> {
        match &self.shape {
            Shape::Constant { .. } => self.constant_start_ns(n),
            Shape::Ramping { areas, .. } => {
                let wanted = self.wanted(n);
                let line = areas.partition_point(|&area| area < wanted);
                self.start_on(line, wanted)
            }
        }
    }

    /// All intended starts in order; each costs the same, however many have gone before.
    pub fn starts(&self) -> Starts<'_> {
        Starts {
            schedule: self,
            n: 0,
            line: 0,
        }
    }

    fn constant_start_ns(&self, n: u64) -> Option<u64> {
        let Shape::Constant { rate, duration_ns } = &self.shape else {
            return None;
        };
        if *rate == 0 {
            return None;
        }
        let at = (u128::from(n) * u128::from(self.time_unit_ns)).div_ceil(u128::from(*rate));
        u64::try_from(at).ok().filter(|at| at <= duration_ns)
    }

    /// Twice the area that must be covered before the iteration after `n` others starts.
    fn wanted(&self, n: u64) -> u128 {
        (u128::from(n) + 1) * 2 * u128::from(self.time_unit_ns)
    }

    /// The moment on a line (by index) at which twice the area reaches `wanted`.
    fn start_on(&self, index: usize, wanted: u128) -> Option<u64> {
        let Shape::Ramping { lines, areas } = &self.shape else {
            return None;
        };
        let line = lines.get(index)?;
        let before = if index == 0 { 0 } else { areas[index - 1] };
        Some(line.start_ns.saturating_add(reach(line, wanted - before)))
    }
}

fn double_area(line: &Line) -> u128 {
    (u128::from(line.from) + u128::from(line.to)) * u128::from(line.length_ns)
}

/// The first whole nanosecond of a line by which twice the area under it is at least `area`.
fn reach(line: &Line, area: u128) -> u64 {
    let length = line.length_ns;
    let guess = guess(line, area);
    // Out of the integers' range (rates beyond a million over weeks): the double must do.
    let covers = |t: u64| covers(line, t, area);
    let Some(covered) = covers(guess) else {
        return guess;
    };
    // Gallop away from the guess until it is bracketed, then halve. Mostly one step.
    let (mut low, mut high, mut step) = (guess, guess, 1u64);
    if covered {
        while low > 0 && covers(low) == Some(true) {
            high = low;
            low = low.saturating_sub(step);
            step = step.saturating_mul(2);
        }
        if low == 0 && covers(0) == Some(true) {
            return 0;
        }
    } else {
        while high < length && covers(high) == Some(false) {
            low = high;
            high = high.saturating_add(step).min(length);
            step = step.saturating_mul(2);
        }
    }
    // `low` does not cover, `high` does (the whole line always does).
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if covers(middle) == Some(true) {
            high = middle
        } else {
            low = middle
        }
    }
    high
}

/// Whether twice the area under a line up to `t` is at least `area`; none where the integers
/// overflow. Multiplied by the length, so that nothing is divided.
fn covers(line: &Line, t: u64, area: u128) -> Option<bool> {
    let (t, length) = (i128::from(t), i128::from(line.length_ns));
    let slope = i128::from(line.to) - i128::from(line.from);
    let flat = (2 * i128::from(line.from))
        .checked_mul(t)?
        .checked_mul(length)?;
    let covered = flat.checked_add(slope.checked_mul(t.checked_mul(t)?)?)?;
    Some(covered >= i128::try_from(area).ok()?.checked_mul(length)?)
}

/// The same moment in doubles, in the form that also stands for level lines.
fn guess(line: &Line, area: u128) -> u64 {
    let (a, d, k) = (f64::from(line.from), line.length_ns as f64, area as f64);
    let rise = f64::from(line.to) - a;
    let root = (a * a * d * d + k * d * rise).max(0.0).sqrt();
    let t = k * d / (a * d + root);
    // Saturates; not-a-number (a line at zero) gives 0.
    (t as u64).min(line.length_ns)
}

/// Iterator of [`ArrivalSchedule::starts`].
#[derive(Debug, Clone)]
pub struct Starts<'s> {
    schedule: &'s ArrivalSchedule,
    n: u64,
    line: usize,
}

impl Iterator for Starts<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let start = match &self.schedule.shape {
            Shape::Constant { .. } => self.schedule.constant_start_ns(self.n)?,
            Shape::Ramping { areas, .. } => {
                let wanted = self.schedule.wanted(self.n);
                while areas.get(self.line).is_some_and(|&area| area < wanted) {
                    self.line += 1;
                }
                self.schedule.start_on(self.line, wanted)?
            }
        };
        self.n += 1;
        Some(start)
    }
}

#[cfg(test)]
#[path = "arrival_tests.rs"]
mod tests;

//! Which requests of the ledger left a trace in the telemetry, by step and time.
//!
//! Steps of which a span never arrives, because what answers them exports nothing, say nothing
//! about losses. All others tell when a Collector was down.

use std::collections::BTreeMap;

use loadgen_timeline::condition::TimeSpan;
use serde::{Deserialize, Serialize};

/// At most so many slices of time, however long the run.
const MOST_SLICES: i64 = 10_000;

/// The shortest slice, in nanoseconds.
const SLICE_NS: i64 = 500_000_000;

/// A slice counts as silent from so many requests on of which nothing arrived.
const SILENT_REQUESTS: u64 = 3;

/// Requests sent, and those of which a span of the target arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrived {
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
}

impl Arrived {
    fn merge(&mut self, other: Self) {
        self.sent += other.sent;
        self.arrived += other.arrived;
    }

    /// Those of which none did.
    pub(crate) fn lost(self) -> u64 {
        self.sent - self.arrived
    }
}

/// Counts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    begin_ns: i64,
    slice_ns: i64,
    steps: Vec<String>,
    /// By slice, step and window.
    counts: BTreeMap<(i64, usize, Option<usize>), Arrived>,
}

/// What they say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Steps of which no span of the target ever arrived, with their requests.
    pub(crate) silent_steps: Vec<(String, u64)>,
    /// Requests of all other steps, by window.
    pub(crate) windows: BTreeMap<usize, Arrived>,
    /// Stretches of time in which nothing arrived of what was sent.
    pub(crate) gaps: Vec<Silence>,
}

/// A stretch of time in which nothing arrived of what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) time: TimeSpan,
    /// Requests that were sent in it, by window.
    pub(crate) windows: BTreeMap<Option<usize>, u64>,
}

impl Arrivals {
    /// None yet, of a run of that time.
    pub(crate) fn new(run: Option<TimeSpan>) -> Self {
        let (begin_ns, end_ns) = run.unwrap_or_default();
        Self {
            begin_ns,
            slice_ns: ((end_ns - begin_ns) / MOST_SLICES).max(SLICE_NS),
            ..Self::default()
        }
    }

    /// Takes a request into account.
    pub(crate) fn add(&mut self, sent_ns: i64, step: &str, window: Option<usize>, arrived: bool) {
        let slice = (sent_ns - self.begin_ns).div_euclid(self.slice_ns.max(1));
        let step = self.step(step);
        self.counts
            .entry((slice, step, window))
            .or_default()
            .merge(Arrived {
                sent: 1,
                arrived: u64::from(arrived),
            });
    }

    fn step(&mut self, name: &str) -> usize {
        let known = self.steps.iter().position(|step| step == name);
        known.unwrap_or_else(|| {
            self.steps.push(name.to_owned());
            self.steps.len() - 1
        })
    }

    /// Adds those of another part of the same run.
    pub(crate) fn merge(&mut self, other: Self) {
        let steps: Vec<usize> = other.steps.iter().map(|step| self.step(step)).collect();
        for ((slice, step, window), counts) in other.counts {
            let key = (slice, steps[step], window);
            self.counts.entry(key).or_default().merge(counts);
        }
    }

    /// What was lost.
    pub(crate) fn losses(&self) -> Losses {
        let mut by_step = vec![Arrived::default(); self.steps.len()];
        for ((_, step, _), counts) in &self.counts {
            by_step[*step].merge(*counts);
        }
        let is_silent = |step: usize| by_step[step].arrived == 0;
        let mut losses = Losses::default();
        for (step, counts) in by_step.iter().enumerate().filter(|(s, _)| is_silent(*s)) {
            losses
                .silent_steps
                .push((self.steps[step].clone(), counts.sent));
        }
        losses.silent_steps.sort();
        let mut slices: BTreeMap<i64, (Arrived, BTreeMap<Option<usize>, u64>)> = BTreeMap::new();
        for (&(slice, step, window), counts) in &self.counts {
            if is_silent(step) {
                continue;
            }
            let of = slices.entry(slice).or_default();
            of.0.merge(*counts);
            *of.1.entry(window).or_default() += counts.sent;
            if let Some(window) = window {
                losses.windows.entry(window).or_default().merge(*counts);
            }
        }
        for (slice, (counts, windows)) in slices {
            if counts.arrived > 0 || counts.sent < SILENT_REQUESTS {
                continue;
            }
            let from = self.begin_ns + slice * self.slice_ns;
            let to = from + self.slice_ns;
            match losses.gaps.last_mut() {
                Some(gap) if gap.time.1 == from => {
                    gap.time.1 = to;
                    for (window, sent) in windows {
                        *gap.windows.entry(window).or_default() += sent;
                    }
                }
                _ => losses.gaps.push(Silence {
                    time: (from, to),
                    windows,
                }),
            }
        }
        losses
    }

    /// What was sent in each slice that lies wholly in a time, by step, with the slice's begin.
    pub(crate) fn sent_in(&self, (from, to): TimeSpan) -> Vec<(i64, BTreeMap<usize, u64>)> {
        let slice_ns = self.slice_ns.max(1);
        let first = (from - self.begin_ns + slice_ns - 1).div_euclid(slice_ns);
        // A time within one slice holds none as a whole.
        let end = (to - self.begin_ns).div_euclid(slice_ns).max(first);
        let mut slices: Vec<(i64, BTreeMap<usize, u64>)> = (first..end)
            .map(|slice| (self.begin_ns + slice * slice_ns, BTreeMap::new()))
            .collect();
        let last = (end, 0, None);
        for (&(slice, step, _), counts) in self.counts.range((first, 0, None)..last) {
            *slices[(slice - first) as usize].1.entry(step).or_default() += counts.sent;
        }
        slices
    }

    /// Length of a slice, in nanoseconds.
    pub(crate) fn slice_ns(&self) -> i64 {
        self.slice_ns.max(1)
    }

    /// How many steps there are.
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_collector_that_was_down_shows_and_an_edge_that_exports_nothing_does_not() {
        let mut parts = [
            Arrivals::new(Some((0, 10 * SECOND))),
            Arrivals::new(Some((0, 10 * SECOND))),
        ];
        for n in 0..100i64 {
            let at = n * SECOND / 10;
            let down = (4 * SECOND..6 * SECOND).contains(&at);
            let part = &mut parts[(n % 2) as usize];
            part.add(at, "products", Some(0), !down);
            part.add(at, "home", Some(0), false);
        }
        let [mut all, other] = parts;
        all.merge(other);
        let losses = all.losses();
        assert_eq!(losses.silent_steps, [("home".to_owned(), 100)]);
        let gap = Silence {
            time: (4 * SECOND, 6 * SECOND),
            windows: [(Some(0), 20)].into(),
        };
        assert_eq!(losses.gaps, [gap]);
        assert_eq!(
            (losses.windows[&0].sent, losses.windows[&0].lost()),
            (100, 20)
        );
    }

    #[test]
    fn only_whole_slices_count_as_sent_in_a_time() {
        let mut arrivals = Arrivals::new(Some((0, 10 * SECOND)));
        let slice = arrivals.slice_ns();
        arrivals.add(slice + 1, "home", Some(0), true);
        for (from, to, whole) in [(0, 3 * slice, 3), (1, 3 * slice - 1, 1), (1, slice - 1, 0)] {
            let sent = arrivals.sent_in((from, to));
            assert_eq!(sent.len(), whole, "{from} to {to}");
            let requests: u64 = sent.iter().flat_map(|(_, steps)| steps.values()).sum();
            assert_eq!(requests, u64::from(whole > 0));
        }
    }
}

//! When an anomaly begins and ceases to show, by the time at which requests were sent.
//!
//! Each observation says a little for or against the anomaly: the logarithm of how much more often
//! such a value comes in the window's steady time than in normal time. The onset is the moment from
//! which on the sum of these is the largest: the maximum-likelihood estimate of a change point
//! (Hinkley 1970), with histograms for the two distributions.

use super::compare::Stratum;
use super::strata::{Sides, of_call, of_span};
use crate::comparison::{Estimate, Measure, SignalComparison, Subject};
use crate::sample::{Edge, Observed, closely};
use crate::statistics::delta::Values;
use crate::time::{Interval, SECOND_NS};

/// Bins of a histogram, of about equal numbers of normal values.
const BINS: usize = 10;
/// What one observation may say for or against, at most: one that never happened before is rare,
/// not impossible.
const MOST: f64 = 3.0;
/// Fewest observations in which something can be looked for.
const LEAST: usize = 5;

/// An observation: when its request was sent, and what it says for the anomaly.
type Spoken = (i64, f64);

/// How much more often values of each bin come in one sample than in another.
#[derive(Debug)]
struct Likelihood {
    /// Upper ends of the bins but the last, which belong to them.
    ends: Vec<f64>,
    /// Logarithm of the ratio of each bin.
    says: Vec<f64>,
}

impl Likelihood {
    fn new(window: &Values, reference: &Values) -> Self {
        let normal = reference.sorted();
        let mut ends: Vec<f64> = (1..BINS)
            .map(|bin| normal[(normal.len() * bin / BINS).min(normal.len() - 1)])
            .collect();
        // What is above all that normal time had is a bin of its own.
        ends.extend(normal.last());
        ends.dedup();
        let mut likelihood = Self {
            ends,
            says: Vec::new(),
        };
        let shares = [window, reference].map(|side| likelihood.shares(side));
        likelihood.says = std::iter::zip(&shares[0], &shares[1])
            .map(|(window, normal)| (window / normal).ln().clamp(-MOST, MOST))
            .collect();
        likelihood
    }

    fn bin(&self, value: f64) -> usize {
        self.ends.partition_point(|end| *end < value)
    }

    /// The share of each bin, as if half a value more had been in each.
    fn shares(&self, values: &Values) -> Vec<f64> {
        let mut counts = vec![0.5; self.ends.len() + 1];
        for value in values.sorted() {
            counts[self.bin(*value)] += 1.0;
        }
        let all: f64 = counts.iter().sum();
        counts.iter().map(|count| count / all).collect()
    }

    fn of(&self, value: f64) -> f64 {
        self.says[self.bin(value)]
    }
}

impl Sides<'_> {
    /// What the observations of some comparisons say in an interval, in the order of sending. Only
    /// comparisons of single operations say anything: those of all together are their sum.
    pub(crate) fn spoken(
        &self,
        comparisons: &[&SignalComparison],
        interval: Interval,
    ) -> Vec<Spoken> {
        let mut spoken = Vec::new();
        for comparison in comparisons {
            let Subject::Operation { service, operation } = &comparison.subject else {
                continue;
            };
            let measure = comparison.measure;
            let operations = self.operations(service);
            let kept = operations.iter().find(|(other, _)| *other == operation);
            let strata = self.spans(&[service], measure);
            let stratum = strata.iter().find(|one| one.subject == comparison.subject);
            if let (Some((_, kept)), Some(stratum)) = (kept, stratum) {
                let spans = closely(kept, &self.sample.stretches, interval);
                spoken.extend(speak(stratum, &spans, |span| of_span(measure, span)));
            }
        }
        spoken.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        spoken
    }

    /// The same for the calls along an edge.
    pub(crate) fn spoken_by_edge(
        &self,
        edge: &Edge,
        measure: Measure,
        interval: Interval,
    ) -> Vec<Spoken> {
        match (self.calls(edge, measure), self.sample.edges.get(edge)) {
            (Some(stratum), Some(kept)) => {
                let calls = closely(kept, &self.sample.stretches, interval);
                speak(&stratum, &calls, |call| of_call(measure, call))
            }
            _ => Vec::new(),
        }
    }
}

fn speak<T: Observed>(
    stratum: &Stratum,
    items: &[T],
    value: impl Fn(&T) -> Option<f64>,
) -> Vec<Spoken> {
    if stratum.window.len() == 0 || stratum.reference.len() == 0 {
        return Vec::new();
    }
    let likelihood = Likelihood::new(&stratum.window, &stratum.reference);
    let spoken = |item: &T| Some((item.moment_ns(), likelihood.of(value(item)?)));
    items.iter().filter_map(spoken).collect()
}

/// When an anomaly began to show, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Onset {
    /// The first request from which on it shows.
    pub(crate) at_s: f64,
    /// No later than the first request that may be that one; the request before it was sent then.
    pub(crate) low_s: f64,
    /// The last request that may be that one.
    pub(crate) high_s: f64,
}

impl Onset {
    pub(crate) fn estimate(self) -> Estimate {
        Estimate {
            value: self.at_s,
            low: self.low_s,
            high: self.high_s,
        }
    }
}

/// Seconds from `since_ns` until the first request from which on the anomaly shows; none: too few
/// were sent, or it does not show.
pub(crate) fn onset_s(spoken: &[Spoken], since_ns: i64) -> Option<f64> {
    onset(spoken, since_ns).map(|onset| onset.at_s)
}

/// The same with its 95 % interval: of all requests, each as likely beforehand to be the first,
/// those that hold 95 % of what is likely afterwards (Smith 1975), and the time between them. It
/// takes requests for independent.
pub(crate) fn onset(spoken: &[Spoken], since_ns: i64) -> Option<Onset> {
    if spoken.len() < LEAST {
        return None;
    }
    let mut best = (0.0, None);
    let mut after = 0.0;
    // From the end: the sum of all that was said from a moment on.
    let mut sums: Vec<(i64, f64)> = Vec::new();
    for same in spoken.chunk_by(|a, b| a.0 == b.0).rev() {
        after += same.iter().map(|(_, says)| says).sum::<f64>();
        sums.push((same[0].0, after));
        if after >= best.0 {
            best = (after, Some(same[0].0));
        }
    }
    let moment = best.1?;
    sums.reverse();
    let (first, last) = likely(&sums, best.0);
    let before = first.checked_sub(1).map(|before| sums[before].0);
    Some(Onset {
        at_s: seconds(moment - since_ns),
        low_s: before.map_or(0.0, |before| seconds(before - since_ns)),
        high_s: seconds(sums[last].0 - since_ns),
    })
}

/// Share of what is likely that an interval holds.
const HELD: f64 = 0.95;

/// The first and the last of the fewest moments that hold [`HELD`] of what is likely. `sums` are
/// the logarithms of how likely each is, `most` the largest of them.
fn likely(sums: &[(i64, f64)], most: f64) -> (usize, usize) {
    let weight = |place: usize| (sums[place].1 - most).exp();
    let all: f64 = (0..sums.len()).map(weight).sum();
    let mut places: Vec<usize> = (0..sums.len()).collect();
    places.sort_by(|a, b| sums[*b].1.total_cmp(&sums[*a].1).then(a.cmp(b)));
    let mut held = 0.0;
    let (mut first, mut last) = (usize::MAX, 0);
    for place in places {
        held += weight(place);
        (first, last) = (first.min(place), last.max(place));
        if held >= HELD * all {
            break;
        }
    }
    (first.min(last), last)
}

/// Seconds from `since_ns` until the first request from which on the anomaly does not show any
/// more; none: too few were sent, or it shows until the end.
pub(crate) fn recovery_s(spoken: &[Spoken], since_ns: i64) -> Option<f64> {
    if spoken.len() < LEAST {
        return None;
    }
    let mut best = (0.0, spoken.first().map(|(moment, _)| *moment));
    let mut before = 0.0;
    let mut moments = spoken.chunk_by(|a, b| a.0 == b.0).peekable();
    while let Some(same) = moments.next() {
        before += same.iter().map(|(_, says)| says).sum::<f64>();
        if before > best.0 {
            best = (before, moments.peek().map(|next| next[0].0));
        }
    }
    best.1.map(|moment| seconds(moment - since_ns))
}

fn seconds(ns: i64) -> f64 {
    ns.max(0) as f64 / SECOND_NS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64, says: f64) -> Spoken {
        ((seconds * 1e9) as i64, says)
    }

    #[test]
    fn the_onset_is_where_the_anomaly_begins_to_show() {
        let spoken: Vec<Spoken> = (0..40)
            .map(|index| at(f64::from(index) / 4.0, if index < 12 { -0.7 } else { 1.2 }))
            .collect();
        assert_eq!(onset_s(&spoken, 0), Some(3.0));
        // One that is unusual before, and some that are usual later, change nothing.
        let mut noisy = spoken.clone();
        noisy[4].1 = 1.2;
        noisy[20].1 = -0.7;
        noisy[21].1 = -0.7;
        assert_eq!(onset_s(&noisy, 0), Some(3.0));
    }

    #[test]
    fn the_interval_of_an_onset_is_as_wide_as_requests_leave_it() {
        // What is said is strong: the request before and the first are 0.25 s apart.
        let sharp: Vec<Spoken> = (0..40)
            .map(|index| at(f64::from(index) / 4.0, if index < 12 { -4.0 } else { 4.0 }))
            .collect();
        let found = onset(&sharp, 0).unwrap();
        assert_eq!((found.at_s, found.low_s, found.high_s), (3.0, 2.75, 3.0));
        // Between 2 s and 4 s nothing is said for or against it.
        let vague: Vec<Spoken> = sharp
            .iter()
            .enumerate()
            .map(|(index, (moment, says))| {
                (*moment, if (8..16).contains(&index) { 0.0 } else { *says })
            })
            .collect();
        let found = onset(&vague, 0).unwrap();
        assert_eq!((found.low_s, found.high_s), (1.75, 4.0));
        // One that shows from the start may have begun at any time before its first request.
        let found = onset(&sharp[12..], 0).unwrap();
        assert_eq!((found.at_s, found.low_s, found.high_s), (3.0, 0.0, 3.0));
    }

    #[test]
    fn what_shows_from_the_start_has_an_onset_at_the_first_request() {
        let spoken: Vec<Spoken> = (1..20)
            .map(|index| at(f64::from(index) / 8.0, 2.0))
            .collect();
        assert_eq!(onset_s(&spoken, 0), Some(0.125));
        assert_eq!(onset_s(&spoken[..3], 0), None);
        let never: Vec<Spoken> = spoken.iter().map(|(moment, _)| (*moment, -0.5)).collect();
        assert_eq!(onset_s(&never, 0), None);
    }

    #[test]
    fn the_recovery_is_where_it_ceases_to_show() {
        let spoken: Vec<Spoken> = (0..40)
            .map(|index| at(f64::from(index) / 4.0, if index < 12 { 1.2 } else { -0.7 }))
            .collect();
        assert_eq!(recovery_s(&spoken, 0), Some(3.0));
        assert_eq!(recovery_s(&spoken[..12], 0), None);
        assert_eq!(recovery_s(&spoken[12..], 3_000_000_000), Some(0.0));
    }

    #[test]
    fn values_that_normal_time_never_had_say_the_most() {
        let values = |from: u32, to: u32| {
            Values::new((from..to).map(|value| (f64::from(value), 0)).collect())
        };
        let likelihood = Likelihood::new(&values(50, 150), &values(0, 100));
        assert!(likelihood.of(500.0) > 1.0, "{likelihood:?}");
        assert!(likelihood.of(5.0) < -1.0, "{likelihood:?}");
        assert!(likelihood.of(75.0).abs() < 0.5, "{likelihood:?}");
    }
}

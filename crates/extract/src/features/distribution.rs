//! Quantiles of what a histogram or a summary measured between two of its points. Pure.

use serde::Deserialize;

/// The buckets of a point, in the forms of `metrics_labeled`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Buckets {
    /// Of a histogram.
    Explicit { bounds: Vec<f64>, counts: Vec<u64> },
    /// Of an exponential histogram.
    Exponential {
        scale: i32,
        zero_count: u64,
        zero_threshold: f64,
        positive: Half,
        negative: Half,
    },
    /// Of a summary: pairs of quantile and value.
    Quantiles { quantiles: Vec<[f64; 2]> },
}

/// One side of an exponential histogram.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Half {
    offset: i32,
    counts: Vec<u64>,
}

/// Most buckets of an exponential histogram that are looked at.
const MOST: usize = 10_000;

impl Buckets {
    /// As `metrics_labeled` has them; none: in no form that is known.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What came since the point before, of one that adds up; none: the two don't fit.
    pub(crate) fn since(&self, before: &Self) -> Option<Self> {
        match (self, before) {
            (
                Buckets::Explicit { bounds, counts },
                Buckets::Explicit {
                    bounds: old_bounds,
                    counts: old,
                },
            ) => (bounds == old_bounds && counts.len() == old.len())
                .then_some(())
                .and_then(|()| differences(counts, old))
                .map(|counts| Buckets::Explicit {
                    bounds: bounds.clone(),
                    counts,
                }),
            (
                Buckets::Exponential {
                    scale,
                    zero_count,
                    zero_threshold,
                    positive,
                    negative,
                },
                Buckets::Exponential {
                    scale: old_scale,
                    zero_count: old_zeros,
                    positive: old_positive,
                    negative: old_negative,
                    ..
                },
            ) => {
                // Scales only fall while a histogram grows.
                let finer = u32::try_from(old_scale - scale).ok()?;
                Some(Buckets::Exponential {
                    scale: *scale,
                    zero_count: zero_count.checked_sub(*old_zeros)?,
                    zero_threshold: *zero_threshold,
                    positive: positive.since(old_positive, finer)?,
                    negative: negative.since(old_negative, finer)?,
                })
            }
            // Quantiles of a summary are of some time of its own.
            (Buckets::Quantiles { .. }, Buckets::Quantiles { .. }) => Some(self.clone()),
            _ => None,
        }
    }

    /// A quantile, from 0 to 1: linear within its bucket, of an exponential histogram linear in the
    /// logarithm. Above the last bound it is that bound. None: nothing was measured, or it can't be
    /// told.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        match self {
            Buckets::Explicit { bounds, counts } => explicit(bounds, counts, quantile),
            Buckets::Exponential {
                scale,
                zero_count,
                positive,
                negative,
                ..
            } => {
                let base = 2f64.powf(2f64.powi(-scale));
                let (below, above): (u64, u64) = (negative.total(), positive.total());
                let rank = quantile * (below + zero_count + above) as f64;
                if below + zero_count + above == 0 {
                    None
                } else if rank <= below as f64 && below > 0 {
                    negative
                        .value(base, below as f64 - rank)
                        .map(|value| -value)
                } else if rank <= (below + zero_count) as f64 {
                    Some(0.0)
                } else {
                    positive.value(base, rank - (below + zero_count) as f64)
                }
            }
            Buckets::Quantiles { quantiles } => {
                let at = quantiles.iter().find(|[of, _]| *of == quantile);
                at.map(|[_, value]| *value)
                    .filter(|value| value.is_finite())
            }
        }
    }
}

impl Half {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value of which `rank` are not above it.
    fn value(&self, base: f64, rank: f64) -> Option<f64> {
        let mut below = 0.0;
        for (index, count) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            let count = *count as f64;
            if below + count >= rank {
                let part = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(base.powf(f64::from(self.offset) + index as f64 + part));
            }
            below += count;
        }
        None
    }

    /// Without what was there before, whose buckets are to be put together `finer` times two by
    /// two.
    fn since(&self, before: &Self, finer: u32) -> Option<Self> {
        let mut counts = self.counts.clone();
        for (index, count) in before.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            let bucket = i64::from(before.offset) + i64::try_from(index).ok()?;
            let bucket = bucket >> finer.min(63);
            let place = usize::try_from(bucket - i64::from(self.offset)).ok()?;
            let here = counts.get_mut(place)?;
            *here = here.checked_sub(*count)?;
        }
        (counts.len() <= MOST).then_some(Self {
            offset: self.offset,
            counts,
        })
    }
}

fn differences(now: &[u64], then: &[u64]) -> Option<Vec<u64>> {
    now.iter()
        .zip(then)
        .map(|(now, then)| now.checked_sub(*then))
        .collect()
}

fn explicit(bounds: &[f64], counts: &[u64], quantile: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 || counts.len() != bounds.len() + 1 {
        return None;
    }
    let rank = quantile * all as f64;
    let mut below = 0.0;
    for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = *count as f64;
        if below + count < rank {
            below += count;
            continue;
        }
        let Some(upper) = bounds.get(index) else {
            return bounds.last().copied();
        };
        let lower = match index.checked_sub(1) {
            Some(before) => bounds[before],
            // The first bucket of what is never below 0 begins there.
            None if *upper > 0.0 => 0.0,
            None => return Some(*upper),
        };
        return Some(lower + (upper - lower) * (rank - below) / count);
    }
    bounds.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Buckets {
        Buckets::parse(text).expect("buckets")
    }

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        let of = parse(r#"{"bounds":[1.0,2.0,4.0],"counts":[10,10,0,0]}"#);
        assert_eq!(of.quantile(0.25), Some(0.5));
        assert_eq!(of.quantile(0.75), Some(1.5));
        let over = parse(r#"{"bounds":[1.0,2.0],"counts":[0,0,3]}"#);
        assert_eq!(over.quantile(0.95), Some(2.0));
        assert_eq!(parse(r#"{"bounds":[],"counts":[3]}"#).quantile(0.95), None);
        assert_eq!(
            parse(r#"{"bounds":[1.0],"counts":[0,0]}"#).quantile(0.5),
            None
        );
    }

    #[test]
    fn only_what_came_since_the_point_before_counts() {
        let before = parse(r#"{"bounds":[1.0,2.0],"counts":[90,0,0]}"#);
        let now = parse(r#"{"bounds":[1.0,2.0],"counts":[90,10,0]}"#);
        let since = now.since(&before).expect("they fit");
        assert_eq!(since.quantile(0.5), Some(1.5));
        assert_eq!(before.since(&now), None);
        let other = parse(r#"{"bounds":[1.0,3.0],"counts":[90,0,0]}"#);
        assert_eq!(now.since(&other), None);
    }

    #[test]
    fn exponential_histograms_may_become_coarser() {
        let form = |scale: i32, zeros: u64, offset: i32, counts: &str| {
            parse(&format!(
                r#"{{"scale":{scale},"zero_count":{zeros},"zero_threshold":0.0,
                "positive":{{"offset":{offset},"counts":{counts}}},
                "negative":{{"offset":0,"counts":[]}}}}"#
            ))
        };
        // Base 2: buckets above 1, 2 and 4; then base 4.
        let (fine, coarse) = (form(0, 1, 0, "[2,3,1]"), form(-1, 1, 0, "[7,9]"));
        let since = coarse.since(&fine).expect("they fit");
        assert_eq!(since, form(-1, 0, 0, "[2,8]"));
        assert_eq!(since.quantile(0.2), Some(4.0));
        assert_eq!(since.quantile(0.6), Some(8.0));
        assert_eq!(form(0, 5, 0, "[1]").quantile(0.5), Some(0.0));
        assert_eq!(form(0, 0, 0, "[]").quantile(0.5), None);
    }
}

//! A shard in k6's words: `executionSegment`, which is from where to where it does a test, and
//! `executionSegmentSequence`, all the bounds between shards.

use loadgen_scenario::Shard;

/// The values of k6's options `--execution-segment` and `--execution-segment-sequence`.
pub(super) fn options(shard: Shard) -> [String; 2] {
    let (index, count) = (shard.index(), shard.count());
    let bounds = (0..=count).map(|n| format!("{n}/{count}"));
    [
        format!("{index}/{count}:{}/{count}", index + 1),
        bounds.collect::<Vec<_>>().join(","),
    ]
}

/// The shard that k6's options stand for, as k6 writes them.
///
/// # Errors
/// Why they stand for none, with what to do.
pub(super) fn shard(segment: &str, sequence: Option<&str>) -> Result<Shard, String> {
    let Some(sequence) = sequence.filter(|text| !text.is_empty()) else {
        return Err(format!(
            "k6 ran the segment {segment} and was not told of the others: give --execution-segment-sequence, too, the \
             same to each k6"
        ));
    };
    let unequal = || {
        format!(
            "k6 ran the segment {segment} of {sequence}: loadgen knows segments of equal length, such as 1/4:2/4 of \
             0,1/4,2/4,3/4,1"
        )
    };
    let bounds: Option<Vec<_>> = sequence.split(',').map(fraction).collect();
    let bounds = bounds.ok_or_else(unequal)?;
    let count = bounds.len() as u64 - 1;
    let is_at = |(numerator, denominator): (u64, u64), n: u64| numerator * count == n * denominator;
    let are_equal = (0..).zip(&bounds).all(|(n, bound)| is_at(*bound, n));
    let ends = segment
        .split_once(':')
        .and_then(|(from, to)| Some((fraction(from)?, fraction(to)?)));
    let index =
        ends.and_then(|(from, to)| (0..count).find(|n| is_at(from, *n) && is_at(to, n + 1)));
    let of = |n: u64| u32::try_from(n).ok();
    index
        .filter(|_| are_equal)
        .and_then(|index| Shard::new(of(index)?, of(count)?))
        .ok_or_else(unequal)
}

/// A number from 0 to 1 as k6 writes it: `0`, `1`, or `3/4`.
fn fraction(text: &str) -> Option<(u64, u64)> {
    let (numerator, denominator) = text.trim().split_once('/').unwrap_or((text.trim(), "1"));
    // Short enough that products fit.
    let number = |digits: &str| digits.parse::<u32>().ok().map(u64::from);
    let (numerator, denominator) = (number(numerator)?, number(denominator)?);
    (denominator > 0).then_some((numerator, denominator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for count in [1, 2, 3, 7, 16] {
            for index in 0..count {
                let of = Shard::new(index, count).unwrap();
                let [segment, sequence] = options(of);
                assert_eq!(shard(&segment, Some(&sequence)), Ok(of));
            }
        }
    }

    #[test]
    fn as_k6_writes_them() {
        // Seen with k6 1.1.0, which reduces fractions.
        let third = shard("1/2:3/4", Some("0,1/4,1/2,3/4,1"));
        assert_eq!(third, Ok(Shard::new(2, 4).unwrap()));
    }

    #[test]
    fn what_is_no_shard_is_told() {
        let alone = shard("0:1/4", None).unwrap_err();
        assert!(alone.contains("--execution-segment-sequence"), "{alone}");
        for (segment, sequence) in [
            ("0:1/2", "0,1/4,1/2,3/4,1"),
            ("0:1/2", "0,1/2,3/4,1"),
            ("1/2", "0,1/2,1"),
            ("0:x", "0,1/2,1"),
            ("0:1", "0,1/0"),
            ("0:1", "1"),
        ] {
            let error = shard(segment, Some(sequence)).unwrap_err();
            assert!(error.contains("equal length"), "{error}");
        }
    }
}

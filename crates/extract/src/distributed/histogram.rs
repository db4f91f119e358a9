//! Histograms on their way from one process to another, in HdrHistogram's own format (V2).

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as V2Deserializer, Serializer as _, V2Serializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(
    histogram: &Histogram<u32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::new();
    let written = V2Serializer::new().serialize(histogram, &mut bytes);
    written.map_err(S::Error::custom)?;
    (histogram.is_auto_resize(), bytes).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Histogram<u32>, D::Error> {
    let (grows, bytes) = <(bool, Vec<u8>)>::deserialize(deserializer)?;
    let histogram = V2Deserializer::new().deserialize(&mut &bytes[..]);
    let mut histogram: Histogram<u32> = histogram.map_err(D::Error::custom)?;
    // The format does not say whether it grows.
    histogram.auto(grows);
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Serialize, Deserialize)]
    struct Held(#[serde(with = "super")] Histogram<u32>);

    fn recorded(mut histogram: Histogram<u32>, values: &[u64]) -> Histogram<u32> {
        for &value in values {
            histogram.saturating_record(value);
        }
        histogram
    }

    proptest! {
        #[test]
        fn what_comes_is_what_went_and_merges_as_before(
            values in prop::collection::vec(0..5_000_000_000_u64, 0..50),
            others in prop::collection::vec(0..5_000_000_000_u64, 0..50),
            grows: bool,
        ) {
            let empty = || match grows {
                true => Histogram::new(2),
                false => Histogram::new_with_bounds(1, 3_600_000_000, 2),
            };
            let mut here = recorded(empty().expect("a histogram"), &values);
            let bytes = rmp_serde::to_vec(&Held(here.clone())).expect("bytes");
            let mut there = rmp_serde::from_slice::<Held>(&bytes).expect("a histogram").0;
            prop_assert_eq!(&here, &there);
            let other = recorded(empty().expect("a histogram"), &others);
            here.add(&other).expect("added");
            there.add(&other).expect("added");
            for quantile in [0.0, 0.5, 0.99, 1.0] {
                prop_assert_eq!(here.value_at_quantile(quantile), there.value_at_quantile(quantile));
            }
            prop_assert_eq!((here.len(), here.max()), (there.len(), there.max()));
        }
    }
}

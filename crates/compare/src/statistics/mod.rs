//! From paired differences to an estimate, an interval and a verdict. Pure, and the same numbers
//! for the same input: the generator of the bootstrap is ChaCha8 with a fixed seed.
//!
//! How to read the interval, and what it rests on: `docs/design/0071-paired-comparison.md`.

mod bootstrap;
mod sample;
mod settle;
mod verdict;

pub use bootstrap::{
    BOOTSTRAP_SEED, CONFIDENCE, MeanDifference, RESAMPLES, paired_quantiles, paired_scalars,
};
pub use sample::SortedValues;
pub use settle::{MOST_REPETITIONS, pairs_to_settle};
pub use verdict::{FigureVerdict, Kind, verdict};

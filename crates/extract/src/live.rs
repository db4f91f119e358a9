//! Features of services while telemetry comes in: the rows of `windows_features_5s`, bucket by bucket,
//! without labels.
//!
//! [`Tail`] reads files that grow, [`LiveBuckets`] gathers what they say by bucket and gives each away
//! when the caller says that it is over. What a value means, and how it is computed, is what the
//! extraction does: the same records, the same code. Differences that remain: all that comes counts,
//! whoever's it is, and what comes after its bucket was given away is late.

mod tail;

pub use crate::features::live::{BUCKET_NS, LiveBucket, LiveBuckets, columns};
pub use tail::{Tail, TailError};

//! The statistics behind the evidence. All of it is pure: numbers in, numbers out. Each formula
//! names its source.

pub(crate) mod arrangements;
pub(crate) mod delta;
pub(crate) mod multiplicity;
pub(crate) mod quantile;
pub(crate) mod ratio;
pub(crate) mod scores;
pub(crate) mod shares;

//! How faults take place in a process.

pub(crate) mod board;
pub(crate) mod burner;
pub(crate) mod dial;
pub(crate) mod hold;
pub(crate) mod leak;
pub(crate) mod limits;
pub(crate) mod neighbour;
pub(crate) mod partition;
pub(crate) mod reach;
pub(crate) mod rounds;
pub(crate) mod slow;

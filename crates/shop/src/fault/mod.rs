//! How faults take place in a process.

pub(crate) mod board;
pub(crate) mod burner;
pub(crate) mod dial;
pub(crate) mod hold;
pub(crate) mod slow;

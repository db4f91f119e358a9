//! Where data leaves the collector: the files that messages go to.

pub(crate) mod file;
pub(crate) mod rotation;

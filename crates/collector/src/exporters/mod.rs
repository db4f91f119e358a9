//! Where data leaves the collector: the JSON text of a message, and the files it goes to.

pub(crate) mod file;
pub(crate) mod json;
pub(crate) mod rotation;

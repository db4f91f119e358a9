//! What stands in the place of `upload` in a build without it.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::exit::{Exit, Failure};

/// There is none.
#[derive(Debug)]
pub(crate) enum Place {}

/// There is none.
#[derive(Debug, Serialize)]
pub(crate) enum Uploaded {}

impl fmt::Display for Uploaded {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Place {
    pub(crate) async fn open(url: &str) -> Result<Self, Failure> {
        let text = format!(
            "can't upload to {url}: this build has no object stores.\n\
             Build it with `cargo build --release --features upload`."
        );
        Err(Failure::new(Exit::Usage, text))
    }

    pub(crate) async fn upload(&self, _: &Path, _: impl Fn() -> bool) -> Result<Uploaded, Failure> {
        match *self {}
    }
}

//! What stands in the place of `detect` in a build without it.

use crate::args::DetectArgs;
use crate::exit::{Exit, Failure};

pub(super) async fn detect(args: DetectArgs) -> Result<Exit, Failure> {
    let text = format!(
        "can't run {}: this build has no runtime for models.\n\
         Build it with `cargo build --release --features detect`.",
        args.model.display()
    );
    Err(Failure::new(Exit::Usage, text))
}

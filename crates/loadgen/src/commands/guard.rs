//! The hidden command that guards a run; see `guard.rs`.

use crate::args::GuardArgs;
use crate::exit::{Exit, Failure};
use crate::guard;

pub(super) async fn guard(args: GuardArgs) -> Result<Exit, Failure> {
    let client = super::client()?;
    guard::stand(&args.timeline, &args.run_id, args.no_faults, &client)
        .await
        .map(|()| Exit::Success)
        .map_err(|e| Failure::new(Exit::Failed, e))
}

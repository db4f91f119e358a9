//! The hidden command that guards a run; see `guard.rs`.

use loadgen_engine::RunOptions;
use loadgen_fault::Drivers;
use loadgen_fault::shop::ShopDriver;

use crate::args::GuardArgs;
use crate::exit::{Exit, Failure};
use crate::guard;

pub(super) async fn guard(args: GuardArgs) -> Result<Exit, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, e);
    let drivers = match args.admin_url {
        Some(url) => {
            let client = RunOptions::client_defaults().build();
            Drivers::default().with(ShopDriver::new(client.map_err(|e| failed(&e))?, url))
        }
        None => Drivers::default(),
    };
    guard::stand(&args.timeline, &args.run_id, &drivers)
        .await
        .map(|()| Exit::Success)
        .map_err(|e| failed(&e))
}

//! `loadgen shop`, and the hidden command that each of its services is.

use loadgen_shop::{ServiceOptions, ShopOptions};

use crate::allow::Stands;
use crate::args::{ShopArgs, ShopServiceArgs};
use crate::exit::{Exit, Failure};

pub(super) async fn shop(args: ShopArgs) -> Result<Exit, Failure> {
    let endpoint = args.otlp_endpoint.as_deref();
    crate::otlp::check_endpoint(endpoint)?;
    crate::otlp::check_host(endpoint, Stands::Typed, &args.allowed).await?;
    loadgen_shop::supervise(ShopOptions {
        listen: args.listen,
        otlp_endpoint: args.otlp_endpoint,
        stop_with_stdin: args.stop_with_stdin,
        data_dir: args.data_dir,
        record_faults: args.record_faults,
    })
    .await
    .map(|()| Exit::Success)
    .map_err(|e| Failure::new(Exit::Failed, e))
}

pub(super) fn service(args: &ShopServiceArgs) -> Result<Exit, Failure> {
    let options: ServiceOptions = serde_json::from_str(&args.config)
        .map_err(|e| Failure::new(Exit::BadInput, format!("--config: {e}")))?;
    loadgen_shop::run_service(options)
        .map(|()| Exit::Success)
        .map_err(|e| Failure::new(Exit::Failed, e))
}

//! `loadgen proxy`.

use loadgen_proxy::{ProxyOptions, read_config};

use crate::args::ProxyArgs;
use crate::exit::{Exit, Failure};

pub(super) async fn proxy(args: ProxyArgs) -> Result<Exit, Failure> {
    let mut proxies = match &args.config {
        Some(path) => read_config(path).map_err(|e| Failure::new(Exit::BadInput, e))?,
        None => Vec::new(),
    };
    proxies.extend(args.proxies);
    loadgen_proxy::proxy(ProxyOptions {
        listen: args.listen,
        token: args.token,
        proxies,
        stop_with_stdin: args.stop_with_stdin,
    })
    .await
    .map(|()| Exit::Success)
    .map_err(|e| Failure::new(Exit::Failed, e))
}

//! `loadgen proxy`.

use std::path::Path;

use loadgen_proxy::{ProxyOptions, read_config};

use crate::args::ProxyArgs;
use crate::exit::{Exit, Failure};

pub(super) async fn proxy(args: ProxyArgs) -> Result<Exit, Failure> {
    let mut proxies = match &args.config {
        Some(path) => read_config(path).map_err(|e| Failure::new(Exit::BadInput, e))?,
        None => Vec::new(),
    };
    proxies.extend(args.proxies);
    let token = match &args.token_file {
        Some(path) => Some(token_of(path)?),
        None => args.token,
    };
    loadgen_proxy::proxy(ProxyOptions {
        listen: args.listen,
        token,
        proxies,
        stop_with_stdin: args.stop_with_stdin,
    })
    .await
    .map(|()| Exit::Success)
    .map_err(|e| Failure::new(Exit::Failed, e))
}

/// The token of a file. An empty one would count as none.
fn token_of(path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| {
        let message = format!("--token-file {}: {why}", path.display());
        Failure::new(Exit::BadInput, message)
    };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let token = text.trim_end_matches(['\r', '\n']);
    if token.is_empty() || token.chars().any(char::is_control) {
        return Err(wrong("it must hold the token, on one line".to_owned()));
    }
    Ok(token.to_owned())
}

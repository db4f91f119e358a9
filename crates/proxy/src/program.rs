//! `loadgen proxy` as a whole: start, say so, run until told to stop.

use std::collections::BTreeMap;

use loadgen_program::{Shutdown, say_ready};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::error::ProxyError;
use crate::options::ProxyOptions;
use crate::server::ProxyServer;

/// The line on standard output that says where everything listens.
#[derive(Serialize)]
struct Ready {
    ready: &'static str,
    api_url: String,
    proxies: BTreeMap<String, ReadyProxy>,
}

#[derive(Serialize)]
struct ReadyProxy {
    listen: String,
    upstream: String,
}

/// Runs the proxy until SIGINT, SIGTERM or, where asked for, the end of standard input.
///
/// Prints one JSON line to standard output when everything listens:
///
/// ```json
/// {"ready":"proxy","api_url":"http://127.0.0.1:8474",
///  "proxies":{"db":{"listen":"127.0.0.1:15432","upstream":"127.0.0.1:5432"}}}
/// ```
///
/// # Errors
/// When it can't start.
pub async fn proxy(options: ProxyOptions) -> Result<(), ProxyError> {
    raise_file_limit();
    let system = |what| move |source| ProxyError::System { what, source };
    let stop = Shutdown::listen(options.stop_with_stdin);
    let mut stop = stop.map_err(system("listen for signals and standard input"))?;
    let server = ProxyServer::start(options).await?;
    say_ready(&ready(&server).await).map_err(system("write to standard output"))?;
    stop.asked().await;
    server.stop().await;
    Ok(())
}

/// Many connections need more than the 1,024 file descriptors that a process mostly begins with.
fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum;
    // Where that is not allowed, connections beyond the limit wait.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

async fn ready(server: &ProxyServer) -> Ready {
    let proxies = server.proxies().await.into_iter();
    Ready {
        ready: "proxy",
        api_url: format!("http://{}", server.address()),
        proxies: proxies
            .map(|proxy| {
                let (listen, upstream) = (proxy.listen, proxy.upstream);
                (proxy.name, ReadyProxy { listen, upstream })
            })
            .collect(),
    }
}

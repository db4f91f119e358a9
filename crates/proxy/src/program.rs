//! `loadgen proxy` as a whole: start, say so, run until told to stop.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

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
    let with_stdin = options.stop_with_stdin;
    raise_file_limit();
    // Before the ready line, so that a signal right after it is not lost.
    let mut interrupt = listen_to(SignalKind::interrupt())?;
    let mut terminate = listen_to(SignalKind::terminate())?;
    let server = ProxyServer::start(options).await?;
    let stdin_ended = match with_stdin {
        true => Some(watch_stdin()?),
        false => None,
    };
    say_ready(&server)
        .await
        .map_err(|source| ProxyError::System {
            what: "write to standard output",
            source,
        })?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = ended(stdin_ended) => {}
    }
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

fn listen_to(kind: SignalKind) -> Result<Signal, ProxyError> {
    signal(kind).map_err(|source| ProxyError::System {
        what: "handle signals",
        source,
    })
}

async fn say_ready(server: &ProxyServer) -> io::Result<()> {
    let proxies = server.proxies().await.into_iter();
    let ready = Ready {
        ready: "proxy",
        api_url: format!("http://{}", server.address()),
        proxies: proxies
            .map(|proxy| {
                let (listen, upstream) = (proxy.listen, proxy.upstream);
                (proxy.name, ReadyProxy { listen, upstream })
            })
            .collect(),
    };
    let mut line = serde_json::to_string(&ready)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// A thread of its own, because a blocked read of standard input would keep the runtime from
/// ending.
fn watch_stdin() -> Result<oneshot::Receiver<()>, ProxyError> {
    let (ended, receiver) = oneshot::channel();
    let watch = move || {
        let mut buffer = [0; 64];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        // Nobody listens any more when the proxy ends for another reason.
        let _ = ended.send(());
    };
    let thread = std::thread::Builder::new().name("stdin".to_owned());
    thread.spawn(watch).map_err(|source| ProxyError::System {
        what: "start a thread for standard input",
        source,
    })?;
    Ok(receiver)
}

async fn ended(stdin: Option<oneshot::Receiver<()>>) {
    match stdin {
        Some(stdin) => {
            let _ = stdin.await;
        }
        None => std::future::pending().await,
    }
}

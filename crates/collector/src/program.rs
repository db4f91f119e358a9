//! `loadgen collect` as a whole: start, say so, run until told to stop, report.

use crate::collector::{CollectReport, Collector};
use crate::error::CollectError;
use crate::notice::tell;
use crate::options::CollectOptions;
use serde::Serialize;
use std::io::{self, Read as _, Write as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// The line on standard output that says where the collector listens.
#[derive(Serialize)]
struct Ready {
    ready: &'static str,
    grpc: String,
    http: String,
    output: String,
}

/// Runs a collector until SIGINT, SIGTERM or, where asked for, the end of standard input.
///
/// Prints one JSON line to standard output when it is ready to receive
/// (`{"ready":"collect","grpc":"127.0.0.1:4317","http":"127.0.0.1:4318","output":"…"}`) and one
/// line with the counts to standard error at the end. A second signal cuts open connections; what
/// has been acknowledged is in the files in any case.
///
/// # Errors
/// When the collector can't start, a receiver fails, or the last data can't be synced.
pub async fn collect(options: CollectOptions) -> Result<CollectReport, CollectError> {
    let with_stdin = options.stop_with_stdin;
    // Before the ready line, so that a signal right after it is not lost.
    let mut interrupt = listen_to(SignalKind::interrupt())?;
    let mut terminate = listen_to(SignalKind::terminate())?;
    let mut collector = Collector::start(options).await?;
    let stdin_ended = if with_stdin {
        Some(watch_stdin()?)
    } else {
        None
    };
    say_ready(&collector).map_err(|source| CollectError::System {
        what: "write to standard output",
        source,
    })?;

    let failure = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        () = ended(stdin_ended) => None,
        error = collector.failed() => Some(error),
    };
    let cut = collector.cut_handle();
    let stopping = collector.stop();
    tokio::pin!(stopping);
    let report = tokio::select! {
        report = &mut stopping => report,
        _ = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
            cut.notify_one();
            stopping.await
        }
    };
    if let Some(error) = failure {
        return Err(error);
    }
    let report = report?;
    tell(format_args!("{report}"));
    Ok(report)
}

fn listen_to(kind: SignalKind) -> Result<Signal, CollectError> {
    signal(kind).map_err(|source| CollectError::System {
        what: "handle signals",
        source,
    })
}

fn say_ready(collector: &Collector) -> io::Result<()> {
    let ready = Ready {
        ready: "collect",
        grpc: collector.grpc().to_string(),
        http: collector.http().to_string(),
        output: collector.output().display().to_string(),
    };
    let mut line = serde_json::to_string(&ready)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// A thread of its own, because a blocked read of standard input would keep the runtime from
/// ending.
fn watch_stdin() -> Result<oneshot::Receiver<()>, CollectError> {
    let (ended, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut buffer = [0; 1024];
            let mut stdin = io::stdin().lock();
            loop {
                match stdin.read(&mut buffer) {
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                    _ => {}
                }
            }
            let _ = ended.send(());
        })
        .map_err(|source| CollectError::System {
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

//! `loadgen collect` as a whole: start, say so, run until told to stop, report.

use crate::collector::{CollectReport, Collector};
use crate::error::CollectError;
use crate::notice::tell;
use crate::options::CollectOptions;
use loadgen_program::{Shutdown, say_ready};
use serde::Serialize;

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
    let system = |what| move |source| CollectError::System { what, source };
    let stop = Shutdown::listen(options.stop_with_stdin);
    let mut stop = stop.map_err(system("listen for signals and standard input"))?;
    let mut collector = Collector::start(options).await?;
    for address in [collector.grpc(), collector.http()] {
        if !address.ip().to_canonical().is_loopback() {
            tell(format_args!(
                "warning: whoever reaches {address} can send telemetry: there is no token and no TLS"
            ));
        }
    }
    say_ready(&ready(&collector)).map_err(system("write to standard output"))?;

    let failure = tokio::select! {
        () = stop.asked() => None,
        error = collector.failed() => Some(error),
    };
    let cut = collector.cut_handle();
    let stopping = collector.stop();
    tokio::pin!(stopping);
    let report = tokio::select! {
        report = &mut stopping => report,
        () = stop.asked() => {
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

fn ready(collector: &Collector) -> Ready {
    Ready {
        ready: "collect",
        grpc: collector.grpc().to_string(),
        http: collector.http().to_string(),
        output: collector.output().display().to_string(),
    }
}

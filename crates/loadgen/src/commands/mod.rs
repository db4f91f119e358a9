//! One file a command. Each takes its arguments and returns how the process ends.

mod audit;
mod campaign;
mod check;
mod collect;
mod compare;
mod dataset;
#[cfg_attr(not(feature = "detect"), path = "no_detect.rs")]
mod detect;
mod doctor;
mod evaluate;
mod extract;
mod faults;
mod ground_truth;
mod guard;
mod init;
mod merge;
mod meta;
mod plan;
mod proxy;
mod replay;
mod report;
mod run;
mod shop;
mod show;
mod spark;
mod timeline;
mod upload;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use self::faults::undo_leftovers;
use crate::args::Command;
use crate::certificates;
use crate::display;
use crate::exit::{Exit, Failure};

/// Runs a command to its end.
pub(crate) fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(args) => asynchronously(init::init(args)),
        Command::K6(command) => init::k6(&command),
        Command::Run(args) => asynchronously(run::run(args)),
        Command::Plan(args) => plan::plan(&args),
        Command::Check(args) => check::check(&args),
        Command::Doctor(args) => asynchronously(doctor::doctor(args)),
        Command::Extract(args) if args.follow => asynchronously(extract::follow(args)),
        Command::Extract(args) if args.runs.is_some() => {
            asynchronously(extract::continuously(args))
        }
        Command::Extract(args) => asynchronously(extract::extract(args)),
        Command::Audit(args) => audit::audit(&args),
        Command::Show(args) => show::show(&args),
        Command::Dataset(command) => asynchronously(dataset::dataset(command)),
        Command::Campaign(args) => asynchronously(campaign::campaign(args)),
        Command::Evaluate(args) => evaluate::evaluate(&args),
        Command::Report(args) => report::report(&args),
        Command::Detect(args) => asynchronously(detect::detect(args)),
        Command::Replay(args) => asynchronously(replay::replay(args)),
        Command::Upload(args) => asynchronously(upload::upload(args)),
        Command::Compare(args) => asynchronously(compare::compare(args)),
        Command::Merge(args) => merge::merge(&args),
        Command::Faults(command) => asynchronously(faults::faults(command)),
        Command::Timeline(command) => timeline::timeline(&command),
        Command::Spark(step) => spark::step(&step),
        Command::Guard(args) => asynchronously(guard::guard(args)),
        Command::Shop(args) => asynchronously(shop::shop(args)),
        Command::ShopService(args) => shop::service(&args),
        Command::Collect(args) => asynchronously(collect::collect(args)),
        Command::Proxy(args) => asynchronously(proxy::proxy(args)),
        Command::Schema(args) => meta::schema(&args),
        Command::Completions { shell } => meta::completions(shell),
        Command::Man { dir } => meta::man(dir.as_deref()),
    }
}

fn asynchronously(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Failed, format!("can't start: {e}")))?;
    let result = runtime.block_on(command);
    // Nothing that is left behind, such as a reader of standard input, may hold up the end.
    runtime.shutdown_background();
    result
}

/// The HTTP client of fault drivers.
pub(crate) fn client() -> Result<reqwest::Client, Failure> {
    let client = certificates::client().build();
    client.map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))
}

/// A number of seconds as it was typed.
fn seconds(flag: &str, typed: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(typed)
        .map_err(|e| Failure::new(Exit::BadInput, format!("{flag} {typed}: {e}")))
}

/// The time by the wall clock, in Unix nanoseconds.
fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}

/// Prints to standard output. A reader that has gone, as in `loadgen plan F | head`, is no error.
fn print(text: &str) -> Result<Exit, Failure> {
    match display::print(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Failed,
            format!("can't write to standard output: {error}"),
        )),
        _ => Ok(Exit::Success),
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|e| Failure::new(Exit::Failed, format!("can't write JSON: {e}")))?;
    text.push('\n');
    Ok(text)
}

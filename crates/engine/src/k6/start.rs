//! Starts k6.

use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use loadgen_program::{Child, Input, Log};
use loadgen_scenario::{ArrivalSchedule, Plan};
use loadgen_timeline::Clock;
use tokio::process::Command;

use super::line::{self, LogLine};
use super::pipe::{LOOK, Lines};
use super::program::{self, K6};
use super::segment;
use crate::error::EngineError;
use crate::run::Whole;

/// How long k6 may take until its clocks start; each VU runs the script once before.
const START: Duration = Duration::from_secs(120);

/// Where k6 and its things are.
#[derive(Debug, Clone)]
pub struct K6Options {
    /// The binary.
    pub k6: K6,
    /// Folder that the module is written to.
    pub module: PathBuf,
    /// The plan as JSON; none: it holds what must be in no file, and k6 gets it otherwise.
    pub plan_file: Option<PathBuf>,
    /// File for what k6 itself says.
    pub log: PathBuf,
    /// `user:password` of the target, which are in no file.
    pub credentials: Option<String>,
    /// Certificates to believe besides the system's, as PEM.
    pub certificates: Option<PathBuf>,
}

/// A k6 whose clocks have just started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(super) child: Child,
    pub(super) lines: Lines,
    pub(super) log: Log,
    pub(super) api_address: Option<String>,
    pub(crate) zero_ns: i64,
}

/// Starts k6 and waits for its clocks to start, which they do when that was agreed on.
pub(crate) async fn start(options: &K6Options, run: &Whole<'_>) -> Result<Started, EngineError> {
    let cannot = |why: String| EngineError::K6(format!("k6 can't start: {why}"));
    let io = |e: io::Error| cannot(e.to_string());
    program::write_module(&options.module).map_err(io)?;
    let api_address = api_address(run.plan).map_err(io)?;
    let (plan_file, input) = plan_input(options, run.plan).map_err(io)?;
    let mut log = Log::create(options.log.clone()).map_err(io)?;
    let mut command = command(options, run, api_address.as_deref()).map_err(io)?;
    command
        .env("LOADGEN_PLAN", plan_file)
        .stdout(log.stdio().map_err(io)?)
        // Not into a file: a k6 that is left alone ends at its next line, because nobody reads it.
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let limit = START + time_until(run.start_at_ns);
    let mut child = Child::start(command, input).map_err(io)?;
    let stderr = child
        .take_stderr()
        .ok_or_else(|| cannot("no pipe".into()))?;
    let mut lines = Lines::new(stderr).map_err(io)?;
    let zero_ms = child.ready_by(zero_ms(&mut lines, &mut log), limit).await;
    let zero_ms = zero_ms.map_err(|e| cannot(log.explain(e)))?;
    Ok(Started {
        child,
        lines,
        log,
        api_address,
        zero_ns: zero_ms * 1_000_000,
    })
}

/// Where k6's API is to be. Only schedules drop iterations, and only those are asked for.
fn api_address(plan: &Plan) -> io::Result<Option<String>> {
    let has_schedule = plan
        .scenarios
        .iter()
        .any(|s| ArrivalSchedule::new(&s.executor).is_some());
    has_schedule.then(program::free_address).transpose()
}

/// The file that k6 reads the plan from, and what its standard input is.
fn plan_input(options: &K6Options, plan: &Plan) -> io::Result<(PathBuf, Input)> {
    Ok(match &options.plan_file {
        Some(file) => (std::path::absolute(file)?, Input::Empty),
        None => (PathBuf::from("/dev/stdin"), Input::File(unnamed(plan)?)),
    })
}

/// k6 with all that it is told but the plan.
fn command(options: &K6Options, run: &Whole<'_>, api_address: Option<&str>) -> io::Result<Command> {
    let mut command = Command::from(program::command(
        &options.k6,
        &options.module.join("replay.js"),
        &options.module.join(program::CONFIG),
        api_address.unwrap_or(""),
    ));
    if !run.shard.is_whole() {
        let [segment, sequence] = segment::options(run.shard);
        command.args(["--execution-segment", &segment]);
        command.args(["--execution-segment-sequence", &sequence]);
    }
    match run.start_at_ns {
        // In seconds, as `--start-at` takes them.
        Some(ns) => command.env("LOADGEN_START_AT", format!("{:.3}", ns as f64 / 1e9)),
        None => command.env_remove("LOADGEN_START_AT"),
    };
    if let Some(file) = &options.certificates {
        // Go reads the system's folders of certificates all the same.
        command.env("SSL_CERT_FILE", std::path::absolute(file)?);
    }
    let base_url = with_credentials(run.base_url, options.credentials.as_deref());
    command
        .env("LOADGEN_RUN_ID", run.run_id)
        .env("LOADGEN_QUIET", "1")
        .env("BASE_URL", base_url);
    Ok(command)
}

/// How long it is until a start that was agreed on.
fn time_until(start_at_ns: Option<i64>) -> Duration {
    let left_ns = start_at_ns.map_or(0, |at_ns| at_ns - Clock::anchored_now().now_ns());
    Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0))
}

/// Waits for the line that says when k6's clocks started, in Unix milliseconds; none: it ended
/// before.
async fn zero_ms(lines: &mut Lines, log: &mut Log) -> io::Result<Option<i64>> {
    loop {
        let is_open = lines.read()?;
        while let Some(text) = lines.next() {
            match line::payload(&text).as_deref().map(line::parse) {
                Some(Ok(LogLine::Zero(ms))) => return Ok(Some(ms)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => log.write(&text),
            }
        }
        if !is_open {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A plan in a file without a name, which is gone when nobody has it open.
fn unnamed(plan: &Plan) -> io::Result<File> {
    let mut file = BufWriter::new(tempfile::tempfile()?);
    serde_json::to_writer(&mut file, plan)?;
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

impl Started {
    /// The process, for whoever measures it.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

fn with_credentials(base_url: &str, credentials: Option<&str>) -> String {
    match (credentials, base_url.split_once("://")) {
        (Some(credentials), Some((scheme, rest))) => format!("{scheme}://{credentials}@{rest}"),
        _ => base_url.to_owned(),
    }
}

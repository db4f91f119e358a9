//! What happens when a run is killed and can't see to its own end.
//!
//! `loadgen run` starts a guard, a process of this program that holds the other end of a pipe. As
//! long as the run lives the guard waits. When the pipe closes without a word, the run was killed:
//! the guard ends a k6 that is left behind, undoes what the run's journal says of faults, and writes
//! on the timeline that the run failed.

use std::io::{self, BufRead};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use loadgen_fault::journal::{self, Found};
use loadgen_fault::{Confirmation, Undoing, Undone};
use loadgen_program::{Child, Input, kill_group, own};
use loadgen_scenario::plan::Fault;
use loadgen_timeline::event::{Event, FaultChanged, FaultFailed, RunFinished, RunStatus};
use loadgen_timeline::{Clock, TimelineWriter, WindowEnd, read_timeline};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::certificates;

/// Attempts to clear faults, a second apart.
const ATTEMPTS: u32 = 5;
/// So long after the kill an injection may still come into force that was on its way.
const LATE: Duration = Duration::from_secs(10);
/// How long the guard of a run that is done may take to go.
const STOP: Duration = Duration::from_secs(20);

/// What a run tells its guard, one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// A process that must not outlive the run; it leads a group of its own.
    Process(u32),
    /// The run has seen to its end.
    Done,
}

/// The guard of a run. Dropped without [`Guard::release`] it does its work.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts a guard; `drives_faults`: the run may leave faults behind. `ca`: certificates that the
    /// run believes.
    pub(crate) fn start(
        timeline: &Path,
        run_id: &str,
        drives_faults: bool,
        ca: Option<&Path>,
    ) -> io::Result<Self> {
        let mut command = own()?;
        command.arg("guard").arg("--timeline").arg(timeline);
        command.args(["--run-id", run_id]);
        if let Some(ca) = ca {
            command.env(certificates::VARIABLE, ca);
        }
        if !drives_faults {
            command.arg("--no-faults");
        }
        // It may outlive the terminal.
        let said = match tracing::dispatcher::has_been_set() {
            true => Stdio::inherit(),
            false => Stdio::null(),
        };
        command.stdout(Stdio::null()).stderr(said);
        Child::start(command, Input::Held).map(Self)
    }

    /// A process must not outlive the run.
    pub(crate) fn watch(&mut self, pid: u32) -> io::Result<()> {
        self.0.say(&Word::Process(pid))
    }

    /// The run has seen to its end: the guard goes without doing anything.
    pub(crate) async fn release(mut self) -> io::Result<()> {
        self.0.say(&Word::Done)?;
        self.0.stop(STOP).await.map(drop)
    }
}

/// The guard's side: returns at once when the run is done, and after the work when it was killed.
pub(crate) async fn stand(
    timeline: &Path,
    run_id: &str,
    no_faults: bool,
    client: &Client,
) -> io::Result<()> {
    let heard = tokio::task::spawn_blocking(|| listen(io::stdin().lock())).await;
    let Some(processes) = heard.map_err(io::Error::other)? else {
        return Ok(());
    };
    info!(?processes, "the run was killed");
    processes.into_iter().for_each(kill_group);
    if no_faults {
        // What the journal of the run's id says is another shard's.
        return write_end(timeline, &[]);
    }
    let killed = Instant::now();
    let leftover = loop {
        match journal::read(&journal::path_of(run_id))? {
            Found::Leftover(leftover) => break leftover,
            // Without a journal no fault outlives the run.
            Found::Nothing => return write_end(timeline, &[]),
            // Another run clears what it found.
            Found::Locked => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let mut undoing = Undoing::new(leftover, client);
    let mut undone = undoing.attempt().await?;
    for _ in 1..ATTEMPTS {
        if undoing.is_done() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        undone.retain(|undone| undone.result.is_ok());
        undone.extend(undoing.attempt().await?);
    }
    info!(
        faults = undone.len(),
        all = undoing.is_done(),
        "faults undone"
    );
    write_end(timeline, &undone)?;
    while killed.elapsed() < LATE {
        tokio::time::sleep(Duration::from_secs(1)).await;
        undoing.look_again().await;
    }
    match undoing.is_done() {
        true => undoing.finish(),
        // The next run tries again.
        false => Ok(()),
    }
}

/// The processes to end when the input breaks off; none: the run is done.
fn listen(input: impl BufRead) -> Option<Vec<u32>> {
    let mut processes = Vec::new();
    for line in input.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Word::Process(pid)) => processes.push(pid),
            Ok(Word::Done) => return None,
            Err(_) => {}
        }
    }
    Some(processes)
}

/// Writes what the run could not: which of its faults are gone, and that it failed.
fn write_end(path: &Path, undone: &[Undone]) -> io::Result<()> {
    let timeline = match read_timeline(path) {
        Ok(timeline) if timeline.run.is_some() && timeline.finished.is_none() => timeline,
        // Killed before it began, or after it had ended.
        _ => return Ok(()),
    };
    let at_ns = Clock::anchored_now()
        .now_ns()
        .max(timeline.last_ns.unwrap_or(i64::MIN));
    let mut writer = TimelineWriter::resume(path)?;
    for interval in timeline.faults.iter().filter(|f| f.cleared.is_none()) {
        let change = &interval.injected;
        let of_it = undone.iter().find(|undone| {
            let fault = &undone.injection.fault;
            let names = [&fault.driver, &fault.fault, &fault.service];
            names == [&change.driver, &change.fault, &change.service]
        });
        writer.append(&match of_it.map(|undone| &undone.result) {
            Some(Err(reason)) => Event::FaultFailed(FaultFailed {
                scenario: change.scenario.clone(),
                driver: change.driver.clone(),
                fault: change.fault.clone(),
                service: change.service.clone(),
                change: "clear".into(),
                reason: reason.to_string(),
                requested_ns: at_ns,
                at_ns,
            }),
            // One that the journal does not know ended with the target.
            gone => {
                let confirmation = match gone {
                    Some(Ok(cleared)) => cleared.confirmation.clone(),
                    _ => Confirmation::default(),
                };
                Event::FaultCleared(FaultChanged {
                    requested_ns: at_ns,
                    at_ns,
                    confirmed_by: confirmation.how,
                    read_back: confirmation.read_back,
                    ..change.clone()
                })
            }
        })?;
    }
    // An injection that was on its way: nobody knows since when it was in force.
    let is_told = |fault: &Fault| {
        let mut told = timeline.faults.iter().map(|interval| &interval.injected);
        told.any(|f| {
            [&f.driver, &f.fault, &f.service] == [&fault.driver, &fault.fault, &fault.service]
        })
    };
    let last_open = timeline
        .windows
        .iter()
        .rfind(|w| w.end == WindowEnd::LastEvent);
    for undone in undone
        .iter()
        .filter(|undone| !is_told(&undone.injection.fault))
    {
        let fault = &undone.injection.fault;
        writer.append(&Event::FaultFailed(FaultFailed {
            scenario: last_open.map_or_else(String::new, |window| window.scenario.clone()),
            driver: fault.driver.clone(),
            fault: fault.fault.clone(),
            service: fault.service.clone(),
            change: "inject".into(),
            reason: "the run was killed before it was confirmed".to_owned(),
            requested_ns: at_ns,
            at_ns,
        }))?;
    }
    writer.append(&Event::RunFinished(RunFinished {
        at_ns,
        status: RunStatus::Failed,
        sha256: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_done_needs_no_guard() {
        let words = b"{\"process\":12}\n\"done\"\n";
        assert_eq!(listen(&words[..]), None);
        assert_eq!(listen(&words[..15]), Some(vec![12]));
        assert_eq!(listen(&b"garbage\n"[..]), Some(vec![]));
    }
}

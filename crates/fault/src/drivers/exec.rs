//! Injects faults by commands: whatever a shell can do to a system, with a second command that
//! shows whether it is in force, and a third that undoes it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use loadgen_program::{Child, Input};
use loadgen_scenario::plan::Fault;
use loadgen_scenario::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::Instant;

use crate::{ActiveFault, CHANGE_LIMIT, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// Name of the driver.
pub(super) const NAME: &str = "exec";

/// How long each command may take where the file says nothing.
const LIMIT: Duration = Duration::from_secs(8);
/// Pause before the state is confirmed again.
const PAUSE: Duration = Duration::from_millis(100);
/// Of what a command prints, at most this many bytes are kept.
const KEPT: u64 = 2048;
/// How a shell ends that can't run a command, or finds none of that name (POSIX, section 2.8.2 of
/// the shell command language).
const NOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Driver `exec`.
#[derive(Debug)]
pub struct ExecDriver;

/// Any fault, by the commands that a file gives.
pub(super) fn catalogue() -> FaultCatalogue {
    let command = |name, summary| Parameter::required(name, ParameterKind::Command, summary);
    FaultCatalogue {
        driver: NAME.to_owned(),
        services: vec![],
        faults: vec![CatalogueFault {
            name: CatalogueFault::ANY.to_owned(),
            services: vec![],
            summary: "Whatever the command `inject` does.".to_owned(),
            parameters: vec![
                command(
                    "inject",
                    "The command that injects the fault; it ends with 0 when it is done.",
                ),
                command(
                    "confirm",
                    "A command that ends with 0 while the fault is in force, and with another code \
                     while it is not. 126 and 127, with which a shell says that it can't run a \
                     command, are errors.",
                ),
                command(
                    "clear",
                    "The command that takes the fault away, also one that is gone already; it ends \
                     with 0.",
                ),
                Parameter::optional(
                    "timeout",
                    ParameterKind::Duration,
                    "How long each command may take, and until `confirm` says so: 8s by default.",
                ),
            ],
            harmless: false,
            by_client: false,
        }],
        settings: vec![],
    }
}

/// A command that is waited for. When nobody waits any more before it has ended, because its time or
/// that of the run is over, it is killed, with what it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill_group();
    }
}

/// A command that has ended.
struct Ended {
    status: ExitStatus,
    said: String,
}

/// What `confirm` must say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    InForce,
    Gone,
}

/// The commands of a fault.
struct Commands<'i> {
    injection: &'i Injection,
    limit: Duration,
}

impl<'i> Commands<'i> {
    fn of(injection: &'i Injection) -> Self {
        Self {
            injection,
            limit: limit(&injection.fault),
        }
    }

    /// Runs a command to its end. What it leaves running in the background goes on.
    async fn run(&self, name: &str, until: Instant) -> Result<Ended, FaultError> {
        let Fault { parameters, .. } = &self.injection.fault;
        let mut command = command(parameters.get(name))
            .ok_or_else(|| FaultError::Impossible(format!("the fault has no command `{name}`")))?;
        let cannot = |why: &dyn std::fmt::Display| {
            FaultError::Impossible(format!("can't run `{name}`: {why}"))
        };
        // Not a pipe: what goes on in the background would hold it open, and break when it closes.
        let mut output = tempfile::tempfile().map_err(|e| cannot(&e))?;
        let copy = || output.try_clone().map(Stdio::from);
        command
            .stdout(copy().map_err(|e| cannot(&e))?)
            .stderr(copy().map_err(|e| cannot(&e))?);
        self.tell(&mut command);
        let mut running = Running(Child::start(command, Input::Empty).map_err(|e| cannot(&e))?);
        let Ok(ended) = tokio::time::timeout_at(until, running.0.wait()).await else {
            drop(running);
            let said = said(&mut output);
            return Err(FaultError::NotConfirmed(format!(
                "`{name}` did not end in time and was killed{}",
                quoted(&said)
            )));
        };
        let status = ended.map_err(|e| FaultError::NotConfirmed(format!("`{name}`: {e}")))?;
        Ok(Ended {
            status,
            said: said(&mut output),
        })
    }

    fn tell(&self, command: &mut Command) {
        let Injection {
            fault,
            owner,
            before,
        } = self.injection;
        command
            .env("LOADGEN_FAULT", &fault.fault)
            .env("LOADGEN_SERVICE", &fault.service)
            .env("LOADGEN_INTENSITY", fault.intensity.to_string())
            .env("LOADGEN_RUN_ID", owner);
        if let Some(folder) = before.get("folder").and_then(Value::as_str) {
            command.current_dir(folder);
        }
    }

    /// Runs a command that must end with 0.
    async fn must(&self, name: &str, until: Instant) -> Result<Ended, FaultError> {
        let ended = self.run(name, until).await?;
        if ended.status.success() {
            return Ok(ended);
        }
        Err(FaultError::NotConfirmed(format!(
            "`{name}` ended with {}{}",
            ended.status,
            quoted(&ended.said)
        )))
    }

    /// Runs `confirm` once. One that was killed, or that a shell can't find or run, says nothing of the
    /// fault.
    async fn look(&self, until: Instant) -> Result<Ended, FaultError> {
        let ended = self.run("confirm", until).await?;
        match ended.status.code() {
            None | Some(NOT_RUN | NOT_FOUND) => Err(FaultError::Impossible(format!(
                "`confirm` does not tell whether the fault is in force: it ended with {}{}",
                ended.status,
                quoted(&ended.said)
            ))),
            Some(_) => Ok(ended),
        }
    }

    /// Asks until the answer is the wanted one.
    async fn confirm(&self, wanted: Wanted, until: Instant) -> Result<Ended, FaultError> {
        let mut last: Option<FaultError> = None;
        loop {
            let ended = match self.look(until).await {
                Ok(ended) => ended,
                // Time ran out within this look; the one before says more.
                Err(error) => return Err(last.unwrap_or(error)),
            };
            if ended.status.success() == (wanted == Wanted::InForce) {
                return Ok(ended);
            }
            let state = match wanted {
                Wanted::InForce => "not in force",
                Wanted::Gone => "still in force",
            };
            let error = FaultError::NotConfirmed(format!(
                "by `confirm` the fault is {state}: it ended with {}{}",
                ended.status,
                quoted(&ended.said)
            ));
            if Instant::now() + PAUSE >= until {
                return Err(error);
            }
            last = Some(error);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn is_in_force(&self) -> Result<bool, FaultError> {
        let ended = self.look(Instant::now() + self.limit).await?;
        Ok(ended.status.success())
    }
}

#[async_trait]
impl FaultDriver for ExecDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    async fn version(&self) -> Result<String, FaultError> {
        Ok(String::new())
    }

    /// The folder in which commands run, also after a crash. A fault that is there already is
    /// somebody else's.
    async fn prepare(&self, fault: &Fault, owner: &str) -> Result<Value, FaultError> {
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let injection = Injection {
            fault: fault.clone(),
            owner: owner.to_owned(),
            before: json!({ "folder": folder.to_string_lossy() }),
        };
        if Commands::of(&injection).is_in_force().await? {
            return Err(FaultError::Impossible(
                "by `confirm` the fault is in force already, and not by this run".to_owned(),
            ));
        }
        Ok(injection.before)
    }

    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError> {
        let commands = Commands::of(injection);
        let until = Instant::now() + commands.limit;
        let injected = commands.must("inject", until).await?;
        let confirmed = commands.confirm(Wanted::InForce, until).await?;
        Ok(Confirmation {
            how: "the command `confirm` ended with 0".to_owned(),
            read_back: json!({ "inject": injected.said, "confirm": confirmed.said }),
        })
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        let commands = Commands::of(injection);
        // It is cleared also where this can't be told.
        let was_in_force = commands.is_in_force().await;
        let until = Instant::now() + commands.limit;
        let cleared = commands.must("clear", until).await?;
        let confirmed = commands.confirm(Wanted::Gone, until).await?;
        Ok(Cleared {
            was_in_force: was_in_force?,
            confirmation: Confirmation {
                how: format!("the command `confirm` ended with {}", confirmed.status),
                read_back: json!({ "clear": cleared.said, "confirm": confirmed.said }),
            },
        })
    }

    async fn state(&self, held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let mut active = Vec::new();
        for injection in held {
            if Commands::of(injection).is_in_force().await? {
                active.push(ActiveFault {
                    fault: injection.fault.clone(),
                    owner: injection.owner.clone(),
                });
            }
        }
        Ok(active)
    }

    /// A file may give its commands more time. Then the look before them has the usual one.
    fn limit(&self, fault: &Fault) -> Duration {
        let commands = limit(fault);
        match commands > CHANGE_LIMIT {
            true => commands + CHANGE_LIMIT,
            false => CHANGE_LIMIT,
        }
    }

    fn look_every(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// How long a command of a fault may take.
fn limit(fault: &Fault) -> Duration {
    let timeout = fault.parameters.get("timeout_ms").and_then(Value::as_u64);
    timeout.map_or(LIMIT, Duration::from_millis)
}

/// A text is for the shell, a list is a program and its arguments.
fn command(value: Option<&Value>) -> Option<Command> {
    match value? {
        Value::String(text) => {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", text]);
            Some(command)
        }
        Value::Array(words) => {
            let mut words = words.iter().filter_map(Value::as_str);
            let mut command = Command::new(words.next()?);
            command.args(words);
            Some(command)
        }
        _ => None,
    }
}

/// The beginning of what was printed.
fn said(output: &mut File) -> String {
    let mut bytes = Vec::new();
    // What can't be read is of no use.
    let _ = output.seek(SeekFrom::Start(0));
    let _ = output.take(KEPT).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn quoted(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(", and said: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn injection(inject: &str, confirm: &str, clear: &str) -> Injection {
        let fault = json!({
            "driver": NAME, "fault": "broken", "service": "store", "intensity": 1.0,
            "parameters": { "inject": inject, "confirm": confirm, "clear": clear },
        });
        Injection {
            fault: serde_json::from_value(fault).unwrap(),
            owner: "a run".to_owned(),
            before: Value::Null,
        }
    }

    #[tokio::test]
    async fn a_fault_is_cleared_also_where_nothing_confirms_it() {
        let place = tempfile::tempdir().unwrap();
        let cleared = place.path().join("cleared");
        let clear = format!("touch {}", cleared.display());
        let injection = injection("true", "no-such-program", &clear);
        let error = ExecDriver.clear(&injection).await.unwrap_err().to_string();
        assert!(error.contains("does not tell whether"), "{error}");
        assert!(cleared.exists());
    }

    /// Waits until something is so, at most a minute.
    async fn until(is_so: impl Fn() -> bool) {
        for _ in 0..3000 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited a minute");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_command_that_nobody_waits_for_is_killed_with_what_it_has_started() {
        let place = tempfile::tempdir().unwrap();
        let pids = place.path().join("pids");
        let inject = format!("sleep 1000 & echo $$ $! > {}; wait", pids.display());
        let injection = injection(&inject, "true", "true");
        let read = || std::fs::read_to_string(&pids).unwrap_or_default();
        {
            let injecting = ExecDriver.inject(&injection);
            tokio::select! {
                _ = injecting => panic!("it does not end"),
                () = until(|| read().ends_with('\n')) => {}
            }
        }
        let is_gone = |pid: &str| {
            let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        until(|| read().split_whitespace().all(is_gone)).await;
    }
}

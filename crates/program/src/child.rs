//! The starter's side: a program that this one has started.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, Command};
use tokio::time::timeout;

/// What a program finds on its standard input.
#[derive(Debug)]
pub enum Input {
    /// A pipe. It ends when the program is asked to stop, and when this process has ended, however
    /// that came.
    Held,
    /// Nothing.
    Empty,
    /// A file.
    File(File),
}

/// A program that was started. It has a process group of its own: a Ctrl+C in the terminal is for
/// the starter, which then stops the others in order.
///
/// Dropped, it loses its standard input; it is killed only where the command says `kill_on_drop`.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    /// Its input is a pipe, or was one.
    is_held: bool,
    /// The end of a pipe that is held.
    stdin: Option<PipeWriter>,
}

/// Why a program that was started is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// It can't be started, read or waited for.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It runs, and has not said that it is ready.
    #[error("it was not ready within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// It has ended.
    #[error("it ended with {0}")]
    Ended(ExitStatus),
    /// It said something else.
    #[error("its ready line {line:?} is unclear: {source}")]
    Unclear {
        /// What it said.
        line: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Child {
    /// Starts a program. The command says where its output goes, and nothing of its input.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(mut command: Command, input: Input) -> io::Result<Self> {
        // Not tokio's pipe: what waits for the program would close it, and only a runtime could
        // write into it.
        let is_held = matches!(input, Input::Held);
        let stdin = match input {
            Input::Held => {
                let (reader, writer) = io::pipe()?;
                command.stdin(reader);
                Some(writer)
            }
            Input::Empty => {
                command.stdin(Stdio::null());
                None
            }
            Input::File(file) => {
                command.stdin(file);
                None
            }
        };
        let process = command.process_group(0).spawn()?;
        Ok(Self {
            process,
            is_held,
            stdin,
        })
    }

    /// Starts a program and waits for the line of JSON by which it says that it is ready
    /// ([`say_ready`](crate::say_ready)). Nobody reads what it prints after that.
    ///
    /// # Errors
    /// It can't be started, or does not say so within `limit`.
    pub async fn start_ready<Ready: DeserializeOwned>(
        mut command: Command,
        input: Input,
        limit: Duration,
    ) -> Result<(Self, Ready), NotReady> {
        command.stdout(Stdio::piped());
        let mut child = Self::start(command, input)?;
        let stdout = child.process.stdout.take();
        let said = async {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                BufReader::new(stdout).read_line(&mut line).await?;
            }
            Ok((!line.is_empty()).then_some(line))
        };
        let line = child.ready_by(said, limit).await?;
        match serde_json::from_str(&line) {
            Ok(ready) => Ok((child, ready)),
            Err(source) => Err(NotReady::Unclear { line, source }),
        }
    }

    /// Waits for the sign that the program is ready. A sign of `None`: its output is at an end, so
    /// none will come.
    ///
    /// # Errors
    /// There was no sign within `limit`.
    pub async fn ready_by<Sign>(
        &mut self,
        sign: impl Future<Output = io::Result<Option<Sign>>>,
        limit: Duration,
    ) -> Result<Sign, NotReady> {
        let ready = async {
            match sign.await? {
                Some(sign) => Ok(sign),
                None => Err(NotReady::Ended(self.wait().await?)),
            }
        };
        let ready = timeout(limit, ready).await;
        ready.unwrap_or(Err(NotReady::Late(limit)))
    }

    /// Its pid. None: it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Its standard error, where the command has it piped and nobody took it yet.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.process.stderr.take()
    }

    /// Writes a line of JSON to its standard input. Blocks while the pipe is full.
    ///
    /// # Errors
    /// It does not read any more.
    pub fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => crate::write_line(stdin, what),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits until it has ended. May be given up and called again.
    ///
    /// # Errors
    /// The system does not say.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Asks it to end: its standard input ends or, where it has none, it gets a SIGTERM.
    pub fn ask_to_end(&mut self) {
        match self.is_held {
            true => self.stdin = None,
            false => self.signal(Signal::TERM),
        }
    }

    /// [Asks it to end](Self::ask_to_end) and waits. None: it did not within `limit` and was
    /// killed with its group.
    ///
    /// # Errors
    /// The system does not say.
    pub async fn stop(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        self.ask_to_end();
        match timeout(limit, self.wait()).await {
            Ok(status) => status.map(Some),
            Err(_) => {
                self.kill_group();
                self.wait().await.map(|_| None)
            }
        }
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.id().and_then(pid) {
            // One that ends just now needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and all of its group, unless it has ended.
    pub fn kill_group(&self) {
        self.id().into_iter().for_each(kill_group);
    }
}

/// Kills a process that leads a group, and all of the group.
pub fn kill_group(leader: u32) {
    if let Some(pid) = pid(leader) {
        // One that is gone already is what is wanted.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

//! Noisy neighbour: other processes compute on the processor on which the service answers requests,
//! as on a host where too many share one. The rest of the machine stays usable.

use std::process::Stdio;
use std::time::Duration;

use loadgen_program::{Child, Input};
use tokio::process::Command;
use tokio::sync::Mutex;

/// Processes that compute at intensity 1.
const PROCESSES: f64 = 8.0;
/// Computes until its standard input ends: that is also what the system makes of the service's end.
const SCRIPT: &str = "exec 3<&0; { cat <&3 >/dev/null; kill $$; } & while :; do :; done";
/// How long one may take to end.
const END_LIMIT: Duration = Duration::from_secs(3);

/// The processes, while there are any.
#[derive(Debug, Default)]
pub(crate) struct Neighbour(Mutex<Vec<Child>>);

impl Neighbour {
    /// Begins, or changes how many they are (a share from 0 to 1). Says why that is not possible.
    pub(crate) async fn begin(&self, level: f64) -> Result<(), String> {
        let mut processes = self.0.lock().await;
        let wanted = (PROCESSES * level).ceil() as usize;
        let shared = processor::shared()?;
        processor::keep_requests_on(&shared)?;
        while processes.len() < wanted {
            processes.push(compute(&shared)?);
        }
        for process in processes.drain(wanted..) {
            end(process).await;
        }
        Ok(())
    }

    /// Ends them all.
    pub(crate) async fn end(&self) -> Result<(), String> {
        let mut processes = self.0.lock().await;
        if processes.is_empty() {
            return Ok(());
        }
        for process in processes.drain(..) {
            end(process).await;
        }
        processor::keep_requests_on(&processor::all()?)
    }
}

fn compute(on: &processor::Set) -> Result<Child, String> {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = Child::start(command, Input::Held)
        .map_err(|error| format!("`sh` can't be started: {error}"))?;
    if let Some(id) = process.id() {
        processor::keep(id, on)?;
    }
    Ok(process)
}

async fn end(mut process: Child) {
    // It can only fail where the process has ended already.
    let _ = process.stop(END_LIMIT).await;
}

/// Which processors threads may run on.
#[cfg(target_os = "linux")]
mod processor {
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use crate::service::REQUEST_THREADS;

    pub(super) type Set = CpuSet;

    fn failed(error: impl std::fmt::Display) -> String {
        format!("threads can't be kept on a processor: {error}")
    }

    /// All that this thread may run on, which answers no requests and so is never kept anywhere.
    pub(super) fn all() -> Result<Set, String> {
        sched_getaffinity(None).map_err(failed)
    }

    /// The last of them.
    pub(super) fn shared() -> Result<Set, String> {
        let all = all()?;
        let last = (0..CpuSet::MAX_CPU).rev().find(|one| all.is_set(*one));
        let mut shared = CpuSet::new();
        shared.set(last.ok_or_else(|| failed("there is none"))?);
        Ok(shared)
    }

    /// Keeps a thread or a process of one thread.
    pub(super) fn keep(id: u32, on: &Set) -> Result<(), String> {
        match sched_setaffinity(Pid::from_raw(id.cast_signed()), on) {
            // It has ended.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            kept => kept.map_err(failed),
        }
    }

    /// Keeps the threads that answer requests.
    pub(super) fn keep_requests_on(set: &Set) -> Result<(), String> {
        // Twice: the first time, one may have started another one.
        for _ in 0..2 {
            for thread in std::fs::read_dir("/proc/self/task").map_err(failed)? {
                let thread = thread.map_err(failed)?;
                let name = std::fs::read_to_string(thread.path().join("comm"));
                let id = thread.file_name().to_string_lossy().parse();
                if let (Ok(name), Ok(id)) = (name, id)
                    && name.trim_end() == REQUEST_THREADS
                {
                    keep(id, set)?;
                }
            }
        }
        Ok(())
    }
}

/// Nothing but Linux is known to keep threads on a processor.
#[cfg(not(target_os = "linux"))]
mod processor {
    pub(super) type Set = ();

    pub(super) fn all() -> Result<Set, String> {
        Ok(())
    }

    pub(super) fn shared() -> Result<Set, String> {
        Err("a noisy neighbour is only possible on Linux".to_owned())
    }

    pub(super) fn keep(_id: u32, _on: &Set) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn keep_requests_on(_set: &Set) -> Result<(), String> {
        Ok(())
    }
}

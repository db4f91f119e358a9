//! The real binary, run in a folder of its own.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod collector;
pub(crate) mod k6;
pub(crate) mod shop;
pub(crate) mod target;

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use loadgen_program::Input;
use serde_json::Value;
use tokio::runtime::Runtime;

/// A folder that is removed at the end, and `loadgen` in it.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn loadgen<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        spawn(self.command(args))
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            // Journals of its own, so that tests don't clear each other's faults.
            .env("LOADGEN_STATE_DIR", self.path("state"))
            .env_remove("BASE_URL")
            .env_remove("K6_BIN")
            .env_remove("LOADGEN_PROXY_TOKEN");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command
    }
}

/// Starts a program whose output is kept.
pub(crate) fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// No machine is so busy that a program takes longer to start or to end.
const LIMIT: Duration = Duration::from_secs(120);

/// What programs are started and waited for on.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// A program that says when it is ready, and the line that says so. Stopped when it is dropped.
pub(crate) struct Started {
    pub(crate) child: loadgen_program::Child,
    pub(crate) ready: Value,
}

impl Started {
    pub(crate) fn new(command: Command, input: Input) -> Self {
        let start = loadgen_program::Child::start_ready(command.into(), input, LIMIT);
        let (child, ready) = runtime().block_on(start).unwrap();
        Self { child, ready }
    }

    /// A part of the ready line.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// Waits for its end; the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let end = async { tokio::time::timeout(LIMIT, self.child.wait()).await };
        runtime().block_on(end).unwrap().unwrap().code()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = runtime().block_on(self.child.stop(LIMIT));
    }
}

/// A scenario file of the repository.
pub(crate) fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../scenarios")
        .join(name)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The ledger of a run folder.
pub(crate) fn ledger(run: &Path) -> loadgen_timeline::Ledger {
    loadgen_timeline::read_ledger(&run.join("ledger.arrows"), None).unwrap()
}

/// An id of a trace as a header has it.
pub(crate) fn hex(trace_id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(trace_id))
}

/// Ids of all traces of a ledger, sorted.
pub(crate) fn trace_ids(ledger: &loadgen_timeline::Ledger) -> Vec<String> {
    let mut ids: Vec<String> = ledger.rows().map(|row| hex(row.trace_id)).collect();
    ids.sort();
    ids
}

/// The lines of a JSON-lines file that are whole.
pub(crate) fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The events of one kind on the timeline of a run folder.
pub(crate) fn events(run: &Path, kind: &str) -> Vec<Value> {
    let lines = json_lines(&run.join("timeline.jsonl"));
    lines
        .into_iter()
        .filter(|line| line["event"] == kind)
        .collect()
}

/// Sends a signal, such as `-INT`.
pub(crate) fn kill(signal: &str, pid: u32) {
    let done = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(done.unwrap().success());
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < LIMIT,
            "waited {} s for: {what}",
            LIMIT.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a process, at most two minutes; its exit code and standard error.
pub(crate) fn end(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = child.stderr.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // Pipes are emptied as they fill, so that the process can't be stuck on them.
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(120) {
            let _ = child.kill();
            panic!("loadgen did not end within two minutes");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    (status.code(), errors.join().unwrap())
}

/// Processes of this program whose command line names a path.
#[cfg(target_os = "linux")]
pub(crate) fn processes_that_name(path: &Path) -> usize {
    let needle = path.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let named = entries.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        text(&line).contains(&needle)
    });
    named.count()
}

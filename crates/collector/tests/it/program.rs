//! The collector as a process: the ready line, the ways to stop it, and what a kill leaves behind.

use crate::otlp;
use crate::otlp::{JSON, PROTOBUF};
use loadgen_program::{Child, Input, Signal};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::runtime::Runtime;

/// What programs are started and waited for on.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

struct Program {
    child: Child,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Program {
    fn start(output: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(example());
        command.stderr(Stdio::piped());
        Self::start_by(command, output, arguments)
    }

    fn start_by(mut command: Command, output: &Path, arguments: &[&str]) -> Self {
        command
            .args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--output"])
            .arg(output)
            .args(arguments);
        let start = Child::start_ready(command, Input::Held, Duration::from_secs(60));
        let (child, ready): (_, serde_json::Value) = runtime().block_on(start).unwrap();
        assert_eq!(ready["ready"], "collect");
        assert_eq!(ready["output"], output.to_str().unwrap());
        let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        Self {
            child,
            grpc: address("grpc"),
            http: address("http"),
        }
    }

    fn send(&self) {
        let body = include_bytes!("otlp/traces.json");
        assert_eq!(otlp::post(self.http, "/v1/traces", JSON, body).code, 200);
    }

    /// Waits for its end.
    fn is_good_end(&mut self) -> bool {
        runtime().block_on(self.child.wait()).unwrap().success()
    }

    /// Waits for a good end and returns what was written to standard error.
    fn wait(mut self) -> String {
        let mut stderr = String::new();
        let mut pipe = self.child.take_stderr().unwrap();
        runtime()
            .block_on(pipe.read_to_string(&mut stderr))
            .unwrap();
        assert!(self.is_good_end(), "{stderr}");
        stderr
    }
}

/// Cargo builds the examples of a package along with its tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/collect");
    assert!(
        path.exists(),
        "{} is missing: cargo build --examples",
        path.display()
    );
    path
}

fn lines(output: &Path) -> usize {
    let text = fs::read_to_string(output.join("traces.jsonl")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().count()
}

#[test]
fn it_runs_until_a_signal_and_reports() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(folder.path(), &[]);
        assert_ne!(program.grpc.port(), 0);
        program.send();
        program.child.signal(signal);
        let stderr = program.wait();
        assert!(
            stderr.contains("3 spans, 0 data points, 0 log records"),
            "{stderr}"
        );
        assert!(stderr.contains("0 requests refused"), "{stderr}");
        assert_eq!(lines(folder.path()), 1);
    }
}

#[test]
fn it_ends_with_standard_input_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &["--stop-with-stdin"]);
    program.send();
    program.child.ask_to_end();
    program.wait();
    assert_eq!(lines(folder.path()), 1);
}

#[test]
fn it_outlives_standard_input_when_not_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    program.child.ask_to_end();
    program.send();
    program.child.signal(Signal::TERM);
    program.wait();
    assert_eq!(lines(folder.path()), 1);
}

#[test]
fn acknowledged_data_survives_a_kill_and_the_next_start_adds_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    program.send();
    program.send();
    program.child.signal(Signal::KILL);
    assert!(!program.is_good_end());
    assert_eq!(lines(folder.path()), 2);

    let program = Program::start(folder.path(), &[]);
    program.send();
    program.child.signal(Signal::TERM);
    program.wait();
    assert_eq!(lines(folder.path()), 3);
}

/// A limit on the size of files stands for a full disk, as it can be lifted again.
#[test]
fn a_full_disk_is_survived_also_when_standard_error_is_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // Beyond the limit there shall be an error and no signal.
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    command.arg(example());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.stderr(full);
    let mut program = Program::start_by(command, folder.path(), &[]);
    let id = Pid::from_raw(program.child.id().unwrap().cast_signed()).unwrap();
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit_files = |current| {
        prlimit(Some(id), Resource::Fsize, Rlimit { current, maximum }).unwrap();
    };
    let send = |program: &Program| {
        let body = include_bytes!("otlp/traces.json");
        otlp::post(program.http, "/v1/traces", JSON, body).code
    };
    assert_eq!(send(&program), 200);
    let size = fs::metadata(folder.path().join("traces.jsonl"))
        .unwrap()
        .len();
    limit_files(Some(size + 10));
    assert_eq!(send(&program), 503);
    assert_eq!(send(&program), 503);
    assert_eq!(
        lines(folder.path()),
        1,
        "nothing is left of what was refused"
    );
    limit_files(maximum);
    assert_eq!(send(&program), 200);
    assert_eq!(lines(folder.path()), 2);
    program.child.signal(Signal::TERM);
    assert!(program.is_good_end());
}

#[test]
fn rotated_files_hold_every_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &["--rotate", "1"]);
    let requests = otlp::requests();
    let largest = requests
        .iter()
        .filter(|sent| sent.mime == PROTOBUF && sent.path == "/v1/metrics");
    let body = &largest.max_by_key(|sent| sent.body.len()).unwrap().body;
    for _ in 0..120 {
        assert_eq!(
            otlp::post(program.http, "/v1/metrics", PROTOBUF, body).code,
            200
        );
    }
    program.child.signal(Signal::TERM);
    program.wait();
    let mut counts = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("metrics")
        {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.len() <= 1 << 20 && text.ends_with('\n'));
            counts.push(text.lines().count());
        }
    }
    assert!(counts.len() > 2, "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 120);
}

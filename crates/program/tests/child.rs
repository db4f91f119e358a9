//! The starter's side with real programs: shells that do what a program may do.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use loadgen_program::{Child, Input, Log, NotReady, Signal};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// No machine is so busy that something takes longer.
const LONG: Duration = Duration::from_secs(60);
/// What passes when something does not happen.
const SHORT: Duration = Duration::from_millis(100);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).kill_on_drop(true);
    command
}

async fn ready(script: &str, input: Input) -> Result<(Child, u32), NotReady> {
    Child::start_ready(shell(script), input, LONG).await
}

async fn stopped(script: &str, input: Input, limit: Duration) -> Option<ExitStatus> {
    let (mut child, line) = ready(script, input).await.unwrap();
    assert_eq!(line, 7);
    assert!(child.id().is_some());
    child.stop(limit).await.unwrap()
}

/// What a program says on standard error, until all that could say something have ended.
async fn all_of_stderr(child: &mut Child) -> String {
    let mut said = String::new();
    let mut stderr = child.take_stderr().unwrap();
    stderr.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn it_ends_with_the_input_that_is_held() {
    let status = stopped("echo 7; cat; exit 3", Input::Held, LONG).await;
    assert_eq!(status.unwrap().code(), Some(3));
}

#[tokio::test]
async fn without_input_it_ends_by_sigterm() {
    let script = "trap 'exit 4' TERM; cat; echo 7; while :; do sleep 0.01; done";
    let status = stopped(script, Input::Empty, LONG).await;
    assert_eq!(status.unwrap().code(), Some(4));
}

#[tokio::test]
async fn what_does_not_end_is_killed() {
    let script = "trap '' TERM; echo 7; while :; do sleep 0.01; done";
    for input in [Input::Held, Input::Empty] {
        assert_eq!(stopped(script, input, SHORT).await, None);
    }
}

#[tokio::test]
async fn one_that_has_ended_tells_how_also_when_it_is_stopped_later() {
    let (mut child, _) = ready("echo 7; exit 5", Input::Empty).await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(5));
    assert_eq!(child.id(), None);
    child.signal(Signal::KILL);
    child.kill_group();
    let status = child.stop(LONG).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(5));
}

#[tokio::test]
async fn dropped_it_loses_its_input_and_is_left_alone() {
    let mut command = shell("cat; echo bye >&2");
    command.stderr(Stdio::piped()).kill_on_drop(false);
    let mut child = Child::start(command, Input::Held).unwrap();
    let mut stderr = child.take_stderr().unwrap();
    drop(child);
    let mut said = String::new();
    stderr.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "bye\n");
}

#[tokio::test]
async fn lines_are_said_while_it_reads() {
    let mut command = shell("read line; echo \"$line\" >&2");
    command.stderr(Stdio::piped());
    let mut child = Child::start(command, Input::Held).unwrap();
    child.say(&("a", 1)).unwrap();
    assert_eq!(all_of_stderr(&mut child).await, "[\"a\",1]\n");
    assert!(child.wait().await.unwrap().success());
    assert!(child.say(&"more").is_err());
}

#[tokio::test]
async fn its_group_goes_with_it() {
    let mut command = shell("sleep 1000 & echo 7; wait");
    command.stderr(Stdio::piped());
    let (mut child, _) = Child::start_ready::<u32>(command, Input::Empty, LONG)
        .await
        .unwrap();
    child.kill_group();
    // The other one holds the pipe, too.
    assert_eq!(all_of_stderr(&mut child).await, "");
    let status = child.wait().await.unwrap();
    assert_eq!(status.to_string(), "signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn who_does_not_get_ready_is_told_of() {
    let told = async |script, limit| {
        let started = Child::start_ready::<u32>(shell(script), Input::Held, limit);
        started.await.unwrap_err().to_string()
    };
    assert_eq!(told("exit 6", LONG).await, "it ended with exit status: 6");
    assert_eq!(told("cat", SHORT).await, "it was not ready within 0.1 s");
    // It has closed its output, and goes on.
    assert_eq!(
        told("exec >&-; read line", SHORT).await,
        "it was not ready within 0.1 s"
    );
    let unclear = told("echo hello; cat", LONG).await;
    assert!(
        unclear.starts_with("its ready line \"hello\\n\" is unclear: "),
        "{unclear}"
    );
    let missing = Child::start_ready::<u32>(Command::new("/no/such"), Input::Held, LONG).await;
    assert!(matches!(missing.unwrap_err(), NotReady::Io(_)));
}

fn explained(folder: &Path, lines: &[&str]) -> (String, String) {
    let path = folder.join("log");
    let mut log = Log::create(path.clone()).unwrap();
    lines.iter().for_each(|line| log.write(line));
    let at = path.to_str().unwrap();
    let explained = log.explain("gone").replace(at, "LOG");
    (explained, log.last_error().replace(at, "LOG"))
}

#[test]
fn the_last_words_are_those_that_say_something() {
    let folder = tempfile::tempdir().unwrap();
    let (explained, last_error) = self::explained(folder.path(), &[]);
    assert_eq!(explained, "gone; its log is LOG");
    assert_eq!(last_error, "it wrote nothing (all of it is in LOG)");
    let lines = [
        "1",
        "2",
        "3",
        "error: 4",
        "  hint 5",
        "",
        "  at f (g:1)",
        "6",
    ];
    let (explained, last_error) = self::explained(folder.path(), &lines);
    assert_eq!(
        explained,
        "gone; its log is LOG\n  2\n  3\n  error: 4\n    hint 5\n  6"
    );
    assert_eq!(last_error, "error: 4 (all of it is in LOG)");
    let (_, last_error) = self::explained(folder.path(), &["1", "  2  ", ""]);
    assert_eq!(last_error, "2 (all of it is in LOG)");
}

#[tokio::test]
async fn a_program_and_its_starter_write_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::create(folder.path().join("log")).unwrap();
    log.write("before");
    let mut command = shell("echo out; echo err >&2");
    command.stdout(log.stdio().unwrap());
    command.stderr(log.stdio().unwrap());
    let mut child = Child::start(command, Input::Empty).unwrap();
    child.wait().await.unwrap();
    log.write("after");
    let text = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(text, "before\nout\nerr\nafter\n");
}

#[test]
fn a_log_that_can_not_be_made_is_named() {
    let error = Log::create("/no/such/log".into()).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/log: "), "{error}");
}

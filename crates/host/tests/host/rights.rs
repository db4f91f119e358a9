//! Which right is missing is told. This test runs itself again as a user without rights.

use std::process::Command;

use loadgen_host::{HostError, HostFault, ProcessSelector, prepare};

use crate::support::Service;

/// Where the user without rights finds what it is to try on.
const PID_FILE: &str = "LOADGEN_TEST_PID_FILE";
const NAME: &str = "rights::a_missing_right_is_named";

#[test]
fn a_missing_right_is_named() {
    if let Ok(file) = std::env::var(PID_FILE) {
        try_without_rights(&ProcessSelector::PidFile(file.into()));
        return;
    }
    let service = Service::idle();
    let ProcessSelector::PidFile(file) = service.pid_file() else {
        return;
    };
    // The folder of a test is for its user only.
    let shared = std::env::temp_dir().join(format!("loadgen-rights-{}", service.pid()));
    std::fs::copy(file, &shared).unwrap();
    let ran = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(PID_FILE, &shared)
        .output();
    std::fs::remove_file(&shared).unwrap();
    match ran {
        Ok(out) if out.status.success() => {}
        // 127: setpriv itself could not go on.
        Ok(out) if out.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&out.stdout))
        }
        other => println!("skipped: no test as another user: {other:?}"),
    }
}

fn try_without_rights(target: &ProcessSelector) {
    let right = |fault: &HostFault| match prepare(fault, Some(target), "test") {
        Err(error @ HostError::Right { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(right(&HostFault::Stop {}).contains("needs CAP_KILL or the same user"));
    for fault in [HostFault::CpuQuota { cpus: 0.1 }, HostFault::Freeze {}] {
        match prepare(&fault, Some(target), "test") {
            Err(HostError::Right { action, needs }) => {
                assert!(action.contains("/sys/fs/cgroup"), "{action}");
                assert!(needs.contains("root"), "{needs}");
            }
            // Another machine may have no such hierarchy.
            Err(HostError::Cgroup(why)) => println!("skipped: {why}"),
            other => panic!("{other:?}"),
        }
    }
}

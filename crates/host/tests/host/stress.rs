//! CPU stress, which needs stress-ng and root.

use std::process::{Command, Stdio};

use loadgen_host::{HostError, HostFault, prepare};

use crate::support::{Group, Service, cgroup, cpu_ms, hierarchy, kept, state, until};

const STRESS: HostFault = HostFault::StressCpu {
    workers: 2,
    load_percent: 50,
};

fn is_installed() -> bool {
    let mut command = Command::new("stress-ng");
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok()
}

#[test]
fn stress_runs_in_the_targets_cgroup_until_cleared() {
    if !is_installed() {
        let service = Service::idle();
        let error = prepare(&STRESS, Some(&service.pid_file()), "test").unwrap_err();
        assert!(matches!(error, HostError::NotInstalled { .. }), "{error}");
        println!("skipped: {error}");
        return;
    }
    let Some(mount) = hierarchy("cpu") else {
        return;
    };
    let group = Group::new(&mount, "stress");
    let service = Service::idle();
    group.add(service.pid());
    let before = service.prepare(&STRESS);
    assert!(!before.look().unwrap().in_force);

    let read_back = before.inject().unwrap();
    let pids = read_back.values["processes"].as_array().unwrap().clone();
    let pids: Vec<i32> = pids
        .iter()
        .map(|pid| pid.as_i64().unwrap() as i32)
        .collect();
    assert!(pids.len() >= 3, "{read_back:?}");
    for pid in &pids {
        assert_eq!(cgroup(*pid, "cpu"), cgroup(service.pid(), "cpu"));
    }
    until("the workers use CPU time", || {
        pids.iter().map(|pid| cpu_ms(*pid)).sum::<u64>() > 100
    });
    // Again is no error and starts nothing.
    before.inject().unwrap();
    let look = before.look().unwrap();
    assert!(look.in_force);
    assert_eq!(
        look.read_back.values["processes"].as_array().unwrap().len(),
        pids.len()
    );

    assert!(kept(&before).clear().unwrap().was_in_force);
    assert!(
        pids.iter()
            .all(|pid| ["", "Z"].contains(&state(*pid).as_str()))
    );
    assert!(!before.look().unwrap().in_force);
    assert!(!before.clear().unwrap().was_in_force);
    assert_eq!(state(service.pid()), "S");
}

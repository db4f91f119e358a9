//! Targets, stop and kill.

use std::process::Command;

use loadgen_host::{HostError, HostFault, KillSignal, ProcessSelector, prepare};

use crate::support::{Service, children, kept, state, until};

/// Listens on a port and says which.
const LISTENER: &str = "exec python3 -c '
import os, socket, time
s = socket.create_server((\"127.0.0.1\", int(os.environ.get(\"PORT\", \"0\"))))
open(\"next\", \"w\").write(str(s.getsockname()[1]))
os.rename(\"next\", \"port\")
time.sleep(600)'";

fn listener() -> (Service, u16) {
    let service = Service::script(LISTENER);
    let file = service.folder.path().join("port");
    until("it listens", || file.exists());
    let port = std::fs::read_to_string(file).unwrap().parse().unwrap();
    (service, port)
}

#[test]
fn a_process_is_found_by_pid_file_and_port() {
    let (service, port) = listener();
    let by_file = service.pid_file().find().unwrap();
    assert_eq!(by_file.len(), 1);
    assert_eq!(by_file[0].pid, service.pid());
    assert_eq!(ProcessSelector::Port(port).find().unwrap(), by_file);
    assert!(by_file[0].name.starts_with("python3"), "{by_file:?}");
}

#[test]
fn two_services_on_one_port_are_told() {
    let (one, port) = listener();
    // The same number of another address.
    let other = Service::script(
        &LISTENER
            .replace("127.0.0.1", "127.0.0.2")
            .replace("\"0\"", &format!("\"{port}\"")),
    );
    until("it listens", || other.folder.path().join("port").exists());
    let error = ProcessSelector::Port(port).find().unwrap_err();
    assert!(matches!(error, HostError::Several { .. }), "{error}");
    let text = error.to_string();
    for pid in [one.pid(), other.pid()] {
        assert!(text.contains(&format!("{pid} (python3")), "{text}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let mut service = Service::idle();
    let target = service.pid_file();
    let not_found = |target: &ProcessSelector| match target.find() {
        Err(e @ HostError::NotFound { .. }) => e.to_string(),
        other => panic!("{other:?}"),
    };
    // An ended process that its parent has not asked for is none.
    Command::new("kill")
        .args(["-KILL", &service.pid().to_string()])
        .status()
        .unwrap();
    until("it ends", || state(service.pid()) == "Z");
    assert!(not_found(&target).contains("no such process runs"));
    service.end();
    assert!(not_found(&target).contains("no such process runs"));

    let file = service.folder.path().join("pid");
    std::fs::write(&file, "not a number").unwrap();
    assert!(not_found(&target).contains("no process number"));
    std::fs::remove_file(&file).unwrap();
    assert!(not_found(&target).contains("No such file"));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    assert!(not_found(&ProcessSelector::Port(port)).contains("nothing listens"));
    assert!(not_found(&ProcessSelector::Cgroup("/no/such".into())).contains("no hierarchy"));
    assert!(not_found(&ProcessSelector::Container("0123456789ab".into())).contains("container"));
    assert!(ProcessSelector::Container("xyz".into()).find().is_err());
    let none = prepare(&HostFault::Stop {}, None, "test").unwrap_err();
    assert!(none.to_string().contains("give it a target"));
}

#[test]
fn a_pid_file_of_a_service_that_has_ended_hits_nobody() {
    let service = Service::idle();
    let file = service.folder.path().join("pid");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let opened = std::fs::File::options().write(true).open(file).unwrap();
    opened.set_modified(long_ago).unwrap();
    let error = service.pid_file().find().unwrap_err();
    assert!(
        error.to_string().contains("so it is another one"),
        "{error}"
    );
}

#[test]
fn this_program_and_its_parents_are_no_target() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    for pid in [std::process::id(), std::os::unix::process::parent_id()] {
        std::fs::write(&file, pid.to_string()).unwrap();
        let error = ProcessSelector::PidFile(file.clone()).find().unwrap_err();
        assert!(
            matches!(error, HostError::Itself { pid: found, .. } if found == pid.cast_signed())
        );
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = ProcessSelector::Port(listener.local_addr().unwrap().port());
    assert!(matches!(port.find(), Err(HostError::Itself { .. })));
}

#[test]
fn a_stopped_process_and_its_children_make_no_progress_until_cleared() {
    let service = Service::counting();
    let before = service.prepare(&HostFault::Stop {});
    assert!(!before.look().unwrap().in_force);

    let read_back = before.inject().unwrap();
    assert!(
        read_back.how.starts_with("state T in /proc/"),
        "{}",
        read_back.how
    );
    assert_eq!(state(service.pid()), "T");
    for child in children(service.pid()) {
        // One may have ended just before.
        assert!(
            ["T", "Z"].contains(&state(child).as_str()),
            "{}",
            state(child)
        );
    }
    assert!(before.look().unwrap().in_force);
    // Again is no error.
    before.inject().unwrap();
    let count = service.count();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(service.count(), count);

    let cleared = kept(&before).clear().unwrap();
    assert!(cleared.was_in_force && cleared.remains.is_none());
    until("it counts again", || service.count() > count);
    assert!(!before.look().unwrap().in_force);
    assert!(!before.clear().unwrap().was_in_force);
}

#[test]
fn a_half_done_stop_is_undone() {
    // The child ignores nothing and has no children of its own.
    let service = Service::script("sleep 600 & sleep 600 & wait");
    until("it has children", || children(service.pid()).len() == 2);
    let before = service.prepare(&HostFault::Stop {});
    // As far as a crash after the first signal gets.
    let pid = service.pid();
    Command::new("kill")
        .args(["-STOP", &pid.to_string()])
        .status()
        .unwrap();
    until("it is stopped", || state(pid) == "T");
    let look = before.look().unwrap();
    assert!(!look.in_force, "{look:?}");
    assert!(before.clear().unwrap().was_in_force);
    until("it goes on", || state(pid) == "S");
}

#[test]
fn what_was_stopped_before_stays_stopped() {
    let service = Service::script("sleep 600 & wait");
    until("it has a child", || children(service.pid()).len() == 1);
    let child = children(service.pid())[0];
    Command::new("kill")
        .args(["-STOP", &child.to_string()])
        .status()
        .unwrap();
    until("the child is stopped", || state(child) == "T");
    let before = service.prepare(&HostFault::Stop {});
    before.inject().unwrap();
    assert_eq!(state(service.pid()), "T");
    before.clear().unwrap();
    until("it goes on", || state(service.pid()) == "S");
    assert_eq!(state(child), "T");

    std::fs::write(service.folder.path().join("pid"), child.to_string()).unwrap();
    let error = prepare(&HostFault::Stop {}, Some(&service.pid_file()), "test").unwrap_err();
    assert!(error.to_string().contains("stopped already"));
}

#[test]
fn a_process_that_is_gone_is_no_error_when_cleared() {
    let mut service = Service::idle();
    let before = service.prepare(&HostFault::Stop {});
    before.inject().unwrap();
    service.end();
    assert!(!before.look().unwrap().in_force);
    assert!(!before.clear().unwrap().was_in_force);
    let error = before.inject().unwrap_err();
    assert!(matches!(error, HostError::NotInForce(_)), "{error}");
}

#[test]
fn another_process_with_the_same_pid_is_not_hit() {
    let service = Service::idle();
    let before = service.prepare(&HostFault::Stop {});
    // The record of a process that had this pid earlier.
    let mut record = serde_json::to_value(&before).unwrap();
    let start = &mut record["state"]["processes"][0]["start_ticks"];
    *start = (start.as_u64().unwrap() - 1).into();
    let earlier: loadgen_host::Before = serde_json::from_value(record.clone()).unwrap();
    assert!(earlier.inject().is_err());
    assert_ne!(state(service.pid()), "T");
    before.inject().unwrap();
    assert!(!earlier.clear().unwrap().was_in_force);
    assert_eq!(state(service.pid()), "T");
    before.clear().unwrap();

    // The machine was restarted since.
    let mut record = serde_json::to_value(&before).unwrap();
    record["boot"] = "another".into();
    let earlier: loadgen_host::Before = serde_json::from_value(record).unwrap();
    assert!(
        earlier
            .inject()
            .unwrap_err()
            .to_string()
            .contains("restarted")
    );
    before.inject().unwrap();
    let cleared = earlier.clear().unwrap();
    assert!(!cleared.was_in_force && cleared.read_back.how.contains("restarted"));
    assert_eq!(state(service.pid()), "T");
    before.clear().unwrap();
}

/// A service that its restart command starts in the background, with a pid file.
fn kill_fault(service: &Service, signal: KillSignal) -> HostFault {
    let folder = service.folder.path().display();
    let script = format!("cd {folder}; sleep 600 & echo $! > next; mv next pid");
    HostFault::Kill {
        signal,
        restart: vec!["sh".to_owned(), "-c".to_owned(), script],
    }
}

fn end(pid: i32) {
    Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .unwrap();
}

#[test]
fn a_killed_service_is_started_again() {
    let service = Service::script("sleep 600 & wait");
    until("it has a child", || children(service.pid()).len() == 1);
    let child = children(service.pid())[0];
    let before = service.prepare(&kill_fault(&service, KillSignal::Kill));
    assert!(!before.look().unwrap().in_force);
    let read_back = before.inject().unwrap();
    assert!(read_back.how.contains("in /proc"), "{}", read_back.how);
    for pid in [service.pid(), child] {
        assert!(["", "Z"].contains(&state(pid).as_str()), "{pid}");
    }
    assert!(before.look().unwrap().in_force);

    let cleared = before.clear().unwrap();
    assert!(cleared.was_in_force);
    let again = service.pid_file().find().unwrap();
    assert_ne!(again[0].pid, service.pid());
    // Nothing is started twice.
    assert!(!before.clear().unwrap().was_in_force);
    assert_eq!(service.pid_file().find().unwrap(), again);
    end(again[0].pid);
}

#[test]
fn what_takes_no_other_signal_is_killed() {
    let service = Service::script("trap : TERM; while :; do sleep 0.05; done");
    // The shell sets its trap before it has a child.
    until("it has a child", || !children(service.pid()).is_empty());
    let before = service.prepare(&kill_fault(&service, KillSignal::Term));
    let read_back = before.inject().unwrap();
    assert_eq!(
        read_back.values["signals"],
        serde_json::json!(["TERM", "KILL"])
    );
    before.clear().unwrap();
    end(service.pid_file().find().unwrap()[0].pid);
}

#[test]
fn a_half_done_kill_is_finished_before_the_service_starts_again() {
    let service = Service::script("sleep 600 & wait");
    until("it has a child", || children(service.pid()).len() == 1);
    let child = children(service.pid())[0];
    let before = service.prepare(&kill_fault(&service, KillSignal::Kill));
    // As far as a crash after the first signal gets: the child has another parent now.
    end(service.pid());
    until("the root ends", || state(service.pid()) == "Z");
    until("the child sleeps", || state(child) == "S");
    assert!(before.clear().unwrap().was_in_force);
    assert!(["", "Z"].contains(&state(child).as_str()));
    end(service.pid_file().find().unwrap()[0].pid);
}

#[test]
fn a_service_that_was_never_killed_goes_on() {
    let service = Service::idle();
    let before = service.prepare(&kill_fault(&service, KillSignal::Kill));
    assert!(!before.clear().unwrap().was_in_force);
    assert_eq!(service.pid_file().find().unwrap()[0].pid, service.pid());
}

#[test]
fn a_listener_is_started_again_in_the_foreground() {
    let (service, port) = listener();
    let folder = service.folder.path().display();
    let restart = ["env", &format!("PORT={port}"), "sh", "-c"].map(ToOwned::to_owned);
    let mut restart = restart.to_vec();
    restart.push(format!("cd {folder}; {LISTENER}"));
    let fault = HostFault::Kill {
        signal: KillSignal::Term,
        restart,
    };
    let before = kept(&prepare(&fault, Some(&ProcessSelector::Port(port)), "test").unwrap());
    before.inject().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(before.clear().unwrap().was_in_force);
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    end(ProcessSelector::Port(port).find().unwrap()[0].pid);
}

#[test]
fn a_restart_command_that_fails_is_told() {
    let service = Service::idle();
    let fault = HostFault::Kill {
        signal: KillSignal::Kill,
        restart: vec!["false".to_owned()],
    };
    let before = service.prepare(&fault);
    before.inject().unwrap();
    let error = before.clear().unwrap_err().to_string();
    assert!(error.contains("`false` ended by exit status: 1"), "{error}");
}

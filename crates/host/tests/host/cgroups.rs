//! CPU quota, memory limit and freeze by cgroups of version 1, which need root.

use std::time::{Duration, Instant};

use loadgen_host::{HostError, HostFault, ProcessSelector, prepare};

use crate::support::{Group, Service, cgroup, children, cpu_ms, hierarchy, kept, until};

const QUOTA: HostFault = HostFault::CpuQuota { cpus: 0.1 };

/// CPU time used in about a second, as a share of it.
fn share(pid: i32) -> f64 {
    let (begun, before) = (Instant::now(), cpu_ms(pid));
    std::thread::sleep(Duration::from_secs(1));
    (cpu_ms(pid) - before) as f64 / begun.elapsed().as_millis() as f64
}

#[test]
fn a_quota_on_a_process_in_a_shared_cgroup_moves_it_and_back() {
    let Some(mount) = hierarchy("cpu") else {
        return;
    };
    let service = Service::busy();
    let home = cgroup(service.pid(), "cpu");
    let before = service.prepare(&QUOTA);
    assert!(!before.look().unwrap().in_force);
    let made = mount.join(home.trim_start_matches('/')).join(&before.id);
    assert!(!made.exists());

    let read_back = before.inject().unwrap();
    assert!(read_back.how.starts_with("10000 in "), "{}", read_back.how);
    assert_eq!(
        std::fs::read_to_string(made.join("cpu.cfs_quota_us"))
            .unwrap()
            .trim(),
        "10000"
    );
    assert!(cgroup(service.pid(), "cpu").ends_with(&before.id));
    // A busy machine gives less, and never more; a little more is the grain of the clock.
    let limited = share(service.pid());
    assert!(limited < 0.15, "{limited}");
    let throttled = |look: loadgen_host::Look| {
        assert!(look.in_force);
        look.read_back.values["cpu.stat"]["nr_throttled"]
            .as_u64()
            .unwrap()
    };
    let first = throttled(before.look().unwrap());
    until("it is throttled more", || {
        throttled(before.look().unwrap()) > first
    });
    before.inject().unwrap();

    let cleared = kept(&before).clear().unwrap();
    assert!(
        cleared.was_in_force && cleared.remains.is_none(),
        "{cleared:?}"
    );
    assert!(!made.exists());
    assert_eq!(cgroup(service.pid(), "cpu"), home);
    until("it is faster", || share(service.pid()) > 0.15);
    assert!(!before.clear().unwrap().was_in_force);
    assert!(!before.look().unwrap().in_force);
}

#[test]
fn a_quota_on_a_cgroup_of_the_targets_own_is_written_and_restored() {
    let Some(mount) = hierarchy("cpu") else {
        return;
    };
    let group = Group::new(&mount, "own-cpu");
    let service = Service::busy();
    group.add(service.pid());
    group.write("cpu.cfs_period_us", "50000");
    group.write("cpu.cfs_quota_us", "45000");
    let path = format!("/{}", group.0.file_name().unwrap().display());
    let target = ProcessSelector::Cgroup(path);
    assert_eq!(target.find().unwrap()[0].pid, service.pid());
    let before = kept(&prepare(&QUOTA, Some(&target), "test").unwrap());

    before.inject().unwrap();
    assert_eq!(group.read("cpu.cfs_quota_us"), "5000");
    assert!(before.look().unwrap().in_force);
    // A fault over a fault would hide who is the cause.
    let looser = HostFault::CpuQuota { cpus: 0.5 };
    let error = prepare(&looser, Some(&target), "test")
        .unwrap_err()
        .to_string();
    assert!(error.contains("limited to 0.1 CPUs already"), "{error}");
    assert!(before.clear().unwrap().was_in_force);
    assert_eq!(group.read("cpu.cfs_quota_us"), "45000");
    assert_eq!(group.read("cpu.cfs_period_us"), "50000");
    assert!(!before.clear().unwrap().was_in_force);

    // Somebody else's value is left, and told.
    before.inject().unwrap();
    group.write("cpu.cfs_quota_us", "20000");
    assert!(!before.look().unwrap().in_force);
    let cleared = before.clear().unwrap();
    assert!(!cleared.was_in_force);
    assert!(
        cleared
            .remains
            .unwrap()
            .contains("was 45000 before the fault")
    );
    assert_eq!(group.read("cpu.cfs_quota_us"), "20000");
    let error = before.inject().unwrap_err();
    assert!(matches!(error, HostError::NotInForce(_)), "{error}");
}

#[test]
fn a_cgroup_that_is_gone_has_no_fault() {
    let Some(mount) = hierarchy("cpu") else {
        return;
    };
    let mut service = Service::idle();
    let group = Group::new(&mount, "gone");
    group.add(service.pid());
    let before = service.prepare(&QUOTA);
    before.inject().unwrap();
    service.end();
    drop(group);
    assert!(!before.look().unwrap().in_force);
    assert!(!before.clear().unwrap().was_in_force);
}

/// As far as crashes get after each write.
#[test]
fn half_done_quotas_are_undone() {
    let Some(mount) = hierarchy("cpu") else {
        return;
    };
    let service = Service::idle();
    let home = cgroup(service.pid(), "cpu");
    let home_folder = mount.join(home.trim_start_matches('/'));
    for writes in 0..=3 {
        let before = service.prepare(&QUOTA);
        let made = home_folder.join(&before.id);
        if writes >= 1 {
            std::fs::create_dir(&made).unwrap();
        }
        if writes >= 2 {
            std::fs::write(made.join("cpu.cfs_quota_us"), "10000").unwrap();
        }
        if writes >= 3 {
            std::fs::write(made.join("cgroup.procs"), service.pid().to_string()).unwrap();
        }
        let cleared = before.clear().unwrap();
        assert_eq!(cleared.was_in_force, writes == 3);
        assert!(!made.exists());
        assert_eq!(cgroup(service.pid(), "cpu"), home);
    }
}

#[test]
fn a_container_is_found_by_the_beginning_of_its_id() {
    let Some(mount) = hierarchy("cpu") else {
        return;
    };
    let ids = ["a", "b"].map(|last| {
        let unique = format!("{:08x}", std::process::id());
        format!("{unique}{}{last}", "0".repeat(55))
    });
    let services = [Service::idle(), Service::idle()];
    let folders = ids.clone().map(|id| mount.join(id));
    for (folder, service) in folders.iter().zip(&services) {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("cgroup.procs"), service.pid().to_string()).unwrap();
    }
    let whole = ProcessSelector::Container(ids[1].clone()).find().unwrap();
    assert_eq!(whole[0].pid, services[1].pid());
    let both = ProcessSelector::Container(ids[0][..12].to_owned())
        .find()
        .unwrap_err();
    assert!(matches!(both, HostError::Several { .. }), "{both}");

    let target = ProcessSelector::Container(ids[0].clone());
    let before = kept(&prepare(&QUOTA, Some(&target), "test").unwrap());
    before.inject().unwrap();
    let quota = || std::fs::read_to_string(folders[0].join("cpu.cfs_quota_us")).unwrap();
    assert_eq!(quota().trim(), "10000");
    before.clear().unwrap();
    assert_eq!(quota().trim(), "-1");
    drop(services);
    for folder in folders {
        until("the cgroup is removed", || {
            std::fs::remove_dir(&folder).is_ok()
        });
    }
}

#[test]
fn frozen_processes_make_no_progress_until_thawed() {
    let Some(_) = hierarchy("freezer") else {
        return;
    };
    let service = Service::counting();
    let home = cgroup(service.pid(), "freezer");
    let before = service.prepare(&HostFault::Freeze {});
    let read_back = before.inject().unwrap();
    assert!(read_back.how.starts_with("FROZEN in "), "{}", read_back.how);
    // Its children are in there too.
    for child in children(service.pid()) {
        assert!(cgroup(child, "freezer").ends_with(&before.id));
    }
    let count = service.count();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(service.count(), count);
    assert!(before.look().unwrap().in_force);

    let cleared = kept(&before).clear().unwrap();
    assert!(
        cleared.was_in_force && cleared.remains.is_none(),
        "{cleared:?}"
    );
    until("it counts again", || service.count() > count);
    assert_eq!(cgroup(service.pid(), "freezer"), home);
    assert!(!before.clear().unwrap().was_in_force);
}

#[test]
fn a_cgroup_of_the_targets_own_is_frozen_and_thawed() {
    let Some(mount) = hierarchy("freezer") else {
        return;
    };
    let group = Group::new(&mount, "own-freezer");
    let service = Service::counting();
    group.add(service.pid());
    // A child that was born outside before ends soon.
    until("all are inside", || {
        children(service.pid())
            .iter()
            .all(|child| cgroup(*child, "freezer") != "/")
    });
    let before = service.prepare(&HostFault::Freeze {});
    before.inject().unwrap();
    assert_eq!(group.read("freezer.state"), "FROZEN");
    assert!(before.look().unwrap().in_force);
    let again = prepare(&HostFault::Freeze {}, Some(&service.pid_file()), "test").unwrap_err();
    assert!(again.to_string().contains("FROZEN already"), "{again}");
    let count = service.count();
    assert!(before.clear().unwrap().was_in_force);
    assert_eq!(group.read("freezer.state"), "THAWED");
    until("it counts again", || service.count() > count);
}

#[test]
fn a_memory_limit_holds_for_what_is_used_from_then_on() {
    let Some(mount) = hierarchy("memory") else {
        return;
    };
    // Once there is a file `go`, it writes 64 MiB, which the kernel keeps in memory as long as it
    // can. Pages of a file are given back, so nobody is killed for them.
    let service = Service::script(
        "until [ -e go ]; do sleep 0.01; done; dd if=/dev/zero of=big bs=1M count=64; exec sleep 600",
    );
    let home = cgroup(service.pid(), "memory");
    let limit = 16 << 20;
    let before = service.prepare(&HostFault::MemoryLimit { bytes: limit + 5 });
    let read_back = before.inject().unwrap();
    assert!(
        read_back.how.starts_with("16777216 in "),
        "{}",
        read_back.how
    );
    let made = mount.join(home.trim_start_matches('/')).join(&before.id);
    let read = |file: &str| -> u64 {
        std::fs::read_to_string(made.join(file))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    assert_eq!(read("memory.limit_in_bytes"), limit);
    std::fs::write(service.folder.path().join("go"), "").unwrap();
    until("the limit is hit", || {
        before.look().unwrap().read_back.values["memory.failcnt"].as_u64() > Some(0)
    });
    assert!(read("memory.usage_in_bytes") <= limit);
    assert!(before.look().unwrap().in_force);

    let cleared = kept(&before).clear().unwrap();
    assert!(
        cleared.was_in_force && cleared.remains.is_none(),
        "{cleared:?}"
    );
    assert!(!made.exists());
    assert_eq!(cgroup(service.pid(), "memory"), home);
}

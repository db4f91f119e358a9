//! Filling a disk.

use loadgen_host::{Fill, HostFault, prepare};

use crate::support::kept;

/// Free bytes as `df` says.
fn free(folder: &std::path::Path) -> u64 {
    let out = std::process::Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().last().unwrap().trim().parse().unwrap()
}

#[test]
fn a_disk_has_the_file_until_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = 32 << 20;
    if free(folder.path()) < (bytes + (512 << 20)) {
        println!("skipped: too little space in {}", folder.path().display());
        return;
    }
    let fault = HostFault::FillDisk {
        folder: folder.path().to_owned(),
        fill: Fill::Bytes(bytes),
    };
    let before = kept(&prepare(&fault, None, "run-7").unwrap());
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 0);
    let read_back = before.inject().unwrap();
    assert_eq!(files(), 1);
    let file = std::fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(
        file.file_name()
            .to_str()
            .unwrap()
            .starts_with("loadgen-run-7-")
    );
    let used = std::process::Command::new("du")
        .arg("--block-size=1")
        .arg(file.path())
        .output()
        .unwrap();
    let used = String::from_utf8(used.stdout).unwrap();
    let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
    assert!(used >= bytes, "{used}");
    assert!(read_back.values["allocated_bytes"].as_u64().unwrap() >= bytes);
    assert!(before.look().unwrap().in_force);
    before.inject().unwrap();

    assert!(kept(&before).clear().unwrap().was_in_force);
    assert_eq!(files(), 0);
    assert!(!before.look().unwrap().in_force);
    assert!(!before.clear().unwrap().was_in_force);

    // As far as a crash in the middle gets.
    std::fs::write(folder.path().join(format!("{}.fill", before.id)), "part").unwrap();
    assert!(!before.look().unwrap().in_force);
    assert!(before.clear().unwrap().was_in_force);
    assert_eq!(files(), 0);
}

#[test]
fn a_disk_is_never_full() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |fill| {
        let fault = HostFault::FillDisk {
            folder: folder.path().to_owned(),
            fill,
        };
        prepare(&fault, None, "test").unwrap_err().to_string()
    };
    let all = free(folder.path());
    assert!(refused(Fill::Bytes(all)).contains("must stay free"));
    assert!(refused(Fill::UntilPercent(99.999_999)).contains("must stay free"));
    let fault = HostFault::FillDisk {
        folder: folder.path().join("none"),
        fill: Fill::Bytes(1),
    };
    let error = prepare(&fault, None, "test").unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

//! Processes to be hit, and what is read of them by this test itself.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loadgen_host::{Before, HostFault, ProcessSelector, prepare};

/// For what comes in milliseconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A process with a pid file; it and its process group end with the test.
pub(crate) struct Service {
    child: Child,
    has_ended: bool,
    pub(crate) folder: tempfile::TempDir,
}

impl Service {
    /// Runs a shell script. Its working folder is empty.
    pub(crate) fn script(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = shell(script, folder.path());
        std::fs::write(folder.path().join("pid"), format!("{}\n", child.id())).unwrap();
        Self {
            child,
            has_ended: false,
            folder,
        }
    }

    /// Only waits.
    pub(crate) fn idle() -> Self {
        Self::script("exec sleep 600")
    }

    /// Uses as much CPU time as it gets.
    pub(crate) fn busy() -> Self {
        Self::script("while :; do :; done")
    }

    /// Counts in a file, by a child for each number.
    pub(crate) fn counting() -> Self {
        let service = Self::script(
            "i=0; while :; do i=$((i+1)); echo $i > next; mv next count; sleep 0.01; done",
        );
        until("it counts", || service.count() > 0);
        service
    }

    pub(crate) fn count(&self) -> u64 {
        let text = std::fs::read_to_string(self.folder.path().join("count"));
        text.unwrap_or_default().trim().parse().unwrap_or(0)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn pid_file(&self) -> ProcessSelector {
        ProcessSelector::PidFile(self.folder.path().join("pid"))
    }

    /// The fault, kept as text and read again, as after a crash.
    pub(crate) fn prepare(&self, fault: &HostFault) -> Before {
        kept(&prepare(fault, Some(&self.pid_file()), "test").unwrap())
    }

    pub(crate) fn end(&mut self) {
        // Afterwards the number may be somebody else's.
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.pid())])
            .stderr(Stdio::null())
            .status();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test that fails half-way leaves it frozen, and nothing ends what is frozen.
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.pid()));
        let text = text.unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| line.split_once(":freezer:"));
        if let Some((_, path)) = lines.next().filter(|(_, path)| *path != "/") {
            let _ = std::fs::write(
                format!("/sys/fs/cgroup/freezer{path}/freezer.state"),
                "THAWED",
            );
        }
        self.end();
    }
}

/// A shell in a process group of its own.
fn shell(script: &str, folder: &Path) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .current_dir(folder)
        .process_group(0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What another process reads from disk.
pub(crate) fn kept(before: &Before) -> Before {
    let text = serde_json::to_string(before).unwrap();
    let read: Before = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *before);
    read
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The fields of /proc/PID/stat after the name: the state is the first.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    Some(after.split_whitespace().map(ToOwned::to_owned).collect())
}

pub(crate) fn state(pid: i32) -> String {
    stat(pid)
        .map(|fields| fields[0].clone())
        .unwrap_or_default()
}

/// CPU time that a process used, in ms.
pub(crate) fn cpu_ms(pid: i32) -> u64 {
    let fields = stat(pid).unwrap();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|t| t.parse::<u64>().unwrap())
        .sum();
    // Linux tells programs 100 ticks in a second.
    ticks * 10
}

pub(crate) fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        // One that has ended is in no cgroup any more, and stays in the list while its parent can't
        // look after it.
        .filter(|pid| !has_ended(*pid))
        .collect()
}

fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    after_name.is_empty() || after_name.starts_with(['Z', 'X'])
}

/// The path of a process's cgroup in the hierarchy of a controller; `""` is version 2.
pub(crate) fn cgroup(pid: i32, controller: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let has = fields.next()?.split(',').any(|name| name == controller);
        has.then(|| fields.next().unwrap().to_owned())
    });
    line.unwrap()
}

/// Where a hierarchy of version 1 is, if this test may make cgroups in it.
pub(crate) fn hierarchy(controller: &str) -> Option<PathBuf> {
    let mount = PathBuf::from("/sys/fs/cgroup").join(controller);
    let probe = mount.join(format!("loadgen-probe-{}", std::process::id()));
    let is_usable = mount.join("tasks").exists()
        && std::fs::create_dir(&probe)
            .and_then(|()| std::fs::remove_dir(&probe))
            .is_ok();
    if !is_usable {
        println!("skipped: no cgroups can be made in a version 1 hierarchy with `{controller}`");
    }
    is_usable.then_some(mount)
}

/// A cgroup that is removed with the test, after its processes have ended.
pub(crate) struct Group(pub(crate) PathBuf);

impl Group {
    pub(crate) fn new(parent: &Path, name: &str) -> Self {
        let folder = parent.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn add(&self, pid: i32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begun = Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && begun.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

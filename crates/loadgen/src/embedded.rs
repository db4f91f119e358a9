//! The embedded target: a collector and the demo shop as processes of their own, so that their
//! work can't distort the generator.

use std::ffi::OsString;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;

/// How long a program may take until it is ready; a busy laptop needs a second or two.
const START: Duration = Duration::from_secs(60);
/// How long it may take to flush its data and end.
const STOP: Duration = Duration::from_secs(20);

/// A collector and a shop that run.
#[derive(Debug)]
pub(crate) struct Embedded {
    collector: Program,
    shop: Program,
    pub(crate) base_url: String,
    pub(crate) admin_url: String,
    pub(crate) otlp_endpoint: String,
    shop_data: PathBuf,
}

#[derive(Debug, Deserialize)]
struct CollectorReady {
    grpc: String,
}

#[derive(Debug, Deserialize)]
struct ShopReady {
    base_url: String,
    admin_url: String,
}

impl Embedded {
    /// Starts both and waits until they are ready.
    pub(crate) async fn start(folder: &RunFolder) -> Result<Self, Failure> {
        let free_port = format!("{}:0", Ipv4Addr::LOCALHOST);
        let mut collect: Vec<OsString> = vec!["collect".into(), "--output".into()];
        collect.push(folder.telemetry().into_os_string());
        collect.extend(["--grpc", &free_port, "--http", &free_port].map(Into::into));
        let (collector, ready) =
            Program::start::<CollectorReady>("collect", collect, folder.log_of("collect")).await?;
        let otlp_endpoint = format!("http://{}", ready.grpc);
        let shop = [
            "shop",
            "--listen",
            &free_port,
            "--otlp-endpoint",
            &otlp_endpoint,
        ];
        let (shop, ready) = Program::start::<ShopReady>(
            "shop",
            shop.map(Into::into).to_vec(),
            folder.log_of("shop"),
        )
        .await?;
        Ok(Self {
            collector,
            shop,
            base_url: ready.base_url.trim_end_matches('/').to_owned(),
            admin_url: ready.admin_url,
            otlp_endpoint,
            shop_data: folder.shop_data(),
        })
    }

    /// Waits until one of them ends although it should not; says which.
    pub(crate) async fn broken(&mut self) -> String {
        let (program, status) = tokio::select! {
            status = self.collector.child.wait() => (&self.collector, status),
            status = self.shop.child.wait() => (&self.shop, status),
        };
        format!(
            "`loadgen {}` ended during the run: {}",
            program.name,
            program.end(status)
        )
    }

    /// Stops the shop first, so that its last telemetry reaches the collector.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let shop = self.shop.stop().await;
        let collector = self.collector.stop().await;
        // What was bought in the shop is of no interest to anybody.
        let _ = std::fs::remove_dir_all(&self.shop_data);
        shop.and(collector)
    }
}

/// A subcommand of this program that runs in a process of its own. It ends when its standard
/// input does, so it does not outlive this process, however that ends.
#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Program {
    async fn start<Ready: DeserializeOwned>(
        name: &'static str,
        args: Vec<OsString>,
        log: PathBuf,
    ) -> Result<(Self, Ready), Failure> {
        let cannot = |why: String| {
            Failure::new(
                Exit::NotReachable,
                format!("can't start `loadgen {name}`: {why}"),
            )
        };
        let stderr = File::create(&log).map_err(|e| cannot(format!("{}: {e}", log.display())))?;
        let this = std::env::current_exe().map_err(|e| cannot(e.to_string()))?;
        let mut child = Command::new(this)
            .args(args)
            .arg("--stop-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // A Ctrl+C in the terminal is for this process, which then stops the others in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| cannot(e.to_string()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        let mut program = Self {
            name,
            child,
            stdin,
            log,
        };
        let mut line = String::new();
        let said = async {
            match stdout {
                Some(mut stdout) => stdout.read_line(&mut line).await,
                None => Ok(0),
            }
        };
        match tokio::time::timeout(START, said).await {
            Err(_) => Err(cannot(format!("not ready within {} s", START.as_secs()))),
            Ok(Err(error)) => Err(cannot(error.to_string())),
            Ok(Ok(0)) => {
                let status = program.child.wait().await;
                Err(cannot(program.end(status)))
            }
            Ok(Ok(_)) => match serde_json::from_str(&line) {
                Ok(ready) => Ok((program, ready)),
                Err(error) => Err(cannot(format!(
                    "its ready line {line:?} is unclear: {error}"
                ))),
            },
        }
    }

    async fn stop(mut self) -> Result<(), Failure> {
        drop(self.stdin.take());
        match tokio::time::timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(
                Exit::Failed,
                format!(
                    "`loadgen {}` did not end well: {}",
                    self.name,
                    self.end(status)
                ),
            )),
            Err(_) => {
                let _ = self.child.kill().await;
                let (name, seconds) = (self.name, STOP.as_secs());
                let text =
                    format!("`loadgen {name}` did not end within {seconds} s and was killed");
                Err(Failure::new(Exit::Failed, text))
            }
        }
    }

    /// How it ended, with what it said last.
    fn end(&self, status: std::io::Result<ExitStatus>) -> String {
        let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n  ");
        format!("{status}; its log is {}\n  {last}", self.log.display())
    }
}

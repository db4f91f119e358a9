//! The embedded target: a collector and the demo shop as processes of their own, so that their
//! work can't distort the generator.

use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use loadgen_program::{Child, Input, Log};
use serde::Deserialize;
use serde::de::DeserializeOwned;

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
    /// Starts both and waits until they are ready. `record_faults`: the shop writes down what faults
    /// do to requests.
    pub(crate) async fn start(folder: &RunFolder, record_faults: bool) -> Result<Self, Failure> {
        let free_port = format!("{}:0", Ipv4Addr::LOCALHOST);
        let mut collect: Vec<OsString> = vec!["collect".into(), "--out".into()];
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
        let mut shop: Vec<OsString> = shop.map(Into::into).to_vec();
        if record_faults {
            shop.push("--record-faults".into());
            shop.push(folder.fault_record().into_os_string());
        }
        let log = folder.log_of("shop");
        let (shop, ready) = Program::start::<ShopReady>("shop", shop, log).await?;
        Ok(Self {
            collector,
            shop,
            base_url: ready.base_url.trim_end_matches('/').to_owned(),
            admin_url: ready.admin_url,
            otlp_endpoint,
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
        shop.and(collector)
    }
}

/// A subcommand of this program that runs in a process of its own. It ends when its standard
/// input does, so it does not outlive this process, however that ends.
#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
    log: Log,
}

impl Program {
    async fn start<Ready: DeserializeOwned>(
        name: &'static str,
        args: Vec<OsString>,
        log: PathBuf,
    ) -> Result<(Self, Ready), Failure> {
        let cannot = |why: &dyn Display| {
            let message = format!("can't start `loadgen {name}`: {why}");
            Failure::new(Exit::NotReachable, message)
        };
        let log = Log::create(log).map_err(|e| cannot(&e))?;
        let mut command = loadgen_program::own().map_err(|e| cannot(&e))?;
        command.args(args).arg("--stop-with-stdin");
        command.stderr(log.stdio().map_err(|e| cannot(&e))?);
        command.kill_on_drop(true);
        match Child::start_ready(command, Input::Held, START).await {
            Ok((child, ready)) => Ok((Self { name, child, log }, ready)),
            Err(error) => Err(cannot(&log.explain(error))),
        }
    }

    async fn stop(mut self) -> Result<(), Failure> {
        let how = match self.child.stop(STOP).await.transpose() {
            Some(Ok(status)) if status.success() => return Ok(()),
            Some(status) => format!("did not end well: {}", self.end(status)),
            None => format!("did not end within {} s and was killed", STOP.as_secs()),
        };
        let message = format!("`loadgen {}` {how}", self.name);
        Err(Failure::new(Exit::Failed, message))
    }

    /// How it ended, with what it said last.
    fn end(&self, status: io::Result<ExitStatus>) -> String {
        status.map_or_else(|e| e.to_string(), |status| self.log.explain(status))
    }
}

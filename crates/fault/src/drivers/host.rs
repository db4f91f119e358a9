//! Injects faults into processes of this machine: the driver over [`loadgen_host`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use loadgen_host::{Before, Fill, HostError, HostFault, KillSignal, ProcessSelector, ReadBack};
use loadgen_scenario::plan::{Fault, Parameters};
use loadgen_scenario::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind};
use serde_json::Value;

use crate::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// Name of the driver.
pub(super) const NAME: &str = "host";

/// Driver `host`.
#[derive(Debug, Default)]
pub struct HostDriver {
    /// Changes come one after the other: one that was given up may still go on.
    turn: Arc<Mutex<()>>,
}

/// What can be done to a process.
pub(super) fn catalogue() -> FaultCatalogue {
    use ParameterKind::{Command, Integer, Number, OneOf, Text};
    let text = |name, summary| Parameter::optional(name, Text, summary);
    let target = [
        text(
            "pid_file",
            "The target: the process whose number is in this file.",
        ),
        Parameter::optional("port", Integer, "Or: who listens on this TCP port."),
        text("cgroup", "Or: all processes of this cgroup."),
        text(
            "container",
            "Or: all processes of the container whose id begins so.",
        ),
    ];
    let fault = |name: &str, summary: &str, parameters: Vec<Parameter>| CatalogueFault {
        name: name.to_owned(),
        services: vec![],
        summary: summary.to_owned(),
        parameters: target.iter().cloned().chain(parameters).collect(),
        harmless: false,
        by_client: false,
    };
    let signals = ["KILL", "TERM", "INT", "QUIT", "ABRT"].map(str::to_owned);
    let mut fill = fault(
        "fill_disk",
        "A file fills a filesystem.",
        vec![
            Parameter::required("folder", Text, "Where the file is made."),
            Parameter::optional(
                "until_percent",
                Number,
                "So full the filesystem is then, in per cent, times the intensity.",
            ),
            Parameter::optional(
                "bytes",
                Integer,
                "Or: so large the file is, times the intensity.",
            ),
        ],
    );
    fill.parameters.drain(..target.len());
    FaultCatalogue {
        driver: NAME.to_owned(),
        services: vec![],
        faults: vec![
            fault("stop", "The processes are stopped (SIGSTOP).", vec![]),
            fault(
                "kill",
                "The processes are killed, and started again when the fault is cleared.",
                vec![
                    Parameter::required(
                        "restart",
                        Command,
                        "The command that starts the service again.",
                    ),
                    Parameter::optional(
                        "signal",
                        OneOf(signals.into()),
                        "KILL by default; what survives another for 10 s gets SIGKILL.",
                    ),
                ],
            ),
            fault(
                "cpu_quota",
                "The processes get so much CPU time at most.",
                vec![Parameter::required(
                    "cpus",
                    Number,
                    "CPUs, such as 0.2, divided by the intensity.",
                )],
            ),
            fault(
                "freeze",
                "The processes are frozen by their cgroup.",
                vec![],
            ),
            fault(
                "memory_limit",
                "The processes get so much memory at most.",
                vec![Parameter::required(
                    "bytes",
                    Integer,
                    "Bytes, divided by the intensity.",
                )],
            ),
            fault(
                "stress_cpu",
                "stress-ng uses CPU time in the processes' cgroup.",
                vec![
                    Parameter::required("workers", Integer, "Processes that use CPU time."),
                    Parameter::optional(
                        "load_percent",
                        Number,
                        "How busy each is, times the intensity: 100 by default.",
                    ),
                ],
            ),
            fill,
        ],
        settings: vec![],
    }
}

impl HostDriver {
    /// Works on a thread that may wait.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
    ) -> Result<Result<T, HostError>, FaultError> {
        let turn = self.turn.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        });
        worked
            .await
            .map_err(|error| FaultError::NotConfirmed(format!("it broke down: {error}")))
    }
}

#[async_trait]
impl FaultDriver for HostDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    async fn version(&self) -> Result<String, FaultError> {
        Ok(String::new())
    }

    async fn prepare(&self, fault: &Fault, owner: &str) -> Result<Value, FaultError> {
        let (host_fault, target) = resolve(fault)?;
        let owner = owner.to_owned();
        let prepared = move || loadgen_host::prepare(&host_fault, target.as_ref(), &owner);
        let before = self.work(prepared).await?;
        let before = before.map_err(|error| FaultError::Impossible(error.to_string()))?;
        serde_json::to_value(&before).map_err(|e| FaultError::Impossible(e.to_string()))
    }

    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError> {
        let before = before(injection)?;
        let injected = self.work(move || before.inject()).await?;
        injected.map(confirmation).map_err(not_confirmed)
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        let before = before(injection)?;
        let cleared = self
            .work(move || before.clear())
            .await?
            .map_err(not_confirmed)?;
        let mut confirmation = confirmation(cleared.read_back);
        if let Some(remains) = cleared.remains {
            confirmation.how += &format!("; {remains}");
        }
        Ok(Cleared {
            was_in_force: cleared.was_in_force,
            confirmation,
        })
    }

    async fn state(&self, held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let mut active = Vec::new();
        for injection in held {
            let before = before(injection)?;
            let look = self
                .work(move || before.look())
                .await?
                .map_err(not_confirmed)?;
            if look.in_force {
                active.push(ActiveFault {
                    fault: injection.fault.clone(),
                    owner: injection.owner.clone(),
                });
            }
        }
        Ok(active)
    }
}

fn before(injection: &Injection) -> Result<Before, FaultError> {
    serde_json::from_value(injection.before.clone())
        .map_err(|error| FaultError::Impossible(format!("the journal's entry: {error}")))
}

fn not_confirmed(error: HostError) -> FaultError {
    FaultError::NotConfirmed(error.to_string())
}

fn confirmation(read_back: ReadBack) -> Confirmation {
    Confirmation {
        how: read_back.how,
        read_back: read_back.values,
    }
}

/// What a fault's parameters say.
fn resolve(fault: &Fault) -> Result<(HostFault, Option<ProcessSelector>), FaultError> {
    let given = &fault.parameters;
    let impossible = |reason: &str| FaultError::Impossible(format!("{}: {reason}", fault.fault));
    let number = |name: &str| given.get(name).and_then(Value::as_f64);
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let missing = |name: &str| impossible(&format!("the parameter `{name}` is missing"));
    let host_fault = match fault.fault.as_str() {
        "stop" => HostFault::Stop {},
        "kill" => HostFault::Kill {
            signal: match text("signal") {
                None | Some("KILL") => KillSignal::Kill,
                Some("TERM") => KillSignal::Term,
                Some("INT") => KillSignal::Int,
                Some("QUIT") => KillSignal::Quit,
                Some("ABRT") => KillSignal::Abrt,
                Some(other) => return Err(impossible(&format!("no signal `{other}`"))),
            },
            restart: words(given.get("restart")),
        },
        "cpu_quota" => HostFault::CpuQuota {
            cpus: number("cpus").ok_or_else(|| missing("cpus"))? / fault.intensity,
        },
        "freeze" => HostFault::Freeze {},
        "memory_limit" => HostFault::MemoryLimit {
            bytes: (number("bytes").ok_or_else(|| missing("bytes"))? / fault.intensity) as u64,
        },
        "stress_cpu" => HostFault::StressCpu {
            workers: number("workers").ok_or_else(|| missing("workers"))? as u32,
            load_percent: (number("load_percent").unwrap_or(100.0) * fault.intensity).round() as u8,
        },
        "fill_disk" => HostFault::FillDisk {
            folder: PathBuf::from(text("folder").unwrap_or_default()),
            fill: match (number("until_percent"), number("bytes")) {
                (Some(percent), None) => Fill::UntilPercent(percent * fault.intensity),
                (None, Some(bytes)) => Fill::Bytes((bytes * fault.intensity) as u64),
                _ => return Err(impossible("give either `until_percent` or `bytes`")),
            },
        },
        other => return Err(FaultError::Impossible(format!("no fault `{other}`"))),
    };
    let needs_target = !matches!(host_fault, HostFault::FillDisk { .. });
    let target = needs_target
        .then(|| target(given))
        .transpose()
        .map_err(impossible)?;
    Ok((host_fault, target))
}

/// The one target that is named.
fn target(given: &Parameters) -> Result<ProcessSelector, &'static str> {
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let port = given.get("port").and_then(Value::as_u64);
    let port = port.map(|port| u16::try_from(port).map_err(|_| "`port` is above 65535"));
    let named = [
        text("pid_file").map(|path| ProcessSelector::PidFile(path.into())),
        port.transpose()?.map(ProcessSelector::Port),
        text("cgroup").map(|path| ProcessSelector::Cgroup(path.to_owned())),
        text("container").map(|id| ProcessSelector::Container(id.to_owned())),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(target), None) => Ok(target),
        _ => Err("name its target by one of `pid_file`, `port`, `cgroup` and `container`"),
    }
}

/// A text is for the shell, a list is a program and its arguments.
fn words(command: Option<&Value>) -> Vec<String> {
    match command {
        Some(Value::String(text)) => ["/bin/sh", "-c", text].map(str::to_owned).into(),
        Some(Value::Array(words)) => {
            let words = words.iter().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(name: &str, intensity: f64, parameters: Value) -> Fault {
        Fault {
            driver: NAME.to_owned(),
            fault: name.to_owned(),
            service: "orders".to_owned(),
            intensity,
            sham: false,
            harmless: false,
            clients: None,
            parameters: parameters.as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn intensity_weakens() {
        let quota = fault("cpu_quota", 0.5, json!({"cpus": 0.2, "port": 80}));
        let (quota, target) = resolve(&quota).unwrap();
        assert_eq!(quota, HostFault::CpuQuota { cpus: 0.4 });
        assert_eq!(target, Some(ProcessSelector::Port(80)));
        let fill = fault("fill_disk", 0.5, json!({"folder": "/x", "bytes": 10}));
        let (fill, target) = resolve(&fill).unwrap();
        assert!(matches!(
            fill,
            HostFault::FillDisk {
                fill: Fill::Bytes(5),
                ..
            }
        ));
        assert_eq!(target, None);
    }

    #[test]
    fn a_target_is_named_once() {
        for parameters in [
            json!({}),
            json!({"port": 80, "cgroup": "/a"}),
            json!({"port": 65536}),
        ] {
            assert!(resolve(&fault("stop", 1.0, parameters)).is_err());
        }
    }
}

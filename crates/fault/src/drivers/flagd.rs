//! Injects faults by feature flags, as the OpenTelemetry Demo has them: a flag's variant is chosen
//! in flagd's file, or through the demo's flag UI, and confirmed by what flagd then answers.
//!
//! The UI reads the file only when it starts, and writes its own copy over it: where it runs, flags
//! are changed through it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use loadgen_scenario::plan::{Fault, Flag, FlagSource, Parameters};
use loadgen_scenario::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::http::{answer, read};
use crate::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// Name of the driver.
pub(super) const NAME: &str = "flagd";
/// flagd's port for OFREP.
const DEFAULT_OFREP_URL: &str = "http://127.0.0.1:8016";
/// The variant that means that nothing is wrong.
const OFF: &str = "off";
/// Flags of the demo's own load generator: they change the load and not the system.
const OF_THE_LOAD: &str = "loadGenerator";
/// flagd sees a change of its file at once, or polls every few seconds.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(8);
/// Pause before flagd is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Driver `flagd`.
#[derive(Debug)]
pub struct FlagdDriver {
    client: Client,
    ofrep_url: String,
    place: Place,
    /// Held from reading the flags to writing them: the file is written as a whole, and faults of
    /// neighbouring windows are cleared and injected at the same moment.
    changing: tokio::sync::Mutex<()>,
}

/// Where flags are changed.
#[derive(Debug)]
enum Place {
    /// flagd's file.
    File(PathBuf),
    /// The flag UI's API, by its address up to `/feature`.
    Ui(String),
}

/// Any flag of the target's.
pub(super) fn catalogue() -> FaultCatalogue {
    let text = |name, summary| Parameter::optional(name, ParameterKind::Text, summary);
    FaultCatalogue {
        driver: NAME.to_owned(),
        services: vec![],
        faults: vec![CatalogueFault {
            name: CatalogueFault::ANY.to_owned(),
            services: vec![],
            summary: "The flag of that name has another variant; the intensity does nothing."
                .to_owned(),
            parameters: vec![Parameter::required(
                "variant",
                ParameterKind::Text,
                "The variant that is the fault, such as `on` or `50%`.",
            )],
            harmless: false,
            by_client: false,
        }],
        settings: vec![
            text(
                "file",
                "flagd's file of flags, where no flag UI runs beside it.",
            ),
            text(
                "ui_url",
                "Address of the flag UI, such as http://127.0.0.1:8080/feature.",
            ),
            text(
                "ofrep_url",
                "Where flagd answers OFREP: http://127.0.0.1:8016 by default.",
            ),
        ],
    }
}

/// Answer of OFREP to the evaluation of a flag.
#[derive(Debug, Deserialize)]
struct Evaluation {
    #[serde(default)]
    key: String,
    value: Value,
    #[serde(default)]
    variant: String,
}

#[derive(Debug, Deserialize)]
struct Evaluations {
    flags: Vec<Evaluation>,
}

impl FlagdDriver {
    /// A driver by its settings.
    ///
    /// # Errors
    /// They name neither a file nor a flag UI, or both.
    pub fn new(client: Client, settings: &Parameters) -> Result<Self, FaultError> {
        let text = |name: &str| settings.get(name).and_then(Value::as_str);
        let url = |url: &str| url.trim_end_matches('/').to_owned();
        let place = match (text("file"), text("ui_url")) {
            (Some(file), None) => Place::File(file.into()),
            (None, Some(ui)) => Place::Ui(url(ui)),
            _ => {
                return Err(FaultError::Settings {
                    driver: NAME.to_owned(),
                    reason: "give `file`, or `ui_url` where the demo's flag UI runs, under \
                             `drivers: flagd:`"
                        .to_owned(),
                });
            }
        };
        Ok(Self {
            client,
            ofrep_url: url(text("ofrep_url").unwrap_or(DEFAULT_OFREP_URL)),
            place,
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// The whole file of flags.
    async fn flags(&self) -> Result<Map<String, Value>, FaultError> {
        match &self.place {
            Place::File(path) => read_file(path),
            Place::Ui(url) => {
                let url = format!("{url}/api/read");
                read(self.client.get(&url), &url).await
            }
        }
    }

    async fn write(&self, flags: &Map<String, Value>) -> Result<(), FaultError> {
        match &self.place {
            Place::File(path) => replace_file(path, flags),
            Place::Ui(url) => {
                let url = format!("{url}/api/write");
                let request = self.client.post(&url).json(&json!({ "data": flags }));
                answer(request, &url).await.map(drop)
            }
        }
    }

    /// Puts a definition in a flag's place and waits until flagd answers with its variant.
    async fn set(&self, flag: &str, definition: &Value) -> Result<Confirmation, FaultError> {
        {
            let _changing = self.changing.lock().await;
            let mut file = self.flags().await?;
            match file.get_mut("flags").and_then(|flags| flags.get_mut(flag)) {
                Some(found) => *found = definition.clone(),
                None => return Err(no_flag(flag)),
            }
            self.write(&file).await?;
        }
        let wanted = value_of(definition);
        let until = Instant::now() + CONFIRMED_WITHIN;
        loop {
            let evaluation = self.evaluate(flag).await?;
            if wanted.is_none_or(|wanted| is_same(wanted, &evaluation.value)) {
                return Ok(Confirmation {
                    how: "flagd's evaluation of the flag by OFREP".to_owned(),
                    read_back: json!({ "value": evaluation.value, "variant": evaluation.variant }),
                });
            }
            if Instant::now() >= until {
                return Err(FaultError::NotConfirmed(format!(
                    "flagd still answers {} for `{flag}`, which was set to {}",
                    evaluation.value,
                    wanted.unwrap_or(&Value::Null)
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn evaluate(&self, flag: &str) -> Result<Evaluation, FaultError> {
        evaluate(&self.client, &self.ofrep_url, flag).await
    }
}

/// What flagd answers for a flag.
async fn evaluate(client: &Client, ofrep_url: &str, flag: &str) -> Result<Evaluation, FaultError> {
    let url = format!("{ofrep_url}/ofrep/v1/evaluate/flags/{flag}");
    let request = client.request(Method::POST, &url);
    read(request.json(&json!({})), &url).await
}

/// Reads a flag whose value is a whole number, such as the number of users of the OpenTelemetry
/// Demo's load generator.
#[derive(Debug, Clone)]
pub struct FlagReader {
    client: Client,
    flag: Flag,
}

impl FlagReader {
    /// A reader of a plan's flag.
    pub fn new(client: Client, flag: Flag) -> Self {
        Self { client, flag }
    }

    /// Time between two looks.
    pub fn every(&self) -> Duration {
        Duration::from_nanos(self.flag.every_ns)
    }

    /// What the flag says now.
    ///
    /// # Errors
    /// There is no such flag, it can't be read, only flagd itself can tell its value, or that is no
    /// whole number.
    pub async fn read(&self) -> Result<u64, FaultError> {
        let name = &self.flag.flag;
        let value = match &self.flag.source {
            FlagSource::OfrepUrl(url) => evaluate(&self.client, url, name).await?.value,
            FlagSource::FlagdFile(path) => {
                let file = read_file(Path::new(path))?;
                let definition = file.get("flags").and_then(|flags| flags.get(name));
                let definition = definition.ok_or_else(|| no_flag(name))?;
                value_of(definition).cloned().ok_or_else(|| {
                    FaultError::Impossible(format!(
                        "{path}: the flag `{name}` is disabled, or has targeting, which flagd itself \
                         must evaluate: give `ofrep_url` in place of `flagd_file`"
                    ))
                })?
            }
        };
        let number = value.as_f64().filter(|number| number.fract() == 0.0);
        match number {
            Some(number) if (0.0..=MAX_FLAG).contains(&number) => Ok(number as u64),
            _ => Err(FaultError::Impossible(format!(
                "the flag `{name}` is {value}, and not a whole number from 0 up"
            ))),
        }
    }
}

/// The largest value of a flag that is read, 2^53: whole numbers up to there are exact.
const MAX_FLAG: f64 = 9_007_199_254_740_992.0;

#[async_trait]
impl FaultDriver for FlagdDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    async fn version(&self) -> Result<String, FaultError> {
        self.flags().await?;
        Ok(String::new())
    }

    /// The flag as it is defined.
    async fn prepare(&self, fault: &Fault, _owner: &str) -> Result<Value, FaultError> {
        let mut file = self.flags().await?;
        let flags = file.get_mut("flags").and_then(Value::as_object_mut);
        let flags = flags.ok_or_else(|| no_flag(&fault.fault))?;
        let flag = flags
            .remove(&fault.fault)
            .ok_or_else(|| no_flag(&fault.fault))?;
        changed(fault, &flag).map(|_| flag)
    }

    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError> {
        let definition = changed(&injection.fault, &injection.before)?;
        self.set(&injection.fault.fault, &definition).await
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        let evaluation = self.evaluate(&injection.fault.fault).await?;
        let definition = changed(&injection.fault, &injection.before)?;
        Ok(Cleared {
            was_in_force: value_of(&definition).is_some_and(|v| is_same(v, &evaluation.value)),
            confirmation: self.set(&injection.fault.fault, &injection.before).await?,
        })
    }

    async fn state(&self, held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let url = format!("{}/ofrep/v1/evaluate/flags", self.ofrep_url);
        let request = self.client.request(Method::POST, &url);
        let all: Evaluations = read(request.json(&json!({})), &url).await?;
        let values: BTreeMap<&str, &Evaluation> = all
            .flags
            .iter()
            .map(|flag| (flag.key.as_str(), flag))
            .collect();
        Ok(values
            .into_values()
            .filter_map(|flag| active(flag, held))
            .collect())
    }
}

/// The fault that a flag is at this moment.
fn active(flag: &Evaluation, held: &[Injection]) -> Option<ActiveFault> {
    let ours = held.iter().find(|injection| {
        let definition = changed(&injection.fault, &injection.before);
        injection.fault.fault == flag.key
            && definition.is_ok_and(|d| value_of(&d).is_some_and(|v| is_same(v, &flag.value)))
    });
    if let Some(injection) = ours {
        return Some(ActiveFault {
            fault: injection.fault.clone(),
            owner: injection.owner.clone(),
        });
    }
    if flag.variant.is_empty() || flag.variant == OFF || flag.key.starts_with(OF_THE_LOAD) {
        return None;
    }
    let mut parameters = Parameters::new();
    parameters.insert("variant".to_owned(), Value::from(flag.variant.clone()));
    Some(ActiveFault {
        fault: Fault {
            driver: NAME.to_owned(),
            fault: flag.key.clone(),
            // A flag does not say whose it is.
            service: flag.key.clone(),
            intensity: 1.0,
            sham: false,
            harmless: false,
            clients: None,
            parameters,
        },
        owner: String::new(),
    })
}

/// A flag's definition with the variant of a fault, for everybody: without targeting.
fn changed(fault: &Fault, before: &Value) -> Result<Value, FaultError> {
    let variant = fault.parameters.get("variant").and_then(Value::as_str);
    let variant = variant.unwrap_or_default();
    let known = before.get("variants").and_then(Value::as_object);
    let names: Vec<&str> = known
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    if !names.contains(&variant) {
        return Err(FaultError::Impossible(format!(
            "the flag `{}` has no variant `{variant}`: it has {}",
            fault.fault,
            names.join(", ")
        )));
    }
    let mut definition = before.clone();
    if let Some(definition) = definition.as_object_mut() {
        definition.insert("defaultVariant".to_owned(), Value::from(variant));
        definition.insert("state".to_owned(), Value::from("ENABLED"));
        definition.remove("targeting");
    }
    Ok(definition)
}

/// What flagd must answer for a flag that is defined so; none: its targeting decides.
fn value_of(definition: &Value) -> Option<&Value> {
    let has_targeting = definition
        .get("targeting")
        .and_then(Value::as_object)
        .is_some_and(|targeting| !targeting.is_empty());
    if has_targeting || definition.get("state").and_then(Value::as_str) == Some("DISABLED") {
        return None;
    }
    let variant = definition.get("defaultVariant")?.as_str()?;
    definition.get("variants")?.get(variant)
}

/// Whether two values are the same to flagd: 1 and 1.0 are.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn no_flag(flag: &str) -> FaultError {
    FaultError::Impossible(format!("there is no flag `{flag}`"))
}

fn read_file(path: &Path) -> Result<Map<String, Value>, FaultError> {
    let unreadable =
        |why: &dyn std::fmt::Display| FaultError::Impossible(format!("{}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| unreadable(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| unreadable(&e))
}

/// By another file that takes its place, so that flagd never reads half of it.
fn replace_file(path: &Path, flags: &Map<String, Value>) -> Result<(), FaultError> {
    let written = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, flags)?;
        file.write_all(b"\n")?;
        file.as_file()
            .set_permissions(std::fs::metadata(path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|e| FaultError::Impossible(format!("can't write {}: {e}", path.display())))
}

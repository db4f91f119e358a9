//! The driver: makes, looks at and deletes objects by the API server of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::{Client, Error};
use loadgen_scenario::FaultCatalogue;
use loadgen_scenario::plan::{Fault, Parameters};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::resource::{self, GROUP_VERSION, KINDS, MANAGED_BY, RUN, SAME, label};
use super::status::Status;
use super::{NAME, catalogue};
use crate::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// A fault ends by itself after this time, in milliseconds.
const MAX_DURATION_MS: u64 = 3_600_000;
/// How long Chaos Mesh may take to inject.
const INJECTED_WITHIN: Duration = Duration::from_secs(7);
/// How long an object that has selected nothing may take to go.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(2);
/// How long Chaos Mesh may take to recover its targets and let an object go.
const GONE_WITHIN: Duration = Duration::from_secs(8);
/// How long the API server may take to take a connection, or to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);
/// Pause before an object is looked at again.
const PAUSE: Duration = Duration::from_millis(200);
/// Chaos Mesh holds an object by it until all targets are recovered.
const FINALIZER: &str = "chaos-mesh/records";

/// Driver `chaos-mesh`.
pub struct ChaosMeshDriver {
    kubeconfig: Option<PathBuf>,
    namespace: Option<String>,
    context: Option<String>,
    max_duration_ms: u64,
    /// Set up at its first use.
    cluster: OnceCell<Cluster>,
}

/// A cluster, and where in it objects are made.
struct Cluster {
    client: Client,
    url: String,
    namespace: String,
}

/// Where a fault's object is. It stands in the journal.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    api_server: String,
    namespace: String,
}

/// The objects of a kind in a namespace.
struct Objects {
    api: Api<DynamicObject>,
    /// Their address.
    url: String,
}

impl ChaosMeshDriver {
    /// A driver by its settings. The cluster is not called yet.
    pub fn new(settings: &Parameters) -> Self {
        let text = |name: &str| settings.get(name).and_then(Value::as_str);
        let max_duration_ms = settings.get("max_duration_ms").and_then(Value::as_u64);
        Self {
            kubeconfig: text("kubeconfig").map(PathBuf::from),
            namespace: text("namespace").map(str::to_owned),
            context: text("context").map(str::to_owned),
            max_duration_ms: max_duration_ms.unwrap_or(MAX_DURATION_MS),
            cluster: OnceCell::new(),
        }
    }

    async fn cluster(&self) -> Result<&Cluster, FaultError> {
        let connect = || async {
            let options = KubeConfigOptions {
                context: self.context.clone(),
                ..KubeConfigOptions::default()
            };
            let config = match (&self.kubeconfig, &self.context) {
                (Some(path), _) => {
                    let file = Kubeconfig::read_from(path).map_err(unusable)?;
                    let config = Config::from_custom_kubeconfig(file, &options).await;
                    config.map_err(unusable)?
                }
                (None, Some(_)) => {
                    let config = Config::from_kubeconfig(&options).await;
                    config.map_err(unusable)?
                }
                (None, None) => Config::infer().await.map_err(unusable)?,
            };
            Cluster::new(config, self.namespace.clone())
        };
        self.cluster.get_or_try_init(connect).await
    }

    /// The objects among which a fault's is.
    async fn place(&self, injection: &Injection) -> Result<Objects, FaultError> {
        let cluster = self.cluster().await?;
        let before: Before = serde_json::from_value(injection.before.clone())
            .map_err(|error| FaultError::Impossible(format!("the journal's entry: {error}")))?;
        // In another cluster there would be nothing to clear, and the fault would be forgotten.
        if before.api_server != cluster.url {
            return Err(FaultError::Impossible(format!(
                "the fault is in the cluster at {}, but the kubeconfig leads to {}: choose the \
                 context that the run had",
                before.api_server, cluster.url
            )));
        }
        let kind = resource::kind(&injection.fault)?;
        Ok(cluster.objects(kind, &before.namespace))
    }

    /// Makes an object, if it is not there already.
    async fn create(
        &self,
        objects: &Objects,
        asked: &DynamicObject,
        until: Instant,
    ) -> Result<(), FaultError> {
        let name = asked.metadata.name.as_deref().unwrap_or_default();
        loop {
            let made = objects.api.create(&PostParams::default(), asked).await;
            let conflict = match made.map_err(|error| objects.said(error)) {
                Ok(made) if resource::is_as_asked(&made, asked) => return Ok(()),
                Ok(made) => {
                    let removed = objects.remove(&made, GIVEN_UP_WITHIN).await;
                    removed.map_err(not_confirmed)?;
                    return Err(FaultError::Impossible(format!(
                        "{} dropped a part of {}: this version of Chaos Mesh does not know it",
                        objects.url, asked.data["spec"]
                    )));
                }
                Err(conflict @ FaultError::Refused { status: 409, .. }) => conflict,
                Err(error) => return Err(error),
            };
            match objects.find(name).await? {
                Some(found) if found.metadata.deletion_timestamp.is_none() => {
                    return is_ours(&found, asked);
                }
                // One of an earlier injection is about to go, or has gone meanwhile.
                _ if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                _ => return Err(conflict),
            }
        }
    }
}

/// An error after a change: it does not say that nothing was changed.
fn not_confirmed(error: FaultError) -> FaultError {
    FaultError::NotConfirmed(error.to_string())
}

/// Whether an object that is there already is what was to be made.
fn is_ours(found: &DynamicObject, asked: &DynamicObject) -> Result<(), FaultError> {
    let name = found.metadata.name.as_deref().unwrap_or_default();
    if label(found, RUN) != label(asked, RUN) {
        return Err(FaultError::Impossible(format!(
            "`{name}` is there already, and is of the run `{}`",
            label(found, RUN)
        )));
    }
    match resource::is_as_asked(found, asked) {
        true => Ok(()),
        false => Err(FaultError::Impossible(format!(
            "`{name}` is in force with another intensity, and Chaos Mesh can't change it"
        ))),
    }
}

impl Cluster {
    fn new(mut config: Config, namespace: Option<String>) -> Result<Self, FaultError> {
        config.connect_timeout = Some(ANSWER_LIMIT);
        config.read_timeout = Some(ANSWER_LIMIT);
        let url = config.cluster_url.to_string();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self {
            client: Client::try_from(config).map_err(unusable)?,
            url: url.trim_end_matches('/').to_owned(),
            namespace,
        })
    }

    fn objects(&self, kind: &str, namespace: &str) -> Objects {
        let of = resource::api_resource(kind);
        Objects {
            url: format!(
                "{}/apis/{GROUP_VERSION}/namespaces/{namespace}/{}",
                self.url, of.plural
            ),
            api: Api::namespaced_with(self.client.clone(), namespace, &of),
        }
    }

    /// All objects of a kind that have these labels.
    async fn list(&self, kind: &str, labels: &str) -> Result<Vec<DynamicObject>, FaultError> {
        let objects = self.objects(kind, &self.namespace);
        let listed = objects
            .api
            .list(&ListParams::default().labels(labels))
            .await;
        Ok(listed.map_err(|error| objects.said(error))?.items)
    }
}

impl Objects {
    async fn find(&self, name: &str) -> Result<Option<DynamicObject>, FaultError> {
        let found = self.api.get_opt(name).await;
        found.map_err(|error| self.said(error))
    }

    fn status(&self, object: &DynamicObject) -> Result<Status, FaultError> {
        Status::of(object).map_err(|error| FaultError::Unclear {
            url: self.url.clone(),
            reason: error.to_string(),
        })
    }

    /// Waits until Chaos Mesh says that all targets have the fault.
    async fn wait_for_injection(
        &self,
        name: &str,
        until: Instant,
    ) -> Result<Confirmation, FaultError> {
        loop {
            let found = self.find(name).await?.ok_or_else(|| {
                FaultError::NotConfirmed(format!("somebody has deleted {}/{name}", self.url))
            })?;
            let status = self.status(&found)?;
            if status.is_injected() {
                return Ok(Confirmation {
                    how: "Chaos Mesh's status of the object: AllInjected".to_owned(),
                    read_back: status.read_back(),
                });
            }
            if Instant::now() < until {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if !status.has_no_target() {
                return Err(FaultError::NotConfirmed(format!(
                    "Chaos Mesh has not injected it within {} s into {}",
                    INJECTED_WITHIN.as_secs(),
                    status.targets_not("Injected")
                )));
            }
            self.remove(&found, GIVEN_UP_WITHIN).await?;
            return Err(FaultError::Impossible(match status.is_seen() {
                true => format!(
                    "Chaos Mesh selects no pods for it: none in {} has the labels {}, or none that \
                     it may touch",
                    found.data["spec"]["selector"]["namespaces"],
                    found.data["spec"]["selector"]["labelSelectors"]
                ),
                false => format!(
                    "Chaos Mesh took no notice of {}/{name} within {} s: does its controller \
                     manager run?",
                    self.url,
                    INJECTED_WITHIN.as_secs()
                ),
            }));
        }
    }

    /// Deletes an object and waits until it is gone. Answers what its status was last.
    async fn remove(&self, object: &DynamicObject, within: Duration) -> Result<Status, FaultError> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let preconditions = Preconditions {
            uid: object.metadata.uid.clone(),
            resource_version: None,
        };
        let this_one = DeleteParams::default().preconditions(preconditions);
        let until = Instant::now() + within;
        match self.api.delete(name, &this_one).await {
            // Another of that name, or none: this one is gone.
            Ok(_) => {}
            Err(Error::Api(status)) if [404, 409].contains(&status.code) => {}
            Err(error) => return Err(self.said(error)),
        }
        let mut last = self.status(object)?;
        loop {
            match self.find(name).await? {
                Some(found) if found.metadata.uid == object.metadata.uid => {
                    last = self.status(&found)?;
                }
                _ => return Ok(last),
            }
            if Instant::now() >= until {
                return Err(FaultError::NotConfirmed(self.stuck(name, &last)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Says why an object does not go, and what to do.
    fn stuck(&self, name: &str, status: &Status) -> String {
        let left = match status.targets_not("Not Injected").as_str() {
            "" => "Chaos Mesh has not let go of it: does its controller manager run?".to_owned(),
            left => format!("not recovered: {left}. Restarting these pods ends most faults"),
        };
        format!(
            "{}/{name} is being deleted, but its finalizer {FINALIZER} holds it; {left}. Only when \
             the fault is known to be gone, remove the finalizer: removing it takes no fault away",
            self.url
        )
    }

    /// What the client's error means.
    fn said(&self, error: Error) -> FaultError {
        said(error, &self.url)
    }
}

fn said(error: Error, url: &str) -> FaultError {
    let url = url.to_owned();
    match error {
        Error::Api(status) => FaultError::Refused {
            url,
            status: status.code,
            message: match status.code == 403 && status.message.contains(" cannot ") {
                true => format!("{} (see the Role in docs/faults.md)", status.message),
                false => status.message,
            },
        },
        Error::SerdeError(error) => FaultError::Unclear {
            url,
            reason: error.to_string(),
        },
        error => {
            let causes = std::iter::successors(std::error::Error::source(&error), |e| e.source());
            let last = causes.last().map(ToString::to_string);
            FaultError::Unanswered {
                url,
                reason: last.unwrap_or_else(|| error.to_string()),
            }
        }
    }
}

fn unusable(error: impl std::fmt::Display) -> FaultError {
    FaultError::Settings {
        driver: NAME.to_owned(),
        reason: format!("no cluster can be called: {error}"),
    }
}

#[async_trait]
impl FaultDriver for ChaosMeshDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    /// Of the API server; Chaos Mesh does not say its own.
    async fn version(&self) -> Result<String, FaultError> {
        let Cluster { client, url, .. } = self.cluster().await?;
        let version = client.apiserver_version().await;
        let version = version.map_err(|error| said(error, url))?;
        let lacks = |what: &str| FaultError::Settings {
            driver: NAME.to_owned(),
            reason: format!("{url} has no {what}: is Chaos Mesh installed there?"),
        };
        let there = match client.list_api_group_resources(GROUP_VERSION).await {
            Ok(list) => list.resources,
            Err(Error::Api(status)) if status.code == 404 => {
                return Err(lacks(&format!("API {GROUP_VERSION}")));
            }
            Err(error) => return Err(said(error, url)),
        };
        let is_there = |kind: &&&str| there.iter().any(|known| known.kind == **kind);
        match KINDS.iter().find(|kind| !is_there(kind)) {
            Some(kind) => Err(lacks(&format!("{kind} in its API {GROUP_VERSION}"))),
            None => Ok(format!("kubernetes {}", version.git_version)),
        }
    }

    async fn reset(&self, owner: &str) -> Result<(), FaultError> {
        let cluster = self.cluster().await?;
        for kind in KINDS {
            let objects = cluster.objects(kind, &cluster.namespace);
            for object in cluster.list(kind, &format!("{RUN}={owner}")).await? {
                objects.remove(&object, GONE_WITHIN).await?;
            }
        }
        Ok(())
    }

    /// Where the object is to be. The same fault of another run is in the way.
    async fn prepare(&self, fault: &Fault, owner: &str) -> Result<Value, FaultError> {
        let cluster = self.cluster().await?;
        let before = json!(Before {
            api_server: cluster.url.clone(),
            namespace: cluster.namespace.clone(),
        });
        let injection = Injection {
            fault: fault.clone(),
            owner: owner.to_owned(),
            before,
        };
        resource::object(&injection, &cluster.namespace, self.max_duration_ms)?;
        let same = format!("{MANAGED_BY}=loadgen,{SAME}={}", resource::hash(fault));
        let same = cluster.list(resource::kind(fault)?, &same).await?;
        match same.iter().find(|object| label(object, RUN) != owner) {
            Some(other) => Err(FaultError::Impossible(format!(
                "the run `{}` has the same fault: `{}` in the namespace `{}`",
                label(other, RUN),
                other.metadata.name.as_deref().unwrap_or_default(),
                cluster.namespace
            ))),
            None => Ok(injection.before),
        }
    }

    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError> {
        let until = Instant::now() + INJECTED_WITHIN;
        let objects = self.place(injection).await?;
        let namespace = objects.api.namespace().unwrap_or_default();
        let asked = resource::object(injection, namespace, self.max_duration_ms)?;
        self.create(&objects, &asked, until).await?;
        let name = resource::name(injection);
        let injected = objects.wait_for_injection(&name, until).await;
        injected.map_err(|error| match error {
            // The object is gone again.
            FaultError::Impossible(_) => error,
            error => not_confirmed(error),
        })
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        let objects = self.place(injection).await?;
        let found = objects.find(&resource::name(injection)).await?;
        let found = found.filter(|found| label(found, RUN) == injection.owner);
        let Some(found) = found else {
            return Ok(Cleared {
                was_in_force: false,
                confirmation: Confirmation {
                    how: "the API server's answer: there is no such object".to_owned(),
                    read_back: Value::Null,
                },
            });
        };
        let was_in_force = objects.status(&found)?.is_in_force();
        let last = objects.remove(&found, GONE_WITHIN).await?;
        let how = match last.is_recovered() {
            true => "the object is gone, and Chaos Mesh had recovered all its targets",
            false => "the object is gone",
        };
        Ok(Cleared {
            was_in_force,
            confirmation: Confirmation {
                how: how.to_owned(),
                read_back: last.read_back(),
            },
        })
    }

    async fn state(&self, held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let cluster = self.cluster().await?;
        let lists = KINDS.iter().map(|kind| cluster.list(kind, ""));
        let lists = try_join_all(lists).await?;
        let mut active = Vec::new();
        for (kind, listed) in KINDS.iter().zip(&lists) {
            let objects = cluster.objects(kind, &cluster.namespace);
            for object in listed {
                if objects.status(object)?.is_in_force() {
                    active.push(active_fault(kind, object, held));
                }
            }
        }
        Ok(active)
    }

    fn look_every(&self) -> Duration {
        Duration::from_secs(3)
    }
}

/// The fault that an object is.
fn active_fault(kind: &str, object: &DynamicObject, held: &[Injection]) -> ActiveFault {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let owner = label(object, RUN);
    let mut ours = held.iter();
    let ours = ours.find(|injection| injection.owner == owner && resource::name(injection) == name);
    let fault = ours.map(|injection| injection.fault.clone());
    ActiveFault {
        fault: fault.unwrap_or_else(|| Fault {
            driver: NAME.to_owned(),
            fault: resource::fault_of(kind, object),
            service: resource::service_of(object),
            intensity: 1.0,
            sham: false,
            harmless: false,
            clients: None,
            parameters: json!({ "object": name })
                .as_object()
                .cloned()
                .unwrap_or_default(),
        }),
        owner: owner.to_owned(),
    }
}

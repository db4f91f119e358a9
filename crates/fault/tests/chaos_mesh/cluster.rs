//! The API server that all tests share, and namespaces in it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, PostParams};
use kube::core::{DynamicObject, TypeMeta};
use loadgen_fault::{ChaosMeshDriver, FaultDriver, Injection};
use loadgen_scenario::plan::{Fault, Parameters};
use serde_json::{Value, json};

use crate::controllers::{act, applied, conditions, status, write};
use crate::server::{
    KINDS, LONG, PAUSE, PROGRAM, Server, api_resource, crd, create, wait_for_kinds,
};

/// The owner of most faults.
pub(crate) const RUN: &str = "0123456789abcdef0123456789abcdef";

/// The server, and what was seen while it was set up.
pub(crate) struct Cluster {
    server: Server,
    folder: PathBuf,
    /// What the driver said before any CRD was installed.
    pub(crate) without_crds: String,
    /// What it said when one was missing.
    pub(crate) without_time_chaos: String,
}

/// The one that all tests share; none where no program is named.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let started = || {
        let program = std::env::var_os(PROGRAM)?;
        let start = move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(Cluster::start(program.as_ref()))
        };
        // A test has a runtime of its own already.
        Some(std::thread::spawn(start).join().unwrap())
    };
    let cluster = CLUSTER.get_or_init(started).as_ref();
    if cluster.is_none() {
        println!("skipped: {PROGRAM} names no API server, see .ci/control-plane/README.md");
    }
    cluster
}

impl Cluster {
    async fn start(program: &Path) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("apiserver");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut cluster = Self {
            server: Server::start(program, &folder),
            folder,
            without_crds: String::new(),
            without_time_chaos: String::new(),
        };
        let client = cluster.server.client().await;
        let driver = cluster.driver(json!({}));
        cluster.without_crds = driver.version().await.unwrap_err().to_string();
        for (installed, kind) in KINDS.iter().enumerate() {
            if *kind == "TimeChaos" {
                wait_for_kinds(&client, installed).await;
                cluster.without_time_chaos = driver.version().await.unwrap_err().to_string();
            }
            create(&client, crd(kind)).await;
        }
        wait_for_kinds(&client, KINDS.len()).await;
        cluster
    }

    /// Settings that lead here.
    pub(crate) fn settings(&self, more: Value) -> Parameters {
        let mut settings = json!({ "kubeconfig": self.server.kubeconfig });
        let all = settings.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        all.clone()
    }

    pub(crate) fn driver(&self, settings: Value) -> ChaosMeshDriver {
        ChaosMeshDriver::new(&self.settings(settings))
    }

    /// A namespace of a test's own.
    pub(crate) async fn namespace(&self, name: &str) -> Namespace {
        let client = self.server.client().await;
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
        });
        create(&client, namespace).await;
        Namespace {
            name: name.to_owned(),
            client,
        }
    }

    /// A kubeconfig with another context, which has this token.
    pub(crate) fn kubeconfig(&self, context: &str, token: &str) -> PathBuf {
        let admin = std::fs::read(&self.server.kubeconfig).unwrap();
        let mut file: Value = serde_json::from_slice(&admin).unwrap();
        let user = json!({ "name": context, "user": { "token": token } });
        let of_user = json!({ "cluster": "test", "user": context });
        let named = json!({ "name": context, "context": of_user });
        file["users"].as_array_mut().unwrap().push(user);
        file["contexts"].as_array_mut().unwrap().push(named);
        let path = self.folder.join(format!("{context}.conf"));
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    /// A kubeconfig that leads to another address.
    pub(crate) fn elsewhere(&self, url: &str) -> PathBuf {
        let admin = std::fs::read(&self.server.kubeconfig).unwrap();
        let mut file: Value = serde_json::from_slice(&admin).unwrap();
        file["clusters"][0]["cluster"]["server"] = json!(url);
        let path = self.folder.join("elsewhere.conf");
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }
}

/// A namespace, and what happens in it.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl Namespace {
    /// Objects of Chaos Mesh.
    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &api_resource(kind))
    }

    /// Makes an object of Chaos Mesh as somebody else would.
    pub(crate) async fn by_hand(&self, kind: &str, name: &str, action: &str) {
        let types = TypeMeta {
            api_version: "chaos-mesh.org/v1alpha1".to_owned(),
            kind: kind.to_owned(),
        };
        let object = json!({
            "apiVersion": types.api_version,
            "kind": types.kind,
            "metadata": { "name": name, "namespace": self.name },
            "spec": { "mode": "one", "selector": {}, "action": action },
        });
        let object = serde_json::from_value(object).unwrap();
        let made = self.api(kind).create(&PostParams::default(), &object).await;
        made.unwrap();
    }

    /// The only object of a kind, when there is one of which this holds.
    pub(crate) async fn wait_for(
        &self,
        kind: &str,
        holds: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        let until = Instant::now() + LONG;
        loop {
            let listed = self.api(kind).list(&Default::default()).await.unwrap();
            if let Some(found) = listed.items.into_iter().find(&holds) {
                return found;
            }
            assert!(Instant::now() < until, "no such object of {kind} comes");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes what the controllers could write.
    pub(crate) async fn write(&self, kind: &str, name: &str, finalizers: &[&str], status: Value) {
        write(&self.api(kind), name, finalizers, status).await;
    }

    /// The controllers take notice of the object that comes, and inject.
    pub(crate) async fn injects(&self, kind: &str) {
        let found = self.wait_for(kind, |_| true).await;
        self.act(kind, &found).await;
        self.act(kind, &found).await;
    }

    /// The controllers recover the object that is deleted, and let go of it.
    pub(crate) async fn recovers(&self, kind: &str) {
        let is_deleted = |found: &DynamicObject| found.metadata.deletion_timestamp.is_some();
        let found = self.wait_for(kind, is_deleted).await;
        self.act(kind, &found).await;
        // As long as it takes the driver to look.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.act(kind, &found).await;
    }

    /// The controllers do what comes next.
    async fn act(&self, kind: &str, object: &DynamicObject) {
        let api = self.api(kind);
        let now = api.get(object.metadata.name.as_deref().unwrap()).await;
        act(&api, &now.unwrap()).await;
    }

    pub(crate) async fn count(&self, kind: &str) -> usize {
        let listed = self.api(kind).list(&Default::default()).await;
        listed.unwrap().items.len()
    }
}

/// Nothing is selected, and never will be.
pub(crate) fn nothing_selected() -> Value {
    json!({
        "conditions": conditions("False", "False", "False"),
        "experiment": { "desiredPhase": "Run" },
    })
}

/// The daemon does not answer.
pub(crate) fn not_recovered() -> Value {
    let failed = json!({ "type": "Failed", "operation": "Recover", "message": "no daemon" });
    let events = json!([applied(), failed]);
    status(
        conditions("True", "True", "False"),
        "Stop",
        "Injected",
        events,
    )
}

/// A fault of the pods `app=orders`.
pub(crate) fn fault(name: &str, parameters: Value) -> Fault {
    let mut parameters = parameters.as_object().cloned().unwrap_or_default();
    parameters.insert("labels".to_owned(), json!("app=orders"));
    Fault {
        driver: "chaos-mesh".to_owned(),
        fault: name.to_owned(),
        service: "orders".to_owned(),
        intensity: 1.0,
        sham: false,
        harmless: false,
        clients: None,
        parameters,
    }
}

/// A fault with what the driver finds before it.
pub(crate) async fn prepared(driver: &ChaosMeshDriver, fault: Fault, owner: &str) -> Injection {
    Injection {
        before: driver.prepare(&fault, owner).await.unwrap(),
        fault,
        owner: owner.to_owned(),
    }
}

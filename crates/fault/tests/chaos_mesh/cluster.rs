//! A real API server with its etcd, and a stand-in for the controllers of Chaos Mesh, which write
//! into its objects what they have done.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::{Client, Error};
use loadgen_fault::{ChaosMeshDriver, FaultDriver, Injection};
use loadgen_scenario::plan::{Fault, Parameters};
use serde_json::{Value, json};

/// Names the server's program.
const PROGRAM: &str = "LOADGEN_REAL_APISERVER";
/// No machine is so busy that something takes longer.
const LONG: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);
/// The owner of most faults.
pub(crate) const RUN: &str = "0123456789abcdef0123456789abcdef";

/// The server. It ends with this process, which closes its standard input.
pub(crate) struct Cluster {
    folder: PathBuf,
    _server: Child,
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
    async fn start(program: &std::path::Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("apiserver");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut server = Command::new(program)
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = server.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "see {}", folder.join("log").display());
        let mut cluster = Self {
            folder,
            _server: server,
            without_crds: String::new(),
            without_time_chaos: String::new(),
        };
        let client = cluster.client().await;
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

    /// The administrator's.
    pub(crate) async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(self.folder.join("admin.conf")).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }

    /// Settings that lead here.
    pub(crate) fn settings(&self, more: Value) -> Parameters {
        let mut settings = json!({ "kubeconfig": self.folder.join("admin.conf") });
        let all = settings.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        all.clone()
    }

    pub(crate) fn driver(&self, settings: Value) -> ChaosMeshDriver {
        ChaosMeshDriver::new(&self.settings(settings))
    }

    /// A namespace of a test's own.
    pub(crate) async fn namespace(&self, name: &str) -> Namespace {
        let client = self.client().await;
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
        let admin = std::fs::read(self.folder.join("admin.conf")).unwrap();
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
        let admin = std::fs::read(self.folder.join("admin.conf")).unwrap();
        let mut file: Value = serde_json::from_slice(&admin).unwrap();
        file["clusters"][0]["cluster"]["server"] = json!(url);
        let path = self.folder.join("elsewhere.conf");
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }
}

/// In the order in which they are installed.
const KINDS: [&str; 7] = [
    "NetworkChaos",
    "StressChaos",
    "HTTPChaos",
    "PodChaos",
    "IOChaos",
    "DNSChaos",
    "TimeChaos",
];

/// A small definition that is like Chaos Mesh's own in what matters here: the API server checks
/// fields, drops those that it does not know, and keeps `status` on the object itself.
fn crd(kind: &str) -> Value {
    let plural = kind.to_lowercase();
    let text = || json!({ "type": "string" });
    let object = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required });
    let anything = || json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let mut spec = json!({
        "mode": { "type": "string", "enum": ["one", "all", "fixed"] },
        "selector": anything(),
        "duration": text(),
        "action": text(),
    });
    if kind == "NetworkChaos" {
        spec["delay"] = object(
            json!({ "latency": text(), "jitter": text(), "correlation": text() }),
            json!(["latency"]),
        );
    }
    let properties = json!({
        "spec": object(spec, json!(["mode", "selector"])),
        "status": anything(),
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.chaos-mesh.org") },
        "spec": {
            "group": "chaos-mesh.org",
            "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": plural },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": object(properties, json!(["spec"])) },
            }],
        },
    })
}

/// Waits until the API has so many kinds.
async fn wait_for_kinds(client: &Client, count: usize) {
    let until = Instant::now() + LONG;
    loop {
        let listed = client
            .list_api_group_resources("chaos-mesh.org/v1alpha1")
            .await;
        if listed.is_ok_and(|list| list.resources.len() == count) {
            return;
        }
        assert!(Instant::now() < until, "the definitions are not served");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes any object.
pub(crate) async fn create(client: &Client, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let of = ApiResource::from_gvk(&GroupVersionKind::try_from(types).unwrap());
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &of),
        None => Api::all_with(client.clone(), &of),
    };
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// A namespace, and what happens in it.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl Namespace {
    /// Objects of Chaos Mesh.
    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("chaos-mesh.org", "v1alpha1", kind);
        let of = ApiResource::from_gvk_with_plural(&gvk, &kind.to_lowercase());
        Api::namespaced_with(self.client.clone(), &self.name, &of)
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

    /// Writes what the controllers write, on the object itself as they do.
    pub(crate) async fn write(&self, kind: &str, name: &str, finalizers: &[&str], status: Value) {
        let change = json!({ "metadata": { "finalizers": finalizers }, "status": status });
        let params = PatchParams::default();
        let api = self.api(kind);
        let written = api.patch(name, &params, &Patch::Merge(&change)).await;
        match written {
            Ok(_) => {}
            // The last finalizer's end is the object's.
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The controllers take notice of the object that comes, and inject.
    pub(crate) async fn injects(&self, kind: &str) {
        let found = self.wait_for(kind, |_| true).await;
        let name = found.metadata.name.unwrap();
        let held = ["chaos-mesh/records"];
        self.write(kind, &name, &held, seen()).await;
        self.write(kind, &name, &held, injected()).await;
    }

    /// The controllers recover the object that is deleted, and let go of it.
    pub(crate) async fn recovers(&self, kind: &str) {
        let is_deleted = |found: &DynamicObject| found.metadata.deletion_timestamp.is_some();
        let found = self.wait_for(kind, is_deleted).await;
        let name = found.metadata.name.unwrap();
        let held = ["chaos-mesh/records"];
        self.write(kind, &name, &held, recovered()).await;
        // As long as it takes the driver to look.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.write(kind, &name, &[], recovered()).await;
    }

    pub(crate) async fn count(&self, kind: &str) -> usize {
        let listed = self.api(kind).list(&Default::default()).await;
        listed.unwrap().items.len()
    }
}

fn conditions(selected: &str, injected: &str, recovered: &str) -> Value {
    json!([
        { "type": "Selected", "status": selected },
        { "type": "AllInjected", "status": injected },
        { "type": "AllRecovered", "status": recovered },
        { "type": "Paused", "status": "False" },
    ])
}

fn status(conditions: Value, desired: &str, phase: &str, events: Value) -> Value {
    json!({
        "conditions": conditions,
        "experiment": {
            "desiredPhase": desired,
            "containerRecords": [
                { "id": "shop/orders-1", "selectorKey": ".", "phase": phase, "events": events },
            ],
        },
    })
}

/// Nothing is selected, and never will be.
pub(crate) fn nothing_selected() -> Value {
    json!({
        "conditions": conditions("False", "False", "False"),
        "experiment": { "desiredPhase": "Run" },
    })
}

/// A pod is selected. That all is recovered is true then, too.
fn seen() -> Value {
    status(
        conditions("True", "False", "True"),
        "Run",
        "Not Injected",
        json!([]),
    )
}

fn applied() -> Value {
    json!({ "type": "Succeeded", "operation": "Apply", "timestamp": "2026-03-01T10:00:00Z" })
}

pub(crate) fn injected() -> Value {
    let events = json!([applied()]);
    status(
        conditions("True", "True", "False"),
        "Run",
        "Injected",
        events,
    )
}

pub(crate) fn recovered() -> Value {
    let events = json!([applied(), { "type": "Succeeded", "operation": "Recover" }]);
    let conditions = conditions("True", "False", "True");
    status(conditions, "Stop", "Not Injected", events)
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

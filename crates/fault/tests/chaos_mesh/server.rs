//! A real API server with its etcd, and the kinds of Chaos Mesh.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

/// Names the server's program.
pub(crate) const PROGRAM: &str = "LOADGEN_REAL_APISERVER";
/// No machine is so busy that something takes longer.
pub(crate) const LONG: Duration = Duration::from_secs(120);
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// The server. It ends with this process at the latest, which closes its standard input.
pub(crate) struct Server {
    /// The administrator's.
    pub(crate) kubeconfig: PathBuf,
    child: Child,
}

impl Server {
    /// Starts one that keeps all it has in a folder, and waits until it answers.
    pub(crate) fn start(program: &Path, folder: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let log = folder.join("log");
        let mut child = Command::new(program)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "see {}", log.display());
        Self {
            kubeconfig: folder.join("admin.conf"),
            child,
        }
    }

    /// The administrator's, for the runtime of the caller.
    pub(crate) async fn client(&self) -> Client {
        let file = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }
}

impl Drop for Server {
    /// What it keeps can be removed afterwards.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The kinds that the driver makes.
pub(crate) const KINDS: [&str; 7] = [
    "NetworkChaos",
    "StressChaos",
    "HTTPChaos",
    "PodChaos",
    "IOChaos",
    "DNSChaos",
    "TimeChaos",
];

/// A small definition of a kind that is like Chaos Mesh's own in what matters here: the API server
/// checks fields, drops those that it does not know, and keeps `status` on the object itself.
pub(crate) fn crd(kind: &str) -> Value {
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
pub(crate) async fn wait_for_kinds(client: &Client, count: usize) {
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

/// A kind of Chaos Mesh as the client wants it.
pub(crate) fn api_resource(kind: &str) -> ApiResource {
    let gvk = GroupVersionKind::gvk("chaos-mesh.org", "v1alpha1", kind);
    ApiResource::from_gvk_with_plural(&gvk, &kind.to_lowercase())
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

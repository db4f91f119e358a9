//! The driver `chaos-mesh` against a real API server. Chaos Mesh itself does not run: what its
//! controllers write into an object is written by the test.

mod cluster;
mod controllers;
mod server;

use cluster::{Cluster, Namespace, RUN, cluster, fault, not_recovered, nothing_selected, prepared};
use controllers::{injected, recovered};
use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use loadgen_fault::journal::{self, Found};
use loadgen_fault::{ChaosMeshDriver, FaultDriver, FaultError, Injection, Undoing};
use loadgen_scenario::plan::Fault;
use serde::Deserialize;
use serde_json::{Value, json};
use server::create;

/// A second run, whose objects have names like those of the first.
const OTHER_RUN: &str = "01234567ffffffffffffffffffffffff";

fn delay() -> Fault {
    fault("network_delay", json!({ "latency_ms": 400 }))
}

/// A driver, and a delay that it has injected.
async fn with_delay(cluster: &Cluster, name: &str) -> (Namespace, ChaosMeshDriver, Injection) {
    let namespace = cluster.namespace(name).await;
    let driver = cluster.driver(json!({ "namespace": name }));
    let injection = prepared(&driver, delay(), RUN).await;
    let (confirmed, ()) =
        tokio::join!(driver.inject(&injection), namespace.injects("NetworkChaos"));
    confirmed.unwrap();
    (namespace, driver, injection)
}

#[tokio::test]
async fn a_cluster_without_chaos_mesh_is_told() {
    let Some(cluster) = cluster() else { return };
    let said = &cluster.without_crds;
    assert!(
        said.contains("has no API chaos-mesh.org/v1alpha1"),
        "{said}"
    );
    let said = &cluster.without_time_chaos;
    assert!(said.contains("has no TimeChaos"), "{said}");
    let version = cluster.driver(json!({})).version().await.unwrap();
    assert!(version.starts_with("kubernetes v1."), "{version}");
}

#[tokio::test]
async fn a_fault_is_applied_confirmed_seen_and_cleared() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("applied").await;
    let driver = cluster.driver(json!({ "namespace": "applied", "max_duration_ms": 600_000 }));
    let injection = prepared(&driver, delay(), RUN).await;
    let (confirmed, ()) =
        tokio::join!(driver.inject(&injection), namespace.injects("NetworkChaos"));
    let confirmed = confirmed.unwrap();
    assert!(confirmed.how.contains("AllInjected"), "{}", confirmed.how);
    let records = json!([{
        "id": "shop/orders-1", "phase": "Injected", "applied_at": "2026-03-01T10:00:00Z",
    }]);
    assert_eq!(confirmed.read_back["records"], records);
    assert_eq!(confirmed.read_back["conditions"]["AllInjected"], "True");

    let found = namespace.wait_for("NetworkChaos", |_| true).await;
    let labels = found.metadata.labels.unwrap();
    assert_eq!(labels["app.kubernetes.io/managed-by"], "loadgen");
    assert_eq!(labels["loadgen.run-id"], RUN);
    assert_eq!(
        found.metadata.annotations.unwrap()["loadgen.service"],
        "orders"
    );
    assert_eq!(found.data["spec"]["duration"], "600s");
    assert_eq!(found.data["spec"]["delay"]["latency"], "400ms");

    // What is there already is confirmed again.
    driver.inject(&injection).await.unwrap();
    let held = [injection.clone()];
    let active = driver.state(&held).await.unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(
        (&active[0].fault, active[0].owner.as_str()),
        (&injection.fault, RUN)
    );

    let (cleared, ()) = tokio::join!(driver.clear(&injection), namespace.recovers("NetworkChaos"));
    let cleared = cleared.unwrap();
    assert!(cleared.was_in_force);
    let how = &cleared.confirmation.how;
    assert!(how.contains("recovered all its targets"), "{how}");
    assert!(driver.state(&held).await.unwrap().is_empty());
    assert!(!driver.clear(&injection).await.unwrap().was_in_force);
}

#[tokio::test]
async fn a_fault_that_chaos_mesh_has_ended_is_not_in_force() {
    let Some(cluster) = cluster() else { return };
    let (namespace, driver, injection) = with_delay(cluster, "ended").await;
    let found = namespace.wait_for("NetworkChaos", |_| true).await;
    let name = found.metadata.name.unwrap();
    namespace
        .write("NetworkChaos", &name, &[], recovered())
        .await;
    assert!(
        driver
            .state(std::slice::from_ref(&injection))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!driver.clear(&injection).await.unwrap().was_in_force);
    assert_eq!(namespace.count("NetworkChaos").await, 0);
}

#[tokio::test]
async fn where_no_pod_is_selected_nothing_is_left() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("nothing").await;
    let driver = cluster.driver(json!({ "namespace": "nothing" }));
    let injection = prepared(&driver, fault("pod_failure", json!({})), RUN).await;
    let selects = async {
        let found = namespace.wait_for("PodChaos", |_| true).await;
        let name = found.metadata.name.unwrap();
        namespace
            .write("PodChaos", &name, &[], nothing_selected())
            .await;
    };
    let (injected, ()) = tokio::join!(driver.inject(&injection), selects);
    let error = injected.unwrap_err();
    assert!(error.changed_nothing(), "{error}");
    assert!(error.to_string().contains("selects no pods"), "{error}");
    assert!(error.to_string().contains(r#"{"app":"orders"}"#), "{error}");
    assert_eq!(namespace.count("PodChaos").await, 0);
}

#[tokio::test]
async fn where_chaos_mesh_takes_no_notice_nothing_is_left() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("unnoticed").await;
    let driver = cluster.driver(json!({ "namespace": "unnoticed" }));
    let injection = prepared(&driver, delay(), RUN).await;
    let error = driver.inject(&injection).await.unwrap_err();
    assert!(error.changed_nothing(), "{error}");
    assert!(error.to_string().contains("took no notice"), "{error}");
    assert_eq!(namespace.count("NetworkChaos").await, 0);
}

#[tokio::test]
async fn what_is_not_injected_everywhere_is_not_confirmed() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("halfway").await;
    let driver = cluster.driver(json!({ "namespace": "halfway" }));
    let injection = prepared(&driver, delay(), RUN).await;
    let fails = async {
        let found = namespace.wait_for("NetworkChaos", |_| true).await;
        let name = found.metadata.name.unwrap();
        let mut status = injected();
        status["conditions"][1]["status"] = json!("False");
        status["experiment"]["containerRecords"][0]["phase"] = json!("Not Injected");
        let failed = json!([{ "type": "Failed", "operation": "Apply", "message": "no netem" }]);
        status["experiment"]["containerRecords"][0]["events"] = failed;
        namespace.write("NetworkChaos", &name, &[], status).await;
    };
    let (injected, ()) = tokio::join!(driver.inject(&injection), fails);
    let error = injected.unwrap_err();
    assert!(!error.changed_nothing(), "{error}");
    assert!(error.to_string().contains("shop/orders-1"), "{error}");
    assert!(error.to_string().contains("no netem"), "{error}");
    assert_eq!(namespace.count("NetworkChaos").await, 1);
}

#[tokio::test]
async fn the_same_fault_of_another_run_is_in_the_way() {
    let Some(cluster) = cluster() else { return };
    let (namespace, driver, injection) = with_delay(cluster, "others").await;
    let error = driver.prepare(&delay(), OTHER_RUN).await.unwrap_err();
    assert!(error.changed_nothing(), "{error}");
    assert!(error.to_string().contains(RUN), "{error}");
    // It came between the two calls.
    let late = Injection {
        owner: OTHER_RUN.to_owned(),
        ..injection.clone()
    };
    let error = driver.inject(&late).await.unwrap_err();
    assert!(error.changed_nothing(), "{error}");
    assert!(!driver.clear(&late).await.unwrap().was_in_force);
    driver.reset(OTHER_RUN).await.unwrap();
    assert_eq!(namespace.count("NetworkChaos").await, 1);
}

#[tokio::test]
async fn another_intensity_of_what_is_in_force_is_refused() {
    let Some(cluster) = cluster() else { return };
    let (namespace, driver, mut injection) = with_delay(cluster, "intensity").await;
    injection.fault.intensity = 0.5;
    let error = driver.inject(&injection).await.unwrap_err();
    assert!(error.changed_nothing(), "{error}");
    assert!(error.to_string().contains("another intensity"), "{error}");
    assert_eq!(namespace.count("NetworkChaos").await, 1);
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let Some(cluster) = cluster() else { return };
    cluster.namespace("refused").await;
    let driver = cluster.driver(json!({ "namespace": "refused" }));
    let injection = prepared(&driver, fault("network_delay", json!({})), RUN).await;
    let error = driver.inject(&injection).await.unwrap_err();
    let is_422 = matches!(error, FaultError::Refused { status: 422, .. });
    assert!(is_422 && error.changed_nothing(), "{error}");
    assert!(error.to_string().contains("spec.delay.latency"), "{error}");
}

#[tokio::test]
async fn what_the_api_server_drops_is_no_fault() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("dropped").await;
    let driver = cluster.driver(json!({ "namespace": "dropped" }));
    let dns = fault("dns_error", json!({ "patterns": "payment.*" }));
    let injection = prepared(&driver, dns, RUN).await;
    let error = driver.inject(&injection).await.unwrap_err();
    assert!(error.changed_nothing(), "{error}");
    assert!(error.to_string().contains("dropped"), "{error}");
    assert_eq!(namespace.count("DNSChaos").await, 0);
}

#[tokio::test]
async fn what_hangs_on_its_finalizer_is_not_cleared() {
    let Some(cluster) = cluster() else { return };
    let (namespace, driver, injection) = with_delay(cluster, "stuck").await;
    let found = namespace.wait_for("NetworkChaos", |_| true).await;
    let name = found.metadata.name.unwrap();
    let held = ["chaos-mesh/records"];
    namespace
        .write("NetworkChaos", &name, &held, not_recovered())
        .await;
    let error = driver.clear(&injection).await.unwrap_err();
    assert!(matches!(error, FaultError::NotConfirmed(_)), "{error}");
    for part in ["chaos-mesh/records", "shop/orders-1", "no daemon"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // It was deleted and never forced, and is still in force.
    assert_eq!(
        driver
            .state(std::slice::from_ref(&injection))
            .await
            .unwrap()
            .len(),
        1
    );
    let (cleared, ()) = tokio::join!(driver.clear(&injection), namespace.recovers("NetworkChaos"));
    assert!(cleared.unwrap().was_in_force);
    assert_eq!(namespace.count("NetworkChaos").await, 0);
}

#[tokio::test]
async fn an_injection_that_was_killed_is_undone_from_the_journal() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("killed").await;
    let settings = json!({ "namespace": "killed" });
    let driver = cluster.driver(settings.clone());
    let injection = prepared(&driver, delay(), RUN).await;
    // Dropped when the object is there, and not yet confirmed.
    tokio::select! {
        _ = driver.inject(&injection) => panic!("nobody injects"),
        _ = namespace.wait_for("NetworkChaos", |_| true) => {}
    }
    drop(driver);
    namespace.injects("NetworkChaos").await;

    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("run.jsonl");
    let header = json!({ "run": {
        "run_id": RUN,
        "timeline": "/nowhere/timeline.jsonl",
        "settings": { "chaos-mesh": cluster.settings(settings) },
    }});
    let begin = json!({ "begin": { "entry": 0, "injection": injection } });
    std::fs::write(&journal, format!("{header}\n{begin}\n")).unwrap();
    let Found::Leftover(leftover) = journal::read(&journal).unwrap() else {
        panic!("the journal is left over");
    };
    let mut undoing = Undoing::new(leftover, &reqwest::Client::new());
    let (undone, ()) = tokio::join!(undoing.attempt(), namespace.recovers("NetworkChaos"));
    let undone = undone.unwrap();
    let cleared = undone[0].result.as_ref().unwrap();
    assert!(cleared.was_in_force && undoing.is_done());
    assert_eq!(namespace.count("NetworkChaos").await, 0);
}

#[tokio::test]
async fn a_fault_is_not_looked_for_in_another_cluster() {
    let Some(cluster) = cluster() else { return };
    let (_, _, mut injection) = with_delay(cluster, "elsewhere").await;
    injection.before["api_server"] = json!("https://elsewhere.invalid");
    let driver = cluster.driver(json!({ "namespace": "elsewhere" }));
    let error = driver.clear(&injection).await.unwrap_err();
    assert!(
        error.to_string().contains("https://elsewhere.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_says_nothing_about_changes() {
    let Some(cluster) = cluster() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let driver = cluster.driver(json!({ "kubeconfig": cluster.elsewhere(&url) }));
    let error = driver.version().await.unwrap_err();
    assert!(matches!(error, FaultError::Unanswered { .. }), "{error}");
    assert!(!error.changed_nothing());
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn faults_of_others_are_seen_as_far_as_they_are_in_force() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("strangers").await;
    let driver = cluster.driver(json!({ "namespace": "strangers" }));
    namespace.by_hand("NetworkChaos", "packets", "loss").await;
    namespace.by_hand("PodChaos", "pods", "pod-failure").await;
    assert!(driver.state(&[]).await.unwrap().is_empty());
    namespace
        .write("NetworkChaos", "packets", &[], injected())
        .await;
    let active = driver.state(&[]).await.unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].owner, "");
    assert_eq!(active[0].fault.fault, "network_loss");
    assert_eq!(active[0].fault.parameters["object"], "packets");
}

/// The Role and its binding of docs/faults.md, for a namespace.
fn documented_role(namespace: &str) -> Vec<Value> {
    let docs = include_str!("../../../../docs/faults.md");
    let start = docs
        .find("apiVersion: rbac.authorization.k8s.io/v1")
        .unwrap();
    let yaml = docs[start..].split("```").next().unwrap();
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let documents = documents.map(|document| Value::deserialize(document).unwrap());
    let mut documents: Vec<Value> = documents.collect();
    for document in &mut documents {
        document["metadata"]["namespace"] = json!(namespace);
        if document["kind"] == "RoleBinding" {
            document["subjects"][0]["namespace"] = json!(namespace);
        }
    }
    documents
}

/// A token of the service account `loadgen` in a namespace.
async fn token(namespace: &Namespace) -> String {
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": "loadgen", "namespace": namespace.name },
    });
    create(&namespace.client, account).await;
    let gvk = GroupVersionKind::gvk("", "v1", "ServiceAccount");
    let of = ApiResource::from_gvk(&gvk);
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.client.clone(), &namespace.name, &of);
    let asked = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {},
    });
    let made: Value = api
        .create_subresource("token", "loadgen", &PostParams::default(), &asked)
        .await
        .unwrap();
    made["status"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_documented_role_is_enough_and_nothing_without_it_is_allowed() {
    let Some(cluster) = cluster() else { return };
    let namespace = cluster.namespace("rights").await;
    let kubeconfig = cluster.kubeconfig("rights", &token(&namespace).await);
    let settings = json!({ "namespace": "rights", "kubeconfig": kubeconfig, "context": "rights" });
    let driver = cluster.driver(settings);
    driver.version().await.unwrap();
    let error = driver.prepare(&delay(), RUN).await.unwrap_err();
    let is_403 = matches!(error, FaultError::Refused { status: 403, .. });
    assert!(is_403 && error.changed_nothing(), "{error}");
    let what = r#"cannot list resource "networkchaos""#;
    assert!(error.to_string().contains(what), "{error}");
    assert!(error.to_string().contains("docs/faults.md"), "{error}");

    for object in documented_role("rights") {
        create(&namespace.client, object).await;
    }
    // The API server learns of it by a watch.
    let mut state = driver.state(&[]).await;
    for _ in 0..600 {
        if state.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        state = driver.state(&[]).await;
    }
    assert!(state.unwrap().is_empty());
    let injection = prepared(&driver, delay(), RUN).await;
    let (confirmed, ()) =
        tokio::join!(driver.inject(&injection), namespace.injects("NetworkChaos"));
    confirmed.unwrap();
    let (reset, ()) = tokio::join!(driver.reset(RUN), namespace.recovers("NetworkChaos"));
    reset.unwrap();
    assert_eq!(namespace.count("NetworkChaos").await, 0);

    let elsewhere =
        json!({ "namespace": "default", "kubeconfig": kubeconfig, "context": "rights" });
    let error = cluster.driver(elsewhere).reset(RUN).await.unwrap_err();
    assert!(
        error.to_string().contains(r#"in the namespace "default""#),
        "{error}"
    );
}

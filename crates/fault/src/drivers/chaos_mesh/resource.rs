//! The objects of Chaos Mesh that faults become, and the faults that objects are.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use loadgen_scenario::labels;
use loadgen_scenario::plan::Fault;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{FaultError, Injection};

/// Of the API.
pub(super) const GROUP_VERSION: &str = "chaos-mesh.org/v1alpha1";
const NETWORK: &str = "NetworkChaos";
const STRESS: &str = "StressChaos";
const HTTP: &str = "HTTPChaos";
const POD: &str = "PodChaos";
const IO: &str = "IOChaos";
const DNS: &str = "DNSChaos";
const TIME: &str = "TimeChaos";
/// The kinds of objects that faults are made of.
pub(super) const KINDS: [&str; 7] = [NETWORK, STRESS, HTTP, POD, IO, DNS, TIME];

/// Label of all that loadgen makes, with `loadgen`.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: the run.
pub(super) const RUN: &str = "loadgen.run-id";
/// Label: the same for the same fault of any run.
pub(super) const SAME: &str = "loadgen.fault-hash";
/// Annotations: what a person sees of the fault, and which service it is asked about.
const FAULT: &str = "loadgen.fault";
const SERVICE: &str = "loadgen.service";
const INTENSITY: &str = "loadgen.intensity";

/// Bytes that may wait where the rate is limited.
const LIMIT: u64 = 20_971_520;
/// Bytes that may pass at once where the rate is limited.
const BUFFER: u64 = 10_000;

/// A kind as the client wants it.
pub(super) fn api_resource(kind: &str) -> ApiResource {
    let (group, version) = GROUP_VERSION.split_once('/').unwrap_or_default();
    let gvk = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&gvk, &kind.to_lowercase())
}

/// The kind of object that a fault is.
pub(super) fn kind(fault: &Fault) -> Result<&'static str, FaultError> {
    own(&Told(fault)).map(|(kind, _)| kind)
}

/// The name of a fault's object, the same whenever it is asked for.
pub(super) fn name(injection: &Injection) -> String {
    let owner = injection.owner.chars().filter(char::is_ascii_alphanumeric);
    let owner: String = owner.take(8).collect();
    let owner = owner.to_ascii_lowercase();
    format!("loadgen-{owner}-{}", hash(&injection.fault))
}

/// Of what a fault is apart from its intensity.
pub(super) fn hash(fault: &Fault) -> String {
    let key = fault.key();
    let all = [key.fault, key.service, key.parameters].join("\n");
    let digest = Sha256::digest(all.as_bytes());
    digest.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// The object of a fault.
pub(super) fn object(
    injection: &Injection,
    namespace: &str,
    max_duration_ms: u64,
) -> Result<DynamicObject, FaultError> {
    let Injection { fault, owner, .. } = injection;
    let (kind, spec) = spec(fault, namespace, max_duration_ms)?;
    let mut object = DynamicObject::new(&name(injection), &api_resource(kind))
        .within(namespace)
        .data(json!({ "spec": spec }));
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    object.metadata.labels = Some(texts(&[
        (MANAGED_BY, "loadgen"),
        (RUN, owner),
        (SAME, &hash(fault)),
    ]));
    object.metadata.annotations = Some(texts(&[
        (FAULT, &fault.fault),
        (SERVICE, &fault.service),
        (INTENSITY, &fault.intensity.to_string()),
    ]));
    Ok(object)
}

/// A label of an object, or nothing.
pub(super) fn label<'o>(object: &'o DynamicObject, key: &str) -> &'o str {
    let label = object.metadata.labels.as_ref().and_then(|all| all.get(key));
    label.map_or("", String::as_str)
}

/// Kind and `spec` of a fault's object.
fn spec(
    fault: &Fault,
    namespace: &str,
    max_duration_ms: u64,
) -> Result<(&'static str, Value), FaultError> {
    let told = Told(fault);
    let (kind, mut spec) = own(&told)?;
    let selector = told.selector("labels", "namespace", namespace)?;
    // Without labels, Chaos Mesh takes all pods there are.
    let selector = selector.ok_or_else(|| told.impossible("the parameter `labels` is missing"))?;
    let happens_once = ["pod_kill", "container_kill"].contains(&fault.fault.as_str());
    let max_duration = (!happens_once).then(|| go_duration(max_duration_ms as f64));
    add(
        &mut spec,
        json!({
            "selector": selector,
            "mode": told.text("mode").unwrap_or("all"),
            "containerNames": told.list("containers"),
            "duration": max_duration,
        }),
    );
    if kind == NETWORK {
        let peer = told.selector("peer_labels", "peer_namespace", namespace)?;
        add(
            &mut spec,
            json!({
                "direction": told.text("direction"),
                "target": peer.map(|selector| json!({ "selector": selector, "mode": "all" })),
                "externalTargets": told.list("peer_addresses"),
            }),
        );
    }
    Ok((kind, without_nulls(spec)))
}

/// Kind, and that part of the `spec` which is the fault's own. What is not given is null.
fn own(told: &Told<'_>) -> Result<(&'static str, Value), FaultError> {
    Ok(match told.0.fault.as_str() {
        "network_delay" => (
            NETWORK,
            json!({ "action": "delay", "delay": {
                "latency": told.scaled("latency_ms").map(go_duration),
                "jitter": told.scaled("jitter_ms").map(go_duration),
                "correlation": told.number("correlation").map(|n| n.to_string()),
            }}),
        ),
        "network_loss" => (NETWORK, share_of_packets("loss", told)),
        "network_corrupt" => (NETWORK, share_of_packets("corrupt", told)),
        "network_duplicate" => (NETWORK, share_of_packets("duplicate", told)),
        "network_partition" => (NETWORK, json!({ "action": "partition" })),
        "network_bandwidth" => (
            NETWORK,
            json!({ "action": "bandwidth", "bandwidth": {
                "rate": told.number("rate").map(|n| format!("{}kbps", whole(n / told.0.intensity))),
                "limit": told.count("limit").unwrap_or(LIMIT),
                "buffer": told.count("buffer").unwrap_or(BUFFER),
            }}),
        ),
        "stress_cpu" => (
            STRESS,
            json!({ "stressors": { "cpu": {
                "workers": told.count("workers"),
                "load": whole(told.number("load_percent").unwrap_or(100.0) * told.0.intensity),
            }}}),
        ),
        "stress_memory" => (
            STRESS,
            json!({ "stressors": { "memory": {
                "workers": told.count("workers").unwrap_or(1),
                "size": told.scaled("bytes").map(|bytes| format!("{}B", whole(bytes))),
            }}}),
        ),
        "http_abort" => (HTTP, http(told, "Request", json!({ "abort": true }))),
        "http_delay" => {
            let delay = told.scaled("delay_ms").map(go_duration);
            (HTTP, http(told, "Request", json!({ "delay": delay })))
        }
        "http_replace" => (HTTP, http(told, "Response", replacement(told)?)),
        "pod_failure" => (POD, json!({ "action": "pod-failure" })),
        "pod_kill" => {
            let seconds = told.count("grace_period_ms").unwrap_or(0) / 1000;
            (POD, json!({ "action": "pod-kill", "gracePeriod": seconds }))
        }
        "container_kill" => (POD, json!({ "action": "container-kill" })),
        "io_delay" => {
            let delay = told.scaled("delay_ms").map(go_duration);
            let percent = told.number("percent").unwrap_or(100.0);
            let action = json!({ "action": "latency", "delay": delay });
            (IO, io(told, percent, action))
        }
        "io_errno" => {
            let errno = told.count("errno");
            let percent = told.number("percent").unwrap_or(100.0) * told.0.intensity;
            let action = json!({ "action": "fault", "errno": errno });
            (IO, io(told, percent, action))
        }
        "dns_error" | "dns_random" => {
            let action = told.0.fault.trim_start_matches("dns_");
            let patterns = told.list("patterns");
            (DNS, json!({ "action": action, "patterns": patterns }))
        }
        "time_skew" => {
            let is_backward = told.0.parameters.get("backward") == Some(&Value::Bool(true));
            let sign = if is_backward { "-" } else { "" };
            let offset = told.scaled("offset_ms").map(go_duration);
            (
                TIME,
                json!({
                    "timeOffset": offset.map(|offset| format!("{sign}{offset}")),
                    "clockIds": told.list("clocks"),
                }),
            )
        }
        _ => return Err(told.impossible("Chaos Mesh has no such fault here")),
    })
}

fn share_of_packets(action: &str, told: &Told<'_>) -> Value {
    json!({ "action": action, action: {
        action: told.scaled("percent").map(|n| n.to_string()),
        "correlation": told.number("correlation").map(|n| n.to_string()),
    }})
}

fn http(told: &Told<'_>, target: &str, mut action: Value) -> Value {
    add(
        &mut action,
        json!({
            "target": told.text("target").unwrap_or(target),
            "port": told.count("port"),
            "path": told.text("path"),
            "method": told.text("method"),
            "code": told.count("code"),
        }),
    );
    action
}

fn replacement(told: &Told<'_>) -> Result<Value, FaultError> {
    let code = told.count("replace_code");
    let body = told.text("replace_body");
    if code.is_none() && body.is_none() {
        return Err(told.impossible("give `replace_code`, `replace_body` or both"));
    }
    let body = body.map(|body| BASE64_STANDARD.encode(body));
    Ok(json!({ "replace": { "code": code, "body": body } }))
}

fn io(told: &Told<'_>, percent: f64, mut action: Value) -> Value {
    add(
        &mut action,
        json!({
            "volumePath": told.text("volume_path"),
            "path": told.text("path"),
            "methods": told.list("methods"),
            "percent": whole(percent),
        }),
    );
    action
}

/// What a fault is told.
struct Told<'f>(&'f Fault);

impl Told<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.parameters.get(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.parameters.get(name)?.as_f64()
    }

    fn count(&self, name: &str) -> Option<u64> {
        self.0.parameters.get(name)?.as_u64()
    }

    /// A number times the intensity.
    fn scaled(&self, name: &str) -> Option<f64> {
        Some(self.number(name)? * self.0.intensity)
    }

    fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.text(name)?.split(',').map(str::trim).collect())
    }

    /// What selects the pods that have these labels.
    fn selector(
        &self,
        of: &str,
        in_namespace: &str,
        namespace: &str,
    ) -> Result<Option<Value>, FaultError> {
        let Some(text) = self.text(of) else {
            return Ok(None);
        };
        let labels =
            labels(text).ok_or_else(|| self.impossible(&format!("`{text}` are no labels")))?;
        let labels: BTreeMap<&str, &str> = labels.into_iter().collect();
        let namespace = self.text(in_namespace).unwrap_or(namespace);
        Ok(Some(
            json!({ "namespaces": [namespace], "labelSelectors": labels }),
        ))
    }

    fn impossible(&self, reason: &str) -> FaultError {
        FaultError::Impossible(format!("{}: {reason}", self.0.fault))
    }
}

/// A number of something of which there can't be less than one.
fn whole(number: f64) -> u64 {
    number.round().max(1.0) as u64
}

/// A time as Go reads it.
fn go_duration(ms: f64) -> String {
    match ms % 1000.0 == 0.0 {
        true => format!("{}s", ms / 1000.0),
        false => format!("{ms}ms"),
    }
}

fn add(object: &mut Value, more: Value) {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
}

fn without_nulls(value: Value) -> Value {
    let Value::Object(fields) = value else {
        return value;
    };
    let given = fields.into_iter().filter(|(_, value)| !value.is_null());
    let given: Map<String, Value> = given
        .map(|(name, value)| (name, without_nulls(value)))
        .collect();
    Value::Object(given)
}

/// Whether an object's `spec` has all that was asked for. It may have more, which Chaos Mesh has
/// added.
pub(super) fn is_as_asked(found: &DynamicObject, asked: &DynamicObject) -> bool {
    has_all(&found.data["spec"], &asked.data["spec"])
}

fn has_all(found: &Value, asked: &Value) -> bool {
    match (found, asked) {
        (Value::Object(found), Value::Object(asked)) => asked
            .iter()
            .all(|(name, asked)| found.get(name).is_some_and(|found| has_all(found, asked))),
        (found, asked) => found == asked,
    }
}

/// What somebody else's object is called: as this driver calls it, where it could make it.
pub(super) fn fault_of(kind: &str, object: &DynamicObject) -> String {
    let spec = &object.data["spec"];
    let action = spec["action"].as_str().unwrap_or_default();
    let first_of = |names: &[&'static str]| {
        let mut given = names.iter().filter(|name| !spec[**name].is_null());
        given.next().copied().unwrap_or_default()
    };
    match (kind, action) {
        (STRESS, _) if spec["stressors"]["cpu"].is_null() => "stress_memory".to_owned(),
        (STRESS, _) => "stress_cpu".to_owned(),
        (HTTP, _) => format!("http_{}", first_of(&["abort", "delay", "replace", "patch"])),
        (IO, "latency") => "io_delay".to_owned(),
        (IO, "fault") => "io_errno".to_owned(),
        (TIME, _) => "time_skew".to_owned(),
        (POD, action) => action.replace('-', "_"),
        (kind, action) => format!("{}_{action}", kind.trim_end_matches("Chaos").to_lowercase()),
    }
}

/// The service that an object is about: what its maker says, else its own name.
pub(super) fn service_of(object: &DynamicObject) -> String {
    let annotations = object.metadata.annotations.as_ref();
    let said = annotations.and_then(|all| all.get(SERVICE)).cloned();
    said.or_else(|| object.metadata.name.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{NAME, catalogue};
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

    fn spec_of(name: &str, intensity: f64, parameters: Value) -> Value {
        let mut parameters = parameters;
        parameters["labels"] = json!("app=orders");
        let fault = fault(name, intensity, parameters);
        spec(&fault, "shop", 3_600_000).unwrap().1
    }

    #[test]
    fn a_fault_of_the_network_names_pods_and_peers() {
        let told = json!({
            "labels": "app=orders, tier=web",
            "mode": "one",
            "latency_ms": 400,
            "direction": "both",
            "peer_labels": "app=db",
            "peer_namespace": "data",
            "peer_addresses": "10.0.0.1, example.org",
        });
        let fault = fault("network_delay", 0.5, told);
        let (kind, spec) = spec(&fault, "shop", 90_500).unwrap();
        assert_eq!(kind, NETWORK);
        let expected = json!({
            "action": "delay",
            "delay": {"latency": "200ms"},
            "selector": {
                "namespaces": ["shop"],
                "labelSelectors": {"app": "orders", "tier": "web"},
            },
            "mode": "one",
            "duration": "90500ms",
            "direction": "both",
            "target": {
                "selector": {"namespaces": ["data"], "labelSelectors": {"app": "db"}},
                "mode": "all",
            },
            "externalTargets": ["10.0.0.1", "example.org"],
        });
        assert_eq!(spec, expected);
    }

    #[test]
    fn intensity_weakens() {
        let rate = spec_of("network_bandwidth", 0.5, json!({"rate": 100}));
        assert_eq!(rate["bandwidth"]["rate"], "200kbps");
        let loss = spec_of("network_loss", 0.25, json!({"percent": 10}));
        assert_eq!(loss["loss"], json!({"loss": "2.5"}));
        let cpu = spec_of("stress_cpu", 0.5, json!({"workers": 2}));
        assert_eq!(cpu["stressors"]["cpu"], json!({"workers": 2, "load": 50}));
        let errno = spec_of("io_errno", 0.001, json!({"errno": 5, "volume_path": "/x"}));
        assert_eq!(errno["percent"], 1);
        let skew = spec_of(
            "time_skew",
            0.5,
            json!({"offset_ms": 600_000, "backward": true}),
        );
        assert_eq!(skew["timeOffset"], "-300s");
    }

    #[test]
    fn what_happens_once_has_no_duration() {
        let spec = spec_of("pod_kill", 1.0, json!({}));
        assert!(spec.get("duration").is_none());
        assert_eq!(spec_of("pod_failure", 1.0, json!({}))["duration"], "3600s");
    }

    #[test]
    fn a_body_is_given_as_base64() {
        let told = json!({"port": 80, "replace_body": "no"});
        let spec = spec_of("http_replace", 1.0, told);
        assert_eq!(spec["replace"], json!({"body": "bm8="}));
        assert_eq!(spec["target"], "Response");
    }

    #[test]
    fn no_labels_is_not_all_pods() {
        for parameters in [json!({}), json!({"labels": "orders"})] {
            let fault = fault("pod_kill", 1.0, parameters);
            assert!(spec(&fault, "shop", 1).is_err());
        }
    }

    #[test]
    fn an_object_is_called_as_the_fault_that_made_it() {
        for known in catalogue().faults {
            let told = json!({"labels": "a=b", "delay_ms": 1, "replace_code": 500});
            let injection = Injection {
                fault: fault(&known.name, 1.0, told),
                owner: "ab".repeat(16),
                before: Value::Null,
            };
            let object = object(&injection, "shop", 1000).unwrap();
            let kind = kind(&injection.fault).unwrap();
            assert!(KINDS.contains(&kind));
            assert_eq!(fault_of(kind, &object), known.name);
            assert_eq!(service_of(&object), "orders");
            let name = object.metadata.name.unwrap();
            assert!(name.starts_with("loadgen-abababab-"), "{name}");
            assert_eq!(name.len(), "loadgen-".len() + 8 + 1 + 8);
        }
    }

    #[test]
    fn more_than_was_asked_for_is_as_asked() {
        let asked = json!({"mode": "all", "delay": {"latency": "1s"}});
        let found = json!({"mode": "all", "delay": {"latency": "1s", "jitter": "0ms"}, "x": 1});
        assert!(has_all(&found, &asked));
        assert!(!has_all(&asked, &found));
    }
}

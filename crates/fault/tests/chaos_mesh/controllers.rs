//! A stand-in for the controllers of Chaos Mesh: what they write into an object, and when. No pod
//! has any fault.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::Error;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// They hold an object by it until its targets are recovered.
const HELD: [&str; 1] = ["chaos-mesh/records"];

/// The next thing that they write about an object: its finalizers and its status. Nothing: they
/// wait until something becomes of it.
fn next(object: &DynamicObject) -> Option<(&'static [&'static str], Value)> {
    let is_deleted = object.metadata.deletion_timestamp.is_some();
    let is_wanted = !is_deleted && !is_over(object);
    let record = &object.data["status"]["experiment"]["containerRecords"][0];
    match record["phase"].as_str() {
        None if !is_deleted => Some((&HELD, seen())),
        Some("Not Injected") if is_wanted => Some((&HELD, injected())),
        Some("Injected") if !is_wanted => Some((&HELD, recovered())),
        Some("Not Injected") if is_deleted => Some((&[], recovered())),
        _ => None,
    }
}

/// Whether the `duration` of an object has passed.
fn is_over(object: &DynamicObject) -> bool {
    let (Some(made), Some(duration)) = (
        &object.metadata.creation_timestamp,
        object.data["spec"]["duration"].as_str(),
    ) else {
        return false;
    };
    let made = UNIX_EPOCH + Duration::from_secs(made.0.as_second().unsigned_abs());
    SystemTime::now() > made + go_duration(duration)
}

/// As much of Go's durations as the driver writes.
fn go_duration(text: &str) -> Duration {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.trim_end_matches('s'), 1.0),
    };
    Duration::from_secs_f64(number.parse::<f64>().unwrap() * unit)
}

/// Does what they would do next about an object.
pub(crate) async fn act(api: &Api<DynamicObject>, object: &DynamicObject) {
    if let Some((finalizers, status)) = next(object) {
        let name = object.metadata.name.as_deref().unwrap();
        write(api, name, finalizers, status).await;
    }
}

/// Writes what the controllers write, on the object itself as they do.
pub(crate) async fn write(
    api: &Api<DynamicObject>,
    name: &str,
    finalizers: &[&str],
    status: Value,
) {
    let change = json!({ "metadata": { "finalizers": finalizers }, "status": status });
    let params = PatchParams::default();
    match api.patch(name, &params, &Patch::Merge(&change)).await {
        Ok(_) => {}
        // The last finalizer's end is the object's.
        Err(Error::Api(status)) if status.code == 404 => {}
        Err(error) => panic!("{error}"),
    }
}

/// The conditions, each `True` or `False`.
pub(crate) fn conditions(selected: &str, injected: &str, recovered: &str) -> Value {
    json!([
        { "type": "Selected", "status": selected },
        { "type": "AllInjected", "status": injected },
        { "type": "AllRecovered", "status": recovered },
        { "type": "Paused", "status": "False" },
    ])
}

/// One pod is selected.
pub(crate) fn status(conditions: Value, desired: &str, phase: &str, events: Value) -> Value {
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

/// A pod is selected. That all is recovered is true then, too.
fn seen() -> Value {
    status(
        conditions("True", "False", "True"),
        "Run",
        "Not Injected",
        json!([]),
    )
}

pub(crate) fn applied() -> Value {
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

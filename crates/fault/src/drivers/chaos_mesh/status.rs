//! What Chaos Mesh writes into an object about its fault.
//!
//! It says what Chaos Mesh has done, not what came of it. `AllRecovered` is true before a fault is
//! injected, too; and where no pod is selected, all conditions stay false for ever.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};

/// An object's `status`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    conditions: Vec<Condition>,
    experiment: Experiment,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    name: String,
    status: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Experiment {
    desired_phase: String,
    container_records: Vec<Record>,
}

/// A pod or container that was selected.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Record {
    id: String,
    /// `Not Injected` or `Injected`, with more behind it on the way from there to the other.
    phase: String,
    events: Vec<Event>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "type")]
    result: String,
    operation: String,
    message: String,
    /// In whole seconds.
    timestamp: Option<String>,
}

impl Status {
    /// Of an object; all empty where Chaos Mesh has not seen it.
    pub(super) fn of(object: &DynamicObject) -> Result<Self, serde_json::Error> {
        match object.data.get("status") {
            Some(status) => Self::deserialize(status),
            None => Ok(Self::default()),
        }
    }

    fn is(&self, condition: &str) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|c| c.name == condition && c.status == "True")
    }

    /// Whether all that was selected has the fault, by what Chaos Mesh says.
    pub(super) fn is_injected(&self) -> bool {
        self.is("Selected") && self.is("AllInjected") && self.experiment.desired_phase == "Run"
    }

    /// Whether anything that was selected has the fault.
    pub(super) fn is_in_force(&self) -> bool {
        let mut records = self.experiment.container_records.iter();
        records.any(|record| record.phase.starts_with("Injected"))
    }

    /// Whether the fault was taken away from all that was selected.
    pub(super) fn is_recovered(&self) -> bool {
        self.experiment.desired_phase == "Stop" && self.is("AllRecovered")
    }

    /// Whether Chaos Mesh has found nothing, or has not looked.
    pub(super) fn has_no_target(&self) -> bool {
        self.experiment.container_records.is_empty()
    }

    /// Whether Chaos Mesh has taken notice of the object.
    pub(super) fn is_seen(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// For the timeline.
    pub(super) fn read_back(&self) -> Value {
        let conditions = self.conditions.iter();
        let conditions: BTreeMap<&str, &str> = conditions
            .map(|c| (c.name.as_str(), c.status.as_str()))
            .collect();
        let records = self.experiment.container_records.iter();
        let records: Vec<Value> = records
            .map(|record| {
                let is_done = |e: &&Event| e.operation == "Apply" && e.result == "Succeeded";
                let applied = record.events.iter().rev().find(is_done);
                json!({
                    "id": record.id,
                    "phase": record.phase,
                    "applied_at": applied.and_then(|event| event.timestamp.as_deref()),
                })
            })
            .collect();
        json!({
            "conditions": conditions,
            "desired_phase": self.experiment.desired_phase,
            "records": records,
        })
    }

    /// The targets that are not in a phase, each with what went wrong there last, for people.
    pub(super) fn targets_not(&self, phase: &str) -> String {
        let records = self.experiment.container_records.iter();
        let others = records.filter(|record| record.phase != phase);
        let texts: Vec<String> = others
            .map(|record| {
                let failed = record.events.iter().rev().find(|e| e.result == "Failed");
                let why = failed.map(|event| format!(": {}", event.message));
                format!(
                    "{} ({}{})",
                    record.id,
                    record.phase,
                    why.unwrap_or_default()
                )
            })
            .collect();
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(desired: &str, conditions: &[(&str, &str)], phases: &[&str]) -> Status {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(name, status)| json!({"type": name, "status": status}))
            .collect();
        let records: Vec<Value> = phases
            .iter()
            .map(|phase| json!({"id": "shop/orders-1", "phase": phase, "injectedCount": 1}))
            .collect();
        let status = json!({
            "conditions": conditions,
            "experiment": {"desiredPhase": desired, "containerRecords": records},
        });
        Status::deserialize(&status).unwrap()
    }

    #[test]
    fn recovered_is_not_what_is_not_yet_injected() {
        let before = status("Run", &[("AllRecovered", "True")], &["Not Injected"]);
        assert!(!before.is_recovered());
        assert!(!before.is_in_force());
        let after = status("Stop", &[("AllRecovered", "True")], &["Not Injected"]);
        assert!(after.is_recovered());
    }

    #[test]
    fn a_fault_that_is_half_taken_away_is_in_force() {
        for phase in ["Injected", "Injected/Wait"] {
            assert!(status("Stop", &[], &["Not Injected", phase]).is_in_force());
        }
        assert!(!status("Run", &[], &["Not Injected/Wait"]).is_in_force());
    }

    #[test]
    fn a_condition_that_is_late_confirms_nothing() {
        let conditions = [("Selected", "True"), ("AllInjected", "True")];
        assert!(status("Run", &conditions, &["Injected"]).is_injected());
        assert!(!status("Stop", &conditions, &["Injected"]).is_injected());
    }

    #[test]
    fn an_object_that_nobody_has_seen_has_no_status() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": {},
        }))
        .unwrap();
        let status = Status::of(&object).unwrap();
        assert!(!status.is_seen() && status.has_no_target() && !status.is_in_force());
    }

    #[test]
    fn the_last_failure_of_a_target_is_told() {
        let status = Status::deserialize(&json!({
            "experiment": {"containerRecords": [
                {"id": "a", "phase": "Injected", "events": [
                    {"type": "Failed", "operation": "Recover", "message": "no daemon"},
                ]},
                {"id": "b", "phase": "Not Injected"},
            ]},
        }))
        .unwrap();
        assert_eq!(
            status.targets_not("Not Injected"),
            "a (Injected: no daemon)"
        );
    }
}

//! The anomaly registry, and which entry a scenario has.

use indexmap::IndexMap;

use super::check_name;
use crate::diagnostic::Finding;
use crate::file::{AnomalySpec, ScenarioSpec};
use crate::plan::Anomaly;
use crate::yaml::Node;

/// Key of the entry that is there without being written, and the type that means no anomaly.
pub(super) const NONE: &str = "none";
const NORMAL: &str = "normal";

pub(super) fn resolve(
    specs: &IndexMap<String, AnomalySpec>,
    node: &Node,
    findings: &mut Vec<Finding>,
) -> IndexMap<String, Anomaly> {
    let mut registry: IndexMap<String, Anomaly> = specs
        .iter()
        .map(|(key, spec)| {
            let at = node.child(key);
            let kind = spec.kind.clone().unwrap_or_else(|| key.clone());
            let span = if spec.kind.is_some() {
                at.value("type")
            } else {
                node.key(key)
            };
            check_name(&kind, "anomaly type", span, findings);
            if (kind == NONE) != (spec.label == NORMAL) {
                findings.push(
                    Finding::at(
                        at.value("label"),
                        format!(
                            "the type `{kind}` and the label `{}` contradict each other",
                            spec.label
                        ),
                    )
                    .help("the type `none` goes with the label `normal`, and only with it"),
                );
            }
            let anomaly = Anomaly {
                kind,
                label: spec.label.clone(),
                symptom: None,
                root_cause: spec.root_cause.clone(),
                msg: spec.msg.clone(),
                root_cause_service: spec.root_cause_service.clone(),
            };
            (key.clone(), anomaly)
        })
        .collect();
    registry.entry(NONE.to_owned()).or_insert_with(|| Anomaly {
        kind: NONE.to_owned(),
        label: NORMAL.to_owned(),
        symptom: None,
        root_cause: NONE.to_owned(),
        msg: String::new(),
        root_cause_service: None,
    });
    registry
}

/// The anomaly of a scenario; none where it names one that is not there.
pub(super) fn of_scenario(
    registry: &IndexMap<String, Anomaly>,
    spec: &ScenarioSpec,
    at: &Node,
    findings: &mut Vec<Finding>,
) -> Option<Anomaly> {
    let name = spec.anomaly.as_deref().unwrap_or(NONE);
    let found = registry.get(name).cloned();
    if found.is_none() {
        findings.push(
            Finding::at(at.value("anomaly"), format!("unknown anomaly `{name}`"))
                .suggest(name, registry.keys().map(String::as_str)),
        );
    }
    found
}

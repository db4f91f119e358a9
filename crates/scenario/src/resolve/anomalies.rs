//! The anomaly registry, and which entry a scenario has.

use indexmap::IndexMap;

use super::check_name;
use crate::diagnostic::Finding;
use crate::file::{AnomalySpec, ScenarioSpec};
use crate::plan::{Anomaly, NONE};
use crate::yaml::Node;

const NORMAL: &str = "normal";
const ANOMALOUS: &str = "anomalous";

/// Types that mean something else in a dataset, and what.
const RESERVED_TYPES: [(&str, &str); 3] = [
    (NORMAL, "data without an anomaly, whose type is `none`"),
    ("unknown", "data that no window can be told for"),
    ("loadgen_doctor", "the requests of `loadgen doctor`"),
];

pub(super) fn resolve(
    specs: &IndexMap<String, AnomalySpec>,
    node: &Node,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<Finding>,
) -> IndexMap<String, Anomaly> {
    let mut registry: IndexMap<String, Anomaly> = specs
        .iter()
        .map(|(key, spec)| {
            let at = node.child(key);
            let kind = kind(key, spec, node, findings);
            let (label, symptom) = label_and_symptom(&kind, spec, at, findings, notes);
            let anomaly = Anomaly {
                kind,
                label: label.to_owned(),
                symptom,
                root_cause: spec.root_cause.clone(),
                msg: spec.msg.clone(),
                root_cause_service: spec.root_cause_service.clone(),
            };
            (key.clone(), anomaly)
        })
        .collect();
    // Its key is the type that means no anomaly.
    registry.entry(NONE.to_owned()).or_insert_with(none);
    registry
}

/// The entry that is there without being written.
fn none() -> Anomaly {
    Anomaly {
        kind: NONE.to_owned(),
        label: NORMAL.to_owned(),
        symptom: None,
        root_cause: NONE.to_owned(),
        msg: String::new(),
        root_cause_service: None,
    }
}

/// An entry's type. Types of windows that overlap are joined by `+` in a dataset, which the rule for
/// names keeps out of each.
fn kind(key: &str, spec: &AnomalySpec, node: &Node, findings: &mut Vec<Finding>) -> String {
    let kind = spec.kind.clone().unwrap_or_else(|| key.to_owned());
    let span = match spec.kind {
        Some(_) => node.child(key).value("type"),
        None => node.key(key),
    };
    check_name(&kind, "an anomaly type", span, findings);
    if let Some((_, meaning)) = RESERVED_TYPES.iter().find(|(name, _)| *name == kind) {
        findings.push(
            Finding::at(span, format!("`{kind}` cannot be an anomaly type")).help(format!(
                "it is what datasets call {meaning}: choose another name"
            )),
        );
    }
    if key == NONE && kind != NONE {
        findings.push(
            Finding::at(span, format!("the entry `none` is of the type `{kind}`")).help(
                "scenarios without `anomaly:` are labelled with this entry: give it the type \
                 `none`, and the anomaly an entry of its own",
            ),
        );
    }
    kind
}

/// The label follows from the type. Files of older versions have a name for the symptom there.
fn label_and_symptom(
    kind: &str,
    spec: &AnomalySpec,
    at: &Node,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<Finding>,
) -> (&'static str, Option<String>) {
    let own = if kind == NONE { NORMAL } else { ANOMALOUS };
    let written = |text: Option<&str>| {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let mut symptom = written(spec.symptom.as_ref().map(|text| text.0.as_str()));
    if kind == NONE && symptom.is_some() {
        findings.push(
            Finding::at(at.key("symptom"), "the type `none` has no symptom")
                .help("leave `symptom` out: nothing is wrong in a normal window"),
        );
    }
    let label = spec.label.as_ref().map(|text| text.0.as_str());
    let Some(label) = label.filter(|label| *label != own) else {
        return (own, symptom);
    };
    let span = at.value("label");
    if kind == NONE || label == NORMAL {
        findings.push(
            Finding::at(
                span,
                format!("the type `{kind}` and the label `{label}` contradict each other"),
            )
            .help("the type `none` goes with the label `normal`, and only with it"),
        );
    } else if symptom.is_some() {
        findings.push(
            Finding::at(
                span,
                format!("the label `{label}` is neither `normal` nor `anomalous`"),
            )
            .help("leave `label` out: it follows from the type"),
        );
    } else {
        symptom = written(Some(label));
        notes.push(
            Finding::at(
                span,
                format!("`{label}` is taken for the symptom; the label is `{own}`"),
            )
            .help(format!(
                "write `symptom: {label}` instead of `label: {label}`"
            )),
        );
    }
    (own, symptom)
}

/// The anomaly that a scenario names; none where it names one that is not there.
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

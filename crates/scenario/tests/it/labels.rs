//! What windows are labelled with: labels and symptoms, shams, warm-ups, and the notes on a plan.

use crate::catalogue;
use loadgen_scenario::{Loaded, Plan, PlanOptions, ScenarioErrors, load_str};

/// A file with these anomalies, and options of one scenario beside its executor.
fn load(anomalies: &str, options: &str) -> Result<Loaded, ScenarioErrors> {
    let text = format!(
        "version: 1\n{anomalies}flows: {{default: {{steps: [{{path: /}}]}}}}\nscenarios:\n  \
         calm: {{executor: constant-vus, duration: 10s}}\n  one:\n    executor: constant-vus\n    \
         duration: 10s\n{options}"
    );
    let plan_options = PlanOptions {
        catalogues: vec![catalogue::shop()],
        ..PlanOptions::default()
    };
    load_str("t.yaml", &text, &plan_options)
}

fn loaded(anomalies: &str, options: &str) -> Loaded {
    load(anomalies, options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn plan(anomalies: &str, options: &str) -> Plan {
    let loaded = loaded(anomalies, options);
    assert!(loaded.notes.is_empty(), "{}", loaded.notes);
    loaded.plan
}

const SLOW: &str =
    "anomalies: {slow: {root_cause: db, symptom: high_latency, root_cause_service: user}}\n";

#[test]
fn the_label_follows_from_the_type() {
    for label in ["", "label: anomalous, "] {
        let anomalies = format!("anomalies: {{slow: {{{label}root_cause: db}}}}\n");
        let plan = plan(&anomalies, "    anomaly: slow\n");
        let anomaly = &plan.scenarios[1].anomaly;
        assert_eq!(
            (anomaly.kind.as_str(), anomaly.label.as_str()),
            ("slow", "anomalous")
        );
        assert_eq!(anomaly.symptom, None);
    }
    let calm = plan(
        "anomalies: {none: {root_cause: none}, calm: {type: none, label: normal, root_cause: none}}\n",
        "    anomaly: calm\n",
    );
    for scenario in &calm.scenarios {
        assert_eq!(scenario.anomaly.label, "normal");
    }
    let symptom = plan(SLOW, "    anomaly: slow\n");
    assert_eq!(
        symptom.scenarios[1].anomaly.symptom.as_deref(),
        Some("high_latency")
    );
}

#[test]
fn a_symptom_in_the_label_of_an_older_file_is_moved_over_with_a_note() {
    let loaded = loaded(
        "anomalies:\n  slow:\n    label: high_latency\n    root_cause: db\n",
        "    anomaly: slow\n",
    );
    let anomaly = &loaded.plan.scenarios[1].anomaly;
    assert_eq!(anomaly.label, "anomalous");
    assert_eq!(anomaly.symptom.as_deref(), Some("high_latency"));
    insta::assert_snapshot!(loaded.notes, @r"
    note: `high_latency` is taken for the symptom; the label is `anomalous`
     --> t.yaml:4:12
      |
    4 |     label: high_latency
      |            ^^^^^^^^^^^^
      = help: write `symptom: high_latency` instead of `label: high_latency`
    ");
}

#[test]
fn a_sham_is_labelled_as_nothing_and_declares_its_anomaly() {
    let options = "    anomaly: slow
    fault: {fault: hang, service: user, intensity: 0.5, sham: true}
";
    let anomalies = "anomalies:
  none: {root_cause: none, msg: All is well}
  slow: {root_cause: db, symptom: high_latency, root_cause_service: user}
";
    let plan = plan(anomalies, options);
    let sham = &plan.scenarios[1];
    // The registry's own entry, as windows without an anomaly have it.
    assert_eq!(sham.anomaly, plan.scenarios[0].anomaly);
    assert_eq!(sham.anomaly.msg, "All is well");
    let declared = sham.declared.as_ref().unwrap();
    assert_eq!(
        (declared.kind.as_str(), declared.label.as_str()),
        ("slow", "anomalous")
    );
    let fault = sham.fault.as_ref().unwrap();
    assert!(fault.sham);
    assert_eq!((fault.fault.as_str(), fault.intensity), ("hang", 0.5));
    // What is not a sham declares nothing beside its label.
    let real = self::plan(anomalies, &options.replace("sham: true", "sham: false"));
    let real = &real.scenarios[1];
    assert_eq!(
        (real.anomaly.kind.as_str(), &real.declared),
        ("slow", &None)
    );
    assert!(!real.fault.as_ref().unwrap().sham);
}

#[test]
fn a_harmless_change_is_labelled_as_nothing_and_declares_its_anomaly() {
    let options = |fault: &str| format!("    anomaly: slow\n    fault: {{{fault}}}\n");
    let anomalies = "anomalies:\n  slow: {root_cause: db}\n";
    // Of a fault that its driver knows the driver says it, of another the file.
    for (fault, harmless) in [
        ("fault: deployment, service: user", true),
        ("fault: hang, service: user", false),
    ] {
        let plan = loaded(anomalies, &options(fault)).plan;
        let window = &plan.scenarios[1];
        let of = window.fault.as_ref().unwrap();
        assert_eq!((of.harmless, of.breaks()), (harmless, !harmless));
        assert_eq!(window.anomaly.is_none(), harmless);
        let declared = window.declared.as_ref();
        assert_eq!(
            declared.map(|d| d.kind.as_str()),
            harmless.then_some("slow")
        );
    }
    let by_hand = "
version: 1
anomalies: {slow: {root_cause: db}}
flows: {default: {steps: [{path: /}]}}
scenarios:
  one: {executor: constant-vus, duration: 20s, anomaly: slow,
        fault: {driver: exec, fault: rollout, service: a, harmless: true}}
";
    let loaded = load_str("t.yaml", by_hand, &PlanOptions::default());
    let window = &loaded
        .unwrap_or_else(|errors| panic!("{errors}"))
        .plan
        .scenarios[0];
    assert!(window.fault.as_ref().unwrap().harmless && window.anomaly.is_none());
}

#[test]
fn a_fault_may_be_for_some_clients_and_then_all_requests_say_their_cell() {
    let options = |clients: &str| {
        format!("    anomaly: slow\n    fault: {{fault: hang, service: user{clients}}}\n")
    };
    let anomalies = "anomalies:\n  slow: {root_cause: db}\n";
    let all = plan(anomalies, &options(""));
    assert!(!all.client_cells);
    assert_eq!(all.scenarios[1].fault.as_ref().unwrap().clients, None);
    let some = plan(anomalies, &options(", clients: 30%"));
    assert!(some.client_cells);
    let clients = some.scenarios[1].fault.as_ref().unwrap().clients.unwrap();
    assert_eq!(clients.count, 30);
    assert!(clients.from < 100);
    // What is sent does not depend on which windows are selected.
    let selected = PlanOptions {
        scenarios: vec!["calm".to_owned()],
        ..PlanOptions::default()
    };
    let text = format!(
        "version: 1\n{anomalies}flows: {{default: {{steps: [{{path: /}}]}}}}\nscenarios:\n  \
         calm: {{executor: constant-vus, duration: 10s}}\n  one:\n    executor: constant-vus\n    \
         duration: 10s\n{}",
        options(", clients: 30%")
    );
    let calm = load_str("t.yaml", &text, &selected);
    let calm = calm.unwrap_or_else(|errors| panic!("{errors}")).plan;
    assert_eq!(calm.scenarios.len(), 1);
    assert!(calm.client_cells);
}

#[test]
fn a_sham_may_overlap_the_fault_that_it_goes_without() {
    let text = "
version: 1
overlap: allow
anomalies: {slow: {root_cause: db}}
flows: {default: {steps: [{path: /}]}}
scenarios:
  real: {executor: constant-vus, duration: 20s, anomaly: slow, fault: {fault: hang, service: user}}
  sham: {executor: constant-vus, duration: 20s, start_time: 10s, anomaly: slow,
         fault: {fault: hang, service: user, intensity: 0.5, sham: true}}
";
    load_str("t.yaml", text, &PlanOptions::default()).unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn a_warm_up_is_a_normal_window() {
    let plan = plan("", "    warm_up: true\n    anomaly: none\n");
    assert!(!plan.scenarios[0].warm_up && plan.scenarios[1].warm_up);
    assert!(plan.scenarios[1].anomaly.is_none());
}

#[test]
fn names_are_checked_for_drivers_with_a_catalogue() {
    let file = |fault: &str| format!("    anomaly: slow\n    fault: {fault}\n");
    // A fault that is possible everywhere, and the shop by name.
    let notes = loaded(
        SLOW,
        &file("{fault: cpu_saturation, service: user, driver: shop}"),
    )
    .notes;
    assert!(notes.is_empty(), "{notes}");
    let shown = load(
        SLOW,
        &file("{fault: partition, service: user, driver: shpo}"),
    )
    .unwrap_err();
    insta::assert_snapshot!(shown, @r"
    error: there is no driver `shpo`
      --> t.yaml:10:54
       |
    10 |     fault: {fault: partition, service: user, driver: shpo}
       |                                                      ^^^^ did you mean `shop`?
    ");
}

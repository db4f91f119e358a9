//! What held when windows and faults are not the plain case: compounds, shams, faults that failed,
//! were lost, or were made by hand.

use loadgen_extract::{ExtractOptions, ExtractReport, extract};
use loadgen_timeline::audit::Level;
use serde_json::json;

use super::world::{GUARD, Held, MS, World, at, closed, fault, join, opened, rows};

fn has_file(report: &loadgen_extract::ExtractReport, name: &str) -> bool {
    let mut files = report.files.iter();
    files.any(|f| {
        f.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .starts_with(name)
    })
}

#[test]
fn where_conditions_overlap_they_are_a_compound_also_for_what_the_ledger_knows() {
    let mut world = World::new();
    // Another scenario runs beside two of them, and no fault event says anything of it.
    let (begin, end) = (at(30.0), at(150.0));
    world.add_event(opened("beside", "error_spike", "web", begin, end));
    world.add_event(closed("window_closed", "beside", end));
    world.windows.insert(1, ("beside", 30.0, 150.0));
    // In the order of opening.
    world.windows.sort_by(|a, b| a.1.total_cmp(&b.1));
    world
        .transitions
        .extend([(begin, begin + GUARD), (end, end + GUARD)]);
    world.conditions = vec![
        (0.0, "none", "none"),
        (30.0, "error_spike", "declared"),
        (60.5, "error_spike+latency_spike", "declared"),
        (120.0, "error_spike", "declared"),
        (125.5, "error_spike+timeout", "declared"),
        (150.0, "timeout", "confirmed"),
        (185.0, "none", "none"),
    ];
    let report = world.check(|_| ());
    assert!(has_file(&report, "traces_error_spike--latency_spike_"));
    assert!(has_file(&report, "traces_error_spike--timeout_"));
    // Nobody sent for the window beside, and what others sent met it.
    let beside = report
        .figures
        .windows
        .iter()
        .find(|w| w.scenario == "beside")
        .expect("there");
    assert!(beside.traces > 0 && beside.requests == 0);
}

#[test]
fn a_compound_names_all_causes_services_and_symptoms_in_the_order_of_its_types() {
    let mut world = World::new();
    world.add_event(opened("beside", "a_first", "web", at(70.0), at(100.0)));
    world.add_event(closed("window_closed", "beside", at(100.0)));
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let (_, found) = world.extract(folder.path(), inputs, |_| ());
    let both: Vec<_> = found
        .iter()
        .filter(|row| row["anomaly_type"] == "a_first+latency_spike")
        .collect();
    assert!(both.len() > 100);
    for row in both {
        assert_eq!(row["anomaly_root_cause"], "of a_first+of latency_spike");
        assert_eq!(row["root_cause_service"], "web+catalogue");
        assert_eq!(row["anomaly_symptom"], "seen+seen");
        let is_in_one = ["web", "catalogue"].contains(&&*row["service_name"]);
        assert_eq!(row["is_root_cause_service"], is_in_one.to_string());
        assert_eq!(row["touches_root_cause"], "true");
    }
}

#[test]
fn shams_and_harmless_changes_are_normal_and_what_they_declare_is_nobodys_label() {
    for state in ["sham", "harmless"] {
        let mut world = World::new();
        let window = world.event("window_opened", "slow");
        window["declared"] = window["anomaly"].clone();
        window["anomaly"] =
            json!({"type": "none", "label": "normal", "root_cause": "none", "msg": "m"});
        for kind in ["fault_injected", "fault_cleared"] {
            world.event(kind, "slow")[state] = json!(true);
        }
        world.conditions[1] = (60.5, "none", state);
        let folder = tempfile::tempdir().expect("a folder");
        let order: Vec<usize> = (0..world.spans.len()).collect();
        let inputs = world.write(folder.path(), 3, 1, &order);
        let (report, found) = world.extract(folder.path(), inputs, |_| ());
        world.compare(&found, &order, false);
        join(folder.path());
        let slow = report
            .figures
            .windows
            .iter()
            .find(|w| w.scenario == "slow")
            .expect("there");
        assert_eq!(slow.fault_state, state);
        assert_eq!(
            [slow.sham, slow.harmless],
            [state == "sham", state == "harmless"]
        );
        // Rows say whether normal is what their time looks like.
        let verdict = match slow.verdict.as_deref().expect("evaluated") {
            "supported" => "disturbed",
            "not_supported" => "clean",
            other => other,
        };
        let mut rows_of_it = found
            .iter()
            .filter(|row| row["scenario"] == "slow")
            .peekable();
        assert!(rows_of_it.peek().is_some());
        for row in rows_of_it {
            assert_eq!(row["verdict"], verdict);
        }
        let windows = rows(&report, "windows");
        assert_eq!(
            (&*windows[1]["anomaly_type"], &*windows[1]["sham_of"]),
            ("none", "latency_spike")
        );
        assert!(!has_file(&report, "traces_latency_spike_"));
    }
}

#[test]
fn where_an_injection_failed_its_window_is_unknown_and_so_is_what_follows_until_a_clear() {
    let mut world = World::new();
    world.remove_event("fault_injected", "slow");
    let mut failed = fault("fault_failed", "slow", at(60.0), at(62.0));
    failed["change"] = json!("inject");
    failed["reason"] = json!("no answer");
    world.add_event(failed);
    world.conditions.splice(1..2, [(60.0, "unknown", "failed")]);
    // Nothing was confirmed, so there is nothing to settle after but the window's edges.
    world
        .transitions
        .retain(|t| *t != (at(60.0) - 41 * MS, at(60.5) + GUARD));
    // The clear is not on the timeline as the end of an injection, and settles nothing either.
    world
        .transitions
        .retain(|t| *t != (at(119.5) - 41 * MS, at(120.0) + 1));
    let report = world.check(|_| ());
    let slow = report
        .figures
        .windows
        .iter()
        .find(|w| w.scenario == "slow")
        .expect("there");
    assert_eq!(slow.fault_state, "failed");
}

#[test]
fn after_a_clear_that_was_given_up_nothing_is_known() {
    let mut world = World::new();
    world.remove_event("fault_cleared", "slow");
    let mut failed = fault("fault_failed", "slow", at(119.5), at(124.0));
    failed["change"] = json!("clear");
    failed["reason"] = json!("no answer");
    world.add_event(failed);
    // From its request on: the fault that follows is no better known.
    world.conditions.splice(2.., [(119.5, "unknown", "failed")]);
    world
        .transitions
        .retain(|t| *t != (at(119.5) - 41 * MS, at(120.0) + 1));
    world.check(|_| ());
}

#[test]
fn faults_that_somebody_else_changed_make_unknown_from_the_last_look_that_was_right() {
    let mut world = World::new();
    let noticed = |change: &str, service: &str, name: &str, since: f64, seen: f64| {
        json!({"event": "fault_noticed", "driver": "shop", "fault": name, "service": service,
            "intensity": 0.0, "change": change, "since_ns": at(since), "at_ns": at(seen)})
    };
    world.add_event(noticed("appeared", "cart", "hang", 18.0, 20.0));
    world.add_event(noticed("gone", "cart", "hang", 22.0, 24.0));
    world.add_event(noticed("lost", "catalogue", "of slow", 80.0, 82.0));
    let conditions: [Held; 7] = [
        (0.0, "none", "none"),
        (18.0, "unknown", "failed"),
        (24.0, "none", "none"),
        (60.5, "latency_spike", "confirmed"),
        // Until its clearing was confirmed, which the run did all the same.
        (80.0, "unknown", "failed"),
        (120.0, "none", "none"),
        (125.5, "timeout", "confirmed"),
    ];
    world.conditions.splice(..4, conditions);
    world.check(|_| ());
}

#[test]
fn without_fault_events_the_edges_of_a_window_bound_what_it_declares() {
    let mut world = World::new();
    for kind in ["fault_injected", "fault_cleared"] {
        for scenario in ["slow", "hung"] {
            world.remove_event(kind, scenario);
        }
    }
    world.conditions = vec![
        (0.0, "none", "none"),
        (60.0, "latency_spike", "declared"),
        (120.0, "none", "none"),
        (125.0, "timeout", "declared"),
        (185.0, "none", "none"),
    ];
    world.transitions = [0.0, 60.0, 120.0, 125.0, 185.0]
        .map(|s| (at(s), at(s) + GUARD))
        .to_vec();
    world.check(|_| ());
}

/// Extracts with a file of faults beside.
fn with_faults(world: &World, lines: &[serde_json::Value]) -> ExtractReport {
    let folder = tempfile::tempdir().expect("a folder");
    let order: Vec<usize> = (0..world.spans.len()).collect();
    let inputs = world.write(folder.path(), 3, 1, &order);
    let faults = folder.path().join("by-hand.jsonl");
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    std::fs::write(&faults, lines.join("\n") + "\n").expect("written");
    let change = |options: &mut ExtractOptions| options.faults = Some(faults.clone());
    let (report, rows) = world.extract(folder.path(), inputs, change);
    world.compare(&rows, &order, false);
    join(folder.path());
    report
}

#[test]
fn faults_by_hand_are_those_of_their_windows_or_go_by_their_own_name() {
    let mut world = World::new();
    for kind in ["fault_injected", "fault_cleared"] {
        world.remove_event(kind, "slow");
    }
    let by_hand = |event: &str, scenario: &str, when: f64| {
        json!({"event": event, "scenario": scenario, "driver": "hand", "fault": "pulled_plug",
            "service": "cart", "requested_ns": at(when), "at_ns": at(when)})
    };
    let lines = [
        by_hand("fault_injected", "slow", 70.0),
        by_hand("fault_cleared", "slow", 110.0),
        by_hand("fault_injected", "nobody", 20.0),
        by_hand("fault_cleared", "nobody", 40.0),
    ];
    let conditions: [Held; 5] = [
        (0.0, "none", "none"),
        (20.0, "pulled_plug", "confirmed"),
        (40.0, "none", "none"),
        (70.0, "latency_spike", "confirmed"),
        (110.0, "none", "none"),
    ];
    world.conditions.splice(..3, conditions);
    world.transitions.retain(|t| {
        *t != (at(60.0) - 41 * MS, at(60.5) + GUARD) && *t != (at(119.5) - 41 * MS, at(120.0) + 1)
    });
    for edge in [70.0, 110.0] {
        world
            .transitions
            .push((at(edge) - 41 * MS, at(edge) + GUARD));
    }
    // What is of no scenario has no guard.
    for edge in [20.0, 40.0] {
        world.transitions.push((at(edge) - 41 * MS, at(edge) + 1));
    }
    let report = with_faults(&world, &lines);
    // No window declares `pulled_plug`, so nothing says that it had an effect.
    let of_class = report.files.iter().find(|f| {
        let name = f.path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("traces_pulled_plug_")
    });
    assert_eq!(of_class.expect("a file").rows, 0);
    let faults = report
        .audit
        .checks
        .iter()
        .find(|check| check.id == "faults");
    let faults = faults.expect("there");
    assert_eq!(faults.level, Level::Warning);
    assert!(
        faults
            .details
            .iter()
            .any(|said| said.contains("no window declares pulled_plug"))
    );
}

#[test]
fn mistakes_in_faults_by_hand_are_refused() {
    let change = |event: &str, fault: &str, at_ns: i64| {
        json!({"event": event, "scenario": "hand", "driver": "hand", "fault": fault,
            "service": "cart", "requested_ns": at_ns, "at_ns": at_ns})
        .to_string()
            + "\n"
    };
    let (from, to) = (at(20.0), at(40.0));
    let injected = change("fault_injected", "hog", from);
    let cleared = change("fault_cleared", "hog", to);
    let cases = [
        (
            injected.clone() + &cleared.replace("cleared", "clear"),
            "other lines",
        ),
        (
            injected.clone() + cleared.trim_end_matches("}\n"),
            "cut off",
        ),
        (cleared.clone() + &injected, "without having been injected"),
        (
            injected.clone() + &cleared.replace("cart", "user"),
            "without having been injected",
        ),
        (
            change("fault_injected", "hog", to) + &change("fault_cleared", "hog", from),
            "before it was",
        ),
        (
            change("fault_injected", "hog", from / 1_000_000_000),
            "not within the run",
        ),
        (change("fault_injected", "none", from), "can't be called"),
        (
            injected.clone()
                + &cleared
                + "{\"event\":\"heartbeat\",\"at_ns\":1,\"sent\":0,\"completed\":0,\"failed\":0,\"dropped\":0}\n",
            "other lines",
        ),
    ];
    let world = World::new();
    for (lines, expected) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let inputs = world.write(folder.path(), 3, 1, &[0, 1, 2]);
        let faults = folder.path().join("by-hand.jsonl");
        std::fs::write(&faults, &lines).expect("written");
        let error = extract(&ExtractOptions {
            inputs,
            timeline: Some(folder.path().join("timeline.jsonl")),
            faults: Some(faults),
            output: folder.path().join("dataset"),
            ..ExtractOptions::default()
        });
        let error = error.expect_err(&lines).to_string();
        assert!(error.contains(expected), "{lines}: {error}");
    }
}

#[test]
fn two_faults_at_once_are_two_anomalies() {
    let mut world = World::new();
    // The second is cleared while the first still goes on.
    let lines = [
        json!({"event": "fault_injected", "scenario": "hand", "driver": "hand", "fault": "zz_hang",
            "service": "cart", "requested_ns": at(80.0), "at_ns": at(80.0)}),
        json!({"event": "fault_cleared", "scenario": "hand", "driver": "hand", "fault": "zz_hang",
            "service": "cart", "requested_ns": at(90.0), "at_ns": at(90.0)}),
    ];
    let conditions: [Held; 4] = [
        (60.5, "latency_spike", "confirmed"),
        (80.0, "latency_spike+zz_hang", "confirmed"),
        (90.0, "latency_spike", "confirmed"),
        (120.0, "none", "none"),
    ];
    world.conditions.splice(1..3, conditions);
    for edge in [80.0, 90.0] {
        world.transitions.push((at(edge) - 41 * MS, at(edge) + 1));
    }
    with_faults(&world, &lines);
}

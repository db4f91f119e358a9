//! Faults of real runs on a real shop: with others on it, with an admin API that is slow or dead,
//! and a generator that is suspended.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::program::shop::{Proxy, Shop};
use crate::program::target::Target;
use crate::program::{self, Place, end, events, kill, until};
use loadgen_timeline::{InconsistencyKind, Severity, consistency, read_timeline};
use reqwest::Method;
use serde_json::Value;

/// A calm second, a window with a fault, and a calm second again.
fn file(fault: &str, service: &str, seconds: u32) -> String {
    format!(
        "
version: 1
flows:
  default: {{steps: [{{path: /api/catalogue/categories, think_time: 50ms}}]}}
anomalies:
  wrong: {{root_cause: {fault}, root_cause_service: {service}}}
scenarios:
  before: {{executor: constant-vus, vus: 1, duration: 1s}}
  during:
    executor: constant-vus
    vus: 1
    duration: {seconds}s
    anomaly: wrong
    fault: {{fault: {fault}, service: {service}, intensity: 0.2}}
  after: {{executor: constant-vus, vus: 1, duration: 1s}}
"
    )
}

fn start(place: &Place, name: &str, file: &str, base_url: &str, admin_url: &str) -> Child {
    place.write(&format!("{name}.yaml"), file);
    let args = [
        "run",
        &format!("{name}.yaml"),
        "--base-url",
        base_url,
        "--admin-url",
        admin_url,
        "--out",
        name,
        "--quiet",
        "--no-client-spans",
        "--no-preflight",
    ];
    place.start(args)
}

fn ns(event: &Value, field: &str) -> i64 {
    event[field].as_i64().unwrap()
}

fn run_id(run: &Path) -> String {
    events(run, "run_started")[0]["run_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Change, fault and owner of what was noticed.
fn noticed(run: &Path) -> Vec<(String, String, String)> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or("").to_owned();
    events(run, "fault_noticed")
        .iter()
        .map(|e| (text(e, "change"), text(e, "fault"), text(e, "owner")))
        .collect()
}

#[test]
fn two_runs_on_one_shop_leave_each_other_alone() {
    let place = Place::new();
    let shop = Shop::start(&place);
    let (base, admin) = (&shop.base_url, &shop.admin_url);
    let long = start(
        &place,
        "long",
        &file("slow_query", "catalogue", 7),
        base,
        admin,
    );
    until("the fault of the first", || {
        events(&place.path("long"), "fault_injected").len() == 1
    });
    let short = start(&place, "short", &file("hang", "ratings", 2), base, admin);
    let (code, errors) = end(short);
    assert_eq!(code, Some(0), "{errors}");
    // The second has come and gone, its resets and its clears with it.
    let left = shop.faults();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["owner"], run_id(&place.path("long")).as_str());
    let (code, errors) = end(long);
    assert_eq!(code, Some(0), "{errors}");
    assert!(shop.faults().is_empty());
    for name in ["long", "short"] {
        let run = place.path(name);
        assert_eq!(events(&run, "fault_injected").len(), 1, "{name}");
        assert_eq!(events(&run, "fault_cleared").len(), 1, "{name}");
        assert!(events(&run, "fault_failed").is_empty(), "{name}");
    }
    // Each has seen what the other did, and whose it was.
    let by = |change: &str, fault: &str, owner: &str| {
        let owner = match owner {
            "" => String::new(),
            name => run_id(&place.path(name)),
        };
        (change.to_owned(), fault.to_owned(), owner)
    };
    let seen = noticed(&place.path("short"));
    assert_eq!(seen, [by("appeared", "slow_query", "long")]);
    let at_start = &events(&place.path("short"), "fault_noticed")[0];
    let started = &events(&place.path("short"), "run_started")[0];
    assert_eq!(at_start["since_ns"], started["at_ns"]);
    let seen = noticed(&place.path("long"));
    let expected = [by("appeared", "hang", "short"), by("gone", "hang", "")];
    assert_eq!(seen, expected);
}

#[test]
fn faults_of_somebody_else_have_windows_where_a_file_says_what_they_are() {
    let place = Place::new();
    let shop = Shop::start(&place);
    let (base, admin) = (&shop.base_url, &shop.admin_url);
    let watching = "
version: 1
drivers: {shop: {}}
observe:
  slow_query: {driver: shop, anomaly: slow}
flows:
  default: {steps: [{path: /api/catalogue/categories, think_time: 50ms}]}
anomalies:
  slow: {root_cause: slow_query, root_cause_service: catalogue}
scenarios:
  calm: {executor: constant-vus, vus: 1, duration: 9s}
";
    let watching = start(&place, "watching", watching, base, admin);
    until("the window", || {
        events(&place.path("watching"), "window_opened").len() == 1
    });
    let other = start(
        &place,
        "other",
        &file("slow_query", "catalogue", 2),
        base,
        admin,
    );
    assert_eq!(end(other).0, Some(0));
    let (code, errors) = end(watching);
    assert_eq!(code, Some(0), "{errors}");
    let run = place.path("watching");
    let opened = events(&run, "window_opened");
    assert_eq!(opened.len(), 2, "{opened:?}");
    assert_eq!(opened[1]["scenario"], "slow_query_1");
    assert_eq!(opened[1]["anomaly"]["type"], "slow");
    let (injected, cleared) = (
        events(&run, "fault_injected"),
        events(&run, "fault_cleared"),
    );
    assert_eq!((injected.len(), cleared.len()), (1, 1));
    assert_eq!(injected[0]["scenario"], "slow_query_1");
    assert_eq!(injected[0]["service"], "catalogue");
    // What the other run says of the same fault is within what was seen.
    let theirs = &events(&place.path("other"), "fault_injected")[0];
    assert!(ns(&injected[0], "requested_ns") <= ns(theirs, "at_ns"));
    assert!(ns(theirs, "requested_ns") <= ns(&injected[0], "at_ns"));
    let theirs = &events(&place.path("other"), "fault_cleared")[0];
    assert!(ns(&cleared[0], "requested_ns") <= ns(theirs, "at_ns"));
    assert!(ns(theirs, "requested_ns") <= ns(&cleared[0], "at_ns"));
    let closed = events(&run, "window_closed");
    assert!(closed.iter().any(|e| e["scenario"] == "slow_query_1"));
    assert!(events(&run, "fault_noticed").is_empty());
}

#[test]
fn the_guard_of_a_killed_run_leaves_a_live_one_alone_and_what_is_taken_by_hand_is_noticed() {
    let place = Place::new();
    let shop = Shop::start(&place);
    let (base, admin) = (&shop.base_url, &shop.admin_url);
    let live = start(
        &place,
        "live",
        &file("slow_query", "catalogue", 9),
        base,
        admin,
    );
    let mut killed = start(&place, "killed", &file("hang", "catalogue", 9), base, admin);
    until("both faults", || shop.faults().len() == 2);
    killed.kill().unwrap();
    killed.wait().unwrap();
    until("the guard of the killed run", || {
        events(&place.path("killed"), "run_finished").len() == 1
    });
    let left = shop.faults();
    assert_eq!(left.len(), 1, "{left:?}");
    let owner = run_id(&place.path("live"));
    assert_eq!(left[0]["owner"], owner.as_str());
    let timeline = read_timeline(&place.path("killed/timeline.jsonl")).unwrap();
    assert!(timeline.faults[0].cleared.is_some());
    assert_eq!(
        timeline.integrity,
        loadgen_timeline::Integrity::Verified,
        "the guard ends the timeline as a run does"
    );
    assert!(!noticed(&place.path("live")).iter().any(|n| n.0 == "lost"));
    // Somebody takes it away by hand.
    shop.admin(Method::DELETE, &format!("/faults?owner={owner}"));
    until("the run to notice", || {
        noticed(&place.path("live"))
            .iter()
            .any(|n| n.0 == "lost" && n.1 == "slow_query")
    });
    let (code, errors) = end(live);
    assert_eq!(code, Some(0), "{errors}");
    let injected = &events(&place.path("live"), "fault_injected")[0];
    let lost = events(&place.path("live"), "fault_noticed");
    let lost = lost.iter().find(|e| e["change"] == "lost").unwrap();
    assert!(ns(injected, "at_ns") <= ns(lost, "since_ns"));
    assert!(ns(lost, "since_ns") < ns(lost, "at_ns"));
}

#[test]
fn with_a_slow_admin_api_times_are_true_and_what_comes_too_late_is_not_sent() {
    const DELAY: Duration = Duration::from_millis(2500);
    let place = Place::new();
    let shop = Shop::start(&place);
    let proxy = Proxy::start(&shop.admin_url, DELAY);
    let mut yaml = file("slow_query", "catalogue", 4);
    yaml.push_str(
        "  brief:
    executor: constant-vus
    vus: 1
    duration: 2s
    anomaly: late
    fault: {fault: hang, service: ratings, intensity: 0.2}
  end: {executor: constant-vus, vus: 1, duration: 1s}
",
    );
    let late = "anomalies:\n  late: {root_cause: hang, root_cause_service: ratings}";
    let yaml = yaml.replacen("anomalies:", late, 1);
    let run = place.path("slow");
    let child = start(&place, "slow", &yaml, &shop.base_url, &proxy.url);
    let (code, errors) = end(child);
    assert_eq!(code, Some(6), "{errors}");
    let delay_ns = DELAY.as_nanos() as i64;
    let injected = events(&run, "fault_injected");
    assert_eq!(injected.len(), 1);
    let window = |kind: &str, scenario: &str| {
        let events = events(&run, kind);
        let event = events.iter().find(|e| e["scenario"] == scenario).unwrap();
        ns(event, "at_ns")
    };
    assert!(window("window_opened", "during") <= ns(&injected[0], "requested_ns"));
    let cleared = events(&run, "fault_cleared");
    for change in injected.iter().chain(&cleared) {
        let took_ns = ns(change, "at_ns") - ns(change, "requested_ns");
        assert!(took_ns >= delay_ns, "{change}");
    }
    let of_during: Vec<&Value> = cleared
        .iter()
        .filter(|e| e["scenario"] == "during")
        .collect();
    assert_eq!(of_during.len(), 1);
    assert!(window("window_closed", "during") <= ns(of_during[0], "requested_ns"));
    // The other was asked for in time, and not confirmed in time.
    let failed = events(&run, "fault_failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (&failed[0]["fault"], &failed[0]["change"]),
        (&"hang".into(), &"inject".into())
    );
    // At the planned end; whoever closes the window may come to it a little later.
    let opened = events(&run, "window_opened");
    let brief = opened.iter().find(|e| e["scenario"] == "brief").unwrap();
    assert!(ns(&failed[0], "at_ns") >= ns(brief, "planned_end_ns"));
    assert!(shop.faults().is_empty());
}

/// What becomes of a run whose admin API dies in the middle of it.
fn run_whose_admin_api_dies(die: impl FnOnce(Proxy) -> Option<Proxy>) {
    let place = Place::new();
    let shop = Shop::start(&place);
    let proxy = Proxy::start(&shop.admin_url, Duration::ZERO);
    let run = place.path("run");
    let yaml = file("slow_query", "catalogue", 2)
        + "  again:
    executor: constant-vus
    vus: 1
    duration: 1s
    anomaly: wrong
    fault: {fault: error_responses, service: catalogue, intensity: 0.2}
";
    let child = start(&place, "run", &yaml, &shop.base_url, &proxy.url);
    until("the fault", || events(&run, "fault_injected").len() == 1);
    let kept = die(proxy);
    let (code, errors) = end(child);
    assert_eq!(code, Some(6), "{errors}");
    let drained = events(&run, "window_drained");
    assert_eq!(drained.len(), 4);
    let last_ns = drained.iter().map(|e| ns(e, "at_ns")).max().unwrap();
    let finished = &events(&run, "run_finished")[0];
    assert_eq!(finished["status"], "completed");
    let waited_ns = ns(finished, "at_ns") - last_ns;
    assert!(waited_ns <= 15_000_000_000, "{waited_ns}");
    // One line for each change that was not confirmed, however often it was tried.
    let mut failed: Vec<(String, String)> = events(&run, "fault_failed")
        .iter()
        .map(|e| (e["scenario"].to_string(), e["change"].to_string()))
        .collect();
    failed.sort();
    let pair = |scenario: &str, change: &str| (format!("{scenario:?}"), format!("{change:?}"));
    assert_eq!(
        failed,
        [
            pair("again", "clear"),
            pair("again", "inject"),
            pair("during", "clear"),
        ]
    );
    drop(kept);
}

#[test]
fn with_an_admin_api_that_answers_no_more_a_run_ends_in_time() {
    run_whose_admin_api_dies(|proxy| {
        proxy.die();
        Some(proxy)
    });
}

#[test]
fn with_an_admin_api_that_is_gone_a_run_ends_in_time() {
    run_whose_admin_api_dies(|proxy| {
        drop(proxy);
        None
    });
}

#[test]
fn a_suspended_generator_is_on_the_timeline_and_its_windows_are_told() {
    let place = Place::new();
    let target = Target::start(|_| (Duration::ZERO, "application/json", "{}".into()));
    place.write(
        "stop.yaml",
        "
version: 1
flows: {default: {steps: [{path: /, think_time: 20ms}]}}
scenarios:
  first: {executor: constant-vus, vus: 1, duration: 3s}
  second: {executor: constant-vus, vus: 1, duration: 2s}
  third: {executor: constant-vus, vus: 1, duration: 3s}
",
    );
    let run = place.path("run");
    let args = [
        "run",
        "stop.yaml",
        "--base-url",
        &target.url,
        "--out",
        "run",
    ];
    let child = place.start(args.into_iter().chain(["--quiet", "--no-client-spans"]));
    until("a heartbeat", || events(&run, "heartbeat").len() >= 2);
    // From the middle of the first window into the third.
    kill("-STOP", child.id());
    std::thread::sleep(Duration::from_millis(4500));
    kill("-CONT", child.id());
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{errors}");
    let stalls = events(&run, "generator_stalled");
    assert!(!stalls.is_empty());
    assert!(ns(&stalls[0], "for_ns") > 3_000_000_000);
    let timeline = read_timeline(&run.join("timeline.jsonl")).unwrap();
    let ledger = program::ledger(&run);
    let found = consistency(&timeline, Some(&ledger.report));
    let has = |kind, severity, scenario: &str| {
        let scenario = Some(scenario.to_owned()).filter(|name| !name.is_empty());
        let is_it = |f: &loadgen_timeline::Inconsistency| {
            (f.kind, f.severity, &f.scenario) == (kind, severity, &scenario)
        };
        found.iter().any(is_it)
    };
    assert!(
        has(InconsistencyKind::Stalled, Severity::Warning, ""),
        "{found:?}"
    );
    let off = InconsistencyKind::WindowOffPlan;
    assert!(has(off, Severity::Warning, "first"), "{found:?}");
    assert!(has(off, Severity::Error, "second"), "{found:?}");
    // Nothing else is wrong with it.
    let others = found
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    assert_eq!(others, 1, "{found:?}");
}

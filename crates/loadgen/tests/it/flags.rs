//! A run that follows flags: a real file of flagd, the real binary, a target that writes down what
//! arrives.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::program::target::Target;
use crate::program::{self, Place, end, events, until};

const FILE: &str = "
version: 1
flags:
  users: {flag: loadGeneratorVUs, flagd_file: flags.json, every: 100ms}
  flood: {flag: loadGeneratorFloodHomepage, flagd_file: flags.json, every: 100ms}
defaults: {baggage: {synthetic_request: true, session.id: '${session}'}}
flows:
  default:
    vars: {session: {uuid: 4}, n: {flag: flood}}
    wait_time: 20ms
    steps:
      - {path: /once}
      - {repeat: {var: n, max: 10}, steps: [{path: /flood}]}
scenarios:
  following: {executor: externally-controlled, vus_from: users, vus: 1, max_vus: 5, duration: 100s}
";

fn write(place: &Place, users: u32, flood: u32) {
    let flag = |value: u32| {
        serde_json::json!({
            "state": "ENABLED", "variants": {"now": value}, "defaultVariant": "now"
        })
    };
    let flags = serde_json::json!({
        "flags": {"loadGeneratorVUs": flag(users), "loadGeneratorFloodHomepage": flag(flood)}
    });
    place.write("flags.new", &flags.to_string());
    std::fs::rename(place.path("flags.new"), place.path("flags.json")).unwrap();
}

/// The numbers of VUs that the timeline has.
fn vus(run: &Path) -> Vec<u64> {
    let changes = events(run, "vus_changed").into_iter();
    changes.map(|line| line["vus"].as_u64().unwrap()).collect()
}

fn start(place: &Place, target: &Target, time_scale: &str) -> Child {
    let args = ["run", "following.yaml", "--base-url", &target.url];
    let more = ["--out", "run", "--time-scale", time_scale];
    let plain = ["--no-client-spans", "--no-preflight"];
    place.start(args.iter().chain(&more).chain(&plain))
}

#[test]
fn users_and_floods_follow_the_file_while_the_run_goes_on() {
    let target = Target::start(|_| (Duration::ZERO, "application/json", "{}".to_owned()));
    let place = Place::new();
    place.write("following.yaml", FILE);
    write(&place, 2, 0);
    let run = place.path("run");
    let child = start(&place, &target, "1");
    let pid = child.id();
    until("two users", || vus(&run).last() == Some(&2));
    until("requests", || !target.take().is_empty());
    write(&place, 9, 3);
    until("as many as there may be", || vus(&run).last() == Some(&5));
    until("a flood", || {
        target.take().iter().any(|r| r.path == "/flood")
    });
    std::fs::remove_file(place.path("flags.json")).unwrap();
    until("the loss of the file", || {
        events(&run, "flag_lost").len() == 2
    });
    target.take();
    until("requests all the same", || !target.take().is_empty());
    write(&place, 0, 3);
    until("nobody", || vus(&run).last() == Some(&0));
    until("a second without requests", || {
        let beats = events(&run, "heartbeat");
        let [.., before, last] = beats.as_slice() else {
            return false;
        };
        before["sent"] == last["sent"]
    });
    target.take();
    write(&place, 1, 0);
    until("somebody again", || !target.take().is_empty());
    program::kill("-INT", pid);
    let (code, errors) = end(child);
    assert_eq!(code, Some(5), "{errors}");
    assert_eq!(errors.matches("can't be read").count(), 2, "{errors}");
    assert!(
        vus(&run) == [2, 5, 0, 1] || vus(&run) == [1, 2, 5, 0, 1],
        "{:?}",
        vus(&run)
    );
    let flood: Vec<_> = events(&run, "flag_changed")
        .into_iter()
        .filter(|line| line["flag"] == "flood")
        .map(|line| line["value"].as_u64().unwrap())
        .collect();
    // Before the file was there again it had the value that is told anew.
    assert_eq!(flood, [0, 3, 3, 0]);
    let ledger = program::ledger(&run);
    let mut numbers: Vec<u64> = ledger
        .rows()
        .filter(|row| row.step_index == 0)
        .map(|row| row.iteration)
        .collect();
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..numbers.len() as u64).collect();
    assert_eq!(numbers, expected, "each iteration has a number of its own");
}

#[test]
fn what_a_user_is_marked_with_arrives() {
    let target = Target::start(|_| (Duration::ZERO, "application/json", "{}".to_owned()));
    let place = Place::new();
    place.write("following.yaml", FILE);
    write(&place, 3, 2);
    let child = start(&place, &target, "0.02");
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{errors}");
    let arrived = target.take();
    assert!(arrived.len() > 30, "{}", arrived.len());
    let mut sessions = std::collections::BTreeMap::new();
    for request in &arrived {
        let baggage = request.headers.iter().find(|(name, _)| name == "baggage");
        let members: Vec<&str> = baggage.unwrap().1.split(',').collect();
        assert_eq!(members[5], "synthetic_request=true");
        let session = members[6].strip_prefix("session.id=").unwrap();
        *sessions.entry(session).or_insert(0) += 1;
    }
    // An iteration is a session here: one request, and two of a flood.
    let whole = sessions.values().filter(|count| **count == 3).count();
    assert!(whole > 10, "{sessions:?}");
}

#[test]
fn k6_does_not_follow_flags() {
    let place = Place::new();
    place.write("following.yaml", FILE);
    let out = place.loadgen([
        "run",
        "following.yaml",
        "--base-url",
        "http://127.0.0.1:1",
        "--engine",
        "k6",
    ]);
    assert_eq!(out.status.code(), Some(3));
    let said = program::text(&out.stderr);
    assert!(said.contains("k6 can't follow a flag"), "{said}");
    assert!(said.contains("--engine rust"), "{said}");
}

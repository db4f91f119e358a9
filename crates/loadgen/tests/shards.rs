//! Several generators for one run, as processes of the real binary, and what `loadgen merge` makes of
//! them.

#![cfg(target_os = "linux")]

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use loadgen_scenario::{ArrivalSchedule, Plan, VuSchedule};
use loadgen_timeline::{Ledger, LedgerReport, consistency, read_timeline};
use program::k6::{k6, k6_run, module};
use program::shop::Shop;
use program::target::{Target, now_ns};
use program::{Place, end, events, json_lines, kill, ledger, text, until};
use serde_json::Value;

const SECOND: i64 = 1_000_000_000;

/// Each executor. VUs are no multiple of the shards, of some there are fewer, and they come and go
/// in steps of a second. Iterations of VUs take long, so that a VU is nearly always in one.
const EVERY_EXECUTOR: &str = r#"
version: 1
defaults: {graceful_stop: 1s}
flows:
  pick: {vars: {n: {range: [1, 1000000]}}, steps: [{path: '/at/${n}'}]}
  slow: {vars: {n: {range: [1, 1000000]}}, steps: [{path: '/slow/${n}'}]}
scenarios:
  rate: {executor: constant-arrival-rate, rate: 50, duration: 2s, pre_allocated_vus: 21, exec: pick}
  ramp: {executor: ramping-arrival-rate, start_rate: 10, stages: [{duration: 2s, target: 60}], pre_allocated_vus: 24, exec: pick, start_time: 2s}
  few: {executor: constant-arrival-rate, rate: 20, duration: 1s, pre_allocated_vus: 1, exec: slow, start_time: 4s}
  vus: {executor: ramping-vus, start_vus: 3, stages: [{duration: 1s, target: 3}, {duration: 0s, target: 11}, {duration: 1s, target: 11}, {duration: 0s, target: 20}, {duration: 1s, target: 20}], exec: slow, start_time: 6s}
  each: {executor: per-vu-iterations, vus: 10, iterations: 3, max_duration: 5s, exec: pick, start_time: 11s}
  shared: {executor: shared-iterations, vus: 5, iterations: 33, max_duration: 5s, exec: pick, start_time: 16s}
"#;

fn target() -> Target {
    Target::start(|path| {
        let takes = match path.starts_with("/slow") {
            true => Duration::from_millis(300),
            false => Duration::from_millis(5),
        };
        (takes, "application/json", "{}".to_owned())
    })
}

/// Starts the shards of a run that meet in `folder`.
fn start(place: &Place, file: &str, url: &str, count: u32, extra: &[&str]) -> Vec<Child> {
    let one = |index: u32| {
        let shard = format!("{index}/{count}");
        let args = ["run", file, "--base-url", url, "--shard", &shard, "--quiet"];
        place.start(args.iter().chain(extra))
    };
    (0..count).map(one).collect()
}

fn merge(place: &Place, runs: &[&str], out: &str, extra: &[&str]) -> (Option<i32>, String) {
    let args = ["merge", "--out", out];
    let out = place.loadgen(args.iter().chain(runs).chain(extra));
    (out.status.code(), text(&out.stderr) + &text(&out.stdout))
}

fn plan(run: &Path) -> Plan {
    serde_json::from_slice(&std::fs::read(run.join("plan.json")).unwrap()).unwrap()
}

fn drained(run: &Path, scenario: &str, field: &str) -> u64 {
    let lines = events(run, "window_drained");
    let line = lines.iter().find(|line| line["scenario"] == scenario);
    line.unwrap()[field].as_u64().unwrap()
}

/// When each iteration began and ended, and what its first request asked for.
fn iterations(ledger: &Ledger, scenario: &str) -> BTreeMap<u64, (i64, i64, i64, String)> {
    let mut iterations = BTreeMap::new();
    for row in ledger.rows().filter(|row| row.scenario == scenario) {
        let times = (
            row.intended_ns,
            row.sent_ns,
            row.finished_ns,
            row.path.to_owned(),
        );
        let before = iterations.insert(row.iteration, times);
        // One step a flow here: a number that is there again would be that of two iterations.
        assert!(
            before.is_none(),
            "{scenario} {} is there twice",
            row.iteration
        );
    }
    iterations
}

fn assert_consistent(run: &Path, report: &LedgerReport) {
    let timeline = read_timeline(&run.join("timeline.jsonl")).unwrap();
    let found = consistency(&timeline, Some(report));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn eight_shards_do_what_the_plan_says_once() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", EVERY_EXECUTOR);
    let extra = ["--rendezvous", "met", "--no-client-spans"];
    let shards = start(&place, "file.yaml", &target.url, 8, &extra);
    for (index, shard) in shards.into_iter().enumerate() {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "shard {index}: {errors}");
    }
    let (code, said) = merge(&place, &["met"], "merged", &["--json"]);
    assert_eq!(code, Some(0), "{said}");

    let run = place.path("merged");
    let (plan, ledger) = (plan(&run), ledger(&run));
    let started = &events(&run, "run_started")[0];
    let zero_ns = started["at_ns"].as_i64().unwrap();
    assert_eq!(started["shards"].as_array().unwrap().len(), 8);
    for shard in started["shards"].as_array().unwrap() {
        assert_eq!(shard["drives_faults"], shard["index"] == 0);
        // They share this machine's clock, so that zero is within the bounds of each.
        let bounds: Vec<i64> = serde_json::from_value(shard["clock_ahead_ns"].clone()).unwrap();
        assert!(bounds[0] <= 0 && bounds[1] >= 0, "{shard}");
    }
    assert_consistent(&run, &ledger.report);
    assert_eq!(ledger.len(), target.take().len());

    for scenario in &plan.scenarios {
        let name = scenario.name.as_str();
        let of_it = iterations(&ledger, name);
        let (made, dropped) = (
            drained(&run, name, "iterations"),
            drained(&run, name, "dropped"),
        );
        assert_eq!(of_it.len() as u64, made, "{name}");
        let start_ns = zero_ns + scenario.start_ns as i64;
        if let Some(schedule) = ArrivalSchedule::new(&scenario.executor) {
            // What started and what was dropped is the plan, and each start is one of its moments.
            assert_eq!(made + dropped, schedule.count(), "{name}");
            let moments: BTreeSet<i64> = schedule.starts().map(|ns| start_ns + ns as i64).collect();
            let due: BTreeSet<i64> = of_it.values().map(|times| times.0).collect();
            assert!(
                due.is_subset(&moments) && due.len() as u64 == made,
                "{name}"
            );
            if dropped == 0 {
                let numbers: Vec<i64> = of_it.values().map(|times| times.0).collect();
                assert!(
                    numbers.is_sorted(),
                    "{name}: numbers are in the order of the plan"
                );
            }
        }
        match name {
            "few" => assert!(dropped > 0, "one VU can't start 20 a second"),
            "each" => assert_eq!((made, dropped), (30, 0)),
            "shared" => assert_eq!((made, dropped), (33, 0)),
            "vus" => {
                let schedule = VuSchedule::new(&scenario.executor).unwrap();
                for second in 0..3 {
                    // At some moment of the second no VU is between two iterations.
                    let moments = (10..99).map(|n| start_ns + second * SECOND + n * SECOND / 100);
                    let busy = |at: i64| {
                        let spans = of_it.values();
                        spans
                            .filter(|(_, from, to, _)| (*from..*to).contains(&at))
                            .count()
                    };
                    let wanted = schedule
                        .steps()
                        .take_while(|(at, _)| *at as i64 <= second * SECOND);
                    let wanted = wanted.last().unwrap().1 as usize;
                    assert_eq!(moments.map(busy).max(), Some(wanted), "second {second}");
                }
            }
            _ => {}
        }
    }

    // One process makes the same choices.
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &target.url,
        "--out",
        "alone",
        "--quiet",
    ];
    let args = args
        .iter()
        .chain(&["--no-client-spans", "--scenarios", "rate,shared"]);
    let out = place.loadgen(args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let alone = program::ledger(&place.path("alone"));
    for name in ["rate", "shared"] {
        let (together, alone) = (iterations(&ledger, name), iterations(&alone, name));
        let both = together
            .iter()
            .filter_map(|(number, of)| Some((&of.3, &alone.get(number)?.3)));
        let both: Vec<_> = both.collect();
        assert!(
            both.len() > 25 && both.iter().all(|(a, b)| a == b),
            "{name}: {both:?}"
        );
    }

    // Figures are those of all requests.
    let summary: Value =
        serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    for scenario in summary["scenarios"].as_array().unwrap() {
        let name = scenario["scenario"].as_str().unwrap();
        assert_eq!(scenario["requests"], iterations(&ledger, name).len());
    }
    let sums = |run: &str| {
        let bytes = std::fs::read(place.path(run).join("summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&bytes).unwrap();
        let cost = summary["generator"]["cpu_seconds"].as_f64().unwrap();
        let asked = summary["scenarios"][0]["asked_iterations_per_s"]
            .as_f64()
            .unwrap();
        (cost, asked)
    };
    let of_shards: Vec<(f64, f64)> = (0..8).map(|n| sums(&format!("met/shard-{n}"))).collect();
    let (cost, asked) = sums("merged");
    assert!((of_shards.iter().map(|s| s.0).sum::<f64>() - cost).abs() < 1e-6);
    assert!((of_shards.iter().map(|s| s.1).sum::<f64>() - asked).abs() < 1e-6);
    assert!((asked - 50.0).abs() < 1e-6);

    what_is_not_one_run_is_refused(&place);
    a_shard_that_comes_later_is_refused(&place, &target);
}

fn what_is_not_one_run_is_refused(place: &Place) {
    let shard = |n: u32| format!("met/shard-{n}");
    let seven: Vec<String> = (0..8).filter(|n| *n != 5).map(shard).collect();
    let seven: Vec<&str> = seven.iter().map(String::as_str).collect();
    let (code, said) = merge(place, &seven, "seven", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("of 8 shards 1 is missing: 5"), "{said}");
    assert!(!place.path("seven").exists());
    let (code, said) = merge(place, &seven, "seven", &["--allow-missing"]);
    assert_eq!(code, Some(7), "{said}");
    let started = &events(&place.path("seven"), "run_started")[0];
    assert_eq!(started["shards"].as_array().unwrap().len(), 7);

    let (code, said) = merge(place, &["met", "met/shard-2"], "twice", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("shard 2 is there twice: met/shard-2 and met/shard-2"),
        "{said}"
    );
    let (code, said) = merge(place, &["met/shard-2", "alone"], "other", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("alone is a whole run and no shard of one"),
        "{said}"
    );

    // A ledger that is another shard's.
    std::fs::create_dir(place.path("wrong")).unwrap();
    for (name, from) in [
        ("timeline.jsonl", 1),
        ("plan.json", 1),
        ("ledger.arrows", 3),
    ] {
        let from = place.path(&shard(from)).join(name);
        std::fs::copy(from, place.path("wrong").join(name)).unwrap();
    }
    let (code, said) = merge(place, &["wrong"], "wrong-out", &["--allow-missing"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("is not that shard's"), "{said}");
}

fn a_shard_that_comes_later_is_refused(place: &Place, target: &Target) {
    let extra = ["--rendezvous", "met", "--no-client-spans", "--out", "late"];
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &target.url,
        "--shard",
        "3/8",
    ];
    let out = place.loadgen(args.iter().chain(&extra));
    assert_eq!(out.status.code(), Some(3));
    let said = text(&out.stderr);
    assert!(said.contains("has already begun, at 20"), "{said}");
    assert!(said.contains("start all of them anew"), "{said}");
    assert!(!place.path("late").exists());
}

#[test]
fn command_lines_that_make_no_sense_say_what_to_do() {
    let place = Place::new();
    place.write("file.yaml", EVERY_EXECUTOR);
    let told = |args: &[&str]| {
        let out = place.loadgen(["run", "file.yaml"].iter().chain(args));
        (out.status.code(), text(&out.stderr))
    };
    let url = "http://127.0.0.1:1";
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--shard", "8/8"], 2, "give I/N with I from 0 to N - 1"),
        (&["--shard", "0/2", "--rendezvous", "r"], 3, "--base-url"),
        (
            &["--shard", "0/2", "--base-url", url],
            3,
            "--rendezvous DIR",
        ),
        (
            &["--shard", "0/2", "--base-url", url, "--start-at", "5"],
            3,
            "--run-id ID",
        ),
        (&["--rendezvous", "r", "--base-url", url], 3, "--shard I/N"),
        (
            &["--run-id", "me", "--base-url", url],
            3,
            "32 lower-case hexadecimal digits",
        ),
        (
            &["--base-url", url, "--start-at", "soon"],
            2,
            "Unix seconds",
        ),
    ];
    for (args, code, part) in cases {
        let (is, said) = told(args);
        assert_eq!(is, Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn a_start_that_is_past_is_too_late() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", EVERY_EXECUTOR);
    let (at, id) = ((now_ns() / SECOND - 3).to_string(), "0".repeat(32));
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &target.url,
        "--shard",
        "1/2",
        "--out",
        "run",
    ];
    let out = place.loadgen(args.iter().chain(&["--start-at", &at, "--run-id", &id]));
    assert_eq!(out.status.code(), Some(3));
    let said = text(&out.stderr);
    assert!(said.contains("too late: the run was to start"), "{said}");
    assert!(!place.path("run").exists() && target.take().is_empty());
}

const ONE_WINDOW: &str = "
version: 1
flows: {default: {steps: [{path: /, think_time: 20ms}]}}
anomalies: {wrong: {root_cause: broken, root_cause_service: store}}
scenarios:
  long:
    executor: constant-vus
    vus: 4
    duration: 60s
    anomaly: wrong
    fault:
      driver: exec
      fault: broken
      service: store
      intensity: 1
      parameters: {inject: 'echo injected >> made; touch broken', confirm: [test, -f, broken], clear: rm broken}
";

#[test]
fn one_shard_drives_the_faults_and_each_ends_in_order() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", ONE_WINDOW);
    let extra = ["--rendezvous", "met", "--no-client-spans"];
    let mut shards = start(&place, "file.yaml", &target.url, 3, &extra);
    let run = |index: u32| place.path(&format!("met/shard-{index}"));
    let has_sent = |index: u32| {
        let beats = events(&run(index), "heartbeat");
        beats
            .last()
            .is_some_and(|beat| beat["sent"].as_u64() > Some(0))
    };
    until("the fault, and load of all", || {
        let injected = events(&run(0), "fault_injected").len() == 1;
        injected && (0..3).all(has_sent)
    });
    // One ends by a signal, one is killed, and the third, which has the fault, goes on.
    kill("-TERM", shards[1].id());
    let (code, errors) = end(shards.remove(1));
    assert_eq!(code, Some(5), "{errors}");
    let last = |index: u32| {
        json_lines(&run(index).join("timeline.jsonl"))
            .pop()
            .unwrap()
    };
    assert_eq!(last(1)["status"], "interrupted");
    kill("-KILL", shards[1].id());
    end(shards.remove(1));
    // Its guard waits for nobody, although the journal of the run is in use.
    until("the guard of the killed one", || {
        last(2)["event"] == "run_finished"
    });
    assert_eq!(last(2)["status"], "failed");
    assert!(place.path("broken").exists());
    kill("-TERM", shards[0].id());
    let (code, errors) = end(shards.remove(0));
    assert_eq!(code, Some(5), "{errors}");
    assert!(!place.path("broken").exists());
    let made = std::fs::read_to_string(place.path("made")).unwrap();
    assert_eq!(made, "injected\n", "once, by one of them");
    for index in [1, 2] {
        assert!(events(&run(index), "fault_injected").is_empty());
    }

    let (code, said) = merge(&place, &["met"], "merged", &[]);
    assert_eq!(code, Some(7), "{said}");
    let merged = place.path("merged");
    assert_eq!(events(&merged, "fault_injected").len(), 1);
    assert_eq!(events(&merged, "fault_cleared").len(), 1);
    assert_eq!(events(&merged, "run_finished")[0]["status"], "failed");
    // What the killed one had handed over is there.
    let rows = |run: &Path| ledger(run).len();
    assert_eq!(rows(&merged), (0..3).map(|n| rows(&run(n))).sum::<usize>());
}

#[test]
fn who_waits_for_others_can_be_interrupted_and_started_again() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", EVERY_EXECUTOR);
    let extra = [
        "--rendezvous",
        "met",
        "--no-client-spans",
        "--scenarios",
        "each",
    ];
    let mut waiting = start(&place, "file.yaml", &target.url, 2, &extra);
    // Of two only one comes.
    let _ = waiting.remove(0).kill();
    let note = place.path("met/shard-1.json");
    until("the second shard", || note.exists());
    kill("-TERM", waiting[0].id());
    let (code, errors) = end(waiting.remove(0));
    assert_eq!(code, Some(5), "{errors}");
    assert!(!note.exists() && !place.path("met/shard-1").exists());
    for shard in start(&place, "file.yaml", &target.url, 2, &extra) {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "{errors}");
    }
    let (code, said) = merge(&place, &["met"], "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(drained(&place.path("merged"), "each", "iterations"), 30);
}

/// Calm, slow, calm, failing: on a shop that has telemetry.
const FAULTS: &str = "
version: 1
guard: 5%
defaults: {timeout: 5s, graceful_stop: 1s}
flows:
  default:
    vars: {sku: {pick: [Watson, HPTD, UHJ, EPE]}}
    steps:
      - {path: /api/catalogue/products, think_time: 50ms}
      - {path: '/api/catalogue/product/${sku}', expect: {status: 200}}
anomalies:
  slow: {root_cause: query, root_cause_service: catalogue}
  failing: {root_cause: errors, root_cause_service: catalogue}
scenarios:
  calm: {executor: constant-arrival-rate, rate: 24, duration: 6s, pre_allocated_vus: 40}
  slow: {executor: constant-arrival-rate, rate: 24, duration: 6s, pre_allocated_vus: 40, anomaly: slow, fault: {fault: slow_query, service: catalogue}}
  between: {executor: constant-vus, vus: 6, duration: 6s}
  failing: {executor: constant-vus, vus: 6, duration: 6s, anomaly: failing, fault: {fault: error_responses, service: catalogue}}
";

/// Verdicts by scenario, and the worst level of the audit's checks that speak of the run itself.
fn verdicts(place: &Place, telemetry: &Path, run: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let run = place.path(run);
    let [telemetry, timeline, out] = [
        telemetry.to_owned(),
        run.join("timeline.jsonl"),
        run.join("dataset"),
    ]
    .map(|path| path.to_string_lossy().into_owned());
    let args = [
        "extract",
        &telemetry,
        "--timeline",
        &timeline,
        "--out",
        &out,
        "--json",
    ];
    let output = place.loadgen(args);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let mut files = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("windows_") && name.ends_with(".csv")
    };
    let mut reader = csv::Reader::from_path(files.find(is_it).unwrap()).unwrap();
    let columns = reader.headers().unwrap().clone();
    let at = |name| columns.iter().position(|c| c == name).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let verdicts = rows.map(|row| {
        (
            row[at("scenario")].to_owned(),
            row[at("verdict")].to_owned(),
        )
    });
    let checks = report["audit"]["checks"].as_array().unwrap().iter();
    let of_the_run = ["timeline", "ledger", "faults", "lost-traces", "roots"];
    let wrong = checks.filter(|check| {
        let id = check["id"].as_str().unwrap();
        of_the_run.contains(&id) && !["ok", "info"].contains(&check["level"].as_str().unwrap())
    });
    (verdicts.collect(), wrong.map(Value::to_string).collect())
}

#[test]
fn merged_shards_are_labelled_and_judged_as_one_process() {
    let place = Place::new();
    let telemetry = place.path("telemetry");
    let (collector, grpc) = program::shop::collector(&place, &telemetry);
    let shop = Shop::start_exporting(&place, &grpc);
    place.write("file.yaml", FAULTS);
    let common = ["--admin-url", &shop.admin_url, "--otlp-endpoint", &grpc];
    let args = [
        "run",
        "file.yaml",
        "--base-url",
        &shop.base_url,
        "--quiet",
        "--out",
        "alone",
    ];
    let out = place.loadgen(args.iter().chain(&common));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let extra: Vec<&str> = common.into_iter().chain(["--rendezvous", "met"]).collect();
    for shard in start(&place, "file.yaml", &shop.base_url, 8, &extra) {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "{errors}");
    }
    let (code, said) = merge(&place, &["met"], "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    let merged = place.path("merged");
    assert_consistent(&merged, &ledger(&merged).report);
    assert_eq!(events(&merged, "fault_injected").len(), 2);
    assert_eq!(events(&merged, "fault_cleared").len(), 2);
    for pair in [
        ["calm", "slow"],
        ["slow", "between"],
        ["between", "failing"],
    ] {
        let at = |kind: &str, scenario: &str| {
            let lines = events(&merged, kind);
            let line = lines
                .iter()
                .find(|line| line["scenario"] == scenario)
                .cloned();
            line.unwrap()["at_ns"].as_i64()
        };
        assert_eq!(
            at("window_closed", pair[0]),
            at("window_opened", pair[1]),
            "windows meet"
        );
    }
    // They hand over what they still have when they are ended.
    drop(shop);
    drop(collector);
    let (alone, wrong) = verdicts(&place, &telemetry, "alone");
    assert_eq!(wrong, Vec::<String>::new());
    let (together, wrong) = verdicts(&place, &telemetry, "merged");
    assert_eq!(wrong, Vec::<String>::new());
    for (scenario, verdict) in &together {
        match scenario.as_str() {
            "slow" | "failing" => assert_eq!([verdict, &alone[scenario]], ["supported"; 2]),
            // Other work on the machine can disturb a window, of either run.
            _ => assert!(
                ["clean", "disturbed"].contains(&verdict.as_str()),
                "{verdict}"
            ),
        }
    }

    // One shard by itself is told to be one.
    let (_, wrong) = verdicts(&place, &telemetry, "met/shard-3");
    assert!(
        wrong
            .iter()
            .any(|check| check.contains("one shard of several alone, 3/8")),
        "{wrong:?}"
    );
}

/// Enough VUs for each k6, and none of a number that divides evenly.
const FOR_K6: &str = r#"
version: 1
flows:
  pick: {vars: {n: {range: [1, 1000000]}}, steps: [{path: '/at/${n}'}]}
scenarios:
  rate: {executor: constant-arrival-rate, rate: 30, duration: 2s, pre_allocated_vus: 7, exec: pick}
  vus: {executor: constant-vus, vus: 4, duration: 1s, exec: pick, start_time: 2s}
  shared: {executor: shared-iterations, vus: 5, iterations: 33, max_duration: 5s, exec: pick, start_time: 4s}
"#;

fn assert_of_three(run: &Path, target: &Target) {
    let (plan, ledger) = (plan(run), ledger(run));
    assert_consistent(run, &ledger.report);
    assert_eq!(ledger.len(), target.take().len());
    let rate = iterations(&ledger, "rate");
    let (made, dropped) = (
        drained(run, "rate", "iterations"),
        drained(run, "rate", "dropped"),
    );
    assert_eq!(rate.len() as u64, made);
    let schedule = ArrivalSchedule::new(&plan.scenarios[0].executor).unwrap();
    // k6 may leave out the one that is due at the very end.
    assert!(
        schedule.count() - (made + dropped) <= 1,
        "{made} + {dropped}"
    );
    assert_eq!(iterations(&ledger, "shared").len(), 33);
    assert_eq!(drained(run, "shared", "iterations"), 33);
    iterations(&ledger, "vus");
}

#[test]
fn three_k6_are_one_run() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", FOR_K6);
    let at = (now_ns() / SECOND + 20).to_string();
    let id = "0123456789abcdef".repeat(2);
    let run = |index: u32| {
        let (shard, out) = (format!("{index}/3"), format!("shard-{index}"));
        let args = [
            "run",
            "file.yaml",
            "--base-url",
            &target.url,
            "--engine",
            "k6",
            "--quiet",
        ];
        let more = [
            "--no-client-spans",
            "--shard",
            &shard,
            "--start-at",
            &at,
            "--run-id",
            &id,
            "--out",
            &out,
        ];
        let mut command = place.command(args.iter().chain(&more));
        command.env("K6_BIN", k6());
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let shards: Vec<Child> = (0..3).map(run).collect();
    for shard in shards {
        let (code, errors) = end(shard);
        assert_eq!(code, Some(0), "{errors}");
    }
    let (code, said) = merge(&place, &["shard-0", "shard-1", "shard-2"], "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    let merged = place.path("merged");
    assert_of_three(&merged, &target);
    assert_eq!(events(&merged, "run_started")[0]["run_id"], id.as_str());
}

#[test]
fn logs_of_k6_pods_are_one_run() {
    let (place, target) = (Place::new(), target());
    place.write("file.yaml", FOR_K6);
    let out = place.loadgen([
        "plan",
        "file.yaml",
        "--base-url",
        &target.url,
        "--format",
        "json",
    ]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let plan = place.write("plan.json", &text(&out.stdout));
    let at = (now_ns() / SECOND + 20).to_string();
    let start = |index: u32| {
        let mut command = k6_run(&module("replay.js"));
        command
            .arg("--console-output")
            .arg(place.path(&format!("events-{index}.log")));
        command.args(["--execution-segment", &format!("{index}/3:{}/3", index + 1)]);
        command.args(["--execution-segment-sequence", "0,1/3,2/3,1"]);
        command
            .env("LOADGEN_PLAN", &plan)
            .env("LOADGEN_START_AT", &at);
        command.env("LOADGEN_RUN_ID", "fedcba9876543210".repeat(2));
        command.env("LOADGEN_QUIET", "1");
        command.args(["--include-system-env-vars"]);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let started: Vec<Child> = (0..3).map(start).collect();
    for k6 in started {
        let (code, errors) = end(k6);
        assert_eq!(code, Some(0), "{errors}");
    }
    let folders = ["pod-0", "pod-1", "pod-2"];
    for (index, folder) in folders.iter().enumerate() {
        let log = format!("events-{index}.log");
        let out = place.loadgen(["timeline", "from-k6", &log, "--out", folder]);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    }
    let (code, said) = merge(&place, &folders, "merged", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_of_three(&place.path("merged"), &target);
    let (code, said) = merge(&place, &folders[..2], "two", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("of 3 shards 1 is missing: 2"), "{said}");
}

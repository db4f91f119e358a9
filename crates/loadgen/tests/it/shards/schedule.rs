//! Shards together do what the plan says, once, and nothing else passes for one run.

use std::collections::BTreeSet;

use loadgen_scenario::{ArrivalSchedule, VuSchedule};
use serde_json::Value;

use super::*;
use crate::program::target::Target;
use crate::program::{self, Place, end, events, ledger, text};

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

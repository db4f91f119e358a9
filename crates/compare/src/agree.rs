//! Whether runs were asked for the same: a comparison of different plans says little about engines,
//! and has to say so.

use loadgen_scenario::Plan;

use crate::load::LoadedRun;
use crate::pair::Pair;

/// What should be known before a comparison of these runs is trusted.
pub(crate) fn warnings(pairs: &[Pair]) -> Vec<String> {
    let Some(first) = pairs.first() else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    let mut add = |warning: String| {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    };
    for run in pairs.iter().flat_map(|pair| [&pair.a, &pair.b]) {
        for difference in differences(&first.a, run) {
            add(format!(
                "THE RUNS WERE NOT ASKED FOR THE SAME: {difference}"
            ));
        }
    }
    for pair in pairs {
        let (a, b) = (pair.a.started.seed, pair.b.started.seed);
        if a != b {
            add(format!(
                "THE RUNS WERE NOT ASKED FOR THE SAME: seed {a} in {}, {b} in {}, so every choice \
                 differs",
                pair.a.folder.display(),
                pair.b.folder.display()
            ));
        }
        if pair.a.started.run_id == pair.b.started.run_id {
            let folder = pair.a.folder.display();
            add(format!(
                "both sides are the same run, {folder}: it is compared with itself"
            ));
        }
    }
    for run in pairs.iter().flat_map(|pair| [&pair.a, &pair.b]) {
        for warning in &run.warnings {
            add(format!("{}: {warning}", run.folder.display()));
        }
    }
    let without: Vec<String> = pairs
        .iter()
        .flat_map(|pair| [&pair.a, &pair.b])
        .filter(|run| run.target_side.is_none())
        .map(|run| run.folder.display().to_string())
        .collect();
    if !without.is_empty() {
        add(format!(
            "without a dataset there is nothing of the target's own side, so causes can't be told: {}",
            without.join(", ")
        ));
    }
    warnings
}

/// What differs in what two runs were asked for, apart from their seeds.
fn differences(a: &LoadedRun, b: &LoadedRun) -> Vec<String> {
    let (at, bt) = (a.folder.display(), b.folder.display());
    let mut found = Vec::new();
    let mut differ = |what: &str, x: &dyn std::fmt::Display, y: &dyn std::fmt::Display| {
        found.push(format!("{what} {x} in {at}, {y} in {bt}"));
    };
    if a.started.time_scale != b.started.time_scale {
        differ("time scale", &a.started.time_scale, &b.started.time_scale);
    }
    // An embedded shop has another address in each run.
    if a.plan.target != b.plan.target && a.started.target != b.started.target {
        differ("target", &a.started.target, &b.started.target);
    }
    let names = |plan: &Plan| {
        let names: Vec<&str> = plan.scenarios.iter().map(|s| &*s.name).collect();
        names.join(",")
    };
    let (of_a, of_b) = (names(&a.plan), names(&b.plan));
    if of_a != of_b {
        differ("scenarios", &of_a, &of_b);
    }
    if a.started.scenario_sha256 != b.started.scenario_sha256 {
        let short = |run: &LoadedRun| match run.started.scenario_sha256.get(..12) {
            Some(digits) => digits.to_owned(),
            None => "none (a script)".to_owned(),
        };
        differ("scenario file with SHA-256", &short(a), &short(b));
    } else if of_a == of_b && a.started.time_scale == b.started.time_scale {
        for (x, y) in a.plan.scenarios.iter().zip(&b.plan.scenarios) {
            if x.fault != y.fault {
                let fault = |s: &loadgen_scenario::PlannedScenario| match &s.fault {
                    Some(fault) => format!("fault {}", fault.fault),
                    None => "no fault".to_owned(),
                };
                differ(&format!("{}:", x.name), &fault(x), &fault(y));
            } else if x != y {
                differ(&format!("{}:", x.name), &"one plan", &"another");
            }
        }
    }
    if a.started.loadgen_version != b.started.loadgen_version {
        let (x, y) = (&a.started.loadgen_version, &b.started.loadgen_version);
        differ("version of loadgen", x, y);
    }
    found
}

//! Episodes: what is drawn stays within what the file says, at times and in an order that are even,
//! with the share that is asked for; and what is sent tells nothing of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use loadgen_scenario::prng::FLOW_SITE;
use loadgen_scenario::{
    ArrivalSchedule, EVALUATION_WINDOW_NS, Executor, Plan, PlanOptions, PlannedScenario, Prng,
    evaluation_counts, evaluation_windows, load, plan_str,
};

const SECOND: u64 = 1_000_000_000;

fn training(seed: u64) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/training.yaml");
    let options = PlanOptions {
        seed: Some(seed),
        ..PlanOptions::default()
    };
    let loaded = load(path, &options).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.notes.is_empty(), "{}", loaded.notes);
    loaded.plan
}

const FILE: &str = "
version: 1
guard: 2s
anomalies:
  slow: {root_cause: a}
  full: {root_cause: b}
  dead: {root_cause: c, root_cause_service: cart}
  bad: {root_cause: d}
flows:
  one: {steps: [{path: /one}]}
  two: {steps: [{path: /two}]}
scenarios:
  load:
    executor: ramping-arrival-rate
    shape: {length: 40m, between: [5, 15], period: 20m, jumps: {every: 3m, length: [20s, 40s], by: 40%}}
    pre_allocated_vus: 10
    exec: {one: 2, two: 1}
episodes:
  over: load
  anomalous_share: SHARE
  length: [15s, 45s]
  apart: 25s
  OPTIONS
  faults:
    - {anomaly: slow, fault: slow_query, services: [catalogue, user, ratings], intensity: [0.3, 0.9]}
    - {anomaly: full, fault: pool_exhaustion, services: [shipping], length: [20s, 30s]}
    - {anomaly: dead, fault: hang, services: [cart], intensity: 0.5, weight: 2}
";

/// Options by which one episode in ten is a release without bugs.
const RELEASES: &str = "harmless:
    - {anomaly: bad, fault: deployment, services: [user, cart], length: [30s, 60s]}";

fn plan(seed: u64, share: &str, options: &str) -> Plan {
    let text = FILE.replace("SHARE", share).replace("OPTIONS", options);
    let options = PlanOptions {
        seed: Some(seed),
        ..PlanOptions::default()
    };
    plan_str("episodes.yaml", &text, &options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn episodes(plan: &Plan) -> Vec<&PlannedScenario> {
    let all = plan.scenarios.iter();
    all.filter(|s| !s.executor.sends()).collect()
}

#[test]
fn the_same_seed_draws_the_same_and_another_another() {
    assert_eq!(training(7), training(7));
    let json = |seed| serde_json::to_string(&training(seed)).unwrap();
    assert_eq!(json(7), json(7));
    assert_ne!(json(7), json(8));
    let read: Plan = serde_json::from_str(&json(7)).unwrap();
    assert_eq!(read, training(7));
}

#[test]
fn what_is_drawn_is_within_what_is_written() {
    for seed in 0..100 {
        let plan = plan(seed, "10%", &format!("shams: 25%\n  {RELEASES}"));
        let load = &plan.scenarios[0];
        assert_eq!(load.name, "load");
        let mut free_from = load.start_ns;
        for (number, one) in episodes(&plan).into_iter().enumerate() {
            assert_eq!(one.name, format!("episode_{:03}", number + 1));
            assert!(one.exec.is_empty());
            let length = one.end_ns - one.start_ns;
            assert_eq!(
                one.executor,
                Executor::NoLoad {
                    duration_ns: length
                }
            );
            let fault = one.fault.as_ref().unwrap();
            let of = one.declared.as_ref().unwrap_or(&one.anomaly);
            assert_eq!(fault.breaks(), !one.anomaly.is_none());
            assert_eq!(fault.harmless, fault.fault == "deployment");
            assert_eq!(of.root_cause_service.as_ref(), Some(&fault.service));
            let (services, intensity, seconds): (&[&str], _, _) = match of.kind.as_str() {
                "slow" => (&["catalogue", "user", "ratings"], 0.3..=0.9, 15..=45),
                "full" => (&["shipping"], 1.0..=1.0, 20..=30),
                "dead" => (&["cart"], 0.5..=0.5, 15..=45),
                "bad" => (&["user", "cart"], 1.0..=1.0, 30..=60),
                other => panic!("{other}"),
            };
            assert!(services.contains(&&*fault.service), "{fault:?}");
            assert!(intensity.contains(&fault.intensity), "{fault:?}");
            assert!(seconds.contains(&(length / SECOND)), "{length}");
            assert!(free_from <= one.start_ns && one.end_ns <= load.end_ns);
            free_from = one.end_ns + 25 * SECOND;
        }
    }
}

#[test]
fn the_share_of_evaluation_windows_is_the_one_asked_for() {
    for (asked, text, options) in [
        (5.0, "5%", ""),
        (10.0, "10%", "shams: 20%"),
        (10.0, "10%", RELEASES),
        (10.0, "10%", "compound: 20%"),
        (20.0, "20%", "shams: 20%"),
        (30.0, "30%", ""),
    ] {
        let shares: Vec<f64> = (0..100)
            .map(|seed| {
                let (normal, anomalous) = evaluation_counts(&plan(seed, text, options));
                100.0 * anomalous as f64 / (normal + anomalous) as f64
            })
            .collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let off = shares.iter().map(|share| (share - asked).abs());
        let worst = off.fold(0.0, f64::max);
        println!("{text} {options}: mean {mean:.2} %, at most {worst:.2} off");
        assert!((mean - asked).abs() < 0.25, "{text}: {mean}");
        // That of a run alone is a little off, as windows are whole.
        assert!(worst < 1.25, "{text}: {worst}");
    }
}

/// Kolmogorov's distance of values from the even distribution on 0 to 1, times the root of their
/// number: above 1.63 in one of a hundred.
fn unevenness(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let number = values.len() as f64;
    let distances = values.iter().enumerate().map(|(index, value)| {
        let below = index as f64 / number;
        (value - below)
            .abs()
            .max((value - below - 1.0 / number).abs())
    });
    distances.fold(0.0, f64::max) * number.sqrt()
}

#[test]
fn times_order_services_and_intensities_are_even() {
    let mut times = Vec::new();
    let mut intensities = Vec::new();
    let mut services: BTreeMap<String, u32> = BTreeMap::new();
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    let mut first: BTreeMap<String, u32> = BTreeMap::new();
    let (mut shams, mut all, mut sham_first) = (0, 0, 0);
    for seed in 0..300 {
        let plan = plan(seed, "10%", "shams: 25%");
        let length_ns = plan.end_ns() as f64;
        let drawn = episodes(&plan);
        for one in &drawn {
            let middle = (one.start_ns + one.end_ns) as f64 / 2.0;
            times.push(middle / length_ns);
            all += 1;
            if one.anomaly.is_none() {
                shams += 1;
                continue;
            }
            *kinds.entry(one.anomaly.kind.clone()).or_default() += 1;
            let fault = one.fault.as_ref().unwrap();
            if one.anomaly.kind == "slow" {
                *services.entry(fault.service.clone()).or_default() += 1;
                intensities.push((fault.intensity - 0.3) / 0.6);
            }
        }
        sham_first += u32::from(drawn[0].anomaly.is_none());
        let real = drawn.iter().find(|one| !one.anomaly.is_none()).unwrap();
        *first.entry(real.anomaly.kind.clone()).or_default() += 1;
    }
    let shares = |counts: &BTreeMap<String, u32>| -> Vec<f64> {
        let sum: u32 = counts.values().sum();
        let counts = counts.values();
        counts
            .map(|count| f64::from(*count) / f64::from(sum))
            .collect()
    };
    println!(
        "{all} episodes: times {:.2}, intensities {:.2}, services {:.3?}, kinds {:.3?}, first {:.3?}",
        unevenness(times.clone()),
        unevenness(intensities.clone()),
        shares(&services),
        shares(&kinds),
        shares(&first)
    );
    // Episodes of a run are apart, so their times are more even than independent ones.
    assert!(unevenness(times) < 2.0);
    // In steps of 0.01, over a distance of 0.6.
    assert!(unevenness(intensities) < 1.63 + 0.5);
    for share in shares(&services) {
        assert!((share - 1.0 / 3.0).abs() < 0.05, "{services:?}");
    }
    // In the order of their names: `dead` has twice the weight.
    for (share, wanted) in shares(&kinds).iter().zip([0.5, 0.25, 0.25]) {
        assert!((share - wanted).abs() < 0.03, "{kinds:?}");
    }
    for (share, wanted) in shares(&first).iter().zip([0.5, 0.25, 0.25]) {
        assert!((share - wanted).abs() < 0.09, "{first:?}");
    }
    assert!((f64::from(shams) / f64::from(all) - 0.25).abs() < 0.03);
    assert!((f64::from(sham_first) / 300.0 - 0.25).abs() < 0.08);
}

/// What can be known of a window of 5 s by what is sent, and what it is.
struct Row {
    features: Vec<f64>,
    anomaly: Option<String>,
}

/// By the plan alone: how many iterations are due, of which flows, with which draws, what was due just
/// before, and when.
fn rows(plan: &Plan) -> Vec<Row> {
    let load = plan.scenarios.iter().find(|s| s.name == "shoppers");
    let load = load.unwrap();
    let prng = Prng::new(plan.seed, &load.name);
    let weights: u32 = load.exec.iter().map(|flow| flow.weight).sum();
    let flows = load.exec.len();
    let schedule = ArrivalSchedule::new(&load.executor).unwrap();
    let windows = (plan.end_ns() / EVALUATION_WINDOW_NS + 1) as usize;
    let mut sums = vec![vec![0.0; flows + 3]; windows];
    for (number, start_ns) in schedule.starts().enumerate() {
        let number = number as u64;
        let sums = &mut sums[((load.start_ns + start_ns) / EVALUATION_WINDOW_NS) as usize];
        let mut left = prng.index(number, FLOW_SITE, weights);
        let mut flow = 0;
        while left >= load.exec[flow].weight {
            left -= load.exec[flow].weight;
            flow += 1;
        }
        sums[flow] += 1.0;
        sums[flows] += 1.0;
        sums[flows + 1] += prng.unit(number, 1);
        sums[flows + 2] += prng.unit(number, 2);
    }
    evaluation_windows(plan, EVALUATION_WINDOW_NS)
        .into_iter()
        .filter(|window| window.from_ns >= load.start_ns + EVALUATION_WINDOW_NS)
        .map(|window| {
            let index = (window.from_ns / EVALUATION_WINDOW_NS) as usize;
            let (now, before) = (&sums[index], &sums[index - 1]);
            let all = now[flows].max(1.0);
            let mut features: Vec<f64> = now[..flows].iter().map(|count| count / all).collect();
            features.extend([
                all,
                all - before[flows],
                now[flows + 1] / all,
                now[flows + 2] / all,
            ]);
            features.push(window.from_ns as f64);
            let anomaly = window.anomalies.first();
            Row {
                features,
                anomaly: anomaly.map(|at| plan.scenarios[*at].anomaly.kind.clone()),
            }
        })
        .collect()
}

const BINS: usize = 16;

/// A naive Bayes classifier of quantile bins, with equal weight for each class.
struct Bayes {
    edges: Vec<Vec<f64>>,
    /// By class, feature and bin: the logarithm of the share.
    shares: BTreeMap<String, Vec<[f64; BINS]>>,
}

fn class(row: &Row, by_kind: bool) -> String {
    match (&row.anomaly, by_kind) {
        (None, _) => "none".to_owned(),
        (Some(kind), true) => kind.clone(),
        (Some(_), false) => "anomalous".to_owned(),
    }
}

impl Bayes {
    fn new(rows: &[&Row], by_kind: bool) -> Self {
        let features = rows[0].features.len();
        let edges: Vec<Vec<f64>> = (0..features)
            .map(|feature| {
                let mut values: Vec<f64> = rows.iter().map(|row| row.features[feature]).collect();
                values.sort_by(f64::total_cmp);
                (1..BINS)
                    .map(|bin| values[bin * values.len() / BINS])
                    .collect()
            })
            .collect();
        let mut counts: BTreeMap<String, Vec<[f64; BINS]>> = BTreeMap::new();
        for row in rows {
            let counts = counts
                .entry(class(row, by_kind))
                .or_insert_with(|| vec![[1.0; BINS]; features]);
            for (feature, value) in row.features.iter().enumerate() {
                counts[feature][bin(&edges[feature], *value)] += 1.0;
            }
        }
        for feature in counts.values_mut().flatten() {
            let sum: f64 = feature.iter().sum();
            feature
                .iter_mut()
                .for_each(|count| *count = (*count / sum).ln());
        }
        Self {
            edges,
            shares: counts,
        }
    }

    fn told(&self, row: &Row, features: &[usize]) -> &str {
        let score = |shares: &Vec<[f64; BINS]>| -> f64 {
            let of = |feature: &usize| {
                shares[*feature][bin(&self.edges[*feature], row.features[*feature])]
            };
            features.iter().map(of).sum()
        };
        let best = self
            .shares
            .iter()
            .max_by(|a, b| score(a.1).total_cmp(&score(b.1)));
        best.unwrap().0
    }
}

fn bin(edges: &[f64], value: f64) -> usize {
    edges.partition_point(|edge| *edge <= value)
}

fn balanced_accuracy(model: &Bayes, rows: &[&Row], features: &[usize], by_kind: bool) -> f64 {
    let mut of_class: HashMap<String, (u32, u32)> = HashMap::new();
    for row in rows {
        let class = class(row, by_kind);
        let right = model.told(row, features) == class;
        let (told, all) = of_class.entry(class).or_default();
        *told += u32::from(right);
        *all += 1;
    }
    let shares = of_class
        .values()
        .map(|(told, all)| f64::from(*told) / f64::from(*all));
    shares.sum::<f64>() / of_class.len() as f64
}

#[test]
fn what_is_sent_tells_nothing() {
    let plans: Vec<Plan> = (0..40).map(training).collect();
    let faults = |plans: &[Plan]| -> usize {
        let of = |plan: &Plan| {
            episodes(plan)
                .iter()
                .filter(|one| !one.anomaly.is_none())
                .count()
        };
        plans.iter().map(of).sum()
    };
    let drawn = faults(&plans);
    assert!(drawn >= 200, "{drawn}");
    let rows: Vec<Vec<Row>> = plans.iter().map(rows).collect();
    // By run: whether more is sent in anomalous time than in normal time.
    let differences: Vec<f64> = rows.iter().map(|rows| difference(rows)).collect();
    let number = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / number;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (number - 1.0);
    let t = mean / (variance / number).sqrt();
    println!("rate: {mean:.2} iterations a window more in anomalous time, t {t:.2}");
    assert!(t.abs() < 2.66, "{t}");
    let features = rows[0][0].features.len();
    let all: Vec<usize> = (0..features).collect();
    let sets = [
        ("all of it", all),
        ("rate", vec![features - 5, features - 4]),
        ("time", vec![features - 1]),
    ];
    for by_kind in [false, true] {
        // Whole runs are left out: half of them teach, the others are told; and the other way round.
        let half = |rest| -> Vec<&Row> {
            let of = rows.iter().enumerate().filter(|(run, _)| run % 2 == rest);
            of.flat_map(|(_, rows)| rows).collect()
        };
        let (even, odd) = (half(0), half(1));
        let classes = Bayes::new(&even, by_kind).shares.len() as f64;
        for (name, features) in &sets {
            let a = balanced_accuracy(&Bayes::new(&even, by_kind), &odd, features, by_kind);
            let b = balanced_accuracy(&Bayes::new(&odd, by_kind), &even, features, by_kind);
            let found = (a + b) / 2.0;
            println!(
                "{drawn} episodes, {classes} classes, by {name}: {found:.3} (chance {:.3})",
                1.0 / classes
            );
            assert!((found - 1.0 / classes).abs() <= 0.05, "{name}: {found}");
        }
    }
}

/// What can't fail shows nothing: a timetable that is always the same is told by the time alone.
#[test]
fn the_classic_timetable_is_told_by_the_time() {
    let rows = |seed| -> Vec<Row> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/default.yaml");
        let options = PlanOptions {
            seed: Some(seed),
            ..PlanOptions::default()
        };
        let plan = load(path, &options).unwrap_or_else(|errors| panic!("{errors}"));
        let plan = plan.plan;
        let windows = evaluation_windows(&plan, EVALUATION_WINDOW_NS).into_iter();
        windows
            .map(|window| Row {
                features: vec![window.from_ns as f64],
                anomaly: window
                    .anomalies
                    .first()
                    .map(|at| plan.scenarios[*at].anomaly.kind.clone()),
            })
            .collect()
    };
    let (taught, told) = (rows(1), rows(2));
    let (taught, told): (Vec<&Row>, Vec<&Row>) = (taught.iter().collect(), told.iter().collect());
    let found = balanced_accuracy(&Bayes::new(&taught, true), &told, &[0], true);
    println!("classic timetable, 8 classes, by time: {found:.3} (chance 0.125)");
    assert!(found > 0.8, "{found}");
}

fn difference(rows: &[Row]) -> f64 {
    let mean = |anomalous: bool| {
        let of = rows.iter().filter(|row| row.anomaly.is_some() == anomalous);
        let rates: Vec<f64> = of.map(|row| row.features[row.features.len() - 5]).collect();
        rates.iter().sum::<f64>() / rates.len() as f64
    };
    mean(true) - mean(false)
}

#[test]
fn episodes_are_chosen_as_one_and_the_load_stays_without_them() {
    let chosen = |names: &[&str]| {
        let text = FILE.replace("SHARE", "10%").replace("OPTIONS", "");
        let options = PlanOptions {
            scenarios: names.iter().map(|name| (*name).to_owned()).collect(),
            ..PlanOptions::default()
        };
        plan_str("episodes.yaml", &text, &options)
    };
    let (all, load) = (chosen(&[]).unwrap(), chosen(&["load"]).unwrap());
    assert_eq!(load.scenarios.len(), 1);
    assert_eq!(load.scenarios[0], all.scenarios[0]);
    assert_eq!(chosen(&["load", "episodes"]).unwrap(), all);
    let errors = chosen(&["episodes"]).unwrap_err().to_string();
    assert!(errors.contains("choose `load` as well"), "{errors}");
}

#[test]
fn the_time_scale_stretches_what_was_drawn() {
    let text = FILE.replace("SHARE", "10%").replace("OPTIONS", "");
    let at = |time_scale| {
        let options = PlanOptions {
            time_scale,
            ..PlanOptions::default()
        };
        plan_str("episodes.yaml", &text, &options).unwrap()
    };
    let (whole, half) = (at(1.0), at(0.5));
    for (a, b) in whole.scenarios.iter().zip(&half.scenarios) {
        assert_eq!(
            (&a.name, &a.anomaly, &a.fault),
            (&b.name, &b.anomaly, &b.fault)
        );
        assert!(a.start_ns.abs_diff(b.start_ns * 2) <= 1);
        assert!(a.end_ns.abs_diff(b.end_ns * 2) <= 1);
    }
}

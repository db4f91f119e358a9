//! What a run does when flags change meanwhile: flagd's file is a real one.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// Writes flagd's file with one flag, by another that takes its place.
fn write(file: &Path, users: &str) {
    let text = format!(
        r#"{{"flags": {{"loadGeneratorVUs": {{"state": "ENABLED",
            "variants": {{"now": {users}}}, "defaultVariant": "now"}}}}}}"#
    );
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

/// A plan of one scenario whose users come from a flag that is looked at each second, and flagd's
/// file.
fn plan_of(steps: &str, options: &str) -> (Plan, PathBuf, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("flags.json");
    let text = format!(
        "version: 1\n\
         flags: {{users: {{flag: loadGeneratorVUs, flagd_file: {}, every: 1s}}}}\n\
         flows: {{default: {{{steps}}}}}\n\
         scenarios:\n  a: {{executor: externally-controlled, vus_from: users, {options}}}\n",
        file.display()
    );
    let plan = plan_str("simulated.yaml", &text, &PlanOptions::default()).unwrap();
    (plan, file, folder)
}

/// What the flag says from which millisecond of the plan on; nothing: the file is away.
fn simulate_flag(
    plan: &Plan,
    file: &Path,
    workers: usize,
    said: &'static [(u64, &'static str)],
) -> Seen {
    let _ = std::fs::remove_file(file);
    let file = file.to_owned();
    simulate_beside(
        plan,
        workers,
        Shard::WHOLE,
        &[],
        None,
        move |zero| async move {
            for (at_ms, users) in said {
                sleep_until(zero + Duration::from_millis(*at_ms)).await;
                match users.is_empty() {
                    true => std::fs::remove_file(&file).unwrap(),
                    false => write(&file, users),
                }
            }
        },
    )
}

#[test]
fn vus_start_and_end_as_the_flag_says() {
    let (plan, file, _folder) = plan_of(
        "steps: [{path: '/a?ms=400'}]",
        "vus: 1, max_vus: 4, duration: 4s",
    );
    for workers in 1..=3 {
        let said = &[(50, "1"), (950, "3"), (1950, "0"), (2950, "9")];
        let seen = simulate_flag(&plan, &file, workers, said);
        assert_eq!(
            seen.story(),
            [
                // The first look is 100 ms before the first window.
                "-100 users is lost",
                "0 opened a",
                "0 a runs 1",
                "900 users is 1",
                "1900 users is 3",
                "1900 a runs 3",
                "2900 users is 0",
                "2900 a runs 0",
                "3900 users is 9",
                "3900 a runs 4",
                "4000 closed a",
                "4300 drained a",
                "4300 Completed"
            ],
            "{workers} workers"
        );
        // One VU from 0; two more at 1900; all end the iteration that they are in at 2900; four
        // at 3900.
        let mut starts = seen.starts(0);
        starts.sort_unstable();
        assert_eq!(
            starts,
            [
                0, 400, 800, 1200, 1600, 1900, 1900, 2000, 2300, 2300, 2400, 2700, 2700, 2800,
                3900, 3900, 3900, 3900
            ],
            "{workers} workers"
        );
        let drained = seen.drained("a");
        assert_eq!(
            (drained.iterations, drained.interrupted_iterations),
            (18, 0)
        );
        let mut numbers: Vec<u64> = seen.records(0).iter().map(|r| r.iteration).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..18).collect::<Vec<u64>>());
    }
}

#[test]
fn while_flagd_is_away_the_last_number_holds() {
    let (plan, file, _folder) = plan_of(
        "steps: [{path: '/a?ms=1000'}]",
        "vus: 2, max_vus: 9, duration: 5s",
    );
    let said = &[(0, "3"), (1500, ""), (3500, "3")];
    let seen = simulate_flag(&plan, &file, 2, said);
    assert_eq!(
        seen.story(),
        [
            "-100 users is lost",
            "0 opened a",
            "0 a runs 2",
            "900 users is 3",
            "900 a runs 3",
            // Told once.
            "1900 users is lost",
            "3900 users is 3",
            "5000 closed a",
            "5900 drained a",
            "5900 Completed"
        ]
    );
}

#[test]
fn a_vu_that_is_taken_back_before_its_iteration_ends_goes_on() {
    let (plan, file, _folder) = plan_of(
        "steps: [{path: '/a?ms=1700'}]",
        "vus: 1, max_vus: 9, duration: 4s",
    );
    let said = &[(50, "0"), (1050, "1")];
    let seen = simulate_flag(&plan, &file, 1, said);
    assert_eq!(
        seen.story()[2..7],
        [
            "0 a runs 1",
            "900 users is 0",
            "900 a runs 0",
            "1900 users is 1",
            "1900 a runs 1"
        ]
    );
    // It had ended at 1700, so another one begins at once.
    assert_eq!(seen.starts(0), [0, 1900, 3600]);
    let (plan, file, _folder) = plan_of(
        "steps: [{path: '/a?ms=2500'}]",
        "vus: 1, max_vus: 9, duration: 4s",
    );
    let seen = simulate_flag(&plan, &file, 1, said);
    assert_eq!(seen.starts(0), [0, 2500]);
}

#[test]
fn a_flag_says_how_often_a_step_is_repeated() {
    let (plan, file, _folder) = plan_of(
        "vars: {flood: {flag: users}}, wait_time: 1s, \
         steps: [{repeat: {var: flood, max: 3}, steps: [{path: '/a?ms=100'}]}]",
        "vus: 1, max_vus: 1, duration: 5s",
    );
    // Each iteration waits a second, and sends before that as often as the flag says.
    let said = &[(50, "2"), (1950, "100"), (2950, "0")];
    let seen = simulate_flag(&plan, &file, 1, said);
    assert_eq!(seen.starts(0), [1000, 1100, 2200, 2300, 3400, 3500, 3600]);
    // The first one sent nothing. From 3900 on the flag says that there are no users either.
    assert_eq!(seen.drained("a").iterations, 4);
}

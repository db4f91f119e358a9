//! What the program logs: nothing unless it is asked, and no secret then.

use std::time::Duration;

use crate::program::target::Target;
use crate::program::{Place, text};

const FILE: &str = "
version: 1
flows: {default: {steps: [{name: look, path: /, headers: {authorization: Bearer PLANTED}, expect: {status: 204}}]}}
scenarios: {one: {executor: per-vu-iterations, vus: 1, iterations: 1, max_duration: 5s}}
";

/// What a run says on standard error whose one request is not as its flow expects, and its exit code.
fn said(args: &[&str], variable: &str) -> (Option<i32>, String) {
    let target = Target::start(|_| (Duration::ZERO, "text/plain", String::new()));
    let place = Place::new();
    place.write("file.yaml", FILE);
    let url = target.url.replace("://", "://me:PLANTED@");
    let run = ["run", "file.yaml", "--base-url", &url, "--no-client-spans"];
    let all = run.iter().chain(&["--no-preflight"]).chain(args);
    let mut command = place.command(all);
    let out = command.env("RUST_LOG", variable).output().unwrap();
    (out.status.code(), text(&out.stderr).to_string())
}

#[test]
fn nothing_is_logged_unless_it_is_asked_for() {
    let (_, said) = said(&[], "");
    assert!(!said.contains("loadgen_engine"), "{said}");
}

#[test]
fn a_flag_and_the_variable_say_what_is_logged() {
    for (args, variable) in [
        (&["-vv"][..], ""),
        (&[], "loadgen_engine=debug"),
        // The variable is the more exact of the two.
        (&["-v"], "loadgen_engine=debug"),
    ] {
        let (_, said) = said(args, variable);
        let line = said.lines().find(|line| line.contains("loadgen_engine"));
        let line = line.unwrap_or_else(|| panic!("{args:?}: {said}"));
        assert!(
            line.contains("step=look") && line.contains("status=200"),
            "{line}"
        );
        assert!(line.contains(r#"failure="status""#), "{line}");
    }
    assert!(!said(&["-v"], "").1.contains("step=look"));
}

#[test]
fn no_secret_is_logged() {
    let (_, said) = said(&[], "trace");
    assert!(said.contains("TRACE"), "{said}");
    assert!(!said.contains("PLANTED"), "{said}");
}

#[test]
fn a_variable_that_makes_no_sense_is_told() {
    let (code, said) = said(&[], "loadgen=loud");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("RUST_LOG=loadgen=loud"), "{said}");
}

#[test]
fn programs_that_are_started_log_the_same() {
    let place = Place::new();
    place.write(
        "file.yaml",
        "
version: 1
flows: {default: {steps: [{path: /api/catalogue/products}]}}
scenarios: {one: {executor: per-vu-iterations, vus: 1, iterations: 1, max_duration: 2s}}
",
    );
    let run = ["run", "file.yaml", "--out", "run", "--no-extract", "-vvv"];
    let out = place.loadgen(run);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let log = |name: &str| std::fs::read_to_string(place.path("run").join(name)).unwrap();
    // The shop starts its services, which log to where it does.
    let of_shop = log("shop.log");
    for target in ["loadgen_shop::supervisor", "loadgen_shop::service"] {
        assert!(of_shop.contains(target), "{of_shop}");
    }
    assert!(
        log("collect.log").contains("stored"),
        "{}",
        log("collect.log")
    );
}

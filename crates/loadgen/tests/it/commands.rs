//! What the commands say and how they exit, apart from whole runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::program::target::Target;
use crate::program::{self, Place, scenario, text};

const SECOND: i64 = 1_000_000_000;

#[test]
fn check_accepts_the_files_that_are_shipped() {
    let place = Place::new();
    let out = place.loadgen([
        "check".into(),
        scenario("default.yaml"),
        scenario("quick.yaml"),
    ]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stdout).lines().count(), 2);
}

#[test]
fn a_mistake_in_a_scenario_file_is_shown_where_it_is() {
    let place = Place::new();
    let file = std::fs::read_to_string(scenario("quick.yaml")).unwrap();
    let wrong = file.replacen("executor: constant-vus", "executor: constant-vu", 1);
    let line = 1 + wrong
        .lines()
        .position(|l| l.contains("constant-vu\n") || l.trim_end().ends_with("constant-vu"))
        .unwrap();
    let path = place.write("wrong.yaml", &wrong);
    for command in ["check", "plan", "run"] {
        let out = place.loadgen([command.as_ref(), path.as_os_str()]);
        assert_eq!(out.status.code(), Some(3), "{command}");
        let message = text(&out.stderr);
        assert!(
            message.contains(&format!("wrong.yaml:{line}:")),
            "{message}"
        );
        assert!(message.contains("constant-vus"), "{message}");
    }
    assert!(
        !place.path("runs").exists(),
        "a run that can't begin leaves nothing behind"
    );
}

#[test]
fn what_is_worth_knowing_of_a_file_is_told_and_is_no_error() {
    let place = Place::new();
    let file = std::fs::read_to_string(scenario("quick.yaml")).unwrap();
    let older = file.replacen("symptom: high_latency", "label: high_latency", 1);
    assert_ne!(older, file);
    let line = 1 + older
        .lines()
        .position(|l| l.contains("label: high_latency"))
        .unwrap();
    place.write("older.yaml", &older);
    for command in ["check", "plan"] {
        let out = place.loadgen([command, "older.yaml"]);
        assert!(out.status.success(), "{command}");
        let told = text(&out.stderr);
        assert!(told.starts_with("note: `high_latency`"), "{told}");
        assert!(told.contains(&format!("older.yaml:{line}:")), "{told}");

        let out = place.loadgen([command, "older.yaml", "--time-scale", "0.3"]);
        assert!(out.status.success(), "{command}");
        let told = text(&out.stderr);
        assert!(
            told.contains("windows are too short for evidence"),
            "{told}"
        );
        assert!(told.contains("`baseline` is 2.4 s long"), "{told}");
        assert!(told.contains("use a larger --time-scale"), "{told}");
    }
}

#[test]
fn names_of_faults_and_services_are_those_of_the_shop() {
    let place = Place::new();
    let file = std::fs::read_to_string(scenario("quick.yaml")).unwrap();
    for (right, wrong, told) in [
        (
            "fault: slow_query",
            "fault: slow_querry",
            "did you mean `slow_query`?",
        ),
        (
            "service: payment,",
            "service: web,",
            "it is possible in: payment",
        ),
        (
            "root_cause_service: user",
            "root_cause_service: usr",
            "must be the same",
        ),
    ] {
        place.write("wrong.yaml", &file.replacen(right, wrong, 1));
        let out = place.loadgen(["check", "wrong.yaml"]);
        assert_eq!(out.status.code(), Some(3), "{wrong}");
        assert!(text(&out.stderr).contains(told), "{}", text(&out.stderr));
    }
}

#[test]
fn the_timetable_tells_shams_and_warm_ups() {
    let place = Place::new();
    let file = "
version: 1
anomalies: {slow: {root_cause: db}}
flows: {default: {steps: [{path: /}]}}
scenarios:
  warm: {executor: constant-vus, duration: 10s, warm_up: true}
  calm: {executor: constant-vus, duration: 1m}
  sham: {executor: constant-vus, duration: 1m, anomaly: slow, fault: {fault: slow_query, service: user, sham: true}}
";
    place.write("sham.yaml", file);
    let out = place.loadgen(["plan", "sham.yaml"]);
    assert!(out.stderr.is_empty(), "{}", text(&out.stderr));
    let table = text(&out.stdout);
    assert!(table.contains("none (warm-up)"), "{table}");
    assert!(table.contains("none (declares slow)"), "{table}");
    assert!(table.contains("sham: slow_query in user (1)"), "{table}");
    let out = place.loadgen(["plan", "sham.yaml", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let sham = &plan["scenarios"][2];
    assert_eq!(sham["anomaly"]["label"], "normal");
    assert_eq!(sham["declared"]["label"], "anomalous");
    assert_eq!(sham["fault"]["sham"], true);
}

#[test]
fn the_time_scale_stretches_the_timetable_and_nothing_else() {
    let place = Place::new();
    let plan = |scale: &str| {
        let file = scenario("default.yaml");
        let out = place.loadgen([
            "plan".as_ref(),
            file.as_os_str(),
            "--format".as_ref(),
            "json".as_ref(),
            "--time-scale".as_ref(),
            scale.as_ref(),
        ]);
        serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()
    };
    let (full, tenth) = (plan("1"), plan("0.1"));
    let scenarios = |plan: &serde_json::Value| plan["scenarios"].as_array().unwrap().clone();
    assert_eq!(scenarios(&full).len(), 9);
    for (a, b) in scenarios(&full).iter().zip(scenarios(&tenth)) {
        let ns = |s: &serde_json::Value, key: &str| s[key].as_u64().unwrap();
        for key in ["start_ns", "end_ns"] {
            assert_eq!(ns(a, key), 10 * ns(&b, key));
        }
        assert_eq!(a["fault"], b["fault"]);
        assert_eq!(a["exec"], b["exec"]);
        assert_eq!(a["graceful_stop_ns"], b["graceful_stop_ns"]);
    }
    assert_eq!(
        full["flows"], tenth["flows"],
        "think times and timeouts stay"
    );
    let seconds: Vec<u64> = scenarios(&full)
        .iter()
        .map(|s| s["start_ns"].as_u64().unwrap() / 1_000_000_000)
        .collect();
    // A warm-up of ten seconds, then windows of two minutes.
    assert_eq!(seconds, [0, 10, 130, 250, 370, 490, 610, 730, 850]);
}

#[test]
fn a_target_that_is_not_there_is_told_before_the_run() {
    let place = Place::new();
    let file = scenario("default.yaml");
    let out = place.loadgen([
        "run".as_ref(),
        file.as_os_str(),
        "--base-url".as_ref(),
        "http://127.0.0.1:1".as_ref(),
    ]);
    assert_eq!(out.status.code(), Some(4));
    let message = text(&out.stderr);
    assert!(
        message.contains("http://127.0.0.1:1 is not reachable"),
        "{message}"
    );
    assert!(message.contains("No request was sent"), "{message}");
    assert!(!place.path("runs").exists());
}

#[test]
fn faults_that_nobody_can_inject_are_told_before_the_run() {
    let place = Place::new();
    // Anything that answers will do as a target.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    let out = place.loadgen(["run", &file, "--base-url", &url]);
    assert_eq!(out.status.code(), Some(4));
    let message = text(&out.stderr);
    assert!(message.contains("slow_query in catalogue"), "{message}");
    assert!(
        message.contains("--admin-url") && message.contains("--no-faults"),
        "{message}"
    );
    let out = place.loadgen([
        "run",
        &file,
        "--base-url",
        &url,
        "--admin-url",
        "http://127.0.0.1:1",
        "--no-preflight",
    ]);
    assert_eq!(out.status.code(), Some(4));
}

#[test]
fn a_dataset_is_audited_again_and_what_was_changed_is_found() {
    let place = Place::new();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../extract/tests/golden");
    let file = |name: &str| golden.join(name).to_string_lossy().into_owned();
    let args = [
        "extract",
        &file("traces-1.jsonl"),
        "--output",
        "d",
        "--timeline",
    ];
    let out = place.loadgen(args.into_iter().chain([&*file("timeline.jsonl")]));
    // Windows without a span, and a line that can't be read.
    assert_eq!(out.status.code(), Some(8), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("Audit: NOT USABLE"));
    let audit =
        |args: &[&str]| place.loadgen(["audit", "d"].into_iter().chain(args.iter().copied()));
    let again = audit(&["--json"]);
    let said: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    let level = |said: &serde_json::Value, id: &str| {
        let checks = said["audit"]["checks"].as_array().unwrap();
        checks.iter().find(|c| c["id"] == id).unwrap()["level"].clone()
    };
    assert_eq!(again.status.code(), Some(8));
    assert_eq!(
        (level(&said, "files"), level(&said, "windows")),
        ("ok".into(), "error".into())
    );

    let csv = std::fs::read_dir(place.path("d"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let labeled = csv.into_iter().find(|p| {
        p.to_string_lossy().contains("traces_labeled_") && p.extension().unwrap() == "csv"
    });
    let labeled = labeled.unwrap();
    let rows = std::fs::read_to_string(&labeled)
        .unwrap()
        .replace(",none,normal,", ",timeout,slow,");
    std::fs::write(&labeled, rows).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&audit(&["--json"]).stdout).unwrap();
    assert_eq!(level(&said, "files"), "error");
    assert_eq!(place.loadgen(["audit", "."]).status.code(), Some(3));
}

#[test]
fn files_that_grow_are_labelled_as_they_grow() {
    let place = Place::new();
    let span = |n: u32, at: i64| {
        format!(
            "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"traceId\":\"{n:032x}\",\"spanId\":\"{n:016x}\",\"startTimeUnixNano\":\"{at}\"}}]}}]}}]}}\n"
        )
    };
    // A run of 900 s that ended a minute ago; before, it looks as if it went on.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let begin = i64::try_from(now.as_nanos()).unwrap() - 1000 * SECOND;
    let at = |second: i64| begin + second * SECOND;
    let (from, to, end, later) = (at(0), at(900), at(940), at(9000));
    let opened = format!(
        r#"{{"event":"window_opened","scenario":"a","anomaly":{{"type":"timeout","label":"l","root_cause":"r","msg":"m"}},"planned_start_ns":{from},"planned_end_ns":{to},"at_ns":{from}}}"#
    );
    let goes_on = format!(
        r#"{{"event":"heartbeat","at_ns":{later},"sent":0,"completed":0,"failed":0,"dropped":0}}"#
    );
    let ended = format!(
        r#"{{"event":"window_closed","scenario":"a","at_ns":{to},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}
{{"event":"run_finished","at_ns":{end},"status":"completed"}}"#
    );
    let rows = |place: &Place| {
        let names = std::fs::read_dir(place.path("d"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path());
        let csv = names.filter(|p| p.to_string_lossy().contains("traces_timeout_"));
        csv.map(|p| {
            std::fs::read_to_string(p)
                .unwrap_or_default()
                .lines()
                .count()
                .saturating_sub(1)
        })
        .collect::<Vec<_>>()
    };
    place.write("timeline.jsonl", &format!("{opened}\n{goes_on}\n"));
    place.write("t.jsonl", &span(1, at(200)));
    let mut child = place.start([
        "extract",
        "t.jsonl",
        "--timeline",
        "timeline.jsonl",
        "--output",
        "d",
        "--all-phases",
        "--follow",
        "--every",
        "1",
    ]);
    program::until("a first dataset", || rows(&place) == [1]);
    place.write(
        "t.jsonl",
        &(span(1, at(200)) + &span(2, at(600)) + &span(3, at(700))),
    );
    place.write("timeline.jsonl", &format!("{opened}\n{ended}\n"));
    let code = child.wait().unwrap().code();
    // Three spans back no label.
    assert_eq!(code, Some(8));
    assert_eq!(rows(&place), [3]);
}

#[test]
fn what_continuous_extraction_is_given_is_checked() {
    let place = Place::new();
    for folder in ["telemetry", "runs"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    let of = |more: &[&str]| {
        let args = ["extract", "telemetry", "--out", "datasets"];
        let out = place.loadgen(args.iter().chain(more));
        (out.status.code(), text(&out.stderr))
    };
    let (code, said) = of(&["--wait", "5"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--follow and --runs"), "{said}");
    assert_eq!(of(&["--runs", "runs", "--follow"]).0, Some(2));
    let (code, said) = of(&["--runs", "nowhere"]);
    assert!(code == Some(3) && said.contains("nowhere"), "{said}");
    // Nothing to do.
    assert_eq!(of(&["--runs", "runs"]).0, Some(0));
    place.write("datasets/extraction-state.json", "{}");
    let (code, said) = of(&["--runs", "runs"]);
    assert!(
        code == Some(3) && said.contains("extraction-state.json"),
        "{said}"
    );
}

#[test]
fn a_run_into_the_folder_of_its_own_file_is_refused() {
    let place = Place::new();
    let file = std::fs::read_to_string(scenario("quick.yaml")).unwrap();
    let path = place.write("scenario.yaml", &file);
    let out = place.loadgen(["run", "scenario.yaml", "--out", "."]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(path).unwrap(), file);
    assert!(!place.path("telemetry").exists());
}

#[test]
fn a_wrong_base_url_is_told_as_such() {
    let place = Place::new();
    let file = scenario("default.yaml");
    let out = place.loadgen([
        "plan".as_ref(),
        file.as_os_str(),
        "--base-url".as_ref(),
        "shop:8080".as_ref(),
    ]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stdout));
    assert!(text(&out.stderr).contains("shop:8080"));
}

#[test]
fn extract_names_the_file_that_is_wrong() {
    let place = Place::new();
    let scenario = scenario("default.yaml");
    let args = |timeline: &str| {
        [
            "extract",
            "--traces",
            "none.jsonl",
            "--timeline",
            timeline,
            "--output",
            "d",
        ]
        .map(String::from)
    };
    let out = place.loadgen(args("missing.jsonl"));
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains("none.jsonl"));
    place.write("none.jsonl", "{\"resourceSpans\":[]}\n");
    let out = place.loadgen(args("missing.jsonl"));
    assert_eq!(out.status.code(), Some(3));
    assert!(text(&out.stderr).contains("missing.jsonl"));
    let out = place.loadgen(args(&scenario.to_string_lossy()));
    assert_eq!(out.status.code(), Some(3));
    assert!(
        text(&out.stderr).contains("is not a timeline"),
        "{}",
        text(&out.stderr)
    );
    assert!(!place.path("d").exists());
}

#[test]
fn a_file_that_is_given_twice_is_refused() {
    let place = Place::new();
    place.write("t.jsonl", "{\"resourceSpans\":[]}\n");
    let args = [
        "extract",
        "--traces",
        "t.jsonl",
        "./t.jsonl",
        "--timeline",
        "x",
        "--output",
        "d",
    ];
    let out = place.loadgen(args);
    assert_eq!(out.status.code(), Some(3));
    assert!(
        text(&out.stderr).contains("given twice"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn an_otlp_endpoint_without_a_scheme_is_refused() {
    let place = Place::new();
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    for args in [vec!["run", &file], vec!["shop", "--listen", "127.0.0.1:0"]] {
        let out = place.loadgen(
            args.into_iter()
                .chain(["--otlp-endpoint", "127.0.0.1:4317"]),
        );
        assert_eq!(out.status.code(), Some(2));
        assert!(
            text(&out.stderr).contains("scheme"),
            "{}",
            text(&out.stderr)
        );
    }
}

/// README.md and `loadgen --help` promise these codes.
#[test]
fn what_is_typed_wrong_ends_with_2_and_what_is_in_a_file_with_3() {
    let place = Place::new();
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    place.write("wrong.yaml", "version: 1\n");
    let right = std::fs::read_to_string(&file).unwrap();
    place.write("right.yaml", &right);
    let public = right.replace("target: embedded", "base_url: http://203.0.113.7");
    place.write("public.yaml", &public);
    for (code, args) in [
        (2, "no-such-command"),
        (2, "run"),
        (2, "run right.yaml --no-such-flag"),
        (2, "plan right.yaml --seed x"),
        (2, "plan right.yaml --time-scale 0"),
        (2, "check right.yaml --time-scale -1"),
        (2, "plan right.yaml --scenarios nobody"),
        (2, "plan right.yaml --seed 9007199254740992"),
        (2, "run right.yaml --base-url nowhere"),
        (2, "run right.yaml --shard 0/2"),
        (2, "run right.yaml --engine k6 --workers 2"),
        (2, "run right.yaml --otlp-endpoint 127.0.0.1:4317"),
        (2, "extract right.yaml"),
        (
            2,
            "replay --now --speed 10 --telemetry right.yaml --otlp http://127.0.0.1:1",
        ),
        (2, "compare right.yaml --tolerance 0"),
        (2, "init nowhere"),
        (3, "plan wrong.yaml"),
        // What is wrong with the file has to be mended first.
        (3, "plan wrong.yaml --time-scale 0"),
        (3, "check wrong.yaml"),
        (3, "run absent.yaml"),
        (3, "show absent"),
        (3, "extract absent --out d"),
        (2, "run right.yaml --base-url http://203.0.113.7"),
        (3, "run public.yaml"),
    ] {
        let out = place.loadgen(args.split(' '));
        assert_eq!(
            out.status.code(),
            Some(code),
            "{args}: {}",
            text(&out.stderr)
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let file = scenario("default.yaml");
    let mut child = place.start([
        "plan".as_ref(),
        file.as_os_str(),
        "--format".as_ref(),
        "json".as_ref(),
    ]);
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert!(status.success());
}

#[test]
fn the_program_describes_itself() {
    let place = Place::new();
    for (args, expected) in [
        (vec!["--help"], "Exit codes:"),
        (vec!["run", "--help"], "--time-scale"),
        (vec!["man"], ".TH loadgen"),
        (vec!["completions", "bash"], "complete -F"),
        (vec!["schema", "timeline"], "window_opened"),
        (vec!["schema", "audit"], "traces_without_root"),
        (vec!["schema", "evidence"], "not_enough_data"),
        (vec!["schema", "splits"], "leave_one_fault_out"),
        (vec!["schema", "scenario"], "pre_allocated_vus"),
    ] {
        let out = place.loadgen(&args);
        assert!(out.status.success(), "{args:?}");
        assert!(text(&out.stdout).contains(expected), "{args:?}");
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let place = Place::new();
    let out = place.loadgen(["run", "x.yaml", "--time-scle", "1"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("--time-scale"));
}

#[test]
fn a_run_in_which_nothing_succeeds_is_no_success_and_failing_normal_time_is_told() {
    let place = Place::new();
    let target = Target::start(|_| {
        (
            Duration::from_millis(20),
            "application/json",
            "{}".to_owned(),
        )
    });
    let file = |steps: &str| {
        format!(
            "version: 1\nbase_url: {}\nflows: {{default: {{steps: [{steps}]}}}}\n\
             scenarios: {{calm: {{executor: constant-vus, duration: 1s}}}}\n",
            target.url
        )
    };
    let (good, bad) = ("{path: /a}", "{path: /b, expect: {status: 404}}");
    for (name, steps, code, part) in [
        ("none.yaml", bad.to_owned(), 8, "no request of the run went"),
        (
            "half.yaml",
            format!("{good}, {bad}, {bad}"),
            0,
            "labelled normal",
        ),
        ("all.yaml", good.to_owned(), 0, ""),
    ] {
        place.write(name, &file(&steps));
        let out = place.loadgen(["run", name, "--no-preflight", "--no-client-spans"]);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
        assert_eq!(
            said.contains("did not go as") || code == 8,
            !part.is_empty(),
            "{said}"
        );
    }
}

#[test]
fn completions_and_man_pages_are_of_what_people_type() {
    let place = Place::new();
    let pages = place.loadgen(["man", "--dir", "man"]);
    assert!(pages.status.success(), "{}", text(&pages.stderr));
    assert!(place.path("man/loadgen-run.1").exists());
    assert!(!place.path("man/loadgen-shop-service.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        let out = place.loadgen(["completions", shell]);
        let said = text(&out.stdout);
        assert!(said.contains("campaign"), "{shell}");
        assert!(!said.contains("shop-service"), "{shell}");
    }
}

#[test]
fn an_empty_base_url_is_refused_and_an_empty_variable_is_none() {
    let place = Place::new();
    place.write(
        "file.yaml",
        &std::fs::read_to_string(scenario("quick.yaml")).unwrap(),
    );
    let out = place.loadgen(["plan", "file.yaml", "--base-url", ""]);
    assert_eq!(out.status.code(), Some(2));
    let plan = ["plan", "file.yaml", "--format", "json"];
    let of = |url: &str| {
        let out = place.command(plan).env("BASE_URL", url).output().unwrap();
        let plan: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        plan["target"].clone()
    };
    assert_eq!(of(""), "embedded");
    assert_eq!(of("http://127.0.0.1:1")["base_url"], "http://127.0.0.1:1");
}

#[test]
fn the_folder_of_a_run_stands_for_what_is_in_it() {
    let place = Place::new();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../extract/tests/golden");
    let run = place.path("run");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::copy(golden.join("timeline.jsonl"), run.join("timeline.jsonl")).unwrap();
    let said = |args: &[&str]| {
        let out = place.loadgen(args);
        (out.status.code(), text(&out.stderr))
    };
    // What the Collector wrote is elsewhere.
    let (code, why) = said(&["extract", "run"]);
    assert!(code == Some(3) && why.contains("telemetry"), "{why}");
    let traces = golden.join("traces-1.jsonl");
    let traces = traces.to_str().unwrap();
    let (code, why) = said(&["extract", "run", traces]);
    assert!(matches!(code, Some(0 | 7 | 8)), "{code:?} {why}");
    assert!(run.join("dataset").is_dir());
    // Or in the run.
    std::fs::create_dir(run.join("telemetry")).unwrap();
    std::fs::copy(traces, run.join("telemetry/traces.jsonl")).unwrap();
    let (again, why) = said(&["extract", "run", "--out", "other"]);
    assert_eq!(again, code, "{why}");
    let (audit, why) = said(&["audit", "run"]);
    assert_eq!(audit, code, "{why}");
    let (code, why) = said(&["extract", traces]);
    assert!(code == Some(2) && why.contains("--out"), "{why}");
}

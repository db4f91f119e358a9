//! A run's telemetry, scored by a real model beside the run and after it.
#![cfg(feature = "detect")]

#[path = "it/program/mod.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use program::collector::{Collector, free_ports};
use program::{Place, json_lines, kill, scenario, text, until};

/// `sum.onnx` of the crate `detect`, half of its first feature and twice its second, with a contract of
/// its own.
fn model(place: &Place, first: &str, threshold: f64) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../detect/tests/model/sum.onnx");
    fs::copy(from, place.path("model.onnx")).unwrap();
    let contract = format!(
        r#"{{"version": 1, "bucket_seconds": 5, "threshold": {threshold}, "features": [
            {{"name": "{first}", "fill": 0}}, {{"name": "web.server_errors", "fill": 0}}]}}"#
    );
    place.write("model.json", &contract);
    place.path("model.onnx")
}

/// Scores and alerts by start of their bucket.
fn scores(path: &Path) -> BTreeMap<i64, (f64, u8)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let rows = reader.deserialize::<(String, i64, f64, u8, i64)>();
    rows.map(|row| {
        let (run_id, start_ns, score, alert, _) = row.unwrap();
        assert_eq!(run_id.len(), 32);
        (start_ns, (score, alert))
    })
    .collect()
}

#[test]
fn a_run_is_scored_while_it_goes_on_as_it_is_afterwards() {
    let place = Place::new();
    let model = model(&place, "web.server_count", 40.0);
    let model = model.to_string_lossy();
    let mut alarms = Collector::start_in(&place, "alarms", None, free_ports());
    let file = scenario("quick.yaml").to_string_lossy().into_owned();
    let args = [
        "run",
        &file,
        "--time-scale",
        "0.5",
        "--no-extract",
        "--quiet",
    ];
    let run = place.start(args.iter().copied().chain(["--out", "run"]));
    until("a run", || place.path("run/timeline.jsonl").exists());
    let to = alarms.endpoint();
    let live = [
        "detect", "--model", &model, "--follow", "run", "--out", "live.csv",
    ];
    let detector = place.start(
        live.iter()
            .chain(&["--otlp", &to, "--otlp-protocol", "grpc"]),
    );
    let (code, said) = program::end(run);
    assert!([Some(0), Some(6)].contains(&code), "{said}");
    let (code, said) = program::end(detector);
    assert_eq!(code, Some(0), "{said}");
    alarms.stop();

    let out = place.loadgen(["detect", "--model", &model, "run", "--out", "after.csv"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let [live, after] = ["live.csv", "after.csv"].map(|name| scores(&place.path(name)));
    assert!(after.len() >= 6 && after.values().any(|(score, _)| *score > 0.0));
    // Late values alone may make a difference, and are told.
    if !said.contains("came after their bucket") {
        assert_eq!(live, after);
    }
    assert_eq!(
        live.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    assert!(
        live.values()
            .all(|(score, alert)| (*score > 40.0) == (*alert == 1))
    );

    // What was said by OTLP is what is in the rows.
    let points = |path: &str| json_lines(&place.path(path));
    let gauges = points("alarms/metrics.jsonl").into_iter().flat_map(|line| {
        let metric = &line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
        assert_eq!(metric["name"], "anomaly.score");
        metric["gauge"]["dataPoints"].as_array().unwrap().clone()
    });
    let gauges: BTreeMap<i64, f64> = gauges
        .map(|point| {
            let start = point["startTimeUnixNano"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            (start, point["asDouble"].as_f64().unwrap_or(0.0))
        })
        .collect();
    assert_eq!(
        gauges,
        live.iter().map(|(at, (score, _))| (*at, *score)).collect()
    );
    let alerts = points("alarms/logs.jsonl").len();
    assert_eq!(
        alerts,
        live.values().filter(|(_, alert)| *alert == 1).count()
    );
}

#[test]
fn a_model_that_does_not_fit_is_refused_before_anything_is_read() {
    let place = Place::new();
    fs::create_dir(place.path("run")).unwrap();
    let model = model(&place, "web.label", 1.0);
    let model = model.to_string_lossy();
    let out = place.loadgen(["detect", "--model", &model, "run"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(
        said.contains("model.json") && said.contains("web.label"),
        "{said}"
    );
    let out = place.loadgen(["detect", "--model", "missing.onnx", "run"]);
    assert_eq!(out.status.code(), Some(3), "{}", text(&out.stderr));
}

#[test]
fn a_signal_ends_detection_in_good_order() {
    let place = Place::new();
    fs::create_dir(place.path("telemetry")).unwrap();
    let model = model(&place, "web.server_count", 1.0);
    let args = [
        "detect",
        "--follow",
        "telemetry",
        "--out",
        "scores.csv",
        "--model",
    ];
    let detector = place.start(args.iter().copied().chain([&*model.to_string_lossy()]));
    // Signals are heard before it is made.
    until("the scores", || place.path("scores.csv").exists());
    kill("-INT", detector.id());
    let (code, said) = program::end(detector);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("0 buckets"), "{said}");
}

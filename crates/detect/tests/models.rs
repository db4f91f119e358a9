//! Real models, made by `model/make.py`, and what they are said to take.
#![cfg(feature = "onnx")]

use std::path::{Path, PathBuf};

use loadgen_detect::{Contract, Detector, Model, Score};
use loadgen_extract::live::{LiveBucket, columns};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/model")
        .join(name)
}

/// A contract with so many features and buckets.
fn contract(features: &[&str], history: usize) -> Contract {
    let feature = |name: &&str| format!(r#"{{"name": "web.{name}", "fill": 1.5}}"#);
    let features: Vec<String> = features.iter().map(feature).collect();
    let text = format!(
        r#"{{"version": 1, "bucket_seconds": 5, "history": {history}, "threshold": 6, "features": [{}]}}"#,
        features.join(", ")
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    std::fs::write(&path, text).unwrap();
    Contract::read(&path).unwrap()
}

fn bucket(start_ns: i64, count: f64, errors: Option<f64>) -> LiveBucket {
    let value = |name: &&str| match *name {
        "server_count" => Some(count),
        "server_errors" => errors,
        _ => None,
    };
    let values = columns().iter().map(value).collect();
    LiveBucket {
        start_ns,
        services: [("web".to_owned(), values)].into(),
    }
}

const TWO: [&str; 2] = ["server_count", "server_errors"];

#[test]
fn a_model_scores_buckets_in_the_order_of_its_features() {
    let contract = contract(&TWO, 1);
    let model = Model::load(&file("sum.onnx"), &contract).unwrap();
    let mut detector = Detector::new(model, &contract);
    let mut score = |count, errors| {
        let scored = detector.score(&bucket(5, count, errors)).unwrap();
        (scored.score, scored.alert)
    };
    assert_eq!(score(3.0, Some(1.0)), (3.5, false));
    assert_eq!(score(6.0, None), (6.0, false));
    assert_eq!(score(6.0, Some(2.0)), (7.0, true));
}

#[test]
fn a_model_with_history_sees_the_last_buckets() {
    let contract = contract(&TWO, 3);
    let model = Model::load(&file("history.onnx"), &contract).unwrap();
    let mut detector = Detector::new(model, &contract);
    let mut score = |count| detector.score(&bucket(5, count, Some(0.0))).unwrap().score;
    // Before the first there was nothing else than in it.
    assert_eq!([2.0, 4.0, 6.0, 8.0].map(&mut score), [3.0, 4.0, 6.0, 9.0]);
}

#[test]
fn a_model_that_does_not_fit_is_told_by_name_and_reason() {
    let three = ["server_count", "server_errors", "cpu"];
    let refused = |name: &str, contract: &Contract| {
        let error = Model::load(&file(name), contract).expect_err("refused");
        let words = error.to_string();
        assert!(words.contains(name), "{words}");
        words
    };
    assert!(refused("sum.onnx", &contract(&three, 1)).contains("[1, 3]"));
    assert!(refused("sum.onnx", &contract(&TWO, 3)).contains("[1, 3, 2]"));
    assert!(refused("two_outputs.onnx", &contract(&TWO, 1)).contains("2 outputs"));
    assert!(refused("wide.onnx", &contract(&TWO, 1)).contains("2 numbers"));
    assert!(refused("make.py", &contract(&TWO, 1)).contains("no model"));
    assert!(refused("missing.onnx", &contract(&TWO, 1)).contains("no model"));
}

#[test]
fn a_number_that_is_none_is_no_score() {
    let contract = contract(&TWO, 1);
    let mut model = Model::load(&file("sum.onnx"), &contract).unwrap();
    assert!(model.score(&[f32::INFINITY, 0.0]).is_err());
}

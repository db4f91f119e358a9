//! Inputs that fuzzing found worth keeping: each is a plan, or errors that say something.

use std::fs;
use std::path::Path;

use loadgen_scenario::{PlanOptions, plan_str};

#[test]
fn every_input_is_a_plan_or_has_errors() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/scenario");
    let (mut plans, mut refused) = (0, 0);
    for entry in fs::read_dir(corpus).expect("a corpus") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("readable");
        let Ok(text) = std::str::from_utf8(&bytes) else {
            continue;
        };
        match plan_str("corpus.yaml", text, &PlanOptions::default()) {
            Ok(_) => plans += 1,
            Err(errors) => {
                refused += 1;
                assert!(!errors.to_string().is_empty());
            }
        }
    }
    assert!(plans > 0 && refused > 0);
}

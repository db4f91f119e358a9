//! The scenario parser: a plan or errors with places in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use loadgen_scenario::{PlanOptions, plan_str};

fuzz_target!(|content: &[u8]| {
    let Ok(text) = std::str::from_utf8(content) else {
        return;
    };
    match plan_str("fuzz.yaml", text, &PlanOptions::default()) {
        Ok(plan) => assert!(!plan.scenarios.is_empty()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
});

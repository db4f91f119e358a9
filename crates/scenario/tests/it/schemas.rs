//! The schemas under `docs/schema` are those of the types. `UPDATE_SCHEMAS=1 cargo test -p
//! loadgen-scenario schemas::` rewrites them.

use std::path::Path;

use loadgen_scenario::{file_json_schema, plan_json_schema};
use serde_json::Value;

fn committed(name: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/schema")
        .join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} is out of date: run with UPDATE_SCHEMAS=1"
    );
}

#[test]
fn scenario_schema_is_committed() {
    committed("scenario.schema.json", &file_json_schema());
}

#[test]
fn plan_schema_is_committed() {
    committed("plan.schema.json", &plan_json_schema());
}

#[test]
fn k6_spellings_are_in_the_schema() {
    let schema = file_json_schema();
    let properties = &schema["definitions"]["ScenarioSpec"]["properties"];
    for name in [
        "startTime",
        "preAllocatedVUs",
        "maxVUs",
        "startVUs",
        "gracefulRampDown",
    ] {
        assert!(properties[name].is_object(), "{name}");
    }
    assert_eq!(
        properties["startVUs"]["type"],
        properties["start_vus"]["type"]
    );
}

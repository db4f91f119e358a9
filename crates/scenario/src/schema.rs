//! JSON Schemas of the scenario file (for editors) and of the plan (for other engines), generated
//! from the types and committed under `docs/schema`.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::file::ScenarioFile;
use crate::plan::Plan;

/// JSON Schema (draft 7, which editors know best) of a scenario file.
pub fn file_json_schema() -> Value {
    draft07::<ScenarioFile>()
}

/// JSON Schema (draft 7) of a plan, the output of `loadgen plan --format json`.
pub fn plan_json_schema() -> Value {
    draft07::<Plan>()
}

fn draft07<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

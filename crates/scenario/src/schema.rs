//! JSON Schemas of the scenario file (for editors) and of the plan (for other engines), generated
//! from the types and committed under `docs/schema`.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::file::{K6_SPELLINGS, ScenarioFile};
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

/// Adds k6's spelling of each option to a scenario's schema.
pub(crate) fn add_k6_spellings(schema: &mut Schema) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    let aliases: Map<String, Value> = K6_SPELLINGS
        .iter()
        .filter_map(|(ours, k6)| {
            let mut property = properties.get(*ours)?.clone();
            property.as_object_mut()?.insert(
                "description".to_owned(),
                json!(format!("k6's spelling of `{ours}`.")),
            );
            Some(((*k6).to_owned(), property))
        })
        .collect();
    properties.extend(aliases);
}

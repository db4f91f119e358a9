//! Options of scenarios that k6 spells otherwise; a pasted k6 block is read, too.

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Options that k6 spells otherwise: ours and k6's.
const K6_SPELLINGS: [(&str, &str); 9] = [
    ("start_time", "startTime"),
    ("graceful_stop", "gracefulStop"),
    ("max_duration", "maxDuration"),
    ("start_vus", "startVUs"),
    ("graceful_ramp_down", "gracefulRampDown"),
    ("time_unit", "timeUnit"),
    ("start_rate", "startRate"),
    ("pre_allocated_vus", "preAllocatedVUs"),
    ("max_vus", "maxVUs"),
];

/// k6's spelling of an option, where it differs.
pub(crate) fn k6_spelling(name: &str) -> Option<&'static str> {
    K6_SPELLINGS
        .iter()
        .find(|(ours, _)| *ours == name)
        .map(|(_, k6)| *k6)
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

//! The schema that is shipped is that of the types. `UPDATE_SCHEMAS=1` writes it anew.

use std::path::Path;

#[test]
fn the_shipped_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/evidence.schema.json");
    let schema = serde_json::to_value(loadgen_evidence::evidence_json_schema()).unwrap();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    let shipped: Option<serde_json::Value> = serde_json::from_str(&shipped).ok();
    // Not assert_eq: what differs is better seen with git. The order of keys depends on features.
    assert!(
        shipped == Some(schema),
        "run with UPDATE_SCHEMAS=1 to write {} anew",
        path.display()
    );
}

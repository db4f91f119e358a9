//! The schema that is shipped is that of the types. `UPDATE_SCHEMAS=1` writes it anew.

use std::path::Path;

#[test]
fn the_shipped_schema_is_that_of_the_types() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/comparison.schema.json");
    let schema = loadgen_compare::comparison_json_schema();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let shipped: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default())
            .unwrap_or_default();
    assert_eq!(
        shipped,
        schema,
        "run with UPDATE_SCHEMAS=1 to write {} anew",
        path.display()
    );
}

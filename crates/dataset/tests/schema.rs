//! The schema that is shipped is that of the type. `UPDATE_SCHEMAS=1` writes it anew.

use std::path::Path;

#[test]
fn the_shipped_schema_of_the_splits_is_that_of_the_type() {
    let schema = loadgen_dataset::splits_json_schema();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let path = folder.join("splits.schema.json");
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        std::fs::write(&path, text).expect("written");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let shipped: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(
        shipped,
        schema,
        "run with UPDATE_SCHEMAS=1 to write {} anew",
        path.display()
    );
}

//! The schemas that are shipped are those of the types. `UPDATE_SCHEMAS=1` writes them anew.

use std::path::Path;

fn check(name: &str, schema: &serde_json::Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let path = folder.join(format!("{name}.schema.json"));
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let shipped: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default())
            .unwrap_or_default();
    assert_eq!(
        &shipped,
        schema,
        "run with UPDATE_SCHEMAS=1 to write {} anew",
        path.display()
    );
}

#[test]
fn the_shipped_schemas_are_those_of_the_types() {
    check("timeline", &loadgen_timeline::timeline_json_schema());
    check("audit", &loadgen_timeline::audit::audit_json_schema());
    check(
        "causal-graph",
        &loadgen_timeline::causal::causal_graph_json_schema(),
    );
    check("columns", &loadgen_timeline::columns::columns_json_schema());
}

//! The dictionary of a dataset's columns: `columns_STAMP.json`. Its JSON schema is
//! `docs/schema/columns.schema.json`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the form, raised when a reader of the old form would misread the new.
pub const COLUMNS_SCHEMA_VERSION: u32 = 1;

/// The JSON schema of [`ColumnDictionary`].
pub fn columns_json_schema() -> serde_json::Value {
    schemars::schema_for!(ColumnDictionary).to_value()
}

/// All columns of a dataset's tables, as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnDictionary {
    /// [`COLUMNS_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// By table, such as `traces_labeled`: its columns in their order.
    pub tables: BTreeMap<String, Vec<ColumnEntry>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnEntry {
    /// Its name.
    pub name: String,
    /// The type of its values in Parquet, as in `docs/dataset-format.md`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The unit of its values; none: they have none, or another in each row.
    pub unit: Option<String>,
    /// What its values mean.
    pub meaning: String,
    /// When it is null; `never`.
    pub null: String,
}

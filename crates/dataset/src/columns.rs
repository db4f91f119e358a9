//! The dictionary of columns: what each column of each table holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_schema::{Field, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::cases;
use crate::error::BuildError;
use crate::out::read_error;
use crate::read::malformed;
use crate::requests;
use crate::schema::{OWN_COLUMNS, type_name};
use crate::tables::{REQUESTS, Run, Tables};

/// Version of the form of `columns.json`, that of the extractions' own dictionaries.
pub(crate) const COLUMNS_SCHEMA_VERSION: u32 = 1;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ColumnFacts {
    pub(crate) name: String,
    /// Its type, in the words of `docs/dataset-format.md`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its unit; none: it has none, or its meaning says it.
    pub(crate) unit: Option<String>,
    pub(crate) meaning: String,
    /// When it is null; `never`.
    pub(crate) null: String,
}

/// Columns by table.
pub(crate) type Dictionary = BTreeMap<String, Vec<ColumnFacts>>;

/// The dictionary of all tables and of the index: types and meanings from the files themselves,
/// unit and nulls from the dictionaries of the runs where these have one.
pub(crate) fn dictionary(
    runs: &[Run],
    tables: &Tables,
    index: &Schema,
) -> Result<Dictionary, BuildError> {
    let known = known(runs)?;
    let mut dictionary = Dictionary::new();
    for (table, copied) in &tables.tables {
        let of_table = known.get(table);
        dictionary.insert(table.clone(), facts(&copied.schema, of_table));
    }
    let mut of_index = facts(index, known.get("windows"));
    for column in cases::added() {
        let named = of_index.iter_mut().find(|of| of.name == column.name());
        if let Some(of) = named {
            column.null.clone_into(&mut of.null);
        }
    }
    dictionary.insert(cases::CASES.to_owned(), of_index);
    if let Some(of_requests) = dictionary.get_mut(REQUESTS) {
        for column in requests::columns() {
            let named = of_requests.iter_mut().find(|of| of.name == column.name);
            if let Some(of) = named {
                column.null.clone_into(&mut of.null);
            }
        }
    }
    Ok(dictionary)
}

/// What dictionaries say of a column by its name.
type Known = BTreeMap<String, Value>;

fn facts(schema: &Schema, known: Option<&Known>) -> Vec<ColumnFacts> {
    let facts = |field: &Field| {
        let said = known.and_then(|known| known.get(field.name()));
        let text = |key: &str| {
            let text = said.and_then(|said| said.get(key)?.as_str());
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let described = field.metadata().get("description").cloned();
        let own = OWN_COLUMNS.iter().find(|own| own.name == field.name());
        let null = match field.is_nullable() {
            false => "never".to_owned(),
            true => match text("null") {
                Some(null) if null != "never" => null,
                // Null only where a run has no such column.
                Some(_) => "a run whose dataset has no such column".to_owned(),
                None => own.and_then(|own| own.null).unwrap_or_default().to_owned(),
            },
        };
        ColumnFacts {
            name: field.name().clone(),
            kind: text("type").unwrap_or_else(|| type_name(field.data_type()).to_owned()),
            unit: text("unit").or_else(|| unit(field.name()).map(str::to_owned)),
            meaning: text("meaning").or(described).unwrap_or_default(),
            null,
        }
    };
    schema.fields().iter().map(|field| facts(field)).collect()
}

/// The unit that the end of a column's name says.
fn unit(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('_')?;
    match end {
        "ns" => Some("ns"),
        "ms" => Some("ms"),
        "s" => Some("s"),
        _ => None,
    }
}

/// What the runs' own dictionaries say, by table and column; of several the first.
fn known(runs: &[Run]) -> Result<BTreeMap<String, Known>, BuildError> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for run in runs {
        let Some(path) = run.input.documents.get("columns") else {
            continue;
        };
        let document = read(path)?;
        let tables = document.get("tables").unwrap_or(&document);
        for (table, columns) in tables.as_object().into_iter().flatten() {
            let of_table = known.entry(table.clone()).or_default();
            for column in columns.as_array().into_iter().flatten() {
                if let Some(name) = column.get("name").and_then(Value::as_str) {
                    of_table
                        .entry(name.to_owned())
                        .or_insert_with(|| column.clone());
                }
            }
        }
    }
    Ok(known)
}

fn read(path: &Path) -> Result<Value, BuildError> {
    let text = fs::read(path).map_err(|source| read_error(path, source))?;
    serde_json::from_slice(&text).map_err(|error| malformed(path, error))
}

//! The dictionary of columns, from the definitions that the tables are made from.

use std::collections::BTreeMap;

use loadgen_timeline::columns::{COLUMNS_SCHEMA_VERSION, ColumnDictionary, ColumnEntry};

use super::rows::Columns;
use super::table::{Column, Kind, Table};
use super::wide::{MetricsWide, NO_POINT, WideColumns};

/// Collects the columns of tables.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    tables: BTreeMap<String, Vec<ColumnEntry>>,
}

impl Dictionary {
    /// Adds the columns of a table that are written.
    pub(crate) fn add<T: Table>(&mut self, columns: &Columns<T>) {
        let entries = columns.columns().iter().map(entry).collect();
        self.tables.insert(T::NAME.to_owned(), entries);
    }

    /// Adds those of the wide table.
    pub(crate) fn add_wide(&mut self, columns: &WideColumns) {
        let mut entries: Vec<ColumnEntry> = MetricsWide::columns().iter().map(entry).collect();
        let labels = entries.split_off(1);
        entries.extend(columns.series().iter().map(|column| ColumnEntry {
            name: column.name.clone(),
            kind: Kind::Double.name().to_owned(),
            unit: Some(column.unit.clone()).filter(|unit| !unit.is_empty()),
            meaning: column.meaning.clone(),
            null: NO_POINT.to_owned(),
        }));
        entries.extend(labels);
        self.tables.insert(MetricsWide::NAME.to_owned(), entries);
    }

    pub(crate) fn finish(self) -> ColumnDictionary {
        ColumnDictionary {
            schema_version: COLUMNS_SCHEMA_VERSION,
            tables: self.tables,
        }
    }
}

fn entry<T: Table>(column: &Column<T>) -> ColumnEntry {
    ColumnEntry {
        name: column.name.to_owned(),
        kind: column.kind.name().to_owned(),
        unit: unit(column.name, column.kind).map(str::to_owned),
        meaning: column.meaning.to_owned(),
        null: column.null.to_owned(),
    }
}

/// The unit of a column's values, which its kind or the end of its name says.
fn unit(name: &str, kind: Kind) -> Option<&'static str> {
    match (kind, name) {
        (Kind::UnixNanos | Kind::Nanos, _) => Some("ns"),
        (Kind::Milliseconds, _) => Some("ms"),
        (Kind::Int64, "time") => Some("s"),
        (Kind::Double, "rate_per_s") => Some("1/s"),
        (Kind::Double, "cpu") => Some("processors"),
        (Kind::Double, name) if name.ends_with("_s") => Some("s"),
        (Kind::Json, name) if name.ends_with("_ms") => Some("ms"),
        _ => None,
    }
}

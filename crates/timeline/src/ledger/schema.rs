//! The columns of a ledger: those of version 1, and one more since version 2.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_ipc::{Endianness, root_as_message};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

/// Version of the ledger's form, raised when a reader of the old form would misread the new.
pub const LEDGER_SCHEMA_VERSION: u32 = 2;

/// Key of the version in the metadata of the Arrow schema.
pub(super) const VERSION_KEY: &str = "loadgen.schema_version";
/// Key of the run's name there.
pub(super) const RUN_ID_KEY: &str = "loadgen.run_id";

/// Of all rows of a batch the same; not part of what it stands for.
pub(super) const CHECKSUM: &str = "batch_checksum";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// One of a few names: a dictionary. The first such column has the dictionary 0.
    Name,
    U16,
    U64,
    I64,
}

/// Name, kind, and whether it can be null.
type Column = (&'static str, Kind, bool);

/// The columns of version 2. Version 1 lacks the last one.
pub(super) const COLUMNS: [Column; 14] = [
    ("trace_id", Kind::Text, false),
    ("span_id", Kind::Text, false),
    ("scenario", Kind::Name, false),
    ("iteration", Kind::U64, false),
    ("flow", Kind::Name, false),
    ("step", Kind::Name, false),
    ("step_index", Kind::U16, false),
    ("intended_ns", Kind::I64, false),
    ("sent_ns", Kind::I64, false),
    ("finished_ns", Kind::I64, false),
    ("status", Kind::U16, true),
    ("failure", Kind::Name, true),
    ("path", Kind::Text, false),
    (CHECKSUM, Kind::U64, false),
];

/// Dictionaries of a ledger.
pub(super) const DICTIONARIES: usize = 4;

/// The form of a ledger.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) version: u32,
    pub(super) columns: &'static [Column],
    /// With the numbers of the dictionaries, which a decoder needs.
    pub(super) schema: SchemaRef,
}

impl Layout {
    pub(super) fn version_1() -> &'static Self {
        static LAYOUT: LazyLock<Layout> =
            LazyLock::new(|| Layout::new(1, &COLUMNS[..COLUMNS.len() - 1]));
        &LAYOUT
    }

    pub(super) fn version_2() -> &'static Self {
        static LAYOUT: LazyLock<Layout> = LazyLock::new(|| Layout::new(2, &COLUMNS));
        &LAYOUT
    }

    /// The form of a batch with that many columns.
    pub(super) fn with_columns(count: usize) -> Option<&'static Self> {
        [Self::version_1(), Self::version_2()]
            .into_iter()
            .find(|layout| layout.columns.len() == count)
    }

    fn new(version: u32, columns: &'static [Column]) -> Self {
        let plain = Schema::new(fields(columns));
        // Numbers of dictionaries are given when a schema is encoded, and are in no other place.
        let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
            &plain,
            &mut DictionaryTracker::new(false),
            &IpcWriteOptions::default(),
        );
        let numbered = root_as_message(&encoded.ipc_message)
            .ok()
            .and_then(|message| try_fb_to_schema(message.header_as_schema()?).ok());
        Self {
            version,
            columns,
            schema: Arc::new(numbered.unwrap_or(plain)),
        }
    }
}

/// The schema that a new ledger of a run begins with.
pub(super) fn of_run(run_id: &str) -> Schema {
    let metadata = HashMap::from([
        (VERSION_KEY.to_owned(), LEDGER_SCHEMA_VERSION.to_string()),
        (RUN_ID_KEY.to_owned(), run_id.to_owned()),
    ]);
    Schema::new(fields(&COLUMNS)).with_metadata(metadata)
}

fn fields(columns: &[Column]) -> Vec<Field> {
    let name = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
    let field = |&(column, kind, nullable): &Column| {
        let data_type = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Name => name.clone(),
            Kind::U16 => DataType::UInt16,
            Kind::U64 => DataType::UInt64,
            Kind::I64 => DataType::Int64,
        };
        Field::new(column, data_type, nullable)
    };
    columns.iter().map(field).collect()
}

/// What a file says of itself at its beginning.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// None: it has not the columns of a ledger.
    pub(super) layout: Option<&'static Layout>,
    pub(super) version: Option<u32>,
    pub(super) run_id: Option<String>,
}

impl Head {
    pub(super) fn of(schema: arrow_ipc::Schema<'_>) -> Self {
        // Numbers of another byte order would be read as what they are not.
        let is_readable = schema.endianness() == Endianness::Little;
        let Some(schema) = try_fb_to_schema(schema).ok().filter(|_| is_readable) else {
            return Self::default();
        };
        let columns = |schema: &Schema| -> Vec<(String, DataType)> {
            let fields = schema.fields().iter();
            fields
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect()
        };
        let layout = Layout::with_columns(schema.fields().len());
        let metadata = |key: &str| schema.metadata().get(key).cloned();
        Self {
            layout: layout.filter(|layout| columns(&layout.schema) == columns(&schema)),
            version: metadata(VERSION_KEY).and_then(|text| text.parse().ok()),
            run_id: metadata(RUN_ID_KEY),
        }
    }

    /// Whether it says all that a ledger of its version says.
    pub(super) fn is_whole(&self) -> bool {
        self.layout.is_some_and(|layout| match layout.version {
            1 => true,
            version => self.version == Some(version) && self.run_id.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layout_knows_its_own_schema() {
        for layout in [Layout::version_1(), Layout::version_2()] {
            let names = layout.columns.iter().filter(|c| c.1 == Kind::Name).count();
            assert_eq!(names, DICTIONARIES);
            let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
                &layout.schema,
                &mut DictionaryTracker::new(false),
                &IpcWriteOptions::default(),
            );
            let message = root_as_message(&encoded.ipc_message).unwrap();
            let head = Head::of(message.header_as_schema().unwrap());
            assert_eq!(head.layout.unwrap().version, layout.version);
            // Without its metadata only that of version 1 says all.
            assert_eq!(head.is_whole(), layout.version == 1);
        }
    }
}

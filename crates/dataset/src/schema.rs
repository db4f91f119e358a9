//! One form of a table for all runs, so that every reader takes its parts as one (pure but for the
//! files that errors name).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::BuildError;
use crate::splits::{RunSplits, Split};

/// A column that each table begins with.
pub(crate) struct OwnColumn {
    pub(crate) name: &'static str,
    kind: fn() -> DataType,
    meaning: &'static str,
    /// When it is null; none: never.
    pub(crate) null: Option<&'static str>,
}

/// A type as the docs call it.
pub(crate) fn type_name(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "boolean",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt64 => "uint64",
        DataType::Float64 => "double",
        DataType::Timestamp(..) => "timestamp (ns, UTC)",
        DataType::List(_) => "list of strings",
        _ => "string",
    }
}

#[cfg(test)]
impl OwnColumn {
    /// Its name, type, meaning, and when it is null, as the docs say them.
    pub(crate) fn told(&self) -> [&'static str; 4] {
        let kind = type_name(&(self.kind)());
        [self.name, kind, self.meaning, self.null.unwrap_or("never")]
    }
}

/// The columns that each table begins with.
pub(crate) const OWN_COLUMNS: [OwnColumn; 4] = [
    OwnColumn {
        name: "run_id",
        kind: name_type,
        meaning: "the run: 32 lower-case hexadecimal digits",
        null: None,
    },
    OwnColumn {
        name: "episode_id",
        kind: name_type,
        meaning: "the episode: the run's id, `-e`, and a number from 0000 in the order of time",
        null: Some("nothing says when the row is"),
    },
    OwnColumn {
        name: "fold",
        kind: || DataType::Int32,
        meaning: "fold of the episode, 0 to 4",
        null: Some("no episode"),
    },
    OwnColumn {
        name: "split",
        kind: || DataType::Utf8,
        meaning: "what the row is for: `train`, `validation` or `test`",
        null: Some(
            "no episode; within the embargo; a window without an anomaly that is in several splits",
        ),
    },
];

/// Where a row is: its episode and its split.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Placed {
    /// None: nothing says when the row is.
    pub(crate) episode: Option<usize>,
    /// None: the row is in no split.
    pub(crate) split: Option<Split>,
}

/// Rows in a row group, as in the tables of an extraction.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// A table of one run.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) schema: SchemaRef,
    pub(crate) metadata: Arc<ParquetMetaData>,
}

/// The columns of a table over all runs: those of `parts`, in the order of the part that has most
/// of them, each other one behind the one that it follows where it is.
pub(crate) fn union(table: &str, parts: &[Part]) -> Result<SchemaRef, BuildError> {
    let widest = (0..parts.len())
        .rev()
        .max_by_key(|&part| parts[part].schema.fields().len());
    let order = widest.into_iter().chain(0..parts.len());
    let mut fields: Vec<(Field, &Path)> = Vec::new();
    for part in order.map(|part| &parts[part]) {
        let mut behind = 0;
        for field in part.schema.fields() {
            match fields
                .iter()
                .position(|(known, _)| known.name() == field.name())
            {
                Some(place) => {
                    let (known, first) = &fields[place];
                    let kind = common(known.data_type(), field.data_type());
                    let kind = kind.ok_or_else(|| BuildError::Types {
                        column: format!("{table}.{}", field.name()),
                        one: known.data_type().to_string(),
                        other: field.data_type().to_string(),
                        first: first.to_path_buf(),
                        second: part.path.clone(),
                    })?;
                    let nullable = known.is_nullable() || field.is_nullable();
                    let merged = known.clone().with_data_type(kind).with_nullable(nullable);
                    fields[place].0 = merged;
                    behind = place + 1;
                }
                None => {
                    fields.insert(behind, (field.as_ref().clone(), &part.path));
                    behind += 1;
                }
            }
        }
    }
    let is_own = |field: &Field| OWN_COLUMNS.iter().any(|own| own.name == field.name());
    let rest = fields.into_iter().map(|(field, _)| field);
    let rest = rest.filter(|field| !is_own(field)).map(|field| {
        let everywhere = parts
            .iter()
            .all(|part| part.schema.field_with_name(field.name()).is_ok());
        let nullable = field.is_nullable() || !everywhere;
        field.with_nullable(nullable)
    });
    Ok(Arc::new(Schema::new(
        own_fields().into_iter().chain(rest).collect::<Vec<_>>(),
    )))
}

/// The columns that each table begins with.
pub(crate) fn own_fields() -> [Field; OWN_COLUMNS.len()] {
    OWN_COLUMNS.map(|own| {
        let description = ("description".to_owned(), own.meaning.to_owned());
        Field::new(own.name, (own.kind)(), own.null.is_some())
            .with_metadata(HashMap::from([description]))
    })
}

/// The values of [`OWN_COLUMNS`] of rows of one run. `ids` are those of its episodes.
pub(crate) fn own_values(
    run_id: &str,
    ids: &[String],
    splits: &RunSplits,
    placed: &[Placed],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let runs = names([run_id], std::iter::repeat_n(Some(0), placed.len()))?;
    let episodes = names(ids, placed.iter().map(|row| row.episode))?;
    let fold = |row: &Placed| i32::try_from(splits.fold(row.episode?)).ok();
    let folds = Int32Array::from_iter(placed.iter().map(fold));
    let name = |row: &Placed| row.split.map(Split::name);
    let splits = StringArray::from_iter(placed.iter().map(name));
    Ok(vec![runs, episodes, Arc::new(folds), Arc::new(splits)])
}

/// The type of the names of runs and episodes: that which Arrow gives to what it reads from the
/// path of a partition. With any other, a folder of parts could not be read as one by it.
fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A column of names: of each row the position of its name.
fn names(
    all: impl IntoIterator<Item = impl AsRef<str>>,
    of_rows: impl IntoIterator<Item = Option<usize>>,
) -> Result<ArrayRef, ArrowError> {
    let keys = of_rows
        .into_iter()
        .map(|name| name.and_then(|name| i32::try_from(name).ok()));
    let keys = Int32Array::from_iter(keys);
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(all));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
        keys, values,
    )?))
}

/// A type that holds the values of both; none: there is none.
fn common(one: &DataType, other: &DataType) -> Option<DataType> {
    use DataType::{Float64, Int32, Int64, Null};
    match (one, other) {
        (one, other) if one == other => Some(one.clone()),
        (Null, kind) | (kind, Null) => Some(kind.clone()),
        (Int32, Int64) | (Int64, Int32) => Some(Int64),
        (Int32 | Int64, Float64) | (Float64, Int32 | Int64) => Some(Float64),
        _ => None,
    }
}

/// A column in the type that it has over all runs.
pub(crate) fn widened(column: Option<&ArrayRef>, kind: &DataType, rows: usize) -> ArrayRef {
    let Some(column) = column else {
        return new_null_array(kind, rows);
    };
    let int32 = || column.as_primitive_opt::<Int32Type>();
    let int64 = || column.as_primitive_opt::<Int64Type>();
    match kind {
        same if column.data_type() == same => column.clone(),
        DataType::Int64 if int32().is_some() => {
            let values = int32().into_iter().flatten().map(|v| v.map(i64::from));
            Arc::new(Int64Array::from_iter(values))
        }
        DataType::Float64 if int32().is_some() => {
            let values = int32().into_iter().flatten().map(|v| v.map(f64::from));
            Arc::new(Float64Array::from_iter(values))
        }
        DataType::Float64 if int64().is_some() => {
            let values = int64().into_iter().flatten().map(|v| v.map(|v| v as f64));
            Arc::new(Float64Array::from_iter(values))
        }
        _ => new_null_array(kind, column.len()),
    }
}

/// How the parts are written: each column as in the first part that has rows of it.
pub(crate) fn properties(parts: &[Part]) -> WriterProperties {
    let mut seen: BTreeMap<String, Encoded> = BTreeMap::new();
    for group in parts
        .iter()
        .filter_map(|part| part.metadata.row_groups().first())
    {
        for column in group.columns() {
            let has_dictionary = column.dictionary_page_offset().is_some();
            let has_differences = column
                .encodings()
                .any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED);
            let path = column.column_path().string();
            seen.entry(path).or_insert(Encoded {
                has_dictionary,
                has_differences,
            });
        }
    }
    encoded(seen)
}

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) has_dictionary: bool,
    /// Numbers as differences to the one before.
    pub(crate) has_differences: bool,
}

/// How a table is written with these columns; others are as the writer does it.
pub(crate) fn encoded(columns: impl IntoIterator<Item = (String, Encoded)>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for (column, of) in columns {
        let path = ColumnPath::from(column.split('.').map(str::to_owned).collect::<Vec<_>>());
        properties = properties.set_column_dictionary_enabled(path.clone(), of.has_dictionary);
        if of.has_differences && !of.has_dictionary {
            properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

/// So many columns that some runs lack are named.
const NAMED: usize = 10;

/// Columns that some runs lack, with the runs that lack them, in words.
pub(crate) fn lacking(table: &str, schema: &Schema, parts: &[Part]) -> Option<String> {
    let mut lacking = Vec::new();
    for field in schema.fields().iter().skip(OWN_COLUMNS.len()) {
        let without = parts
            .iter()
            .filter(|part| part.schema.field_with_name(field.name()).is_err());
        match without.count() {
            0 => {}
            count => lacking.push(format!("{} in {count}", field.name())),
        }
    }
    let (columns, runs) = (schema.fields().len(), parts.len());
    match lacking.len() {
        0 => None,
        all if all > NAMED => Some(format!(
            "{table}: {all} of {columns} columns are not in each of {runs} runs, and null where they \
             are missing"
        )),
        _ => Some(format!(
            "{table}: not all of {runs} runs have each column, and it is null where it is missing: {}",
            lacking.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::{Float64, Int32, Int64, Utf8};

    fn part(fields: &[(&str, DataType)]) -> Part {
        use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder};
        use parquet::schema::types::{SchemaDescriptor, Type};
        let root = Type::group_type_builder("schema").build().expect("a type");
        let descriptor = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let file = FileMetaData::new(1, 0, None, None, descriptor, None);
        let fields = fields
            .iter()
            .map(|(name, kind)| Field::new(*name, kind.clone(), false));
        Part {
            path: PathBuf::from("part"),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            metadata: Arc::new(ParquetMetaDataBuilder::new(file).build()),
        }
    }

    fn columns(schema: &Schema) -> Vec<&str> {
        schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect()
    }

    #[test]
    fn columns_of_one_run_alone_keep_their_place_and_are_null_elsewhere() {
        let parts = [
            part(&[
                ("time", Int64),
                ("a_x", Float64),
                ("c_x", Float64),
                ("verdict", Utf8),
            ]),
            part(&[("time", Int64), ("b_x", Float64), ("verdict", Utf8)]),
        ];
        let schema = union("t", &parts).expect("a union");
        assert_eq!(
            columns(&schema),
            [
                "run_id",
                "episode_id",
                "fold",
                "split",
                "time",
                "b_x",
                "a_x",
                "c_x",
                "verdict"
            ]
        );
        let nullable = |name: &str| schema.field_with_name(name).expect("there").is_nullable();
        assert!(nullable("b_x") && nullable("a_x") && !nullable("verdict"));
        let note = lacking("t", &schema, &parts).expect("a note");
        assert!(note.contains("b_x in 1, a_x in 1, c_x in 1"), "{note}");
    }

    #[test]
    fn numbers_widen_and_other_types_are_an_error_that_names_both() {
        let with = |kind: DataType| part(&[("n", kind)]);
        let schema = union("t", &[with(Int32), with(Float64)]).expect("a union");
        assert_eq!(schema.field(OWN_COLUMNS.len()).data_type(), &Float64);
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let doubles = widened(Some(&ints), &Float64, 2);
        assert_eq!((doubles.len(), doubles.null_count()), (2, 1));
        let error = union("t", &[with(Int64), with(Utf8)]).expect_err("no type for both");
        assert!(error.to_string().contains("column t.n is Int64"), "{error}");
    }
}

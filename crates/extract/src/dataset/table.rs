//! One definition of each table of the dataset: names, types, units, meanings and values of its
//! columns. CSV, Parquet and the column tables of the documentation are made from it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A table of the dataset.
pub(crate) trait Table: Sized + 'static {
    /// What a row is made from.
    type Row<'a>;

    /// Its name in file names.
    const NAME: &'static str;

    /// Its columns, in their order.
    fn columns() -> Vec<Column<Self>>;
}

/// A column of a table.
pub(crate) struct Column<T: Table> {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Unit and meaning, for the documentation and the description of Parquet's columns.
    pub(crate) meaning: &'static str,
    /// When it is null, for the documentation; [`NEVER`].
    pub(crate) null: &'static str,
    pub(crate) value: for<'a, 'b> fn(&'a T::Row<'b>) -> Value<'a>,
}

/// A column with this in [`Column::null`] has a value in each row.
pub(crate) const NEVER: &str = "never";

impl<T: Table> Column<T> {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        meaning: &'static str,
        null: &'static str,
        value: for<'a, 'b> fn(&'a T::Row<'b>) -> Value<'a>,
    ) -> Self {
        Self {
            name,
            kind,
            meaning,
            null,
            value,
        }
    }

    pub(super) fn field(&self) -> Field {
        let nullable = self.null != NEVER;
        let description = ("description".to_owned(), self.meaning.to_owned());
        Field::new(self.name, self.kind.data_type(), nullable)
            .with_metadata(HashMap::from([description]))
    }
}

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text from outside or of ours.
    Text,
    /// Text that is JSON.
    Json,
    /// A list of texts; in Parquet only.
    Texts,
    /// 32 lower-case hexadecimal digits.
    TraceId,
    /// 16 lower-case hexadecimal digits.
    SpanId,
    /// A time as RFC 3339, in Parquet as a timestamp.
    Timestamp,
    /// A time as an integer of Unix nanoseconds.
    UnixNanos,
    /// A length of time in nanoseconds.
    Nanos,
    /// The same in milliseconds.
    Milliseconds,
    /// A small integer.
    Int32,
    /// An integer.
    Int64,
    /// An integer or a double.
    Double,
    /// True or false.
    Boolean,
}

impl Kind {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Kind::Text | Kind::Json | Kind::TraceId | Kind::SpanId => DataType::Utf8,
            Kind::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Kind::UnixNanos | Kind::Nanos | Kind::Int64 => DataType::Int64,
            Kind::Int32 => DataType::Int32,
            Kind::Milliseconds | Kind::Double => DataType::Float64,
            Kind::Boolean => DataType::Boolean,
        }
    }

    /// Whether CSV has it.
    pub(crate) fn is_flat(self) -> bool {
        self != Kind::Texts
    }

    /// Whether values hardly ever come twice.
    pub(crate) fn is_distinct(self) -> bool {
        use Kind::{Milliseconds, Nanos, SpanId, Timestamp, TraceId, UnixNanos};
        [TraceId, SpanId, Timestamp, UnixNanos, Nanos, Milliseconds].contains(&self)
    }

    /// As the documentation calls it: Parquet's type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Text | Kind::TraceId | Kind::SpanId => "string",
            Kind::Json => "string (JSON)",
            Kind::Texts => "list of strings, Parquet only",
            Kind::Timestamp => "timestamp (ns, UTC)",
            Kind::UnixNanos | Kind::Nanos | Kind::Int64 => "int64",
            Kind::Int32 => "int32",
            Kind::Milliseconds | Kind::Double => "double",
            Kind::Boolean => "boolean",
        }
    }
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Text(Cow<'a, str>),
    Texts(Vec<&'a str>),
    TraceId(u128),
    SpanId(u64),
    /// Times, lengths of time and counts.
    Int(i64),
    Double(f64),
    Boolean(bool),
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }

    pub(crate) fn opt_text(text: Option<&'a str>) -> Self {
        text.map_or(Value::Null, Value::text)
    }

    /// A count; those beyond an i64 don't occur.
    pub(crate) fn count(count: impl TryInto<i64>) -> Self {
        Value::Int(count.try_into().unwrap_or(i64::MAX))
    }

    pub(crate) fn opt_int(value: Option<i64>) -> Self {
        value.map_or(Value::Null, Value::Int)
    }

    pub(crate) fn opt_double(value: Option<f64>) -> Self {
        value.map_or(Value::Null, Value::Double)
    }

    pub(crate) fn opt_boolean(value: Option<bool>) -> Self {
        value.map_or(Value::Null, Value::Boolean)
    }
}

/// The Arrow schema of columns.
pub(crate) fn schema<T: Table>(columns: &[Column<T>]) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(Column::field).collect();
    Arc::new(Schema::new(fields))
}

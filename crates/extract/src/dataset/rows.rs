//! Rows on their way: made on a worker as CSV and as Arrow columns at once, from one walk over the
//! cells of a table's definition.

use std::io;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder,
    StringBuilder, TimestampNanosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;

use super::csv_row::{CsvRow, hex};
use super::table::{Column, Kind, Table, Value, schema};
use crate::options::TableFormats;

/// The columns of one table that one extraction writes.
pub(crate) struct Columns<T: Table> {
    columns: Vec<Column<T>>,
    schema: SchemaRef,
    formats: TableFormats,
}

impl<T: Table> Columns<T> {
    /// All of them.
    pub(crate) fn all(formats: TableFormats) -> Self {
        Self::without(formats, &[])
    }

    /// All but those that are named.
    pub(crate) fn without(formats: TableFormats, names: &[&str]) -> Self {
        let mut columns = T::columns();
        columns.retain(|column| !names.contains(&column.name));
        Self {
            schema: schema(&columns),
            columns,
            formats,
        }
    }

    pub(crate) fn formats(&self) -> TableFormats {
        self.formats
    }

    pub(super) fn columns(&self) -> &[Column<T>] {
        &self.columns
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Those whose values hardly ever come twice: a dictionary of them costs time and saves nothing.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        let distinct = self.columns.iter().filter(|c| c.kind.is_distinct());
        distinct.map(|c| (c.name, c.kind))
    }

    /// The header of CSV files.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut row = CsvRow::new();
        for column in self.columns.iter().filter(|c| c.kind.is_flat()) {
            row.plain(column.name.as_bytes());
        }
        row.end();
        row.take()
    }
}

/// Rows that are being made.
pub(crate) struct Rows<'c, T: Table> {
    of: &'c Columns<T>,
    csv: CsvRow,
    /// Empty where tables don't come as Parquet.
    arrow: Vec<Cells>,
    rows: u64,
}

/// Rows that are made.
#[derive(Debug)]
pub(crate) struct Made {
    /// Empty where tables don't come as CSV.
    pub(crate) csv: Vec<u8>,
    /// None where tables don't come as Parquet.
    pub(crate) batch: Option<RecordBatch>,
    pub(crate) rows: u64,
}

impl<'c, T: Table> Rows<'c, T> {
    pub(crate) fn new(of: &'c Columns<T>) -> Self {
        let columns = of.columns.iter().filter(|_| of.formats.parquet());
        Self {
            csv: CsvRow::new(),
            arrow: columns.map(|c| Cells::new(c.kind)).collect(),
            rows: 0,
            of,
        }
    }

    pub(crate) fn push(&mut self, row: &T::Row<'_>) {
        let is_csv = self.of.formats.csv();
        for (place, column) in self.of.columns.iter().enumerate() {
            let value = (column.value)(row);
            if is_csv && column.kind.is_flat() {
                self.csv.cell(column.kind, &value);
            }
            if let Some(cells) = self.arrow.get_mut(place) {
                cells.push(value);
            }
        }
        if is_csv {
            self.csv.end();
        }
        self.rows += 1;
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> u64 {
        self.rows
    }

    /// Bytes of CSV so far.
    pub(crate) fn csv_len(&self) -> usize {
        self.csv.len()
    }

    /// What was made, leaving nothing.
    pub(crate) fn take(&mut self) -> io::Result<Made> {
        let batch = || {
            let arrays: Vec<ArrayRef> = self.arrow.iter_mut().map(Cells::finish).collect();
            RecordBatch::try_new(self.of.schema.clone(), arrays)
        };
        let batch = self.of.formats.parquet().then(batch).transpose();
        Ok(Made {
            csv: self.csv.take(),
            batch: batch.map_err(io::Error::other)?,
            rows: std::mem::take(&mut self.rows),
        })
    }
}

/// The cells of one column.
pub(super) enum Cells {
    Text(StringBuilder),
    Texts(ListBuilder<StringBuilder>),
    Timestamp(TimestampNanosecondBuilder),
    Int64(Int64Builder),
    Int32(Int32Builder),
    Double(Float64Builder),
    /// Doubles of milliseconds, from nanoseconds.
    Milliseconds(Float64Builder),
    Boolean(BooleanBuilder),
}

impl Cells {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json | Kind::TraceId | Kind::SpanId => {
                Cells::Text(StringBuilder::new())
            }
            Kind::Texts => Cells::Texts(ListBuilder::new(StringBuilder::new())),
            Kind::Timestamp => {
                let times = TimestampNanosecondBuilder::new();
                Cells::Timestamp(times.with_timezone("UTC"))
            }
            Kind::UnixNanos | Kind::Nanos | Kind::Int64 => Cells::Int64(Int64Builder::new()),
            Kind::Int32 => Cells::Int32(Int32Builder::new()),
            Kind::Milliseconds => Cells::Milliseconds(Float64Builder::new()),
            Kind::Double => Cells::Double(Float64Builder::new()),
            Kind::Boolean => Cells::Boolean(BooleanBuilder::new()),
        }
    }

    pub(super) fn push(&mut self, value: Value<'_>) {
        match (self, value) {
            (Cells::Text(cells), Value::Text(text)) => cells.append_value(text),
            (Cells::Text(cells), Value::TraceId(id)) => {
                cells.append_value(ascii(&hex::<32>(id)));
            }
            (Cells::Text(cells), Value::SpanId(id)) => {
                cells.append_value(ascii(&hex::<16>(id.into())));
            }
            (Cells::Text(cells), _) => cells.append_null(),
            (Cells::Texts(cells), Value::Texts(texts)) => {
                cells.append_value(texts.into_iter().map(Some));
            }
            (Cells::Texts(cells), _) => cells.append_null(),
            (Cells::Timestamp(cells), value) => cells.append_option(int(&value)),
            (Cells::Int64(cells), value) => cells.append_option(int(&value)),
            (Cells::Int32(cells), value) => {
                cells.append_option(int(&value).and_then(|v| i32::try_from(v).ok()));
            }
            (Cells::Milliseconds(cells), value) => {
                cells.append_option(int(&value).map(|ns| ns as f64 / 1e6));
            }
            (Cells::Double(cells), Value::Double(value)) => cells.append_value(value),
            (Cells::Double(cells), value) => cells.append_option(int(&value).map(|v| v as f64)),
            (Cells::Boolean(cells), Value::Boolean(value)) => cells.append_value(value),
            (Cells::Boolean(cells), _) => cells.append_null(),
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Cells::Text(cells) => Arc::new(cells.finish()),
            Cells::Texts(cells) => Arc::new(cells.finish()),
            Cells::Timestamp(cells) => ArrayBuilder::finish(cells),
            Cells::Int64(cells) => Arc::new(cells.finish()),
            Cells::Int32(cells) => Arc::new(cells.finish()),
            Cells::Double(cells) | Cells::Milliseconds(cells) => Arc::new(cells.finish()),
            Cells::Boolean(cells) => Arc::new(cells.finish()),
        }
    }
}

fn int(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        _ => None,
    }
}

fn ascii(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

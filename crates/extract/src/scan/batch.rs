//! Records of what was read, as Arrow batches: one definition of each gives its schema, a builder
//! and a typed view.

use std::io;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder, UInt8Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::{
    Array, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    UInt8Array, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::packed::{Packed, Reader};

/// Arrow's types for each kind of field.
pub(crate) trait FieldKind {
    const TYPE: DataType;
    type Builder: Default;
    type Array: Array + Clone + 'static;
    /// What a cell is.
    type Value<'a>: Copy;
    /// Bytes of a cell in an array, without those of text.
    const WIDTH: usize;

    /// A builder with room for so many cells, but for those of text.
    fn builder(cells: usize) -> Self::Builder;

    /// The cell at a row, which is not null.
    fn value(array: &Self::Array, row: usize) -> Self::Value<'_>;

    /// Adds a cell to a packed row.
    fn pack(value: Self::Value<'_>, row: &mut Packed);

    /// Takes a cell from a packed row.
    fn unpack(row: &mut Reader<'_>, builder: &mut Self::Builder) -> io::Result<()>;

    /// Goes past a cell of a packed row.
    fn pass(row: &mut Reader<'_>) -> io::Result<()>;
}

/// The value of a column at a row; 0 for null.
pub(crate) fn value_or_zero(column: &Int64Array, row: usize) -> i64 {
    if column.is_null(row) {
        0
    } else {
        column.value(row)
    }
}

/// The value of a column at a row; none for null.
pub(crate) fn number(column: &Int64Array, row: usize) -> Option<i64> {
    (!column.is_null(row)).then(|| column.value(row))
}

/// The text of a column at a row; none for null.
pub(crate) fn text(column: &StringArray, row: usize) -> Option<&str> {
    (!column.is_null(row)).then(|| column.value(row))
}

macro_rules! numbers {
    ($($name:ident: $type:ident, $number:ty, $builder:ty, $array:ty;)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;

        impl FieldKind for $name {
            const TYPE: DataType = DataType::$type;
            type Builder = $builder;
            type Array = $array;
            type Value<'a> = $number;
            const WIDTH: usize = size_of::<$number>();

            fn builder(cells: usize) -> $builder {
                <$builder>::with_capacity(cells)
            }

            #[inline]
            fn value(array: &$array, row: usize) -> $number {
                array.value(row)
            }

            #[inline]
            fn pack(value: $number, row: &mut Packed) {
                row.put(value.to_le_bytes());
            }

            #[inline]
            fn unpack(row: &mut Reader<'_>, builder: &mut $builder) -> io::Result<()> {
                builder.append_value(<$number>::from_le_bytes(row.take()?));
                Ok(())
            }

            #[inline]
            fn pass(row: &mut Reader<'_>) -> io::Result<()> {
                row.take::<{ size_of::<$number>() }>().map(drop)
            }
        }
    )*};
}

numbers! {
    U64: UInt64, u64, UInt64Builder, UInt64Array;
    U32: UInt32, u32, UInt32Builder, UInt32Array;
    I64: Int64, i64, Int64Builder, Int64Array;
    I32: Int32, i32, Int32Builder, Int32Array;
    U8: UInt8, u8, UInt8Builder, UInt8Array;
    F64: Float64, f64, Float64Builder, Float64Array;
}

#[derive(Debug)]
pub(crate) struct Bool;

impl FieldKind for Bool {
    const TYPE: DataType = DataType::Boolean;
    type Builder = BooleanBuilder;
    type Array = BooleanArray;
    type Value<'a> = bool;
    const WIDTH: usize = 1;

    fn builder(cells: usize) -> BooleanBuilder {
        BooleanBuilder::with_capacity(cells)
    }

    #[inline]
    fn value(array: &BooleanArray, row: usize) -> bool {
        array.value(row)
    }

    #[inline]
    fn pack(value: bool, row: &mut Packed) {
        row.put([value.into()]);
    }

    #[inline]
    fn unpack(row: &mut Reader<'_>, builder: &mut BooleanBuilder) -> io::Result<()> {
        builder.append_value(row.take()? != [0]);
        Ok(())
    }

    #[inline]
    fn pass(row: &mut Reader<'_>) -> io::Result<()> {
        row.take::<1>().map(drop)
    }
}

#[derive(Debug)]
pub(crate) struct Text;

impl FieldKind for Text {
    const TYPE: DataType = DataType::Utf8;
    type Builder = StringBuilder;
    type Array = StringArray;
    type Value<'a> = &'a str;
    const WIDTH: usize = size_of::<i32>();

    fn builder(cells: usize) -> StringBuilder {
        StringBuilder::with_capacity(cells, 0)
    }

    #[inline]
    fn value(array: &StringArray, row: usize) -> &str {
        array.value(row)
    }

    #[inline]
    fn pack(value: &str, row: &mut Packed) {
        row.put_text(value);
    }

    #[inline]
    fn unpack(row: &mut Reader<'_>, builder: &mut StringBuilder) -> io::Result<()> {
        builder.append_value(row.text()?);
        Ok(())
    }

    #[inline]
    fn pass(row: &mut Reader<'_>) -> io::Result<()> {
        row.text().map(drop)
    }
}

/// A kind of batch.
pub(crate) trait Batch: Sized {
    /// Names and types of its columns; all may be null.
    fn schema() -> SchemaRef;

    /// The columns of a batch of that schema.
    fn view(batch: &RecordBatch) -> Result<Self, ArrowError>;
}

/// A kind of batch whose rows can be packed.
pub(crate) trait PackedBatch: Batch {
    /// One of them.
    type Row<'a>
    where
        Self: 'a;

    /// Bytes that a row takes up in a batch, without those of text.
    const WIDTH: usize;

    /// The batch of packed rows: of `wanted` ones, if not of all, and with values in the columns
    /// whose bits are set. The others are null.
    fn unpack(parts: &[&Packed], wanted: Option<&[bool]>, columns: u32) -> io::Result<RecordBatch>;

    /// The row with a number.
    fn row(&self, row: usize) -> Self::Row<'_>;

    /// The bits of columns, by their names.
    fn columns(names: &[&str]) -> u32 {
        let schema = Self::schema();
        let fields = schema.fields().iter().zip(0..u32::BITS);
        let named = fields.filter(|(field, _)| names.contains(&field.name().as_str()));
        named.fold(0, |bits, (_, place)| bits | 1 << place)
    }
}

/// The bits of all columns.
pub(crate) const ALL_COLUMNS: u32 = u32::MAX;

/// The array of a column.
pub(crate) fn column<A: Array + Clone + 'static>(
    batch: &RecordBatch,
    index: usize,
) -> Result<A, ArrowError> {
    let column = batch.columns().get(index);
    let array = column.and_then(|array| array.as_any().downcast_ref::<A>());
    array.cloned().ok_or_else(|| {
        ArrowError::SchemaError(format!(
            "column {index} of a batch is missing, or of another type"
        ))
    })
}

pub(crate) fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

pub(crate) fn schema_of(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

macro_rules! batch {
    (
        $(#[$doc:meta])*
        $view:ident, $builder:ident {
            $($(#[$field_doc:meta])* $field:ident: $kind:ident,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $view {
            $($(#[$field_doc])* pub(crate) $field: <$crate::scan::batch::$kind as $crate::scan::batch::FieldKind>::Array,)*
        }

        /// Collects such records.
        #[derive(Debug, Default)]
        pub(crate) struct $builder {
            $(pub(crate) $field: <$crate::scan::batch::$kind as $crate::scan::batch::FieldKind>::Builder,)*
        }

        impl $builder {
            pub(crate) fn finish(&mut self) -> Result<arrow_array::RecordBatch, arrow_schema::ArrowError> {
                let columns: Vec<arrow_array::ArrayRef> =
                    vec![$(std::sync::Arc::new(self.$field.finish()),)*];
                arrow_array::RecordBatch::try_new(
                    <$view as $crate::scan::batch::Batch>::schema(),
                    columns,
                )
            }
        }

        impl $crate::scan::batch::Batch for $view {
            fn schema() -> arrow_schema::SchemaRef {
                $crate::scan::batch::schema_of(vec![$(
                    $crate::scan::batch::field(
                        stringify!($field),
                        <$crate::scan::batch::$kind as $crate::scan::batch::FieldKind>::TYPE,
                    ),
                )*])
            }

            fn view(batch: &arrow_array::RecordBatch) -> Result<Self, arrow_schema::ArrowError> {
                let mut index = 0;
                $(
                    let $field = $crate::scan::batch::column(batch, index)?;
                    index += 1;
                )*
                let _ = index;
                Ok(Self { $($field,)* })
            }
        }
    };
}

/// The same with rows that can be packed.
macro_rules! packed_batch {
    (
        $(#[$doc:meta])*
        $view:ident, $builder:ident, $row:ident {
            $($(#[$field_doc:meta])* $field:ident: $kind:ident,)*
        }
    ) => {
        $crate::scan::batch::batch! {
            $(#[$doc])*
            $view, $builder {
                $($(#[$field_doc])* $field: $kind,)*
            }
        }

        /// One of them.
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $row<'a> {
            $($(#[$field_doc])* pub(crate) $field:
                Option<<$crate::scan::batch::$kind as $crate::scan::batch::FieldKind>::Value<'a>>,)*
        }

        impl $row<'_> {
            /// Adds it to packed rows, to be dealt by `hash`.
            pub(crate) fn pack(&self, hash: u64, rows: &mut $crate::scan::packed::Packed) {
                use $crate::scan::batch::FieldKind;
                let begun = rows.begin(hash);
                let (mut present, mut bit) = (0, 1);
                $(
                    if let Some(value) = self.$field {
                        present |= bit;
                        <$crate::scan::batch::$kind as FieldKind>::pack(value, rows);
                    }
                    bit <<= 1;
                )*
                let _: u32 = bit;
                rows.end(begun, present);
            }
        }

        impl $crate::scan::batch::PackedBatch for $view {
            type Row<'a> = $row<'a>;

            fn row(&self, row: usize) -> $row<'_> {
                use arrow_array::Array;
                use $crate::scan::batch::FieldKind;
                $row {
                    $($field: (!self.$field.is_null(row))
                        .then(|| <$crate::scan::batch::$kind as FieldKind>::value(&self.$field, row)),)*
                }
            }

            const WIDTH: usize = {
                use $crate::scan::batch::FieldKind;
                0 $(+ <$crate::scan::batch::$kind as FieldKind>::WIDTH)*
            };

            fn unpack(
                parts: &[&$crate::scan::packed::Packed],
                wanted: Option<&[bool]>,
                columns: u32,
            ) -> std::io::Result<arrow_array::RecordBatch> {
                use $crate::scan::batch::FieldKind;
                let rows = match wanted {
                    Some(wanted) => wanted.iter().filter(|wanted| **wanted).count(),
                    None => parts.iter().map(|part| part.len()).sum(),
                };
                let mut builder = $builder {
                    $($field: <$crate::scan::batch::$kind as FieldKind>::builder(rows),)*
                };
                let mut number = 0;
                for part in parts {
                    let mut reader = part.reader()?;
                    for _ in 0..part.len() {
                        number += 1;
                        if wanted.is_some_and(|wanted| wanted.get(number - 1) != Some(&true)) {
                            reader.pass_row()?;
                            continue;
                        }
                        let present = reader.next_row()?;
                        let mut bit: u32 = 1;
                        $(
                            match (present & bit != 0, columns & bit != 0) {
                                (true, true) => <$crate::scan::batch::$kind as FieldKind>::unpack(&mut reader, &mut builder.$field)?,
                                (true, false) => <$crate::scan::batch::$kind as FieldKind>::pass(&mut reader)?,
                                (false, true) => builder.$field.append_null(),
                                (false, false) => {}
                            }
                            bit <<= 1;
                        )*
                        let _ = bit;
                    }
                }
                let mut bit: u32 = 1;
                $(
                    if columns & bit == 0 {
                        builder.$field.append_nulls(rows);
                    }
                    bit <<= 1;
                )*
                let _ = bit;
                builder.finish().map_err(std::io::Error::other)
            }
        }
    };
}

pub(crate) use {batch, packed_batch};

//! Records of what was read, as Arrow batches: one definition of each gives its schema, a builder
//! and a typed view.

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

/// Arrow's types for each kind of field.
pub(crate) trait FieldKind {
    const TYPE: DataType;
    type Builder: Default;
    type Array: Array + Clone + 'static;

    /// Bytes of text that a builder holds.
    fn text_bytes(_: &Self::Builder) -> usize {
        0
    }
}

macro_rules! kinds {
    ($($name:ident: $type:ident, $builder:ty, $array:ty $(, $text_bytes:item)?;)*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name;

        impl FieldKind for $name {
            const TYPE: DataType = DataType::$type;
            type Builder = $builder;
            type Array = $array;
            $($text_bytes)?
        }
    )*};
}

kinds! {
    U64: UInt64, UInt64Builder, UInt64Array;
    U32: UInt32, UInt32Builder, UInt32Array;
    I64: Int64, Int64Builder, Int64Array;
    I32: Int32, Int32Builder, Int32Array;
    U8: UInt8, UInt8Builder, UInt8Array;
    F64: Float64, Float64Builder, Float64Array;
    Bool: Boolean, BooleanBuilder, BooleanArray;
    Text: Utf8, StringBuilder, StringArray, fn text_bytes(builder: &StringBuilder) -> usize {
        builder.values_slice().len()
    };
}

/// A kind of batch.
pub(crate) trait Batch: Sized {
    /// Names and types of its columns; all may be null.
    fn schema() -> SchemaRef;

    /// The columns of a batch of that schema.
    fn view(batch: &RecordBatch) -> Result<Self, ArrowError>;
}

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
            /// Bytes of text in it.
            #[allow(dead_code)]
            pub(crate) fn text_bytes(&self) -> usize {
                use $crate::scan::batch::FieldKind;
                0 $(+ <$crate::scan::batch::$kind as FieldKind>::text_bytes(&self.$field))*
            }

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

pub(crate) use batch;

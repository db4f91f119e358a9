//! From a message to arrays. Arrow's decoder takes lengths and offsets on trust and panics where
//! they lead out of the message; here each of them is held against the message first.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{read_dictionary, read_record_batch};

use super::schema::{DICTIONARIES, Kind, Layout};

/// Names by the number of their dictionary.
pub(super) type Dictionaries = HashMap<i64, ArrayRef>;

/// None: the message does not hold a batch of this form.
pub(super) fn batch(
    message: arrow_ipc::Message<'_>,
    body: &Buffer,
    layout: &Layout,
    dictionaries: &Dictionaries,
) -> Option<RecordBatch> {
    let batch = message.header_as_record_batch()?;
    let kinds: Vec<Kind> = layout.columns.iter().map(|column| column.1).collect();
    fits(batch, &kinds, body)?;
    let schema = layout.schema.clone();
    read_record_batch(body, batch, schema, dictionaries, None, &message.version()).ok()
}

/// Names and the number of their dictionary; none: the message does not hold any.
pub(super) fn names(message: arrow_ipc::Message<'_>, body: &Buffer) -> Option<(i64, ArrayRef)> {
    let dictionary = message.header_as_dictionary_batch()?;
    let is_known = usize::try_from(dictionary.id()).is_ok_and(|id| id < DICTIONARIES);
    if !is_known || dictionary.isDelta() {
        return None;
    }
    fits(dictionary.data()?, &[Kind::Text], body)?;
    let schema = Arc::clone(&Layout::version_2().schema);
    let mut read = HashMap::new();
    read_dictionary(body, dictionary, &schema, &mut read, &message.version()).ok()?;
    let names = read.remove(&dictionary.id())?;
    (names.null_count() == 0).then_some((dictionary.id(), names))
}

/// Whether nodes and buffers are those of the columns, lie within the body, are long enough, and
/// are made of whole values.
fn fits(batch: arrow_ipc::RecordBatch<'_>, kinds: &[Kind], body: &Buffer) -> Option<()> {
    let rows = usize::try_from(batch.length()).ok()?;
    let (nodes, buffers) = (batch.nodes()?, batch.buffers()?);
    let is_plain = batch.compression().is_none()
        && batch
            .variadicBufferCounts()
            .is_none_or(|counts| counts.is_empty());
    if !is_plain || nodes.len() != kinds.len() {
        return None;
    }
    let mut buffers = buffers.iter();
    // Gives the length of the next buffer, in values of so many bytes.
    let mut next = |width: usize| {
        let buffer = buffers.next()?;
        let offset = usize::try_from(buffer.offset()).ok()?;
        let length = usize::try_from(buffer.length()).ok()?;
        let is_within = offset.checked_add(length)? <= body.len();
        let is_whole = offset.is_multiple_of(8) && length.is_multiple_of(width);
        (is_within && is_whole).then_some(length / width)
    };
    for (node, kind) in nodes.iter().zip(kinds) {
        let nulls = usize::try_from(node.null_count()).ok()?;
        if usize::try_from(node.length()).ok()? != rows || nulls > rows {
            return None;
        }
        let validity = next(1)?;
        let (values, needed) = match kind {
            // Offsets: one more than there are rows.
            Kind::Text => (next(4)?, rows.checked_add(1)?),
            Kind::Name | Kind::U16 => (next(2)?, rows),
            Kind::U64 | Kind::I64 => (next(8)?, rows),
        };
        if values < needed || nulls > 0 && validity < rows.div_ceil(8) {
            return None;
        }
        if *kind == Kind::Text {
            next(1)?;
        }
    }
    buffers.next().is_none().then_some(())
}

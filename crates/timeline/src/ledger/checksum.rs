//! What the checksum of a batch stands for: all that is in it, as text.
//!
//! Taken over text and with names resolved, so that a change shows wherever it happened: in a
//! value, an offset, a validity bit, a dictionary, or the name of a column. The text is that of
//! `docs/timeline-format.md`, which says how to check it with Python alone: each value is its
//! length in bytes, a colon, and itself, null is a hyphen, and the values are the names of the
//! columns joined by commas, all rows one after the other, the run's name, and the number of the
//! batch. The checksum is the first eight bytes of its SHA-256.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt16Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, StringArray, UInt16Array, UInt64Array};
use sha2::{Digest, Sha256};

use super::schema::{CHECKSUM, COLUMNS, Kind};

/// The rows of a batch, hashed; its place in a run is still open.
#[derive(Debug, Clone)]
pub(super) struct Content(Sha256);

enum Cells<'a> {
    Text(&'a StringArray),
    Name(&'a UInt16Array, &'a StringArray),
    U16(&'a UInt16Array),
    U64(&'a UInt64Array),
    I64(&'a Int64Array),
}

impl Content {
    /// Of the columns of a batch, in order; a checksum that is among them is left out. None: they
    /// are not those of a ledger.
    pub(super) fn of(columns: &[ArrayRef]) -> Option<Self> {
        let described = COLUMNS.iter().filter(|column| column.0 != CHECKSUM);
        let cells: Vec<Cells<'_>> = described
            .clone()
            .zip(columns)
            .map(|(column, array)| Cells::of(column.1, array))
            .collect::<Option<_>>()?;
        let names: Vec<&str> = described.map(|column| column.0).collect();
        if cells.len() != names.len() {
            return None;
        }
        let mut sha256 = Sha256::new();
        let mut text = Vec::with_capacity(512);
        value(&mut text, &names.join(","));
        for row in 0..columns[0].len() {
            for column in &cells {
                column.write(row, &mut text)?;
            }
            sha256.update(&text);
            text.clear();
        }
        Some(Self(sha256))
    }

    /// The checksum of the batch with that number, from 0, of a run.
    pub(super) fn checksum(&self, run_id: &str, number: u64) -> u64 {
        let mut text = Vec::with_capacity(64);
        value(&mut text, run_id);
        value(&mut text, itoa::Buffer::new().format(number));
        let digest = self.0.clone().chain_update(text).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }
}

impl<'a> Cells<'a> {
    fn of(kind: Kind, array: &'a ArrayRef) -> Option<Self> {
        Some(match kind {
            Kind::Text => Self::Text(array.as_string_opt::<i32>()?),
            Kind::Name => {
                let dictionary = array.as_dictionary_opt::<UInt16Type>()?;
                let names = dictionary.values().as_string_opt::<i32>()?;
                Self::Name(dictionary.keys(), names)
            }
            Kind::U16 => Self::U16(array.as_primitive_opt::<UInt16Type>()?),
            Kind::U64 => Self::U64(array.as_primitive_opt::<UInt64Type>()?),
            Kind::I64 => Self::I64(array.as_primitive_opt::<Int64Type>()?),
        })
    }

    /// None: a key that no name belongs to.
    fn write(&self, row: usize, text: &mut Vec<u8>) -> Option<()> {
        let mut number = itoa::Buffer::new();
        let written = match self {
            Self::Text(cells) => cells.is_valid(row).then(|| cells.value(row)),
            Self::Name(keys, names) if keys.is_valid(row) => {
                let key = usize::from(keys.value(row));
                Some((key < names.len()).then(|| names.value(key))?)
            }
            Self::Name(..) => None,
            Self::U16(cells) => cells.is_valid(row).then(|| number.format(cells.value(row))),
            Self::U64(cells) => cells.is_valid(row).then(|| number.format(cells.value(row))),
            Self::I64(cells) => cells.is_valid(row).then(|| number.format(cells.value(row))),
        };
        match written {
            Some(written) => value(text, written),
            None => text.push(b'-'),
        }
        Some(())
    }
}

fn value(text: &mut Vec<u8>, value: &str) {
    text.extend_from_slice(itoa::Buffer::new().format(value.len()).as_bytes());
    text.push(b':');
    text.extend_from_slice(value.as_bytes());
}

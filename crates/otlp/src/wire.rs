//! A place in a protobuf message, in the form in which it is stored ("Protocol Buffers Encoding"):
//! tags, and values that have one of four wire types.

use std::borrow::Cow;

use crate::input::{Field, Input, ListOf, Named, Unasked};
use crate::problem::{Result, fail};

/// Messages in each other, as many as other protobuf libraries take.
const MAX_DEPTH: u32 = 100;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// A place in a message.
#[derive(Debug, Clone)]
pub(crate) struct Wire<'a> {
    message: &'a [u8],
    at: usize,
    /// Of the message that is being read, inside the whole.
    end: usize,
    /// Of the field here.
    wire_type: u8,
    depth: u32,
}

impl<'a> Wire<'a> {
    /// The start of a message.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self {
            message,
            at: 0,
            end: message.len(),
            wire_type: LENGTH,
            depth: 0,
        }
    }

    /// Calls `each` at each field of the message as a whole, which has no length before it.
    pub(crate) fn whole(
        &mut self,
        mut each: impl FnMut(&mut Self, &u32) -> Result<()>,
    ) -> Result<()> {
        while self.at < self.end {
            let tag = self.varint()?;
            self.wire_type = (tag & 7) as u8;
            match u32::try_from(tag >> 3) {
                Ok(number) if number > 0 => each(self, &number)?,
                _ => return self.fail("a tag without a field's number"),
            }
        }
        Ok(())
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        fail(self.at, reason)
    }

    fn expect(&self, wire_type: u8) -> Result<()> {
        if self.wire_type == wire_type {
            return Ok(());
        }
        let found = self.wire_type;
        self.fail(format!("expected wire type {wire_type}, found {found}"))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take::<1>()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.fail("a number of more than 64 bits")
    }

    fn take<const BYTES: usize>(&mut self) -> Result<&'a [u8; BYTES]> {
        let rest = self.message.get(self.at..self.end);
        let Some(taken) = rest.and_then(|rest| rest.first_chunk()) else {
            return self.fail("the message ends in a field");
        };
        self.at += BYTES;
        Ok(taken)
    }

    /// The end of a value that has its length before it, from behind the length.
    fn length(&mut self) -> Result<usize> {
        self.expect(LENGTH)?;
        let length = self.varint()?;
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length));
        match end {
            Some(end) if end <= self.end => Ok(end),
            _ => self.fail(format!("the message ends in a field of {length} bytes")),
        }
    }

    fn slice(&mut self) -> Result<&'a [u8]> {
        let end = self.length()?;
        let slice = &self.message[self.at..end];
        self.at = end;
        Ok(slice)
    }
}

impl<'a> Input<'a> for Wire<'a> {
    type Key = u32;

    fn is(key: &u32, field: Field) -> bool {
        *key == field.number
    }

    fn fields(&mut self, each: impl FnMut(&mut Self, &u32) -> Result<()>) -> Result<()> {
        let end = self.length()?;
        if self.depth == MAX_DEPTH {
            return self.fail(format!("more than {MAX_DEPTH} messages in each other"));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.end, end);
        self.whole(each)?;
        self.end = outer;
        self.depth -= 1;
        Ok(())
    }

    fn elements(
        &mut self,
        of: ListOf,
        mut each: impl FnMut(&mut Self, bool) -> Result<()>,
    ) -> Result<()> {
        let packed = match of {
            ListOf::Varints => VARINT,
            ListOf::Fixed => FIXED64,
            ListOf::Messages | ListOf::Values => return each(self, false),
        };
        if self.wire_type != LENGTH {
            return each(self, false);
        }
        let end = self.length()?;
        let outer = std::mem::replace(&mut self.end, end);
        self.wire_type = packed;
        while self.at < self.end {
            each(self, false)?;
        }
        self.end = outer;
        Ok(())
    }

    fn skip(&mut self) -> Result<()> {
        match self.wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.take::<8>().map(drop),
            LENGTH => self.slice().map(drop),
            FIXED32 => self.take::<4>().map(drop),
            other => self.fail(format!("wire type {other}, which no field of OTLP has")),
        }
    }

    fn skip_unknown(&mut self) -> Result<u64> {
        let may_have_items = self.wire_type == LENGTH;
        self.skip()?;
        Ok(may_have_items.into())
    }

    fn skip_unasked(&mut self, _: Unasked) -> Result<u64> {
        self.skip().map(|()| 0)
    }

    fn byte(&self) -> usize {
        self.at
    }

    fn is_id(_: &u32) -> bool {
        false
    }

    fn name(key: &u32) -> String {
        format!("field {key}")
    }

    fn text(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at;
        match std::str::from_utf8(self.slice()?) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => fail(start, "text that is not UTF-8"),
        }
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>> {
        self.slice().map(Cow::Borrowed)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.unsigned().map(|value| value != 0)
    }

    fn unsigned(&mut self) -> Result<u64> {
        match self.wire_type {
            FIXED64 => self.take().map(|bytes| u64::from_le_bytes(*bytes)),
            FIXED32 => self.take().map(|bytes| u32::from_le_bytes(*bytes).into()),
            _ => self.expect(VARINT).and_then(|()| self.varint()),
        }
    }

    fn signed(&mut self) -> Result<i64> {
        self.unsigned().map(|value| value as i64)
    }

    fn zigzag(&mut self) -> Result<i32> {
        let value = self.unsigned()? as u32;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    fn double(&mut self) -> Result<f64> {
        self.expect(FIXED64)?;
        self.take().map(|bytes| f64::from_le_bytes(*bytes))
    }

    fn id<const BYTES: usize>(&mut self) -> Result<[u8; BYTES]> {
        let start = self.at;
        let id = self.slice()?;
        match id.try_into() {
            Ok(id) => Ok(id),
            Err(_) if id.is_empty() => Ok([0; BYTES]),
            Err(_) => fail(start, format!("an id of {} bytes, not {BYTES}", id.len())),
        }
    }

    fn enumeration<E: Named>(&mut self) -> Result<i32> {
        self.unsigned().map(|value| value as i32)
    }
}

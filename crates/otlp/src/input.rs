//! What a reader of OTLP sees of a message, whether it is JSON or protobuf: fields that have a
//! number and a name, and values in them.

use std::borrow::Cow;

use crate::problem::Result;
use crate::view::AnyValue;

/// A field, by its number in protobuf and its name in the `.proto` file and in JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) proto: &'static str,
    pub(crate) json: &'static str,
}

macro_rules! field {
    ($number:expr, $name:ident) => {
        $crate::input::Field {
            number: $number,
            proto: stringify!($name),
            json: $crate::json::names::json_name!($name),
        }
    };
}

pub(crate) use field;

/// An enum of OTLP.
pub(crate) trait Named {
    /// Completes "expected …".
    const WHAT: &'static str;

    /// The number of a name, such as `SPAN_KIND_SERVER`.
    fn number(name: &str) -> Option<i32>;
}

/// What a list has in it. Protobuf packs numbers, and in JSON a `null` among numbers or values
/// keeps its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListOf {
    Messages,
    Values,
    Varints,
    /// Numbers of 8 bytes each.
    Fixed,
}

/// What a field that is known holds, of which nobody asks for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// A text or a number.
    Scalar,
    /// Objects, also in lists, such as events.
    Messages,
}

/// A place in a message. A clone is a way back to it.
pub(crate) trait Input<'a>: Clone {
    /// What a message calls its fields by.
    type Key: ?Sized;

    /// Whether a key is that of a field.
    fn is(key: &Self::Key, field: Field) -> bool;

    /// Calls `each` at each field of a message, which has to read or skip it.
    fn fields(&mut self, each: impl FnMut(&mut Self, &Self::Key) -> Result<()>) -> Result<()>;

    /// Calls `each` at each element of a list (or, as protobuf repeats fields, at a part of its
    /// elements), with true where it is a `null` that keeps its place; otherwise `each` has to
    /// read or skip it.
    fn elements(
        &mut self,
        of: ListOf,
        each: impl FnMut(&mut Self, bool) -> Result<()>,
    ) -> Result<()>;

    /// Passes over a field.
    fn skip(&mut self) -> Result<()>;

    /// Passes over a field that is not known, in which there may be items. How many things it holds
    /// that may be or have items: objects in lists, without those inside of such; 0 of a field that
    /// can have none.
    fn skip_unknown(&mut self) -> Result<u64>;

    /// Passes over a field that is known and not asked for. How many things there are in it that do
    /// not belong there and may be items.
    fn skip_unasked(&mut self, holds: Unasked) -> Result<u64>;

    /// Where this is in the message.
    fn byte(&self) -> usize;

    /// How people call a field.
    fn name(key: &Self::Key) -> String;

    /// Whether a field that is not known seems to be an id in another spelling, such as Jaeger's.
    fn is_id(key: &Self::Key) -> bool;

    /// An attribute, where it is written as most are, and at once what many calls would give. None,
    /// and nothing is read, where it isn't.
    fn attribute(&mut self) -> Option<(&'a str, AnyValue<'a>)> {
        None
    }

    fn text(&mut self) -> Result<Cow<'a, str>>;
    fn bytes(&mut self) -> Result<Cow<'a, [u8]>>;
    fn boolean(&mut self) -> Result<bool>;
    fn unsigned(&mut self) -> Result<u64>;
    fn signed(&mut self) -> Result<i64>;
    /// An integer that protobuf stores in zigzag order.
    fn zigzag(&mut self) -> Result<i32>;
    fn double(&mut self) -> Result<f64>;
    /// An id; zeros stand for none.
    fn id<const BYTES: usize>(&mut self) -> Result<[u8; BYTES]>;
    fn enumeration<E: Named>(&mut self) -> Result<i32>;
}

//! How a view takes up the fields of a message: the table that says which, and the rules for lists
//! and absent values.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use crate::input::{Input, ListOf, Unasked};
use crate::problem::{Problem, Result, fail};

/// Elements of lists that are held of one span, data point or record: attributes, links, buckets.
/// What has more is refused, so that no message needs much more memory than it has bytes.
pub(crate) const MAX_ELEMENTS: u32 = 1 << 16;

/// What is kept of one span, data point or record.
pub(crate) struct Keep<'k> {
    /// Whether the attribute with a key is.
    pub(crate) wants: &'k dyn Fn(&str) -> bool,
    /// Elements that may still be held.
    pub(crate) left: &'k Cell<u32>,
    /// What is in it and is not read.
    pub(crate) odd: &'k Odd,
    /// Whether what can't be read in a list of messages, such as an attribute, costs itself alone.
    pub(crate) is_lenient: bool,
}

/// What of one span, data point, record, resource or scope is not read: values of no kind that is
/// known, ids by another name, and fields that are not known in which there may be items.
#[derive(Default)]
pub(crate) struct Odd {
    things: Cell<u64>,
    first: RefCell<Option<Problem>>,
}

impl Odd {
    pub(crate) fn add(&self, things: u64, byte: usize, reason: impl FnOnce() -> String) {
        self.things.set(self.things.get() + things);
        let mut first = self.first.borrow_mut();
        first.get_or_insert_with(|| Problem {
            byte,
            reason: reason(),
        });
    }

    /// Passes over a field that is not known, and names it where it is an id or items may be in it.
    #[cold]
    pub(crate) fn unknown<'a, I: Input<'a>>(&self, input: &mut I, key: &I::Key) -> Result<()> {
        let byte = input.byte();
        let things = input.skip_unknown()?.max(u64::from(I::is_id(key)));
        if things > 0 {
            let reason = || format!("{} is not known", I::name(key));
            self.add(things, byte, reason);
        }
        Ok(())
    }

    /// Passes over a field that is known, of which nothing is kept, and names what does not belong
    /// there.
    pub(crate) fn unasked<'a, I: Input<'a>>(
        &self,
        input: &mut I,
        key: &I::Key,
        holds: Unasked,
    ) -> Result<()> {
        let byte = input.byte();
        let things = input.skip_unasked(holds)?;
        if things > 0 {
            let reason = || format!("{} has no place for a list", I::name(key));
            self.add(things, byte, reason);
        }
        Ok(())
    }

    /// Names an attribute that has no key, but a field that is not known: it may be something else.
    pub(crate) fn without_key(&self, key: &str, first_unknown: Option<usize>) {
        if let (true, Some(byte)) = (key.is_empty(), first_unknown) {
            self.add(1, byte, || "an attribute without a key".to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.things.get() == 0
    }

    /// How many things there are, and which the first is; then there are none.
    pub(crate) fn take(&self) -> (u64, Option<Problem>) {
        (self.things.take(), self.first.take())
    }
}

impl Keep<'_> {
    /// Counts an element.
    pub(crate) fn one(&self) -> Result<()> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => fail(
                0,
                format!("more than {MAX_ELEMENTS} attributes or buckets of one thing"),
            ),
        }
    }

    /// The same for what is inside of a value, of which all is kept.
    pub(crate) fn all(&self) -> Keep<'_> {
        Keep {
            wants: &|_| true,
            left: self.left,
            odd: self.odd,
            is_lenient: self.is_lenient,
        }
    }
}

/// A field of a view.
pub(crate) trait Merge<'a>: Default {
    /// What a list of these is.
    const IN_LIST: ListOf = ListOf::Messages;

    /// Reads a value, of which a list takes the elements and everything else the last.
    fn merge<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()>;

    /// Whether an element goes into its list.
    fn is_kept(&self) -> bool {
        true
    }

    /// Makes it as new; lists keep their memory.
    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<'a, T: Merge<'a>> Merge<'a> for Vec<T> {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()> {
        if keep.is_lenient && T::IN_LIST == ListOf::Messages {
            return merge_leniently(self, input, keep);
        }
        input.elements(T::IN_LIST, |input, null| {
            let mut element = T::default();
            if !null {
                element.merge(input, keep)?;
            }
            if element.is_kept() {
                keep.one()?;
                self.push(element);
            }
            Ok(())
        })
    }

    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// Reads a list of messages, of which those that can't be read are passed over and named.
#[cold]
#[inline(never)]
fn merge_leniently<'a, T: Merge<'a>, I: Input<'a>>(
    list: &mut Vec<T>,
    input: &mut I,
    keep: &Keep<'_>,
) -> Result<()> {
    input.elements(ListOf::Messages, |input, _| {
        let start = input.clone();
        let mut element = T::default();
        if let Err(problem) = element.merge(input, keep) {
            *input = start;
            input.skip()?;
            keep.odd.add(1, problem.byte, || problem.reason);
        } else if element.is_kept() {
            keep.one()?;
            list.push(element);
        }
        Ok(())
    })
}

impl<'a, T: Merge<'a>> Merge<'a> for Option<T> {
    fn merge<I: Input<'a>>(&mut self, input: &mut I, keep: &Keep<'_>) -> Result<()> {
        self.get_or_insert_default().merge(input, keep)
    }
}

macro_rules! scalars {
    ($($type:ty, $list:ident: $read:ident;)*) => {$(
        impl<'a> Merge<'a> for $type {
            const IN_LIST: ListOf = ListOf::$list;

            fn merge<I: Input<'a>>(&mut self, input: &mut I, _: &Keep<'_>) -> Result<()> {
                *self = input.$read()?;
                Ok(())
            }
        }
    )*};
}

scalars!(
    Cow<'a, str>, Values: text;
    bool, Varints: boolean;
    u64, Fixed: unsigned;
    i64, Fixed: signed;
    i32, Varints: zigzag;
    f64, Fixed: double;
);

/// Defines a view and how it is read, `number, name: type`, and which other fields are known of
/// which nothing is kept.
macro_rules! view {
    ($(#[$doc:meta])* pub struct $name:ident $(<$life:lifetime>)? {
        $($(#[$field_doc:meta])* $number:literal, $field:ident: $type:ty,)*
    } $(passes over { $($other_number:literal, $other:ident: $holds:ident,)* })?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a> $crate::view::Merge<'a> for $name $(<$life>)? {
            fn merge<I: $crate::input::Input<'a>>(
                &mut self,
                input: &mut I,
                keep: &$crate::view::Keep<'_>,
            ) -> $crate::problem::Result<()> {
                input.fields(|input, key| {
                    $(if I::is(key, $crate::input::field!($number, $field)) {
                        return self.$field.merge(input, keep);
                    })*
                    $($(if I::is(key, $crate::input::field!($other_number, $other)) {
                        return keep.odd.unasked(input, key, $crate::input::Unasked::$holds);
                    })*)?
                    keep.odd.unknown(input, key)
                })
            }

            fn clear(&mut self) {
                $($crate::view::Merge::clear(&mut self.$field);)*
            }
        }
    };
}

pub(crate) use view;

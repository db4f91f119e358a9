//! How a view takes up the fields of a message: the table that says which, and the rules for lists
//! and absent values.

use std::borrow::Cow;
use std::cell::Cell;

use crate::input::{Input, ListOf};
use crate::problem::{Result, fail};

/// Elements of lists that are held of one span, data point or record: attributes, links, buckets.
/// What has more is refused, so that no message needs much more memory than it has bytes.
pub(crate) const MAX_ELEMENTS: u32 = 1 << 16;

/// What is kept of one span, data point or record.
pub(crate) struct Keep<'k> {
    /// Whether the attribute with a key is.
    pub(crate) wants: &'k dyn Fn(&str) -> bool,
    /// Elements that may still be held.
    pub(crate) left: &'k Cell<u32>,
    /// Values that were passed over because they are of no kind that is known, and ids because they
    /// have another name.
    pub(crate) odd: &'k Cell<u64>,
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

/// Defines a view and how it is read: `number, name (| name in older versions): type`.
macro_rules! view {
    ($(#[$doc:meta])* pub struct $name:ident $(<$life:lifetime>)? {
        $($(#[$field_doc:meta])* $number:literal, $field:ident $(| $alias:ident)?: $type:ty,)*
    }) => {
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
                    if I::is_id(key) {
                        keep.odd.set(keep.odd.get() + 1);
                    }
                    input.skip()
                })
            }

            fn clear(&mut self) {
                $($crate::view::Merge::clear(&mut self.$field);)*
            }
        }
    };
}

pub(crate) use view;

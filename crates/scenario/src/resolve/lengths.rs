//! How long headers can become. Servers refuse or cut what is longer than their limit, and each in
//! its own way: that would look like a fault.

use std::collections::HashMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::plan::{Choice, Part, Template, VarRef};
use crate::render::as_text;

/// Most bytes of all headers of a step, and of all members of its baggage, which is also the limit
/// of W3C's Baggage.
pub(super) const MOST: usize = 8192;

/// How a text is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// As it is.
    Header,
    /// Percent-encoded.
    Baggage,
}

impl Form {
    fn length(self, text: &str) -> usize {
        match self {
            Self::Header => text.len(),
            // A few more characters stay as they are in a value: the limit is no closer than that.
            Self::Baggage => utf8_percent_encode(text, NON_ALPHANUMERIC)
                .map(str::len)
                .sum(),
        }
    }
}

/// What drawn variables can be, by slot.
pub(super) type Drawn<'f> = HashMap<usize, Longest<'f>>;

/// The longest that a drawn variable can be.
#[derive(Debug, Clone)]
pub(super) enum Longest<'f> {
    /// Any of these.
    Of(&'f [Value]),
    /// So many bytes.
    Bytes(usize),
}

/// The longest that a choice other than from a list comes to.
pub(super) fn of_choice(choice: &Choice) -> usize {
    match choice {
        Choice::Pick(_) => 0,
        Choice::Range(low, high) => low.to_string().len().max(high.to_string().len()),
        Choice::Hex(digits) => *digits as usize,
        Choice::Uuid(_) => 36,
        // A whole number.
        Choice::Flag(_) => 20,
    }
}

/// Most bytes that a template comes to. What is captured or secret is not known, and not counted.
pub(super) fn most(template: &Template, drawn: &Drawn<'_>, form: Form) -> usize {
    let of = |part: &Part| match part {
        Part::Text(text) => form.length(text),
        Part::Var(reference) => most_of(reference, drawn, form),
        Part::Secret(_) => 0,
    };
    template.0.iter().map(of).fold(0, usize::saturating_add)
}

fn most_of(reference: &VarRef, drawn: &Drawn<'_>, form: Form) -> usize {
    match drawn.get(&reference.slot) {
        Some(Longest::Of(values)) => values
            .iter()
            .filter_map(|value| value.pointer(&reference.pointer))
            .map(|value| form.length(&as_text(value)))
            .max()
            .unwrap_or(0),
        Some(Longest::Bytes(bytes)) => *bytes,
        None => 0,
    }
}

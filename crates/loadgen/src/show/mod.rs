//! What a dataset says of its windows: read from the three small files of an extraction, for people and
//! as JSON.

mod load;
mod text;

pub(crate) use load::{Shown, ShownWindow, load};
pub(crate) use text::text;

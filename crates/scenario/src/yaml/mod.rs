//! YAML with places: a tree whose every key and value knows its line and column, and serde on top
//! of it. One parser gives both the typed file and the places of errors in it, so the two can't
//! disagree.

mod de;
mod scalar;
mod tree;

pub(crate) use scalar::Scalar;
pub(crate) use tree::{Kind, Node, parse};

use crate::diagnostic::Finding;
use serde::de::DeserializeOwned;

/// Reads a typed value from a tree. The error is the first one that serde meets.
pub(crate) fn typed<T: DeserializeOwned>(root: &Node) -> Result<T, Finding> {
    T::deserialize(root).map_err(|finding| finding.or_at(root.span))
}

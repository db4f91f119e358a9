//! YAML with places: `serde_yaml` reads the typed file, and a tree of the same text says where in
//! it each key and value stands. The tree is made first and has limits, so `serde_yaml` only meets
//! texts of a bounded size.

mod tree;
mod typed;

pub(crate) use tree::{COMMENT, Key, Kind, Node, parse};
pub(crate) use typed::typed;

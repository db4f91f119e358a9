//! A first scenario file for a target, from what is known of it: a description of its routes
//! ([OpenAPI](https://spec.openapis.org/oas/v3.1.0)), requests that a browser recorded
//! ([HAR 1.2](http://www.softwareishard.com/blog/har-12-spec/)), or the pages that it links to. Pure:
//! nothing is read and nothing is sent.
//!
//! ```
//! let document = serde_json::json!({
//!     "openapi": "3.1.0",
//!     "paths": {"/orders/{id}": {"get": {"parameters": [
//!         {"name": "id", "in": "path", "required": true, "example": 7}
//!     ]}}}
//! });
//! let draft = loadgen_init::from_openapi(&document)?;
//! let file = draft.file("http://127.0.0.1:8080");
//! assert!(file.contains("'/orders/${id}'"));
//! # Ok::<(), loadgen_init::UnusableDocument>(())
//! ```

mod draft;
mod har;
mod openapi;
mod pages;

pub use draft::{Draft, DraftFlow, DraftStep};
pub use har::from_har;
pub use openapi::from_openapi;
pub use pages::{Links, from_pages, links, path_of};

/// Why a document gives no scenario file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UnusableDocument(pub(crate) String);

/// A name that scenario files take, from any text: letters, digits, `_` and `-`, at most 60.
pub(crate) fn name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' => name.push(c),
            'A'..='Z' => name.push(c.to_ascii_lowercase()),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    let name: String = name.trim_matches('_').chars().take(60).collect();
    match name.is_empty() {
        true => "root".to_owned(),
        false => name,
    }
}

/// The name, or the name with a number that no other has.
pub(crate) fn unused(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or_default()
}

//! What people and programs see of a comparison.

mod csv_rows;
mod curves;
mod number;
mod page;
mod text;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::comparison::Comparison;
use crate::pair::Pair;

pub use csv_rows::csv;
pub use text::table;

/// The comparison as JSON, with a line break at its end.
///
/// # Errors
/// None that the types allow.
pub fn json(comparison: &Comparison) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(comparison)? + "\n")
}

/// The page with charts, self-contained: nothing from elsewhere, and no script but its own, which a
/// policy in it names by their hashes. The pairs are those that the comparison was made of.
///
/// # Errors
/// None that the types allow.
pub fn html(comparison: &Comparison, pairs: &[Pair]) -> io::Result<String> {
    page::html(comparison, pairs)
}

/// Writes `comparison.json`, `comparison.csv` and `comparison.html` into a folder, over those of a
/// comparison that is there; says which. Each takes the place of the old one when it is whole.
///
/// # Errors
/// What the system said.
pub fn write(folder: &Path, comparison: &Comparison, pairs: &[Pair]) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut written = Vec::new();
    for (name, text) in [
        ("comparison.json", json(comparison)?),
        ("comparison.csv", csv(comparison)?),
        ("comparison.html", html(comparison, pairs)?),
    ] {
        let unfinished = folder.join(format!(".{name}"));
        let path = folder.join(name);
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, &path)?;
        written.push(path);
    }
    Ok(written)
}

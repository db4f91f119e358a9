//! The column tables of `docs/dataset-format.md` are those of the definitions.
//!
//! After a change that is meant: `UPDATE_DOCS=1 cargo test -p loadgen-extract --lib docs`.

use std::fmt::Write as _;
use std::path::Path;

use super::buckets::Buckets;
use super::graph::{GraphEdges, GraphNodes};
use super::logs::Logs;
use super::points::Points;
use super::spans::Spans;
use super::table::Table;
use super::trace_features::TraceFeatures;
use super::traces::Traces;
use super::wide::MetricsWide;
use super::windows::Windows;

const END: &str = "<!-- end of columns -->\n";

/// The columns of a table as a table of Markdown.
fn markdown<T: Table>() -> String {
    let mut text = "| Column | Type | Unit, meaning | Null |\n|---|---|---|---|\n".to_owned();
    for column in T::columns() {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            column.name,
            column.kind.name(),
            column.meaning,
            column.null
        );
    }
    text
}

/// Puts the table of `T` between its marks; none where they are not there. Both tables of buckets
/// have the same columns.
fn with_table<T: Table>(text: &str) -> Option<String> {
    let begin = format!("<!-- columns of {} -->\n", T::NAME);
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}{}{END}{after}", markdown::<T>()))
}

#[test]
fn the_column_tables_of_the_docs_are_those_of_the_definitions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dataset-format.md");
    let shipped = std::fs::read_to_string(&path).expect("the docs");
    let tables = [
        with_table::<Spans>,
        with_table::<Points>,
        with_table::<Logs>,
        with_table::<Traces>,
        with_table::<Windows>,
        with_table::<Buckets<1>>,
        with_table::<TraceFeatures>,
        with_table::<GraphEdges>,
        with_table::<GraphNodes>,
        with_table::<MetricsWide>,
    ];
    let mut text = shipped.clone();
    for with_table in tables {
        text = with_table(&text).expect("the marks of a table");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).expect("written");
        return;
    }
    assert!(
        text == shipped,
        "the column tables in docs/dataset-format.md are not those of the definitions: run \
         `UPDATE_DOCS=1 cargo test -p loadgen-extract --lib docs`"
    );
}

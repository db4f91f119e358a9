//! Errors, warnings and notes, marked by a colour where a terminal has it.

use std::fmt::Write;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// How a line begins, and the colour of that.
const MARKS: [(&str, AnsiColor); 5] = [
    ("error:", AnsiColor::Red),
    ("ERROR", AnsiColor::Red),
    ("warning:", AnsiColor::Yellow),
    ("WARNING", AnsiColor::Yellow),
    ("note:", AnsiColor::Cyan),
];

/// Whether a stream shows colours: it is a terminal that can, and `NO_COLOR` is not set
/// (<https://no-color.org>), or `CLICOLOR_FORCE` is (<https://bixense.com/clicolors>).
pub(super) fn has_colours(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Whether a line is an error, a warning or a note.
pub(super) fn is_marked(line: &str) -> bool {
    mark(line).is_some()
}

/// A text in which the marks have their colours.
pub(super) fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match mark(line) {
            Some((mark, style)) => {
                // Writing to a string can't fail.
                let _ = write!(out, "{style}{mark}{style:#}{}", &line[mark.len()..]);
            }
            None => out += line,
        }
    }
    out
}

fn mark(line: &str) -> Option<(&'static str, Style)> {
    let (mark, colour) = MARKS.iter().find(|(mark, _)| line.starts_with(mark))?;
    Some((mark, colour.on_default().bold()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_alone_is_coloured() {
        let text = "error: a\n  error: b\nwarning: c\nnote: d\nERROR no-root: e\n\nfine";
        let marked = coloured(text);
        assert!(marked.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m a\n  error: b\n\u{1b}[1m"));
        assert!(marked.contains("\u{1b}[33mwarning:\u{1b}[0m c"));
        assert_eq!(anstream::adapter::strip_str(&marked).to_string(), text);
    }
}

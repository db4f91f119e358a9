//! Progress of a run on standard error: bars on a terminal, plain lines elsewhere. Both are
//! consumers of the engine's events and know nothing else of it.

mod bars;
mod campaign;
mod figures;
mod marks;
mod plain;
pub(crate) mod replay;

use std::io::{IsTerminal, Write};

use loadgen_engine::Consumer;
use loadgen_scenario::{Plan, redact};

pub(crate) use self::campaign::CampaignProgress;
use crate::tables::wrapped;

/// Says something to the person on standard error. One that has been closed, as by `2>&1 | head`,
/// must not end a run. On a terminal errors, warnings and notes are broken so that they fit.
pub(crate) fn say(text: impl std::fmt::Display) {
    let text = for_stderr(&shown(&text.to_string()));
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A text as lines that fit standard error, in its colours.
fn for_stderr(text: &str) -> String {
    let stream = std::io::stderr();
    let text = match stream.is_terminal() {
        true => text.lines().map(fitted).collect(),
        false => format!("{text}\n"),
    };
    match marks::has_colours(&stream) {
        true => marks::coloured(&text),
        false => text,
    }
}

/// A line as it fits a terminal. One that is no message is a piece of a file, or laid out already.
fn fitted(line: &str) -> String {
    match marks::is_marked(line) {
        true => wrapped(line, ""),
        false => format!("{line}\n"),
    }
}

/// Prints a text to standard output as it [may be shown](shown).
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut stream = std::io::stdout().lock();
    let mut text = shown(text);
    if marks::has_colours(&stream) {
        text = marks::coloured(&text);
    }
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// A text as it may be shown: without names and passwords in addresses, and with control characters
/// escaped. Some of it is what a target said, which must not move the cursor or retitle a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in redact::addresses(text).chars() {
        if is_shown(character) {
            out.push(character);
        } else {
            // As JSON has it, which some of what is printed is.
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn is_shown(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        // These change the order in which a line is read.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        other => !other.is_control(),
    }
}

/// The display that suits standard error.
pub(crate) fn progress(plan: &Plan) -> Box<dyn Consumer> {
    // Lines of a log would go through the bars.
    let logs = tracing::dispatcher::has_been_set();
    if std::io::stderr().is_terminal() && !logs {
        Box::new(bars::Bars::new(plan))
    } else {
        Box::new(plain::Plain::new(plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_target_says_acts_on_the_terminal() {
        let said = "a\u{1b}]0;title\u{7}\r\u{9b}2J\u{202e}b\tc\nd é";
        let escaped = "a\\u001b]0;title\\u0007\\u000d\\u009b2J\\u202eb\tc\nd é";
        assert_eq!(shown(said), escaped);
        // It is the same text for who reads it as JSON.
        let json = serde_json::to_string("a\u{9b}\u{202e}").unwrap();
        let read: String = serde_json::from_str(&shown(&json)).unwrap();
        assert_eq!(read, "a\u{9b}\u{202e}");
    }

    #[test]
    fn addresses_are_shown_without_passwords() {
        let shown = shown("Jaeger at http://u:p@127.0.0.1:1: refused");
        assert_eq!(shown, "Jaeger at http://REDACTED@127.0.0.1:1: refused");
    }
}

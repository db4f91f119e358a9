//! What is wrong with a scenario file, or worth knowing of it, told to the person who wrote it: what,
//! where, and what to do. All findings of a file are kept and shown in the order of its lines.

use std::fmt;

use serde::Serialize;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// In characters.
    pub(crate) length: usize,
}

/// Something wrong or worth knowing, before the file's text is joined to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) span: Option<Span>,
    pub(crate) message: String,
    /// Shown beside the caret.
    pub(crate) label: Option<String>,
    /// Shown below.
    pub(crate) help: Option<String>,
    /// It is about what was asked for beside the file, not about the file.
    pub(crate) of_options: bool,
}

impl Finding {
    /// Something about the file, or about what it was given, as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self {
            span: None,
            message: message.into(),
            label: None,
            help: None,
            of_options: false,
        }
    }

    /// Something about what was asked for beside the file ([`PlanOptions`](crate::PlanOptions)).
    pub(crate) fn of_options(message: impl Into<String>) -> Self {
        Self {
            of_options: true,
            ..Self::whole(message)
        }
    }

    pub(crate) fn at(span: Span, message: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            ..Self::whole(message)
        }
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
            ..self
        }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Proposes the name that is nearest to a wrong one, or lists the possible ones.
    pub(crate) fn suggest<'a>(
        self,
        wrong: &str,
        possible: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let possible: Vec<&str> = possible.into_iter().collect();
        if let Some(near) = nearest(wrong, &possible) {
            let question = format!("did you mean `{near}`?");
            // Without a place there is no caret to stand beside.
            return match self.span {
                Some(_) => self.label(question),
                None => self.help(question),
            };
        }
        match possible.as_slice() {
            [] => self,
            list => self.help(format!("possible: {}", quoted(list))),
        }
    }
}

/// The name most like a wrong one, where any is like it.
pub(crate) fn nearest<'a>(wrong: &str, possible: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &str| {
        strsim::normalized_damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase())
    };
    possible
        .iter()
        .map(|name| (likeness(name), *name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn quoted(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}

/// One thing that is wrong with a scenario file, or worth knowing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What it is.
    pub message: String,
    /// Where; none where the file as a whole is meant (it cannot be read, say).
    pub place: Option<Place>,
    /// What is shown beside the caret, such as a "did you mean".
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

/// A place in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Number of characters concerned, at least 1.
    pub length: usize,
    /// The line's text.
    pub text: String,
}

/// Everything that is wrong with a scenario file. `Display` shows it all, with the lines
/// concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScenarioErrors {
    /// The file, as it was given.
    pub file: String,
    /// At least one, in the order of the file's lines.
    pub errors: Vec<Diagnostic>,
    /// The file is right: all of it is about what was asked for beside it, such as a time scale.
    #[serde(skip)]
    pub of_options: bool,
}

/// What is worth knowing of a scenario file that has a plan: what was taken otherwise than it is
/// written, and what will likely go wrong. `Display` shows it all, with the lines concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScenarioNotes {
    /// The file, as it was given.
    pub file: String,
    /// In the order of the file's lines; those about the file as a whole come first.
    pub notes: Vec<Diagnostic>,
}

impl ScenarioErrors {
    /// Joins findings with the text that they are about.
    pub(crate) fn new(file: &str, text: &str, findings: Vec<Finding>) -> Self {
        Self {
            file: file.to_owned(),
            of_options: findings.iter().all(|finding| finding.of_options),
            errors: diagnostics(text, findings),
        }
    }

    /// One error about a file as a whole.
    pub(crate) fn whole(file: &str, finding: Finding) -> Self {
        Self::new(file, "", vec![finding])
    }
}

impl ScenarioNotes {
    /// Joins findings with the text that they are about.
    pub(crate) fn new(file: &str, text: &str, findings: Vec<Finding>) -> Self {
        Self {
            file: file.to_owned(),
            notes: diagnostics(text, findings),
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }
}

fn diagnostics(text: &str, mut findings: Vec<Finding>) -> Vec<Diagnostic> {
    // Steps of a repeat are looked at once for each round.
    findings.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
    findings.dedup_by(|a, b| a.span == b.span && a.message == b.message);
    let lines: Vec<&str> = text.lines().collect();
    findings
        .into_iter()
        .map(|finding| Diagnostic {
            message: printable(&finding.message),
            place: finding.span.map(|span| place(span, &lines)),
            label: finding.label.as_deref().map(printable),
            help: finding.help.as_deref().map(printable),
        })
        .collect()
}

/// Text of a file that is shown to a person must not command the terminal.
fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

fn shown(c: char) -> char {
    if c.is_control() && c != '\t' {
        '\u{fffd}'
    } else {
        c
    }
}

fn place(span: Span, lines: &[&str]) -> Place {
    let text = lines
        .get(span.line.saturating_sub(1))
        .copied()
        .unwrap_or_default();
    let left = text
        .chars()
        .count()
        .saturating_sub(span.column.saturating_sub(1));
    // A value over several lines is marked to the end of its first.
    let length = span.length.clamp(1, left.max(1));
    Place {
        line: span.line,
        column: span.column,
        length,
        text: text.to_owned(),
    }
}

impl std::error::Error for ScenarioErrors {}

impl fmt::Display for ScenarioErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_all(f, "error", &self.file, &self.errors)
    }
}

impl fmt::Display for ScenarioNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_all(f, "note", &self.file, &self.notes)
    }
}

/// Diagnostics shown at most; whoever has more mends these first.
const SHOWN: usize = 50;

fn show_all(
    f: &mut fmt::Formatter<'_>,
    level: &str,
    file: &str,
    diagnostics: &[Diagnostic],
) -> fmt::Result {
    for (index, diagnostic) in diagnostics.iter().take(SHOWN).enumerate() {
        if index > 0 {
            writeln!(f)?;
        }
        show(f, level, file, diagnostic)?;
    }
    if diagnostics.len() > SHOWN {
        writeln!(f, "\nand {} more {level}s", diagnostics.len() - SHOWN)?;
    }
    Ok(())
}

fn show(
    f: &mut fmt::Formatter<'_>,
    level: &str,
    file: &str,
    diagnostic: &Diagnostic,
) -> fmt::Result {
    writeln!(f, "{level}: {}", diagnostic.message)?;
    let Some(place) = &diagnostic.place else {
        writeln!(f, "  --> {file}")?;
        return match &diagnostic.help {
            Some(help) => writeln!(f, "   = help: {help}"),
            None => Ok(()),
        };
    };
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let (text, before, length) = excerpt(place);
    writeln!(f, "{margin}--> {file}:{}:{}", place.line, place.column)?;
    writeln!(f, "{margin} |")?;
    writeln!(f, "{number} | {text}")?;
    let carets = "^".repeat(length);
    match &diagnostic.label {
        Some(label) => writeln!(f, "{margin} | {before}{carets} {label}")?,
        None => writeln!(f, "{margin} | {before}{carets}")?,
    }
    if let Some(help) = &diagnostic.help {
        writeln!(f, "{margin} = help: {help}")?;
    }
    Ok(())
}

/// The part of a line to show, the blanks up to the caret, and the caret's length. Long lines are
/// cut around the place; control characters other than tabs are not let through to a terminal.
fn excerpt(place: &Place) -> (String, String, usize) {
    const WIDTH: usize = 120;
    const LEAD: usize = 40;
    let all: Vec<char> = place.text.chars().map(shown).collect();
    let column = (place.column.saturating_sub(1)).min(all.len());
    let from = if all.len() > WIDTH {
        column.saturating_sub(LEAD)
    } else {
        0
    };
    let to = all.len().min(from + WIDTH);
    let text: String = all[from..to].iter().collect();
    let blank = |&c: &char| if c == '\t' { '\t' } else { ' ' };
    let before: String = all[from..column].iter().map(blank).collect();
    (text, before, place.length.min((to - column).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_with_a_caret() {
        let span = Span {
            line: 2,
            column: 11,
            length: 6,
        };
        let finding =
            Finding::at(span, "unknown flow `chekout`").suggest("chekout", ["browse", "checkout"]);
        let text = "scenarios:\n    exec: chekout\n";
        let shown = ScenarioErrors::new("x.yaml", text, vec![finding]).to_string();
        assert_eq!(
            shown,
            "error: unknown flow `chekout`\n --> x.yaml:2:11\n  |\n2 |     exec: chekout\n  \
             |           ^^^^^^ did you mean `checkout`?\n"
        );
    }

    #[test]
    fn long_lines_and_control_characters_are_tamed() {
        let text = format!("a: \"{}\u{1b}[31m", "x".repeat(500));
        let span = Span {
            line: 1,
            column: 505,
            length: 900,
        };
        let shown = ScenarioErrors::new("x", &text, vec![Finding::at(span, "m")]).to_string();
        assert!(
            shown.lines().all(|line| line.chars().count() < 140),
            "{shown}"
        );
        assert!(!shown.contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn places_outside_of_the_text_do_not_panic() {
        let span = Span {
            line: 9,
            column: 9,
            length: 9,
        };
        let shown = ScenarioErrors::new("x", "", vec![Finding::at(span, "m")]).to_string();
        assert!(shown.contains("x:9:9"));
    }
}

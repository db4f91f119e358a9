//! What is worth knowing of a scenario's options: what is taken otherwise than it may be meant.

use crate::diagnostic::{Finding, Span};
use crate::file::ScenarioSpec;
use crate::yaml::{COMMENT, Key, Kind, Node};

/// Numbers without a unit are milliseconds, in k6 too; below this one, seconds were meant more
/// often.
const FEW: u64 = 1_000;

/// Options that hold a length of time of seconds or minutes.
const LENGTHS: [&str; 5] = [
    "duration",
    "max_duration",
    "start_time",
    "graceful_stop",
    "graceful_ramp_down",
];

/// Notes on a scenario. `at` is its block, `key` the place of its name.
pub(super) fn of_scenario(
    (name, spec): (&str, &ScenarioSpec),
    at: &Node,
    key: Span,
) -> Vec<Finding> {
    let mut notes = Vec::new();
    if let Some(options) = &spec.options {
        let message = match options.get("browser") {
            Some(_) => "`options.browser` is not taken: flows are requests, without a browser",
            None => "`options` is not taken",
        };
        notes.push(Finding::at(at.key("options"), message));
    }
    if spec.executor.counts() && spec.max_duration.is_none() {
        let message = format!("`{name}` has 10 minutes for its iterations, k6's default");
        notes.push(
            Finding::at(key, message).help(
                "its window is as long, and what follows begins after it: give `max_duration`",
            ),
        );
    }
    notes.extend(LENGTHS.iter().filter_map(|option| few(at, option)));
    for texts in ["env", "tags"] {
        notes.extend(comments(at.child(texts)));
    }
    let stages = at.child("stages");
    let each = 0..spec.stages.as_ref().map_or(0, Vec::len);
    notes.extend(each.filter_map(|index| few(stages.item(index), "duration")));
    notes
}

/// Texts with what looks like a comment of JavaScript's, which is a part of them.
fn comments(texts: &Node) -> impl Iterator<Item = Finding> {
    let entries = match &texts.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    let has_one = |(_, value): &&(Key, Node)| value.has_comment_of_javascript();
    entries.iter().filter(has_one).map(|(key, value)| {
        let text = value.text().unwrap_or_default();
        Finding::at(value.span, format!("`{}` is the text `{text}`", key.text)).help(COMMENT)
    })
}

/// A length that is a small number without a unit.
fn few(at: &Node, option: &str) -> Option<Finding> {
    let text = at.child(option).text()?;
    let number: u64 = text.parse().ok()?;
    (1..FEW).contains(&number).then(|| {
        let message = format!("`{option}: {text}` is {text} milliseconds");
        Finding::at(at.value(option), message).help(format!("for seconds write {text}s"))
    })
}

//! Segments `.` and `..` in a path. Whoever handles a URL takes them out, `%2e` and `%2E`
//! included, and the request goes elsewhere; so a path never has one.

use std::collections::HashMap;

use serde_json::Value;

use crate::plan::{Part, Template, VarRef};

/// A segment that must not be.
#[derive(Debug, PartialEq)]
pub(super) enum Dots {
    /// As the file has it.
    Written(String),
    /// With an element of what a variable is picked from.
    Picked { slot: usize, value: String },
}

/// The first such segment of a path, as far as it is known before the run: text as written, and
/// text around one variable that is picked from a list. `picks` has the lists by slot.
pub(super) fn find(path: &Template, picks: &HashMap<usize, &[Value]>) -> Option<Dots> {
    segments(path).into_iter().find_map(|segment| {
        let text = |value: &str| format!("{}{value}{}", segment.before, segment.after);
        let Some(hole) = segment.hole else {
            let written = text("");
            return is_dots(&written).then_some(Dots::Written(written));
        };
        let values = picks.get(&hole.slot)?.iter();
        let mut texts = values.filter_map(|value| value.pointer(&hole.pointer)?.as_str());
        let value = texts.find(|value| is_dots(&text(value)))?.to_owned();
        let slot = hole.slot;
        Some(Dots::Picked { slot, value })
    })
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// A segment with at most one hole. Dots that are written `%2e` are dots here.
#[derive(Debug, Default)]
struct Segment<'t> {
    before: String,
    hole: Option<&'t VarRef>,
    after: String,
    /// There is more than one hole: only the run can tell.
    is_open: bool,
}

fn segments(path: &Template) -> Vec<Segment<'_>> {
    let mut segments = vec![Segment::default()];
    for part in &path.0 {
        match part {
            // Not in a path: reported.
            Part::Secret(_) => {}
            Part::Var(hole) => {
                if let Some(segment) = segments.last_mut() {
                    segment.is_open = segment.hole.replace(hole).is_some();
                }
            }
            Part::Text(text) => {
                let (text, has_query) = match text.split_once('?') {
                    Some((path, _)) => (path, true),
                    None => (text.as_str(), false),
                };
                for (index, piece) in text.split('/').enumerate() {
                    if index > 0 {
                        segments.push(Segment::default());
                    }
                    if let Some(segment) = segments.last_mut() {
                        let end = match segment.hole {
                            None => &mut segment.before,
                            Some(_) => &mut segment.after,
                        };
                        end.push_str(&piece.replace("%2e", ".").replace("%2E", "."));
                    }
                }
                if has_query {
                    break;
                }
            }
        }
    }
    segments.retain(|segment| !segment.is_open);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Piece, pieces};
    use serde_json::json;

    /// What is found where `v` is picked from some texts and `u` is not known.
    fn found(path: &str) -> Option<Dots> {
        let list = [json!("a"), json!(".."), json!("."), json!("%2e"), json!(1)];
        let part = |piece| match piece {
            Piece::Text(text) => Part::Text(text),
            Piece::Hole { name, pointer, .. } => Part::Var(VarRef {
                slot: usize::from(name == "u"),
                pointer,
            }),
            Piece::Outside { source, .. } => Part::Secret(source),
        };
        let template = Template(pieces(path).unwrap().into_iter().map(part).collect());
        find(&template, &HashMap::from([(0, &list[..])]))
    }

    #[test]
    fn dots_that_are_a_whole_segment_are_found() {
        for (path, written) in [
            ("/a/../b", ".."),
            ("/.", "."),
            ("/%2e%2E/b", ".."),
            ("/${u}/.?q", "."),
        ] {
            assert_eq!(found(path), Some(Dots::Written(written.to_owned())));
        }
        for (path, value) in [
            ("/a/${v}", ".."),
            ("/${v}/b", ".."),
            ("/${v}?q=1", ".."),
            ("/a/.${v}", "."),
            ("/a/${v}%2e/b", "."),
        ] {
            let value = value.to_owned();
            assert_eq!(found(path), Some(Dots::Picked { slot: 0, value }), "{path}");
        }
    }

    #[test]
    fn other_dots_are_left_alone() {
        for path in [
            "/",
            "//",
            "/a.b",
            "/...",
            "/?q=/../",
            "/a?q=${v}",
            "/a${v}",
            "/${u}",
            "/${v}${v}",
            "/..${v}",
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}

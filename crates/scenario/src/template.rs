//! Text with holes as it is written: `${name}`, `${name.field.0}` for something inside of the
//! value, `$${` for a literal `${`.

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Hole {
        name: String,
        /// JSON Pointer into the value.
        pointer: String,
        place: InText,
    },
}

/// A place in a text, in characters from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InText {
    pub(crate) at: usize,
    pub(crate) length: usize,
}

/// What is wrong with a template, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadTemplate {
    pub(crate) place: InText,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

/// Splits a text at its holes. Neighbouring texts are one piece; an empty text has none.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, BadTemplate> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    let mut at = 0;
    while let Some(found) = rest.find("${") {
        let (before, hole) = rest.split_at(found);
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            at += before.chars().count() + 3;
            rest = &hole[2..];
            continue;
        }
        plain.push_str(before);
        at += before.chars().count();
        let Some(end) = hole.find('}') else {
            return Err(BadTemplate {
                place: InText {
                    at,
                    length: hole.chars().count(),
                },
                message: "`${` without a `}`".to_owned(),
                help: "write `$${` for a literal `${`",
            });
        };
        let length = hole[..=end].chars().count();
        let place = InText { at, length };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(reference(&hole[2..end], place)?);
        at += length;
        rest = &hole[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

fn reference(inside: &str, place: InText) -> Result<Piece, BadTemplate> {
    let (name, fields) = inside
        .split_once('.')
        .map_or((inside, None), |(n, f)| (n, Some(f)));
    if !is_variable_name(name) {
        return Err(BadTemplate {
            place,
            message: format!("`{name}` is not a variable name"),
            help: "write ${name} or ${name.field.0}: letters, digits and `_`, no blanks",
        });
    }
    let mut pointer = String::new();
    for field in fields.iter().flat_map(|fields| fields.split('.')) {
        if field.is_empty() {
            return Err(BadTemplate {
                place,
                message: format!("an empty field name in `${{{inside}}}`"),
                help: "write ${name.field.0}",
            });
        }
        pointer.push('/');
        pointer.push_str(&field.replace('~', "~0").replace('/', "~1"));
    }
    Ok(Piece::Hole {
        name: name.to_owned(),
        pointer,
        place,
    })
}

/// Letters, digits and `_`, not beginning with a digit.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hole(name: &str, pointer: &str, at: usize, length: usize) -> Piece {
        let place = InText { at, length };
        Piece::Hole {
            name: name.to_owned(),
            pointer: pointer.to_owned(),
            place,
        }
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn holes_and_escapes() {
        assert_eq!(pieces(""), Ok(vec![]));
        assert_eq!(pieces("a$b{c}$"), Ok(vec![text("a$b{c}$")]));
        assert_eq!(pieces("${a}"), Ok(vec![hole("a", "", 0, 4)]));
        assert_eq!(
            pieces("é/${a.items.0.x/y~}/${b}!"),
            Ok(vec![
                text("é/"),
                hole("a", "/items/0/x~1y~0", 2, 17),
                text("/"),
                hole("b", "", 20, 4),
                text("!")
            ])
        );
        assert_eq!(
            pieces("$${a}${b}"),
            Ok(vec![text("${a}"), hole("b", "", 5, 4)])
        );
    }

    #[test]
    fn bad_ones_say_where() {
        for (template, at) in [
            ("x${", 1),
            ("${}", 0),
            ("${a b}", 0),
            ("ab${1a}", 2),
            ("${a..b}", 0),
            ("${a.}", 0),
        ] {
            assert_eq!(pieces(template).unwrap_err().place.at, at, "{template}");
        }
    }

    proptest! {
        #[test]
        fn text_without_dollars_is_itself(plain in "[^$]*") {
            let expected = if plain.is_empty() { vec![] } else { vec![Piece::Text(plain.clone())] };
            prop_assert_eq!(pieces(&plain), Ok(expected));
        }

        #[test]
        fn any_text_is_split_or_refused(template in r"[a-c${}.]{0,30}") {
            if let Ok(pieces) = pieces(&template) {
                let is_text = |piece: &Piece| matches!(piece, Piece::Text(_));
                prop_assert!(!pieces.windows(2).any(|pair| pair.iter().all(is_text)));
            }
        }
    }
}

//! Text with holes as it is written: `${name}`, `${name.field.0}` for something inside of the
//! value, `${env:NAME}` and `${file:PATH}` for what is not in the file, `$${` for a literal `${`.

use crate::plan::SecretSource;

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
    /// What is not in the file: `${env:NAME}`, `${file:PATH}`.
    Outside {
        source: SecretSource,
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
    if let Some(source) = outside(inside, place)? {
        return Ok(Piece::Outside { source, place });
    }
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

/// What is read from the environment or from a file; none: a variable's name.
fn outside(inside: &str, place: InText) -> Result<Option<SecretSource>, BadTemplate> {
    let Some((kind, name)) = inside.split_once(':') else {
        return Ok(None);
    };
    let bad = |message: String, help| {
        Err(BadTemplate {
            place,
            message,
            help,
        })
    };
    match kind {
        "env" if is_variable_name(name) => Ok(Some(SecretSource::Env(name.to_owned()))),
        "env" => bad(
            format!("`{name}` is not the name of an environment variable"),
            "write ${env:NAME}: letters, digits and `_`, no blanks",
        ),
        "file" if !name.is_empty() => Ok(Some(SecretSource::File(name.to_owned()))),
        _ => bad(
            format!("`${{{inside}}}` names nothing that can be read"),
            "write ${env:NAME} or ${file:PATH}, or ${name} for a variable",
        ),
    }
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
    fn what_is_not_in_the_file_is_named() {
        let outside = |source, at, length| {
            let place = InText { at, length };
            Piece::Outside { source, place }
        };
        let env = SecretSource::Env("API_TOKEN".to_owned());
        let file = SecretSource::File("/run/secrets/a b".to_owned());
        assert_eq!(
            pieces("Bearer ${env:API_TOKEN}${file:/run/secrets/a b}"),
            Ok(vec![
                text("Bearer "),
                outside(env, 7, 16),
                outside(file, 23, 24)
            ])
        );
        // A variable may be called so.
        assert_eq!(pieces("${env.x}"), Ok(vec![hole("env", "/x", 0, 8)]));
    }

    #[test]
    fn bad_ones_say_where() {
        for (template, at) in [
            ("a${env:}", 1),
            ("${env:A B}", 0),
            ("${file:}", 0),
            ("${vault:a}", 0),
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

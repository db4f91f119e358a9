//! Names of the dataset's files. Whatever an anomaly type is called, a name holds nothing but
//! `a-z`, `0-9`, `_` and `-`.

/// Longest part that is taken from an anomaly type, in characters.
const MAX_PART: usize = 64;

/// Names with a meaning of their own.
const RESERVED: [&str; 3] = ["labeled", "normal", "anomalous"];

/// A part of a file name for each anomaly type, all different. Where two types would share a
/// part, or one would take a reserved one, the later gets `-2`, `-3`, ….
pub(crate) fn parts(types: &[String]) -> Vec<String> {
    let mut taken: Vec<String> = RESERVED.map(str::to_owned).to_vec();
    for kind in types {
        let wanted = safe(kind);
        let mut part = wanted.clone();
        let mut number = 2;
        while taken.contains(&part) {
            part = format!("{wanted}-{number}");
            number += 1;
        }
        taken.push(part);
    }
    taken.split_off(RESERVED.len())
}

fn safe(kind: &str) -> String {
    let part: String = kind
        .chars()
        .take(MAX_PART)
        .flat_map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_' | '-') => vec![c],
            // Between the types of a compound.
            '+' => vec!['-', '-'],
            _ => vec!['_'],
        })
        .collect();
    if part.is_empty() {
        "_".to_owned()
    } else {
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts_of(types: &[&str]) -> Vec<String> {
        parts(&types.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn ordinary_types_keep_their_name() {
        assert_eq!(
            parts_of(&["none", "latency_spike", "latency_spike+timeout"]),
            ["none", "latency_spike", "latency_spike--timeout"]
        );
    }

    #[test]
    fn strange_types_become_harmless_and_stay_apart() {
        assert_eq!(
            parts_of(&["../etc/passwd", "A B", "a_b", "normal", "", "labeled"]),
            [
                "___etc_passwd",
                "a_b",
                "a_b-2",
                "normal-2",
                "_",
                "labeled-2"
            ]
        );
    }

    proptest! {
        #[test]
        fn parts_are_safe_and_different(types: Vec<String>) {
            let parts = parts(&types);
            prop_assert_eq!(parts.len(), types.len());
            let mut distinct = parts.clone();
            distinct.sort();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), parts.len());
            for part in parts {
                prop_assert!(!part.is_empty() && part.len() <= 2 * MAX_PART + 20);
                prop_assert!(part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'));
            }
        }
    }
}

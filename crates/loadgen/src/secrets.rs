//! Secrets that a scenario file names: read from the environment or from files when a run begins.

use loadgen_scenario::{Plan, SecretSource, secrets};

use crate::exit::{Exit, Failure};

/// A file of a secret is not larger than this, in bytes: a header has no room for more.
const MOST: u64 = 64 << 10;

/// A plan with its secrets put in, to be sent and not to be written.
///
/// # Errors
/// A variable is not set, or a file can't be read; or there is nothing in it that can be sent.
pub(crate) fn filled(plan: &Plan) -> Result<Plan, Failure> {
    secrets::filled(plan, |source| {
        read(source).map_err(|why| Failure::new(Exit::BadInput, why))
    })
}

fn read(source: &SecretSource) -> Result<String, String> {
    let (what, text) = match source {
        SecretSource::Env(name) => {
            let what = format!("the environment variable {name}");
            let text = std::env::var(name).map_err(|error| {
                format!("{what}, which the scenario file names, can't be read: {error}")
            })?;
            (what, text)
        }
        SecretSource::File(path) => {
            let what = format!("the file {path}");
            let text = read_file(path).map_err(|error| {
                format!("{what}, which the scenario file names, can't be read: {error}")
            })?;
            (what, text)
        }
    };
    checked(&what, text)
}

fn read_file(path: &str) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let mut file = std::fs::File::open(path)?.take(MOST + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MOST {
        let message = format!("it has more than {MOST} bytes");
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            message,
        ));
    }
    // Editors end a file with an end of line, which is no part of the secret.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn checked(what: &str, text: String) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!(
            "{what}, which the scenario file names for a secret, is empty"
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "{what}, which the scenario file names for a secret, holds a control character; it must be one line"
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_line() {
        let place = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            let path = place.path().join("secret");
            std::fs::write(&path, text).unwrap();
            read(&SecretSource::File(path.display().to_string()))
        };
        assert_eq!(of("a b\n").unwrap(), "a b");
        assert_eq!(of("a b\r\n").unwrap(), "a b");
        for (text, why) in [
            ("", "empty"),
            ("\n", "empty"),
            ("a\nb", "control character"),
        ] {
            let refused = of(text).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(of(&"x".repeat(1 << 17)).unwrap_err().contains("more than"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let absent = SecretSource::Env("LOADGEN_TEST_NOT_SET".to_owned());
        let refused = read(&absent).unwrap_err();
        assert!(refused.contains("LOADGEN_TEST_NOT_SET"), "{refused}");
        let refused = read(&SecretSource::File("/nonexistent".to_owned())).unwrap_err();
        assert!(refused.contains("/nonexistent"), "{refused}");
    }
}

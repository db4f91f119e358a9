//! What faults and drivers are told: names and types of parameters against a catalogue.

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalogue::{Parameter, ParameterKind, labels};
use crate::diagnostic::{Finding, Span};
use crate::file::Duration;
use crate::plan::Parameters;
use crate::yaml::Node;

/// Parameters as a file gives them.
pub(super) struct Given<'g> {
    pub(super) values: &'g IndexMap<String, Value>,
    /// Where they stand.
    pub(super) node: &'g Node,
    /// Where something is said that is missing.
    pub(super) whole: Span,
    /// What they belong to, for people.
    pub(super) of: &'g str,
}

/// The values under the names that plans have. Without a catalogue they are taken as they are.
pub(super) fn resolve(
    given: &Given<'_>,
    known: Option<&[Parameter]>,
    findings: &mut Vec<Finding>,
) -> Parameters {
    let Some(known) = known else {
        let all = given.values.iter();
        return all.map(|(name, v)| (name.clone(), v.clone())).collect();
    };
    let mut resolved = Parameters::new();
    for (name, value) in given.values {
        let Some(parameter) = known.iter().find(|parameter| parameter.name == *name) else {
            findings.push(unknown(name, given, known));
            continue;
        };
        match read(&parameter.kind, value) {
            Ok(value) => _ = resolved.insert(parameter.plan_name(), value),
            Err(wrong) => {
                let (message, help) = wrong
                    .split_once('\n')
                    .unwrap_or((&wrong, &parameter.summary));
                let span = given.node.value(name);
                findings.push(Finding::at(span, format!("`{name}`: {message}")).help(help));
            }
        }
    }
    let missing =
        |parameter: &&Parameter| parameter.required && !given.values.contains_key(&parameter.name);
    for Parameter { name, summary, .. } in known.iter().filter(missing) {
        let message = format!("{} needs the parameter `{name}`", given.of);
        findings.push(Finding::at(given.whole, message).help(summary));
    }
    resolved
}

fn unknown(name: &str, given: &Given<'_>, known: &[Parameter]) -> Finding {
    let message = format!("{} has no parameter `{name}`", given.of);
    let finding = Finding::at(given.node.key(name), message);
    match known.is_empty() {
        true => finding.help("it has none"),
        false => finding.suggest(name, known.iter().map(|known| known.name.as_str())),
    }
}

/// The value as plans have it, or what is wrong, and perhaps on a second line what to do.
fn read(kind: &ParameterKind, value: &Value) -> Result<Value, String> {
    let expected = |what: &str| format!("expected {what}, found `{}`", shown(value));
    match kind {
        ParameterKind::Duration => milliseconds(typed::<Duration>(value)?),
        ParameterKind::Number => match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(value.clone()),
            _ => Err(expected("a number of 0 or more")),
        },
        ParameterKind::Integer => match value.as_u64() {
            Some(_) => Ok(value.clone()),
            None => Err(expected("a whole number of 0 or more")),
        },
        ParameterKind::Flag => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(expected("`true` or `false`")),
        },
        ParameterKind::Text => match value {
            Value::String(text) if !text.trim().is_empty() => Ok(value.clone()),
            Value::Number(number) => Ok(Value::String(number.to_string())),
            _ => Err(expected("a text")),
        },
        ParameterKind::OneOf(texts) => match value.as_str() {
            Some(text) if texts.iter().any(|one| one == text) => Ok(value.clone()),
            _ => Err(expected(&format!("one of {}", texts.join(", ")))),
        },
        ParameterKind::Command => match value {
            Value::String(text) if !text.trim().is_empty() => Ok(value.clone()),
            Value::Array(words) if is_command(words) => Ok(value.clone()),
            _ => Err(expected("a command, as a text or as a list of texts")),
        },
        ParameterKind::Labels => match value.as_str() {
            Some(text) if labels(text).is_some() => Ok(value.clone()),
            _ => Err(expected("labels such as `app=orders,tier=web`")),
        },
    }
}

fn is_command(words: &[Value]) -> bool {
    !words.is_empty() && words.iter().all(Value::is_string)
}

fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

/// Whole milliseconds as a whole number, so that they are read back exactly.
fn milliseconds(duration: Duration) -> Result<Value, String> {
    match duration.ns % 1_000_000 {
        0 => Ok(Value::from(duration.ns / 1_000_000)),
        _ => Err("parts of a millisecond\ngive whole milliseconds".to_owned()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

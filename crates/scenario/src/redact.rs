//! What is secret in scenario files and plans, taken out before anything is written or shown.
//!
//! A secret is told by its place: it stands before the `@` of an address, or under a name that says
//! so, such as `authorization` or `api_key`. In its place stands `REDACTED`. A place that holds the
//! name of a secret, `${env:NAME}`, stays as it is.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use crate::diagnostic::Span;
use crate::plan::{FlagSource, Flow, Part, Plan, Target, Template};
use crate::template::{self, Piece};
use crate::yaml::{self, Kind, Node};

/// What stands in the place of a secret.
pub const REDACTED: &str = "REDACTED";

/// Parts of names under which secrets stand, and whether each is looked for anywhere in the name
/// or as a word of it. `x-auth` has the word `auth`; `author` does not.
const ANYWHERE: [&str; 13] = [
    "authorization",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "signature",
    "bearer",
];
const WORDS: [&str; 8] = ["auth", "key", "pwd", "pw", "session", "sid", "jwt", "pass"];

/// Keys of a scenario file under which names are the person's own. Elsewhere they are the format's,
/// or names of flows and anomalies, such as `token_refresh`. What bodies and variables hold is data
/// that the target is sent: without it no other engine could run the plan.
const PLACES: [&str; 6] = ["headers", "baggage", "env", "tags", "drivers", "parameters"];

/// Words that may stand before a secret in a header.
const SCHEMES: [&str; 6] = ["basic", "bearer", "digest", "token", "apikey", "negotiate"];

/// Whether what stands under a name is taken for a secret.
pub fn is_secret_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let words = words(name);
    ANYWHERE.iter().any(|part| plain.contains(part))
        || words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name, in lower case: `x-api-key`, `api_key` and `apiKey` have `api` and `key`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let begins = !character.is_ascii_alphanumeric() || (was_lower && character.is_uppercase());
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.push(character.to_ascii_lowercase());
        }
        was_lower = character.is_lowercase() || character.is_ascii_digit();
    }
    words
}

/// A text in which addresses have `REDACTED` in place of names and passwords:
/// `http://REDACTED@shop.example`.
pub fn addresses(text: &str) -> Cow<'_, str> {
    let in_a_text = |c: char| c.is_whitespace() || "\"<>`".contains(c);
    with_redacted(text, &user_infos(text, in_a_text))
}

/// The same of a text that is one value: it may hold blanks.
fn address(text: &str) -> Cow<'_, str> {
    with_redacted(text, &user_infos(text, |_| false))
}

fn with_redacted<'t>(text: &'t str, places: &[Range<usize>]) -> Cow<'t, str> {
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for place in places {
        out.push_str(&text[at..place.start]);
        out.push_str(REDACTED);
        at = place.end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// Where names and passwords of addresses stand, by bytes. Clients take `http:name@host` and
/// `http:\\name@host` for addresses as well.
fn user_infos(text: &str, ends: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(colon) = text[from..].find(':').map(|at| from + at) {
        from = colon + 1;
        let rest = &text[from..];
        let slashes = rest.len() - rest.trim_start_matches(['/', '\\']).len();
        let scheme = text[..colon]
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
            .next()
            .unwrap_or_default();
        let is_web = ["http", "https"]
            .iter()
            .any(|web| scheme.eq_ignore_ascii_case(web));
        if scheme.is_empty() || !(is_web || rest.starts_with("//")) {
            continue;
        }
        let begin = from + slashes;
        let end = text[begin..]
            .find(|c: char| "/\\?#".contains(c) || ends(c))
            .map_or(text.len(), |at| begin + at);
        // A password may hold an `@` itself.
        if let Some(at) = text[begin..end].rfind('@') {
            found.push(begin..begin + at);
            from = begin + at;
        } else {
            from = begin;
        }
    }
    found
}

/// A plan as it may be written down.
pub fn plan(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Target::BaseUrl(url) = &mut plan.target {
        *url = address(url).into_owned();
    }
    for flag in &mut plan.flags {
        if let FlagSource::OfrepUrl(url) = &mut flag.source {
            *url = address(url).into_owned();
        }
    }
    plan.flows.iter_mut().for_each(flow);
    for told in plan.drivers.values_mut() {
        told.iter_mut().for_each(|(name, told)| value(name, told));
    }
    for scenario in &mut plan.scenarios {
        let carried = [&mut scenario.env, &mut scenario.tags];
        for (name, text) in carried.into_iter().flatten() {
            *text = match is_secret_name(name) {
                true => REDACTED.to_owned(),
                false => address(text).into_owned(),
            };
        }
        if let Some(fault) = &mut scenario.fault {
            let told = fault.parameters.iter_mut();
            told.for_each(|(name, told)| value(name, told));
        }
    }
    plan
}

fn flow(flow: &mut Flow) {
    for step in &mut flow.steps {
        for (name, text) in step.headers.iter_mut().chain(&mut step.baggage) {
            template(name, text);
        }
    }
}

fn template(name: &str, template: &mut Template) {
    let is_secret = is_secret_name(name);
    for part in &mut template.0 {
        if let Part::Text(text) = part {
            *text = match is_secret {
                true => secret(text),
                false => address(text).into_owned(),
            };
        }
    }
}

/// All that is below a name that says that it is secret is so, too.
fn inherited<'n>(above: &'n str, own: &'n str) -> &'n str {
    match is_secret_name(above) {
        true => above,
        false => own,
    }
}

fn value(name: &str, of: &mut Value) {
    match of {
        Value::Array(items) => items.iter_mut().for_each(|item| value(name, item)),
        Value::Object(map) => {
            for (key, item) in map {
                value(inherited(name, key), item);
            }
        }
        Value::String(text) => {
            *text = match is_secret_name(name) {
                true => secret(text),
                false => address(text).into_owned(),
            }
        }
        Value::Number(_) if is_secret_name(name) => *of = REDACTED.into(),
        _ => {}
    }
}

/// A literal text of a secret's place. The word before the secret proper may be read.
fn secret(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let is_scheme = SCHEMES
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme));
    match (is_scheme, text.trim() == word) {
        _ if text.trim().is_empty() => text.to_owned(),
        (true, true) => text.to_owned(),
        (true, false) => format!("{word} {REDACTED}"),
        _ => REDACTED.to_owned(),
    }
}

/// A scenario file's text without secrets. All else stays as it is, comments too. One that can't be
/// read, or whose secrets can't be told from the rest, is left out but for a comment that says so.
pub fn scenario_file(text: &str) -> String {
    let left_out = || "# Not copied: secrets in it can't be told from the rest.\n".to_owned();
    let Ok(root) = yaml::parse(text) else {
        return left_out();
    };
    let secrets = secrets_of(&root);
    let lines: Vec<usize> = text
        .split_inclusive('\n')
        .scan(0, |at, line| Some(std::mem::replace(at, *at + line.len())))
        .collect();
    let places = secrets
        .iter()
        .filter_map(|secret| place(text, &lines, secret));
    let mut places: Vec<Range<usize>> = places.collect();
    places.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
    // An alias stands for what is elsewhere, which is then found twice.
    places.dedup_by(|next, last| next.start < last.end);
    let out = with_redacted(text, &places);
    let mut out = addresses(&out).into_owned();
    // The same may stand elsewhere, in a comment for instance.
    let texts: BTreeSet<&str> = secrets.iter().map(|secret| secret.text.as_str()).collect();
    for text in texts.into_iter().filter(|text| text.len() >= LONG) {
        out = out.replace(text, REDACTED);
    }
    // What is written with escapes, or over several lines, is not found as text.
    match yaml::parse(&out) {
        Ok(root) if secrets_of(&root).iter().all(|s| s.text == REDACTED) => out,
        _ => left_out(),
    }
}

/// A secret of at least so many bytes is looked for everywhere in a file: it is no other word.
const LONG: usize = 8;

/// A literal secret, and the scalar that it stands in.
struct Secret {
    text: String,
    scalar: Span,
}

/// Where a secret stands in the text, whose lines begin at `lines`, where it stands there as it is.
fn place(text: &str, lines: &[usize], secret: &Secret) -> Option<Range<usize>> {
    let line = *lines.get(secret.scalar.line.checked_sub(1)?)?;
    let column = text[line..]
        .char_indices()
        .nth(secret.scalar.column.checked_sub(1)?)?
        .0;
    let begin = line + column;
    let length = text[begin..].char_indices().nth(secret.scalar.length);
    let raw = &text[begin..length.map_or(text.len(), |(at, _)| begin + at)];
    let at = begin + raw.find(&secret.text)?;
    Some(at..at + secret.text.len())
}

fn secrets_of(root: &Node) -> Vec<Secret> {
    let mut secrets = Vec::new();
    collect(root, "", false, &mut secrets);
    secrets
}

/// Collects literal secrets. `name` is what stands above a value; `is_place`: the names here are
/// the person's own.
fn collect(node: &Node, name: &str, is_place: bool, secrets: &mut Vec<Secret>) {
    match &node.kind {
        Kind::Scalar { text, .. } => {
            let found: Vec<String> = match is_place && is_secret_name(name) {
                true => literals(text)
                    .iter()
                    .filter_map(|l| secret_part(l))
                    .collect(),
                false => {
                    let places = user_infos(text, |_| false);
                    places.into_iter().map(|at| text[at].to_owned()).collect()
                }
            };
            let scalar = node.span;
            secrets.extend(found.into_iter().map(|text| Secret { text, scalar }));
        }
        Kind::List(items) => {
            for item in items {
                collect(item, name, is_place, secrets);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                let is_below = is_place || PLACES.contains(&key.text.as_str());
                let name = match is_place {
                    true => inherited(name, &key.text),
                    false => &key.text,
                };
                collect(value, name, is_below, secrets);
            }
        }
    }
}

/// The literal pieces of a template; the whole text where it is none.
fn literals(text: &str) -> Vec<String> {
    let Ok(pieces) = template::pieces(text) else {
        return vec![text.to_owned()];
    };
    let literal = |piece| match piece {
        Piece::Text(text) => Some(text),
        _ => None,
    };
    pieces.into_iter().filter_map(literal).collect()
}

/// What of a literal text is to be replaced; none: nothing.
fn secret_part(text: &str) -> Option<String> {
    let shown = secret(text);
    let kept = shown.strip_suffix(REDACTED)?.trim();
    let part = text.trim().strip_prefix(kept)?.trim();
    (!part.is_empty() && part != REDACTED).then(|| part.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{PlanOptions, plan_str};

    #[test]
    fn names_say_what_is_secret() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "Cookie",
            "x-api-key",
            "apiKey",
            "X-Auth",
            "GITHUB_TOKEN",
            "client_secret",
            "dbPassword",
            "session.id",
            "private_key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "accept",
            "author",
            "x-keyboard",
            "monkey",
            "passenger",
            "sku",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn addresses_lose_names_and_passwords() {
        for (text, shown) in [
            (
                "http://u:p@shop.example/x",
                "http://REDACTED@shop.example/x",
            ),
            ("HTTPS://token@shop", "HTTPS://REDACTED@shop"),
            ("(http://u:p@ss@h:1?a=b@c)", "(http://REDACTED@h:1?a=b@c)"),
            (
                "redis://:pw@r, s3://k:s@b",
                "redis://REDACTED@r, s3://REDACTED@b",
            ),
            (
                "http:u:p@h and http:\\u:p@h",
                "http:REDACTED@h and http:\\REDACTED@h",
            ),
            ("http://a/x http://u:p@h", "http://a/x http://REDACTED@h"),
        ] {
            assert_eq!(addresses(text), shown);
        }
        for text in [
            "http://shop.example/@me",
            "mailto:me@shop.example",
            "at 12:30 to me@shop.example",
            "http://[::1]:80/a@b",
            "a: b@c",
        ] {
            assert!(matches!(addresses(text), Cow::Borrowed(_)), "{text}");
        }
    }

    const FILE: &str = r#"# curl http://me:planted-1@shop.example
version: 1
base_url: http://me:planted-2@shop.example
drivers:
  proxy: {url: 'http://me:planted-3@proxy:8474', token: planted-4}
defaults:
  headers: {x-api-key: &key planted-5, Accept: text/html}
flows:
  token_refresh:
    vars: {token: {pick: [a, b]}, secret: {hex: 8}}
    steps:
      - path: /
        headers:
          Authorization: Bearer planted-8 # planted-8 is old
          cookie: 'a=planted-9; n=${secret}'
          x-key: *key
          x-pin-token: 12
        json: {user: me, password: '${token}'}
scenarios:
  token_refresh:
    executor: constant-vus
    duration: 1s
    exec: token_refresh
    env: {API_TOKEN: planted-12, STAGE: test}
"#;

    #[test]
    fn planted_secrets_are_in_no_copy_and_in_no_plan() {
        let copy = scenario_file(FILE);
        assert!(!copy.contains("planted"), "{copy}");
        for kept in [
            "base_url: http://REDACTED@shop.example",
            "Accept: text/html",
            "Bearer REDACTED # REDACTED is old",
            "REDACTED${secret}",
            "secret: {hex: 8}",
            "user: me, password: '${token}'",
            "x-pin-token: REDACTED",
            "STAGE: test",
            "executor: constant-vus",
        ] {
            assert!(copy.contains(kept), "{kept}: {copy}");
        }
        let options = PlanOptions::default();
        let made = plan_str("a.yaml", FILE, &options).map_err(|e| e.to_string());
        let written = plan(&made.unwrap_or_else(|e| panic!("{e}")));
        let written = serde_json::to_string(&written).unwrap();
        assert!(!written.contains("planted"), "{written}");
        assert!(written.contains("Bearer REDACTED") && written.contains("text/html"));
        // The copy is still a file of the same form.
        plan_str("a.yaml", &copy, &options).unwrap();
    }

    #[test]
    fn what_has_no_secrets_stays_as_it_is() {
        let file = include_str!("../../../scenarios/default.yaml");
        assert_eq!(scenario_file(file), file);
        let made = plan_str("default.yaml", file, &PlanOptions::default());
        if let Ok(made) = made {
            assert_eq!(plan(&made), made);
        }
    }

    #[test]
    fn a_secret_that_is_written_with_escapes_takes_the_copy_with_it() {
        for value in [
            "\"plan\\x74ed\"",
            "|\n    plan\n    ted",
            "\"plan\n    ted\"",
        ] {
            let file = format!("headers:\n  token: {value}\n");
            assert!(scenario_file(&file).starts_with("# Not copied"), "{file}");
        }
        assert!(scenario_file("a: [").starts_with("# Not copied"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC{0,60}", other in "[a-z:@/ \\\\]{0,40}") {
            for text in [text, other] {
                let once = addresses(&text).into_owned();
                prop_assert_eq!(addresses(&once), once.as_str());
                let _ = scenario_file(&text);
            }
        }
    }
}

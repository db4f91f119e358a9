//! Requests that a browser recorded.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::Value;
use url::Url;

use crate::UnusableDocument;
use crate::draft::{Draft, DraftFlow, DraftStep};

/// The longest pause that is written down, in milliseconds: longer ones are somebody who did
/// something else.
const LONGEST_PAUSE_MS: i64 = 10_000;
/// Pauses are written in steps of so many milliseconds.
const GRAIN_MS: i64 = 50;

/// What pages are made of; it seldom comes from the services that are looked at.
const STATIC: [&str; 14] = [
    ".js", ".mjs", ".css", ".map", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico", ".webp",
    ".woff", ".woff2", ".ttf",
];

/// One flow of the requests of a recording, in its order and with its pauses: those to one address,
/// `base_url`, or the one that was asked most often. Headers and cookies are not taken, as they may
/// be credentials; cookies that the target sets are kept while an iteration goes on.
///
/// # Errors
/// It is no recording, or has no request to the address.
pub fn from_har(document: &Value, base_url: Option<&str>) -> Result<Draft, UnusableDocument> {
    let entries = document.pointer("/log/entries").and_then(Value::as_array);
    let Some(entries) = entries else {
        return Err(UnusableDocument(
            "it has no `log.entries`, as HAR files have".to_owned(),
        ));
    };
    let mut entries: Vec<Entry> = entries.iter().filter_map(Entry::of).collect();
    entries.sort_by_key(|entry| entry.began_ms);
    let origin = match base_url.and_then(|url| Url::parse(url).ok()) {
        Some(url) => url.origin().ascii_serialization(),
        None => most_frequent(&entries)
            .ok_or_else(|| UnusableDocument("it has no request by HTTP".to_owned()))?,
    };
    let count = entries.len();
    entries.retain(|entry| entry.origin() == origin);
    let mut draft = Draft {
        base_url: Some(origin.clone()),
        ..Draft::default()
    };
    if entries.len() < count {
        let others = count - entries.len();
        draft
            .left_out
            .push(format!("{others} requests to other addresses"));
    }
    let count = entries.len();
    entries.retain(|entry| !entry.is_static());
    if entries.len() < count {
        let files = count - entries.len();
        draft.left_out.push(format!(
            "{files} requests for scripts, styles, pictures and fonts"
        ));
    }
    let mut flow = DraftFlow {
        name: "recorded".to_owned(),
        ..DraftFlow::default()
    };
    for (index, entry) in entries.iter().enumerate() {
        let next_ms = entries.get(index + 1).map(|next| next.began_ms);
        match entry.step(next_ms) {
            Ok(step) => flow.push(step),
            Err(why) => {
                draft
                    .left_out
                    .push(format!("{} {}: {why}", entry.method, entry.url.path()))
            }
        }
    }
    if flow.steps.is_empty() {
        return Err(UnusableDocument(format!(
            "it has no request to {origin} that can be sent"
        )));
    }
    draft.flows.push(flow);
    Ok(draft)
}

fn most_frequent(entries: &[Entry]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.origin()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(origin, _)| origin)
}

struct Entry<'d> {
    began_ms: i64,
    took_ms: i64,
    method: &'d str,
    url: Url,
    body: Option<&'d Value>,
    status: u16,
}

impl<'d> Entry<'d> {
    fn of(entry: &'d Value) -> Option<Self> {
        let began = entry.get("startedDateTime")?.as_str()?;
        let url = Url::parse(entry.pointer("/request/url")?.as_str()?).ok()?;
        let status = entry.pointer("/response/status").and_then(Value::as_u64);
        Some(Self {
            began_ms: DateTime::parse_from_rfc3339(began).ok()?.timestamp_millis(),
            took_ms: entry.get("time").and_then(Value::as_f64).unwrap_or(0.0) as i64,
            method: entry.pointer("/request/method")?.as_str()?,
            url,
            body: entry.pointer("/request/postData"),
            status: u16::try_from(status.unwrap_or(0)).unwrap_or(0),
        })
        .filter(|entry| ["http", "https"].contains(&entry.url.scheme()))
    }

    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    fn is_static(&self) -> bool {
        let path = self.url.path().to_ascii_lowercase();
        STATIC.iter().any(|ending| path.ends_with(ending))
    }

    fn step(&self, next_ms: Option<i64>) -> Result<DraftStep, &'static str> {
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let body = self.body.and_then(|body| body.get("text")?.as_str());
        let json = match body {
            None | Some("") => None,
            Some(text) if text.contains("${") => return Err("its body looks like a template"),
            Some(text) => match serde_json::from_str(text) {
                Ok(json) => Some(json),
                Err(_) => return Err("its body is not JSON"),
            },
        };
        if path.contains("${") {
            return Err("its path looks like a template");
        }
        let pause = next_ms.map(|next| next - self.began_ms - self.took_ms);
        let pause = pause.map(|ms| ms.clamp(0, LONGEST_PAUSE_MS) / GRAIN_MS * GRAIN_MS);
        let is_success = (200..300).contains(&self.status) || self.status == 0;
        // A copy that the browser had is answered anew.
        let status = (!is_success && self.status != 304).then_some(self.status);
        Ok(DraftStep {
            name: format!("{} {}", self.method, self.url.path()),
            method: self.method.to_ascii_uppercase(),
            path,
            json,
            status,
            content_type: None,
            think_time_ms: pause.and_then(|ms| u64::try_from(ms).ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use loadgen_scenario::{PlanOptions, load_str};
    use serde_json::json;

    use super::*;

    fn entry(at: &str, method: &str, url: &str, status: u16) -> Value {
        json!({
            "startedDateTime": format!("2026-11-25T02:31:{at}Z"), "time": 20.5,
            "request": {"method": method, "url": url, "headers": [
                {"name": "Authorization", "value": "Bearer secret"}
            ]},
            "response": {"status": status}
        })
    }

    #[test]
    fn a_recording_becomes_a_flow() {
        let mut add = entry("02.000", "POST", "http://shop.example/cart?x=1", 201);
        add["request"]["postData"] =
            json!({"mimeType": "application/json", "text": "{\"sku\": \"A1\"}"});
        let mut form = entry("30.000", "POST", "http://shop.example/login", 302);
        form["request"]["postData"] = json!({"text": "name=me&password=secret"});
        let document = json!({"log": {"entries": [
            entry("05.000", "GET", "http://shop.example/missing", 404),
            add,
            entry("00.000", "GET", "http://shop.example/", 200),
            entry("00.100", "GET", "http://shop.example/logo.SVG", 200),
            entry("00.200", "GET", "https://tracker.example/a", 200),
            form,
            {"startedDateTime": "nonsense"},
        ]}});
        let draft = from_har(&document, None).unwrap();
        assert_eq!(draft.base_url.as_deref(), Some("http://shop.example"));
        let steps: Vec<_> = draft.flows[0]
            .steps
            .iter()
            .map(|s| (s.name.as_str(), s.path.as_str(), s.status, s.think_time_ms))
            .collect();
        assert_eq!(
            steps,
            [
                ("get", "/", None, Some(1_950)),
                ("post_cart", "/cart?x=1", None, Some(2_950)),
                ("get_missing", "/missing", Some(404), Some(10_000)),
            ]
        );
        assert_eq!(draft.flows[0].steps[1].json, Some(json!({"sku": "A1"})));
        assert_eq!(
            draft.left_out,
            [
                "1 requests to other addresses",
                "1 requests for scripts, styles, pictures and fonts",
                "POST /login: its body is not JSON",
            ]
        );
        let file = draft.file("http://shop.example");
        assert!(!file.contains("secret"), "{file}");
        load_str("t.yaml", &file, &PlanOptions::default())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let other = from_har(&document, Some("https://tracker.example/x")).unwrap();
        assert_eq!(other.flows[0].steps[0].path, "/a");
    }

    #[test]
    fn other_documents_are_refused() {
        for document in [json!([]), json!({"log": {"entries": []}})] {
            assert!(from_har(&document, None).is_err(), "{document}");
        }
    }
}

//! Pages of a target that does not describe itself: what they link to, and a draft of those that
//! answer.

use serde_json::Value;
use url::{Position, Url};

use crate::draft::{Draft, DraftFlow, DraftStep};

/// Parts of paths whose requests may end a session or change something, although they are links.
const MAY_CHANGE: [&str; 8] = [
    "logout", "signout", "logoff", "delete", "remove", "cancel", "cart/add", "checkout",
];

/// What a page links to on its own host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Paths with their queries, each once, in the order of the page, without the page itself.
    pub paths: Vec<String>,
    /// Those that may change something.
    pub may_change: Vec<String>,
}

/// The links of a page: of HTML those of its `<a>` elements, of JSON the texts that are a path
/// (`/orders`) or an address. Links to other hosts are left out.
pub fn links(page: &Url, content_type: &str, body: &str) -> Links {
    let found = match content_type {
        kind if kind.contains("html") => anchors(body),
        kind if kind.contains("json") => {
            let mut texts = Vec::new();
            if let Ok(document) = serde_json::from_str(body) {
                collect_paths(&document, &mut texts);
            }
            texts
        }
        _ => Vec::new(),
    };
    let mut links = Links::default();
    for link in found {
        let Ok(url) = page.join(&link) else {
            continue;
        };
        if url.origin() != page.origin() || url.path() == page.path() {
            continue;
        }
        let path = path_of(&url).to_owned();
        let lower = path.to_ascii_lowercase();
        let list = match MAY_CHANGE.iter().any(|part| lower.contains(part)) {
            true => &mut links.may_change,
            false => &mut links.paths,
        };
        if !list.contains(&path) {
            list.push(path);
        }
    }
    links
}

/// The path and the query of an address.
pub fn path_of(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The values of `href` of all `<a>` elements. Enough of HTML to find links; nothing is shown of it.
fn anchors(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let is_anchor = tag
            .strip_prefix(['a', 'A'])
            .is_some_and(|rest| rest.starts_with(char::is_whitespace));
        if let Some(link) = href(tag).filter(|_| is_anchor) {
            found.push(link.replace("&amp;", "&"));
        }
    }
    found
}

fn href(tag: &str) -> Option<&str> {
    // Lower case keeps the places of all bytes.
    let at = tag.to_ascii_lowercase().find("href")?;
    let value = tag[at + 4..].trim_start().strip_prefix('=')?.trim_start();
    match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next(),
        _ => value.split(char::is_whitespace).next(),
    }
}

fn collect_paths(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let is_path = text.starts_with('/') && !text.starts_with("//");
            if is_path || text.starts_with("http://") || text.starts_with("https://") {
                // What is in braces is a template and no address.
                found.extend(Some(text.clone()).filter(|text| !text.contains(['{', ' '])));
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect_paths(value, found)),
        Value::Object(fields) => fields.values().for_each(|of| collect_paths(of, found)),
        _ => {}
    }
}

/// A draft of pages that answered, one after the other; of the first page, if none did. Each line of
/// `left_out` says what was left out and why.
pub fn from_pages(answered: &[String], left_out: Vec<String>) -> Draft {
    let mut flow = DraftFlow {
        name: "visit".to_owned(),
        ..DraftFlow::default()
    };
    let first = ["/".to_owned()];
    let paths = match answered {
        [] => &first[..],
        answered => answered,
    };
    for path in paths {
        flow.push(DraftStep {
            name: match path.as_str() {
                "/" => "home".to_owned(),
                path => path.replace('$', ""),
            },
            method: "GET".to_owned(),
            // `${` begins a variable.
            path: path.replace('$', "%24"),
            ..DraftStep::default()
        });
    }
    Draft {
        flows: vec![flow],
        left_out,
        ..Draft::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, body: &str) -> Links {
        links(&Url::parse("http://127.0.0.1:8080/").unwrap(), kind, body)
    }

    #[test]
    fn a_page_s_own_links_are_found_once_and_without_what_may_change() {
        let html = r##"<html><a href="/items">x</a> <A class=b HREF='/items?page=2&amp;n=3'>y</A>
            <a href=/items>again</a> <a href="#top">top</a> <a href="about.html#x">z</a>
            <a href="https://other.example/">away</a> <a href="mailto:a@b">mail</a> <abbr href="/no">
            <a href="/user/logout">bye</a> <link href="/style.css"> <a>nothing</a> <a href"##;
        let found = of("text/html; charset=utf-8", html);
        assert_eq!(found.paths, ["/items", "/items?page=2&n=3", "/about.html"]);
        assert_eq!(found.may_change, ["/user/logout"]);
    }

    #[test]
    fn paths_in_json_are_links() {
        let json = r#"{"_links": {"orders": {"href": "/orders"}, "one": {"href": "/orders/{id}"}},
            "urls": ["http://127.0.0.1:8080/stock", "http://127.0.0.1:9/other", "//x"], "n": "a/b"}"#;
        assert_eq!(of("application/json", json).paths, ["/orders", "/stock"]);
        assert_eq!(of("text/plain", json), Links::default());
        assert_eq!(of("application/json", "{"), Links::default());
    }

    #[test]
    fn a_draft_has_a_step_for_each_page_that_answered() {
        let paths = ["/", "/items?a=${b}", "/items/"].map(str::to_owned);
        let draft = from_pages(&paths, vec!["/x: 404".to_owned()]);
        let steps = &draft.flows[0].steps;
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["home", "items_a_b", "items"]);
        assert_eq!(steps[1].path, "/items?a=%24{b}");
        assert_eq!(from_pages(&[], Vec::new()).flows[0].steps[0].path, "/");
    }
}

//! Cookies of one iteration: kept from answer to answer and gone at its end, as in k6, so that a
//! target with sessions sees a visitor and not a crowd.

use cookie_store::CookieStore;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::Url;

/// What the answers of an iteration have set. Costs nothing as long as none has set anything.
#[derive(Debug, Default)]
pub struct Cookies(Option<Box<CookieStore>>);

impl Cookies {
    /// Keeps what an answer sets.
    pub(crate) fn take(&mut self, url: &Url, headers: &HeaderMap) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let store = self.0.get_or_insert_default();
        for value in headers.get_all(SET_COOKIE) {
            if let Ok(text) = value.to_str() {
                // One that can't be parsed, or is not for this address, is left out, as browsers do.
                let _ = store.parse(text, url);
            }
        }
    }

    /// Adds what is due to a request, behind what its step sets itself.
    pub(crate) fn put(&self, request: &mut reqwest::Request) {
        let Some(store) = &self.0 else { return };
        let mut due = store.matches(request.url());
        // As in k6 a loopback address is no safer than another.
        let is_https = request.url().scheme() == "https";
        due.retain(|cookie| is_https || cookie.secure() != Some(true));
        // Longer paths first (RFC 6265, section 5.4), then in the order in which they came.
        due.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let own = request
            .headers()
            .get(COOKIE)
            .and_then(|own| own.to_str().ok());
        let mut members: Vec<String> = own.into_iter().map(str::to_owned).collect();
        members.extend(due.iter().map(|c| format!("{}={}", c.name(), c.value())));
        if let (false, Ok(value)) = (
            members.is_empty(),
            HeaderValue::try_from(members.join("; ")),
        ) {
            request.headers_mut().insert(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie_for(set: &[&str], own: Option<&'static str>, path: &str) -> Option<String> {
        let at = |path: &str| Url::parse(&format!("http://127.0.0.1:8080{path}")).unwrap();
        let mut answer = HeaderMap::new();
        for value in set {
            answer.append(SET_COOKIE, HeaderValue::from_str(value).unwrap());
        }
        let mut cookies = Cookies::default();
        cookies.take(&at("/a/b"), &answer);
        let mut request = reqwest::Request::new(http::Method::GET, at(path));
        if let Some(own) = own {
            let own = HeaderValue::from_static(own);
            request.headers_mut().insert(COOKIE, own);
        }
        cookies.put(&mut request);
        request
            .headers()
            .get(COOKIE)
            .map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_come_back_to_where_they_belong() {
        let set = [
            "sid=1; Path=/",
            "deep=2; Path=/a/b",
            "other=3; Path=/x",
            "gone=4; Max-Age=0; Path=/",
        ];
        assert_eq!(
            cookie_for(&set, None, "/a/b/c").as_deref(),
            Some("deep=2; sid=1")
        );
        assert_eq!(cookie_for(&set, None, "/").as_deref(), Some("sid=1"));
        assert_eq!(
            cookie_for(&["far=1; Domain=elsewhere.example"], None, "/"),
            None
        );
        assert_eq!(cookie_for(&["safe=1; Secure; Path=/"], None, "/"), None);
    }

    #[test]
    fn a_step_keeps_its_own() {
        let found = cookie_for(&["sid=1; Path=/"], Some("mine=0"), "/");
        assert_eq!(found.as_deref(), Some("mine=0; sid=1"));
        assert_eq!(
            cookie_for(&[], Some("mine=0"), "/").as_deref(),
            Some("mine=0")
        );
    }
}
